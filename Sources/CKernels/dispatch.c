#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ckernels.h"

#define DECLARE(set)                                                                \
  ck_hash128 ck_hash128_of_##set(const void *, size_t);                             \
  uint64_t ck_hash64_of_##set(const void *, size_t);                                \
  ck_hash128 ck_copy_and_hash128_##set(void *restrict, const void *restrict, size_t);

DECLARE(baseline)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#define DISPATCH(call)                                                     \
  if (__builtin_cpu_supports("avx512f")) return ck_##call##_avx512 ARGUMENTS; \
  if (__builtin_cpu_supports("avx2")) return ck_##call##_avx2 ARGUMENTS;      \
  return ck_##call##_baseline ARGUMENTS;
#else
#define DISPATCH(call) return ck_##call##_baseline ARGUMENTS;
#endif

#define ARGUMENTS (bytes, count)
ck_hash128 ck_hash128_of(const void *bytes, size_t count) { DISPATCH(hash128_of) }
uint64_t ck_hash64_of(const void *bytes, size_t count) { DISPATCH(hash64_of) }
#undef ARGUMENTS

#define ARGUMENTS (destination, source, count)
ck_hash128 ck_copy_and_hash128(void *restrict destination, const void *restrict source, size_t count) {
  DISPATCH(copy_and_hash128)
}
#undef ARGUMENTS

size_t ck_first_nonzero(const void *bytes, size_t count) {
  const unsigned char *b = bytes;
  size_t i = 0;
  while (i < count && b[i] == 0) i++;
  return i;
}

struct ck_hash_stream {
  XXH3_state_t *state;
};

ck_hash_stream *ck_hash_stream_create(void) {
  ck_hash_stream *stream = malloc(sizeof *stream);
  if (stream == NULL) abort();
  stream->state = XXH3_createState();
  if (stream->state == NULL) abort();
  XXH3_128bits_reset(stream->state);
  return stream;
}

void ck_hash_stream_append(ck_hash_stream *stream, const void *bytes, size_t count) {
  XXH3_128bits_update(stream->state, bytes, count);
}

ck_hash128 ck_hash_stream_value(const ck_hash_stream *stream) {
  const XXH128_hash_t hash = XXH3_128bits_digest(stream->state);
  return (ck_hash128){hash.high64, hash.low64};
}

void ck_hash_stream_destroy(ck_hash_stream *stream) {
  XXH3_freeState(stream->state);
  free(stream);
}
