/* Times calls and steps of two models: one that computes hardly anything, and an LSTM. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "one.h"
#include "tiny.h"

enum { X = ONE_SIZE_X, H = ONE_SIZE_H, STEPS = 1000, ROUNDS = 20, MANY = 100000 };

static double now(void) { /* microseconds */
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

#define BEST(what, count, statement)                                                              \
  do {                                                                                            \
    double best = 1e9;                                                                            \
    for (int round = 0; round < ROUNDS; round++) {                                                \
      double start = now();                                                                       \
      for (int i = 0; i < (count); i++)                                                           \
        statement;                                                                                \
      double each = (now() - start) / (count);                                                    \
      best = each < best ? each : best;                                                           \
    }                                                                                             \
    printf("%-28s %8.3f us\n", what, best);                                                       \
  } while (0)

static void time_overhead(void) {
  float x[TINY_SIZE_H] = {0}, y[TINY_SIZE_H];
  tiny_parameters none = {0};
  tiny_model *model;
  tiny_create(TINY_INTERFACE, &none, &model);
  tiny_call call = {0};
  call.T = call.batch = 1;
  call.x = x;
  call.y = y;
  call.workspace_size = tiny_workspace_size(&call);
  call.workspace = malloc((size_t)call.workspace_size);
  BEST("overhead of a call", MANY, tiny_forward(model, &call));
  int64_t size = tiny_stream_size(1);
  tiny_stream *stream;
  tiny_stream_init(model, 1, NULL, malloc((size_t)size), size, &stream);
  tiny_step_call step = {0};
  step.x = x;
  step.y = y;
  BEST("overhead of a step", MANY, tiny_step(model, stream, &step));
}

int main(int argc, char **argv) {
  static float x[STEPS * X], y[STEPS * H];
  one_model *model;
  if (one_load(ONE_INTERFACE, argv[argc - 1], &model)) {
    puts(one_error());
    return 1;
  }
  time_overhead();
  int64_t size = one_stream_size(1);
  one_stream *stream;
  one_stream_init(model, 1, NULL, malloc((size_t)size), size, &stream);
  one_step_call step = {0};
  step.x = x;
  step.y = y;
  double start = now();
  one_step(model, stream, &step);
  printf("%-28s %8.3f us\n", "first step of the LSTM", now() - start);
  BEST("step of the LSTM", STEPS, one_step(model, stream, &step));
  one_call call = {0};
  call.T = STEPS;
  call.batch = 1;
  call.x = x;
  call.y = y;
  call.workspace_size = one_workspace_size(&call);
  call.workspace = malloc((size_t)call.workspace_size);
  BEST("whole sequence of 1000 steps", 1, one_forward(model, &call));
  return 0;
}
