/* Performance-critical kernels in C. The hash functions select the best instruction set of the
 * running CPU; the plane and cast kernels are offered as one set for each. All functions are
 * thread-safe, allocate nothing except for hash streams, and take sizes in bytes unless noted. */
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-128 with seed 0, as the two halves of the canonical number (Formats/README.md,
 * Conventions). */
typedef struct {
  uint64_t high;
  uint64_t low;
} ck_hash128;

/* Returns the XXH3-128 of count bytes, with seed 0. */
ck_hash128 ck_hash128_of(const void *bytes, size_t count);

/* Returns the XXH3-64 of count bytes, with seed 0. */
uint64_t ck_hash64_of(const void *bytes, size_t count);

/* Copies count bytes, hashes the copy while it is still in the cache, and returns its XXH3-128.
 * The regions must not overlap. */
ck_hash128 ck_copy_and_hash128(void *restrict destination, const void *restrict source, size_t count);

/* Returns the index of the first byte that is not zero, or count if there is none. */
size_t ck_first_nonzero(const void *bytes, size_t count);

/* An incremental XXH3-128. Use a stream on one thread at a time. The functions abort if there is
 * no memory for a stream; value can be called between appends. */
typedef struct ck_hash_stream ck_hash_stream;
ck_hash_stream *ck_hash_stream_create(void);
void ck_hash_stream_append(ck_hash_stream *stream, const void *bytes, size_t count);
ck_hash128 ck_hash_stream_value(const ck_hash_stream *stream);
void ck_hash_stream_destroy(ck_hash_stream *stream);

/* Cyclic redundancy checks that object stores compute of what they receive: reflected, starting
 * and ending with all bits inverted. */
typedef enum {
  ck_crc_64_nvme, /* polynomial 0xad93d23594c93659, 64 bits */
  ck_crc_32c      /* polynomial 0x1edc6f41 (RFC 9260, appendix A), 32 bits */
} ck_crc_kind;

/* Returns the check of count bytes that follow bytes whose check is crc, which is 0 for none. */
uint64_t ck_crc(ck_crc_kind kind, uint64_t crc, const void *bytes, size_t count);

/* Returns the check of two runs of bytes, one after the other, from the check of each. */
uint64_t ck_crc_joined(ck_crc_kind kind, uint64_t first, uint64_t second, uint64_t second_count);

/* Operation on an element and the base's element at the same place, before elements are split
 * into byte planes (Formats/codecs.md, Sub-blocks). */
typedef enum { ck_residual_none, ck_residual_xor, ck_residual_difference, ck_residual_ordered } ck_residual;

typedef struct {
  unsigned width;       /* size of an element: 1, 2, 4 or 8 bytes */
  unsigned rotation;    /* to the left, 0 to 7 bits; 0 for width 1 */
  ck_residual residual; /* any except none needs a base */
} ck_transform;

/* Plane kernels of one instruction set. All sets give the same bytes. */
typedef struct {
  const char *name;

  /* Splits count elements into width planes of count bytes. base has count elements, and may be
   * NULL if the residual is none. */
  void (*split)(const void *elements, const void *base, size_t count, ck_transform transform, uint8_t *const *planes);

  /* Merges width planes of count bytes into count elements: the inverse of split. */
  void (*merge)(void *elements, const void *base, size_t count, ck_transform transform, const uint8_t *const *planes);

  /* Encodes count bytes with a table of 2^bits - 1 bytes; bits is 1 to 4. Writes bits 64-bit
   * words for every 64 bytes, and to escapes the bytes that are not in the table. Returns the
   * number of escapes, or SIZE_MAX if there are more than room. */
  size_t (*top_encode)(const uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, uint8_t *words, uint8_t *escapes,
                       size_t room);

  /* Decodes count bytes: the inverse of top_encode. Returns the number of escapes used, or
   * SIZE_MAX if there are too few or if a bit after count is set. */
  size_t (*top_decode)(uint8_t *plane, size_t count, unsigned bits, const uint8_t *table, const uint8_t *words,
                       const uint8_t *escapes, size_t escape_count);
} ck_plane_kernels;

/* Returns the sets that the running CPU supports, fastest first; NULL ends the list. */
const ck_plane_kernels *const *ck_plane_kernel_sets(void);

/* Sorting: each of count elements of width bytes has a key less than ck_key_limit. Elements with
 * equal keys stay in order. */
enum { ck_key_limit = 512 };

/* Computes keys from elements: the 8 bits below the top bit, which are the exponent of bf16 and
 * f32. */
void ck_exponent_keys(const void *elements, size_t count, unsigned width, uint16_t *keys);

/* Computes keys from a grid: the sum of the bytes of an element's column and row. The first
 * element is in column first of the first row. */
void ck_grid_keys(const uint8_t *columns, size_t column_count, const uint8_t *rows, size_t first, size_t count, uint16_t *keys);

/* Computes the sorted order of count keys: order[i] is the index of the element that comes i-th. */
void ck_sorted_order(const uint16_t *keys, size_t count, uint32_t *order);

/* Copies elements into sorted order, and back. width is 2, 4 or 8. */
void ck_sort(void *sorted, const void *elements, const uint32_t *order, size_t count, unsigned width);
void ck_unsort(void *elements, const void *sorted, const uint32_t *order, size_t count, unsigned width);

/* Adds up the exponents of each column and of each row of a grid, and counts the elements that
 * were added. The exponent is the 10 bits below the top bit, which count quarters of an 8-bit
 * exponent. Elements that are zero are not counted. The arrays of sums and counts must be zero. */
void ck_grid_sums(const void *elements, size_t count, unsigned width, size_t first, size_t column_count, uint32_t *column_sums,
                  uint32_t *column_counts, uint32_t *row_sums, uint32_t *row_counts);

/* Counts how often each byte value occurs. */
void ck_histogram(const uint8_t *bytes, size_t count, uint32_t counts[256]);

/* Returns the sum of the squares of the byte values' frequencies. It is a quick measure of how
 * unevenly they are distributed. count is at most 65535. */
uint32_t ck_concentration(const uint8_t *bytes, size_t count);

/* Returns the Shannon entropy of a histogram in bits per byte. */
double ck_entropy(const uint32_t counts[256]);

/* Finds the 15 most frequent byte values, most frequent first, and their frequencies. */
void ck_most_frequent(const uint32_t counts[256], uint8_t symbols[15], uint32_t ranked[15]);

/* Target type of a cast from binary32, rounded to nearest even (Formats/codecs.md, Casts). */
typedef enum { ck_cast_bf16, ck_cast_f16 } ck_cast_type;

/* Cast kernels of one instruction set. All sets give the same bytes. */
typedef struct {
  const char *name;

  /* Casts count elements of 4 bytes to elements of 2 bytes. */
  void (*cast)(void *to, const void *from, size_t count, ck_cast_type type);

  /* Returns 1 if count narrow elements are, bit for bit, the casts of the wide ones; otherwise
   * 0. */
  int (*is_cast)(const void *narrow, const void *wide, size_t count, ck_cast_type type);
} ck_cast_kernels;

/* Returns the sets that the running CPU supports, fastest first; NULL ends the list. */
const ck_cast_kernels *const *ck_cast_kernel_sets(void);

#endif
