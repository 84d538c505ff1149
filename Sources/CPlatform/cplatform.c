#define _GNU_SOURCE
#include "cplatform.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

void cp_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

int cp_direct_io_flag(void) { return O_DIRECT; }

/* On Linux the nice value belongs to the thread, and id 0 means the calling one. */
void cp_thread_set_background(int niceness) {
  const struct sched_param parameters = {0};
  sched_setscheduler(0, SCHED_BATCH, &parameters);
  setpriority(PRIO_PROCESS, 0, niceness);
}
