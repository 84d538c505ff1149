#include <pthread.h>
#include <string.h>

#include "ckernels.h"

/* The bit of the lowest power is the highest, as everywhere in this file. */
static const struct {
  uint64_t polynomial, one;
} kinds[] = {
    [ck_crc_64_nvme] = {0x9a6c9329ac4bc9b5, 1ull << 63},
    [ck_crc_32c] = {0x82f63b78, 1ull << 31},
};
enum { kind_count = sizeof kinds / sizeof kinds[0] };

/* Table t has the remainders of a byte that is followed by t bytes of zeros: eight bytes are
 * looked up at once ("slicing by 8"). A check of 32 bits leaves the upper half 0. */
static uint64_t tables[kind_count][8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
  for (int kind = 0; kind < kind_count; kind++) {
    uint64_t(*table)[256] = tables[kind];
    for (uint64_t byte = 0; byte < 256; byte++) {
      uint64_t rest = byte;
      for (int bit = 0; bit < 8; bit++) rest = rest >> 1 ^ (rest & 1 ? kinds[kind].polynomial : 0);
      table[0][byte] = rest;
    }
    for (int t = 1; t < 8; t++)
      for (int byte = 0; byte < 256; byte++) {
        const uint64_t before = table[t - 1][byte];
        table[t][byte] = before >> 8 ^ table[0][before & 255];
      }
  }
}

static uint64_t inverted(ck_crc_kind kind, uint64_t crc) {
  return crc ^ (kinds[kind].one | (kinds[kind].one - 1));
}

uint64_t ck_crc(ck_crc_kind kind, uint64_t crc, const void *bytes, size_t count) {
  pthread_once(&once, fill_tables);
  uint64_t(*table)[256] = tables[kind];
  const unsigned char *next = bytes;
  crc = inverted(kind, crc);
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    memcpy(&word, next, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    word ^= crc;
    crc = table[7][word & 255] ^ table[6][word >> 8 & 255] ^ table[5][word >> 16 & 255] ^
          table[4][word >> 24 & 255] ^ table[3][word >> 32 & 255] ^ table[2][word >> 40 & 255] ^
          table[1][word >> 48 & 255] ^ table[0][word >> 56];
  }
  for (; count > 0; count--, next++) crc = crc >> 8 ^ table[0][(crc ^ *next) & 255];
  return inverted(kind, crc);
}

/* Returns the product of two polynomials, modulo that of the check. */
static uint64_t product(ck_crc_kind kind, uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  for (uint64_t bit = kinds[kind].one; bit != 0; bit >>= 1) {
    if (a & bit) sum ^= b;
    b = b >> 1 ^ (b & 1 ? kinds[kind].polynomial : 0);
  }
  return sum;
}

uint64_t ck_crc_joined(ck_crc_kind kind, uint64_t first, uint64_t second, uint64_t second_count) {
  /* The first check is shifted past the second bytes: multiplied by x^(8 second_count). */
  uint64_t square = kinds[kind].one >> 8;
  for (; second_count != 0; second_count >>= 1) {
    if (second_count & 1) first = product(kind, square, first);
    square = product(kind, square, square);
  }
  return first ^ second;
}
