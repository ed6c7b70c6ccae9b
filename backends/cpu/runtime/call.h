/* A call: its arguments are checked and brought into the form that kernels take. */
#ifndef RNNC_CALL_H
#define RNNC_CALL_H

#include "model.h"

/* What a program is run with. Arrays may be NULL where they may be left out. */
typedef struct rnnc_call {
  const int64_t *sizes; /* extents, then the batch */
  const int64_t *strides; /* of inputs, then outputs; NULL: row-major arrays */
  void *const *inputs, *const *outputs;
  const int32_t *const *lengths; /* of each extent */
  void *workspace;
  int64_t workspace_size, threads;
  const rnnc_runtime *pool;
} rnnc_call;

/* How many bytes of workspace a program needs for these sizes. Negative: the error's code. */
int64_t rnnc_workspace(const rnnc_program *program, const int64_t *sizes);

/* Runs a program of the model. */
int rnnc_run(const rnnc_model *model, const rnnc_program *program, const rnnc_call *call);

/* How many bytes an input or output has. */
int64_t rnnc_port_size(const rnnc_port *port, const int64_t *extents, int64_t batch);

/* The arguments of a call as words of eight bytes, in the order of <model>_call: extents, batch,
 * threads, inputs, outputs, lengths of each extent, strides, workspace, its size, pool. */
typedef int64_t rnnc_word;

/* As rnnc_workspace, for a forward call; only its extents and batch are looked at. */
int64_t rnnc_forward_size(const rnnc_description *d, const rnnc_word *call);

/* Runs a model, which must be one of this description. */
int rnnc_forward_call(const rnnc_description *d, const rnnc_model *model, const rnnc_word *call);

/* Whether a model is one of this description. */
int rnnc_check_model(const rnnc_description *d, const rnnc_model *model);

#endif
