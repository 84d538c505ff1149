/* Hash kernels, compiled once for each instruction set. The including file defines KERNEL(name)
 * and XXH_VECTOR, and has set the target attribute. xxHash is included as a header, so that its
 * inner loops are compiled for the same instruction set. */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "ckernels.h"

/* Bytes in one step of a copy-and-hash pass: few enough that the copy is still in the L2 cache
 * when it is hashed. */
enum { copy_step_bytes = 128 << 10 };

static ck_hash128 to_value(XXH128_hash_t hash) { return (ck_hash128){hash.high64, hash.low64}; }

ck_hash128 KERNEL(hash128_of)(const void *bytes, size_t count) {
  return to_value(XXH3_128bits(bytes, count));
}

uint64_t KERNEL(hash64_of)(const void *bytes, size_t count) { return XXH3_64bits(bytes, count); }

ck_hash128 KERNEL(copy_and_hash128)(void *restrict destination, const void *restrict source, size_t count) {
  if (count <= copy_step_bytes) {
    memcpy(destination, source, count);
    return KERNEL(hash128_of)(destination, count);
  }
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  for (size_t done = 0; done < count; done += copy_step_bytes) {
    const size_t left = count - done;
    const size_t step = left < copy_step_bytes ? left : copy_step_bytes;
    memcpy((char *)destination + done, (const char *)source + done, step);
    XXH3_128bits_update(&state, (const char *)destination + done, step);
  }
  return to_value(XXH3_128bits_digest(&state));
}
