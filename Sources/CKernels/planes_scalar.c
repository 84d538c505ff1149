/* Plane kernels without vector instructions. The vector loops process nothing, and the scalar
 * loops process all elements. */
#include "plane_state.h"

static size_t split2(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  (void)elements, (void)count, (void)planes;
  return 0;
}
static size_t split4(const uint8_t *elements, size_t count, uint8_t *const *planes) {
  return split2(elements, count, planes);
}
static size_t merge2(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  (void)elements, (void)count, (void)planes;
  return 0;
}
static size_t merge4(uint8_t *elements, size_t count, const uint8_t *const *planes) {
  return merge2(elements, count, planes);
}
static size_t top_encode_groups(top_encoder *state, size_t count) {
  (void)state, (void)count;
  return 0;
}
static size_t top_decode_groups(top_decoder *state, size_t count) {
  (void)state, (void)count;
  return 0;
}

#define KERNEL(name) ck_##name##_scalar
#define KERNEL_NAME "scalar"
#include "plane_kernels.h"
