#include "barrier.h"
#include "rnnc_runtime.h"
#include "spin.h"

int32_t rnnc_barrier(void *barrier, int32_t task) {
  const rnnc_meeting *meeting = barrier;
  if (!meeting || meeting->num_tasks < 2 || task < 0)
    return 0;
  int32_t n = meeting->num_tasks;
  rnnc_seat *own = &meeting->seats[task];
  unsigned epoch = ++own->epoch;
  for (int32_t round = 0, distance = 1; distance < n; round++, distance *= 2) {
    int32_t other = task + distance;
    rnnc_seat *seat = &meeting->seats[other < n ? other : other - n];
    atomic_store_explicit(&seat->told[round], epoch, memory_order_release);
    unsigned step = 0;
    while ((int)(atomic_load_explicit(&own->told[round], memory_order_acquire) - epoch) < 0)
      rnnc_wait(&step);
  }
  return 0;
}
