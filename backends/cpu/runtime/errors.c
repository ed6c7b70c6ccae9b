#include "errors.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char text[512];

int rnnc_fail(rnnc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return status;
}

const char *rnnc_error(void) { return text; }
