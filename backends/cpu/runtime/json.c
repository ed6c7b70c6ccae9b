#include "json.h"

#include <string.h>

enum { DEEPEST = 32 };

static void pass_space(json *j) {
  while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\r' || *j->at == '\t'))
    j->at++;
}

int json_is(json *j, char c) {
  pass_space(j);
  if (j->at == j->end || *j->at != c)
    return 0;
  j->at++;
  return 1;
}

typedef struct text {
  char *place;
  size_t used, size;
} text;

static void put(text *t, unsigned byte) {
  if (t->used + 1 < t->size)
    t->place[t->used++] = (char)byte;
}

static void put_code(text *t, unsigned code) {
  if (code < 0x80) {
    put(t, code);
  } else if (code < 0x800) {
    put(t, 0xc0 | code >> 6);
    put(t, 0x80 | (code & 0x3f));
  } else {
    put(t, 0xe0 | code >> 12);
    put(t, 0x80 | (code >> 6 & 0x3f));
    put(t, 0x80 | (code & 0x3f));
  }
}

static int escaped(json *j, text *t) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (j->at == j->end)
    return 0;
  char c = *j->at++;
  const char *known = c ? strchr(from, c) : NULL;
  if (known) {
    put(t, (unsigned char)to[known - from]);
    return 1;
  }
  if (c != 'u' || j->end - j->at < 4)
    return 0;
  unsigned code = 0;
  for (int i = 0; i < 4; i++) {
    char digit = *j->at++;
    unsigned value = digit >= '0' && digit <= '9'   ? (unsigned)(digit - '0')
                     : digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a' + 10)
                     : digit >= 'A' && digit <= 'F' ? (unsigned)(digit - 'A' + 10)
                                                    : 16;
    if (value == 16)
      return 0;
    code = code * 16 + value;
  }
  put_code(t, code);
  return 1;
}

int json_string(json *j, char *place, size_t size) {
  text t = {place, 0, size};
  if (!json_is(j, '"'))
    return 0;
  while (j->at < j->end && *j->at != '"') {
    char c = *j->at++;
    if (c != '\\')
      put(&t, (unsigned char)c);
    else if (!escaped(j, &t))
      return 0;
  }
  if (j->at == j->end)
    return 0;
  j->at++;
  place[t.used] = 0;
  return 1;
}

int json_int(json *j, int64_t *number) {
  pass_space(j);
  const char *start = j->at;
  int64_t value = 0;
  for (; j->at < j->end && *j->at >= '0' && *j->at <= '9'; j->at++) {
    if (value > (INT64_MAX - 9) / 10)
      return 0;
    value = value * 10 + (*j->at - '0');
  }
  *number = value;
  return j->at > start;
}

int json_ints(json *j, int64_t *numbers, int most) {
  int count = 0;
  if (!json_is(j, '['))
    return -1;
  if (json_is(j, ']'))
    return 0;
  do {
    if (count == most || !json_int(j, &numbers[count]))
      return -1;
    count++;
  } while (json_is(j, ','));
  return json_is(j, ']') ? count : -1;
}

static int skip(json *j, int depth) {
  char text[1];
  if (depth > DEEPEST)
    return 0;
  if (json_is(j, '{')) {
    if (json_is(j, '}'))
      return 1;
    do {
      if (!json_string(j, text, sizeof text) || !json_is(j, ':') || !skip(j, depth + 1))
        return 0;
    } while (json_is(j, ','));
    return json_is(j, '}');
  }
  if (json_is(j, '[')) {
    if (json_is(j, ']'))
      return 1;
    do {
      if (!skip(j, depth + 1))
        return 0;
    } while (json_is(j, ','));
    return json_is(j, ']');
  }
  if (j->at < j->end && *j->at == '"')
    return json_string(j, text, sizeof text);
  const char *start = j->at; /* a number, true, false or null */
  while (j->at < j->end && *j->at && strchr("+-.0123456789Eaeflnrstu", *j->at))
    j->at++;
  return j->at > start;
}

int json_skip(json *j) { return skip(j, 0); }
