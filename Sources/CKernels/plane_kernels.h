/* The plane kernels except for their inner loops, compiled once for each instruction set. The
 * including file defines KERNEL(name) and KERNEL_NAME, and has set the target attribute. It also
 * defines these functions, which process as many complete vector steps as fit and return the number
 * of bytes processed in each plane:
 *   split2, split4   (elements, count, planes)
 *   merge2, merge4   (elements, count, planes)
 *   top_encode_groups(state, count), top_decode_groups(state, count)   complete groups of 64 bytes
 * Loops over elements are plain C that the compiler vectorizes. Hosts are little-endian, as the
 * format is. */
#include <stdint.h>
#include <string.h>

#include "ckernels.h"

/* Bytes that are transformed in one step; they stay in the L1 cache. */
enum { tile_bytes = 4096 };

typedef uint8_t __attribute__((may_alias)) any8;
typedef uint16_t __attribute__((aligned(1), may_alias)) any16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any32;
typedef uint64_t __attribute__((aligned(1), may_alias)) any64;

/* The functions o, z and inverse z of Formats/codecs.md, and rotations by r bits, which may be
 * 0. */
#define ORDERED(bits, x) ((uint##bits##_t)((x) ^ ((uint##bits##_t)((int##bits##_t)(x) >> (bits - 1)) >> 1)))
#define ZIGZAG(bits, d) ((uint##bits##_t)((uint##bits##_t)((d) << 1) ^ (uint##bits##_t)((int##bits##_t)(d) >> (bits - 1))))
#define UNZIGZAG(bits, y) ((uint##bits##_t)((uint##bits##_t)((y) >> 1) ^ (uint##bits##_t)(0 - ((y) & 1))))
#define LEFT(bits, x, r) ((uint##bits##_t)((x) << (r) | (x) >> ((bits - (r)) & (bits - 1))))
#define RIGHT(bits, x, r) ((uint##bits##_t)((x) >> (r) | (x) << ((bits - (r)) & (bits - 1))))

#define DEFINE_TRANSFORMS(bits)                                                                                              \
  static void transform##bits(any##bits *to, const any##bits *x, const any##bits *b, size_t count, ck_transform how) {       \
    const unsigned r = how.rotation;                                                                                         \
    if (how.residual == ck_residual_ordered) {                                                                               \
      for (size_t i = 0; i < count; i++) {                                                                                   \
        const uint##bits##_t y = ZIGZAG(bits, (uint##bits##_t)(ORDERED(bits, x[i]) - ORDERED(bits, b[i])));                  \
        to[i] = LEFT(bits, y, r);                                                                                            \
      }                                                                                                                      \
    } else if (how.residual == ck_residual_difference) {                                                                     \
      for (size_t i = 0; i < count; i++) {                                                                                   \
        const uint##bits##_t y = ZIGZAG(bits, (uint##bits##_t)(x[i] - b[i]));                                                \
        to[i] = LEFT(bits, y, r);                                                                                            \
      }                                                                                                                      \
    } else if (how.residual == ck_residual_xor) {                                                                            \
      for (size_t i = 0; i < count; i++) {                                                                                   \
        const uint##bits##_t y = x[i] ^ b[i];                                                                                \
        to[i] = LEFT(bits, y, r);                                                                                            \
      }                                                                                                                      \
    } else {                                                                                                                 \
      for (size_t i = 0; i < count; i++) to[i] = LEFT(bits, x[i], r);                                                        \
    }                                                                                                                        \
  }                                                                                                                          \
  static void inverse##bits(any##bits *to, const any##bits *y, const any##bits *b, size_t count, ck_transform how) {         \
    const unsigned r = how.rotation;                                                                                         \
    if (how.residual == ck_residual_ordered) {                                                                               \
      for (size_t i = 0; i < count; i++) {                                                                                   \
        const uint##bits##_t z = RIGHT(bits, y[i], r);                                                                       \
        const uint##bits##_t sum = (uint##bits##_t)(ORDERED(bits, b[i]) + UNZIGZAG(bits, z));                                \
        to[i] = ORDERED(bits, sum);                                                                                          \
      }                                                                                                                      \
    } else if (how.residual == ck_residual_difference) {                                                                     \
      for (size_t i = 0; i < count; i++) {                                                                                   \
        const uint##bits##_t z = RIGHT(bits, y[i], r);                                                                       \
        to[i] = (uint##bits##_t)(b[i] + UNZIGZAG(bits, z));                                                                  \
      }                                                                                                                      \
    } else if (how.residual == ck_residual_xor) {                                                                            \
      for (size_t i = 0; i < count; i++) to[i] = RIGHT(bits, y[i], r) ^ b[i];                                                \
    } else {                                                                                                                 \
      for (size_t i = 0; i < count; i++) to[i] = RIGHT(bits, y[i], r);                                                       \
    }                                                                                                                        \
  }

DEFINE_TRANSFORMS(8)
DEFINE_TRANSFORMS(16)
DEFINE_TRANSFORMS(32)
DEFINE_TRANSFORMS(64)

static int is_plain(ck_transform how) { return !how.rotation && how.residual == ck_residual_none; }

#define BY_WIDTH(call8, call16, call32, call64) \
  switch (how.width) {                          \
  case 1: call8; break;                         \
  case 2: call16; break;                        \
  case 4: call32; break;                        \
  default: call64; break;                       \
  }

static void transform(void *to, const void *from, const void *base, size_t count, ck_transform how) {
  BY_WIDTH(transform8(to, from, base, count, how), transform16(to, from, base, count, how),
           transform32(to, from, base, count, how), transform64(to, from, base, count, how))
}

static void inverse(void *to, const void *from, const void *base, size_t count, ck_transform how) {
  BY_WIDTH(inverse8(to, from, base, count, how), inverse16(to, from, base, count, how),
           inverse32(to, from, base, count, how), inverse64(to, from, base, count, how))
}

static void split_rest(const uint8_t *elements, size_t from, size_t count, unsigned width, uint8_t *const *planes) {
  for (size_t i = from; i < count; i++)
    for (unsigned p = 0; p < width; p++) planes[p][i] = elements[i * width + p];
}

static void merge_rest(uint8_t *elements, size_t from, size_t count, unsigned width, const uint8_t *const *planes) {
  for (size_t i = from; i < count; i++)
    for (unsigned p = 0; p < width; p++) elements[i * width + p] = planes[p][i];
}

static void split_4(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  split_rest(elements, split4(elements, count, planes), count, 4, planes);
}

static void merge_4(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  merge_rest(elements, merge4(elements, count, planes), count, 4, planes);
}

/* Splits elements of eight bytes as two separate arrays of four-byte words. count is at most one
 * tile. */
static void split_8(const any32 *elements, size_t count, uint8_t *const *planes) {
  uint32_t low[tile_bytes / 8], high[tile_bytes / 8];
  for (size_t i = 0; i < count; i++) {
    low[i] = elements[2 * i];
    high[i] = elements[2 * i + 1];
  }
  split_4((const uint8_t *)low, count, planes);
  split_4((const uint8_t *)high, count, planes + 4);
}

static void merge_8(any32 *elements, size_t count, const uint8_t *const *planes) {
  uint32_t low[tile_bytes / 8], high[tile_bytes / 8];
  merge_4((uint8_t *)low, count, planes);
  merge_4((uint8_t *)high, count, planes + 4);
  for (size_t i = 0; i < count; i++) {
    elements[2 * i] = low[i];
    elements[2 * i + 1] = high[i];
  }
}

static void split_plain(const uint8_t *elements, size_t count, unsigned width, uint8_t *const *planes) {
  switch (width) {
  case 1: memcpy(planes[0], elements, count); break;
  case 2: split_rest(elements, split2(elements, count, planes), count, 2, planes); break;
  case 4: split_4(elements, count, planes); break;
  default: split_8((const any32 *)elements, count, planes); break;
  }
}

static void merge_plain(uint8_t *elements, size_t count, unsigned width, const uint8_t *const *planes) {
  switch (width) {
  case 1: memcpy(elements, planes[0], count); break;
  case 2: merge_rest(elements, merge2(elements, count, planes), count, 2, planes); break;
  case 4: merge_4(elements, count, planes); break;
  default: merge_8((any32 *)elements, count, planes); break;
  }
}

static void split(const void *elements, const void *base, size_t count, ck_transform how, uint8_t *const *planes) {
  _Alignas(64) uint8_t tile[tile_bytes];
  const size_t step = tile_bytes / how.width;
  for (size_t done = 0; done < count; done += step) {
    const size_t elements_here = count - done < step ? count - done : step;
    const uint8_t *from = (const uint8_t *)elements + done * how.width;
    uint8_t *to[8];
    for (unsigned p = 0; p < how.width; p++) to[p] = planes[p] + done;
    if (!is_plain(how)) {
      transform(tile, from, base ? (const uint8_t *)base + done * how.width : NULL, elements_here, how);
      from = tile;
    }
    split_plain(from, elements_here, how.width, to);
  }
}

static void merge(void *elements, const void *base, size_t count, ck_transform how, const uint8_t *const *planes) {
  _Alignas(64) uint8_t tile[tile_bytes];
  const size_t step = tile_bytes / how.width;
  for (size_t done = 0; done < count; done += step) {
    const size_t elements_here = count - done < step ? count - done : step;
    uint8_t *to = (uint8_t *)elements + done * how.width;
    const uint8_t *from[8];
    for (unsigned p = 0; p < how.width; p++) from[p] = planes[p] + done;
    merge_plain(is_plain(how) ? to : tile, elements_here, how.width, from);
    if (!is_plain(how))
      inverse(to, tile, base ? (const uint8_t *)base + done * how.width : NULL, elements_here, how);
  }
}

static size_t top_encode(const uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, uint8_t *words,
                         uint8_t *escapes, size_t room) {
  top_encoder state = {plane, words, escapes, escapes + room, bits, {0}};
  const unsigned escape = (1u << bits) - 1;
  memset(state.codes, (int)escape, sizeof state.codes);
  for (unsigned i = escape; i-- > 0;) state.codes[table[i]] = (uint8_t)i;
  const size_t done = top_encode_groups(&state, count);
  if (done == SIZE_MAX) return SIZE_MAX;
  for (size_t group = done; group < count; group += 64) {
    uint64_t word[4] = {0};
    for (size_t i = group; i < count && i < group + 64; i++) {
      const unsigned code = state.codes[plane[i]];
      for (unsigned j = 0; j < bits; j++) word[j] |= (uint64_t)(code >> j & 1) << (i - group);
      if (code != escape) continue;
      if (state.escapes == state.end) return SIZE_MAX;
      *state.escapes++ = plane[i];
    }
    memcpy(state.words, word, 8 * bits);
    state.words += 8 * bits;
  }
  return (size_t)(state.escapes - escapes);
}

static size_t top_decode(uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, const uint8_t *words,
                         const uint8_t *escapes, size_t escape_count) {
  top_decoder state = {plane, words, escapes, escapes + escape_count, bits, {0}};
  const unsigned escape = (1u << bits) - 1;
  memcpy(state.table, table, escape);
  const size_t done = top_decode_groups(&state, count);
  if (done == SIZE_MAX) return SIZE_MAX;
  for (size_t group = done; group < count; group += 64) {
    uint64_t word[4] = {0};
    memcpy(word, state.words, 8 * bits);
    state.words += 8 * bits;
    for (size_t i = group; i < count && i < group + 64; i++) {
      unsigned code = 0;
      for (unsigned j = 0; j < bits; j++) code |= (unsigned)(word[j] >> (i - group) & 1) << j;
      if (code == escape && state.escapes == state.end) return SIZE_MAX;
      plane[i] = code == escape ? *state.escapes++ : state.table[code];
    }
    for (unsigned j = 0; j < bits; j++)
      if (count - group < 64 && word[j] >> (count - group)) return SIZE_MAX;
  }
  return (size_t)(state.escapes - escapes);
}

const ck_plane_kernels KERNEL(planes) = {KERNEL_NAME, split, merge, top_encode, top_decode};
