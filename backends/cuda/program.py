"""A plan as one CUDA C++ file: device functions, and C entry points that launch them.

    int64_t rnnc_flags(void);
    int64_t rnnc_forward_workspace(const int64_t *sizes);
    int32_t rnnc_forward(cudaStream_t stream, int32_t, void *const *pointers,
                         const int64_t *sizes);

Pointers and sizes are those of the CPU's entry points (backends/cpu/entry.py), all pointers
but the two arrays themselves on the device; behind the workspace stand the flags. Nothing is
allocated and nothing waits: the calls return when all is launched, with 0 or CUDA's error.

Flags are `rnnc_flags()` bytes that the caller zeroes once. Launches count on in them from one to
the next, whatever their sizes, so that calls whose order is not that of a stream, or of a graph,
need flags of their own.
"""

from __future__ import annotations

from importlib.resources import files

from rnnc.plan.arena import rooms
from rnnc.plan.plan import Plan

from ..tensorir.arguments import external, placement, size_positions
from ..tensorir.packing import products
from ..tensorir.tir import Function
from .capacity import Chip
from .launches import MOST_BLOCKS, Launches
from .layout import identifier
from .source import cuda_text
from .tiles import BLOCK, LANES

_HEAD = """\
// Made by rnnc from the model '{model}'. One file: nvcc -shared -Xcompiler -fPIC makes a library
// of it that needs nothing but CUDA's runtime.
#include <cstdint>
#ifndef RNNC_EMULATED
#include <cuda_runtime.h>
#include <math_constants.h>
#define RNNC_SHARED(type, name) __shared__ type name
#endif

typedef unsigned char uchar;

#ifndef RNNC_EMULATED
static __device__ __forceinline__ void rnnc_release(unsigned *flag, unsigned value) {{
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}}
static __device__ __forceinline__ unsigned rnnc_acquire(const unsigned *flag) {{
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
}}
// A number of which nvcc knows nothing: what follows from it is computed anew where it is needed,
// not once before a loop, in registers that weights need.
static __device__ __forceinline__ int64_t rnnc_unknown(int64_t number) {{
  asm volatile("" : "+l"(number));
  return number;
}}
static __device__ __forceinline__ float *rnnc_shared() {{
  extern __shared__ float rnnc_memory[];
  return rnnc_memory;
}}
#endif

// A flag for each block counts its meetings, in this launch and in all before it. Between launches
// all flags are equal: a block's own one says where to count on. They are compared by difference,
// which is small: numbers may wrap around.
static __device__ __forceinline__ void rnnc_enter(const unsigned *flags, unsigned *epoch) {{
  *epoch = flags[blockIdx.x];
}}

// All meetings of a launch are over: flags of blocks that had no part in it follow.
static __device__ __forceinline__ void rnnc_leave(unsigned *flags, unsigned epoch,
                                                  int64_t blocks) {{
  int64_t other = blocks + (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  for (; other < {most}; other += blocks * blockDim.x) flags[other] = epoch;
}}

// All threads of a block arrive.
static __device__ __forceinline__ void rnnc_arrive(unsigned *flags, unsigned *epoch) {{
  __syncthreads();
  ++*epoch;
  if (threadIdx.x == 0) rnnc_release(flags + blockIdx.x, *epoch);
}}
static __device__ __forceinline__ void rnnc_wait(const unsigned *flag, unsigned epoch) {{
  while ((int)(rnnc_acquire(flag) - epoch) < 0) {{
  }}
}}

// All threads of neighbouring blocks meet.
static __device__ __forceinline__ void rnnc_meet(unsigned *flags, unsigned *epoch, int64_t first,
                                                 int64_t blocks) {{
  rnnc_arrive(flags, epoch);
  for (int64_t other = threadIdx.x; other < blocks; other += blockDim.x)
    rnnc_wait(flags + first + other, *epoch);
  __syncthreads();
}}

// All threads of a block meet those of some others of its group, which begins with block `first`.
static __device__ __forceinline__ void rnnc_meet_some(unsigned *flags, unsigned *epoch,
                                                      int64_t first, const short *starts,
                                                      const short *others) {{
  rnnc_arrive(flags, epoch);
  const int block = (int)(blockIdx.x - first);
  for (int number = starts[block] + threadIdx.x; number < starts[block + 1]; number += blockDim.x)
    rnnc_wait(flags + first + others[number], *epoch);
  __syncthreads();
}}

// The sums of `count` values (a power of two up to 32) over the lanes of a warp: lane n has that of
// value n % count.
static __device__ __forceinline__ float rnnc_over_lanes(float *values, int count, int lane) {{
#pragma unroll
  for (int half = 16; half > 0; half /= 2) {{
    const bool upper = (lane & half) != 0;
#pragma unroll
    for (int n = 0; n < (half < count ? half : count); ++n) {{
      if (half >= count) {{
        values[n] += __shfl_xor_sync(0xffffffffu, values[n], half);
      }} else {{
        const float own = upper ? values[n + half] : values[n];
        const float other = upper ? values[n] : values[n + half];
        values[n] = own + __shfl_xor_sync(0xffffffffu, other, half);
      }}
    }}
  }}
  return values[0];
}}
static __device__ __forceinline__ float rnnc_of_lane(float value, int lane) {{
  return __shfl_sync(0xffffffffu, value, lane);
}}

"""

_HOST = """
// Whether loops may be one launch each; whether one could not be, as its grid could not be resident
// as a whole, so that its kernels were launched one by one.
extern "C" {{
int32_t rnnc_together = 1, rnnc_apart = 0;
int64_t rnnc_flags(void) {{ return {flags}; }}
}}
static inline int64_t floordiv(int64_t a, int64_t b) {{ return a / b - (a % b != 0 && a < 0); }}
static inline int64_t count(int64_t n) {{ return n > 0 ? n : 0; }}
static inline int64_t smaller(int64_t a, int64_t b) {{ return a < b ? a : b; }}
static inline int64_t larger(int64_t a, int64_t b) {{ return a > b ? a : b; }}
static inline int64_t rnnc_times(int64_t a, int64_t b) {{
  int64_t result;  // of sizes that are not negative; too large ones stay the largest
  return __builtin_mul_overflow(a, b, &result) ? INT64_MAX / 2 : result;
}}

#ifndef RNNC_EMULATED
// Blocks of {block} threads for so many items; more items than threads are taken in turns.
template <class... P, class... A>
static void rnnc_launch(void (*kernel)(int64_t, P...), int64_t items, cudaStream_t stream,
                        A... given) {{
  if (items <= 0) return;
  int64_t blocks = smaller((items + {block} - 1) / {block}, INT64_C(65536));
  kernel<<<(unsigned)blocks, {block}, 0, stream>>>(blocks, (P)given...);
}}

template <class... P>
static bool rnnc_cooperate(void (*kernel)(P...), int64_t blocks, int threads, size_t shared,
                           cudaStream_t stream, P... given) {{
  void *pointers[] = {{&given...}};
  if (cudaLaunchCooperativeKernel((const void *)kernel, (unsigned)blocks, threads, pointers, shared,
                                  stream) == cudaSuccess)
    return true;
  cudaGetLastError();  // what follows is launched in another way
  return false;
}}

// One launch whose blocks are all resident, and can meet: as many groups of blocks as there is room
// for, up to `groups`. False where the device has no room for one.
template <class... P, class... A>
static bool rnnc_launch_together(void (*kernel)(int64_t, P...), int threads, size_t shared,
                                 int64_t group, int64_t groups, cudaStream_t stream, A... given) {{
  int device = 0, cooperative = 0, processors = 0, resident = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       (int)shared);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, shared);
  cudaGetLastError();  // more shared memory than there is: nothing is resident
  const int64_t room = smaller((int64_t)resident * processors, INT64_C({most}));
  const int64_t blocks = group * smaller(groups, room / group);
  if (!cooperative || blocks < 1) return false;
  return rnnc_cooperate(kernel, blocks, threads, shared, stream, blocks, (P)given...);
}}
#endif
"""

_ENTRY = """
static int64_t place_{entry}(const int64_t *sizes, int64_t *offsets) {{
{names}
  int64_t end = 0;
{places}
  offsets[{states}] = end;
  return end + {ends};
}}

extern "C" int64_t rnnc_{entry}_workspace(const int64_t *sizes) {{
  int64_t offsets[{states} + 1];
  return place_{entry}(sizes, offsets);
}}

extern "C" int32_t rnnc_{entry}(cudaStream_t stream, int32_t, void *const *pointers,
                              const int64_t *sizes) {{
{names}
  int64_t offsets[{states} + 1];
  place_{entry}(sizes, offsets);
  char *const workspace = (char *)pointers[{workspace}];
  void *const ends = workspace + offsets[{states}];
  unsigned *const flags = (unsigned *)pointers[{workspace} + 1];
  bool launched = false;
  (void)flags, (void)launched;
{given}
{body}
  return (int32_t)cudaGetLastError();
}}
"""


def programs(plan: Plan, chip: Chip) -> list[tuple[str, Plan, Launches]]:
    """What is called and what runs when parameters are bound, each with its device functions."""
    found = [("forward", plan)]
    if plan.preparation is not None:
        found.append(("prepare", plan.preparation))
    return [(name, own, Launches(own, name, chip)) for name, own in found]


def device_functions(plan: Plan, chip: Chip) -> list[Function]:
    """All of them, in the order of the file."""
    return [function for _, _, found in programs(plan, chip) for function in found.functions]


def cuda_source(plan: Plan, chip: Chip) -> str:
    """The whole file; the chip decides which weights stay on it."""
    parts = [_HEAD.format(model=plan.name, most=MOST_BLOCKS)]
    made = programs(plan, chip)
    text = cuda_text([function for _, _, found in made for function in found.functions])
    for header, used in (("tensor_cores.h", "rnnc_clear<"), ("block_tiles.h", "rnnc_accumulate<")):
        if used in text:
            parts.append((files(__package__) / header).read_text())
    parts += [text for _, _, found in made for text in found.tables]
    parts.append(text)
    flags = 4 * MOST_BLOCKS if any(found.meets for _, _, found in made) else 0
    parts.append(_HOST.format(block=BLOCK, most=MOST_BLOCKS, flags=flags))
    parts += [entry(name, own, found) for name, own, found in made]
    return "".join(parts)


def packs(plan: Plan) -> list[str]:
    """The names of all packed factors, in the order of the call."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    found = (products(kernel, buffers, LANES) for kernel in plan.kernels)
    return [f.pack for made in found if made for step in made.passes for f in step.factors]


def entry(name: str, plan: Plan, launches: Launches) -> str:
    """`rnnc_NAME` and `rnnc_NAME_workspace`."""
    callers = external(plan)
    states = [buffer for buffer in plan.buffers if buffer.role == "state"]
    state = {buffer.name: number for number, buffer in enumerate(states)}
    named = packs(plan)
    given = [
        f"  void *const at_{identifier(buffer.name)} = pointers[{number}];"
        for number, buffer in enumerate(callers)
    ]
    given += [
        f"  void *const at_{identifier(buffer.name)} = workspace + offsets[{number}];"
        for number, buffer in enumerate(states)
    ]
    start = len(callers)
    given += [
        f"  void *const pack_{identifier(pack)} = pointers[{start + number}];"
        for number, pack in enumerate(named)
    ]
    start += len(named)
    given += [
        f"  void *const lengths_{identifier(extent)} = pointers[{start + number}];"
        for number, extent in enumerate(plan.extents)
    ]
    start += len(plan.extents)
    positions = size_positions(plan)
    given += [
        f"  const int64_t *const stride_{identifier(buffer)} = sizes + {position};"
        for buffer, position in positions.items()
    ]
    names = [
        f"  const int64_t {identifier(extent)} = sizes[{number}];"
        for number, extent in enumerate(plan.extents)
    ]
    names.append(f"  const int64_t batch = sizes[{len(plan.extents)}];")
    return _ENTRY.format(
        entry=name,
        names="\n".join(names),
        places="\n".join(
            placement([(state[buffer.name], buffer) for buffer in room], LANES)
            for room in rooms(plan)
        ),
        states=len(states),
        ends=8 * launches.ends,
        workspace=start,
        given="\n".join(given),
        body="\n".join(launches.host.lines),
    )
