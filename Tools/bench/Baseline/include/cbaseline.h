/* The two things of `ckpt bench` that must be as quick as the machine: the loops of the simulated trainer, and the writer that
   the engine is compared with. */
#ifndef CBASELINE_H
#define CBASELINE_H

#include <stddef.h>
#include <stdint.h>

/* ---- loops.c ---- */

/* Arithmetic over a buffer that stays in the cache: every value is multiplied and added to, `rounds` times. */
void bench_multiply_add(float *values, size_t count, size_t rounds);

/* Adds to every element of `width` bytes (1, 2, 4 or 8), which wraps: adding the negative takes it back, bit for bit. */
void bench_add(void *elements, size_t bytes, size_t width, uint64_t amount);

enum bench_values {
  BENCH_WEIGHTS, /* normal, standard deviation 0.02 */
  BENCH_MEANS,   /* normal, standard deviation 0.001: Adam's first moment */
  BENCH_SQUARES  /* squares of those: Adam's second moment */
};

/* Normally distributed numbers, 1 Mi of them, to fill tensors from. NULL if there is no memory. */
float *bench_table_create(uint64_t seed);
void bench_table_destroy(float *table);

/* Fills elements of 4 bytes (f32) or 2 (bf16) from the table, so that no two tensors and no two MiB are alike. */
void bench_fill(void *elements, size_t bytes, size_t width, enum bench_values values, const float *table, uint64_t seed);

/* ---- baseline.c ---- */

/* Four buffers of 4 MiB on huge pages, allocated and touched once. NULL if there is no memory. */
struct baseline_ring;
struct baseline_ring *baseline_ring_create(void);
void baseline_ring_destroy(struct baseline_ring *ring);

struct baseline_result {
  double seconds;    /* from before open(2) until fsync(2) has returned */
  int is_direct;     /* whether it went past the page cache */
  int error;         /* errno, or 0 */
  const char *where; /* the call that failed */
};

/* Writes `count` bytes, a multiple of 4096, to `path` in pieces of 4 MiB, with O_DIRECT where the file system takes it, and one fsync.
   With a ring, a second thread copies the bytes into it ahead of the writer; without (NULL), they are written from where they are,
   which must be aligned to 4096. A file that exists is written over if `overwrites`, else it is an error. */
struct baseline_result baseline_write(
    const char *path, const void *bytes, size_t count, struct baseline_ring *ring, int overwrites);

#endif
