#include "sparse.h"

#include <string.h>

enum { LINE = 16, MOST_LANES = 64 }; /* words of a cache line, where groups begin */

static int64_t padded(int64_t words) { return (words + LINE - 1) / LINE * LINE; }

static int64_t group_size(const rnnc_pack *pack) { return (1 + RNNC_STEPS) * pack->vector; }

/* The most groups of a list; -1: none is worth making. */
static int64_t most_groups(const rnnc_pack *pack) {
  if (pack->depth < pack->window)
    return -1;
  return (int64_t)(pack->listed * (double)pack->depth) / RNNC_STEPS;
}

static int64_t whole_size(const rnnc_pack *pack) {
  return padded(LINE + pack->vector * pack->depth);
}

static int64_t list_size(const rnnc_pack *pack, int64_t groups) {
  return padded(padded(RNNC_HEADER + groups) + groups * group_size(pack));
}

int64_t rnnc_sparse_table(int64_t vectors) { return padded(vectors); }

int64_t rnnc_sparse_most(const rnnc_pack *pack) {
  int64_t groups = most_groups(pack), whole = whole_size(pack);
  int64_t list = groups < 0 ? 0 : list_size(pack, groups);
  return list > whole ? list : whole;
}

static float weight(const rnnc_matrix *m, int64_t row, int64_t k) {
  return m->at && row < m->rows && k < m->columns ? m->at[row * m->down + k * m->right] : 0;
}

/* The first k from `from` on at which a row has a weight that is not zero; `depth` if none. */
static int64_t next_weight(const rnnc_matrix *m, int64_t row, int64_t from, int64_t depth) {
  if (!m->at || row >= m->rows)
    return depth;
  for (int64_t k = from; k < m->columns; k++)
    if (m->at[row * m->down + k * m->right] != 0)
      return k;
  return depth;
}

/* All rows advance together, a group at a time: each takes its next weights that lie in the window,
 * which begins at the first weight that any row lacks. With `list` they are written. Returns how many
 * groups there are, or `most` + 1 if there are more. */
static int64_t groups_of(const rnnc_pack *pack, const rnnc_matrix *m, int64_t first, int64_t most,
                         int32_t *starts, int32_t *list) {
  int64_t next[MOST_LANES], lanes = pack->vector, depth = pack->depth;
  for (int64_t lane = 0; lane < lanes; lane++)
    next[lane] = next_weight(m, first + lane, 0, depth);
  for (int64_t count = 0; count <= most; count++) {
    int64_t start = depth;
    for (int64_t lane = 0; lane < lanes; lane++)
      start = next[lane] < start ? next[lane] : start;
    if (start == depth)
      return count;
    start = start + pack->window > depth ? depth - pack->window : start;
    for (int64_t lane = 0; lane < lanes; lane++)
      for (int32_t step = 0; step < RNNC_STEPS && next[lane] < start + pack->window; step++) {
        if (list) {
          float value = weight(m, first + lane, next[lane]);
          list[lane] |= (int32_t)(next[lane] - start) << (8 * step);
          memcpy(&list[(1 + step) * lanes + lane], &value, sizeof value);
        }
        next[lane] = next_weight(m, first + lane, next[lane] + 1, depth);
      }
    if (list) {
      starts[count] = (int32_t)start;
      list += group_size(pack);
    }
  }
  return most + 1;
}

int64_t rnnc_sparse_fill(const rnnc_pack *pack, rnnc_matrix matrix, int64_t first, int32_t *words) {
  int64_t most = most_groups(pack);
  int64_t count = most < 0 ? 0 : groups_of(pack, &matrix, first, most, NULL, NULL);
  int is_list = most >= 0 && count <= most;
  int64_t size = is_list ? list_size(pack, count) : whole_size(pack);
  memset(words, 0, (size_t)size * sizeof *words);
  if (is_list) {
    int64_t length = padded(RNNC_HEADER + count);
    words[0] = (int32_t)count;
    words[1] = (int32_t)length;
    groups_of(pack, &matrix, first, count, words + RNNC_HEADER, words + length);
    return size;
  }
  words[0] = -1;
  words[1] = LINE;
  for (int64_t lane = 0; lane < pack->vector; lane++)
    for (int64_t k = 0; k < pack->depth; k++) {
      float value = weight(&matrix, first + lane, k);
      memcpy(&words[LINE + k * pack->vector + lane], &value, sizeof value);
    }
  return size;
}
