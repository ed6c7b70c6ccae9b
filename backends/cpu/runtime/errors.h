/* Codes of errors, and the text of a thread's last one. */
#ifndef RNNC_ERRORS_H
#define RNNC_ERRORS_H

/* The values are those of <model>_status in the model's header. */
typedef enum rnnc_status {
  RNNC_OK,
  RNNC_VERSION,
  RNNC_ARGUMENT,
  RNNC_WEIGHTS,
  RNNC_FILE,
  RNNC_LENGTHS,
  RNNC_RANGE,
  RNNC_WORKSPACE,
  RNNC_MEMORY,
  RNNC_STREAM,
} rnnc_status;

/* Sets the text; returns `status`. */
__attribute__((format(printf, 2, 3))) int rnnc_fail(rnnc_status status, const char *format, ...);

/* The text of the last error in this thread, "" if there was none. */
const char *rnnc_error(void);

#endif
