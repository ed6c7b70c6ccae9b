/* XLA's way into compiled libraries: one handler for the entry points of all models.

   Attributes, int64 arrays:
     call    the process that the addresses are of; entry point; thread pool or 0; threads
     places  for each pointer of the entry point its address, or ~n of buffer n; buffers are counted
             through arguments and then results
     sizes   as the entry point takes them (rnnc/runtime/manifest.py) */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

typedef int32_t entry_point(const void *runtime, int32_t threads, void *const *pointers,
                            const int64_t *sizes);

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

__attribute__((visibility("default"))) XLA_FFI_Error *rnnc_call(XLA_FFI_CallFrame *frame) {
  if (answers_metadata(frame)) return NULL;
  const XLA_FFI_Array *call = attribute(&frame->attrs, "call");
  const XLA_FFI_Array *places = attribute(&frame->attrs, "places");
  const XLA_FFI_Array *sizes = attribute(&frame->attrs, "sizes");
  if (!call || call->size != 4 || !places || !sizes)
    return failure(frame->api, XLA_FFI_Error_Code_INVALID_ARGUMENT, "rnnc: an attribute is missing");
  const int64_t *what = call->data, *place = places->data;
  if (what[0] != rnnc_process)
    return failure(frame->api, XLA_FFI_Error_Code_FAILED_PRECONDITION,
                   "rnnc: this program was compiled by another process; compile it again");
  void *pointers[places->size + 1];
  for (size_t n = 0; n < places->size; n++)
    pointers[n] = place[n] < 0 ? buffer(frame, ~place[n]) : (void *)place[n];
  entry_point *run = (entry_point *)what[1];
  if (run((const void *)what[2], (int32_t)what[3], pointers, sizes->data))
    return failure(frame->api, XLA_FFI_Error_Code_INTERNAL, "rnnc: the compiled library failed");
  return NULL;
}
