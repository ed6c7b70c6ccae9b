/* Sequences that come one step at a time: what a step needs of those before is kept in a stream. */
#ifndef RNNC_STREAM_H
#define RNNC_STREAM_H

#include "call.h"

typedef struct rnnc_stream rnnc_stream;

/* How many bytes a stream of so many rows needs. Negative: the error's code. */
int64_t rnnc_stream_size(const rnnc_description *d, int64_t batch);

/* Makes a stream before its first step in the caller's memory. `start` are the inputs that decide
 * how it begins, each a word; NULL leaves all of them out. */
int rnnc_stream_init(const rnnc_description *d, const rnnc_model *model, int64_t batch,
                     const rnnc_word *start, void *memory, int64_t size, rnnc_stream **stream);

/* Brings one row to before its first step; `start` is of that row alone. */
int rnnc_stream_reset(const rnnc_description *d, const rnnc_model *model, rnnc_stream *stream,
                      int64_t row, const rnnc_word *start);

int rnnc_stream_copy(const rnnc_description *d, const rnnc_stream *stream, void *memory,
                     int64_t size, rnnc_stream **copy);

/* One step of all rows. Words of the call: threads, inputs, outputs, pool. */
int rnnc_stream_step(const rnnc_description *d, const rnnc_model *model, rnnc_stream *stream,
                     const rnnc_word *call);

#endif
