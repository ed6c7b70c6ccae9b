/* What generated code tells the runtime of one model: tables that follow the manifest. */
#ifndef RNNC_DESCRIPTION_H
#define RNNC_DESCRIPTION_H

#include "rnnc_runtime.h"

#include <stddef.h>

typedef enum rnnc_dtype { RNNC_REAL, RNNC_INT, RNNC_BOOL } rnnc_dtype;

enum { RNNC_ALIGNMENT = 64, RNNC_SLACK = 64 };

/* lower <= index < upper. */
typedef struct rnnc_range {
  int64_t lower, upper;
} rnnc_range;

/* One array that the user gives. `stack` is the name under which one array holds all points, or
 * NULL; then this point is part `part` of `parts`. Ints must be within `range`. */
typedef struct rnnc_parameter {
  const char *name, *stack;
  int64_t part, parts;
  int32_t stack_rank;
  const int64_t *stack_shape;
  rnnc_dtype dtype;
  int32_t rank;
  const int64_t *shape;
  rnnc_range range;
} rnnc_parameter;

/* A parameter at all its points, or a result of the preparation. Position p of the box of `dims`
 * holds array sources[p], -1 where there is none. As stored the last axis has `padded` elements. */
typedef struct rnnc_stored {
  rnnc_dtype dtype;
  int32_t num_dims;
  const rnnc_range *dims;
  const int32_t *sources;
  int32_t rank;
  const int64_t *shape;
  int64_t padded;
} rnnc_stored;

/* rows x columns of a stored matrix. Each entry of `index` (its dims, then its leading axes) is
 * affine in the loops of the pack: a constant, then one factor a loop. */
typedef struct rnnc_block {
  int32_t stored, num_leading, transposed;
  const int64_t *index;
  int64_t row, rows, column, columns;
} rnnc_block;

/* The types in which packed weights are stored; a bf16 is the upper half of a float. */
typedef enum rnnc_weights {
  RNNC_WEIGHTS_FLOAT32,
  RNNC_WEIGHTS_BF16,
  RNNC_WEIGHTS_INT8,
  RNNC_WEIGHTS_SPARSE
} rnnc_weights;

/* Weights as a kernel reads them: [*loops, tiles, ceil(depth / group), gates, lanes, group].
 * Of int8 each tile has one more row of groups, in which stands the scale of each lane, a float.
 * Sparse ones have a layout of their own (sparse.h), with vectors of `vector` rows and windows of
 * `window` values; vectors with more than `listed` steps for each k are stored whole. */
typedef struct rnnc_pack {
  int32_t num_loops, num_gates;
  const rnnc_range *loops;
  const rnnc_block *gates;
  int64_t tiles, depth, lanes, group;
  rnnc_weights type;
  int64_t vector, window;
  double listed;
} rnnc_pack;

/* A grid axis: `size` points, or those of extent number `extent` and `offset` more. `limits` are
 * the factors of this axis in the lower and the upper end of the port's range. */
typedef struct rnnc_axis {
  int64_t lower, size, offset, limits[2];
  int32_t extent; /* -1: of fixed size */
} rnnc_axis;

/* An input or output: grid axes, the batch, then `volume` values. */
typedef struct rnnc_port {
  const char *name;
  rnnc_dtype dtype;
  int32_t num_axes;
  const rnnc_axis *axes;
  int64_t volume;
  int32_t has_default, has_range;
  float value;                 /* of an input that is left out */
  int64_t constants[2];        /* of the range's ends */
  const int64_t *factors[2];   /* of each extent in them */
} rnnc_port;

/* An entry point; its pointers and sizes stand in the order that backends/cpu/entry.py gives. */
typedef struct rnnc_program {
  int32_t (*run)(const rnnc_runtime *, int32_t, void *const *, const int64_t *);
  int64_t (*workspace)(const int64_t *);
  int32_t num_extents, num_inputs, num_outputs, num_weights, num_packs;
  const char *const *extents;
  const int32_t *shared; /* of each extent: whether rows must have one length */
  const rnnc_port *inputs, *outputs;
  const int32_t *weights, *packs; /* numbers of stored arrays, of packs */
} rnnc_program;

/* What a stream keeps from step to step: output `after` of a step, and of the beginning (-1: it
 * begins with zeros), is input `before` of the next step. */
typedef struct rnnc_state {
  int32_t before, after, begin;
} rnnc_state;

typedef struct rnnc_description {
  const char *name;    /* of the model */
  uint64_t interface;  /* what headers and callers must have been made for */
  int32_t num_parameters, num_stored, num_packs, num_states;
  const rnnc_parameter *parameters;
  const rnnc_stored *stored; /* the results of the preparation are the last */
  const rnnc_pack *packs;
  const rnnc_state *states;
  const rnnc_program *forward, *prepare, *begin, *step; /* all but `forward` may be NULL */
  const unsigned char *embedded; /* a safetensors file, or NULL */
  size_t embedded_size;
} rnnc_description;

#endif
