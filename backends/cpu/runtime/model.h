/* A model with its weights: made once, then only read. */
#ifndef RNNC_MODEL_H
#define RNNC_MODEL_H

#include "description.h"
#include "errors.h"

typedef struct rnnc_model {
  const rnnc_description *description;
  void *allocated; /* what rnnc_free gives back; NULL if the memory is the caller's */
  void *arrays[];  /* of each program: its weights, its packs */
} rnnc_model;

/* How many bytes a model needs, room for its preparation included. */
int64_t rnnc_model_size(const rnnc_description *d);

/* Makes a model in `memory`, or, if that is NULL, in memory of its own. `parameters` are as many
 * pointers as the description has parameters. */
int rnnc_create(const rnnc_description *d, uint64_t interface, const void *const *parameters,
                void *memory, int64_t size, rnnc_model **model);

/* The same from a safetensors file. */
int rnnc_load(const rnnc_description *d, uint64_t interface, const char *path, rnnc_model **model);

/* The same from the bytes of one. */
int rnnc_load_bytes(const rnnc_description *d, uint64_t interface, const void *bytes, size_t length,
                    void *memory, int64_t size, rnnc_model **model);

/* Whether there is memory that the caller gives. */
int rnnc_check_memory(const void *memory);

void rnnc_free(rnnc_model *model);

/* Where the arrays of a program begin among those of a model. */
void *const *rnnc_arrays(const rnnc_model *model, const rnnc_program *program);

static inline int64_t rnnc_element(rnnc_dtype dtype) { return dtype == RNNC_BOOL ? 1 : 4; }

static inline int64_t rnnc_round(int64_t bytes) {
  return (bytes + RNNC_SLACK + RNNC_ALIGNMENT - 1) / RNNC_ALIGNMENT * RNNC_ALIGNMENT;
}

#endif
