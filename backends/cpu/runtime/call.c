#include "call.h"

#include <stdio.h>
#include <string.h>

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

int64_t rnnc_port_size(const rnnc_port *port, const int64_t *extents, int64_t batch) {
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
static void entry_sizes(const rnnc_program *program, const rnnc_call *call, int64_t *sizes) {
  int32_t extents = program->num_extents;
  memcpy(sizes, call->sizes, sizeof(int64_t) * (size_t)(extents + 1));
  int64_t *next = sizes + extents + 1, batch = sizes[extents];
  if (call->strides) {
    int32_t count = count_strides(program->inputs, program->num_inputs) +
                    count_strides(program->outputs, program->num_outputs);
    memcpy(next, call->strides, sizeof(int64_t) * (size_t)count);
    return;
  }
  for (int32_t i = 0; i < program->num_inputs; i++)
    next = packed_strides(&program->inputs[i], call->sizes, batch, next);
  for (int32_t i = 0; i < program->num_outputs; i++)
    next = packed_strides(&program->outputs[i], call->sizes, batch, next);
}

/* ---- workspace ------------------------------------------------------------------------------ */

/* What a call takes from its workspace besides what kernels want: lengths of each extent, and for
 * each input its default value, or a copy without ints that no row has. */
static int64_t extra_size(const rnnc_program *program, const int64_t *sizes) {
  int64_t batch = sizes[program->num_extents];
  int64_t size = RNNC_ALIGNMENT + program->num_extents * rnnc_round(rnnc_times(batch, 4));
  for (int32_t i = 0; i < program->num_inputs; i++) {
    const rnnc_port *port = &program->inputs[i];
    if (port->has_default)
      size += rnnc_round(port->volume * rnnc_element(port->dtype));
    if (port->has_range)
      size += rnnc_round(rnnc_port_size(port, sizes, batch));
  }
  return size;
}

static int check_sizes(const rnnc_program *program, const int64_t *sizes) {
  for (int32_t i = 0; i <= program->num_extents; i++)
    if (sizes[i] < 0 || sizes[i] > INT32_MAX)
      return rnnc_fail(RNNC_ARGUMENT, "%s is %lld, which is not in 0..2147483648",
                       i < program->num_extents ? program->extents[i] : "batch",
                       (long long)sizes[i]);
  return RNNC_OK;
}

int64_t rnnc_workspace(const rnnc_program *program, const int64_t *sizes) {
  int status = check_sizes(program, sizes);
  if (status)
    return -status;
  int64_t kernels = program->workspace(sizes), extra = extra_size(program, sizes);
  if (kernels >= RNNC_HUGE || extra >= RNNC_HUGE)
    return -rnnc_fail(RNNC_MEMORY, "no memory is large enough for this call");
  return kernels + extra;
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

static int find_lengths(const rnnc_program *program, const rnnc_call *call, arena *a,
                        void **pointers) {
  int64_t batch = call->sizes[program->num_extents];
  for (int32_t i = 0; i < program->num_extents; i++) {
    const int32_t *own = call->lengths ? call->lengths[i] : NULL;
    for (int64_t row = 0; own && row < batch; row++)
      if (own[row] < 0 || own[row] > call->sizes[i])
        return rnnc_fail(RNNC_LENGTHS, "length %d of row %lld is not in 0..%lld (%s)",
                         (int)own[row], (long long)row, (long long)call->sizes[i],
                         program->extents[i]);
    for (int64_t row = 0; own && program->shared[i] && row < batch; row++)
      if (own[row] != call->sizes[i])
        return rnnc_fail(RNNC_LENGTHS,
                         "length %d of row %lld is not %lld (%s): an equation is cut before the end",
                         (int)own[row], (long long)row, (long long)call->sizes[i],
                         program->extents[i]);
    if (!own) {
      int32_t *made = take(a, batch * 4);
      for (int64_t row = 0; row < batch; row++)
        made[row] = (int32_t)call->sizes[i];
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
static rnnc_range limits(int32_t num_extents, const rnnc_port *port, const int64_t *point,
                         int64_t row, void *const *lengths, int *exists) {
  int64_t ends[2] = {port->constants[0], port->constants[1]};
  *exists = 1;
  for (int32_t end = 0; end < 2; end++)
    for (int32_t i = 0; i < num_extents; i++)
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

static int out_of_range(const rnnc_port *port, const int64_t *point, int64_t row, int64_t i,
                        int32_t value, rnnc_range range) {
  char place[128];
  size_t used = (size_t)snprintf(place, sizeof place, "[");
  for (int32_t axis = 0; axis < port->num_axes && used < sizeof place; axis++)
    used += (size_t)snprintf(place + used, sizeof place - used, "%lld, ", (long long)point[axis]);
  if (used < sizeof place)
    used += (size_t)snprintf(place + used, sizeof place - used, "%lld", (long long)row);
  if (port->volume > 1 && used < sizeof place)
    snprintf(place + used, sizeof place - used, ", %lld", (long long)i);
  return rnnc_fail(RNNC_RANGE, "input '%s' is %d at %s], which is not in %lld..%lld", port->name,
                   (int)value, place, (long long)range.lower, (long long)range.upper);
}

/* Kernels trust ints: one that is out of its range is refused. Where its row has no such point it
 * says nothing; with `copied` the input is copied without such ints, and its strides replaced. */
static int check_ints(int32_t num_extents, const rnnc_port *port, const int64_t *extents,
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
      rnnc_range range = limits(num_extents, port, point, row, lengths, &exists);
      for (int64_t i = 0; i < port->volume; i++) {
        int32_t value = values[from + row * strides[port->num_axes] + i];
        int fits = value >= range.lower && value < range.upper;
        if (!fits && exists)
          return out_of_range(port, point, row, i, value, range);
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

static int find_inputs(const rnnc_program *program, const rnnc_call *call, int shortened,
                       void *const *lengths, arena *a, int64_t *strides, void **pointers) {
  const int64_t *extents = call->sizes;
  int64_t batch = extents[program->num_extents];
  for (int32_t i = 0; i < program->num_inputs; i++) {
    const rnnc_port *port = &program->inputs[i];
    void *input = call->inputs[i];
    if (!input && port->has_default) {
      input = default_value(port, a);
      memset(strides, 0, sizeof(int64_t) * (size_t)(port->num_axes + 1));
    }
    int64_t size = rnnc_port_size(port, extents, batch);
    int status = check_array("input", port, input, size);
    if (!status && port->has_range) {
      int32_t *copied = shortened ? take(a, size) : NULL;
      status = check_ints(program->num_extents, port, extents, batch, lengths, copied, strides,
                          &input);
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

int rnnc_run(const rnnc_model *model, const rnnc_program *program, const rnnc_call *call) {
  int64_t want = rnnc_workspace(program, call->sizes);
  if (want < 0)
    return (int)-want;
  if (!call->workspace || call->workspace_size < want)
    return rnnc_fail(RNNC_WORKSPACE, "the workspace has %lld bytes, this call needs %lld",
                     call->workspace ? (long long)call->workspace_size : 0LL, (long long)want);
  if (call->threads < 0 || call->threads > INT32_MAX)
    return rnnc_fail(RNNC_ARGUMENT, "threads is %lld", (long long)call->threads);
  int32_t num_extents = program->num_extents;
  int64_t batch = call->sizes[num_extents];
  if (!batch)
    return RNNC_OK;

  int32_t num_inputs = program->num_inputs, num_outputs = program->num_outputs;
  int32_t arrays = program->num_weights + program->num_packs;
  int32_t input_strides = count_strides(program->inputs, num_inputs);
  int64_t sizes[num_extents + 1 + input_strides + count_strides(program->outputs, num_outputs)];
  int64_t *strides = sizes + num_extents + 1;
  void *pointers[num_inputs + num_outputs + arrays + num_extents + 1];
  void **outputs = pointers + num_inputs, **lengths = outputs + num_outputs + arrays;
  entry_sizes(program, call, sizes);
  char *start = call->workspace;
  arena a = {start + (RNNC_ALIGNMENT - (uintptr_t)start % RNNC_ALIGNMENT) % RNNC_ALIGNMENT};
  int shortened = 0;
  for (int32_t i = 0; i < num_extents; i++)
    shortened |= call->lengths && call->lengths[i];
  int status = find_lengths(program, call, &a, lengths);
  if (!status)
    status = find_inputs(program, call, shortened, lengths, &a, strides, pointers);
  for (int32_t i = 0; !status && i < num_outputs; i++) {
    const rnnc_port *port = &program->outputs[i];
    outputs[i] = call->outputs[i];
    status = check_array("output", port, outputs[i], rnnc_port_size(port, call->sizes, batch));
  }
  if (status)
    return status;
  memcpy(outputs + num_outputs, rnnc_arrays(model, program), sizeof(void *) * (size_t)arrays);
  lengths[num_extents] = a.place;

  const rnnc_runtime *pool = NULL;
  if (call->threads > 1)
    pool = call->pool ? call->pool : rnnc_runtime_default();
  program->run(pool, pool ? (int32_t)call->threads : 1, pointers, sizes);

  strides += input_strides;
  for (int32_t i = 0; shortened && i < num_outputs; i++) {
    clear_beyond(&program->outputs[i], call->sizes, batch, lengths, strides, outputs[i]);
    strides += program->outputs[i].num_axes + 1;
  }
  return RNNC_OK;
}

/* ---- whole sequences ------------------------------------------------------------------------ */

int64_t rnnc_forward_size(const rnnc_description *d, const rnnc_word *call) {
  if (!call)
    return -rnnc_fail(RNNC_ARGUMENT, "the call is NULL");
  return rnnc_workspace(d->forward, call);
}

int rnnc_check_model(const rnnc_description *d, const rnnc_model *model) {
  if (!model)
    return rnnc_fail(RNNC_ARGUMENT, "the model is NULL");
  if (model->description != d)
    return rnnc_fail(RNNC_ARGUMENT, "the model is none of '%s'", d->name);
  return RNNC_OK;
}

int rnnc_forward_call(const rnnc_description *d, const rnnc_model *model, const rnnc_word *call) {
  int status = rnnc_check_model(d, model);
  if (status)
    return status;
  if (!call)
    return rnnc_fail(RNNC_ARGUMENT, "the call is NULL");
  const rnnc_program *program = d->forward;
  rnnc_call made = {.sizes = call, .threads = call[program->num_extents + 1]};
  call += program->num_extents + 2;
  made.inputs = (void *const *)call;
  made.outputs = made.inputs + program->num_inputs;
  made.lengths = (const int32_t *const *)(made.outputs + program->num_outputs);
  call += program->num_inputs + program->num_outputs + program->num_extents;
  made.strides = (const int64_t *)(uintptr_t)call[0];
  made.workspace = (void *)(uintptr_t)call[1];
  made.workspace_size = call[2];
  made.pool = (const rnnc_runtime *)(uintptr_t)call[3];
  return rnnc_run(model, program, &made);
}
