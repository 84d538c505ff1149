/* Plane kernels for AVX2. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "plane_state.h"
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)

static __m256i load(const uint8_t *bytes) { return _mm256_loadu_si256((const __m256i *)bytes); }
static void store(uint8_t *bytes, __m256i value) { _mm256_storeu_si256((__m256i *)bytes, value); }

static size_t split2(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  const __m256i lower = _mm256_set1_epi16(0xFF);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a = load(elements + 2 * i), b = load(elements + 2 * i + 32);
    const __m256i low = _mm256_packus_epi16(_mm256_and_si256(a, lower), _mm256_and_si256(b, lower));
    const __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
    store(planes[0] + i, _mm256_permute4x64_epi64(low, 0xD8));
    store(planes[1] + i, _mm256_permute4x64_epi64(high, 0xD8));
  }
  return i;
}

/* Returns eight elements as four runs of eight bytes, one run for each plane. */
static __m256i by_plane(const uint8_t *elements) {
  const __m256i bytes = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6,
                                         10, 14, 3, 7, 11, 15);
  const __m256i lanes = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(load(elements), bytes), lanes);
}

static size_t split4(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const uint8_t *from = elements + 4 * i;
    const __m256i a = by_plane(from), b = by_plane(from + 32), c = by_plane(from + 64), d = by_plane(from + 96);
    const __m256i ab02 = _mm256_unpacklo_epi64(a, b), ab13 = _mm256_unpackhi_epi64(a, b);
    const __m256i cd02 = _mm256_unpacklo_epi64(c, d), cd13 = _mm256_unpackhi_epi64(c, d);
    store(planes[0] + i, _mm256_permute2x128_si256(ab02, cd02, 0x20));
    store(planes[1] + i, _mm256_permute2x128_si256(ab13, cd13, 0x20));
    store(planes[2] + i, _mm256_permute2x128_si256(ab02, cd02, 0x31));
    store(planes[3] + i, _mm256_permute2x128_si256(ab13, cd13, 0x31));
  }
  return i;
}

static size_t merge2(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a = load(planes[0] + i), b = load(planes[1] + i);
    const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
    store(elements + 2 * i, _mm256_permute2x128_si256(low, high, 0x20));
    store(elements + 2 * i + 32, _mm256_permute2x128_si256(low, high, 0x31));
  }
  return i;
}

static size_t merge4(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    uint8_t *to = elements + 4 * i;
    const __m256i a = load(planes[0] + i), b = load(planes[1] + i), c = load(planes[2] + i), d = load(planes[3] + i);
    const __m256i ab0 = _mm256_unpacklo_epi8(a, b), ab1 = _mm256_unpackhi_epi8(a, b);
    const __m256i cd0 = _mm256_unpacklo_epi8(c, d), cd1 = _mm256_unpackhi_epi8(c, d);
    const __m256i e0 = _mm256_unpacklo_epi16(ab0, cd0), e1 = _mm256_unpackhi_epi16(ab0, cd0);
    const __m256i e2 = _mm256_unpacklo_epi16(ab1, cd1), e3 = _mm256_unpackhi_epi16(ab1, cd1);
    store(to, _mm256_permute2x128_si256(e0, e1, 0x20));
    store(to + 32, _mm256_permute2x128_si256(e2, e3, 0x20));
    store(to + 64, _mm256_permute2x128_si256(e0, e1, 0x31));
    store(to + 96, _mm256_permute2x128_si256(e2, e3, 0x31));
  }
  return i;
}

/* Returns the codes of 32 bytes, by comparing them with every byte of the table. */
static inline __m256i codes_of(__m256i bytes, const __m256i *symbols, unsigned escape) {
  __m256i codes = _mm256_set1_epi8((char)escape);
  for (unsigned s = 0; s < escape; s++) {
    const __m256i difference = _mm256_set1_epi8((char)(s ^ escape));
    codes = _mm256_xor_si256(codes, _mm256_and_si256(_mm256_cmpeq_epi8(bytes, symbols[s]), difference));
  }
  return codes;
}

/* Returns bit j of each of 32 codes. */
static inline uint32_t bit_of(__m256i codes, unsigned j) {
  return (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(codes, _mm_cvtsi32_si128((int)(7 - j))));
}

static size_t top_encode_groups(top_encoder *state, size_t count) {
  const unsigned bits = state->bits, escape = (1u << bits) - 1;
  __m256i symbols[15];
  /* If a byte occurs twice in the table, it has the code of its first place and its other places
   * must not match. Such a table is left to the scalar loop. */
  uint8_t table[15];
  unsigned used = 0;
  for (unsigned byte = 0; byte < 256; byte++)
    if (state->codes[byte] != escape) table[state->codes[byte]] = (uint8_t)byte, used |= 1u << state->codes[byte];
  if (used != (1u << escape) - 1) return 0;
  for (unsigned s = 0; s < escape; s++) symbols[s] = _mm256_set1_epi8((char)table[s]);
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m256i low = codes_of(load(state->plane + i), symbols, escape);
    const __m256i high = codes_of(load(state->plane + i + 32), symbols, escape);
    uint64_t escaped = ~0ull;
    for (unsigned j = 0; j < bits; j++) {
      const uint64_t word = bit_of(low, j) | (uint64_t)bit_of(high, j) << 32;
      memcpy(state->words + 8 * j, &word, 8);
      escaped &= word;
    }
    state->words += 8 * bits;
    if ((size_t)_mm_popcnt_u64(escaped) > (size_t)(state->end - state->escapes)) return SIZE_MAX;
    for (; escaped; escaped &= escaped - 1) *state->escapes++ = state->plane[i + (size_t)_tzcnt_u64(escaped)];
  }
  return i;
}

/* Returns 32 bytes: byte i is all ones if bit i is 1, otherwise 0. */
static inline __m256i spread(uint32_t word) {
  const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3,
                                         3, 3);
  const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201ull);
  const __m256i repeated = _mm256_shuffle_epi8(_mm256_set1_epi32((int)word), bytes);
  return _mm256_cmpeq_epi8(_mm256_and_si256(repeated, bits), bits);
}

static size_t top_decode_groups(top_decoder *state, size_t count) {
  const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)state->table));
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
    uint64_t escaped = ~0ull;
    for (unsigned j = 0; j < state->bits; j++) {
      uint64_t word;
      memcpy(&word, state->words + 8 * j, 8);
      escaped &= word;
      const __m256i bit = _mm256_set1_epi8((char)(1u << j));
      low = _mm256_or_si256(low, _mm256_and_si256(spread((uint32_t)word), bit));
      high = _mm256_or_si256(high, _mm256_and_si256(spread((uint32_t)(word >> 32)), bit));
    }
    state->words += 8 * state->bits;
    store(state->plane + i, _mm256_shuffle_epi8(table, low));
    store(state->plane + i + 32, _mm256_shuffle_epi8(table, high));
    if ((size_t)_mm_popcnt_u64(escaped) > (size_t)(state->end - state->escapes)) return SIZE_MAX;
    for (; escaped; escaped &= escaped - 1) state->plane[i + (size_t)_tzcnt_u64(escaped)] = *state->escapes++;
  }
  return i;
}

#define KERNEL(name) ck_##name##_avx2
#define KERNEL_NAME "avx2"
#include "plane_kernels.h"
#pragma clang attribute pop
#endif
