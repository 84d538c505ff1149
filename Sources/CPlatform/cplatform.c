#define _GNU_SOURCE
#include "cplatform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void cp_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

int cp_thread_id(void) { return (int)syscall(SYS_gettid); }

int cp_direct_io_flag(void) { return O_DIRECT; }

int cp_punch_hole(int descriptor, long offset, long count) {
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count);
}

/* On Linux the nice value is a property of the thread (setpriority(2)). */
void cp_thread_set_background(int id, int niceness) {
  const struct sched_param parameters = {0};
  sched_setscheduler(id, SCHED_BATCH, &parameters);
  setpriority(PRIO_PROCESS, id, niceness);
}

void cp_thread_set_foreground(int id) {
  const struct sched_param parameters = {0};
  sched_setscheduler(id, SCHED_OTHER, &parameters);
  setpriority(PRIO_PROCESS, id, 0);
}

/* Descriptors with locks, plus one; 0 is free. */
enum { FILE_LOCKS = 64 };
static _Atomic int file_locks[FILE_LOCKS];
static pthread_once_t file_locks_watched = PTHREAD_ONCE_INIT;

/* In a child: /dev/null takes the place of each lock, so that its number is not given to another
 * file, which an object of the parent might then close. */
static void give_up_file_locks(void) {
  const int saved = errno;
  for (int index = 0; index < FILE_LOCKS; index++) {
    const int descriptor = atomic_exchange(&file_locks[index], 0) - 1;
    if (descriptor < 0) continue;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) continue;
    dup3(null, descriptor, O_CLOEXEC);
    close(null);
  }
  errno = saved;
}

static void watch_file_locks(void) { pthread_atfork(NULL, NULL, give_up_file_locks); }

void cp_file_lock_begin(int descriptor) {
  pthread_once(&file_locks_watched, watch_file_locks);
  for (int index = 0; index < FILE_LOCKS; index++) {
    int free_entry = 0;
    if (atomic_compare_exchange_strong(&file_locks[index], &free_entry, descriptor + 1)) return;
  }
}

void cp_file_lock_end(int descriptor) {
  for (int index = 0; index < FILE_LOCKS; index++) {
    int entry = descriptor + 1;
    if (atomic_compare_exchange_strong(&file_locks[index], &entry, 0)) return;
  }
}

/* Locks of one rank may be held several times, where the rank allows it. */
static _Thread_local cp_locks held;
static _Atomic uint64_t taken[32];

void cp_lock_take(uint8_t rank) {
  held.counts[rank] += 1;
  held.ranks |= (uint32_t)1 << rank;
  atomic_fetch_add_explicit(&taken[rank], 1, memory_order_relaxed);
}

void cp_lock_release(uint8_t rank) {
  held.counts[rank] -= 1;
  if (held.counts[rank] == 0) held.ranks &= ~((uint32_t)1 << rank);
}

void cp_locks_exchange(cp_locks *other) {
  const cp_locks mine = held;
  held = *other;
  *other = mine;
}

uint32_t cp_locks_held(void) { return held.ranks; }

uint64_t cp_locks_taken(uint8_t rank) {
  return atomic_load_explicit(&taken[rank], memory_order_relaxed);
}

int cp_rename_new(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int cp_rename_exchange(const char *one, const char *other) {
  return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}
