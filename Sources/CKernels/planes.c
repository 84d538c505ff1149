/* Selection of the plane kernels that the running CPU supports, and statistics of planes. */
#include <math.h>
#include <string.h>

#include "ckernels.h"

extern const ck_plane_kernels ck_planes_scalar;
#if defined(__x86_64__)
extern const ck_plane_kernels ck_planes_avx2, ck_planes_avx512;

static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"); }

static int has_avx512(void) {
  return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

const ck_plane_kernels *const *ck_plane_kernel_sets(void) {
  static const ck_plane_kernels *const sets[] = {&ck_planes_avx512, &ck_planes_avx2, &ck_planes_scalar, NULL};
  return sets + (has_avx512() ? 0 : has_avx2() ? 1 : 2);
}
#elif defined(__aarch64__)
extern const ck_plane_kernels ck_planes_neon;

const ck_plane_kernels *const *ck_plane_kernel_sets(void) {
  static const ck_plane_kernels *const sets[] = {&ck_planes_neon, &ck_planes_scalar, NULL};
  return sets;
}
#else
const ck_plane_kernels *const *ck_plane_kernel_sets(void) {
  static const ck_plane_kernels *const sets[] = {&ck_planes_scalar, NULL};
  return sets;
}
#endif

/* Uses four tables, so that a repeated byte value does not wait for the update of its own count. */
void ck_histogram(const uint8_t *bytes, size_t count, uint32_t counts[256]) {
  uint32_t tables[4][256] = {{0}};
  size_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (unsigned t = 0; t < 4; t++) tables[t][bytes[i + t]]++;
  for (; i < count; i++) tables[0][bytes[i]]++;
  for (unsigned s = 0; s < 256; s++) counts[s] = tables[0][s] + tables[1][s] + tables[2][s] + tables[3][s];
}

uint32_t ck_concentration(const uint8_t *bytes, size_t count) {
  uint16_t tables[2][256] = {{0}};
  for (size_t i = 0; i + 2 <= count; i += 2) tables[0][bytes[i]]++, tables[1][bytes[i + 1]]++;
  if (count % 2) tables[0][bytes[count - 1]]++;
  uint32_t sum = 0;
  for (unsigned s = 0; s < 256; s++) {
    const uint32_t times = (uint32_t)tables[0][s] + tables[1][s];
    sum += times * times;
  }
  return sum;
}

double ck_entropy(const uint32_t counts[256]) {
  double total = 0, sum = 0;
  for (unsigned s = 0; s < 256; s++) {
    total += counts[s];
    if (counts[s] > 1) sum += counts[s] * (double)log2f((float)counts[s]);
  }
  return total == 0 ? 0 : log2(total) - sum / total;
}

void ck_most_frequent(const uint32_t counts[256], uint8_t symbols[15], uint32_t ranked[15]) {
  memset(symbols, 0, 15);
  memset(ranked, 0, 15 * sizeof *ranked);
  unsigned filled = 0;
  for (unsigned s = 0; s < 256; s++) {
    if (filled == 15 && counts[s] <= ranked[14]) continue;
    unsigned at = filled < 15 ? filled++ : 14;
    for (; at > 0 && ranked[at - 1] < counts[s]; at--) ranked[at] = ranked[at - 1], symbols[at] = symbols[at - 1];
    ranked[at] = counts[s];
    symbols[at] = (uint8_t)s;
  }
}
