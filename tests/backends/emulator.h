// CUDA on the CPU, for tests: enough of it to run what the backend emits.
//
// A plain launch runs its threads one after another; a cooperative one gives each a fiber of its
// own, which runs until it waits for others. RNNC_EMULATOR_SEED shuffles the order of all of them
// (0: in order). A launch in which nobody gets on any more ends the process with code 3.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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
static inline int cudaGetLastError() { return 0; }

namespace emulator {
struct index { int x; };
struct fiber {
  ucontext_t context;
  std::vector<char> stack;
  index thread, block;
  bool done = false;
};
struct block_state {
  int arrived = 0, turn = 0;
  std::map<std::string, std::vector<char>> shared;
};

static ucontext_t scheduler;
static fiber *current;
static std::vector<block_state> *blocks;
static int threads_of_block;
static long progress;
static std::function<void()> body;
static index thread_now, block_now;

static inline void wait() {
  fiber *own = current;
  swapcontext(&own->context, &scheduler);
}
static inline void *shared(const char *name, size_t size) {
  auto &memory = (*blocks)[current->block.x].shared[name];
  if (memory.empty()) memory.resize(size);
  return memory.data();
}
static inline void syncthreads() {
  block_state &own = (*blocks)[current->block.x];
  int turn = own.turn;
  ++progress;
  if (++own.arrived == threads_of_block) {
    own.arrived = 0;
    ++own.turn;
    return;
  }
  while (own.turn == turn) wait();
}
static inline void run() {
  body();
  current->done = true;
  ++progress;
  swapcontext(&current->context, &scheduler);
}
static inline std::mt19937 *shuffling() {
  const char *seed = std::getenv("RNNC_EMULATOR_SEED");
  static std::mt19937 random(seed ? std::atoi(seed) : 0);
  return seed && std::atoi(seed) ? &random : nullptr;
}

static inline void cooperate(int64_t count, int threads, std::function<void()> work) {
  body = work;
  threads_of_block = threads;
  std::vector<block_state> states(count);
  blocks = &states;
  std::vector<fiber> fibers(count * threads);
  std::vector<fiber *> order;
  for (size_t number = 0; number < fibers.size(); ++number) {
    fiber &own = fibers[number];
    own.thread.x = number % threads;
    own.block.x = number / threads;
    own.stack.resize(64 * 1024);
    getcontext(&own.context);
    own.context.uc_stack.ss_sp = own.stack.data();
    own.context.uc_stack.ss_size = own.stack.size();
    own.context.uc_link = &scheduler;
    makecontext(&own.context, run, 0);
    order.push_back(&own);
  }
  for (size_t left = fibers.size(); left;) {
    if (shuffling()) std::shuffle(order.begin(), order.end(), *shuffling());
    long before = progress;
    left = 0;
    // Shuffled, blocks also get on at different speeds: half of them wait a round.
    std::vector<bool> paused(count);
    for (int64_t block = 0; shuffling() && block < count; ++block)
      paused[block] = (*shuffling())() % 2;
    bool complete = true;
    for (fiber *own : order) {
      if (own->done) continue;
      ++left;
      if (paused[own->block.x]) {
        complete = false;
        continue;
      }
      current = own;
      thread_now = own->thread;
      block_now = own->block;
      swapcontext(&scheduler, &own->context);
    }
    if (left && complete && progress == before) {
      std::fprintf(stderr, "emulator: all threads wait for each other\n");
      std::exit(3);
    }
  }
}
}  // namespace emulator

#define threadIdx emulator::thread_now
#define blockIdx emulator::block_now
#define __syncthreads() emulator_syncthreads()

static inline void emulator_restore(emulator::fiber *own) {
  emulator::thread_now = own->thread;
  emulator::block_now = own->block;
}
static inline void emulator_syncthreads() {
  emulator::fiber *own = emulator::current;
  emulator::syncthreads();
  emulator_restore(own);
}
static inline void rnnc_release(int *flag, int value) {
  *flag = value;
  ++emulator::progress;
}
static inline int rnnc_acquire(const int *flag) {
  emulator::fiber *own = emulator::current;
  emulator::wait();
  emulator_restore(own);
  return *flag;
}

// Few blocks: threads then have to take several items in turns.
static inline int64_t emulator_blocks(int64_t items) {
  return std::min<int64_t>((items + RNNC_BLOCK - 1) / RNNC_BLOCK, 3);
}

template <class... P, class... A>
static void rnnc_launch(void (*kernel)(int64_t, P...), int64_t items, cudaStream_t, A... given) {
  if (items <= 0) return;
  const int64_t blocks = emulator_blocks(items);
  std::vector<int> order(blocks * RNNC_BLOCK);
  std::iota(order.begin(), order.end(), 0);
  if (emulator::shuffling()) std::shuffle(order.begin(), order.end(), *emulator::shuffling());
  for (int number : order) {
    emulator::block_now.x = number / RNNC_BLOCK;
    emulator::thread_now.x = number % RNNC_BLOCK;
    kernel(blocks, (P)given...);
  }
}

template <class... P, class... A>
static bool rnnc_launch_together(void (*kernel)(int64_t, P...), int64_t items, cudaStream_t,
                                 void *flags, A... given) {
  if (std::getenv("RNNC_EMULATOR_ALONE")) return false;  // as on a device that cannot
  const int64_t blocks = std::max<int64_t>(1, emulator_blocks(items));
  std::fill_n((int *)flags, blocks, 0);
  emulator::cooperate(blocks, RNNC_BLOCK, [&] { kernel(blocks, (P)given...); });
  return true;
}
