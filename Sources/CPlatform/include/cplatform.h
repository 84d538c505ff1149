/* System calls that Swift cannot import: variadic functions, and functions that need
 * _GNU_SOURCE. */
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include <stdint.h>

/* Sets the name of the calling thread (pthread_setname_np(3)): at most 15 bytes. The result is
 * ignored. */
void cp_thread_set_name(const char *name);

/* Returns the kernel's id of the calling thread (gettid(2)). */
int cp_thread_id(void);

/* Returns the open(2) flag for I/O that bypasses the page cache: O_DIRECT. */
int cp_direct_io_flag(void);

/* Frees the space of bytes in the middle of a file, which read as zeros from then on (fallocate(2),
 * FALLOC_FL_PUNCH_HOLE). Returns 0, or -1 with errno. */
int cp_punch_hole(int descriptor, long offset, long count);


/* Makes a thread a background thread: sets its nice value (0 to 19) and the class SCHED_BATCH,
 * with which it does not preempt another thread when it wakes (sched(7)). Id 0 is the calling
 * thread. Errors are ignored. */
void cp_thread_set_background(int id, int niceness);

/* Makes a thread an ordinary thread: SCHED_OTHER, and nice value 0 if the process may lower it.
 * Errors are ignored. */
void cp_thread_set_foreground(int id);

/* Renames a file unless the new name exists (renameat2(2), RENAME_NOREPLACE). Returns 0, or -1 with
 * errno set: EINVAL or ENOSYS if the file system or the kernel cannot do that. */
int cp_rename_new(const char *from, const char *to);

/* Exchanges two existing names in one step (renameat2(2), RENAME_EXCHANGE). Returns 0, or -1 with
 * errno set, as above. */
int cp_rename_exchange(const char *one, const char *other);

/* Locks of files, flock(2), which belong to an open file and so are shared with children of
 * fork(2). */

/* Records that a descriptor holds a lock: a child gives it up, so that the lock ends with this
 * process and not with the last of its children. At most 64 are recorded; others stay shared. */
void cp_file_lock_begin(int descriptor);

/* Records that a descriptor is about to be closed. */
void cp_file_lock_end(int descriptor);

/* The locks that threads hold, for checks in debug builds. A rank is less than 32. */

/* Records that the calling thread takes a lock. */
void cp_lock_take(uint8_t rank);

/* Records that the calling thread releases a lock. */
void cp_lock_release(uint8_t rank);

/* The locks that one thread holds. */
typedef struct {
  uint32_t ranks;
  uint8_t counts[32];
} cp_locks;

/* Exchanges the record of the locks that the calling thread holds with another one. */
void cp_locks_exchange(cp_locks *other);

/* Returns the ranks of the locks that the calling thread holds: bit r is rank r. */
uint32_t cp_locks_held(void);

/* Returns how often threads of this process have taken locks of a rank. */
uint64_t cp_locks_taken(uint8_t rank);

#endif
