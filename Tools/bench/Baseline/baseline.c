#define _GNU_SOURCE
#include "cbaseline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)4 << 20)
#define SLOTS 4
#define HUGE_PAGE ((size_t)2 << 20)

struct baseline_ring {
  char *mapping; /* as mmap gave it; slots begin at the first huge page inside */
  char *slots;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  size_t copied, written; /* pieces, since the write began */
  int is_given_up;
  const char *source;
  size_t count;
};

struct baseline_ring *baseline_ring_create(void) {
  struct baseline_ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return NULL;
  size_t size = SLOTS * PIECE + HUGE_PAGE;
  ring->mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ring->mapping == MAP_FAILED) {
    free(ring);
    return NULL;
  }
  ring->slots = (char *)(((uintptr_t)ring->mapping + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
  madvise(ring->slots, SLOTS * PIECE, MADV_HUGEPAGE);
  memset(ring->slots, 1, SLOTS * PIECE);
  pthread_mutex_init(&ring->mutex, NULL);
  pthread_cond_init(&ring->changed, NULL);
  return ring;
}

void baseline_ring_destroy(struct baseline_ring *ring) {
  pthread_cond_destroy(&ring->changed);
  pthread_mutex_destroy(&ring->mutex);
  munmap(ring->mapping, SLOTS * PIECE + HUGE_PAGE);
  free(ring);
}

static size_t piece_length(size_t count, size_t piece) {
  size_t rest = count - piece * PIECE;
  return rest < PIECE ? rest : PIECE;
}

static void *copy_ahead(void *argument) {
  struct baseline_ring *ring = argument;
  for (size_t piece = 0; piece * PIECE < ring->count; piece++) {
    pthread_mutex_lock(&ring->mutex);
    while (piece - ring->written == SLOTS && !ring->is_given_up) pthread_cond_wait(&ring->changed, &ring->mutex);
    int is_given_up = ring->is_given_up;
    pthread_mutex_unlock(&ring->mutex);
    if (is_given_up) break;
    memcpy(ring->slots + piece % SLOTS * PIECE, ring->source + piece * PIECE, piece_length(ring->count, piece));
    pthread_mutex_lock(&ring->mutex);
    ring->copied = piece + 1;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
  }
  return NULL;
}

/* Writes everything. If direct writing is refused, at the first write or after a short one, it continues through the page cache. */
static int write_all(int file, const char *bytes, size_t count, size_t offset, int *is_direct) {
  while (count > 0) {
    ssize_t done = pwrite(file, bytes, count, (off_t)offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EINVAL && *is_direct) {
      *is_direct = 0;
      if (fcntl(file, F_SETFL, 0) == 0) continue;
    }
    if (done < 0) return errno;
    if (done == 0) return EIO;
    bytes += done;
    offset += (size_t)done;
    count -= (size_t)done;
  }
  return 0;
}

static int write_straight(int file, const char *bytes, size_t count, int *is_direct) {
  int error = 0;
  for (size_t piece = 0; piece * PIECE < count && error == 0; piece++)
    error = write_all(file, bytes + piece * PIECE, piece_length(count, piece), piece * PIECE, is_direct);
  return error;
}

static int write_copied(int file, struct baseline_ring *ring, int *is_direct) {
  pthread_t copier;
  int error = pthread_create(&copier, NULL, copy_ahead, ring);
  if (error != 0) return error;
  for (size_t piece = 0; piece * PIECE < ring->count && error == 0; piece++) {
    pthread_mutex_lock(&ring->mutex);
    while (ring->copied <= piece) pthread_cond_wait(&ring->changed, &ring->mutex);
    pthread_mutex_unlock(&ring->mutex);
    const char *slot = ring->slots + piece % SLOTS * PIECE;
    error = write_all(file, slot, piece_length(ring->count, piece), piece * PIECE, is_direct);
    pthread_mutex_lock(&ring->mutex);
    ring->written = piece + 1;
    ring->is_given_up = error != 0;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
  }
  pthread_join(copier, NULL);
  return error;
}

static int open_file(const char *path, int flags, int *is_direct) {
  int file = open(path, flags | O_DIRECT, 0644);
  *is_direct = file >= 0;
  if (file >= 0 || errno != EINVAL) return file;
  /* Linux makes the file before it refuses to open it directly (open(2), BUGS). */
  return open(path, flags & ~O_EXCL, 0644);
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct baseline_result baseline_write(
    const char *path, const void *bytes, size_t count, struct baseline_ring *ring, int overwrites) {
  struct baseline_result result = {0};
  if (ring != NULL) {
    ring->source = bytes;
    ring->count = count;
    ring->copied = ring->written = 0;
    ring->is_given_up = 0;
  }
  double began = seconds_now();
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (overwrites ? 0 : O_EXCL);
  int file = open_file(path, flags, &result.is_direct);
  if (file < 0) return (struct baseline_result){.error = errno, .where = "open(2)"};
  result.where = "pwrite(2)";
  result.error = ring != NULL ? write_copied(file, ring, &result.is_direct)
                              : write_straight(file, bytes, count, &result.is_direct);
  if (result.error == 0 && fsync(file) != 0) {
    result.error = errno;
    result.where = "fsync(2)";
  }
  result.seconds = seconds_now() - began;
  close(file);
  return result;
}
