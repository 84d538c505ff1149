/* Functions that the static libraries of this machine use and that glibc 2.28 does not have. They are
 * linked into the portable libcheckpoint.so and visible in it alone. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

/* glibc 2.32. 0: the process may have several threads. */
char __libc_single_threaded = 0;

/* glibc 2.29. Used by Foundation's Process, which the library does not use. */
int posix_spawn_file_actions_addchdir_np(void *actions, const char *path) {
    (void)actions;
    (void)path;
    return ENOSYS;
}

/* glibc 2.36. Used by std::random_device. */
uint32_t arc4random(void) {
    uint32_t value;
    while (getrandom(&value, sizeof value, 0) != sizeof value)
        if (errno != EINTR) abort();
    return value;
}
