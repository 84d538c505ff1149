/* The C interface in use and misuse: behaviour DIRECTORY */
#define _DEFAULT_SOURCE
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 300, COLUMNS = 500, COUNT = ROWS * COLUMNS };

static float matrix[COUNT], copy[COUNT];
static uint16_t half[64];

static const int64_t matrix_shape[] = {ROWS, COLUMNS}, half_shape[] = {4, 16};
static const int64_t transposed_shape[] = {COLUMNS, ROWS}, transposed[] = {1, COLUMNS};

static ckpt_tensor tensor(const char *name, void *data, const int64_t *shape, uint32_t type) {
    return (ckpt_tensor){.struct_size = sizeof(ckpt_tensor), .name = name, .data = data,
                         .shape = shape, .rank = 2, .type = type};
}

static void fill(float value) {
    for (int i = 0; i < COUNT; i++) matrix[i] = value + (float)i;
    for (int i = 0; i < 64; i++) half[i] = (uint16_t)(value + i);
}

static bool is_filled(const float *data, float value) {
    for (int i = 0; i < COUNT; i++) if (data[i] != value + (float)i) return false;
    return true;
}

static void saves_and_reads(ckpt_store *store) {
    ckpt_checkpointer *saver;
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, NULL, &saver));
    ckpt_checkpointer *second;
    CHECK_STATUS(CKPT_BUSY, ckpt_checkpointer_open(store, NULL, &second));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_close(store));
    CHECK(strlen(ckpt_last_remedy()) > 0);

    ckpt_restore_report report = {.struct_size = sizeof report};
    CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT, &report));
    CHECK(!report.found);
    char *none;
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_resume_reference(saver, &none));

    ckpt_tensor state[] = {tensor("matrix", matrix, matrix_shape, CKPT_F32),
                           tensor("half", half, half_shape, CKPT_BF16)};
    state[1].group = "other";
    uint64_t first, oldest;
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, state, 2, &first));
    CHECK_STATUS(CKPT_OK, ckpt_set_object(saver, "rng", CKPT_OBJECT_RNG, CKPT_JSON, "[1,2]", 5));
    fill(1);
    ckpt_ticket *ticket;
    ckpt_metric loss = {"loss", 0.5};
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 10, &loss, 1, &ticket));
    ckpt_status tried = ckpt_try_fence(saver, "other");
    CHECK(tried == CKPT_OK || tried == CKPT_TIMED_OUT);
    CHECK_STATUS(CKPT_OK, ckpt_fence(saver, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_fence(saver, NULL));
    fill(2);
    CHECK_STATUS(CKPT_MISUSE, ckpt_save(saver, 11, NULL, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_fence_end(saver, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, INFINITY));
    CHECK_STATUS(CKPT_MISUSE, ckpt_ticket_wait(ticket, CKPT_COMMITTED, NAN));
    CHECK_STATUS(CKPT_MISUSE, ckpt_ticket_wait(ticket, 9, 1));
    ckpt_save_report saved = {.struct_size = sizeof saved};
    CHECK_STATUS(CKPT_OK, ckpt_ticket_report(ticket, &saved));
    CHECK(saved.step == 10 && saved.logical_bytes >= sizeof matrix && strlen(saved.id) == 32);
    uint32_t reached;
    CHECK_STATUS(CKPT_OK, ckpt_ticket_state(ticket, &reached));
    CHECK(reached == CKPT_COMMITTED);
    CHECK_STATUS(CKPT_OK, ckpt_ticket_earlier_failure(ticket));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    CHECK_STATUS(CKPT_MISUSE, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 1));

    /* The memory of the first description is free once another is in use and its saves are over. */
    void *moved[] = {copy, half};
    uint64_t next;
    memcpy(copy, matrix, sizeof copy);
    CHECK_STATUS(CKPT_OK, ckpt_set_pointers(saver, moved, 2, &next));
    CHECK(next > first);
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_pointers(saver, moved, 1, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 20, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    for (int wait = 0; wait < 1000; wait++) {
        CHECK_STATUS(CKPT_OK, ckpt_oldest_lent(saver, &oldest));
        if (oldest > first) break;
        usleep(10000);
    }
    CHECK(oldest == next);

    /* The same step again is the ticket's failure, and that of the next ticket. */
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 20, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_EXISTS, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_EXISTS, ckpt_ticket_state(ticket, &reached));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));

    char *reference;
    CHECK_STATUS(CKPT_OK, ckpt_resume_reference(saver, &reference));
    ckpt_checkpoint *newest;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, reference, &newest));
    ckpt_summary summary = {.struct_size = sizeof summary};
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_summary(newest, &summary));
    CHECK(summary.step == 20);
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(newest));
    ckpt_free(reference);

    memset(copy, 0, sizeof copy);
    report.found = 0;
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "10", CKPT_STRICT, &report));
    CHECK(report.found && report.step == 10 && report.tensor_count == 2);
    CHECK(is_filled(copy, 1));
    void *bytes;
    size_t length;
    CHECK_STATUS(CKPT_OK, ckpt_get_object(saver, "rng", &bytes, &length));
    CHECK(length == 5 && strcmp(bytes, "[1,2]") == 0);
    ckpt_free(bytes);
    ckpt_free(bytes);
    CHECK_STATUS(CKPT_OK, ckpt_remove_object(saver, "rng"));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_get_object(saver, "rng", &bytes, &length));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_restore(saver, "77", CKPT_STRICT, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_restore(saver, "?!", CKPT_STRICT, NULL));

    bool has_committed = false;
    ckpt_event event = {.struct_size = sizeof event};
    while (ckpt_next_event(saver, 0, &event) == CKPT_OK) {
        has_committed |= event.kind == CKPT_EVENT_COMMITTED && event.step == 10;
    }
    CHECK(has_committed);
    ckpt_stall stall = {.struct_size = sizeof stall};
    CHECK_STATUS(CKPT_OK, ckpt_get_stall(saver, &stall));
    CHECK(stall.submit_seconds > 0);
    /* No later ticket has reported that step 20 was saved twice. */
    CHECK_STATUS(CKPT_EXISTS, ckpt_checkpointer_close(saver));
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_close(saver));
    CHECK_STATUS(CKPT_MISUSE, ckpt_save(saver, 30, NULL, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(NULL));
}

static void reads(ckpt_store *store) {
    ckpt_summary list[4] = {{.struct_size = sizeof list[0]}};
    size_t count;
    CHECK_STATUS(CKPT_OK, ckpt_store_list(store, list, 4, &count));
    CHECK(count == 2 && list[0].step == 20 && list[1].step == 10);
    CHECK_STATUS(CKPT_OK, ckpt_store_list(store, NULL, 0, &count));
    char *text;
    CHECK_STATUS(CKPT_OK, ckpt_store_list_json(store, 0, &text));
    CHECK(strstr(text, "\"metrics\":{\"loss\":0.5}") != NULL);
    ckpt_free(text);
    CHECK_STATUS(CKPT_OK, ckpt_store_tag(store, "best:loss", "good", 0));
    CHECK_STATUS(CKPT_EXISTS, ckpt_store_tag(store, "20", "good", 0));
    CHECK_STATUS(CKPT_OK, ckpt_store_pin(store, "good", 1));
    CHECK_STATUS(CKPT_OK, ckpt_store_untag(store, "good"));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_store_untag(store, "good"));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_remove(store, "10", 0));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_remove(store, "20", 0));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_store_remove(store, "25", 0));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_remove(store, NULL, 1));

    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "10", &checkpoint));
    CHECK_STATUS(CKPT_MISUSE, ckpt_save((ckpt_checkpointer *)checkpoint, 1, NULL, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_verify(checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_summary(checkpoint, &list[0]));
    CHECK(list[0].step == 10 && list[0].is_pinned);
    size_t index;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_find(checkpoint, "half", &index));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_checkpoint_find(checkpoint, "halve", &index));
    CHECK(strstr(ckpt_last_message(), "half") != NULL);
    ckpt_tensor info = {.struct_size = sizeof info};
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_tensor(checkpoint, index, &info));
    CHECK(strcmp(info.name, "half") == 0 && strcmp(info.group, "other") == 0);
    CHECK(info.rank == 2 && info.shape[1] == 16 && info.type == CKPT_BF16 && info.bytes == 128);
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_checkpoint_tensor(checkpoint, 2, &info));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_checkpoint_tensor(checkpoint, SIZE_MAX, &info));
    ckpt_object object = {.struct_size = sizeof object};
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_object(checkpoint, 0, &object));
    CHECK(object.role == CKPT_OBJECT_RNG && object.encoding == CKPT_JSON && object.bytes == 5);

    /* A structure of an older header has fewer fields: nothing is written behind them. */
    ckpt_summary older = {.struct_size = offsetof(ckpt_summary, tensor_count), .tensor_count = 99};
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_summary(checkpoint, &older));
    CHECK(older.step == 10 && older.tensor_count == 99);
    older.struct_size = 3;
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpoint_summary(checkpoint, &older));

    float element;
    CHECK_STATUS(CKPT_OK, ckpt_read_range(checkpoint, "matrix", 4 * 7, 4, &element));
    CHECK(element == 8);
    CHECK_STATUS(CKPT_MISUSE, ckpt_read_range(checkpoint, "matrix", sizeof matrix - 3, 4, &element));
    CHECK_STATUS(CKPT_MISUSE, ckpt_read_range(checkpoint, "matrix", 1, UINT64_MAX, &element));
    memset(copy, 0, sizeof copy);
    ckpt_tensor all[] = {tensor("half", half, half_shape, CKPT_BF16),
                         tensor("matrix", copy, matrix_shape, CKPT_F32)};
    CHECK_STATUS(CKPT_OK, ckpt_read_tensors(checkpoint, all, 2));
    CHECK(is_filled(copy, 1));
    all[1].shape = transposed_shape;
    all[1].strides = transposed;
    CHECK_STATUS(CKPT_MISMATCH, ckpt_read_tensors(checkpoint, all, 2));
    all[1].name = "matrices";
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_read_tensors(checkpoint, all, 2));
    void *bytes;
    size_t length;
    CHECK_STATUS(CKPT_OK, ckpt_read_object(checkpoint, "rng", &bytes, &length));
    CHECK(length == 5);
    ckpt_free(bytes);
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpoint_verify(checkpoint));
}

static void refuses(ckpt_store *store) {
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .workers = 65};
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_open(store, &options, &saver));
    options = (ckpt_options){.struct_size = sizeof options, .capture = 77};
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_open(store, &options, &saver));
    options = (ckpt_options){.struct_size = sizeof options, .exit_seconds = NAN};
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_open(store, &options, &saver));
    options = (ckpt_options){.struct_size = sizeof options, .flags = CKPT_STOP_AT_SIGTERM};
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_open(store, &options, &saver));
    CHECK(strstr(ckpt_last_remedy(), "termination_seconds") != NULL);
    options = (ckpt_options){.struct_size = sizeof options, .flags = CKPT_QUIET};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_pointers(saver, NULL, 0, NULL));

    ckpt_tensor bad = tensor("matrix", NULL, matrix_shape, CKPT_F32);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad = tensor(NULL, matrix, matrix_shape, CKPT_F32);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad = tensor("", matrix, matrix_shape, CKPT_F32);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad = tensor("matrix", matrix, NULL, CKPT_F32);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad = tensor("matrix", matrix, matrix_shape, 99);
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    const int64_t negative[] = {-1, 4}, huge[] = {INT64_MAX, INT64_MAX}, large[] = {1 << 30, 1 << 30};
    const int64_t far[] = {INT64_MAX / 2, 1}, back[] = {INT64_MIN, 1};
    const int64_t *shapes[] = {negative, huge, large};
    for (int i = 0; i < 3; i++) {
        bad = tensor("matrix", (void *)(UINTPTR_MAX - 4096), shapes[i], CKPT_F32);
        CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    }
    bad = tensor("matrix", matrix, matrix_shape, CKPT_F32);
    bad.strides = far;
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad.strides = back;
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    bad = tensor("matrix", matrix, matrix_shape, CKPT_F32);
    bad.rank = 1u << 31;
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    ckpt_tensor twice[] = {tensor("a", half, half_shape, CKPT_BF16), tensor("a", half, half_shape, CKPT_BF16)};
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, twice, 2, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, NULL, 2, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, twice, SIZE_MAX, NULL));

    const int64_t fields[] = {(int64_t)(intptr_t)half, CKPT_BF16, 0, 1, 0, 0, 2, 4, 16};
    CHECK_STATUS(CKPT_OK, ckpt_describe_packed(saver, fields, 9, "a", 1, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, 8, "a", 1, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, 9, "a", 0, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, 9, "ab", 2, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, 9, "\xff", 1, 1, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(saver, fields, SIZE_MAX, "a", 1, 1, NULL));

    CHECK_STATUS(CKPT_MISUSE, ckpt_save(saver, -1, NULL, 0, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_save(saver, 1, NULL, 3, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_object(saver, "a", 99, 0, "", 0));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_object(saver, "a", 0, 99, "", 0));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_object(saver, "a", 0, 0, NULL, 4));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_object(saver, "a", 0, 0, "abc", SIZE_MAX));
    ckpt_event event = {.struct_size = 0};
    CHECK_STATUS(CKPT_MISUSE, ckpt_next_event(saver, 0, &event));
    CHECK_STATUS(CKPT_MISUSE, ckpt_next_event(saver, 0, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_resume(saver, 9, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_resume(saver, CKPT_CONVERT_FLOATS | 2, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_is_terminating(saver, NULL));
    /* There is no such GPU anywhere. */
    uint32_t device;
    CHECK_STATUS(CKPT_DEVICE, ckpt_cuda_device(saver, UINT32_MAX, 0, &device));
    bad = tensor("matrix", matrix, matrix_shape, CKPT_F32);
    bad.device = 1;
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe(saver, &bad, 1, NULL));
    CHECK_STATUS(CKPT_MISMATCH, ckpt_resume(saver, CKPT_STRICT, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));

    ckpt_store *other;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open(NULL, CKPT_READING, &other));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open("", CKPT_READING, &other));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open("\xff\xfe", CKPT_WRITING, &other));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open("/tmp", 9, &other));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open("/tmp", CKPT_READING, NULL));
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_store_open("/no/such/store", CKPT_READING, &other));
    CHECK(strcmp(ckpt_status_name(CKPT_DEVICE), "CKPT_DEVICE") == 0);
    CHECK(strcmp(ckpt_status_name(-5), "CKPT_UNKNOWN") == 0);
    CHECK(ckpt_abi_version() == CKPT_ABI_VERSION && strlen(ckpt_version()) > 0);
    ckpt_free(matrix);
}

/* A save that races with the end of its checkpointer is refused or saved, and nothing else. */
static void *save_on(void *argument) {
    ckpt_status status = CKPT_OK;
    for (int64_t step = 100; status == CKPT_OK; step++) status = ckpt_save(argument, step, NULL, 0, NULL);
    CHECK(status == CKPT_MISUSE);
    return NULL;
}

static void ends_while_saving(ckpt_store *store) {
    for (int round = 0; round < 5; round++) {
        ckpt_checkpointer *saver;
        ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .keep_last = 1,
                                .backpressure = CKPT_SKIP};
        CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
        ckpt_tensor state = tensor("half", half, half_shape, CKPT_BF16);
        CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
        pthread_t thread;
        pthread_create(&thread, NULL, save_on, saver);
        usleep(3000);
        ckpt_checkpointer_close(saver);
        pthread_join(thread, NULL);
    }
}

/* Starts this program again as a trainer with a worker, and returns the trainer. */
static pid_t fork_program(char *path, int *ready) {
    pid_t trainer = fork();
    if (trainer != 0) return trainer;
    char number[16];
    snprintf(number, sizeof number, "%d", ready[1]);
    char *arguments[] = {"behaviour", path, number, NULL};
    execv("/proc/self/exe", arguments);
    _exit(1);
}

/* A trainer that has a store open and a worker, and waits to be killed. */
static int train_with_worker(const char *path, int ready) {
    ckpt_store *store;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(path, CKPT_WRITING, &store));
    if (fork() == 0) {
        /* After fork() has returned here: what the library does in a child is done. */
        pid_t worker = getpid();
        CHECK(write(ready, &worker, sizeof worker) == sizeof worker);
    }
    /* Not for ever: a test that fails does not end it. */
    return sleep(20), 0;
}

/* A store that is lost comes back from its mirror. */
static void mirrors(const char *directory) {
    char path[4096], place[4096], gone[4096];
    snprintf(path, sizeof path, "%s.mirrored", directory);
    snprintf(place, sizeof place, "%s.mirror", directory);
    snprintf(gone, sizeof gone, "%s.gone", directory);
    ckpt_store *store;
    ckpt_mirror mirror = {.struct_size = sizeof mirror, .place = place};
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_mirrored(path, NULL, NULL, &store));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_mirrored(path, NULL, &mirror, NULL));
    mirror.place = NULL;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_mirrored(path, NULL, &mirror, &store));
    mirror.place = "s3://";
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_mirrored(path, NULL, &mirror, &store));
    ckpt_checkpointer *saver;
    mirror.place = path;
    CHECK_STATUS(CKPT_OK, ckpt_store_open_mirrored(path, NULL, &mirror, &store));
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_open(store, NULL, &saver));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    mirror.place = place;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_mirrored("s3://bucket/a", NULL, &mirror, &store));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open("s3://bucket//a", CKPT_READING, &store));

    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .run = "mirrored"};
    ckpt_tensor state = tensor("matrix", matrix, matrix_shape, CKPT_F32);
    ckpt_restore_report report = {.struct_size = sizeof report};
    ckpt_checkpoint *checkpoint;
    for (int round = 0; round < 2; round++) {
        CHECK_STATUS(CKPT_OK, ckpt_store_open_mirrored(path, NULL, &mirror, &store));
        CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
        fill((float)round + 7);
        CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
        if (round == 1) {
            char *reference;
            CHECK_STATUS(CKPT_OK, ckpt_resume_reference(saver, &reference));
            CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, reference, &checkpoint));
            CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
            ckpt_free(reference);
        }
        CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT, &report));
        CHECK(report.found == (uint32_t)round && report.is_from_mirror == (uint32_t)round);
        if (round == 1) {
            CHECK(report.step == 5 && is_filled(matrix, 7));
            CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, report.id, &checkpoint));
            CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
        } else {
            CHECK_STATUS(CKPT_OK, ckpt_save(saver, 5, NULL, 0, NULL));
            CHECK_STATUS(CKPT_MISUSE, ckpt_wait_until_mirrored(saver, NAN));
        }
        CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
        CHECK_STATUS(CKPT_MISUSE, ckpt_wait_until_mirrored(saver, 1));
        CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
        if (round == 0) CHECK(rename(path, gone) == 0);
    }

    /* Committed and sent, while the checkpointer goes on. */
    CHECK_STATUS(CKPT_OK, ckpt_store_open_mirrored(gone, NULL, &mirror, &store));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT, &report));
    CHECK(report.found && !report.is_from_mirror);
    ckpt_ticket *ticket;
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 6, NULL, 0, &ticket));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_OK, ckpt_wait_until_mirrored(saver, 60));
    ckpt_store *copied;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(place, CKPT_READING, &copied));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(copied, "6", &checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_verify(checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(copied));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
}

/* A child may neither use nor disturb what its parent has open, whether or not a save is in flight. */
static void forks(ckpt_store *store, const char *directory) {
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    ckpt_tensor state = tensor("matrix", matrix, matrix_shape, CKPT_F32);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    ckpt_ticket *ticket;
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 1000, NULL, 0, &ticket));
    pid_t child = fork();
    if (child == 0) {
        CHECK_STATUS(CKPT_MISUSE, ckpt_fence(saver, NULL));
        CHECK_STATUS(CKPT_MISUSE, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
        CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
        CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
        CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);

    /* A worker that outlives its trainer does not keep the store. */
    char path[4096];
    snprintf(path, sizeof path, "%s.trainer", directory);
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t trainer = fork_program(path, ready);
    CHECK(close(ready[1]) == 0);
    /* Before the trainer is killed: nothing of it can be waited for afterwards. */
    pid_t worker;
    CHECK(read(ready[0], &worker, sizeof worker) == sizeof worker);
    CHECK(kill(trainer, SIGKILL) == 0 && waitpid(trainer, &status, 0) == trainer);
    ckpt_store *left;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(path, CKPT_WRITING, &left));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(left));
    CHECK(kill(worker, SIGKILL) == 0);
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
}

/* Rules say what stays. */
static void prunes(ckpt_store *store, const char *path) {
    ckpt_retention rules = {.struct_size = sizeof rules};
    ckpt_prune_report report = {.struct_size = sizeof report};
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, NULL, 0, &report));
    static const char *const wrong[] = {"loss"}, *const none[] = {NULL}, *const best[] = {"loss:1", "x:2:max"};
    rules.keep_best_count = 1;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));
    rules.keep_best = none;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));
    rules.keep_best = wrong;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));
    CHECK(strstr(ckpt_last_message(), "\"loss\"") != NULL);
    rules.keep_best = best;
    rules.keep_best_count = SIZE_MAX;
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));
    rules = (ckpt_retention){.struct_size = sizeof rules, .keep_seconds = NAN};
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(store, &rules, 0, &report));

    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .run = "prunes"};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    ckpt_tensor state = tensor("half", half, half_shape, CKPT_BF16);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    for (int64_t step = 1; step <= 9; step++) {
        ckpt_metric loss = {"loss", step == 4 ? 0 : 1};
        half[0] = (uint16_t)step;
        ckpt_ticket *ticket;
        CHECK_STATUS(CKPT_OK, ckpt_save(saver, step, &loss, 1, &ticket));
        CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
        CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    }
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    size_t before, after;
    CHECK_STATUS(CKPT_OK, ckpt_store_list(store, NULL, 0, &before));
    rules = (ckpt_retention){.struct_size = sizeof rules, .keep_last = 2, .keep_every = 6, .keep_best = best, .keep_best_count = 2};
    ckpt_store *reader;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(path, CKPT_READING, &reader));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_prune(reader, &rules, 0, &report));
    CHECK_STATUS(CKPT_OK, ckpt_store_prune(reader, &rules, 1, &report));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(reader));
    CHECK_STATUS(CKPT_OK, ckpt_store_list(store, NULL, 0, &after));
    CHECK(after == before && report.removed_count > 0 && report.in_use_count == 0);
    uint64_t expected = report.removed_count;
    CHECK_STATUS(CKPT_OK, ckpt_store_prune(store, &rules, 0, &report));
    CHECK(report.removed_count == expected && report.freed_bytes > 0);
    CHECK_STATUS(CKPT_OK, ckpt_store_list(store, NULL, 0, &after));
    CHECK(after == before - expected && after == report.kept_count);
    static const char *const kept[] = {"prunes:1", "prunes:4", "prunes:6", "prunes:8", "prunes:9"};
    ckpt_checkpoint *checkpoint;
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, kept[i], &checkpoint));
        CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    }
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_checkpoint_open(store, "prunes:5", &checkpoint));
}

/* Names are bytes: the same letter, written in two ways, makes two names. */
static void names_are_bytes(ckpt_store *store) {
    static const char *const names[] = {"\xc3\xa9", "e\xcc\x81"};
    static float one[4], other[4];
    static const int64_t shape[] = {2, 2};
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .run = "bytes"};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    ckpt_tensor state[] = {tensor(names[0], one, shape, CKPT_F32), tensor(names[1], other, shape, CKPT_F32)};
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, state, 2, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_set_object(saver, names[0], 0, CKPT_JSON, "1", 1));
    CHECK_STATUS(CKPT_OK, ckpt_set_object(saver, names[1], 0, CKPT_JSON, "22", 2));
    one[0] = 1, other[0] = 2;
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 1, NULL, 0, NULL));
    void *bytes;
    size_t length, index;
    CHECK_STATUS(CKPT_OK, ckpt_get_object(saver, names[0], &bytes, &length));
    CHECK(length == 1);
    ckpt_free(bytes);
    CHECK_STATUS(CKPT_OK, ckpt_remove_object(saver, names[0]));
    CHECK_STATUS(CKPT_OK, ckpt_get_object(saver, names[1], &bytes, &length));
    CHECK(length == 2);
    ckpt_free(bytes);
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    ckpt_checkpoint *saved;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "bytes:1", &saved));
    /* The first searches are made in another way than those that follow. */
    for (int turn = 0; turn < 240; turn++) {
        CHECK_STATUS(CKPT_OK, ckpt_checkpoint_find(saved, names[turn % 2], &index));
        CHECK(index == (size_t)(turn % 2));
        float element;
        CHECK_STATUS(CKPT_OK, ckpt_read_range(saved, names[turn % 2], 0, 4, &element));
        CHECK(element == (float)(1 + turn % 2));
    }
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(saved));
}

/* Tensors of another type are an error, or are converted. */
static void converts(ckpt_store *store) {
    static float wide[4];
    static uint16_t narrow[4];
    static const int64_t shape[] = {2, 2};
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .run = "converts"};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    for (int i = 0; i < 4; i++) wide[i] = i == 3 ? 1e6f : 1.5f * (float)i;
    ckpt_tensor state = tensor("a", wide, shape, CKPT_F32);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 1, NULL, 0, NULL));

    state = tensor("a", narrow, shape, CKPT_F16);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    ckpt_restore_report report = {.struct_size = sizeof report};
    CHECK_STATUS(CKPT_MISMATCH, ckpt_resume(saver, CKPT_STRICT, &report));
    CHECK(narrow[1] == 0);
    CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT | CKPT_CONVERT_FLOATS, &report));
    CHECK(report.converted_count == 1 && report.overflow_count == 1);
    /* 0, 1.5, 3 and infinity in half precision. */
    CHECK(narrow[0] == 0 && narrow[1] == 0x3e00 && narrow[2] == 0x4200 && narrow[3] == 0x7c00);
    narrow[1] = 0;
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "converts:1", CKPT_PARTIAL | CKPT_CONVERT_FLOATS, NULL));
    CHECK(narrow[1] == 0x3e00);
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
}

/* SIGTERM asks the loop to end. If it saves and closes, nothing else happens to the process. */
static void terminates(ckpt_store *store) {
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .run = "terminates", .termination_seconds = 60,
                            .flags = CKPT_QUIET | CKPT_STOP_AT_SIGTERM};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    ckpt_tensor state = tensor("half", half, half_shape, CKPT_BF16);
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &state, 1, NULL));
    uint32_t is_terminating = 9;
    CHECK_STATUS(CKPT_OK, ckpt_is_terminating(saver, &is_terminating));
    CHECK(is_terminating == 0);
    CHECK(kill(getpid(), SIGTERM) == 0);
    for (int wait = 0; wait < 1000 && !is_terminating; wait++) {
        usleep(1000);
        CHECK_STATUS(CKPT_OK, ckpt_is_terminating(saver, &is_terminating));
    }
    CHECK(is_terminating == 1);
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 1, NULL, 0, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    ckpt_checkpoint *last;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "terminates:1", &last));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(last));
}

int main(int argc, char **argv) {
    if (argc == 3) return train_with_worker(argv[1], atoi(argv[2]));
    CHECK(argc == 2);
    ckpt_store *store;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(argv[1], CKPT_WRITING, &store));
    saves_and_reads(store);
    reads(store);
    refuses(store);
    ends_while_saving(store);
    forks(store, argv[1]);
    mirrors(argv[1]);
    prunes(store, argv[1]);
    names_are_bytes(store);
    converts(store);
    terminates(store);
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_close(store));
    puts("all is well");
    return 0;
}
