/* peaks KILOBYTES PROCESSOR...: what these processors can do at once, a thread bound to each.
 * Prints two numbers: GFLOP/s of fused multiply-adds, and GB/s of reads over `KILOBYTES` each. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef float vec __attribute__((vector_size(64)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double multiply_adds(void) {
  vec a[12], b, c;
  for (int i = 0; i < 16; i++) b[i] = 0.999f, c[i] = 1e-3f;
  for (int j = 0; j < 12; j++) a[j] = b;
  double best = 0;
  for (int round = 0; round < 10; round++) {
    double start = now();
    for (long i = 0; i < 1000000; i++)
#pragma GCC unroll 12
      for (int j = 0; j < 12; j++) a[j] = a[j] * b + c;
    double rate = 1e6 * 12 * 32 / (now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  volatile float sink = 0;
  for (int j = 0; j < 12; j++) sink += a[j][0];
  return best;
}

static double reads(size_t bytes) {
  vec *p = aligned_alloc(64, bytes), s[8];
  size_t n = bytes / 64;
  for (size_t i = 0; i < n; i++) p[i] = (vec){1};
  for (int j = 0; j < 8; j++) s[j] = (vec){0};
  double best = 0;
  long repeats = (long)(1e9 / bytes) + 1;
  for (int round = 0; round < 4; round++) {
    double start = now();
    for (long r = 0; r < repeats; r++)
      for (size_t i = 0; i + 8 <= n; i += 8)
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) s[j] += p[i + j];
    double rate = (double)repeats * bytes / (now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  volatile float sink = 0;
  for (int j = 0; j < 8; j++) sink += s[j][0];
  free(p);
  return best;
}

static size_t bytes;
static pthread_barrier_t together;
typedef struct { int processor; double flops, bandwidth; } result;

static void *measure(void *argument) {
  result *r = argument;
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(r->processor, &own);
  sched_setaffinity(0, sizeof own, &own); /* of this thread */
  pthread_barrier_wait(&together);
  r->flops = multiply_adds();
  pthread_barrier_wait(&together);
  r->bandwidth = reads(bytes);
  return NULL;
}

int main(int count, char **arguments) {
  int n = count - 2;
  bytes = (size_t)atol(arguments[1]) << 10;
  pthread_t threads[64];
  result results[64];
  pthread_barrier_init(&together, NULL, n);
  for (int i = 0; i < n; i++) {
    results[i].processor = atoi(arguments[2 + i]);
    pthread_create(&threads[i], NULL, measure, &results[i]);
  }
  double flops = 0, bandwidth = 0;
  for (int i = 0; i < n; i++) {
    pthread_join(threads[i], NULL);
    flops += results[i].flops, bandwidth += results[i].bandwidth;
  }
  printf("%.1f %.1f\n", flops, bandwidth);
}
