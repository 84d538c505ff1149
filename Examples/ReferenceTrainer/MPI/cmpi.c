#define _POSIX_C_SOURCE 200809L

#include "cmpi.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As in the mpi.h of Open MPI 4: handles are addresses of objects in the library. */
typedef void *handle;
enum { THREAD_MULTIPLE = 3 };

static struct {
    int (*init_thread)(int *, char ***, int, int *);
    int (*comm_rank)(handle, int *);
    int (*comm_size)(handle, int *);
    int (*comm_dup)(handle, handle *);
    int (*iallgather)(const void *, int, handle, void *, int, handle, handle, handle *);
    int (*test)(handle *, int *, void *);
    int (*finalize)(void);
    handle byte, channels[2];
    int rank, size;
} mpi;

static const char *find(void) {
    void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (!library) return "Open MPI 4 is not installed (libmpi.so.40)";
    mpi.init_thread = dlsym(library, "MPI_Init_thread");
    mpi.comm_rank = dlsym(library, "MPI_Comm_rank");
    mpi.comm_size = dlsym(library, "MPI_Comm_size");
    mpi.comm_dup = dlsym(library, "MPI_Comm_dup");
    mpi.iallgather = dlsym(library, "MPI_Iallgather");
    mpi.test = dlsym(library, "MPI_Test");
    mpi.finalize = dlsym(library, "MPI_Finalize");
    mpi.byte = dlsym(library, "ompi_mpi_byte");
    mpi.channels[0] = dlsym(library, "ompi_mpi_comm_world");
    if (!mpi.init_thread || !mpi.comm_rank || !mpi.comm_size || !mpi.comm_dup || !mpi.iallgather
        || !mpi.test || !mpi.finalize || !mpi.byte || !mpi.channels[0])
        return "libmpi.so.40 is not Open MPI";
    return NULL;
}

const char *cmpi_start(void) {
    const char *failure = find();
    if (failure) return failure;
    int level = 0;
    if (mpi.init_thread(NULL, NULL, THREAD_MULTIPLE, &level) != 0) return "MPI_Init_thread failed";
    if (level < THREAD_MULTIPLE) return "this Open MPI does not allow calls from several threads";
    handle world = mpi.channels[0];
    if (mpi.comm_rank(world, &mpi.rank) != 0 || mpi.comm_size(world, &mpi.size) != 0
        || mpi.comm_dup(world, &mpi.channels[1]) != 0)
        return "MPI_Comm_dup failed";
    return NULL;
}

int cmpi_rank(void) { return mpi.rank; }
int cmpi_size(void) { return mpi.size; }

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int cmpi_all_gather(int channel, const void *bytes, size_t count, void *all, double seconds) {
    if (count == 0 || count > INT_MAX || count > SIZE_MAX / ((size_t)mpi.size + 1)) return -1;
    /* A copy of `bytes`, then those of all: a collective operation cannot be cancelled, and one that
       is late still reads and writes its memory, which therefore is the caller's in no case. */
    char *memory = malloc(count * ((size_t)mpi.size + 1));
    if (!memory) return -1;
    memcpy(memory, bytes, count);
    handle request = NULL, comm = mpi.channels[channel];
    char *gathered = memory + count;
    int is_done = 0;
    int failure = mpi.iallgather(
        memory, (int)count, mpi.byte, gathered, (int)count, mpi.byte, comm, &request);
    const double deadline = now() + seconds;
    const struct timespec pause = {0, 50000};
    while (failure == 0 && !is_done) {
        /* MPI_STATUS_IGNORE is 0. */
        failure = mpi.test(&request, &is_done, NULL);
        if (is_done || now() > deadline) break;
        /* There may be fewer cores than processes. */
        nanosleep(&pause, NULL);
    }
    /* Without an end of the operation its memory is lost: once, as no further one follows it. */
    if (failure != 0 || !is_done) return -1;
    memcpy(all, gathered, count * (size_t)mpi.size);
    free(memory);
    return 0;
}

void cmpi_stop(void) { mpi.finalize(); }
