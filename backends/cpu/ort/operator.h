/* A model as an operator of ONNX Runtime. */
#ifndef RNNC_OPERATOR_H
#define RNNC_OPERATOR_H

#include "call.h"
#include "ort.h"

/* The axes of a port's values behind the batch, and how its whole shape is written. */
typedef struct rnnc_values {
  int32_t rank;
  const int64_t *shape;
  const char *text;
} rnnc_values;

/* The operator's inputs are those of the model, lengths of each extent, extents that no input
 * must have (`free`), and the parameters. */
typedef struct rnnc_operator {
  OrtCustomOp face;
  const char *domain, *name;
  const rnnc_description *description;
  const rnnc_values *inputs, *outputs;
  int32_t num_free;
  const int32_t *free;
} rnnc_operator;

/* Adds the operator to what the sessions of `options` know, in a domain of its own. */
OrtStatus *rnnc_register(rnnc_operator *op, OrtSessionOptions *options, const OrtApiBase *base);

#endif
