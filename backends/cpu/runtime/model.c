/* Making a model: its parameters are checked, laid out, prepared and packed. */
#include "model.h"
#include "safetensors.h"
#include "sparse.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROGRAMS = 3 };

/* Where a stored array is before it is laid out: an array of `shape` for each point of its box. */
typedef struct points {
  const void *const *parameters; /* of the user */
  char *const *prepared;         /* results of the preparation, all points of one after another */
} points;

static int64_t product(const int64_t *shape, int32_t rank) {
  int64_t result = 1;
  for (int32_t i = 0; i < rank; i++)
    result *= shape[i];
  return result;
}

static int64_t box(const rnnc_range *dims, int32_t num_dims) {
  int64_t result = 1;
  for (int32_t i = 0; i < num_dims; i++)
    result *= dims[i].upper - dims[i].lower;
  return result;
}

static int32_t first_prepared(const rnnc_description *d) {
  return d->num_stored - (d->prepare ? d->prepare->num_outputs : 0);
}

static const char *source(const rnnc_description *d, const points *given, int32_t number,
                          int64_t position) {
  const rnnc_stored *stored = &d->stored[number];
  int32_t first = first_prepared(d);
  if (number >= first) {
    int64_t step = product(stored->shape, stored->rank) * rnnc_element(stored->dtype);
    return given->prepared[number - first] + position * step;
  }
  int32_t found = stored->sources[position];
  return found < 0 ? NULL : given->parameters[found];
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static int64_t stored_size(const rnnc_stored *s) {
  int64_t inner = s->rank ? product(s->shape, s->rank - 1) * s->padded : 1;
  return box(s->dims, s->num_dims) * inner * rnnc_element(s->dtype);
}

static int64_t result_size(const rnnc_stored *s) {
  return box(s->dims, s->num_dims) * product(s->shape, s->rank) * rnnc_element(s->dtype);
}

static int64_t steps(const rnnc_pack *p) { return (p->depth + p->group - 1) / p->group; }

/* Weights of a tile, with those that fill its last groups, and scales as if they were weights. */
static int64_t tile_size(const rnnc_pack *p) {
  int64_t rows = steps(p) + (p->type == RNNC_WEIGHTS_INT8);
  return rows * p->group * p->num_gates * p->lanes;
}

/* How many lists sparse weights have. */
static int64_t count_vectors(const rnnc_pack *p) {
  return box(p->loops, p->num_loops) * p->tiles * p->num_gates * (p->lanes / p->vector);
}

/* The most bytes that a pack takes: those of sparse weights depend on their values. */
static int64_t pack_size(const rnnc_pack *p) {
  static const int64_t sizes[] = {4, 2, 1}; /* of rnnc_weights */
  if (p->type == RNNC_WEIGHTS_SPARSE)
    return 4 * (rnnc_sparse_table(count_vectors(p)) + count_vectors(p) * rnnc_sparse_most(p));
  return box(p->loops, p->num_loops) * p->tiles * tile_size(p) * sizes[p->type];
}

static int64_t arrays_size(const rnnc_description *d, const rnnc_program *program) {
  int64_t size = 0;
  for (int32_t i = 0; i < program->num_weights; i++)
    size += rnnc_round(stored_size(&d->stored[program->weights[i]]));
  for (int32_t i = 0; i < program->num_packs; i++)
    size += rnnc_round(pack_size(&d->packs[program->packs[i]]));
  return size;
}

static int32_t count_arrays(const rnnc_program *program) {
  return program->num_weights + program->num_packs;
}

/* The programs whose arrays a model keeps. */
static int32_t kept(const rnnc_description *d, const rnnc_program **programs) {
  int32_t count = 0;
  programs[count++] = d->forward;
  if (d->step)
    programs[count++] = d->step;
  if (d->begin)
    programs[count++] = d->begin;
  return count;
}

static int64_t handle_size(const rnnc_description *d) {
  const rnnc_program *programs[MOST_PROGRAMS];
  int32_t count = kept(d, programs);
  int64_t pointers = 0;
  for (int32_t i = 0; i < count; i++)
    pointers += count_arrays(programs[i]);
  return rnnc_round((int64_t)sizeof(rnnc_model) + pointers * (int64_t)sizeof(void *));
}

/* Of a preparation: a batch of one and, for each result, its grid strides and its batch. */
static int32_t count_prepare_sizes(const rnnc_description *d) {
  int32_t count = 1;
  for (int32_t i = first_prepared(d); i < d->num_stored; i++)
    count += d->stored[i].num_dims + 1;
  return count;
}

static void prepare_sizes(const rnnc_description *d, int64_t *sizes) {
  *sizes++ = 1;
  for (int32_t i = first_prepared(d); i < d->num_stored; i++) {
    const rnnc_stored *s = &d->stored[i];
    int64_t step = product(s->shape, s->rank);
    for (int32_t dim = 0; dim < s->num_dims; dim++)
      sizes[dim] = step * box(s->dims + dim + 1, s->num_dims - dim - 1);
    sizes += s->num_dims;
    *sizes++ = step;
  }
}

/* What only the preparation needs. */
static int64_t scratch_size(const rnnc_description *d) {
  if (!d->prepare)
    return 0;
  int64_t sizes[count_prepare_sizes(d)];
  prepare_sizes(d, sizes);
  int64_t size = arrays_size(d, d->prepare) + rnnc_round(d->prepare->workspace(sizes));
  for (int32_t i = first_prepared(d); i < d->num_stored; i++)
    size += rnnc_round(result_size(&d->stored[i]));
  return size;
}

static int64_t model_size(const rnnc_description *d) {
  const rnnc_program *programs[MOST_PROGRAMS];
  int32_t count = kept(d, programs);
  int64_t size = handle_size(d) + RNNC_ALIGNMENT;
  for (int32_t i = 0; i < count; i++)
    size += arrays_size(d, programs[i]);
  return size;
}

int64_t rnnc_model_size(const rnnc_description *d) {
  return model_size(d) + (d->prepare ? scratch_size(d) + RNNC_ALIGNMENT : 0);
}

/* ---- filling -------------------------------------------------------------------------------- */

static void lay_out(const rnnc_description *d, const points *given, int32_t number, char *target) {
  const rnnc_stored *s = &d->stored[number];
  int64_t element = rnnc_element(s->dtype);
  int64_t rows = s->rank ? product(s->shape, s->rank - 1) : 1;
  int64_t row = (s->rank ? s->shape[s->rank - 1] : 1) * element;
  int64_t step = (s->rank ? s->padded : 1) * element, positions = box(s->dims, s->num_dims);
  for (int64_t position = 0; position < positions; position++) {
    const char *from = source(d, given, number, position);
    for (int64_t i = 0; from && i < rows; i++)
      memcpy(target + (position * rows + i) * step, from + i * row, (size_t)row);
  }
}

static int64_t affine(const int64_t *form, const int64_t *values, int32_t count) {
  int64_t result = form[0];
  for (int32_t i = 0; i < count; i++)
    result += form[i + 1] * values[i];
  return result;
}

/* The first element of a block at one point of the pack's loops; NULL where there is no array. */
static const float *block_at(const rnnc_description *d, const points *given, const rnnc_pack *pack,
                             const rnnc_block *block, const int64_t *point) {
  const rnnc_stored *s = &d->stored[block->stored];
  const int64_t *form = block->index;
  int64_t position = 0, offset = 0;
  for (int32_t i = 0; i < s->num_dims; i++, form += pack->num_loops + 1) {
    int64_t index = affine(form, point, pack->num_loops);
    if (index < s->dims[i].lower || index >= s->dims[i].upper)
      return NULL;
    position = position * (s->dims[i].upper - s->dims[i].lower) + index - s->dims[i].lower;
  }
  for (int32_t i = 0; i < block->num_leading; i++, form += pack->num_loops + 1)
    offset = offset * s->shape[i] + affine(form, point, pack->num_loops);
  const char *from = source(d, given, block->stored, position);
  int64_t matrix = s->shape[s->rank - 2] * s->shape[s->rank - 1];
  return from ? (const float *)from + offset * matrix : NULL;
}

/* The nearest bfloat16, ties to even; NaN stays NaN. */
static uint16_t bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value)
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* Integers from -127 to 127, the nearest to the values over their scale, the largest magnitude / 127,
 * ties to even. Without a magnitude of 2^-100 all are zero; with an infinity or NaN all are zero and
 * the scale is NaN. */
typedef struct rnnc_scale {
  float scale, inverse;
} rnnc_scale;

static rnnc_scale scale_of(const float *values, int64_t count, int64_t stride) {
  float largest = 0;
  for (int64_t i = 0; i < count; i++) {
    float magnitude = fabsf(values[i * stride]);
    if (!(magnitude <= FLT_MAX))
      return (rnnc_scale){NAN, 0};
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest >= 0x1p-100f ? (rnnc_scale){largest / 127, 127 / largest} : (rnnc_scale){0, 0};
}

/* Gate `gate` of the tiles from weight `start` on: row r, column k at
 * [r / lanes, k / group, gate, r % lanes, k % group]. */
static void fill(const rnnc_pack *pack, const rnnc_block *block, const float *matrix, int64_t width,
                 int32_t gate, void *packed, int64_t start) {
  int64_t down = block->transposed ? 1 : width, right = block->transposed ? width : 1;
  int64_t group = pack->group, step = pack->num_gates * pack->lanes * group;
  matrix += block->row * down + block->column * right;
  for (int64_t first = 0; first < block->rows; first += pack->lanes) {
    int64_t tile = start + first / pack->lanes * tile_size(pack) + gate * pack->lanes * group;
    int64_t rows = block->rows - first < pack->lanes ? block->rows - first : pack->lanes;
    for (int64_t lane = 0; lane < rows; lane++) {
      const float *row = matrix + (first + lane) * down;
      rnnc_scale scale = {1, 1};
      if (pack->type == RNNC_WEIGHTS_INT8) {
        scale = scale_of(row, block->columns, right);
        memcpy((int8_t *)packed + tile + steps(pack) * step + lane * group, &scale.scale, 4);
      }
      for (int64_t k = 0; k < block->columns; k++) {
        int64_t at = tile + k / group * step + lane * group + k % group;
        float value = row[k * right];
        if (pack->type == RNNC_WEIGHTS_BF16)
          ((uint16_t *)packed)[at] = bf16(value);
        else if (pack->type == RNNC_WEIGHTS_FLOAT32)
          ((float *)packed)[at] = value;
        else if (scale.inverse != 0)
          ((int8_t *)packed)[at] = (int8_t)rintf(value * scale.inverse);
      }
    }
  }
}

/* The values of the loops at one of their places. */
static void find_point(const rnnc_pack *pack, int64_t place, int64_t *point) {
  for (int32_t i = pack->num_loops - 1; i >= 0; i--) {
    int64_t size = pack->loops[i].upper - pack->loops[i].lower;
    point[i] = pack->loops[i].lower + place % size;
    place /= size;
  }
}

/* Returns how many bytes are used. */
static int64_t fill_sparse(const rnnc_description *d, const points *given, const rnnc_pack *pack,
                           int32_t *words) {
  int64_t places = box(pack->loops, pack->num_loops), number = 0;
  int64_t at = rnnc_sparse_table(count_vectors(pack)), point[pack->num_loops + 1];
  memset(words, 0, (size_t)at * sizeof *words);
  for (int64_t place = 0; place < places; place++) {
    find_point(pack, place, point);
    for (int64_t tile = 0; tile < pack->tiles; tile++)
      for (int32_t gate = 0; gate < pack->num_gates; gate++) {
        const rnnc_block *block = &pack->gates[gate];
        const rnnc_stored *s = &d->stored[block->stored];
        int64_t width = s->shape[s->rank - 1];
        int64_t down = block->transposed ? 1 : width, right = block->transposed ? width : 1;
        const float *from = block_at(d, given, pack, block, point);
        rnnc_matrix matrix = {from ? from + block->row * down + block->column * right : NULL,
                              down, right, block->rows, block->columns};
        for (int64_t row = 0; row < pack->lanes; row += pack->vector) {
          words[number] = (int32_t)(at - number);
          at += rnnc_sparse_fill(pack, matrix, tile * pack->lanes + row, words + at);
          number++;
        }
      }
  }
  return at * (int64_t)sizeof *words;
}

static void fill_pack(const rnnc_description *d, const points *given, const rnnc_pack *pack,
                      void *target) {
  int64_t places = box(pack->loops, pack->num_loops);
  int64_t place_size = pack->tiles * tile_size(pack);
  int64_t point[pack->num_loops + 1];
  for (int64_t place = 0; place < places; place++) {
    find_point(pack, place, point);
    for (int32_t gate = 0; gate < pack->num_gates; gate++) {
      const rnnc_block *block = &pack->gates[gate];
      const rnnc_stored *s = &d->stored[block->stored];
      const float *matrix = block_at(d, given, pack, block, point);
      if (matrix)
        fill(pack, block, matrix, s->shape[s->rank - 1], gate, target, place * place_size);
    }
  }
}

/* Lays out the arrays of a program one after another from `memory`; returns where they end. */
static char *fill_arrays(const rnnc_description *d, const points *given,
                         const rnnc_program *program, char *memory, void **arrays) {
  for (int32_t i = 0; i < program->num_weights; i++) {
    int64_t size = rnnc_round(stored_size(&d->stored[program->weights[i]]));
    memset(memory, 0, (size_t)size);
    lay_out(d, given, program->weights[i], memory);
    *arrays++ = memory;
    memory += size;
  }
  for (int32_t i = 0; i < program->num_packs; i++) {
    const rnnc_pack *pack = &d->packs[program->packs[i]];
    *arrays++ = memory;
    if (pack->type == RNNC_WEIGHTS_SPARSE) {
      memory += rnnc_round(fill_sparse(d, given, pack, (int32_t *)memory));
      continue;
    }
    int64_t size = rnnc_round(pack_size(pack));
    memset(memory, 0, (size_t)size);
    fill_pack(d, given, pack, memory);
    memory += size;
  }
  return memory;
}

static void prepare(const rnnc_description *d, points *given, char *scratch, char **results) {
  const rnnc_program *program = d->prepare;
  int32_t count = program->num_outputs, arrays = count_arrays(program);
  int64_t sizes[count_prepare_sizes(d)];
  void *pointers[count + arrays + 1];
  prepare_sizes(d, sizes);
  for (int32_t i = 0; i < count; i++) {
    pointers[i] = results[i] = scratch;
    scratch += rnnc_round(result_size(&d->stored[first_prepared(d) + i]));
  }
  pointers[count + arrays] = fill_arrays(d, given, program, scratch, pointers + count);
  program->run(NULL, 1, pointers, sizes);
  given->prepared = results;
}

/* ---- the interface -------------------------------------------------------------------------- */

static char *aligned(void *memory) {
  uintptr_t place = (uintptr_t)memory;
  return (char *)memory + (RNNC_ALIGNMENT - place % RNNC_ALIGNMENT) % RNNC_ALIGNMENT;
}

/* Kernels trust ints: one that is out of its range would be read outside an array. */
static int check_parameter(const rnnc_parameter *parameter, const void *data) {
  if (!data)
    return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' is NULL", parameter->name);
  if ((uintptr_t)data % (uintptr_t)rnnc_element(parameter->dtype))
    return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' is not aligned", parameter->name);
  if (parameter->dtype != RNNC_INT)
    return RNNC_OK;
  const int32_t *values = data;
  int64_t count = product(parameter->shape, parameter->rank);
  rnnc_range range = parameter->range;
  for (int64_t i = 0; i < count; i++)
    if (values[i] < range.lower || values[i] >= range.upper)
      return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' holds %d, which is not in %lld..%lld",
                       parameter->name, (int)values[i], (long long)range.lower,
                       (long long)range.upper);
  return RNNC_OK;
}

static int check_start(const rnnc_description *d, uint64_t interface, void *memory, int64_t size,
                       rnnc_model **model) {
  if (!model)
    return rnnc_fail(RNNC_ARGUMENT, "the place for the model is NULL");
  *model = NULL;
  if (interface != d->interface)
    return rnnc_fail(RNNC_VERSION,
                     "the caller was made for interface %016llx of '%s', the library has %016llx",
                     (unsigned long long)interface, d->name, (unsigned long long)d->interface);
  if (memory && size < rnnc_model_size(d))
    return rnnc_fail(RNNC_MEMORY, "the memory has %lld bytes, the model needs %lld",
                     (long long)size, (long long)rnnc_model_size(d));
  return RNNC_OK;
}

int rnnc_create(const rnnc_description *d, uint64_t interface, const void *const *parameters,
                void *memory, int64_t size, rnnc_model **model) {
  int status = check_start(d, interface, memory, size, model);
  if (status)
    return status;
  if (!parameters && d->num_parameters)
    return rnnc_fail(RNNC_ARGUMENT, "the parameters are NULL");
  for (int32_t i = 0; i < d->num_parameters; i++)
    if ((status = check_parameter(&d->parameters[i], parameters[i])))
      return status;
  int64_t own = model_size(d);
  void *allocated = NULL, *scratch = NULL;
  if (memory) {
    scratch = (char *)memory + own;
  } else {
    memory = allocated = malloc((size_t)own);
    scratch = d->prepare ? malloc((size_t)scratch_size(d) + RNNC_ALIGNMENT) : NULL;
    if (!memory || (d->prepare && !scratch)) {
      free(allocated);
      free(scratch);
      return rnnc_fail(RNNC_MEMORY, "no memory for the %lld bytes of the model", (long long)own);
    }
  }
  points given = {parameters, NULL};
  char *results[d->num_stored + 1];
  if (d->prepare)
    prepare(d, &given, aligned(scratch), results);
  rnnc_model *made = (rnnc_model *)aligned(memory);
  made->description = d;
  made->allocated = allocated;
  const rnnc_program *programs[MOST_PROGRAMS];
  int32_t count = kept(d, programs);
  char *place = (char *)made + handle_size(d);
  void **arrays = made->arrays;
  for (int32_t i = 0; i < count; i++) {
    place = fill_arrays(d, &given, programs[i], place, arrays);
    arrays += count_arrays(programs[i]);
  }
  if (allocated)
    free(scratch);
  *model = made;
  return RNNC_OK;
}

int rnnc_load_bytes(const rnnc_description *d, uint64_t interface, const void *bytes, size_t length,
                    void *memory, int64_t size, rnnc_model **model) {
  int status = check_start(d, interface, memory, size, model);
  if (status)
    return status;
  if (!bytes)
    return rnnc_fail(RNNC_ARGUMENT, "the bytes of the weights are NULL");
  const void *found[d->num_parameters + 1];
  status = rnnc_find_parameters(d, bytes, length, found);
  return status ? status : rnnc_create(d, interface, found, memory, size, model);
}

int rnnc_load(const rnnc_description *d, uint64_t interface, const char *path,
              rnnc_model **model) {
  int status = check_start(d, interface, NULL, 0, model);
  if (status)
    return status;
  rnnc_file file;
  if ((status = rnnc_read_file(path, &file)))
    return status;
  status = rnnc_load_bytes(d, interface, file.bytes, file.length, NULL, 0, model);
  free(file.allocated);
  return status;
}

int rnnc_check_memory(const void *memory) {
  return memory ? RNNC_OK : rnnc_fail(RNNC_ARGUMENT, "the memory is NULL");
}

void rnnc_free(rnnc_model *model) {
  if (model)
    free(model->allocated);
}

void *const *rnnc_arrays(const rnnc_model *model, const rnnc_program *program) {
  const rnnc_program *programs[MOST_PROGRAMS];
  int32_t count = kept(model->description, programs);
  void *const *arrays = model->arrays;
  for (int32_t i = 0; i < count && programs[i] != program; i++)
    arrays += count_arrays(programs[i]);
  return arrays;
}
