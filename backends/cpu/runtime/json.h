/* As much JSON as the head of a safetensors file has. A cursor never passes its end. */
#ifndef RNNC_JSON_H
#define RNNC_JSON_H

#include <stddef.h>
#include <stdint.h>

typedef struct json {
  const char *at, *end;
} json;

/* Passes white space and `c`, if that comes next; returns whether it did. */
int json_is(json *j, char c);

/* Reads a string, cut to `size` bytes with its closing zero. Returns 0 if there is none. */
int json_string(json *j, char *text, size_t size);

/* Reads an int that is not negative. Returns 0 if there is none, or if it is too large. */
int json_int(json *j, int64_t *number);

/* Reads `[1, 2, ...]` of at most `most` ints. Returns how many there are, negative if none. */
int json_ints(json *j, int64_t *numbers, int most);

/* Passes any value. Returns 0 if there is none. */
int json_skip(json *j);

#endif
