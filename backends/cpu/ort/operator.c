#include "operator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory for a call, kept for the next one. */
typedef struct scratch {
  int64_t size;
  _Alignas(RNNC_ALIGNMENT) char bytes[];
} scratch;

/* A node of a session. */
typedef struct kernel {
  const OrtApi *api;
  const rnnc_operator *op;
  rnnc_model *model; /* NULL where weights are no constants: then each call packs its own */
  int64_t threads;
  scratch *_Atomic idle;
} kernel;

/* A tensor that came in; `rank` is negative where there is none. */
typedef struct tensor {
  void *data;
  int64_t rank;
  int64_t dims[32];
} tensor;

static OrtStatus *failure(const OrtApi *api, int status) {
  return api->CreateStatus(status == RNNC_MEMORY ? ORT_FAIL : ORT_INVALID_ARGUMENT, rnnc_error());
}

/* ---- tensors -------------------------------------------------------------------------------- */

static OrtStatus *look_at(const OrtApi *api, const OrtValue *value, tensor *found) {
  found->rank = -1;
  if (!value)
    return NULL;
  OrtTensorInfo *info;
  size_t rank = 0;
  OrtStatus *status = api->GetTensorTypeAndShape(value, &info);
  if (status)
    return status;
  if (!(status = api->GetDimensionsCount(info, &rank))) {
    if (rank <= sizeof found->dims / sizeof *found->dims) {
      found->rank = (int64_t)rank;
      status = api->GetDimensions(info, found->dims, rank);
    } else {
      rnnc_fail(RNNC_ARGUMENT, "a tensor has %zu axes", rank);
      status = failure(api, RNNC_ARGUMENT);
    }
  }
  api->ReleaseTensorTypeAndShapeInfo(info);
  return status ? status : api->GetTensorMutableData((OrtValue *)value, &found->data);
}

static OrtStatus *input_at(const kernel *k, const OrtKernelContext *context, int32_t index,
                           tensor *found) {
  const OrtValue *value = NULL;
  OrtStatus *status = k->api->KernelContext_GetInput(context, (size_t)index, &value);
  return status ? status : look_at(k->api, value, found);
}

/* [5, 2, 3] */
static const char *written(const int64_t *dims, int64_t rank, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "[");
  for (int64_t i = 0; i < rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)dims[i]);
  if (used < size)
    snprintf(text + used, size - used, "]");
  return text;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static int wrong_shape(const rnnc_program *p, const rnnc_port *port, const rnnc_values *values,
                       const tensor *given, const int64_t *sizes) {
  char shape[128], known[192] = "";
  for (int32_t i = 0; i <= p->num_extents; i++)
    if (sizes[i] >= 0) {
      size_t used = strlen(known);
      snprintf(known + used, sizeof known - used, "%s%s = %lld", used ? ", " : " where ",
               i < p->num_extents ? p->extents[i] : "batch", (long long)sizes[i]);
    }
  return rnnc_fail(RNNC_ARGUMENT, "input '%s' is %s, but must be %s%s", port->name,
                   written(given->dims, given->rank, shape, sizeof shape), values->text, known);
}

/* How long axis `i` is, the batch behind the last one; negative while that is not known. */
static int64_t wanted(const rnnc_program *p, const rnnc_port *port, int32_t i,
                      const int64_t *sizes) {
  int32_t extent = i < port->num_axes ? port->axes[i].extent : p->num_extents;
  if (extent < 0)
    return port->axes[i].size;
  int64_t offset = i < port->num_axes ? port->axes[i].offset : 0;
  return sizes[extent] < 0 ? -1 : sizes[extent] + offset > 0 ? sizes[extent] + offset : 0;
}

/* Takes the sizes that a tensor has, or finds that they differ from those of others. Of an input
 * that may be left out, an axis of 1 is repeated: so has its default value one row. */
static int take_sizes(const rnnc_program *p, const rnnc_port *port, const rnnc_values *values,
                      const tensor *given, int64_t *sizes, int64_t *strides) {
  int32_t axes = port->num_axes + 1;
  int fits = given->rank == axes + values->rank;
  for (int32_t i = 0; fits && i < values->rank; i++)
    fits = given->dims[axes + i] == values->shape[i];
  int64_t step = port->volume;
  for (int32_t i = axes - 1; fits && i >= 0; i--) {
    int64_t size = given->dims[i];
    int32_t extent = i < port->num_axes ? port->axes[i].extent : p->num_extents;
    int repeated = port->has_default && size == 1;
    if (wanted(p, port, i, sizes) < 0) {
      int64_t found = size - (i < port->num_axes ? port->axes[i].offset : 0);
      sizes[extent] = found < 0 ? 0 : found;
    }
    fits = repeated || size == wanted(p, port, i, sizes);
    strides[i] = repeated ? 0 : step;
    step *= size;
  }
  return fits ? RNNC_OK : wrong_shape(p, port, values, given, sizes);
}

/* ---- weights -------------------------------------------------------------------------------- */

static int32_t first_parameter(const rnnc_operator *op) {
  const rnnc_program *p = op->description->forward;
  return p->num_inputs + p->num_extents + op->num_free;
}

static int check_parameter(const rnnc_parameter *parameter, const tensor *given) {
  int fits = given->rank == parameter->rank;
  for (int32_t i = 0; fits && i < parameter->rank; i++)
    fits = given->dims[i] == parameter->shape[i];
  if (fits)
    return RNNC_OK;
  char shape[128], must[128];
  return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' is %s, but must be %s", parameter->name,
                   written(given->dims, given->rank, shape, sizeof shape),
                   written(parameter->shape, parameter->rank, must, sizeof must));
}

static OrtStatus *pack(const kernel *k, const tensor *given, rnnc_model **model) {
  const rnnc_description *d = k->op->description;
  const void *parameters[d->num_parameters + 1];
  int status = RNNC_OK;
  for (int32_t i = 0; !status && i < d->num_parameters; i++) {
    status = check_parameter(&d->parameters[i], &given[i]);
    parameters[i] = given[i].data;
  }
  if (!status)
    status = rnnc_create(d, d->interface, parameters, NULL, 0, model);
  return status ? failure(k->api, status) : NULL;
}

/* The model of weights that are constants of the graph; none if one of them is not. */
static OrtStatus *pack_constants(kernel *k, const OrtKernelInfo *info) {
  int32_t count = k->op->description->num_parameters;
  tensor *given = malloc(sizeof *given * (size_t)(count + 1));
  OrtStatus *status = NULL;
  int constant = given != NULL;
  for (int32_t i = 0; !status && constant && i < count; i++) {
    const OrtValue *value = NULL;
    size_t index = (size_t)(first_parameter(k->op) + i);
    status = k->api->KernelInfoGetConstantInput_tensor(info, index, &constant, &value);
    if (!status && constant)
      status = look_at(k->api, value, &given[i]);
  }
  if (!status && constant)
    status = pack(k, given, &k->model);
  free(given);
  return status;
}

static OrtStatus *pack_inputs(const kernel *k, const OrtKernelContext *context,
                              rnnc_model **model) {
  int32_t count = k->op->description->num_parameters;
  tensor *given = malloc(sizeof *given * (size_t)(count + 1));
  if (!given)
    return failure(k->api, rnnc_fail(RNNC_MEMORY, "no memory for %d tensors", (int)count));
  OrtStatus *status = NULL;
  for (int32_t i = 0; !status && i < count; i++)
    status = input_at(k, context, first_parameter(k->op) + i, &given[i]);
  if (!status)
    status = pack(k, given, model);
  free(given);
  return status;
}

/* ---- a call --------------------------------------------------------------------------------- */

/* Extents that no input must have, each a number of its own. */
static OrtStatus *free_extents(const kernel *k, const OrtKernelContext *context, int64_t *sizes) {
  const rnnc_program *p = k->op->description->forward;
  for (int32_t i = 0; i < k->op->num_free; i++) {
    tensor given;
    OrtStatus *status = input_at(k, context, p->num_inputs + p->num_extents + i, &given);
    if (status)
      return status;
    const char *name = p->extents[k->op->free[i]];
    if (given.rank > 1 || (given.rank == 1 && given.dims[0] != 1))
      return failure(k->api, rnnc_fail(RNNC_ARGUMENT, "'%s' must be one number", name));
    sizes[k->op->free[i]] = *(int64_t *)given.data;
    if (sizes[k->op->free[i]] < 0)
      return failure(k->api, rnnc_fail(RNNC_ARGUMENT, "'%s' is negative", name));
  }
  return NULL;
}

static OrtStatus *find_inputs(const kernel *k, const OrtKernelContext *context, int64_t *sizes,
                              int64_t *strides, void **inputs) {
  const rnnc_program *p = k->op->description->forward;
  /* Inputs that may be left out follow those that say how long axes are. */
  for (int optional = 0; optional < 2; optional++) {
    int64_t *own = strides;
    for (int32_t i = 0; i < p->num_inputs; own += p->inputs[i++].num_axes + 1) {
      tensor given;
      if (p->inputs[i].has_default != optional)
        continue;
      OrtStatus *status = input_at(k, context, i, &given);
      if (status)
        return status;
      inputs[i] = NULL;
      if (given.rank < 0)
        continue;
      inputs[i] = given.data;
      int wrong = take_sizes(p, &p->inputs[i], &k->op->inputs[i], &given, sizes, own);
      if (wrong)
        return failure(k->api, wrong);
    }
  }
  if (sizes[p->num_extents] < 0)
    sizes[p->num_extents] = 1;
  return NULL;
}

static OrtStatus *find_lengths(const kernel *k, const OrtKernelContext *context,
                               const int64_t *sizes, const int32_t **lengths) {
  const rnnc_program *p = k->op->description->forward;
  for (int32_t i = 0; i < p->num_extents; i++) {
    tensor given;
    OrtStatus *status = input_at(k, context, p->num_inputs + i, &given);
    if (status)
      return status;
    lengths[i] = given.rank < 0 ? NULL : given.data;
    if (given.rank >= 0 && (given.rank != 1 || given.dims[0] != sizes[p->num_extents]))
      return failure(k->api, rnnc_fail(RNNC_LENGTHS, "lengths of %s must be [%lld], one a row",
                                       p->extents[i], (long long)sizes[p->num_extents]));
  }
  return NULL;
}

static OrtStatus *make_outputs(const kernel *k, OrtKernelContext *context, const int64_t *sizes,
                               int64_t *strides, void **outputs) {
  const rnnc_program *p = k->op->description->forward;
  for (int32_t i = 0; i < p->num_outputs; i++) {
    const rnnc_port *port = &p->outputs[i];
    const rnnc_values *values = &k->op->outputs[i];
    int32_t axes = port->num_axes + 1;
    int64_t dims[axes + values->rank], step = port->volume;
    for (int32_t axis = axes - 1; axis >= 0; axis--) {
      dims[axis] = wanted(p, port, axis, sizes);
      strides[axis] = step;
      step *= dims[axis];
    }
    strides += axes;
    memcpy(dims + axes, values->shape, sizeof *dims * (size_t)values->rank);
    OrtValue *value = NULL;
    size_t rank = (size_t)(axes + values->rank);
    OrtStatus *status =
        k->api->KernelContext_GetOutput(context, (size_t)i, dims, rank, &value);
    if (!status && !value)
      status = failure(k->api, rnnc_fail(RNNC_ARGUMENT, "output '%s' has no name", port->name));
    if (!status)
      status = k->api->GetTensorMutableData(value, &outputs[i]);
    if (status)
      return status;
  }
  return NULL;
}

/* Memory of at least `size` bytes: what the last call left, if it is enough. */
static scratch *take_scratch(kernel *k, int64_t size) {
  scratch *found = atomic_exchange(&k->idle, NULL);
  if (found && found->size >= size)
    return found;
  free(found);
  size_t bytes = ((size_t)size + sizeof(scratch) + RNNC_ALIGNMENT) / RNNC_ALIGNMENT;
  found = aligned_alloc(RNNC_ALIGNMENT, bytes * RNNC_ALIGNMENT);
  if (found)
    found->size = size;
  return found;
}

static void leave_scratch(kernel *k, scratch *used) { free(atomic_exchange(&k->idle, used)); }

static OrtStatus *run(kernel *k, const rnnc_model *model, const rnnc_call *call) {
  rnnc_call own = *call;
  const rnnc_program *p = k->op->description->forward;
  own.workspace_size = rnnc_workspace(p, call->sizes);
  if (own.workspace_size < 0)
    return failure(k->api, (int)-own.workspace_size);
  scratch *memory = take_scratch(k, own.workspace_size);
  if (!memory)
    return failure(k->api, rnnc_fail(RNNC_MEMORY, "no memory for the %lld bytes of a call",
                                     (long long)own.workspace_size));
  own.workspace = memory->bytes;
  int status = rnnc_run(model, p, &own);
  leave_scratch(k, memory);
  return status ? failure(k->api, status) : NULL;
}

static OrtStatus *compute(void *state, OrtKernelContext *context) {
  kernel *k = state;
  const rnnc_program *p = k->op->description->forward;
  int64_t sizes[p->num_extents + 1], count = 0, inner = 0;
  for (int32_t i = 0; i < p->num_inputs; i++)
    inner += p->inputs[i].num_axes + 1;
  for (int32_t i = 0; i < p->num_outputs; i++)
    count += p->outputs[i].num_axes + 1;
  int64_t strides[inner + count + 1];
  void *inputs[p->num_inputs + 1], *outputs[p->num_outputs + 1];
  const int32_t *lengths[p->num_extents + 1];
  for (int32_t i = 0; i <= p->num_extents; i++)
    sizes[i] = -1;
  memset(strides, 0, sizeof strides);
  OrtStatus *status = free_extents(k, context, sizes);
  if (!status)
    status = find_inputs(k, context, sizes, strides, inputs);
  if (!status)
    status = find_lengths(k, context, sizes, lengths);
  if (!status)
    status = make_outputs(k, context, sizes, strides + inner, outputs);
  if (status)
    return status;
  rnnc_call call = {.sizes = sizes, .strides = strides, .inputs = inputs, .outputs = outputs,
                    .lengths = lengths, .threads = k->threads};
  if (k->model)
    return run(k, k->model, &call);
  rnnc_model *model = NULL;
  if (!(status = pack_inputs(k, context, &model)))
    status = run(k, model, &call);
  rnnc_free(model);
  return status;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void destroy(void *state) {
  kernel *k = state;
  rnnc_free(k->model);
  free(k->idle);
  free(k);
}

/* An attribute of the node, which may have none. */
static int64_t attribute(const OrtApi *api, const OrtKernelInfo *info, const char *name,
                         int64_t otherwise) {
  int64_t value = otherwise;
  OrtStatus *status = api->KernelInfoGetAttribute_int64(info, name, &value);
  if (!status)
    return value;
  api->ReleaseStatus(status);
  return otherwise;
}

static OrtStatus *create(const OrtCustomOp *face, const OrtApi *api, const OrtKernelInfo *info,
                         void **made) {
  const rnnc_operator *op = (const rnnc_operator *)face;
  int64_t interface = (int64_t)op->description->interface;
  if (attribute(api, info, "interface", interface) != interface)
    return failure(api, rnnc_fail(RNNC_VERSION,
                                  "the node was exported from another '%s' than the library has",
                                  op->name));
  kernel *k = calloc(1, sizeof *k);
  if (!k)
    return failure(api, rnnc_fail(RNNC_MEMORY, "no memory for a node"));
  *k = (kernel){.api = api, .op = op, .threads = attribute(api, info, "threads", 1)};
  OrtStatus *status = pack_constants(k, info);
  if (status)
    destroy(k);
  else
    *made = k;
  return status;
}

/* ---- the operator --------------------------------------------------------------------------- */

static int onnx_type(rnnc_dtype dtype) {
  return dtype == RNNC_REAL ? ORT_FLOAT : dtype == RNNC_INT ? ORT_INT32 : ORT_BOOL;
}

static const char *name_of(const OrtCustomOp *face) { return ((const rnnc_operator *)face)->name; }

static const char *provider_of(const OrtCustomOp *face) {
  (void)face;
  return NULL; /* the CPU */
}

static size_t count_inputs(const OrtCustomOp *face) {
  const rnnc_operator *op = (const rnnc_operator *)face;
  return (size_t)(first_parameter(op) + op->description->num_parameters);
}

static size_t count_outputs(const OrtCustomOp *face) {
  return (size_t)((const rnnc_operator *)face)->description->forward->num_outputs;
}

static int type_of_input(const OrtCustomOp *face, size_t index) {
  const rnnc_operator *op = (const rnnc_operator *)face;
  const rnnc_program *p = op->description->forward;
  int32_t number = (int32_t)index;
  if (number < p->num_inputs)
    return onnx_type(p->inputs[number].dtype);
  if (number < p->num_inputs + p->num_extents)
    return ORT_INT32;
  if (number < first_parameter(op))
    return ORT_INT64;
  return onnx_type(op->description->parameters[number - first_parameter(op)].dtype);
}

static int type_of_output(const OrtCustomOp *face, size_t index) {
  return onnx_type(((const rnnc_operator *)face)->description->forward->outputs[index].dtype);
}

static int need_of_input(const OrtCustomOp *face, size_t index) {
  const rnnc_program *p = ((const rnnc_operator *)face)->description->forward;
  int32_t number = (int32_t)index;
  if (number < p->num_inputs)
    return p->inputs[number].has_default ? ORT_OPTIONAL : ORT_REQUIRED;
  return number < p->num_inputs + p->num_extents ? ORT_OPTIONAL : ORT_REQUIRED;
}

static int plain(const OrtCustomOp *face, size_t index) {
  (void)face, (void)index;
  return 0; /* a required output; memory of the CPU */
}

OrtStatus *rnnc_register(rnnc_operator *op, OrtSessionOptions *options, const OrtApiBase *base) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static OrtDomain *domain; /* of all sessions */
  const OrtApi *api = base->GetApi(ORT_VERSION);
  if (!api) {
    rnnc_fail(RNNC_VERSION, "ONNX Runtime %s is too old: 1.%d is needed", base->GetVersionString(),
              ORT_VERSION);
    return base->GetApi(1)->CreateStatus(ORT_FAIL, rnnc_error());
  }
  OrtStatus *status = NULL;
  pthread_mutex_lock(&lock);
  if (!domain) {
    op->face = (OrtCustomOp){
        .version = ORT_VERSION, .GetName = name_of, .GetExecutionProviderType = provider_of,
        .GetInputType = type_of_input, .GetInputTypeCount = count_inputs,
        .GetOutputType = type_of_output, .GetOutputTypeCount = count_outputs,
        .GetInputCharacteristic = need_of_input, .GetOutputCharacteristic = plain,
        .GetInputMemoryType = plain, .CreateKernelV2 = create, .KernelComputeV2 = compute,
        .KernelDestroy = destroy};
    OrtDomain *made = NULL;
    if (!(status = api->CreateCustomOpDomain(op->domain, &made)))
      status = api->CustomOpDomain_Add(made, &op->face);
    domain = status ? NULL : made;
  }
  pthread_mutex_unlock(&lock);
  return status ? status : api->AddCustomOpDomain(options, domain);
}
