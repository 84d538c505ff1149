#define _GNU_SOURCE
#include "cguard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Constants that old headers lack. The values are the kernel's ABI. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

/* A copy of pm_scan_arg from linux/fs.h of Linux 6.7. It has another name, so that it compiles both
 * with headers that define pm_scan_arg and with headers that do not. */
struct scan_argument {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
_Static_assert(sizeof(struct scan_argument) == 96, "pm_scan_arg has 12 words");
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOWR('f', 16, struct scan_argument)
#endif
#ifndef PAGE_IS_WRITTEN
#define PAGE_IS_WRITTEN (1 << 1)
#endif

static int result(int value) { return value == -1 ? -errno : value; }

static int user_flag(int user_only) { return user_only ? UFFD_USER_MODE_ONLY : 0; }

int cg_open_system_call(int user_only) {
  return result((int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_flag(user_only)));
}

int cg_open_device(int user_only) {
  int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device == -1) return -errno;
  int descriptor = result(ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK | user_flag(user_only)));
  close(device);
  return descriptor;
}

int cg_enable(int descriptor, uint64_t *features) {
  struct uffdio_api api = {.api = UFFD_API, .features = *features};
  int status = result(ioctl(descriptor, UFFDIO_API, &api));
  if (status == 0) *features = api.features;
  return status;
}

int cg_register(int descriptor, uint64_t start, uint64_t length) {
  struct uffdio_register argument = {.range = {start, length}, .mode = UFFDIO_REGISTER_MODE_WP};
  return result(ioctl(descriptor, UFFDIO_REGISTER, &argument));
}

int cg_unregister(int descriptor, uint64_t start, uint64_t length) {
  struct uffdio_range range = {start, length};
  return result(ioctl(descriptor, UFFDIO_UNREGISTER, &range));
}

int cg_set_protection(int descriptor, uint64_t start, uint64_t length, int is_protected) {
  struct uffdio_writeprotect argument = {.range = {start, length}, .mode = is_protected ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
  return result(ioctl(descriptor, UFFDIO_WRITEPROTECT, &argument));
}

int cg_wake(int descriptor, uint64_t start, uint64_t length) {
  struct uffdio_range range = {start, length};
  return result(ioctl(descriptor, UFFDIO_WAKE, &range));
}

long cg_read_held_writes(int descriptor, uint64_t *addresses, long capacity) {
  enum { most = 16 };
  struct uffd_msg messages[most];
  long limit = capacity < most ? capacity : most;
  ssize_t length = read(descriptor, messages, (size_t)limit * sizeof messages[0]);
  if (length == -1) return -errno;
  long count = 0;
  for (long i = 0; i < length / (ssize_t)sizeof messages[0]; i++)
    if (messages[i].event == UFFD_EVENT_PAGEFAULT) addresses[count++] = messages[i].arg.pagefault.address;
  return count;
}

long cg_scan_written(int pagemap, uint64_t start, uint64_t end, struct cg_page_run *runs, long capacity, uint64_t *walked) {
  struct scan_argument argument = {
      .size = sizeof argument,
      .start = start,
      .end = end,
      .vec = (uint64_t)(uintptr_t)runs,
      .vec_len = (uint64_t)capacity,
      .category_mask = PAGE_IS_WRITTEN,
      .return_mask = PAGE_IS_WRITTEN,
  };
  long count = ioctl(pagemap, PAGEMAP_SCAN, &argument);
  if (count == -1) return -errno;
  *walked = argument.walk_end;
  return count;
}

int cg_open_event(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int cg_signal_event(int descriptor) { return result(eventfd_write(descriptor, 1)); }
