/* What a model's shared library and its host agree on: threads.
 *
 * A library carries its own copy of this runtime. So that a process has one pool however many
 * libraries it loads, the host takes the table of the first library (rnnc_runtime_default) and
 * passes it to every call; NULL instead of a table means: one thread, no pool.
 */
#ifndef RNNC_RUNTIME_H
#define RNNC_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RNNC_RUNTIME_ABI 1
#ifndef RNNC_EXPORT
#define RNNC_EXPORT __attribute__((visibility("default")))
#endif
#define RNNC_MAX_TASKS 256

/* More bytes than any memory has: where products of sizes end that would overflow. */
#define RNNC_HUGE ((int64_t)1 << 56)

static inline int64_t rnnc_times(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result) || result > RNNC_HUGE ? RNNC_HUGE : result;
}

/* One share of a parallel region: called once for every task in 0..num_tasks, at the same time. */
typedef void (*rnnc_task)(void *argument, int32_t task, int32_t num_tasks, void *barrier);

typedef struct rnnc_runtime {
  uint32_t abi;
  /* Run `task` on up to `threads` threads, the caller among them, and return when all are done.
   * Fewer run if other calls hold the threads or the system gives no more; returns how many. */
  int32_t (*parallel)(rnnc_task task, void *argument, int32_t threads);
} rnnc_runtime;

RNNC_EXPORT const rnnc_runtime *rnnc_runtime_default(void);

/* Wait until every task of the region has come here. `barrier` is what the task was given; with a
 * negative task nobody is waited for. */
int32_t rnnc_barrier(void *barrier, int32_t task);

#ifdef __cplusplus
}
#endif
#endif
