/* Tensors in the memory of a GPU: cuda DIRECTORY. Linked with the driver in software. */
#include "check.h"
#include "fake_cuda.h"

#include <stdbool.h>
#include <string.h>

/* Of the CUDA driver API. */
int cuInit(unsigned int flags);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuCtxPushCurrent_v2(void *context);
int cuMemAlloc_v2(unsigned long long *address, size_t count);
int cuMemsetD32Async(unsigned long long address, unsigned value, size_t count, void *stream);
int cuMemcpyDtoHAsync_v2(void *target, unsigned long long source, size_t count, void *stream);
int cuStreamSynchronize(void *stream);

enum { COUNT = 300000, ROWS = 100, COLUMNS = 1000 };

static const int64_t shape[] = {COUNT};
static unsigned host[COUNT];
static unsigned long long memory;
/* The legacy default stream. */
static void *const stream = (void *)1;

static void fill(unsigned value) { CHECK(cuMemsetD32Async(memory, value, COUNT, stream) == 0); }

/* Whether all elements of a checkpoint have a value. */
static bool is_saved(ckpt_store *store, const char *reference, unsigned value) {
    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, reference, &checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_read_range(checkpoint, "w", 0, sizeof host, host));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    for (int i = 0; i < COUNT; i++) if (host[i] != value) return false;
    return true;
}

static ckpt_tensor tensor(uint32_t device) {
    return (ckpt_tensor){.struct_size = sizeof(ckpt_tensor), .name = "w", .data = (void *)(uintptr_t)memory,
                         .shape = shape, .rank = 1, .type = CKPT_U32, .device = device};
}

static void saves_and_restores(ckpt_store *store) {
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .arena_bytes = 1 << 20};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    uint32_t device;
    CHECK_STATUS(CKPT_DEVICE, ckpt_cuda_device(saver, 5, 0, &device));
    CHECK(strstr(ckpt_last_message(), "cuda:5") != NULL);
    CHECK_STATUS(CKPT_MISUSE, ckpt_cuda_device(saver, 0, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_cuda_device(saver, 0, (uintptr_t)stream, &device));
    ckpt_tensor state = tensor(device + 1);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &state, 1, NULL));
    state = tensor(device);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));

    /* What the stream has been told before a save is in it, and what it is told after a fence is not. */
    for (unsigned step = 1; step <= 20; step++) {
        fill(step);
        fill(100 + step);
        CHECK_STATUS(CKPT_OK, ckpt_save(saver, step, NULL, 0, NULL));
        CHECK_STATUS(CKPT_OK, ckpt_fence(saver, NULL));
        fill(0);
        CHECK_STATUS(CKPT_OK, ckpt_fence_end(saver, NULL));
    }
    /* A save does not wait for a stream that is busy; its fence does. */
    fake_cuda_block((uintptr_t)stream);
    fill(7);
    ckpt_ticket *ticket;
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 30, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_TIMED_OUT, ckpt_try_fence(saver, NULL));
    CHECK_STATUS(CKPT_TIMED_OUT, ckpt_ticket_wait(ticket, CKPT_CAPTURED, 0.05));
    fake_cuda_unblock();
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    for (unsigned step = 1; step <= 20; step++) {
        char reference[16];
        snprintf(reference, sizeof reference, "%u", step);
        CHECK(is_saved(store, reference, 100 + step));
    }
    CHECK(is_saved(store, "30", 7));

    /* A restore overwrites what the stream has been told before it. */
    fill(1);
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "12", CKPT_STRICT, NULL));
    CHECK(cuMemcpyDtoHAsync_v2(host, memory, sizeof host, stream) == 0 && cuStreamSynchronize(stream) == 0);
    for (int i = 0; i < COUNT; i++) CHECK(host[i] == 112);

    /* The packed form, with strides: every other row of twice as many. */
    const int64_t fields[] = {(int64_t)memory, CKPT_U32, 0, 1, 0, 5, 2, ROWS, COLUMNS, 2 * COLUMNS, 1, device};
    CHECK_STATUS(CKPT_OK, ckpt_describe_packed(saver, fields, 12, "w", 1, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, 11, "w", 1, 1, NULL));
    const int64_t wrong[] = {(int64_t)memory, CKPT_U32, 0, 1, 0, 4, 1, COUNT, INT64_MIN};
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, wrong, 9, "w", 1, 1, NULL));
    for (unsigned row = 0; row < 2 * ROWS; row++)
        CHECK(cuMemsetD32Async(memory + 4ull * COLUMNS * row, row, COLUMNS, stream) == 0);
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 40, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "40", &checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_read_range(checkpoint, "w", 0, 4 * ROWS * COLUMNS, host));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    for (unsigned i = 0; i < ROWS * COLUMNS; i++) CHECK(host[i] == i / COLUMNS * 2);

    /* A copy that fails is a failure of the save, and not of training. */
    fake_cuda_fail("cuMemcpyDtoHAsync_v2", 0, 700);
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 50, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_DEVICE, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK(strstr(ckpt_last_message(), "CUDA_ERROR_ILLEGAL_ADDRESS") != NULL);
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 60, NULL, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));

    /* Only a checkpointer has devices. */
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "60", &checkpoint));
    state = tensor(device);
    CHECK_STATUS(CKPT_MISUSE, ckpt_read_tensors(checkpoint, &state, 1));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    void *context;
    CHECK(cuInit(0) == 0 && cuDevicePrimaryCtxRetain(&context, 7) == 0 && cuCtxPushCurrent_v2(context) == 0);
    CHECK(cuMemAlloc_v2(&memory, sizeof host) == 0);
    struct fake_cuda_state before = fake_cuda_state();
    ckpt_store *store;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(argv[1], CKPT_WRITING, &store));
    saves_and_restores(store);
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    struct fake_cuda_state after = fake_cuda_state();
    CHECK(after.contexts == before.contexts && after.streams == 0 && after.events == 0 && after.registrations == 0);
    puts("all is well");
    return 0;
}
