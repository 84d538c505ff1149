/* Random calls of the C interface on two threads: fuzz DIRECTORY SEED CALLS
 *
 * Handles are live, closed, of other kinds or random; numbers, sizes, texts and structures are good
 * or bad. Only memory is always what the header asks for. No call may end the process. */
#define _GNU_SOURCE
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { HANDLES = 24, SCRATCH = 4 * 65536, LENT = 1 << 16 };

static void *handles[HANDLES];
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static char lent[LENT];
static const char *directory;
static long calls_per_thread;

/* Proof that the calls get far: saves that were committed, tensors that were read. */
static _Atomic long commits, tensors_read;

static _Thread_local uint64_t generator;
static _Thread_local char scratch[SCRATCH] __attribute__((aligned(64)));

static uint64_t draw(uint64_t below) {
    generator = generator * 6364136223846793005u + 1442695040888963407u;
    return (generator >> 33) % below;
}

/* Each kind has slots of its own, so that there are always some of each. */
enum { STORES = 0, CHECKPOINTERS = 3, CHECKPOINTS = 6, TICKETS = 12 };

/* Returns a handle, in most cases of the right kind. */
static void *handle(int kind) {
    int end = kind == STORES ? CHECKPOINTERS : kind == CHECKPOINTERS ? CHECKPOINTS : kind == CHECKPOINTS ? TICKETS : HANDLES;
    switch (draw(24)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)draw(1 << 26);
    case 2: return scratch;
    case 3: kind = 0, end = HANDLES; /* falls through */
    default:
        pthread_mutex_lock(&handles_lock);
        void *found = handles[kind + (int)draw((uint64_t)(end - kind))];
        pthread_mutex_unlock(&handles_lock);
        return found;
    }
}

/* Puts a handle in a slot, and closes the one that was there. */
static void keep(void *made, int first, int end) {
    int slot = first + (int)draw((uint64_t)(end - first));
    pthread_mutex_lock(&handles_lock);
    void *old = handles[slot];
    handles[slot] = made;
    pthread_mutex_unlock(&handles_lock);
    if (first == TICKETS) ckpt_ticket_close(old);
    if (first == CHECKPOINTS) ckpt_checkpoint_close(old);
    if (first == CHECKPOINTERS) ckpt_checkpointer_close(old);
    /* A store with a checkpointer does not close: it takes its place back. */
    if (first == STORES && ckpt_store_close(old) != CKPT_OK && old) {
        pthread_mutex_lock(&handles_lock);
        handles[slot] = old;
        pthread_mutex_unlock(&handles_lock);
        ckpt_store_close(made);
    }
}

static const char *text(void) {
    static const char *const texts[] = {
        "latest", "10", "step-3", "best:loss", "a", "b", "c", "weight", "", "\xff\xfe", "::", "run:latest",
        "é", "e\xcc\x81", "a.b.c", "0123456789abcdef", "99999999999999999999", "best:", "\x01"};
    uint64_t choice = draw(sizeof texts / sizeof *texts + 1);
    return choice == 0 ? NULL : texts[choice - 1];
}

static double seconds(void) {
    const double times[] = {NAN, -INFINITY, -1, 0, 0, 0.0005, -0.0, 1e-300};
    return times[draw(8)];
}

static int64_t number(void) {
    const int64_t numbers[] = {0, 1, 2, 3, -1, INT64_MAX, INT64_MIN, 1 << 20, 4096, 7, 32, 33};
    return numbers[draw(12)];
}

static size_t size_of(size_t right) {
    const size_t sizes[] = {0, 7, 8, 16, 65536, 65537, SIZE_MAX, right + 64};
    return draw(4) ? right : sizes[draw(8)];
}

/* A structure with its size, in memory that is large enough for any size that is accepted. */
static void *structure(size_t right) {
    if (draw(16) == 0) return NULL;
    memset(scratch, (int)draw(3), 1024);
    size_t size = size_of(right);
    memcpy(scratch, &size, sizeof size);
    return scratch;
}

static void *out(void) { return draw(16) ? scratch : NULL; }

/* A tensor that fits its memory, or is wrong in a way that has to be found. */
static ckpt_tensor tensor(int64_t *shape, int64_t *strides) {
    ckpt_tensor tensor = {.struct_size = sizeof tensor, .name = text(), .group = text(),
                          .data = lent + draw(16), .shape = shape, .rank = (uint32_t)draw(4),
                          .type = (uint32_t)draw(36), .role = (uint32_t)draw(5),
                          .device = draw(32) ? 0 : (uint32_t)number()};
    for (int i = 0; i < 4; i++) {
        shape[i] = (int64_t)draw(6);
        strides[i] = (int64_t)draw(9);
    }
    if (draw(3) == 0) tensor.strides = strides;
    switch (draw(12)) {
    case 0: tensor.data = NULL; break;
    case 1: tensor.shape = NULL; break;
    case 2: shape[0] = draw(2) ? INT64_MIN : -1; break;
    case 3: shape[0] = shape[1] = INT64_MAX; tensor.rank = 2; break;
    case 4: tensor.rank = UINT32_MAX; break;
    case 5: strides[0] = draw(2) ? INT64_MIN : INT64_MAX; shape[0] = 3; break;
    case 6: tensor.data = (void *)UINTPTR_MAX; shape[0] = 9; break;
    }
    return tensor;
}

static void describe(void) {
    enum { COUNT = 3 };
    int64_t shapes[COUNT][4], strides[COUNT][4];
    ckpt_tensor tensors[COUNT];
    for (int i = 0; i < COUNT; i++) tensors[i] = tensor(shapes[i], strides[i]);
    if (draw(2)) {
        if (draw(2)) ckpt_describe(handle(CHECKPOINTERS), tensors, draw(COUNT + 1), out());
        else if (ckpt_read_tensors(handle(CHECKPOINTS), tensors, 1 + draw(COUNT)) == CKPT_OK) tensors_read++;
        return;
    }
    /* Parts of tensors: complete ones, boxes, and what lies outside or wraps around. */
    int64_t whole[COUNT][4], offsets[COUNT][4];
    static const uint32_t holders[] = {0, 1, 2, UINT32_MAX};
    ckpt_shard shards[COUNT];
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < 4; j++) {
            offsets[i][j] = draw(8) ? (int64_t)draw(3) : number();
            whole[i][j] = draw(8) ? shapes[i][j] + (int64_t)draw(3) : number();
        }
        shards[i] = (ckpt_shard){.struct_size = size_of(sizeof(ckpt_shard)), .shape = draw(4) ? whole[i] : NULL,
                                 .offset = draw(2) ? offsets[i] : NULL, .holders = draw(2) ? holders : NULL,
                                 .holder_count = draw(8) ? draw(5) : UINT64_MAX};
        /* The size of the first one is that of all. */
        if (draw(8)) shards[i].struct_size = sizeof(ckpt_shard);
    }
    if (shards[0].struct_size > sizeof(ckpt_shard)) shards[0].struct_size = sizeof(ckpt_shard);
    /* With another size, the second one would lie in the middle of the first: its pointers could be anything. */
    size_t most = shards[0].struct_size == sizeof(ckpt_shard) ? COUNT : 1;
    if (draw(2)) ckpt_describe_shards(handle(CHECKPOINTERS), tensors, shards, draw(most + 1), out());
    else if (ckpt_read_shards(handle(CHECKPOINTS), tensors, draw(8) ? shards : NULL, 1 + draw(most)) == CKPT_OK) tensors_read++;
}

static void describe_packed(void) {
    int64_t fields[32];
    size_t names = draw(8), count = draw(3), used = draw(32);
    for (int i = 0; i < 32; i++) fields[i] = draw(2) ? (int64_t)draw(4) : number();
    fields[0] = (int64_t)(intptr_t)lent;
    /* A description that is accepted must fit: extents are small or impossible. */
    for (int i = 7; i < 32; i++) if (fields[i] > 33) fields[i] = INT64_MAX;
    ckpt_describe_packed(handle(CHECKPOINTERS), draw(16) ? fields : NULL, used, draw(16) ? "aaaaaaaa" : NULL, names,
                         count, out());
}

static void make(void) {
    void *made = NULL;
    switch (draw(25)) {
    case 24: {
        /* A store with a mirror; or a place that cannot be one. Not often: a mirror waits for the disk. */
        if (draw(8)) break;
        char path[4096], place[4096];
        snprintf(path, sizeof path, "%s/%d", directory, (int)draw(3));
        snprintf(place, sizeof place, "%s/%s%d", directory, draw(8) ? "mirror" : "", (int)draw(3));
        ckpt_retention rules = {.struct_size = size_of(sizeof rules), .keep_last = draw(3)};
        if (rules.struct_size > sizeof rules) rules.struct_size = sizeof rules;
        ckpt_mirror mirror = {.struct_size = size_of(sizeof mirror), .place = draw(16) ? place : draw(2) ? NULL : "s3://",
                              .rules = draw(2) ? &rules : NULL, .bytes_per_second = (uint64_t)number()};
        if (mirror.struct_size > sizeof mirror) mirror.struct_size = sizeof mirror;
        if (ckpt_store_open_mirrored(path, NULL, draw(16) ? &mirror : NULL, (ckpt_store **)&made) == CKPT_OK) keep(made, STORES, CHECKPOINTERS);
        break;
    }
    case 17: {
        /* A group whose other processes are not there. */
        char path[4096];
        snprintf(path, sizeof path, "%s/%d", directory, (int)draw(3));
        ckpt_ranks ranks = {.struct_size = size_of(sizeof ranks), .launch = text(), .seconds = draw(2) ? 0.0005 : NAN,
                            .start_seconds = draw(2) ? 0.0005 : -1, .rank = (uint32_t)draw(3),
                            .world_size = draw(4) ? (uint32_t)draw(3) : UINT32_MAX};
        if (ranks.struct_size > sizeof ranks) ranks.struct_size = sizeof ranks;
        if (ckpt_store_open_ranks(path, draw(16) ? &ranks : NULL, (ckpt_store **)&made) == CKPT_OK) keep(made, STORES, CHECKPOINTERS);
        break;
    }
    case 0: case 12: case 13: {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d", directory, (int)draw(3));
        if (ckpt_store_open(path, draw(8) ? CKPT_WRITING : (uint32_t)draw(3), (ckpt_store **)&made) == CKPT_OK) keep(made, STORES, CHECKPOINTERS);
        break;
    }
    case 1: case 14: case 15: case 16: {
        ckpt_options options = {.struct_size = sizeof options, .run = draw(8) ? "r" : text(),
                                .arena_bytes = 1 << 16, .chunk_bytes = draw(16) ? 4096 : (uint64_t)number(),
                                .keep_last = 2, .workers = (uint32_t)draw(4), .capture = draw(8) ? CKPT_FENCED : (uint32_t)draw(4),
                                .backpressure = (uint32_t)draw(draw(8) ? 3 : 4), .compression = (uint32_t)draw(draw(8) ? 5 : 6),
                                .flags = CKPT_QUIET | (uint32_t)draw(4) | (draw(8) ? 0 : CKPT_STOP_AT_SIGTERM),
                                .exit_seconds = draw(8) ? 5 : seconds(), .termination_seconds = draw(8) ? 0 : 5,
                                .mirror_seconds = draw(8) ? 0.01 : seconds()};
        if (draw(16) == 0) options.struct_size = draw(2) ? 0 : SIZE_MAX;
        if (ckpt_checkpointer_open(handle(STORES), &options, (ckpt_checkpointer **)&made) == CKPT_OK) keep(made, CHECKPOINTERS, CHECKPOINTS);
        break;
    }
    case 2: case 3: case 4: case 5: case 6: case 7:
        if (ckpt_checkpoint_open(handle(STORES), draw(2) ? NULL : text(), (ckpt_checkpoint **)&made) == CKPT_OK) keep(made, CHECKPOINTS, TICKETS);
        break;
    case 8: if (draw(8) == 0) ckpt_store_close(handle(STORES)); break;
    case 9: if (draw(4) == 0) ckpt_checkpointer_close(handle(CHECKPOINTERS)); break;
    case 10: case 11: ckpt_checkpoint_close(handle(CHECKPOINTS)); break;
    default: ckpt_ticket_close(handle(TICKETS)); break;
    }
}

/* Reads tensors as their checkpoint describes them. */
static void read_as_described(void) {
    ckpt_checkpoint *newest = NULL;
    ckpt_checkpoint *checkpoint = handle(CHECKPOINTS);
    if (draw(2) && ckpt_checkpoint_open(handle(STORES), NULL, &newest) == CKPT_OK) checkpoint = newest;
    ckpt_tensor tensor = {.struct_size = sizeof tensor};
    for (size_t i = 0; ckpt_checkpoint_tensor(checkpoint, i, &tensor) == CKPT_OK; i++) {
        tensor.data = scratch;
        if (tensor.bytes <= SCRATCH && ckpt_read_tensors(checkpoint, &tensor, 1) == CKPT_OK) tensors_read++;
    }
    if (newest) ckpt_checkpoint_close(newest);
}

/* Functions that the library calls; some fail, and some call the library. */
static int fails_at_times(void *context) { return (uintptr_t)context % 8 == 1 ? 7 : 0; }

static int copy_out(void *context, uint64_t address, void *destination, size_t bytes, uint64_t *copy) {
    *copy = bytes;
    memcpy(destination, (void *)(uintptr_t)address, bytes);
    return fails_at_times(context);
}

static int copy_in(void *context, const void *source, uint64_t address, size_t bytes, uint64_t *copy) {
    *copy = bytes;
    memcpy((void *)(uintptr_t)address, source, bytes);
    return fails_at_times(context);
}

static int finish(void *context, uint64_t copy) { return copy == 77 ? 3 : fails_at_times(context); }

static int take(void *context, void **value) {
    *value = lent;
    ckpt_checkpointer_close(handles[CHECKPOINTERS]);
    return fails_at_times(context);
}

static int encode(void *context, void *value, void **data, size_t *length) {
    CHECK(value == lent);
    *data = (uintptr_t)context & 4 ? NULL : malloc(8);
    if (*data) memset(*data, 'x', 8);
    *length = (uintptr_t)context & 8 ? SIZE_MAX : (uintptr_t)context & 16 ? 0 : 8;
    return fails_at_times(context);
}

static int lend(void *context, void **data, size_t count) {
    if (count && (uintptr_t)context & 4) data[0] = lent + 8;
    return fails_at_times(context);
}

static void functions(void) {
    void *context = (void *)(uintptr_t)draw(32);
    ckpt_device device = {.struct_size = size_of(sizeof device), .name = text(), .context = context,
                          .order = draw(2) ? fails_at_times : NULL, .copy_to_host = draw(8) ? copy_out : NULL,
                          .copy_to_device = draw(8) ? copy_in : NULL, .finish = draw(2) ? finish : NULL};
    if (device.struct_size > sizeof device) device.struct_size = sizeof device;
    if (draw(2)) ckpt_add_device(handle(CHECKPOINTERS), draw(16) ? &device : NULL, out());
    ckpt_encoder encoder = {.struct_size = size_of(sizeof encoder), .context = context,
                            .freeze = draw(8) ? take : NULL, .encode = draw(8) ? encode : NULL};
    if (encoder.struct_size > sizeof encoder) encoder.struct_size = sizeof encoder;
    if (draw(2)) ckpt_set_encoder(handle(CHECKPOINTERS), text(), (uint32_t)draw(7), (uint32_t)draw(3), draw(16) ? &encoder : NULL);
    if (draw(2)) ckpt_set_lender(handle(CHECKPOINTERS), draw(2) ? lend : NULL, context);
}

static uint32_t restore_mode(void) {
    return (uint32_t)draw(3) | (draw(2) ? CKPT_CONVERT_FLOATS : 0);
}

static void *free_text(ckpt_status status) {
    if (status == CKPT_OK) ckpt_free(*(void **)scratch);
    return NULL;
}

static void call(void) {
    void *made = NULL;
    size_t length;
    switch (draw(39)) {
    case 0: case 1: case 2: make(); break;
    case 38: if (draw(16) == 0) functions(); break;
    case 35: case 36: case 37: read_as_described(); break;
    case 3: describe(); break;
    case 4: describe_packed(); break;
    case 5:
        if (ckpt_save(handle(CHECKPOINTERS), (int64_t)draw(1000), NULL, draw(32) == 0, draw(2) ? (ckpt_ticket **)&made : NULL) == CKPT_OK
            && made) keep(made, TICKETS, HANDLES);
        break;
    case 6: {
        ckpt_metric metrics[2] = {{text(), seconds()}, {"loss", 1}};
        ckpt_save(handle(CHECKPOINTERS), number(), metrics, draw(3), NULL);
        break;
    }
    case 7: ckpt_fence(handle(CHECKPOINTERS), text()); break;
    case 8: ckpt_try_fence(handle(CHECKPOINTERS), text()); break;
    case 9: case 10: ckpt_fence_end(handle(CHECKPOINTERS), draw(2) ? NULL : text()); break;
    case 11: ckpt_ticket_wait(handle(TICKETS), (uint32_t)draw(5), seconds()); break;
    case 12: ckpt_ticket_state(handle(TICKETS), out()); break;
    case 13: if (ckpt_ticket_report(handle(TICKETS), structure(sizeof(ckpt_save_report))) == CKPT_OK) commits++; break;
    case 14: if (draw(8) == 0) ckpt_ticket_cancel(handle(TICKETS)); break;
    case 15: ckpt_ticket_earlier_failure(handle(TICKETS)); break;
    case 16: if (draw(4) == 0) ckpt_resume(handle(CHECKPOINTERS), restore_mode(), structure(sizeof(ckpt_restore_report))); break;
    case 17: if (draw(4) == 0) ckpt_restore(handle(CHECKPOINTERS), text(), restore_mode(), structure(sizeof(ckpt_restore_report))); break;
    case 18: ckpt_next_event(handle(CHECKPOINTERS), seconds(), structure(sizeof(ckpt_event))); break;
    case 19: ckpt_get_stall(handle(CHECKPOINTERS), structure(sizeof(ckpt_stall))); break;
    case 20: ckpt_set_object(handle(CHECKPOINTERS), text(), (uint32_t)draw(7), (uint32_t)draw(3), draw(8) ? lent : NULL,
                             draw(8) ? draw(100) : SIZE_MAX); break;
    case 34: ckpt_set_rank_object(handle(CHECKPOINTERS), text(), (uint32_t)draw(7), (uint32_t)draw(3), draw(8) ? lent : NULL,
                                  draw(8) ? draw(100) : SIZE_MAX, (uint32_t)draw(3)); break;
    case 21: ckpt_remove_object(handle(CHECKPOINTERS), text()); break;
    case 22: free_text(ckpt_get_object(handle(CHECKPOINTERS), text(), draw(16) ? (void **)scratch : NULL, draw(16) ? &length : NULL)); break;
    case 23: free_text(ckpt_read_object(handle(CHECKPOINTS), text(), draw(16) ? (void **)scratch : NULL, draw(16) ? &length : NULL)); break;
    case 24: ckpt_read_range(handle(CHECKPOINTS), text(), (uint64_t)number(), draw(2) ? draw(64) : (uint64_t)number(), NULL); break;
    case 25: ckpt_read_range(handle(CHECKPOINTS), text(), draw(64), draw(64), scratch); break;
    case 26: if (draw(8) == 0) ckpt_store_list(handle(STORES), structure(sizeof(ckpt_summary)), draw(5), out() ? &length : NULL); break;
    case 27: if (draw(8) == 0) free_text(ckpt_store_list_json(handle(STORES), (size_t)number(), out())); break;
    case 28: free_text(ckpt_checkpoint_json(handle(CHECKPOINTS), out())); break;
    case 29: ckpt_checkpoint_tensor(handle(CHECKPOINTS), (size_t)number(), structure(sizeof(ckpt_tensor))); break;
    case 30: ckpt_checkpoint_object(handle(CHECKPOINTS), (size_t)number(), structure(sizeof(ckpt_object))); break;
    case 31:
        ckpt_checkpoint_find(handle(CHECKPOINTS), text(), out());
        ckpt_checkpoint_tensor_count(handle(CHECKPOINTS), out());
        ckpt_checkpoint_object_count(handle(CHECKPOINTS), out());
        ckpt_checkpoint_summary(handle(CHECKPOINTS), structure(sizeof(ckpt_summary)));
        free_text(ckpt_resume_reference(handle(CHECKPOINTERS), out()));
        ckpt_oldest_lent(handle(CHECKPOINTERS), out());
        ckpt_is_terminating(handle(CHECKPOINTERS), out());
        ckpt_wait_until_mirrored(handle(CHECKPOINTERS), seconds());
        if (draw(8) == 0) ckpt_cuda_device(handle(CHECKPOINTERS), (uint32_t)draw(3), (uint64_t)number(), out());
        break;
    case 32: {
        void *data[] = {lent, lent + 8, draw(8) ? lent : NULL};
        ckpt_set_pointers(handle(CHECKPOINTERS), draw(16) ? data : NULL, draw(4), out());
        break;
    }
    case 33:
        if (draw(8) == 0) {
            ckpt_store_tag(handle(STORES), text(), text(), (uint32_t)draw(2));
            ckpt_store_untag(handle(STORES), text());
            ckpt_store_pin(handle(STORES), text(), (uint32_t)draw(2));
            ckpt_store_remove(handle(STORES), text(), (uint32_t)draw(2));
            const char *best[] = {text(), "loss:1"};
            ckpt_retention rules = {.struct_size = draw(8) ? sizeof rules : (size_t)number(), .keep_last = draw(3),
                                    .keep_every = (uint64_t)number(), .keep_seconds = seconds(), .keep_best = draw(2) ? best : NULL,
                                    .keep_best_count = draw(4)};
            if (rules.keep_best_count > 2 && rules.keep_best) rules.keep_best_count = SIZE_MAX;
            ckpt_store_prune(handle(STORES), draw(16) ? &rules : NULL, (uint32_t)draw(2), structure(sizeof(ckpt_prune_report)));
        }
        ckpt_free(handle(CHECKPOINTERS));
        break;
    }
    CHECK(ckpt_last_message() && ckpt_last_remedy() && ckpt_last_path());
}

static void *run(void *seed) {
    generator = (uintptr_t)seed;
    for (long i = 0; i < calls_per_thread; i++) call();
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    directory = argv[1];
    uintptr_t seed = strtoull(argv[2], NULL, 10);
    calls_per_thread = atol(argv[3]) / 2;
    pthread_t other;
    pthread_create(&other, NULL, run, (void *)(seed * 2 + 1));
    run((void *)(seed * 2));
    pthread_join(other, NULL);
    /* Checkpointers first: a store does not close while one is open in it. */
    for (int i = 0; i < HANDLES; i++) ckpt_checkpointer_close(handles[i]);
    for (int i = 0; i < HANDLES; i++) ckpt_store_close(handles[i]);
    printf("%ld calls, %ld reports, %ld reads\n", calls_per_thread * 2, commits, tensors_read);
    CHECK(commits > 0 && (calls_per_thread < 50000 || tensors_read > 0));
    return 0;
}
