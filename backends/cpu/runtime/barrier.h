/* A dissemination barrier: in round r every task tells task + 2^r and waits to be told, so n tasks
 * meet after log2(n) rounds and two tasks after one. */
#ifndef RNNC_BARRIER_H
#define RNNC_BARRIER_H

#include <stdatomic.h>
#include <stdint.h>

#define RNNC_ROUNDS 8 /* 2^8 = RNNC_MAX_TASKS */

/* One cache line a task. `told[r]` is written by one other task only, and only grows, so that a
 * task which is already at the next barrier does no harm. */
typedef struct rnnc_seat {
  _Alignas(64) atomic_uint told[RNNC_ROUNDS];
  unsigned epoch; /* barriers passed; the task's own */
} rnnc_seat;

typedef struct rnnc_meeting {
  int32_t num_tasks;
  rnnc_seat *seats;
} rnnc_meeting;

#endif
