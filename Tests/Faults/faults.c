// A library for LD_PRELOAD that counts the calls by which a program uses the files below one directory,
// and lets one of them fail, or ends the process at it. `Tools/faults` builds and drives it.
//
//   FAULTS_UNDER    directories (absolute, separated by colons); calls on other files are passed on
//   FAULTS_AT       the call to hit, from 1; 0 or nothing: none
//   FAULTS_ACTION   kill, short, lie, or the number of an errno
//   FAULTS_FOREVER  1: every call from FAULTS_AT on
//   FAULTS_LOG      file to which a line is appended for each call: NUMBER CALL RESULT PATH [PATH]
//
// `short` halves the length of a read or a write. `lie` lets writes and syncs do nothing and report
// success. Calls are numbered across threads in the order in which they begin.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { NOTHING, FAIL, SHORT, LIE };
enum kind { PLAIN, TRANSFER, DURABLE };  // what SHORT and LIE apply to

static char under[8][PATH_MAX];
static int under_count;
static long hit_at;
static bool forever, is_kill, is_short, is_lie;
static int error_number;
static int log_file = -1;
static atomic_long calls;

static void append(const char *text, size_t length) { syscall(SYS_write, log_file, text, length); }

__attribute__((constructor)) static void start(void) {
  const char *list = getenv("FAULTS_UNDER");
  while (list && *list && under_count < 8) {
    const char *end = strchrnul(list, ':');
    if ((size_t)(end - list) < PATH_MAX) {
      memcpy(under[under_count++], list, (size_t)(end - list));
    }
    list = *end ? end + 1 : end;
  }
  const char *at = getenv("FAULTS_AT"), *action = getenv("FAULTS_ACTION"), *log = getenv("FAULTS_LOG");
  hit_at = at ? atol(at) : 0;
  forever = getenv("FAULTS_FOREVER") != NULL;
  if (action) {
    is_kill = !strcmp(action, "kill");
    is_short = !strcmp(action, "short");
    is_lie = !strcmp(action, "lie");
    error_number = atoi(action);
  }
  if (log) log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// Whether calls on this path are counted.
static bool counts(const char *path) {
  for (int i = 0; i < under_count; i++) {
    size_t length = strlen(under[i]);
    if (!strncmp(path, under[i], length) && (path[length] == 0 || path[length] == '/' || path[length] == '.')) return true;
  }
  return false;
}

// Writes the absolute form of a path that may be relative to a directory descriptor.
static void absolute(int directory, const char *path, char *out) {
  char base[PATH_MAX] = "", link[64];
  if (!path) path = "";
  if (path[0] != '/') {
    if (directory == AT_FDCWD) {
      syscall(SYS_getcwd, base, sizeof base);
    } else {
      snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
      long length = syscall(SYS_readlink, link, base, sizeof base - 1);
      base[length > 0 ? length : 0] = 0;
    }
  }
  while (path[0] == '.' && path[1] == '/') path += 2;
  bool is_whole = path[0] == '/' || !*path || !strcmp(path, ".");
  if (path[0] == '/') base[0] = 0;
  if (!strcmp(path, ".")) path = "";
  if (snprintf(out, PATH_MAX, "%s%s%s", base, is_whole ? "" : "/", path) >= PATH_MAX) out[PATH_MAX - 1] = 0;
}

struct call {
  long number;  // 0: not counted
  const char *name;
  char path[PATH_MAX], second[PATH_MAX];
};

static void note(const struct call *call, long result) {
  char line[2 * PATH_MAX + 96];
  int length = snprintf(line, sizeof line, "%ld %s %ld %s %s\n", call->number, call->name, result, call->path, call->second);
  if (length > 0) append(line, (size_t)length < sizeof line ? (size_t)length : sizeof line);
}

// Numbers a call, and says what is to become of it. Does not return from a call that ends the process.
static enum action begin(struct call *call, const char *name, enum kind kind) {
  call->name = name;
  if (!counts(call->path) && !(call->second[0] && counts(call->second))) {
    call->number = 0;
    return NOTHING;
  }
  call->number = atomic_fetch_add(&calls, 1) + 1;
  if (!hit_at || call->number < hit_at || (call->number > hit_at && !forever)) return NOTHING;
  if (is_kill) {
    if (log_file >= 0) note(call, -9);
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  }
  if (is_short) return kind == TRANSFER ? SHORT : NOTHING;
  if (is_lie) return kind == PLAIN ? NOTHING : LIE;
  errno = error_number;
  return error_number ? FAIL : NOTHING;
}

static enum action begin_path(struct call *call, const char *name, int directory, const char *path) {
  absolute(directory, path, call->path);
  call->second[0] = 0;
  return begin(call, name, PLAIN);
}

static enum action begin_file(struct call *call, const char *name, int file, enum kind kind) {
  absolute(file, "", call->path);
  call->second[0] = 0;
  return begin(call, name, kind);
}

static enum action begin_pair(struct call *call, const char *name, int from, const char *old, int to, const char *new) {
  absolute(from, old, call->path);
  absolute(to, new, call->second);
  return begin(call, name, PLAIN);
}

static long end(struct call *call, long result) {
  if (log_file >= 0 && call->number) {
    int saved = errno;
    note(call, result);
    errno = saved;
  }
  return result;
}

#define NEXT(name) ((typeof(&name))next(#name))
static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

// A call that is passed on, or fails with -1.
#define PASS(start, call, expression)                      \
  struct call call;                                        \
  if ((start) == FAIL) return (int)end(&call, -1);         \
  return (int)end(&call, (long)(expression))

#define OPEN(name)                                                                            \
  int name(const char *path, int flags, ...) {                                                \
    va_list list;                                                                             \
    va_start(list, flags);                                                                    \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(list, mode_t) : 0;               \
    va_end(list);                                                                             \
    PASS(begin_path(&call, (flags & O_CREAT) ? "create" : "open", AT_FDCWD, path), call,      \
         NEXT(name)(path, flags, mode));                                                      \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                          \
  int name(int directory, const char *path, int flags, ...) {                                 \
    va_list list;                                                                             \
    va_start(list, flags);                                                                    \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(list, mode_t) : 0;               \
    va_end(list);                                                                             \
    PASS(begin_path(&call, (flags & O_CREAT) ? "create" : "open", directory, path), call,     \
         NEXT(name)(directory, path, flags, mode));                                           \
  }
OPENAT(openat)
OPENAT(openat64)

// An error of close(2) comes after the descriptor is gone.
int close(int file) {
  struct call call;
  enum action action = begin_file(&call, "close", file, PLAIN);
  int saved = errno, result = NEXT(close)(file);
  if (action != FAIL) return (int)end(&call, result);
  errno = saved;
  return (int)end(&call, -1);
}

#define TRANSFER_CALL(name, label, type, buffer_type, parameters, arguments, lies)                 \
  ssize_t name parameters {                                                                        \
    struct call call;                                                                              \
    enum action action = begin_file(&call, label, file, TRANSFER);                                 \
    if (action == FAIL) return end(&call, -1);                                                     \
    if (action == LIE && lies) return end(&call, (long)count);                                     \
    if (action == SHORT && count > 1) count /= 2;                                                  \
    return end(&call, NEXT(name) arguments);                                                       \
  }
TRANSFER_CALL(read, "read", ssize_t, void, (int file, void *bytes, size_t count), (file, bytes, count), false)
TRANSFER_CALL(pread, "read", ssize_t, void, (int file, void *bytes, size_t count, off_t at), (file, bytes, count, at), false)
TRANSFER_CALL(pread64, "read", ssize_t, void, (int file, void *bytes, size_t count, off64_t at), (file, bytes, count, at), false)
TRANSFER_CALL(write, "write", ssize_t, void, (int file, const void *bytes, size_t count), (file, bytes, count), true)
TRANSFER_CALL(pwrite, "write", ssize_t, void, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at), true)
TRANSFER_CALL(pwrite64, "write", ssize_t, void, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at), true)

#define FILE_CALL(name, label, kind, parameters, arguments)                  \
  int name parameters {                                                      \
    struct call call;                                                        \
    enum action action = begin_file(&call, label, file, kind);               \
    if (action == FAIL) return (int)end(&call, -1);                          \
    if (action == LIE) return (int)end(&call, 0);                            \
    return (int)end(&call, NEXT(name) arguments);                            \
  }
FILE_CALL(fsync, "sync", DURABLE, (int file), (file))
FILE_CALL(fdatasync, "sync", DURABLE, (int file), (file))
FILE_CALL(ftruncate, "truncate", PLAIN, (int file, off_t size), (file, size))
FILE_CALL(ftruncate64, "truncate", PLAIN, (int file, off64_t size), (file, size))
FILE_CALL(fallocate, "allocate", PLAIN, (int file, int mode, off_t at, off_t size), (file, mode, at, size))
FILE_CALL(fallocate64, "allocate", PLAIN, (int file, int mode, off64_t at, off64_t size), (file, mode, at, size))
FILE_CALL(fstat, "stat", PLAIN, (int file, struct stat *status), (file, status))
FILE_CALL(fstat64, "stat", PLAIN, (int file, struct stat64 *status), (file, status))
FILE_CALL(fstatvfs, "statvfs", PLAIN, (int file, struct statvfs *status), (file, status))
FILE_CALL(flock, "flock", PLAIN, (int file, int operation), (file, operation))
FILE_CALL(fchmod, "chmod", PLAIN, (int file, mode_t mode), (file, mode))
FILE_CALL(fchown, "chown", PLAIN, (int file, uid_t user, gid_t group), (file, user, group))

// posix_fallocate(3) and posix_fadvise(2) return the error.
int posix_fallocate(int file, off_t at, off_t size) {
  struct call call;
  if (begin_file(&call, "allocate", file, PLAIN) == FAIL) return end(&call, -1), error_number;
  return (int)end(&call, NEXT(posix_fallocate)(file, at, size));
}

#define PATH_CALL(name, label, directory, parameters, arguments)             \
  int name parameters {                                                      \
    PASS(begin_path(&call, label, directory, path), call, NEXT(name) arguments); \
  }
PATH_CALL(stat, "stat", AT_FDCWD, (const char *path, struct stat *status), (path, status))
PATH_CALL(stat64, "stat", AT_FDCWD, (const char *path, struct stat64 *status), (path, status))
PATH_CALL(lstat, "stat", AT_FDCWD, (const char *path, struct stat *status), (path, status))
PATH_CALL(lstat64, "stat", AT_FDCWD, (const char *path, struct stat64 *status), (path, status))
PATH_CALL(fstatat, "stat", directory, (int directory, const char *path, struct stat *status, int flags), (directory, path, status, flags))
PATH_CALL(statvfs, "statvfs", AT_FDCWD, (const char *path, struct statvfs *status), (path, status))
PATH_CALL(access, "access", AT_FDCWD, (const char *path, int mode), (path, mode))
PATH_CALL(unlink, "unlink", AT_FDCWD, (const char *path), (path))
PATH_CALL(unlinkat, "unlink", directory, (int directory, const char *path, int flags), (directory, path, flags))
PATH_CALL(rmdir, "rmdir", AT_FDCWD, (const char *path), (path))
PATH_CALL(mkdir, "mkdir", AT_FDCWD, (const char *path, mode_t mode), (path, mode))
PATH_CALL(mkdirat, "mkdir", directory, (int directory, const char *path, mode_t mode), (directory, path, mode))
PATH_CALL(chmod, "chmod", AT_FDCWD, (const char *path, mode_t mode), (path, mode))
PATH_CALL(truncate, "truncate", AT_FDCWD, (const char *path, off_t size), (path, size))

int rename(const char *old, const char *new) {
  PASS(begin_pair(&call, "rename", AT_FDCWD, old, AT_FDCWD, new), call, NEXT(rename)(old, new));
}
int renameat(int from, const char *old, int to, const char *new) {
  PASS(begin_pair(&call, "rename", from, old, to, new), call, NEXT(renameat)(from, old, to, new));
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
  PASS(begin_pair(&call, "rename", from, old, to, new), call, NEXT(renameat2)(from, old, to, new, flags));
}
int link(const char *old, const char *new) {
  PASS(begin_pair(&call, "link", AT_FDCWD, old, AT_FDCWD, new), call, NEXT(link)(old, new));
}
int linkat(int from, const char *old, int to, const char *new, int flags) {
  PASS(begin_pair(&call, "link", from, old, to, new), call, NEXT(linkat)(from, old, to, new, flags));
}

DIR *opendir(const char *path) {
  struct call call;
  if (begin_path(&call, "opendir", AT_FDCWD, path) == FAIL) return end(&call, -1), NULL;
  DIR *result = NEXT(opendir)(path);
  end(&call, result ? 0 : -1);
  return result;
}

#define READDIR(name, type)                                                                    \
  struct type *name(DIR *directory) {                                                          \
    struct call call;                                                                          \
    if (begin_file(&call, "readdir", dirfd(directory), PLAIN) == FAIL) return end(&call, -1), NULL; \
    struct type *result = NEXT(name)(directory);                                               \
    end(&call, 0);                                                                             \
    return result;                                                                             \
  }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

#define MAP(name, offset)                                                                      \
  void *name(void *address, size_t length, int protection, int flags, int file, offset at) {   \
    if (flags & MAP_ANONYMOUS) return NEXT(name)(address, length, protection, flags, file, at); \
    struct call call;                                                                          \
    if (begin_file(&call, "mmap", file, PLAIN) == FAIL) return end(&call, -1), MAP_FAILED;     \
    void *result = NEXT(name)(address, length, protection, flags, file, at);                   \
    end(&call, result == MAP_FAILED ? -1 : 0);                                                 \
    return result;                                                                             \
  }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

#define FCNTL(name)                                                                            \
  int name(int file, int command, ...) {                                                       \
    va_list list;                                                                              \
    va_start(list, command);                                                                   \
    void *argument = va_arg(list, void *);                                                     \
    va_end(list);                                                                              \
    PASS(begin_file(&call, "fcntl", file, PLAIN), call, NEXT(name)(file, command, argument));  \
  }
FCNTL(fcntl)
FCNTL(fcntl64)
