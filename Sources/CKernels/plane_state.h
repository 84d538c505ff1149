/* State of the coder of mode top, passed from the vector loop to the scalar loop that encodes or
 * decodes the rest. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const uint8_t *plane;
  uint8_t *words;
  uint8_t *escapes;
  uint8_t *end; /* end of the memory for escapes */
  unsigned bits;
  uint8_t codes[256]; /* code of every byte value; 2^bits - 1 if it is not in the table */
} top_encoder;

typedef struct {
  uint8_t *plane;
  const uint8_t *words;
  const uint8_t *escapes;
  const uint8_t *end;
  unsigned bits;
  uint8_t table[16];
} top_decoder;
