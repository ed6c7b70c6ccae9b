/* The threads of a process, created when first wanted and kept.
 *
 * A call takes the workers that are free at that moment, so two calls at a time share the pool and
 * a call from inside a task finds what is left, at worst nothing: then it runs alone. Workers look
 * for work a short while without sleeping; a steady stream of calls pays no wake-up.
 */
#include "barrier.h"
#include "rnnc_runtime.h"
#include "spin.h"

#include <pthread.h>
#include <stddef.h>

typedef struct team {
  rnnc_task task;
  void *argument;
  rnnc_meeting meeting;
  _Alignas(64) atomic_int running; /* workers that have not finished */
} team;

typedef struct worker {
  _Alignas(64) atomic_int taken; /* 1: belongs to a team */
  atomic_uint calls;             /* grows by one when there is work */
  atomic_int asleep;
  team *team;
  int32_t number; /* of its task in the team */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
} worker;

static worker workers[RNNC_MAX_TASKS - 1];
static atomic_int num_workers;
static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER;

static void sleep_until_called(worker *self, unsigned seen) {
  pthread_mutex_lock(&self->mutex);
  atomic_store(&self->asleep, 1); /* before the last look at `calls`: see call_worker */
  while (atomic_load(&self->calls) == seen)
    pthread_cond_wait(&self->wake, &self->mutex);
  atomic_store(&self->asleep, 0);
  pthread_mutex_unlock(&self->mutex);
}

static void *work(void *argument) {
  worker *self = argument;
  for (unsigned seen = 0;; seen++) {
    unsigned step = 0;
    while (atomic_load_explicit(&self->calls, memory_order_acquire) == seen) {
      if (step < RNNC_SPINS + RNNC_YIELDS)
        rnnc_wait(&step);
      else
        sleep_until_called(self, seen);
    }
    team *mine = self->team;
    mine->task(mine->argument, self->number, mine->meeting.num_tasks, &mine->meeting);
    /* Free before done: the next call of the same caller must find this worker. */
    atomic_store_explicit(&self->taken, 0, memory_order_release);
    atomic_fetch_sub_explicit(&mine->running, 1, memory_order_release);
  }
  return NULL;
}

static void call_worker(worker *one, team *to, int32_t number) {
  one->team = to;
  one->number = number;
  atomic_fetch_add(&one->calls, 1); /* sequentially consistent with `asleep` */
  if (atomic_load(&one->asleep)) {
    pthread_mutex_lock(&one->mutex);
    pthread_cond_signal(&one->wake);
    pthread_mutex_unlock(&one->mutex);
  }
}

/* In the child of a fork only the forking thread lives: start again without workers. */
static void forget_workers(void) {
  pthread_mutex_init(&growing, NULL);
  atomic_store(&num_workers, 0);
}

static void grow(int32_t wanted) {
  static int registered = 0;
  pthread_mutex_lock(&growing);
  if (!registered) {
    pthread_atfork(NULL, NULL, forget_workers);
    registered = 1;
  }
  for (int32_t i = atomic_load(&num_workers); i < wanted; i++) {
    worker *next = &workers[i];
    atomic_store(&next->taken, 0);
    atomic_store(&next->calls, 0);
    atomic_store(&next->asleep, 0);
    pthread_mutex_init(&next->mutex, NULL);
    pthread_cond_init(&next->wake, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, next) != 0)
      break;
    pthread_detach(thread);
    atomic_store(&num_workers, i + 1);
  }
  pthread_mutex_unlock(&growing);
}

static int32_t parallel(rnnc_task task, void *argument, int32_t threads) {
  if (threads > RNNC_MAX_TASKS)
    threads = RNNC_MAX_TASKS;
  if (threads < 2) {
    task(argument, 0, 1, NULL);
    return 1;
  }
  if (atomic_load_explicit(&num_workers, memory_order_acquire) < threads - 1)
    grow(threads - 1);

  worker *members[RNNC_MAX_TASKS];
  int32_t n = 1, present = atomic_load_explicit(&num_workers, memory_order_acquire);
  for (int32_t i = 0; i < present && n < threads; i++) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&workers[i].taken, &expected, 1))
      members[n++] = &workers[i];
  }
  if (n == 1) {
    task(argument, 0, 1, NULL);
    return 1;
  }
  rnnc_seat seats[n];
  for (int32_t i = 0; i < n; i++) {
    seats[i].epoch = 0;
    for (int round = 0; round < RNNC_ROUNDS; round++)
      atomic_init(&seats[i].told[round], 0);
  }
  team ours = {task, argument, {n, seats}, n - 1};
  for (int32_t i = 1; i < n; i++)
    call_worker(members[i], &ours, i);
  task(argument, 0, n, &ours.meeting);
  unsigned step = 0;
  while (atomic_load_explicit(&ours.running, memory_order_acquire) > 0)
    rnnc_wait(&step);
  return n;
}

static const rnnc_runtime runtime = {RNNC_RUNTIME_ABI, parallel};

RNNC_EXPORT const rnnc_runtime *rnnc_runtime_default(void) { return &runtime; }
