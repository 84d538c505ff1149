#define KERNEL(name) ck_##name##_baseline
#include "hash_kernels.h"
