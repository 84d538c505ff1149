#define _GNU_SOURCE
#include "cplatform.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void cp_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

int cp_thread_id(void) { return (int)syscall(SYS_gettid); }

int cp_direct_io_flag(void) { return O_DIRECT; }

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
