/* Plane kernels for AVX-512 with VBMI and VBMI2 (Ice Lake, Zen 4 and later). */
#if defined(__x86_64__)
#include <immintrin.h>

#include "plane_state.h"
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt"))), apply_to = function)

/* Returns permutation indices of the bytes with the numbers start, start + step, ... in two
 * registers: run indices for each start, from start 0 up. */
static __m512i gather_index(unsigned step, unsigned run) {
  uint8_t index[64];
  for (unsigned i = 0; i < 64; i++) index[i] = (uint8_t)(i % run * step + i / run);
  return _mm512_loadu_si512(index);
}

static size_t split2(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  const __m512i even = gather_index(2, 64);
  const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi8(1));
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i a = _mm512_loadu_si512(elements + 2 * i), b = _mm512_loadu_si512(elements + 2 * i + 64);
    _mm512_storeu_si512(planes[0] + i, _mm512_permutex2var_epi8(a, even, b));
    _mm512_storeu_si512(planes[1] + i, _mm512_permutex2var_epi8(a, odd, b));
  }
  return i;
}

static size_t split4(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  const __m512i lower = gather_index(4, 32); /* bytes 0 of 32 elements, then bytes 1 */
  const __m512i upper = _mm512_add_epi8(lower, _mm512_set1_epi8(2));
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const uint8_t *from = elements + 4 * i;
    const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 64);
    const __m512i c = _mm512_loadu_si512(from + 128), d = _mm512_loadu_si512(from + 192);
    const __m512i low0 = _mm512_permutex2var_epi8(a, lower, b), low1 = _mm512_permutex2var_epi8(c, lower, d);
    const __m512i high0 = _mm512_permutex2var_epi8(a, upper, b), high1 = _mm512_permutex2var_epi8(c, upper, d);
    _mm512_storeu_si512(planes[0] + i, _mm512_shuffle_i64x2(low0, low1, 0x44));
    _mm512_storeu_si512(planes[1] + i, _mm512_shuffle_i64x2(low0, low1, 0xEE));
    _mm512_storeu_si512(planes[2] + i, _mm512_shuffle_i64x2(high0, high1, 0x44));
    _mm512_storeu_si512(planes[3] + i, _mm512_shuffle_i64x2(high0, high1, 0xEE));
  }
  return i;
}

/* Returns permutation indices that alternate between two registers, in their first or second
 * half; one function for bytes, one for 16-bit words. */
static __m512i interleave_index(unsigned half) {
  uint8_t index[64];
  for (unsigned i = 0; i < 64; i++) index[i] = (uint8_t)((i & 1) * 64 + half * 32 + i / 2);
  return _mm512_loadu_si512(index);
}

static __m512i interleave_words_index(unsigned half) {
  uint16_t index[32];
  for (unsigned i = 0; i < 32; i++) index[i] = (uint16_t)((i & 1) * 32 + half * 16 + i / 2);
  return _mm512_loadu_si512(index);
}

static size_t merge2(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  const __m512i first = interleave_index(0), second = interleave_index(1);
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i a = _mm512_loadu_si512(planes[0] + i), b = _mm512_loadu_si512(planes[1] + i);
    _mm512_storeu_si512(elements + 2 * i, _mm512_permutex2var_epi8(a, first, b));
    _mm512_storeu_si512(elements + 2 * i + 64, _mm512_permutex2var_epi8(a, second, b));
  }
  return i;
}

static size_t merge4(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  const __m512i first = interleave_index(0), second = interleave_index(1);
  const __m512i first_words = interleave_words_index(0), second_words = interleave_words_index(1);
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    uint8_t *to = elements + 4 * i;
    const __m512i a = _mm512_loadu_si512(planes[0] + i), b = _mm512_loadu_si512(planes[1] + i);
    const __m512i c = _mm512_loadu_si512(planes[2] + i), d = _mm512_loadu_si512(planes[3] + i);
    const __m512i low0 = _mm512_permutex2var_epi8(a, first, b), low1 = _mm512_permutex2var_epi8(a, second, b);
    const __m512i high0 = _mm512_permutex2var_epi8(c, first, d), high1 = _mm512_permutex2var_epi8(c, second, d);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(low0, first_words, high0));
    _mm512_storeu_si512(to + 64, _mm512_permutex2var_epi16(low0, second_words, high0));
    _mm512_storeu_si512(to + 128, _mm512_permutex2var_epi16(low1, first_words, high1));
    _mm512_storeu_si512(to + 192, _mm512_permutex2var_epi16(low1, second_words, high1));
  }
  return i;
}

/* A separate instance for each number of bits, so that the compiler unrolls the loop over bits. */
static inline __attribute__((always_inline)) size_t encode_groups(top_encoder *state, size_t count, unsigned bits) {
  const __m512i t0 = _mm512_loadu_si512(state->codes), t1 = _mm512_loadu_si512(state->codes + 64);
  const __m512i t2 = _mm512_loadu_si512(state->codes + 128), t3 = _mm512_loadu_si512(state->codes + 192);
  const __m512i escape = _mm512_set1_epi8((char)((1u << bits) - 1));
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i bytes = _mm512_loadu_si512(state->plane + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, bytes, t1), high = _mm512_permutex2var_epi8(t2, bytes, t3);
    const __m512i codes = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
    for (unsigned j = 0; j < bits; j++) {
      const uint64_t word = _mm512_test_epi8_mask(codes, _mm512_set1_epi8((char)(1u << j)));
      memcpy(state->words + 8 * j, &word, 8);
    }
    state->words += 8 * bits;
    const __mmask64 escaped = _mm512_cmpeq_epi8_mask(codes, escape);
    const size_t escapes = (size_t)_mm_popcnt_u64(escaped), room = (size_t)(state->end - state->escapes);
    const __m512i packed = _mm512_maskz_compress_epi8(escaped, bytes);
    if (room >= 64) {
      _mm512_storeu_si512(state->escapes, packed);
    } else {
      if (escapes > room) return SIZE_MAX;
      _mm512_mask_storeu_epi8(state->escapes, _bzhi_u64(~0ull, (unsigned)escapes), packed);
    }
    state->escapes += escapes;
  }
  return i;
}

static inline __attribute__((always_inline)) size_t decode_groups(top_decoder *state, size_t count, unsigned bits) {
  const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)state->table));
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    __m512i codes = _mm512_setzero_si512();
    __mmask64 escaped = ~0ull;
    for (unsigned j = 0; j < bits; j++) {
      uint64_t word;
      memcpy(&word, state->words + 8 * j, 8);
      escaped &= word;
      codes = _mm512_or_si512(codes, _mm512_maskz_set1_epi8(word, (char)(1u << j)));
    }
    state->words += 8 * bits;
    const size_t escapes = (size_t)_mm_popcnt_u64(escaped), left = (size_t)(state->end - state->escapes);
    if (escapes > left) return SIZE_MAX;
    const __m512i known = _mm512_shuffle_epi8(table, codes);
    const __mmask64 readable = left >= 64 ? ~0ull : _bzhi_u64(~0ull, (unsigned)left);
    const __m512i rest = _mm512_maskz_loadu_epi8(readable, state->escapes);
    _mm512_storeu_si512(state->plane + i, _mm512_mask_expand_epi8(known, escaped, rest));
    state->escapes += escapes;
  }
  return i;
}

static size_t top_encode_groups(top_encoder *state, size_t count) {
  switch (state->bits) {
  case 1: return encode_groups(state, count, 1);
  case 2: return encode_groups(state, count, 2);
  case 3: return encode_groups(state, count, 3);
  default: return encode_groups(state, count, 4);
  }
}

static size_t top_decode_groups(top_decoder *state, size_t count) {
  switch (state->bits) {
  case 1: return decode_groups(state, count, 1);
  case 2: return decode_groups(state, count, 2);
  case 3: return decode_groups(state, count, 3);
  default: return decode_groups(state, count, 4);
  }
}

#define KERNEL(name) ck_##name##_avx512
#define KERNEL_NAME "avx512"
#include "plane_kernels.h"
#pragma clang attribute pop
#endif
