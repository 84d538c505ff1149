#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#define XXH_VECTOR 3 /* XXH_AVX512 */
#define KERNEL(name) ck_##name##_avx512
#include "hash_kernels.h"
#pragma clang attribute pop
#endif
