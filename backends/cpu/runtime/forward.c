#include "forward.h"

#include <string.h>

/* Where the words of a call begin. */
typedef struct places {
  int32_t batch, threads, inputs, outputs, lengths, strides, workspace, workspace_size, pool;
} places;

static places places_of(const rnnc_description *d, const rnnc_program *program) {
  places p;
  p.batch = d->num_extents;
  p.threads = p.batch + 1;
  p.inputs = p.threads + 1;
  p.outputs = p.inputs + program->num_inputs;
  p.lengths = p.outputs + program->num_outputs;
  p.strides = p.lengths + d->num_extents;
  p.workspace = p.strides + 1;
  p.workspace_size = p.workspace + 1;
  p.pool = p.workspace_size + 1;
  return p;
}

static void *pointer(rnnc_word word) { return (void *)(uintptr_t)word; }

/* ---- sizes ---------------------------------------------------------------------------------- */

static int64_t axis_size(const rnnc_axis *axis, const int64_t *extents) {
  if (axis->extent < 0)
    return axis->size;
  int64_t size = extents[axis->extent] + axis->offset;
  return size > 0 ? size : 0;
}

static int64_t count_points(const rnnc_port *port, const int64_t *extents, int64_t batch) {
  int64_t points = batch;
  for (int32_t i = 0; i < port->num_axes; i++)
    points = rnnc_times(points, axis_size(&port->axes[i], extents));
  return points;
}

static int64_t port_size(const rnnc_port *port, const int64_t *extents, int64_t batch) {
  return rnnc_times(count_points(port, extents, batch), port->volume * rnnc_element(port->dtype));
}

static int32_t count_strides(const rnnc_port *ports, int32_t count) {
  int32_t result = 0;
  for (int32_t i = 0; i < count; i++)
    result += ports[i].num_axes + 1;
  return result;
}

/* Strides of a row-major array, in elements; returns the end. */
static int64_t *packed_strides(const rnnc_port *port, const int64_t *extents, int64_t batch,
                               int64_t *strides) {
  int64_t step = port->volume;
  for (int32_t i = port->num_axes; i >= 0; i--) {
    strides[i] = step;
    step = rnnc_times(step, i == port->num_axes ? batch : axis_size(&port->axes[i], extents));
  }
  return strides + port->num_axes + 1;
}

/* Extents, batch, and strides of inputs and outputs: those that are given, else as packed. */
static void entry_sizes(const rnnc_description *d, const rnnc_program *program,
                        const rnnc_word *call, const int64_t *given, int64_t *sizes) {
  memcpy(sizes, call, sizeof(int64_t) * (size_t)(d->num_extents + 1));
  int64_t *next = sizes + d->num_extents + 1, batch = sizes[d->num_extents];
  if (given) {
    memcpy(next, given,
           sizeof(int64_t) * (size_t)(count_strides(program->inputs, program->num_inputs) +
                                      count_strides(program->outputs, program->num_outputs)));
    return;
  }
  for (int32_t i = 0; i < program->num_inputs; i++)
    next = packed_strides(&program->inputs[i], call, batch, next);
  for (int32_t i = 0; i < program->num_outputs; i++)
    next = packed_strides(&program->outputs[i], call, batch, next);
}

/* ---- workspace ------------------------------------------------------------------------------ */

/* What a call takes from its workspace besides what kernels want: lengths of each extent, and for
 * each input its default value, or a copy without ints that no row has. */
static int64_t extra_size(const rnnc_description *d, const rnnc_program *program,
                          const rnnc_word *call) {
  int64_t batch = call[d->num_extents];
  int64_t size = RNNC_ALIGNMENT + d->num_extents * rnnc_round(rnnc_times(batch, 4));
  for (int32_t i = 0; i < program->num_inputs; i++) {
    const rnnc_port *port = &program->inputs[i];
    if (port->has_default)
      size += rnnc_round(port->volume * rnnc_element(port->dtype));
    if (port->has_range)
      size += rnnc_round(port_size(port, call, batch));
  }
  return size;
}

static int check_sizes(const rnnc_description *d, const rnnc_word *call) {
  for (int32_t i = 0; i <= d->num_extents; i++)
    if (call[i] < 0 || call[i] > INT32_MAX)
      return rnnc_fail(RNNC_ARGUMENT, "%s is %lld, which is not in 0..2147483648",
                       i < d->num_extents ? d->extents[i] : "batch", (long long)call[i]);
  return RNNC_OK;
}

static int64_t needed(const rnnc_description *d, const rnnc_program *program, const rnnc_word *call,
                      const int64_t *sizes) {
  int64_t kernels = program->workspace(sizes), extra = extra_size(d, program, call);
  return kernels >= RNNC_HUGE || extra >= RNNC_HUGE ? -1 : kernels + extra;
}

int64_t rnnc_workspace_size(const rnnc_description *d, const rnnc_word *call) {
  const rnnc_program *program = d->forward;
  if (!call)
    return -rnnc_fail(RNNC_ARGUMENT, "the call is NULL");
  int status = check_sizes(d, call);
  if (status)
    return -status;
  int64_t size = needed(d, program, call, call);
  return size < 0 ? -rnnc_fail(RNNC_MEMORY, "no memory is large enough for this call") : size;
}

typedef struct arena {
  char *place;
} arena;

static void *take(arena *a, int64_t bytes) {
  void *found = a->place;
  a->place += rnnc_round(bytes);
  return found;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static int find_lengths(const rnnc_description *d, const rnnc_word *call, const rnnc_word *given,
                        arena *a, void **pointers) {
  int64_t batch = call[d->num_extents];
  for (int32_t i = 0; i < d->num_extents; i++) {
    const int32_t *own = pointer(given[i]);
    for (int64_t row = 0; own && row < batch; row++)
      if (own[row] < 0 || own[row] > call[i])
        return rnnc_fail(RNNC_LENGTHS, "length %d of row %lld is not in 0..%lld (%s)",
                         (int)own[row], (long long)row, (long long)call[i], d->extents[i]);
    if (!own) {
      int32_t *made = take(a, batch * 4);
      for (int64_t row = 0; row < batch; row++)
        made[row] = (int32_t)call[i];
      own = made;
    }
    pointers[i] = (void *)own;
  }
  return RNNC_OK;
}

static void *default_value(const rnnc_port *port, arena *a) {
  void *made = take(a, port->volume * rnnc_element(port->dtype));
  for (int64_t i = 0; i < port->volume; i++)
    switch (port->dtype) {
    case RNNC_REAL: ((float *)made)[i] = port->value; break;
    case RNNC_INT: ((int32_t *)made)[i] = (int32_t)port->value; break;
    case RNNC_BOOL: ((uint8_t *)made)[i] = port->value != 0; break;
    }
  return made;
}

/* The ends of a port's range at a point and row, and whether the row has the point. */
static rnnc_range limits(const rnnc_description *d, const rnnc_port *port, const int64_t *point,
                         int64_t row, void *const *lengths, int *exists) {
  int64_t ends[2] = {port->constants[0], port->constants[1]};
  *exists = 1;
  for (int32_t end = 0; end < 2; end++)
    for (int32_t i = 0; i < d->num_extents; i++)
      ends[end] += port->factors[end][i] * ((const int32_t *)lengths[i])[row];
  for (int32_t i = 0; i < port->num_axes; i++) {
    const rnnc_axis *axis = &port->axes[i];
    for (int32_t end = 0; end < 2; end++)
      ends[end] += axis->limits[end] * (point[i] + axis->lower);
    if (axis->extent >= 0)
      *exists &= point[i] < ((const int32_t *)lengths[axis->extent])[row] + axis->offset;
  }
  return (rnnc_range){ends[0], ends[1]};
}

/* Kernels trust ints: one that is out of its range is refused. Where its row has no such point it
 * says nothing; with `copied` the input is copied without such ints, and its strides replaced. */
static int check_ints(const rnnc_description *d, const rnnc_port *port, const int64_t *extents,
                      int64_t batch, void *const *lengths, int32_t *copied, int64_t *strides,
                      void **input) {
  const int32_t *values = *input;
  int64_t point[port->num_axes + 1], points = count_points(port, extents, 1);
  for (int64_t number = 0; number < points; number++) {
    int64_t rest = number, from = 0;
    for (int32_t i = port->num_axes - 1; i >= 0; i--) {
      int64_t size = axis_size(&port->axes[i], extents);
      point[i] = rest % size;
      rest /= size;
      from += point[i] * strides[i];
    }
    for (int64_t row = 0; row < batch; row++) {
      int exists;
      rnnc_range range = limits(d, port, point, row, lengths, &exists);
      for (int64_t i = 0; i < port->volume; i++) {
        int32_t value = values[from + row * strides[port->num_axes] + i];
        int fits = value >= range.lower && value < range.upper;
        if (!fits && exists)
          return rnnc_fail(RNNC_RANGE, "input '%s' holds %d in row %lld, which is not in %lld..%lld",
                           port->name, (int)value, (long long)row, (long long)range.lower,
                           (long long)range.upper);
        if (copied)
          copied[(number * batch + row) * port->volume + i] = fits ? value : (int32_t)range.lower;
      }
    }
  }
  if (copied) {
    packed_strides(port, extents, batch, strides);
    *input = copied;
  }
  return RNNC_OK;
}

static int check_array(const char *kind, const rnnc_port *port, const void *array, int64_t size) {
  if (!array && size)
    return rnnc_fail(RNNC_ARGUMENT, "%s '%s' is NULL", kind, port->name);
  if ((uintptr_t)array % (uintptr_t)rnnc_element(port->dtype))
    return rnnc_fail(RNNC_ARGUMENT, "%s '%s' is not aligned", kind, port->name);
  return RNNC_OK;
}

static int find_inputs(const rnnc_description *d, const rnnc_program *program,
                       const rnnc_word *call, const rnnc_word *given, int shortened,
                       void *const *lengths, arena *a, int64_t *strides, void **pointers) {
  int64_t batch = call[d->num_extents];
  for (int32_t i = 0; i < program->num_inputs; i++) {
    const rnnc_port *port = &program->inputs[i];
    void *input = pointer(given[i]);
    if (!input && port->has_default) {
      input = default_value(port, a);
      memset(strides, 0, sizeof(int64_t) * (size_t)(port->num_axes + 1));
    }
    int status = check_array("input", port, input, port_size(port, call, batch));
    if (!status && port->has_range) {
      int32_t *copied = shortened ? take(a, port_size(port, call, batch)) : NULL;
      status = check_ints(d, port, call, batch, lengths, copied, strides, &input);
    }
    if (status)
      return status;
    pointers[i] = input;
    strides += port->num_axes + 1;
  }
  return RNNC_OK;
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* Zero where a row has no point. */
static void clear_beyond(const rnnc_port *port, const int64_t *extents, int64_t batch,
                         void *const *lengths, const int64_t *strides, char *output) {
  int64_t points = count_points(port, extents, 1);
  int64_t element = rnnc_element(port->dtype);
  for (int64_t number = 0; number < points; number++)
    for (int64_t row = 0; row < batch; row++) {
      int64_t rest = number, place = row * strides[port->num_axes];
      int beyond = 0;
      for (int32_t i = port->num_axes - 1; i >= 0; i--) {
        const rnnc_axis *axis = &port->axes[i];
        int64_t size = axis_size(axis, extents), index = rest % size;
        rest /= size;
        place += index * strides[i];
        if (axis->extent >= 0)
          beyond |= index >= ((const int32_t *)lengths[axis->extent])[row] + axis->offset;
      }
      if (beyond)
        memset(output + place * element, 0, (size_t)(port->volume * element));
    }
}

/* ---- the call ------------------------------------------------------------------------------- */

int rnnc_call(const rnnc_description *d, const rnnc_model *model, const rnnc_word *call) {
  if (!model || !call)
    return rnnc_fail(RNNC_ARGUMENT, "the %s is NULL", model ? "call" : "model");
  if (model->description != d)
    return rnnc_fail(RNNC_ARGUMENT, "the model is none of '%s'", d->name);
  const rnnc_program *program = d->forward;
  places at = places_of(d, program);
  int status = check_sizes(d, call);
  if (status)
    return status;
  if (call[at.threads] < 0 || call[at.threads] > INT32_MAX)
    return rnnc_fail(RNNC_ARGUMENT, "threads is %lld", (long long)call[at.threads]);

  int32_t num_inputs = program->num_inputs, num_outputs = program->num_outputs;
  int32_t inputs = count_strides(program->inputs, num_inputs);
  int64_t batch = call[at.batch];
  int64_t sizes[d->num_extents + 1 + inputs + count_strides(program->outputs, num_outputs)];
  entry_sizes(d, program, call, pointer(call[at.strides]), sizes);
  int64_t want = needed(d, program, call, sizes);
  if (want < 0)
    return rnnc_fail(RNNC_MEMORY, "no memory is large enough for this call");
  if (!call[at.workspace] || call[at.workspace_size] < want)
    return rnnc_fail(RNNC_WORKSPACE, "the workspace has %lld bytes, this call needs %lld",
                     call[at.workspace] ? (long long)call[at.workspace_size] : 0LL,
                     (long long)want);
  if (!batch)
    return RNNC_OK;

  int shortened = 0;
  for (int32_t i = 0; i < d->num_extents; i++)
    shortened |= call[at.lengths + i] != 0;
  int32_t arrays = program->num_weights + program->num_packs;
  void *pointers[num_inputs + num_outputs + arrays + d->num_extents + 1];
  void **outputs = pointers + num_inputs, **lengths = outputs + num_outputs + arrays;
  int64_t *strides = sizes + d->num_extents + 1;
  char *start = pointer(call[at.workspace]);
  arena a = {start + (RNNC_ALIGNMENT - (uintptr_t)start % RNNC_ALIGNMENT) % RNNC_ALIGNMENT};
  if ((status = find_lengths(d, call, call + at.lengths, &a, lengths)) ||
      (status = find_inputs(d, program, call, call + at.inputs, shortened, lengths, &a, strides,
                            pointers)))
    return status;
  for (int32_t i = 0; i < num_outputs; i++) {
    outputs[i] = pointer(call[at.outputs + i]);
    const rnnc_port *port = &program->outputs[i];
    if ((status = check_array("output", port, outputs[i], port_size(port, call, batch))))
      return status;
  }
  memcpy(outputs + num_outputs, rnnc_arrays(model, program), sizeof(void *) * (size_t)arrays);
  lengths[d->num_extents] = a.place;

  int32_t threads = call[at.threads] ? (int32_t)call[at.threads] : 1;
  const rnnc_runtime *pool = pointer(call[at.pool]);
  if (threads > 1 && !pool)
    pool = rnnc_runtime_default();
  program->run(threads > 1 ? pool : NULL, threads, pointers, sizes);

  for (int32_t i = 0, place = inputs; shortened && i < num_outputs; i++) {
    clear_beyond(&program->outputs[i], call, batch, lengths, strides + place, outputs[i]);
    place += program->outputs[i].num_axes + 1;
  }
  return RNNC_OK;
}
