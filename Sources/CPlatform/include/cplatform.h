/* System calls that Swift cannot import: variadic ones, and those behind _GNU_SOURCE. */
#ifndef CPLATFORM_H
#define CPLATFORM_H

/* Names the calling thread; at most 15 bytes are kept. */
void cp_thread_set_name(const char *name);

/* The kernel's id of the calling thread. */
int cp_thread_id(void);

/* The open(2) flag for input and output past the page cache. */
int cp_direct_io_flag(void);

/* Sets a thread's nice value, and makes it a batch thread: one that does not push another off its core when it wakes. Id 0 is the calling thread. */
void cp_thread_set_background(int id, int niceness);

/* Makes a thread one like any other, with nice value 0 if that is permitted. */
void cp_thread_set_foreground(int id);

#endif
