/* Sorts the elements of a sub-block by magnitude, which is estimated from their row and column
 * or from their base (Formats/codecs.md, Sorted sub-blocks). Plain loops are fast enough,
 * because only the highest effort sorts. Hosts are little-endian, as the format is. */
#include <string.h>

#include "ckernels.h"

typedef uint16_t __attribute__((aligned(1), may_alias)) any16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any32;
typedef uint64_t __attribute__((aligned(1), may_alias)) any64;

static uint64_t element(const void *elements, size_t index, unsigned width) {
  switch (width) {
  case 2: return ((const any16 *)elements)[index];
  case 4: return ((const any32 *)elements)[index];
  default: return ((const any64 *)elements)[index];
  }
}

void ck_exponent_keys(const void *elements, size_t count, unsigned width, uint16_t *keys) {
  const unsigned shift = 8 * width - 9;
  for (size_t i = 0; i < count; i++) keys[i] = element(elements, i, width) >> shift & 0xFF;
}

void ck_grid_keys(const uint8_t *columns, size_t column_count, const uint8_t *rows, size_t first, size_t count, uint16_t *keys) {
  size_t column = first;
  for (size_t i = 0; i < count; i++) {
    keys[i] = (uint16_t)(columns[column] + *rows);
    if (++column < column_count) continue;
    column = 0;
    rows++;
  }
}

void ck_sorted_order(const uint16_t *keys, size_t count, uint32_t *order) {
  uint32_t next[ck_key_limit + 1] = {0};
  for (size_t i = 0; i < count; i++) next[keys[i] + 1]++;
  for (unsigned key = 0; key < ck_key_limit; key++) next[key + 1] += next[key];
  for (size_t i = 0; i < count; i++) order[next[keys[i]]++] = (uint32_t)i;
}

void ck_sort(void *sorted, const void *elements, const uint32_t *order, size_t count, unsigned width) {
  switch (width) {
  case 2: for (size_t i = 0; i < count; i++) ((any16 *)sorted)[i] = ((const any16 *)elements)[order[i]]; break;
  case 4: for (size_t i = 0; i < count; i++) ((any32 *)sorted)[i] = ((const any32 *)elements)[order[i]]; break;
  default: for (size_t i = 0; i < count; i++) ((any64 *)sorted)[i] = ((const any64 *)elements)[order[i]]; break;
  }
}

void ck_unsort(void *elements, const void *sorted, const uint32_t *order, size_t count, unsigned width) {
  switch (width) {
  case 2: for (size_t i = 0; i < count; i++) ((any16 *)elements)[order[i]] = ((const any16 *)sorted)[i]; break;
  case 4: for (size_t i = 0; i < count; i++) ((any32 *)elements)[order[i]] = ((const any32 *)sorted)[i]; break;
  default: for (size_t i = 0; i < count; i++) ((any64 *)elements)[order[i]] = ((const any64 *)sorted)[i]; break;
  }
}

void ck_grid_sums(const void *elements, size_t count, unsigned width, size_t first, size_t column_count, uint32_t *column_sums,
                  uint32_t *column_counts, uint32_t *row_sums, uint32_t *row_counts) {
  /* The 10 bits below the top bit: an 8-bit exponent in quarters. */
  const unsigned shift = 8 * width - 11;
  size_t column = first;
  for (size_t i = 0; i < count; i++) {
    const uint64_t x = element(elements, i, width);
    const uint32_t exponent = x >> shift & 0x3FF;
    const uint32_t is_counted = (x << (65 - 8 * width)) != 0;
    column_sums[column] += is_counted ? exponent : 0;
    column_counts[column] += is_counted;
    *row_sums += is_counted ? exponent : 0;
    *row_counts += is_counted;
    if (++column < column_count) continue;
    column = 0;
    row_sums++;
    row_counts++;
  }
}
