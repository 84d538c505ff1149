/* The system calls of userfaultfd(2) and PAGEMAP_SCAN, which Swift cannot import: ioctls, and a call without a libc wrapper.
 * Every function returns what the call does, or a negative errno. */
#ifndef CGUARD_H
#define CGUARD_H

#include <stdint.h>

/* Bits of the feature mask of UFFDIO_API. */
enum {
  CG_FEATURE_WRITE_PROTECT = 1 << 0,
  CG_FEATURE_SHARED_MEMORY = 1 << 12,
  CG_FEATURE_UNPOPULATED = 1 << 13,
  CG_FEATURE_ASYNCHRONOUS = 1 << 15,
};

/* A run of pages, as PAGEMAP_SCAN reports it. */
struct cg_page_run {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};

/* A new userfaultfd, close-on-exec and non-blocking, from the system call or from /dev/userfaultfd. User only: faults of the
 * kernel on the process's behalf are not held, but fail. */
int cg_open_system_call(int user_only);
int cg_open_device(int user_only);

/* Enables the features in the mask, and replaces it by those that the kernel has. */
int cg_enable(int descriptor, uint64_t *features);

int cg_register(int descriptor, uint64_t start, uint64_t length);
int cg_unregister(int descriptor, uint64_t start, uint64_t length);
/* Taking protection away also wakes who waits there. */
int cg_set_protection(int descriptor, uint64_t start, uint64_t length, int is_protected);
int cg_wake(int descriptor, uint64_t start, uint64_t length);

/* The addresses of held writes that wait to be reported: at most `capacity`, and at most 16. */
long cg_read_held_writes(int descriptor, uint64_t *addresses, long capacity);

/* The runs of pages written since they were protected, and where the scan stopped for want of room. */
long cg_scan_written(int pagemap, uint64_t start, uint64_t end, struct cg_page_run *runs, long capacity, uint64_t *walked);

/* An eventfd, close-on-exec and non-blocking. */
int cg_open_event(void);
/* Makes an eventfd readable. */
int cg_signal_event(int descriptor);

#endif
