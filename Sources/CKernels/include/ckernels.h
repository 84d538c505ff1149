/* Hot kernels in C. Each picks the best instruction set of the running CPU at the first call. */
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-128 with seed 0, as two halves of the canonical number. */
typedef struct {
  uint64_t high;
  uint64_t low;
} ck_hash128;

ck_hash128 ck_hash128_of(const void *bytes, size_t count);

/* XXH3-64 with seed 0. */
uint64_t ck_hash64_of(const void *bytes, size_t count);

/* Copies count bytes and hashes the copy while it is still in cache. The regions must not overlap. */
ck_hash128 ck_copy_and_hash128(void *restrict destination, const void *restrict source, size_t count);

/* Index of the first byte that is not zero, or count. */
size_t ck_first_nonzero(const void *bytes, size_t count);

/* A running XXH3-128. */
typedef struct ck_hash_stream ck_hash_stream;
ck_hash_stream *ck_hash_stream_create(void);
void ck_hash_stream_append(ck_hash_stream *stream, const void *bytes, size_t count);
ck_hash128 ck_hash_stream_value(const ck_hash_stream *stream);
void ck_hash_stream_destroy(ck_hash_stream *stream);

/* What is done to elements before they are split into byte planes (Formats/codecs.md, Sub-blocks). */
typedef enum { ck_residual_none, ck_residual_xor, ck_residual_difference, ck_residual_ordered } ck_residual;

typedef struct {
  unsigned width;       /* of an element: 1, 2, 4 or 8 bytes */
  unsigned rotation;    /* left, by 0 to 7 bits; 0 with width 1 */
  ck_residual residual; /* other than none: a base is given */
} ck_transform;

/* Kernels of one instruction set. Every set gives the same bytes. */
typedef struct {
  const char *name;

  /* Splits count elements into width planes of count bytes. base may be NULL if the residual is none. */
  void (*split)(const void *elements, const void *base, size_t count, ck_transform transform, uint8_t *const *planes);

  /* The inverse. */
  void (*merge)(void *elements, const void *base, size_t count, ck_transform transform, const uint8_t *const *planes);

  /* Codes count bytes with the 2^bits - 1 bytes of table (bits 1 to 4): bits words for each 64 bytes, and the bytes that are not in
   * the table. Returns the number of escapes, or SIZE_MAX if they are more than room. */
  size_t (*top_encode)(const uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, uint8_t *words, uint8_t *escapes,
                       size_t room);

  /* The inverse. Returns the number of escapes that were used, or SIZE_MAX if there are too few or a bit beyond count is set. */
  size_t (*top_decode)(uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, const uint8_t *words,
                       const uint8_t *escapes, size_t escape_count);
} ck_plane_kernels;

/* The sets that the running CPU has, best first, NULL after the last. */
const ck_plane_kernels *const *ck_plane_kernel_sets(void);

/* What is sorted: count elements of width bytes, each with a key below ck_key_limit; elements of equal keys stay in order. */
enum { ck_key_limit = 512 };

/* Keys of elements: the 8 bits below the top one. */
void ck_exponent_keys(const void *elements, size_t count, unsigned width, uint16_t *keys);

/* Keys of elements of a grid, the first of which lies in column first: the sum of their column's byte and their row's. */
void ck_grid_keys(const uint8_t *columns, size_t column_count, const uint8_t *rows, size_t first, size_t count, uint16_t *keys);

/* Which element comes in which place. */
void ck_sorted_order(const uint16_t *keys, size_t count, uint32_t *order);

/* Puts elements into their places, and back. */
void ck_sort(void *sorted, const void *elements, const uint32_t *order, size_t count, unsigned width);
void ck_unsort(void *elements, const void *sorted, const uint32_t *order, size_t count, unsigned width);

/* Sums, of each column and of each row of a grid, of what is above the top bits' lowest: exponents in quarters, of elements other than zero,
 * and how many those are. */
void ck_grid_sums(const void *elements, size_t count, unsigned width, size_t first, size_t column_count, uint32_t *column_sums,
                  uint32_t *column_counts, uint32_t *row_sums, uint32_t *row_counts);

/* How often each byte occurs. */
void ck_histogram(const uint8_t *bytes, size_t count, uint32_t counts[256]);

/* The sum of the squares of how often each byte occurs, in at most 65535 bytes: a quick measure of how unevenly they are spread. */
uint32_t ck_concentration(const uint8_t *bytes, size_t count);

/* Shannon entropy of a histogram, in bits a byte. */
double ck_entropy(const uint32_t counts[256]);

/* The 15 most frequent bytes, most frequent first, and how often each occurs. */
void ck_most_frequent(const uint32_t counts[256], uint8_t symbols[15], uint32_t ranked[15]);

/* What binary32 is rounded to, to the nearest and to even between two (Formats/codecs.md, Casts). */
typedef enum { ck_cast_bf16, ck_cast_f16 } ck_cast_type;

/* Casts of one instruction set. Every set gives the same bytes. */
typedef struct {
  const char *name;

  /* Casts count elements. */
  void (*cast)(void *to, const void *from, size_t count, ck_cast_type type);

  /* Whether count narrow elements are, bit for bit, the casts of the wide ones. */
  int (*is_cast)(const void *narrow, const void *wide, size_t count, ck_cast_type type);
} ck_cast_kernels;

/* The sets that the running CPU has, best first, NULL after the last. */
const ck_cast_kernels *const *ck_cast_kernel_sets(void);

#endif
