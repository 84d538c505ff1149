#include "cbaseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void bench_multiply_add(float *values, size_t count, size_t rounds) {
  /* Converges to 1: neither infinite nor denormal, however long it runs. */
  for (size_t round = 0; round < rounds; round++)
    for (size_t i = 0; i < count; i++) values[i] = values[i] * 0.999f + 0.001f;
}

#define ADD(type)                                                             \
  do {                                                                        \
    type *values = elements;                                                  \
    for (size_t i = 0; i < bytes / sizeof(type); i++) values[i] += (type)amount; \
  } while (0)

void bench_add(void *elements, size_t bytes, size_t width, uint64_t amount) {
  switch (width) {
    case 1: ADD(uint8_t); break;
    case 2: ADD(uint16_t); break;
    case 4: ADD(uint32_t); break;
    default: ADD(uint64_t); break;
  }
}

#define TABLE_COUNT ((size_t)1 << 20)

/* SplitMix64. */
static uint64_t next(uint64_t *state) {
  uint64_t value = *state += 0x9E3779B97F4A7C15u;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
  value = (value ^ value >> 27) * 0x94D049BB133111EBu;
  return value ^ value >> 31;
}

/* In (0, 1]. */
static float uniform(uint64_t *state) { return (float)((next(state) >> 40) + 1) * 0x1p-24f; }

float *bench_table_create(uint64_t seed) {
  float *table = malloc(TABLE_COUNT * sizeof(float));
  if (table == NULL) return NULL;
  /* Two normal numbers from two uniform ones (Box and Muller, 1958). */
  for (size_t i = 0; i < TABLE_COUNT; i += 2) {
    float radius = sqrtf(-2.0f * logf(uniform(&seed)));
    float angle = 6.2831853f * uniform(&seed);
    table[i] = radius * cosf(angle);
    table[i + 1] = radius * sinf(angle);
  }
  return table;
}

void bench_table_destroy(float *table) { free(table); }

static float shaped(float normal, enum bench_values values) {
  float mean = normal * 0.001f;
  if (values == BENCH_SQUARES) return mean * mean;
  return values == BENCH_MEANS ? mean : normal * 0.02f;
}

/* A stretch of the table of at most 1 MiB of elements. `mark` differs from stretch to stretch and changes low bits of the
   mantissa (and, in the few of bf16, the sign), so that no compressor finds the same stretch twice. */
static void fill_stretch(
    uint8_t *to, size_t count, size_t width, enum bench_values values, const float *table, uint32_t mark) {
  for (size_t i = 0; i < count; i++) {
    float value = shaped(table[i], values);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (width == 4) {
      bits ^= mark & 0x7FFF;
      memcpy(to + 4 * i, &bits, 4);
    } else {
      uint16_t high = (uint16_t)(bits >> 16 ^ (mark & 7) ^ (values == BENCH_SQUARES ? 0 : (mark & 8) << 12));
      memcpy(to + 2 * i, &high, 2);
    }
  }
}

void bench_fill(void *elements, size_t bytes, size_t width, enum bench_values values, const float *table, uint64_t seed) {
  size_t count = bytes / width, stretch = ((size_t)1 << 20) / width;
  for (size_t done = 0; done < count; done += stretch) {
    uint64_t random = next(&seed);
    size_t length = count - done < stretch ? count - done : stretch;
    uint32_t mark = width == 4 ? (uint32_t)(random >> 32) : (uint32_t)(done / stretch);
    fill_stretch((uint8_t *)elements + done * width, length, width, values, table + random % (TABLE_COUNT - stretch), mark);
  }
}
