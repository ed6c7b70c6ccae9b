#include "stream.h"

#include <string.h>

/* Behind it, aligned: the workspace, then the states twice, of which a step reads the one and
 * writes the other. */
struct rnnc_stream {
  const rnnc_description *description;
  int64_t batch, steps, size;
  int64_t first, half; /* where the states begin, and the bytes of each of the two */
  int32_t current;
};

/* ---- memory --------------------------------------------------------------------------------- */

static const rnnc_port *state_port(const rnnc_description *d, int32_t state) {
  return &d->step->inputs[d->states[state].before];
}

static int64_t state_size(const rnnc_description *d, int32_t state, int64_t batch) {
  return rnnc_round(rnnc_port_size(state_port(d, state), NULL, batch));
}

static int64_t states_size(const rnnc_description *d, int64_t batch) {
  int64_t size = 0;
  for (int32_t i = 0; i < d->num_states; i++)
    size += state_size(d, i, batch);
  return size;
}

/* What a step and the beginning need, whichever is more. Negative: the error's code. */
static int64_t workspace_size(const rnnc_description *d, int64_t batch) {
  int64_t sizes[2] = {INT32_MAX, batch};
  int64_t step = rnnc_workspace(d->step, sizes + 1 - d->step->num_extents);
  if (step < 0 || !d->begin)
    return step;
  int64_t begin = rnnc_workspace(d->begin, &batch);
  return begin < 0 || begin > step ? begin : step;
}

static int64_t head_size(void) { return rnnc_round((int64_t)sizeof(rnnc_stream)); }

int64_t rnnc_stream_size(const rnnc_description *d, int64_t batch) {
  int64_t workspace = workspace_size(d, batch);
  if (workspace < 0)
    return workspace;
  int64_t states = states_size(d, batch);
  if (states >= RNNC_HUGE)
    return -rnnc_fail(RNNC_MEMORY, "no memory is large enough for %lld rows", (long long)batch);
  return RNNC_ALIGNMENT + head_size() + rnnc_round(workspace) + 2 * states;
}

static char *workspace_of(rnnc_stream *s) { return (char *)s + head_size(); }

/* The states that the next step reads (0), or writes (1). */
static char *states_of(rnnc_stream *s, int32_t which) {
  return (char *)s + s->first + (which ^ s->current) * s->half;
}

static rnnc_stream *aligned(void *memory) {
  uintptr_t place = (uintptr_t)memory;
  return (rnnc_stream *)(place + (RNNC_ALIGNMENT - place % RNNC_ALIGNMENT) % RNNC_ALIGNMENT);
}

static int check_memory(const void *memory, int64_t size, int64_t wanted, rnnc_stream **stream) {
  if (!stream)
    return rnnc_fail(RNNC_ARGUMENT, "the place for the stream is NULL");
  *stream = NULL;
  if (wanted < 0)
    return (int)-wanted;
  if (!memory || size < wanted)
    return rnnc_fail(RNNC_MEMORY, "the memory has %lld bytes, the stream needs %lld",
                     memory ? (long long)size : 0LL, (long long)wanted);
  return RNNC_OK;
}

static int check_stream(const rnnc_description *d, const rnnc_stream *stream) {
  if (!stream)
    return rnnc_fail(RNNC_ARGUMENT, "the stream is NULL");
  return stream->description == d ? RNNC_OK
                                  : rnnc_fail(RNNC_STREAM, "the stream is none of '%s'", d->name);
}

/* ---- the beginning -------------------------------------------------------------------------- */

/* How far a port's points are from each other: the batch has `rows`. */
static int64_t *strides_of(const rnnc_port *port, int64_t rows, int64_t *strides) {
  int64_t step = port->volume;
  strides[port->num_axes] = step;
  step *= rows;
  for (int32_t i = port->num_axes - 1; i >= 0; i--) {
    strides[i] = step;
    step *= port->axes[i].size;
  }
  return strides + port->num_axes + 1;
}

static void clear(const rnnc_port *port, int64_t batch, int64_t row, int64_t rows, char *state) {
  int64_t value = port->volume * rnnc_element(port->dtype), points = 1;
  for (int32_t i = 0; i < port->num_axes; i++)
    points *= port->axes[i].size;
  for (int64_t point = 0; point < points; point++)
    memset(state + (point * batch + row) * value, 0, (size_t)(rows * value));
}

/* Rows row .. row+rows of the states that the next step reads. */
static int begin(const rnnc_model *model, rnnc_stream *s, int64_t row, int64_t rows,
                 const rnnc_word *start) {
  const rnnc_description *d = s->description;
  int32_t inputs = d->begin ? d->begin->num_inputs : 0, count = 0;
  int32_t outputs = d->begin ? d->begin->num_outputs : 0;
  for (int32_t i = 0; i < inputs; i++)
    count += d->begin->inputs[i].num_axes + 1;
  for (int32_t i = 0; i < outputs; i++)
    count += d->begin->outputs[i].num_axes + 1;
  int64_t strides[count + 1], *next = strides;
  void *given[inputs + 1], *made[outputs + 1];
  for (int32_t i = 0; i < inputs; i++) {
    next = strides_of(&d->begin->inputs[i], rows, next);
    given[i] = start ? (void *)(uintptr_t)start[i] : NULL;
  }
  for (int32_t i = 0; i < outputs; i++)
    next = strides_of(&d->begin->outputs[i], s->batch, next);
  char *state = states_of(s, 0);
  for (int32_t i = 0; i < d->num_states; i++) {
    const rnnc_port *port = state_port(d, i);
    clear(port, s->batch, row, rows, state);
    if (d->states[i].begin >= 0)
      made[d->states[i].begin] = state + row * port->volume * rnnc_element(port->dtype);
    state += state_size(d, i, s->batch);
  }
  if (!d->begin)
    return RNNC_OK;
  rnnc_call call = {.sizes = &rows, .strides = strides, .inputs = given, .outputs = made,
                    .workspace = workspace_of(s), .workspace_size = INT64_MAX, .threads = 1};
  return rnnc_run(model, d->begin, &call);
}

int rnnc_stream_init(const rnnc_description *d, const rnnc_model *model, int64_t batch,
                     const rnnc_word *start, void *memory, int64_t size, rnnc_stream **stream) {
  int status = rnnc_check_model(d, model);
  int64_t wanted = rnnc_stream_size(d, batch);
  if (!status)
    status = check_memory(memory, size, wanted, stream);
  if (status)
    return status;
  rnnc_stream *made = aligned(memory);
  int64_t half = states_size(d, batch), end = wanted - RNNC_ALIGNMENT;
  *made = (rnnc_stream){d, batch, 0, end, end - 2 * half, half, 0};
  status = begin(model, made, 0, batch, start);
  *stream = status ? NULL : made;
  return status;
}

int rnnc_stream_reset(const rnnc_description *d, const rnnc_model *model, rnnc_stream *stream,
                      int64_t row, const rnnc_word *start) {
  int status = rnnc_check_model(d, model);
  if (!status)
    status = check_stream(d, stream);
  if (status)
    return status;
  if (row < 0 || row >= stream->batch)
    return rnnc_fail(RNNC_ARGUMENT, "row %lld is not in 0..%lld", (long long)row,
                     (long long)stream->batch);
  if (d->step->num_extents && stream->batch > 1)
    return rnnc_fail(RNNC_STREAM, "'%s' counts its steps: its rows begin together", d->name);
  status = begin(model, stream, row, 1, start);
  if (!status && stream->batch == 1)
    stream->steps = 0;
  return status;
}

int rnnc_stream_copy(const rnnc_description *d, const rnnc_stream *stream, void *memory,
                     int64_t size, rnnc_stream **copy) {
  int status = check_stream(d, stream);
  if (!status)
    status = check_memory(memory, size, stream->size + RNNC_ALIGNMENT, copy);
  if (status)
    return status;
  *copy = aligned(memory);
  memcpy(*copy, stream, (size_t)stream->size);
  return RNNC_OK;
}

/* ---- a step --------------------------------------------------------------------------------- */

int rnnc_stream_step(const rnnc_description *d, const rnnc_model *model, rnnc_stream *stream,
                     const rnnc_word *call) {
  int status = rnnc_check_model(d, model);
  if (!status)
    status = check_stream(d, stream);
  if (status)
    return status;
  if (!call)
    return rnnc_fail(RNNC_ARGUMENT, "the call is NULL");
  const rnnc_program *program = d->step;
  if (program->num_extents && stream->steps == INT32_MAX)
    return rnnc_fail(RNNC_STREAM, "'%s' has counted its last step", d->name);
  void *inputs[program->num_inputs + 1], *outputs[program->num_outputs + 1];
  memset(inputs, 0, sizeof inputs);
  memset(outputs, 0, sizeof outputs);
  char *before = states_of(stream, 0), *after = states_of(stream, 1);
  for (int32_t i = 0; i < d->num_states; i++) {
    inputs[d->states[i].before] = before;
    outputs[d->states[i].after] = after;
    before += state_size(d, i, stream->batch);
    after += state_size(d, i, stream->batch);
  }
  rnnc_call made = {.inputs = inputs, .outputs = outputs, .workspace = workspace_of(stream)};
  made.workspace_size = INT64_MAX;
  made.threads = *call++;
  for (int32_t i = 0; i < program->num_inputs; i++)
    if (!inputs[i])
      inputs[i] = (void *)(uintptr_t)*call++;
  for (int32_t i = 0; i < program->num_outputs; i++)
    if (!outputs[i])
      outputs[i] = (void *)(uintptr_t)*call++;
  made.pool = (const rnnc_runtime *)(uintptr_t)*call;
  int64_t sizes[2] = {stream->steps, stream->batch};
  made.sizes = sizes + 1 - program->num_extents;
  status = rnnc_run(model, program, &made);
  if (!status) {
    stream->steps++;
    stream->current ^= 1;
  }
  return status;
}
