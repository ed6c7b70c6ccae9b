/* Waiting: at first without giving up the processor, then politely. */
#ifndef RNNC_SPIN_H
#define RNNC_SPIN_H

#include <sched.h>
#include <time.h>

#define RNNC_SPINS 2000   /* about 30 us: longer than any gap between well balanced tasks */
#define RNNC_YIELDS 2000  /* then give way: the thread waited for may need this processor */

static inline void rnnc_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ __volatile__("yield" ::: "memory");
#else
  __asm__ __volatile__("" ::: "memory");
#endif
}

/* One step of waiting; `step` counts from 0. */
static inline void rnnc_wait(unsigned *step) {
  unsigned now = (*step)++;
  if (now < RNNC_SPINS) {
    rnnc_pause();
  } else if (now < RNNC_SPINS + RNNC_YIELDS) {
    sched_yield();
  } else {
    struct timespec nap = {0, 50000};
    nanosleep(&nap, 0);
    *step = RNNC_SPINS + RNNC_YIELDS;
  }
}

#endif
