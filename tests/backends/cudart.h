// CUDA's runtime for one GPU that is host memory, as far as rnnc.runtime.cuda calls it. What it does
// is counted, and the environment sets what it says of the GPU (tests/backends/emulation.py).
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace gpu {
struct counts {
  int64_t allocated, freed, copies, waits, followed;
};
static inline int64_t setting(const char *name, int64_t otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}
}  // namespace gpu

extern "C" {
gpu::counts rnnc_test_counts = {};
int rnnc_test_mode = 0;  // of captures, for this thread: global
void *const rnnc_test_stream = &rnnc_test_mode;

// What is not allowed while streams are captured, unless the thread says that it knows.
static int unsafe() {
  return gpu::setting("RNNC_EMULATOR_CAPTURING", 0) && rnnc_test_mode != 2 ? 900 : 0;
}

int cudaGetDeviceCount(int *count) {
  *count = gpu::setting("RNNC_EMULATOR_DEVICES", 1);
  return *count ? 0 : gpu::setting("RNNC_EMULATOR_NO_DEVICE", 100);
}
int cudaGetDevice(int *device) {
  *device = 0;
  return 0;
}
int cudaSetDevice(int device) { return device ? 101 : 0; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  const int64_t capability = gpu::setting("RNNC_EMULATOR_CAPABILITY", 90);
  *value = attribute == 75   ? capability / 10
           : attribute == 76 ? capability % 10
           : attribute == 95 ? !std::getenv("RNNC_EMULATOR_ALONE")
                             : 1;
  return 0;
}
const char *cudaGetErrorString(int code) {
  return code == 100 ? "no CUDA-capable device is detected" : "an error of the emulator's";
}
int cudaMalloc(void **address, size_t size) {
  if (unsafe()) return unsafe();
  if ((int64_t)size > gpu::setting("RNNC_EMULATOR_MEMORY", INT64_MAX)) return 2;
  ++rnnc_test_counts.allocated;
  *address = aligned_alloc(256, (size + 255) / 256 * 256);
  std::memset(*address, 0xFF, size);  // NaN: nothing is there by chance
  return 0;
}
int cudaFree(void *address) {
  ++rnnc_test_counts.freed;
  std::free(address);
  return 0;
}
int cudaMemcpyAsync(void *target, const void *source, size_t size, int, void *stream) {
  ++rnnc_test_counts.copies;

  std::memcpy(target, source, size);
  return 0;
}
int cudaMemsetAsync(void *target, int value, size_t size, void *stream) {
  if (stream != rnnc_test_stream) return 1;  // it would be part of a capture
  std::memset(target, value, size);
  return 0;
}
int cudaStreamSynchronize(void *stream) {
  if (unsafe()) return unsafe();
  rnnc_test_counts.waits += stream != rnnc_test_stream;
  return 0;
}
// The environment names the capture that is under way, if there is one.
int cudaStreamGetCaptureInfo(void *stream, int *capturing, unsigned long long *capture, void *,
                             void *, void *, void *) {
  *capture = gpu::setting("RNNC_EMULATOR_CAPTURING", 0);
  *capturing = *capture != 0;
  return 0;
}
int cudaThreadExchangeStreamCaptureMode(int *mode) {
  std::swap(*mode, rnnc_test_mode);
  return 0;
}
int cudaStreamCreateWithFlags(void **stream, unsigned flags) {
  *stream = rnnc_test_stream;
  return flags == 1 ? 0 : 1;
}
// What is written to one stream is there at once: who follows whom is all that there is to see.
int cudaEventCreateWithFlags(void **event, unsigned flags) {
  *event = &rnnc_test_counts;
  return flags == 2 ? 0 : 1;
}
int cudaEventRecord(void *event, void *stream) {
  rnnc_test_counts.followed = (int64_t)stream;
  return event == &rnnc_test_counts ? 0 : 1;
}
int cudaStreamWaitEvent(void *stream, void *event, unsigned) {
  return stream != (void *)rnnc_test_counts.followed && event == &rnnc_test_counts ? 0 : 1;
}
int cudaEventDestroy(void *event) { return event == &rnnc_test_counts ? 0 : 1; }
struct attributes {
  int kind, device;
};
int cudaPointerGetAttributes(attributes *found, const void *) {
  *found = {(int)gpu::setting("RNNC_EMULATOR_MEMORY_KIND", 2),
            (int)gpu::setting("RNNC_EMULATOR_HOLDER", 0)};
  return 0;
}
int cudaStreamDestroy(void *stream) { return stream == rnnc_test_stream ? 0 : 1; }
}
