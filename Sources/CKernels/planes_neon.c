/* Plane kernels for NEON, which every 64-bit ARM CPU has. */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "plane_state.h"

static size_t split2(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint8x16x2_t both = vld2q_u8(elements + 2 * i);
    vst1q_u8(planes[0] + i, both.val[0]);
    vst1q_u8(planes[1] + i, both.val[1]);
  }
  return i;
}

static size_t split4(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint8x16x4_t all = vld4q_u8(elements + 4 * i);
    for (unsigned p = 0; p < 4; p++) vst1q_u8(planes[p] + i, all.val[p]);
  }
  return i;
}

static size_t merge2(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint8x16x2_t both = {{vld1q_u8(planes[0] + i), vld1q_u8(planes[1] + i)}};
    vst2q_u8(elements + 2 * i, both);
  }
  return i;
}

static size_t merge4(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    uint8x16x4_t all;
    for (unsigned p = 0; p < 4; p++) all.val[p] = vld1q_u8(planes[p] + i);
    vst4q_u8(elements + 4 * i, all);
  }
  return i;
}

/* Returns the codes of 16 bytes, looked up in four parts of the table of 256. An index outside a
 * part gives 0. */
static inline uint8x16_t codes_of(const uint8_t *codes, uint8x16_t bytes) {
  const uint8x16_t part = vdupq_n_u8(64);
  uint8x16_t found = vqtbl4q_u8(vld1q_u8_x4(codes), bytes);
  for (unsigned p = 1; p < 4; p++) {
    bytes = vsubq_u8(bytes, part);
    found = vorrq_u8(found, vqtbl4q_u8(vld1q_u8_x4(codes + 64 * p), bytes));
  }
  return found;
}

/* Returns 16 bits: bit i is 1 if byte i is all ones. */
static inline uint64_t packed(uint8x16_t mask) {
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bits = vandq_u8(mask, vld1q_u8(weights));
  return (uint64_t)vaddv_u8(vget_low_u8(bits)) | (uint64_t)vaddv_u8(vget_high_u8(bits)) << 8;
}

/* Returns 16 bytes: byte i is all ones if bit i is 1, otherwise 0. */
static inline uint8x16_t spread(uint64_t word) {
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t repeated = vcombine_u8(vdup_n_u8((uint8_t)word), vdup_n_u8((uint8_t)(word >> 8)));
  return vtstq_u8(repeated, vld1q_u8(weights));
}

static size_t top_encode_groups(top_encoder *state, size_t count) {
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    uint64_t words[4] = {0}, escaped = ~0ull;
    for (unsigned part = 0; part < 4; part++) {
      const uint8x16_t codes = codes_of(state->codes, vld1q_u8(state->plane + i + 16 * part));
      for (unsigned j = 0; j < state->bits; j++)
        words[j] |= packed(vtstq_u8(codes, vdupq_n_u8((uint8_t)(1u << j)))) << (16 * part);
    }
    for (unsigned j = 0; j < state->bits; j++) escaped &= words[j];
    memcpy(state->words, words, 8 * state->bits);
    state->words += 8 * state->bits;
    if ((size_t)__builtin_popcountll(escaped) > (size_t)(state->end - state->escapes)) return SIZE_MAX;
    for (; escaped; escaped &= escaped - 1) *state->escapes++ = state->plane[i + (size_t)__builtin_ctzll(escaped)];
  }
  return i;
}

static size_t top_decode_groups(top_decoder *state, size_t count) {
  const uint8x16_t table = vld1q_u8(state->table);
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    uint64_t words[4] = {0}, escaped = ~0ull;
    memcpy(words, state->words, 8 * state->bits);
    state->words += 8 * state->bits;
    for (unsigned j = 0; j < state->bits; j++) escaped &= words[j];
    for (unsigned part = 0; part < 4; part++) {
      uint8x16_t codes = vdupq_n_u8(0);
      for (unsigned j = 0; j < state->bits; j++)
        codes = vorrq_u8(codes, vandq_u8(spread(words[j] >> (16 * part)), vdupq_n_u8((uint8_t)(1u << j))));
      vst1q_u8(state->plane + i + 16 * part, vqtbl1q_u8(table, codes));
    }
    if ((size_t)__builtin_popcountll(escaped) > (size_t)(state->end - state->escapes)) return SIZE_MAX;
    for (; escaped; escaped &= escaped - 1) state->plane[i + (size_t)__builtin_ctzll(escaped)] = *state->escapes++;
  }
  return i;
}

#define KERNEL(name) ck_##name##_neon
#define KERNEL_NAME "neon"
#include "plane_kernels.h"
#endif
