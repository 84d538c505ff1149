/* Counts allocations, by standing in for the allocator's entry points in the program that it is linked into. */
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

/* Allocations that all threads together have made so far. */
unsigned long allocation_count(void);

#endif
