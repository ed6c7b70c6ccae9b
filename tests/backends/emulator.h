// CUDA on the CPU, for tests: enough of it to run what the backend emits.
//
// Each thread is a fiber of its own, which runs until it waits for others. RNNC_EMULATOR_SEED shuffles the order of all of them
// (0: in order). A launch in which nobody gets on any more fails with cudaErrorLaunchTimeout.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define CUDART_INF_F INFINITY
#define CUDART_NAN_F NAN
#define RNNC_SHARED(type, name) type &name = *(type *)emulator::shared(#name, sizeof(type))

using std::max;
using std::min;
typedef void *cudaStream_t;
static int emulator_error;
static inline int cudaGetLastError() {
  const int error = emulator_error;
  emulator_error = 0;
  return error;
}

namespace emulator {
struct index { int x; };
struct copy {
  void *to;
  const void *from;  // null: zeros
};
struct fiber {
  ucontext_t context;
  std::vector<copy> open;                 // copies of 16 bytes that are under way
  std::vector<std::vector<copy>> groups;  // and those that were committed, the oldest first
  std::vector<char> stack;
  index thread, block;
  bool begun = false, done = false;
  jmp_buf place;  // where it waits: jumping there calls no system, as swapcontext would
};
struct meeting {
  int arrived = 0, turn = 0;
};
struct warp_state {
  int arrived = 0, turn = 0;
  uint32_t left[2][32][4], right[2][32][2];  // of two multiplications that follow each other
  const uint32_t *row[32];
  meeting met;
  float values[32];
};
struct block_state {
  meeting met;
  std::map<int, warp_state> warps;
  std::map<std::string, std::vector<char>> shared;
};

static jmp_buf scheduler;
static fiber *current;
static std::vector<block_state> *blocks;
static int threads_of_block;
static size_t shared_of_block;
static long progress;
static std::function<void()> body;
static index thread_now, block_now;

static inline void wait() {
  if (!_setjmp(current->place)) _longjmp(scheduler, 1);
}
static inline void *shared(const char *name, size_t size) {
  auto &memory = (*blocks)[current->block.x].shared[name];
  if (memory.empty()) memory.resize(size);
  return memory.data();
}
static inline void meet(meeting &own, int threads) {
  int turn = own.turn;
  ++progress;
  if (++own.arrived == threads) {
    own.arrived = 0;
    ++own.turn;
    return;
  }
  while (own.turn == turn) wait();
}
static inline void syncthreads() { meet((*blocks)[current->block.x].met, threads_of_block); }
static inline float of_lane(float value, int lane) {
  warp_state &own = (*blocks)[current->block.x].warps[current->thread.x / 32];
  own.values[current->thread.x % 32] = value;
  meet(own.met, 32);
  value = own.values[lane];
  meet(own.met, 32);
  return value;
}
// A fiber's whole life: one launch after another.
static inline void run() {
  for (;;) {
    body();
    current->done = true;
    ++progress;
    wait();
  }
}
// Runs a fiber until it waits or ends.
__attribute__((noinline)) static void resume(fiber *own) {
  if (_setjmp(scheduler)) return;
  if (own->begun) _longjmp(own->place, 1);
  own->begun = true;
  setcontext(&own->context);
}
static inline std::mt19937 *shuffling() {
  const char *seed = std::getenv("RNNC_EMULATOR_SEED");
  static std::mt19937 random(seed ? std::atoi(seed) : 0);
  return seed && std::atoi(seed) ? &random : nullptr;
}

// Whether a part of the text that a test has marked is to be left out.
static inline bool without(const char *part) {
  const char *left_out = std::getenv("RNNC_EMULATOR_WITHOUT");
  return left_out && !std::strcmp(left_out, part);
}

static inline void cooperate(int64_t count, int threads, size_t shared,
                             std::function<void()> work) {
  body = work;
  threads_of_block = threads;
  shared_of_block = shared;
  std::vector<block_state> states(count);
  blocks = &states;
  static std::vector<fiber> fibers;  // with their stacks, for all launches
  if (fibers.size() < size_t(count * threads)) fibers = std::vector<fiber>(count * threads);
  std::vector<fiber *> order;
  for (size_t number = 0; number < size_t(count * threads); ++number) {
    fiber &own = fibers[number];
    own.thread.x = number % threads;
    own.block.x = number / threads;
    own.done = false;
    own.open.clear();
    own.groups.clear();
    order.push_back(&own);
    if (own.begun) continue;
    own.stack.resize(64 * 1024);
    getcontext(&own.context);
    own.context.uc_stack.ss_sp = own.stack.data();
    own.context.uc_stack.ss_size = own.stack.size();
    makecontext(&own.context, run, 0);
  }
  for (size_t left = order.size(); left;) {
    if (shuffling()) std::shuffle(order.begin(), order.end(), *shuffling());
    long before = progress;
    left = 0;
    // Shuffled, blocks also get on at different speeds, and warps of a block: half of the blocks wait
    // a round, and a quarter of the warps of the others.
    const int64_t warps = threads / 32;
    std::vector<bool> paused(count * warps);
    for (int64_t warp = 0, block = 0; shuffling() && warp < count * warps; ++warp) {
      if (warp % warps == 0) block = (*shuffling())() % 2;
      paused[warp] = block || (*shuffling())() % 4 == 0;
    }
    bool complete = true;
    for (fiber *own : order) {
      if (own->done) continue;
      ++left;
      if (paused[own->block.x * warps + own->thread.x / 32]) {
        complete = false;
        continue;
      }
      current = own;
      thread_now = own->thread;
      block_now = own->block;
      resume(own);
    }
    if (left && complete && progress == before) {
      emulator_error = 702;
      fibers.clear();
      return;
    }
  }
}
}  // namespace emulator

#define threadIdx emulator::thread_now
#define blockIdx emulator::block_now
#define blockDim emulator::index{emulator::threads_of_block}
#define __syncthreads() emulator_syncthreads()
#define __syncwarp() emulator_syncwarp()
#define __shfl_sync(mask, value, lane) emulator_of_lane(value, lane)
#define __shfl_xor_sync(mask, value, bits) emulator_of_lane(value, (threadIdx.x % 32) ^ (bits))

static inline void emulator_restore(emulator::fiber *own) {
  emulator::thread_now = own->thread;
  emulator::block_now = own->block;
}
static inline void emulator_syncthreads() {
  emulator::fiber *own = emulator::current;
  emulator::syncthreads();
  emulator_restore(own);
}
static inline void emulator_syncwarp() {
  emulator::fiber *own = emulator::current;
  emulator::meet((*emulator::blocks)[own->block.x].warps[own->thread.x / 32].met, 32);
  emulator_restore(own);
}
static inline float emulator_of_lane(float value, int lane) {
  emulator::fiber *own = emulator::current;
  value = emulator::of_lane(value, lane);
  emulator_restore(own);
  return value;
}
static inline float *rnnc_shared() {
  return (float *)emulator::shared("asked for", emulator::shared_of_block + 4);
}
// Copies in the background are made when they are waited for, and not before.
static inline void rnnc_copy(void *to, const void *from, bool inside) {
  emulator::current->open.push_back({to, inside ? from : nullptr});
}
static inline void rnnc_group() {
  emulator::current->groups.push_back(std::move(emulator::current->open));
  emulator::current->open.clear();
}
template <int PENDING>
static inline void rnnc_await() {
  auto &groups = emulator::current->groups;
  for (; groups.size() > PENDING; groups.erase(groups.begin()))
    for (const emulator::copy &own : groups.front())
      own.from ? std::memcpy(own.to, own.from, 16) : std::memset(own.to, 0, 16);
}
static inline void rnnc_matrices(uint32_t *words, const uint32_t *row) {
  emulator::fiber *own = emulator::current;
  const int lane = own->thread.x % 32;
  auto &warp = (*emulator::blocks)[own->block.x].warps[own->thread.x / 32];
  warp.row[lane] = row;
  emulator::meet(warp.met, 32);
  for (int number = 0; number < 4; ++number)
    words[number] = warp.row[8 * number + lane / 4][lane % 4];
  emulator::meet(warp.met, 32);
  emulator_restore(own);
}
static inline void rnnc_release(unsigned *flag, unsigned value) {
  *flag = value;
  ++emulator::progress;
}
static inline unsigned rnnc_acquire(const unsigned *flag) {
  emulator::fiber *own = emulator::current;
  emulator::wait();
  emulator_restore(own);
  return *flag;
}
static inline int64_t rnnc_unknown(int64_t number) { return number; }

// Tensor cores: all lanes of a warp bring what they have of both operands, as PTX says.
static inline float emulator_bits(uint32_t word) {
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}
static inline uint32_t emulator_word(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  return word;
}
// `significand` bits, the first implied; ties to even, or away from zero.
static inline float emulator_nearest(float value, int significand, bool even) {
  int exponent;
  float fraction = std::ldexp(std::frexp(value, &exponent), significand);
  fraction = even ? std::nearbyint(fraction) : std::round(fraction);
  return std::isfinite(value) ? std::ldexp(fraction, exponent - significand) : value;
}
static inline uint32_t emulator_bf16(float value) {
  return emulator_word(emulator_nearest(value, 8, true)) >> 16;
}
static inline uint32_t emulator_fp16(float value) {
  _Float16 half = (_Float16)value;
  uint16_t word;
  std::memcpy(&word, &half, sizeof word);
  return word;
}
static inline uint32_t rnnc_pair_bf16(float low, float high) {
  return emulator_bf16(low) | emulator_bf16(high) << 16;
}
static inline uint32_t rnnc_pair_fp16(float low, float high) {
  return emulator_fp16(low) | emulator_fp16(high) << 16;
}
static inline uint32_t rnnc_nearest_tf32(float value) {
  return emulator_word(emulator_nearest(value, 11, false));
}
static inline void rnnc_each_time(float &) {}
static inline uint32_t rnnc_as_word(float value) { return emulator_word(value); }
static inline float rnnc_as_float(uint32_t word) { return emulator_bits(word); }

// Operand `k` of the words that lane `4 * (row % 8) + word % 4` holds.
static inline float emulator_operand_bf16(uint32_t word, int k) {
  return emulator_bits(k ? word & 0xffff0000 : word << 16);
}
static inline float emulator_operand_fp16(uint32_t word, int k) {
  uint16_t bits = k ? word >> 16 : word;
  _Float16 half;
  std::memcpy(&half, &bits, sizeof half);
  return half;
}
static inline float emulator_operand_tf32(uint32_t word, int) { return emulator_bits(word); }

template <int GROUP>
static inline void emulator_mma(float *sums, const uint32_t *left, const uint32_t *right,
                                float (*operand)(uint32_t, int)) {
  emulator::fiber *own = emulator::current;
  const int lane = own->thread.x % 32;
  auto &warp = (*emulator::blocks)[own->block.x].warps[own->thread.x / 32];
  const int turn = warp.turn, which = turn % 2;
  std::copy_n(left, 4, warp.left[which][lane]);
  std::copy_n(right, 2, warp.right[which][lane]);
  ++emulator::progress;
  if (++warp.arrived == 32) {
    warp.arrived = 0;
    ++warp.turn;
  }
  while (warp.turn == turn) emulator::wait();
  emulator_restore(own);
  for (int number = 0; number < 4; ++number) {
    const int row = lane / 4 + number / 2 * 8, column = lane % 4 * 2 + number % 2;
    for (int k = 0; k < 8 * GROUP; ++k) {
      const int word = k / GROUP;
      const uint32_t a = warp.left[which][row % 8 * 4 + word % 4][row / 8 + word / 4 * 2];
      const uint32_t b = warp.right[which][column * 4 + word % 4][word / 4];
      sums[number] += operand(a, k % GROUP) * operand(b, k % GROUP);
    }
  }
}
static inline void rnnc_mma_bf16(float *sums, const uint32_t *left, const uint32_t *right) {
  emulator_mma<2>(sums, left, right, emulator_operand_bf16);
}
static inline void rnnc_mma_fp16(float *sums, const uint32_t *left, const uint32_t *right) {
  emulator_mma<2>(sums, left, right, emulator_operand_fp16);
}
static inline void rnnc_mma_tf32(float *sums, const uint32_t *left, const uint32_t *right) {
  emulator_mma<1>(sums, left, right, emulator_operand_tf32);
}

// Few blocks: threads then have to take several items in turns.
constexpr int64_t emulator_blocks = 3;
constexpr int64_t emulator_resident = 6;

template <class... P, class... A>
static void rnnc_launch(void (*kernel)(int64_t, P...), int64_t items, cudaStream_t, A... given) {
  if (items <= 0) return;
  const int64_t blocks = std::min<int64_t>((items + RNNC_BLOCK - 1) / RNNC_BLOCK, emulator_blocks);
  emulator::cooperate(blocks, RNNC_BLOCK, 0, [&] { kernel(blocks, (P)given...); });
}

template <class... P, class... A>
static bool rnnc_launch_together(void (*kernel)(int64_t, P...), int threads, size_t shared,
                                 int64_t group, int64_t groups, cudaStream_t, A... given) {
  if (std::getenv("RNNC_EMULATOR_ALONE")) return false;  // as on a device that cannot
  if (std::getenv("RNNC_EMULATOR_FULL")) return false;  // as on one that has too little room
  const int64_t blocks = group * std::min(groups, emulator_resident / group);
  if (blocks < 1) return false;
  emulator::cooperate(blocks, threads, shared, [&] { kernel(blocks, (P)given...); });
  return true;
}
