/* Sparse weights, as kernels read them: lists of the weights that are not zero.
 *
 * A pack is an array of 32-bit words. It begins with a table: for each vector of rows, in the order
 * [*loops, tile, gate, vector], how many words behind its own entry the vector begins:
 *
 *     number of groups; words from here to the first group; the start of each group in k; padding;
 *     groups: a vector of places, then RNNC_STEPS vectors of weights (float)
 *
 * Byte s of a place is where in the window, which begins at the group's start, the value stands that
 * weight s multiplies; where a row has no further weight in the window, that is 0 and so is the
 * place. A number of -1 says that all weights follow, for each k a vector.
 */
#ifndef RNNC_SPARSE_H
#define RNNC_SPARSE_H

#include "description.h"

enum {
  RNNC_STEPS = 4, /* weights of a row in a group; their places make a word */
  RNNC_HEADER = 2 /* words before the starts */
};

/* A matrix of which one vector of rows is packed: element (row, k) is at row*down + k*right. Rows
 * beyond `rows` and columns beyond `columns` are zero; NULL is zero everywhere. */
typedef struct rnnc_matrix {
  const float *at;
  int64_t down, right, rows, columns;
} rnnc_matrix;

/* The words of the table for so many vectors. */
int64_t rnnc_sparse_table(int64_t vectors);

/* The most words that a vector of a pack takes. */
int64_t rnnc_sparse_most(const rnnc_pack *pack);

/* Writes the vector that begins with row `first`; returns how many words it takes. A vector is a
 * list if that takes at most `listed` steps for each k and rows are as long as a window, which is
 * read whole. */
int64_t rnnc_sparse_fill(const rnnc_pack *pack, rnnc_matrix matrix, int64_t first, int32_t *words);

#endif
