#include "safetensors.h"

#include "errors.h"
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 256, MOST_AXES = 16 };

static uint64_t head_size(const unsigned char *bytes) {
  uint64_t size = 0;
  for (int i = 0; i < 8; i++)
    size |= (uint64_t)bytes[i] << (8 * i);
  return size;
}

static int read_open_file(FILE *file, const char *path, rnnc_file *found) {
  unsigned char start[8] = {0};
  long end = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  if (end < 0 || fseek(file, 0, SEEK_SET))
    return rnnc_fail(RNNC_FILE, "cannot read '%s': %s", path, strerror(errno));
  if (end >= 8 && (fread(start, 1, 8, file) != 8 || fseek(file, 0, SEEK_SET)))
    return rnnc_fail(RNNC_FILE, "cannot read '%s'", path);
  size_t shift = (size_t)(8 - head_size(start) % 8) % 8;
  unsigned char *memory = malloc((size_t)end + 8);
  if (!memory)
    return rnnc_fail(RNNC_MEMORY, "no memory for the %ld bytes of '%s'", end, path);
  *found = (rnnc_file){memory, memory + shift, (size_t)end};
  if (fread(memory + shift, 1, (size_t)end, file) == (size_t)end)
    return RNNC_OK;
  free(memory);
  return rnnc_fail(RNNC_FILE, "cannot read '%s'", path);
}

int rnnc_read_file(const char *path, rnnc_file *found) {
  if (!path)
    return rnnc_fail(RNNC_ARGUMENT, "the path of the weights is NULL");
  FILE *file = fopen(path, "rb");
  if (!file)
    return rnnc_fail(RNNC_FILE, "cannot open '%s': %s", path, strerror(errno));
  int status = read_open_file(file, path, found);
  fclose(file);
  return status;
}

/* One array of the file. */
typedef struct entry {
  char name[LONGEST_NAME], dtype[8];
  int64_t shape[MOST_AXES], offsets[2];
  int rank;
} entry;

static int read_entry(json *head, entry *e) {
  char key[16];
  int found = 0;
  if (!json_is(head, '{'))
    return 0;
  do {
    if (!json_string(head, key, sizeof key) || !json_is(head, ':'))
      return 0;
    if (!strcmp(key, "dtype") && json_string(head, e->dtype, sizeof e->dtype))
      found |= 1;
    else if (!strcmp(key, "shape") && (e->rank = json_ints(head, e->shape, MOST_AXES)) >= 0)
      found |= 2;
    else if (!strcmp(key, "data_offsets") && json_ints(head, e->offsets, 2) == 2)
      found |= 4;
    else
      return 0;
  } while (json_is(head, ','));
  return json_is(head, '}') && found == 7;
}

static int has_shape(const entry *e, const int64_t *shape, int32_t rank) {
  return e->rank == rank && !memcmp(e->shape, shape, sizeof(int64_t) * (size_t)rank);
}

static void shape_text(char *text, size_t size, const int64_t *shape, int rank) {
  size_t used = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)shape[i]);
  if (used < size)
    snprintf(text + used, size - used, "]");
}

static int wrong_shape(const entry *e, const int64_t *shape, int32_t rank) {
  char found[128], wanted[128];
  shape_text(found, sizeof found, e->shape, e->rank);
  shape_text(wanted, sizeof wanted, shape, rank);
  return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' is %s but must be %s", e->name, found, wanted);
}

/* Takes an array for a parameter, or for one point of it; `data` begins at the array. */
static int take(const rnnc_parameter *p, int is_stack, const entry *e, const unsigned char *data,
                const void **found) {
  static const char *const names[] = {[RNNC_REAL] = "F32", [RNNC_INT] = "I32", [RNNC_BOOL] = "BOOL"};
  const int64_t *shape = is_stack ? p->stack_shape : p->shape;
  int32_t rank = is_stack ? p->stack_rank : p->rank;
  if (!has_shape(e, shape, rank))
    return wrong_shape(e, shape, rank);
  if (strcmp(e->dtype, names[p->dtype]))
    return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' holds %s but must hold %s", e->name, e->dtype,
                     names[p->dtype]);
  int64_t element = p->dtype == RNNC_BOOL ? 1 : 4, size = element;
  for (int32_t i = 0; i < p->rank; i++)
    size *= p->shape[i];
  if (e->offsets[1] - e->offsets[0] != (is_stack ? size * p->parts : size))
    return rnnc_fail(RNNC_FILE, "parameter '%s' has %lld bytes in the file", e->name,
                     (long long)(e->offsets[1] - e->offsets[0]));
  data += is_stack ? size * p->part : 0;
  if ((uintptr_t)data % (uintptr_t)element)
    return rnnc_fail(RNNC_FILE, "parameter '%s' is not aligned in the file", e->name);
  *found = data;
  return RNNC_OK;
}

static int take_entry(const rnnc_description *d, const entry *e, const unsigned char *data,
                      const void **found) {
  int known = 0;
  for (int32_t i = 0; i < d->num_parameters; i++) {
    const rnnc_parameter *p = &d->parameters[i];
    int is_own = !strcmp(e->name, p->name);
    if (!is_own && !(p->stack && !strcmp(e->name, p->stack)))
      continue;
    known = 1;
    if (!is_own && found[i])
      continue; /* its own array goes before the stack's */
    int status = take(p, !is_own, e, data, &found[i]);
    if (status)
      return status;
  }
  return known ? RNNC_OK
               : rnnc_fail(RNNC_WEIGHTS, "'%s' has no parameter '%s'", d->name, e->name);
}

static int damaged(const char *why) { return rnnc_fail(RNNC_FILE, "the weights are %s", why); }

int rnnc_find_parameters(const rnnc_description *d, const unsigned char *bytes, size_t length,
                         const void **found) {
  if (length < 8 || head_size(bytes) > length - 8)
    return damaged("no safetensors file, or cut short");
  uint64_t size = head_size(bytes);
  for (int32_t i = 0; i < d->num_parameters; i++)
    found[i] = NULL;
  json head = {(const char *)bytes + 8, (const char *)bytes + 8 + size};
  const unsigned char *data = bytes + 8 + size;
  int64_t available = (int64_t)(length - 8 - size);
  if (!json_is(&head, '{'))
    return damaged("damaged: the head is no JSON object");
  int more = !json_is(&head, '}');
  while (more) {
    entry e;
    if (!json_string(&head, e.name, sizeof e.name) || !json_is(&head, ':'))
      return damaged("damaged: a name is missing in the head");
    if (!strcmp(e.name, "__metadata__")) {
      if (!json_skip(&head))
        return damaged("damaged: the metadata cannot be read");
    } else {
      if (!read_entry(&head, &e))
        return rnnc_fail(RNNC_FILE, "the weights are damaged: the entry of '%s' cannot be read",
                         e.name);
      if (e.offsets[0] > e.offsets[1] || e.offsets[1] > available)
        return rnnc_fail(RNNC_FILE, "the weights are cut short: '%s' ends at byte %lld of %lld",
                         e.name, (long long)e.offsets[1], (long long)available);
      int status = take_entry(d, &e, data + e.offsets[0], found);
      if (status)
        return status;
    }
    more = json_is(&head, ',');
    if (!more && !json_is(&head, '}'))
      return damaged("damaged: the head does not end");
  }
  for (int32_t i = 0; i < d->num_parameters; i++)
    if (!found[i])
      return rnnc_fail(RNNC_WEIGHTS, "parameter '%s' is missing", d->parameters[i].name);
  return RNNC_OK;
}
