/* Functions of the program that the library calls: functions DIRECTORY */
#define _DEFAULT_SOURCE
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { COUNT = 100000, COPIES = 64 };

/* Memory of a device: what lies at an address is not there for the process. */
static const uint64_t base = UINT64_C(1) << 40;
static float on_device[COUNT];

typedef struct {
    atomic_int orders, to_host, to_device, finished, prepared, released;
    /* The call that fails; 0: none. */
    atomic_int fails;
    pthread_mutex_t lock;
    /* Copies that have begun, which `finish` makes. */
    struct { void *to; const void *from; size_t bytes; bool is_open; } copies[COPIES];
} device_state;

enum { FAIL_START = 1, FAIL_FINISH = 2, FAIL_ORDER = 3, FAIL_PREPARE = 4 };

static int order(void *context) {
    device_state *device = context;
    device->orders++;
    return device->fails == FAIL_ORDER ? 30 : 0;
}

static int start(device_state *device, void *to, const void *from, size_t bytes, uint64_t *copy) {
    if (device->fails == FAIL_START) return 10;
    pthread_mutex_lock(&device->lock);
    for (*copy = 0; *copy < COPIES && device->copies[*copy].is_open; ) ++*copy;
    CHECK(*copy < COPIES);
    device->copies[*copy].to = to, device->copies[*copy].from = from;
    device->copies[*copy].bytes = bytes, device->copies[*copy].is_open = true;
    pthread_mutex_unlock(&device->lock);
    return 0;
}

static char *at(uint64_t address, size_t bytes) {
    CHECK(address >= base && address - base + bytes <= sizeof on_device);
    return (char *)on_device + (address - base);
}

static int copy_to_host(void *context, uint64_t address, void *destination, size_t bytes, uint64_t *copy) {
    device_state *device = context;
    device->to_host++;
    return start(device, destination, at(address, bytes), bytes, copy);
}

static int copy_to_device(void *context, const void *source, uint64_t address, size_t bytes, uint64_t *copy) {
    device_state *device = context;
    device->to_device++;
    return start(device, at(address, bytes), source, bytes, copy);
}

static int finish(void *context, uint64_t copy) {
    device_state *device = context;
    pthread_mutex_lock(&device->lock);
    CHECK(copy < COPIES && device->copies[copy].is_open);
    memcpy(device->copies[copy].to, device->copies[copy].from, device->copies[copy].bytes);
    device->copies[copy].is_open = false;
    pthread_mutex_unlock(&device->lock);
    device->finished++;
    return device->fails == FAIL_FINISH ? 20 : 0;
}

static int prepare(void *context, void *memory, size_t bytes) {
    device_state *device = context;
    CHECK(memory && bytes > 0);
    device->prepared++;
    return device->fails == FAIL_PREPARE ? 40 : 0;
}

static void unprepare(void *context, void *memory, size_t bytes) {
    device_state *device = context;
    CHECK(memory && bytes > 0);
    device->prepared--;
}

static void release(void *context) {
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_close((ckpt_store *)1));
    CHECK(strstr(ckpt_last_message(), "has called the library"));
    ((device_state *)context)->released++;
}

static void fill(float value) {
    for (int i = 0; i < COUNT; i++) on_device[i] = value + (float)i;
}

static ckpt_status save(ckpt_checkpointer *saver, int64_t step) {
    ckpt_ticket *ticket;
    ckpt_status status = ckpt_save(saver, step, NULL, 0, &ticket);
    if (status != CKPT_OK) return status;
    status = ckpt_ticket_wait(ticket, CKPT_COMMITTED, INFINITY);
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    return status;
}

static ckpt_checkpointer *open(ckpt_store *store, const char *run) {
    ckpt_checkpointer *saver;
    ckpt_options options = {.struct_size = sizeof options, .flags = CKPT_QUIET, .run = run, .chunk_bytes = 65536};
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    return saver;
}

static void devices(ckpt_store *store) {
    static device_state state = {.lock = PTHREAD_MUTEX_INITIALIZER};
    ckpt_checkpointer *saver = open(store, "devices");
    ckpt_device device = {.struct_size = sizeof device, .name = "npu:0", .context = &state, .order = order,
                          .copy_to_host = copy_to_host, .copy_to_device = copy_to_device, .finish = finish,
                          .prepare = prepare, .unprepare = unprepare, .release = release};
    uint32_t number = 0;
    CHECK_STATUS(CKPT_MISUSE, ckpt_add_device(saver, NULL, &number));
    CHECK_STATUS(CKPT_MISUSE, ckpt_add_device(saver, &device, NULL));
    ckpt_device incomplete = device;
    incomplete.copy_to_host = NULL;
    CHECK_STATUS(CKPT_MISUSE, ckpt_add_device(saver, &incomplete, &number));
    incomplete = device, incomplete.name = NULL;
    CHECK_STATUS(CKPT_MISUSE, ckpt_add_device(saver, &incomplete, &number));
    CHECK(state.released == 0);
    CHECK_STATUS(CKPT_OK, ckpt_add_device(saver, &device, &number));
    CHECK(number == 1);

    static const int64_t shape[] = {COUNT};
    ckpt_tensor tensor = {.struct_size = sizeof tensor, .name = "w", .data = (void *)(uintptr_t)base, .shape = shape,
                          .rank = 1, .type = CKPT_F32, .device = number};
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &tensor, 1, NULL));
    fill(1);
    CHECK_STATUS(CKPT_OK, save(saver, 1));
    CHECK(state.orders > 0 && state.to_host > 1 && state.finished == state.to_host && state.prepared == 1);

    /* A device that fails fails the save, by its name and number, and the next save is well. */
    fill(2);
    static const int fails[] = {FAIL_START, FAIL_FINISH, FAIL_ORDER};
    for (int i = 0; i < 3; i++) {
        state.fails = fails[i];
        CHECK_STATUS(CKPT_DEVICE, save(saver, 10 + i));
        CHECK(strstr(ckpt_last_message(), "npu:0") && strstr(ckpt_last_message(), " returned "));
    }
    state.fails = 0;
    CHECK_STATUS(CKPT_OK, save(saver, 2));

    fill(9);
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "devices:1", CKPT_STRICT, NULL));
    CHECK(on_device[0] == 1 && on_device[COUNT - 1] == COUNT && state.to_device > 0);
    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "devices:2", &checkpoint));
    float last;
    CHECK_STATUS(CKPT_OK, ckpt_read_range(checkpoint, "w", 4 * (COUNT - 1), 4, &last));
    CHECK(last == COUNT + 1);
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    for (int i = 0; i < COPIES; i++) CHECK(!state.copies[i].is_open);
    CHECK(state.released == 0);
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    CHECK(state.released == 1 && state.prepared == 0);

    /* Memory that cannot be prepared is a warning; functions that are missing are not needed. */
    saver = open(store, "devices");
    state.fails = FAIL_PREPARE;
    CHECK_STATUS(CKPT_OK, ckpt_add_device(saver, &device, &number));
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &tensor, 1, NULL));
    CHECK_STATUS(CKPT_OK, save(saver, 3));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
}

/* A device that copies at once, and lacks all that it may lack. */
static int copy_now(void *context, uint64_t address, void *destination, size_t bytes, uint64_t *copy) {
    (void)context, (void)copy;
    memcpy(destination, at(address, bytes), bytes);
    return 0;
}

static int copy_back(void *context, const void *source, uint64_t address, size_t bytes, uint64_t *copy) {
    (void)context, (void)copy;
    memcpy(at(address, bytes), source, bytes);
    return 0;
}

static void smallest_device(ckpt_store *store) {
    ckpt_checkpointer *saver = open(store, "smallest");
    ckpt_device device = {.struct_size = sizeof device, .name = "npu:1", .copy_to_host = copy_now, .copy_to_device = copy_back};
    uint32_t number;
    CHECK_STATUS(CKPT_OK, ckpt_add_device(saver, &device, &number));
    static const int64_t shape[] = {10}, strides[] = {3};
    ckpt_tensor tensor = {.struct_size = sizeof tensor, .name = "w", .data = (void *)(uintptr_t)base, .shape = shape,
                          .strides = strides, .rank = 1, .type = CKPT_F32, .device = number};
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &tensor, 1, NULL));
    fill(5);
    CHECK_STATUS(CKPT_OK, save(saver, 1));
    fill(0);
    CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT, NULL));
    for (int i = 0; i < 10; i++) CHECK(on_device[3 * i] == (float)(5 + 3 * i) && on_device[3 * i + 1] == (float)(3 * i + 1));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    for (int i = 0; i < 256; i++) {
        if (i == 0) saver = open(store, "smallest");
        CHECK_STATUS(CKPT_OK, ckpt_add_device(saver, &device, &number));
    }
    CHECK_STATUS(CKPT_MISUSE, ckpt_add_device(saver, &device, &number));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
}

/* An object that counts: its value is a number, and its text is made in the background. */
typedef struct {
    int value, fails;
    atomic_int taken, encoded, released;
    pthread_t trainer;
    ckpt_checkpointer *saver;
} counter;

static int take(void *context, void **value) {
    counter *self = context;
    CHECK(pthread_equal(pthread_self(), self->trainer));
    /* The library refuses calls from here, and does not wait for itself. */
    CHECK_STATUS(CKPT_MISUSE, ckpt_save(self->saver, 99, NULL, 0, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_checkpointer_close(self->saver));
    if (self->fails == 1) return 11;
    int *copy = malloc(sizeof *copy);
    *copy = self->value;
    *value = copy;
    self->taken++;
    return 0;
}

static int encode(void *context, void *value, void **data, size_t *length) {
    counter *self = context;
    CHECK(!pthread_equal(pthread_self(), self->trainer));
    if (self->fails == 2) return 12;
    if (self->fails == 3) { *length = 5; return 0; }
    if (self->fails == 4) { *length = SIZE_MAX; *data = malloc(1); return 0; }
    *data = malloc(16);
    *length = (size_t)snprintf(*data, 16, "%d", *(int *)value);
    self->encoded++;
    return 0;
}

static void forget(void *context, void *value) {
    ((counter *)context)->released++;
    free(value);
}

static void encoders(ckpt_store *store) {
    ckpt_checkpointer *saver = open(store, "encoders");
    counter self = {.value = 7, .trainer = pthread_self(), .saver = saver};
    ckpt_encoder encoder = {.struct_size = sizeof encoder, .context = &self, .freeze = take, .encode = encode, .release = forget};
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_encoder(saver, "count", 0, CKPT_JSON, NULL));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_encoder(saver, "", 0, CKPT_JSON, &encoder));
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_encoder(saver, "count", 99, CKPT_JSON, &encoder));
    ckpt_encoder incomplete = {.struct_size = sizeof incomplete, .freeze = take};
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_encoder(saver, "count", 0, CKPT_JSON, &incomplete));
    CHECK_STATUS(CKPT_OK, ckpt_set_encoder(saver, "count", CKPT_OBJECT_DATA, CKPT_JSON, &encoder));
    void *bytes;
    size_t length;
    CHECK_STATUS(CKPT_NOT_FOUND, ckpt_get_object(saver, "count", &bytes, &length));

    ckpt_ticket *ticket;
    CHECK_STATUS(CKPT_OK, ckpt_save(saver, 1, NULL, 0, &ticket));
    self.value = 8;
    CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, INFINITY));
    CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    CHECK_STATUS(CKPT_OK, save(saver, 2));
    for (self.fails = 1; self.fails <= 4; self.fails++) {
        CHECK_STATUS(CKPT_PROVIDER, save(saver, 10 + self.fails));
        CHECK(strstr(ckpt_last_message(), "count"));
    }
    self.fails = 0;
    CHECK_STATUS(CKPT_OK, save(saver, 3));
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "encoders:1", CKPT_STRICT, NULL));
    CHECK_STATUS(CKPT_OK, ckpt_get_object(saver, "count", &bytes, &length));
    CHECK(length == 1 && *(char *)bytes == '7');
    ckpt_free(bytes);
    /* After a restore the encoder still makes the bytes of saves. */
    self.value = 12;
    CHECK_STATUS(CKPT_OK, save(saver, 4));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "encoders:4", &checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_read_object(checkpoint, "count", &bytes, &length));
    CHECK(length == 2 && memcmp(bytes, "12", 2) == 0);
    ckpt_free(bytes);
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    CHECK(self.released == self.taken && self.taken == 7 && self.encoded == 4);
}

/* Tensors that move: each save asks where they are. */
static float first[4], second[4];
static float *place = first;
static int lend_result;

static int lend(void *context, void **data, size_t count) {
    CHECK(context == &place && count == 1 && (data[0] == first || data[0] == second));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_close((ckpt_store *)1));
    data[0] = place;
    return lend_result;
}

static void lenders(ckpt_store *store) {
    ckpt_checkpointer *saver = open(store, "lenders");
    static const int64_t shape[] = {4};
    ckpt_tensor tensor = {.struct_size = sizeof tensor, .name = "w", .data = first, .shape = shape, .rank = 1, .type = CKPT_F32};
    CHECK_STATUS(CKPT_OK, ckpt_set_lender(saver, lend, &place));
    CHECK_STATUS(CKPT_OK, ckpt_describe(saver, &tensor, 1, NULL));
    first[0] = 1, second[0] = 2;
    CHECK_STATUS(CKPT_OK, save(saver, 1));
    place = second;
    CHECK_STATUS(CKPT_OK, save(saver, 2));
    lend_result = 5;
    CHECK_STATUS(CKPT_PROVIDER, save(saver, 3));
    CHECK(strstr(ckpt_last_message(), "5"));
    lend_result = 0, place = NULL;
    CHECK_STATUS(CKPT_MISUSE, save(saver, 3));
    place = first, first[0] = 0;
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "lenders:2", CKPT_STRICT, NULL));
    CHECK(first[0] == 2);
    CHECK_STATUS(CKPT_OK, ckpt_set_lender(saver, NULL, NULL));
    place = NULL;
    CHECK_STATUS(CKPT_OK, save(saver, 3));
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    ckpt_store *store;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(argv[1], CKPT_WRITING, &store));
    devices(store);
    smallest_device(store);
    encoders(store);
    lenders(store);
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    puts("all is well");
    return 0;
}
