/* A call: its arguments are checked and brought into the form that kernels take. */
#ifndef RNNC_FORWARD_H
#define RNNC_FORWARD_H

#include "model.h"

/* The arguments of a call as words of eight bytes, in the order of <model>_call: extents, batch,
 * threads, inputs, outputs, lengths of each extent, strides, workspace, its size, pool. */
typedef int64_t rnnc_word;

/* How many bytes of workspace a call needs; only its extents and batch are looked at. Negative: the
 * error's code. */
int64_t rnnc_workspace_size(const rnnc_description *d, const rnnc_word *call);

/* Runs a model, which must be one of this description. */
int rnnc_call(const rnnc_description *d, const rnnc_model *model, const rnnc_word *call);

#endif
