// A CUDA driver in software, for tests: the entry points that CheckpointDevices uses, with the signatures of the CUDA Driver API
// reference, on host memory. Each stream is a thread that executes in order; streams are ordered only by events. There is one GPU.
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H
#include <stddef.h>
#include <stdint.h>

// The entry point of this name, or null.
void *fake_cuda_symbol(const char *name);

// What is alive, and what was done.
struct fake_cuda_state {
    int contexts, streams, events, allocations, registrations;
    int events_created, copies, pageable_copies;
};
struct fake_cuda_state fake_cuda_state(void);

// Depth of the calling thread's stack of contexts.
int fake_cuda_depth(void);

// Has `call` return `result` once, after `after` more calls that do not fail.
void fake_cuda_fail(const char *call, int after, int result);

// The names of the calls since the last time it was asked for, separated by spaces; valid until then.
const char *fake_cuda_log(void);

// Puts work into a stream that lasts until `fake_cuda_unblock` has been called as often.
void fake_cuda_block(uintptr_t stream);
void fake_cuda_unblock(void);

#endif
