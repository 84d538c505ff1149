/* The few calls of MPI that the reference trainer needs. Open MPI is found at run time (dlopen), so
 * that nothing of it is needed to build. */
#ifndef CMPI_H
#define CMPI_H

#include <stddef.h>

/* Two sets of collective calls that do not mix: the trainer's, and those of the checkpoint engine,
 * which come from other threads. */
enum { CMPI_TRAINER = 0, CMPI_ENGINE = 1 };

/* Joins the processes that mpirun(1) has started. Returns NULL, or why that failed. */
const char *cmpi_start(void);
int cmpi_rank(void);
int cmpi_size(void);

/* Gives every process what each of them brings, by rank: `count` bytes each. Returns 0, or -1 if
 * the call failed or was not complete after `seconds`; the channel must not be used again then. */
int cmpi_all_gather(int channel, const void *bytes, size_t count, void *all, double seconds);

/* Leaves; all processes call it. */
void cmpi_stop(void);

#endif
