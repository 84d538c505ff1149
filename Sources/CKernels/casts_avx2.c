/* Cast kernels for AVX2. */
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define KERNEL(name) ck_##name##_avx2
#define KERNEL_NAME "avx2"
#include "casts.h"
#pragma clang attribute pop
#endif
