/* Feeds damaged safetensors files to a model's loader, each in memory of exactly its size.
 *
 *   bad_files weights.safetensors      prints how many of how many were refused
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stacked_lstm.h"

static int loads(const unsigned char *bytes, size_t length) {
  unsigned char *own = malloc(length ? length : 1);
  stacked_lstm_model *model;
  memcpy(own, bytes, length);
  int status = stacked_lstm_load_bytes(STACKED_LSTM_INTERFACE, own, length, &model);
  free(own);
  stacked_lstm_free(model);
  return !status;
}

int main(int argc, char **argv) {
  FILE *file = fopen(argv[argc - 1], "rb");
  static unsigned char bytes[1 << 20];
  size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0, head = 8 + bytes[0] + 256 * bytes[1];
  int refused = 0, tried = 0;
  if (file)
    fclose(file);
  if (!loads(bytes, length)) {
    puts(stacked_lstm_error());
    return 1;
  }
  for (size_t cut = 0; cut < length; cut += cut < head ? 1 : 61, tried++)
    refused += !loads(bytes, cut);
  for (size_t place = 0; place < head; place++) {
    static const unsigned char others[] = {0, '"', '{', '}', '[', ']', ',', ':', '9', '\\', 'u', 0xff};
    unsigned char kept = bytes[place];
    for (size_t i = 0; i < sizeof others; i++, tried++) {
      bytes[place] = others[i];
      refused += !loads(bytes, length);
    }
    bytes[place] = kept;
  }
  printf("%d of %d refused\n", refused, tried);
  return 0;
}
