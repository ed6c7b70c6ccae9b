/* XLA's way into compiled libraries: one handler for all models, on their C interface.

   Attributes, int64 arrays:
     call        the process that the addresses are of; the model or 0; its functions `forward` and
                 `error`
     words       the arguments of `forward` as the model's header has them; of a buffer ~n, counted
                 through arguments and then results
     creation    without a model: `create_in`, the interface, ~n of the memory to make it in, how
                 much that is; then ~n of each parameter */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

typedef int forward_function(const void *model, const int64_t *words);
typedef const char *error_function(void);
typedef int create_function(uint64_t interface, const void *const *parameters, void *memory,
                            int64_t size, void **model);

/* Set once by the process that loads this. Addresses in a program that another process has compiled
   (a compilation cache) mean nothing here. */
__attribute__((visibility("default"))) int64_t rnnc_process;

static XLA_FFI_Error *failure(const XLA_FFI_Api *api, XLA_FFI_Error_Code code, const char *text) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, text, code};
  return api->XLA_FFI_Error_Create(&args);
}

static const XLA_FFI_Array *attribute(const XLA_FFI_Attrs *attrs, const char *name) {
  for (int64_t n = 0; n < attrs->size; n++) {
    const XLA_FFI_ByteSpan *span = attrs->names[n];
    if (attrs->types[n] == XLA_FFI_AttrType_ARRAY && span->len == strlen(name) &&
        !memcmp(span->ptr, name, span->len)) {
      const XLA_FFI_Array *found = attrs->attrs[n];
      return found->dtype == XLA_FFI_DataType_S64 ? found : NULL;
    }
  }
  return NULL;
}

/* Where buffer n begins; NULL if there is none. */
static void *buffer(const XLA_FFI_CallFrame *frame, int64_t n) {
  const XLA_FFI_Args *args = &frame->args;
  const XLA_FFI_Rets *rets = &frame->rets;
  if (n < args->size) return ((const XLA_FFI_Buffer *)args->args[n])->data;
  if (n < args->size + rets->size) return ((const XLA_FFI_Buffer *)rets->rets[n - args->size])->data;
  return NULL;
}

static bool answers_metadata(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (!extension || extension->type != XLA_FFI_Extension_Metadata) return false;
  XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  metadata->traits = 0;
  return true;
}

/* Makes a model from the parameters of this call. */
static int create(const XLA_FFI_CallFrame *frame, const XLA_FFI_Array *creation, void **model) {
  const int64_t *what = creation->data;
  const void *parameters[creation->size];
  for (size_t n = 4; n < creation->size; n++)
    parameters[n - 4] = buffer(frame, ~what[n]);
  create_function *make = (create_function *)what[0];
  return make((uint64_t)what[1], parameters, buffer(frame, ~what[2]), what[3], model);
}

__attribute__((visibility("default"))) XLA_FFI_Error *rnnc_call(XLA_FFI_CallFrame *frame) {
  if (answers_metadata(frame)) return NULL;
  const XLA_FFI_Array *call = attribute(&frame->attrs, "call");
  const XLA_FFI_Array *words = attribute(&frame->attrs, "words");
  const XLA_FFI_Array *creation = attribute(&frame->attrs, "creation");
  if (!call || call->size != 4 || !words || !creation)
    return failure(frame->api, XLA_FFI_Error_Code_INVALID_ARGUMENT, "rnnc: an attribute is missing");
  const int64_t *what = call->data, *word = words->data;
  if (what[0] != rnnc_process)
    return failure(frame->api, XLA_FFI_Error_Code_FAILED_PRECONDITION,
                   "rnnc: this program was compiled by another process; compile it again");
  void *model = (void *)what[1];
  int64_t given[words->size + 1];
  for (size_t n = 0; n < words->size; n++)
    given[n] = word[n] < 0 ? (int64_t)buffer(frame, ~word[n]) : word[n];
  int status = creation->size ? create(frame, creation, &model) : 0;
  if (!status)
    status = ((forward_function *)what[2])(model, given);
  if (status)
    return failure(frame->api, XLA_FFI_Error_Code_INVALID_ARGUMENT, ((error_function *)what[3])());
  return NULL;
}
