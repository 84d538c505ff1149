/* Cast kernels for the vector instructions that every CPU of the architecture has. */
#define KERNEL(name) ck_##name##_baseline
#define KERNEL_NAME "baseline"
#include "casts.h"
