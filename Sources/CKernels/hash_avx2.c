#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define XXH_VECTOR 2 /* XXH_AVX2 */
#define KERNEL(name) ck_##name##_avx2
#include "hash_kernels.h"
#pragma clang attribute pop
#endif
