#include <stddef.h>

#include "ckernels.h"

extern const ck_cast_kernels ck_casts_baseline;
#if defined(__x86_64__)
extern const ck_cast_kernels ck_casts_avx2;

const ck_cast_kernels *const *ck_cast_kernel_sets(void) {
  static const ck_cast_kernels *const with_avx2[] = {&ck_casts_avx2, &ck_casts_baseline, NULL};
  return __builtin_cpu_supports("avx2") ? with_avx2 : with_avx2 + 1;
}
#else
const ck_cast_kernels *const *ck_cast_kernel_sets(void) {
  static const ck_cast_kernels *const sets[] = {&ck_casts_baseline, NULL};
  return sets;
}
#endif
