/* Runs a stack of LSTMs over a sequence twice, at once and step by step, and compares.
 *
 *   streaming weights.safetensors [steps]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "stacked_lstm.h"

enum { X = STACKED_LSTM_SIZE_X, H = STACKED_LSTM_SIZE_H, L = STACKED_LSTM_SIZE_L };

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, stacked_lstm_error());
  return 1;
}

/* All steps at once; y is [steps][1][H]. */
static int run_whole(const stacked_lstm_model *model, int64_t steps, const float *x, float *y) {
  float h_n[L * H], c_n[L * H];
  stacked_lstm_call call = {0};
  call.T = steps;
  call.batch = 1;
  call.x = x;
  call.y = y;
  call.h_n = h_n;
  call.c_n = c_n;
  call.workspace_size = stacked_lstm_workspace_size(&call);
  if (call.workspace_size < 0)
    return (int)-call.workspace_size;
  call.workspace = malloc((size_t)call.workspace_size);
  int status = stacked_lstm_forward(model, &call);
  free(call.workspace);
  return status;
}

/* One step after another, as they arrive. */
static int run_steps(const stacked_lstm_model *model, int64_t steps, const float *x, float *y) {
  float h_n[L * H], c_n[L * H];
  int64_t size = stacked_lstm_stream_size(1);
  void *memory = malloc((size_t)size);
  stacked_lstm_stream *stream;
  int status = stacked_lstm_stream_init(model, 1, NULL, memory, size, &stream);
  for (int64_t t = 0; !status && t < steps; t++) {
    stacked_lstm_step_call call = {0};
    call.x = x + t * X;
    call.y = y + t * H;
    call.h_n = h_n;
    call.c_n = c_n;
    status = stacked_lstm_step(model, stream, &call);
  }
  free(memory);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s weights.safetensors [steps]\n", argv[0]);
    return 2;
  }
  int64_t steps = argc > 2 ? atoi(argv[2]) : 100;
  stacked_lstm_model *model;
  if (stacked_lstm_load(STACKED_LSTM_INTERFACE, argv[1], &model))
    return failed("load");
  float *x = malloc((size_t)(steps * X) * sizeof(float));
  float *whole = malloc((size_t)(steps * H) * sizeof(float));
  float *stepped = malloc((size_t)(steps * H) * sizeof(float));
  for (int64_t i = 0; i < steps * X; i++)
    x[i] = (float)sin((double)i);
  int status = run_whole(model, steps, x, whole);
  if (!status)
    status = run_steps(model, steps, x, stepped);
  float largest = 0;
  for (int64_t i = 0; !status && i < steps * H; i++)
    largest = fmaxf(largest, fabsf(whole[i] - stepped[i]));
  free(x);
  free(whole);
  free(stepped);
  stacked_lstm_free(model);
  if (status)
    return failed("run");
  printf("%d steps of %d values, largest difference %g\n", (int)steps, H, (double)largest);
  return largest < 1e-5f ? 0 : 1;
}
