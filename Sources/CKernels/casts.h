/* Casts from binary32, rounded to nearest even. This file is compiled once for each instruction
 * set, as plain C that the compiler vectorizes. The including file defines KERNEL(name) and
 * KERNEL_NAME, and has set the target attribute. A NaN becomes the quiet NaN of the same sign
 * (Formats/codecs.md, Casts). */
#include <stdint.h>
#include <string.h>

#include "ckernels.h"

typedef uint16_t __attribute__((aligned(1), may_alias)) any16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any32;

static void to_bf16(any16 *to, const any32 *from, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t x = from[i];
    const uint32_t rounded = (x + 0x7FFF + (x >> 16 & 1)) >> 16;
    const uint32_t nan = (x >> 16 & 0x8000) | 0x7FC0;
    to[i] = (uint16_t)((x & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
  }
}

static float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static void to_f16(any16 *to, const any32 *from, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t x = from[i], magnitude = x & 0x7FFFFFFF;
    /* A binary16 subnormal is a multiple of 2^-24, as is every binary32 from 0.5 to 1. So adding
     * 0.5 rounds a small value in the required way. */
    const uint32_t small = as_bits(as_float(magnitude) + 0.5f) - 0x3F000000;
    const uint32_t normal = (magnitude + 0x0FFF + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    uint32_t y = magnitude < 0x38800000 ? small : normal;
    y = magnitude >= 0x477FF000 ? 0x7C00 : y;
    y = magnitude > 0x7F800000 ? 0x7E00 : y;
    to[i] = (uint16_t)((x >> 16 & 0x8000) | y);
  }
}

static void cast(void *to, const void *from, size_t count, ck_cast_type type) {
  if (type == ck_cast_bf16) to_bf16(to, from, count);
  else to_f16(to, from, count);
}

static int is_cast(const void *narrow, const void *wide, size_t count, ck_cast_type type) {
  /* A step stays in the L1 cache, and the comparison of a tensor that is not a cast ends after
   * the first step. */
  enum { step = 1024 };
  uint16_t tile[step];
  for (size_t done = 0; done < count; done += step) {
    const size_t here = count - done < step ? count - done : step;
    cast(tile, (const uint8_t *)wide + 4 * done, here, type);
    if (memcmp(tile, (const uint8_t *)narrow + 2 * done, 2 * here) != 0) return 0;
  }
  return 1;
}

const ck_cast_kernels KERNEL(casts) = {KERNEL_NAME, cast, is_cast};
