#include "fake_cuda.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef struct context *CUcontext;
typedef struct stream *CUstream;
typedef struct event *CUevent;
typedef unsigned long long CUdeviceptr;

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400, ALREADY_REGISTERED = 712, NOT_REGISTERED = 713
};

struct event { unsigned long recorded, completed; struct event *next; };

struct work {
    enum { COPY, FILL, RECORD, WAIT, BLOCK } kind;
    void *target;
    const void *source;
    size_t count;
    CUevent event;
    unsigned long number;
    struct work *next;
};

struct stream {
    pthread_t thread;
    struct work *first, **last;
    unsigned long submitted, completed;
    int is_closing;
    struct stream *next;
};

struct range { uintptr_t start; size_t count; char *bytes; struct range *next; };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct stream *streams;  // made by calls
static struct stream *defaults[2];
static struct event *events;
static struct range *allocations, *registrations;
static struct fake_cuda_state state;
static int is_initialized, unblocked;
static uintptr_t next_address = 0x00D1000000000000;
static struct context { int unused; } primary;
static _Thread_local int depth;

static struct { const char *call; int after, result; } fault;
static char fault_call[64];
static char log_text[1 << 16], told[1 << 16];
static size_t log_length;

// MARK: Bookkeeping. The lock is held by callers of lower-case functions.

static CUresult enter(const char *call, int needs_context) {
    log_length += (size_t)snprintf(log_text + log_length, sizeof log_text - log_length, "%s ", call);
    if (log_length > sizeof log_text - 64) log_length = 0;
    if (fault.call && strcmp(fault.call, call) == 0 && fault.after-- == 0) {
        fault.call = NULL;
        return fault.result;
    }
    if (!is_initialized && strncmp(call, "cuInit", 6) != 0 && strncmp(call, "cuGetError", 10) != 0) return NOT_INITIALIZED;
    return needs_context && depth == 0 ? INVALID_CONTEXT : SUCCESS;
}

// Locks until the end of the function, and leaves it if the call is to fail.
static void unlock(int *unused) { (void)unused; pthread_cond_broadcast(&changed); pthread_mutex_unlock(&mutex); }
#define ENTER(call, needs_context) \
    pthread_mutex_lock(&mutex); \
    int guard __attribute__((cleanup(unlock))) = 0; (void)guard; \
    CUresult entered = enter(call, needs_context); \
    if (entered != SUCCESS) return entered

static void execute(struct work *work) {
    switch (work->kind) {
    case COPY: memcpy(work->target, work->source, work->count); break;
    case FILL: for (size_t i = 0; i < work->count; i++) ((unsigned *)work->target)[i] = (unsigned)work->number; break;
    case RECORD: if (work->event->completed < work->number) work->event->completed = work->number; break;
    case WAIT: while (work->event->completed < work->number) pthread_cond_wait(&changed, &mutex); break;
    case BLOCK: while (unblocked == 0) pthread_cond_wait(&changed, &mutex); unblocked--; break;
    }
}

static void *run(void *argument) {
    CUstream stream = argument;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (!stream->first && !stream->is_closing) pthread_cond_wait(&changed, &mutex);
        struct work *work = stream->first;
        if (!work) break;
        execute(work);
        if (!(stream->first = work->next)) stream->last = &stream->first;
        stream->completed++;
        free(work);
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static CUstream new_stream(void) {
    CUstream stream = calloc(1, sizeof *stream);
    stream->last = &stream->first;
    pthread_create(&stream->thread, NULL, run, stream);
    return stream;
}

// The stream of a handle: 0 and 1 are the legacy default stream, 2 the thread's.
static CUstream find_stream(CUstream handle) {
    if ((uintptr_t)handle <= 2) {
        int index = (uintptr_t)handle == 2;
        if (!defaults[index]) defaults[index] = new_stream();
        return defaults[index];
    }
    for (CUstream stream = streams; stream; stream = stream->next) if (stream == handle) return stream;
    return NULL;
}

static CUevent find_event(CUevent handle) {
    for (CUevent event = events; event; event = event->next) if (event == handle) return event;
    return NULL;
}

static struct range **find_range(struct range **list, uintptr_t start, size_t count) {
    for (; *list; list = &(*list)->next)
        if (start >= (*list)->start && start + count <= (*list)->start + (*list)->count) return list;
    return NULL;
}

static void add_range(struct range **list, uintptr_t start, size_t count, char *bytes) {
    struct range *range = malloc(sizeof *range);
    *range = (struct range){start, count, bytes, *list};
    *list = range;
}

static void remove_range(struct range **found) {
    struct range *range = *found;
    *found = range->next;
    free(range->bytes);
    free(range);
}

static void submit(CUstream stream, struct work work) {
    struct work *copy = malloc(sizeof *copy);
    *copy = work;
    *stream->last = copy;
    stream->last = &copy->next;
    stream->submitted++;
}

// MARK: The driver

static CUresult cuInit(unsigned int flags) {
    ENTER("cuInit", 0);
    is_initialized = 1;
    return flags == 0 ? SUCCESS : INVALID_VALUE;
}

static CUresult cuGetErrorName(CUresult error, const char **text) {
    ENTER("cuGetErrorName", 0);
    switch (error) {
    case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; return SUCCESS;
    case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; return SUCCESS;
    case INVALID_DEVICE: *text = "CUDA_ERROR_INVALID_DEVICE"; return SUCCESS;
    case 700: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; return SUCCESS;
    default: *text = NULL; return INVALID_VALUE;
    }
}

static CUresult cuGetErrorString(CUresult error, const char **text) {
    ENTER("cuGetErrorString", 0);
    *text = error == OUT_OF_MEMORY ? "out of memory" : NULL;
    return *text ? SUCCESS : INVALID_VALUE;
}

static CUresult cuDeviceGetCount(int *count) { ENTER("cuDeviceGetCount", 0); *count = 1; return SUCCESS; }

static CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER("cuDeviceGet", 0);
    *device = 7;
    return ordinal == 0 ? SUCCESS : INVALID_DEVICE;
}

static CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    ENTER("cuDeviceGetName", 0);
    snprintf(name, (size_t)length, "Software GPU");
    return device == 7 ? SUCCESS : INVALID_DEVICE;
}

static CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER("cuDevicePrimaryCtxRetain", 0);
    *context = &primary;
    state.contexts++;
    return device == 7 ? SUCCESS : INVALID_DEVICE;
}

static CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    ENTER("cuDevicePrimaryCtxRelease_v2", 0);
    state.contexts--;
    return device == 7 ? SUCCESS : INVALID_DEVICE;
}

static CUresult cuCtxPushCurrent(CUcontext context) {
    ENTER("cuCtxPushCurrent_v2", 0);
    if (context != &primary || state.contexts <= 0) return INVALID_CONTEXT;
    depth++;
    return SUCCESS;
}

static CUresult cuCtxPopCurrent(CUcontext *context) {
    ENTER("cuCtxPopCurrent_v2", 1);
    depth--;
    *context = &primary;
    return SUCCESS;
}

static CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    ENTER("cuStreamCreate", 1);
    if (flags != 1) return INVALID_VALUE;  // one that waits for the default stream would hide a missing order
    *stream = new_stream();
    (*stream)->next = streams;
    streams = *stream;
    state.streams++;
    return SUCCESS;
}

static CUresult cuStreamDestroy(CUstream handle) {
    pthread_t thread;
    {
        ENTER("cuStreamDestroy_v2", 1);
        CUstream *found = &streams;
        while (*found && *found != handle) found = &(*found)->next;
        if (!*found) return INVALID_HANDLE;
        *found = handle->next;
        handle->is_closing = 1;
        thread = handle->thread;
        state.streams--;
    }
    pthread_join(thread, NULL);
    free(handle);
    return SUCCESS;
}

static CUresult cuStreamSynchronize(CUstream handle) {
    ENTER("cuStreamSynchronize", 1);
    CUstream stream = find_stream(handle);
    if (!stream) return INVALID_HANDLE;
    unsigned long goal = stream->submitted;
    while (stream->completed < goal) pthread_cond_wait(&changed, &mutex);
    return SUCCESS;
}

static CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned int flags) {
    ENTER("cuStreamWaitEvent", 1);
    CUstream stream = find_stream(handle);
    if (!stream || !find_event(event) || flags) return INVALID_HANDLE;
    submit(stream, (struct work){.kind = WAIT, .event = event, .number = event->recorded});
    return SUCCESS;
}

static CUresult cuEventCreate(CUevent *event, unsigned int flags) {
    ENTER("cuEventCreate", 1);
    if (flags & ~3u) return INVALID_VALUE;
    *event = calloc(1, sizeof **event);
    (*event)->next = events;
    events = *event;
    state.events++;
    state.events_created++;
    return SUCCESS;
}

static CUresult cuEventDestroy(CUevent event) {
    ENTER("cuEventDestroy_v2", 1);
    CUevent *found = &events;
    while (*found && *found != event) found = &(*found)->next;
    if (!*found) return INVALID_HANDLE;
    *found = event->next;
    // Work in a stream may still name it; a test has few.
    state.events--;
    return SUCCESS;
}

static CUresult cuEventRecord(CUevent event, CUstream handle) {
    ENTER("cuEventRecord", 1);
    CUstream stream = find_stream(handle);
    if (!stream || !find_event(event)) return INVALID_HANDLE;
    submit(stream, (struct work){.kind = RECORD, .event = event, .number = ++event->recorded});
    return SUCCESS;
}

static CUresult cuEventSynchronize(CUevent event) {
    ENTER("cuEventSynchronize", 1);
    if (!find_event(event)) return INVALID_HANDLE;
    unsigned long goal = event->recorded;
    while (event->completed < goal) pthread_cond_wait(&changed, &mutex);
    return SUCCESS;
}

static CUresult copy(CUstream handle, uintptr_t host, CUdeviceptr address, size_t count, int is_to_host) {
    CUstream stream = find_stream(handle);
    if (!stream) return INVALID_HANDLE;
    struct range **found = find_range(&allocations, address, count);
    if (!found) return INVALID_VALUE;
    char *device = (*found)->bytes + (address - (*found)->start);
    state.copies++;
    if (!find_range(&registrations, host, count)) state.pageable_copies++;
    struct work work = {.kind = COPY, .count = count};
    work.target = is_to_host ? (void *)host : device;
    work.source = is_to_host ? device : (const void *)host;
    submit(stream, work);
    return SUCCESS;
}

static CUresult cuMemcpyDtoHAsync(void *target, CUdeviceptr source, size_t count, CUstream stream) {
    ENTER("cuMemcpyDtoHAsync_v2", 1);
    return copy(stream, (uintptr_t)target, source, count, 1);
}

static CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void *source, size_t count, CUstream stream) {
    ENTER("cuMemcpyHtoDAsync_v2", 1);
    return copy(stream, (uintptr_t)source, target, count, 0);
}

static CUresult cuMemsetD32Async(CUdeviceptr address, unsigned value, size_t count, CUstream handle) {
    ENTER("cuMemsetD32Async", 1);
    CUstream stream = find_stream(handle);
    struct range **found = find_range(&allocations, address, count * sizeof value);
    if (!stream || !found) return INVALID_VALUE;
    submit(stream, (struct work){.kind = FILL, .target = (*found)->bytes + (address - (*found)->start), .count = count, .number = value});
    return SUCCESS;
}

static CUresult cuMemAlloc(CUdeviceptr *address, size_t count) {
    ENTER("cuMemAlloc_v2", 1);
    if (count == 0) return INVALID_VALUE;
    if (count > 1 << 28) return OUT_OF_MEMORY;
    *address = next_address;
    next_address += (count + 8192) / 512 * 512;
    add_range(&allocations, *address, count, calloc(1, count));
    state.allocations++;
    return SUCCESS;
}

static CUresult cuMemFree(CUdeviceptr address) {
    ENTER("cuMemFree_v2", 1);
    struct range **found = find_range(&allocations, address, 1);
    if (!found || (*found)->start != address) return INVALID_VALUE;
    remove_range(found);
    state.allocations--;
    return SUCCESS;
}

static CUresult cuMemHostRegister(void *start, size_t count, unsigned int flags) {
    ENTER("cuMemHostRegister_v2", 1);
    if (!start || count == 0 || flags != 1) return INVALID_VALUE;
    if (find_range(&registrations, (uintptr_t)start, 1)) return ALREADY_REGISTERED;
    add_range(&registrations, (uintptr_t)start, count, NULL);
    state.registrations++;
    return SUCCESS;
}

static CUresult cuMemHostUnregister(void *start) {
    ENTER("cuMemHostUnregister", 1);
    struct range **found = find_range(&registrations, (uintptr_t)start, 1);
    if (!found || (*found)->start != (uintptr_t)start) return NOT_REGISTERED;
    remove_range(found);
    state.registrations--;
    return SUCCESS;
}

// MARK: For tests

static const struct { const char *name; void *address; } symbols[] = {
    {"cuInit", cuInit}, {"cuGetErrorName", cuGetErrorName}, {"cuGetErrorString", cuGetErrorString},
    {"cuDeviceGetCount", cuDeviceGetCount}, {"cuDeviceGet", cuDeviceGet}, {"cuDeviceGetName", cuDeviceGetName},
    {"cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain}, {"cuDevicePrimaryCtxRelease_v2", cuDevicePrimaryCtxRelease},
    {"cuCtxPushCurrent_v2", cuCtxPushCurrent}, {"cuCtxPopCurrent_v2", cuCtxPopCurrent}, {"cuStreamCreate", cuStreamCreate},
    {"cuStreamDestroy_v2", cuStreamDestroy}, {"cuStreamSynchronize", cuStreamSynchronize},
    {"cuStreamWaitEvent", cuStreamWaitEvent}, {"cuEventCreate", cuEventCreate}, {"cuEventDestroy_v2", cuEventDestroy},
    {"cuEventRecord", cuEventRecord}, {"cuEventSynchronize", cuEventSynchronize},
    {"cuMemcpyDtoHAsync_v2", cuMemcpyDtoHAsync}, {"cuMemcpyHtoDAsync_v2", cuMemcpyHtoDAsync}, {"cuMemAlloc_v2", cuMemAlloc},
    {"cuMemFree_v2", cuMemFree}, {"cuMemsetD32Async", cuMemsetD32Async}, {"cuMemHostRegister_v2", cuMemHostRegister}, {"cuMemHostUnregister", cuMemHostUnregister},
};

void *fake_cuda_symbol(const char *name) {
    for (size_t index = 0; index < sizeof symbols / sizeof *symbols; index++)
        if (strcmp(symbols[index].name, name) == 0) return symbols[index].address;
    return NULL;
}

struct fake_cuda_state fake_cuda_state(void) {
    pthread_mutex_lock(&mutex);
    struct fake_cuda_state now = state;
    pthread_mutex_unlock(&mutex);
    return now;
}

int fake_cuda_depth(void) { return depth; }

void fake_cuda_fail(const char *call, int after, int result) {
    pthread_mutex_lock(&mutex);
    snprintf(fault_call, sizeof fault_call, "%s", call);
    fault.call = fault_call;
    fault.after = after;
    fault.result = result;
    pthread_mutex_unlock(&mutex);
}

const char *fake_cuda_log(void) {
    pthread_mutex_lock(&mutex);
    memcpy(told, log_text, log_length);
    told[log_length] = 0;
    log_length = 0;
    pthread_mutex_unlock(&mutex);
    return told;
}

void fake_cuda_block(uintptr_t handle) {
    pthread_mutex_lock(&mutex);
    submit(find_stream((CUstream)handle), (struct work){.kind = BLOCK});
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

void fake_cuda_unblock(void) {
    pthread_mutex_lock(&mutex);
    unblocked++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}
