/* What ONNX Runtime and a library of operators agree on: the part of its C interface that is used
 * here, as it is since version 16 (ONNX Runtime 1.16). OrtApi only grows, at its end. */
#ifndef RNNC_ORT_H
#define RNNC_ORT_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_VERSION = 16 };
enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };
enum { ORT_REQUIRED, ORT_OPTIONAL };
enum { ORT_FLOAT = 1, ORT_INT32 = 6, ORT_INT64 = 7, ORT_BOOL = 9 };

typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtDomain OrtDomain;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtCustomOp OrtCustomOp;

typedef struct OrtApi {
  OrtStatus *(*CreateStatus)(int code, const char *message);
  void *before_domains[25];
  OrtStatus *(*CreateCustomOpDomain)(const char *name, OrtDomain **domain);
  OrtStatus *(*CustomOpDomain_Add)(OrtDomain *domain, const OrtCustomOp *op);
  OrtStatus *(*AddCustomOpDomain)(OrtSessionOptions *options, OrtDomain *domain);
  void *before_data[22];
  OrtStatus *(*GetTensorMutableData)(OrtValue *value, void **data);
  void *before_dimensions[9];
  OrtStatus *(*GetDimensionsCount)(const OrtTensorInfo *info, size_t *count);
  OrtStatus *(*GetDimensions)(const OrtTensorInfo *info, int64_t *dimensions, size_t count);
  void *before_shapes[2];
  OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *value, OrtTensorInfo **info);
  void *before_attributes[20];
  OrtStatus *(*KernelInfoGetAttribute_int64)(const OrtKernelInfo *info, const char *name,
                                             int64_t *value);
  void *before_context[3];
  OrtStatus *(*KernelContext_GetInput)(const OrtKernelContext *context, size_t index,
                                       const OrtValue **value);
  OrtStatus *(*KernelContext_GetOutput)(OrtKernelContext *context, size_t index,
                                        const int64_t *dimensions, size_t count, OrtValue **value);
  void *before_status[1];
  void (*ReleaseStatus)(OrtStatus *status);
  void *before_release[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorInfo *info);
  void *before_constants[149];
  OrtStatus *(*KernelInfoGetConstantInput_tensor)(const OrtKernelInfo *info, size_t index,
                                                  int *is_constant, const OrtValue **value);
} OrtApi;

#define ORT_STANDS_AT(function, index)                                                             \
  _Static_assert(offsetof(OrtApi, function) == (index) * sizeof(void *), #function)
ORT_STANDS_AT(CreateCustomOpDomain, 26);
ORT_STANDS_AT(GetTensorMutableData, 51);
ORT_STANDS_AT(GetDimensionsCount, 61);
ORT_STANDS_AT(GetTensorTypeAndShape, 65);
ORT_STANDS_AT(KernelInfoGetAttribute_int64, 86);
ORT_STANDS_AT(KernelContext_GetInput, 90);
ORT_STANDS_AT(ReleaseStatus, 93);
ORT_STANDS_AT(ReleaseTensorTypeAndShapeInfo, 99);
ORT_STANDS_AT(KernelInfoGetConstantInput_tensor, 249);

typedef struct OrtApiBase {
  const OrtApi *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} OrtApiBase;

struct OrtCustomOp {
  uint32_t version;
  void *(*CreateKernel)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *);
  const char *(*GetName)(const OrtCustomOp *);
  const char *(*GetExecutionProviderType)(const OrtCustomOp *);
  int (*GetInputType)(const OrtCustomOp *, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp *);
  int (*GetOutputType)(const OrtCustomOp *, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp *);
  void (*KernelCompute)(void *, OrtKernelContext *);
  void (*KernelDestroy)(void *);
  int (*GetInputCharacteristic)(const OrtCustomOp *, size_t index);
  int (*GetOutputCharacteristic)(const OrtCustomOp *, size_t index);
  int (*GetInputMemoryType)(const OrtCustomOp *, size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp *);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp *);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp *);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp *);
  OrtStatus *(*CreateKernelV2)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *, void **);
  OrtStatus *(*KernelComputeV2)(void *, OrtKernelContext *);
  void *later[8]; /* of versions after 16 */
};

#endif
