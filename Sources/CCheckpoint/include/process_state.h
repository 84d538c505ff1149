/* State of the process that the C interface keeps outside Swift. Not part of the interface. */
#ifndef CCHECKPOINT_PROCESS_STATE_H
#define CCHECKPOINT_PROCESS_STATE_H

#include <stddef.h>

/* Sets the texts that the ckpt_last_... functions return on this thread; they are cut to fit. */
void cc_set_failure(
    const char *_Nonnull message, const char *_Nonnull remedy, const char *_Nonnull path);

/* 1 in a process that was made by fork() after this library was loaded. */
int cc_is_forked(void);

/* Stand around a call of a function of the program, on this thread. */
void cc_enter_program(void);
void cc_leave_program(void);

/* 1 inside such a call. */
int cc_is_in_program(void);

#endif
