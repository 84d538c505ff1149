/* What the coder of the most frequent bytes carries from its vector loop to the rest. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const uint8_t *plane;
  uint8_t *words;
  uint8_t *escapes;
  uint8_t *end; /* of the room for escapes */
  unsigned bits;
  uint8_t codes[256]; /* of every byte; 2^bits - 1: not in the table */
} top_encoder;

typedef struct {
  uint8_t *plane;
  const uint8_t *words;
  const uint8_t *escapes;
  const uint8_t *end;
  unsigned bits;
  uint8_t table[16];
} top_decoder;
