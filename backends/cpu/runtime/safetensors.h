/* Weights in a safetensors file: a length of eight bytes, that much JSON, then the arrays.
 *
 * Nothing in a file is trusted: every number is checked before it is followed. */
#ifndef RNNC_SAFETENSORS_H
#define RNNC_SAFETENSORS_H

#include "description.h"

/* A file in memory: `allocated` is to be freed. Its arrays are aligned if they are so among each
 * other, however long the head is. */
typedef struct rnnc_file {
  void *allocated;
  const unsigned char *bytes;
  size_t length;
} rnnc_file;

int rnnc_read_file(const char *path, rnnc_file *file);

/* Where each parameter is among the bytes of a file, in `found`. Every parameter must be there, and
 * nothing else. */
int rnnc_find_parameters(const rnnc_description *d, const unsigned char *bytes, size_t length,
                         const void **found);

#endif
