/* Wrappers of userfaultfd(2) and PAGEMAP_SCAN(2const), which Swift cannot import: they are ioctls,
 * and a system call without a libc wrapper. Every function returns the result of its call, or a
 * negative errno. Addresses and lengths are in bytes and must be multiples of the page size. */
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

/* Opens a userfaultfd, close-on-exec and non-blocking, by the system call or by /dev/userfaultfd.
 * With `user_only`, faults of the kernel on behalf of the process fail instead of being held.
 * Returns the descriptor. */
int cg_open_system_call(int user_only);
int cg_open_device(int user_only);

/* Enables the features in the mask, and replaces the mask by the features that the kernel offers.
 * UFFDIO_API can be called only once per descriptor. */
int cg_enable(int descriptor, uint64_t *features);

/* Registers pages for write protection, or unregisters them. */
int cg_register(int descriptor, uint64_t start, uint64_t length);
int cg_unregister(int descriptor, uint64_t start, uint64_t length);
/* Protects pages, or removes their protection, which also wakes the threads held there. */
int cg_set_protection(int descriptor, uint64_t start, uint64_t length, int is_protected);
/* Wakes the threads that are held at pages. */
int cg_wake(int descriptor, uint64_t start, uint64_t length);

/* Reads the addresses of held writes that are not reported yet: at most `capacity`, and at most 16.
 * Returns the number of addresses; -EAGAIN if none is pending. */
long cg_read_held_writes(int descriptor, uint64_t *addresses, long capacity);

/* Finds the runs of pages that were written since they were protected. Returns the number of runs,
 * at most `capacity`; `walked` is the address where the scan stopped: `end`, or earlier if `runs`
 * is full. */
long cg_scan_written(int pagemap, uint64_t start, uint64_t end, struct cg_page_run *runs, long capacity, uint64_t *walked);

/* Opens an eventfd, close-on-exec and non-blocking. Returns the descriptor. */
int cg_open_event(void);
/* Makes an eventfd readable. */
int cg_signal_event(int descriptor);

#endif
