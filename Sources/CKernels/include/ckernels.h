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

#endif
