/* Several processes that save together: ranks DIRECTORY */
#define _DEFAULT_SOURCE
#include "check.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 12, COLUMNS = 500, EXPERTS = 4, MOST = EXPERTS + 2 };

/* What a process holds: some rows of a matrix, some experts, each with memory of its own, and a bias
 * that all hold. */
typedef struct {
    int rank, world;
    int64_t rows, first;
    float matrix[ROWS * COLUMNS], experts[EXPERTS][64], bias[8];
} state;

static float element(int64_t position, int step) { return (float)(position * 10 + step); }

static void divide(state *s, int rank, int world) {
    memset(s, 0, sizeof *s);
    s->rank = rank, s->world = world;
    s->first = (int64_t)ROWS * rank / world;
    s->rows = (int64_t)ROWS * (rank + 1) / world - s->first;
}

static void update(state *s, int step) {
    for (int64_t i = 0; i < s->rows * COLUMNS; i++)
        s->matrix[i] = element(s->first * COLUMNS + i, step);
    for (int expert = s->rank; expert < EXPERTS; expert += s->world)
        for (int i = 0; i < 64; i++) s->experts[expert][i] = element(expert * 64 + i, step);
    for (int i = 0; i < 8; i++) s->bias[i] = element(i, step);
}

static void check(const state *s, int step) {
    state expected = *s;
    update(&expected, step);
    CHECK(memcmp(&expected, s, sizeof expected) == 0);
}

/* Describes the state, as structures or as the same numbers in one array. */
static void describe(ckpt_checkpointer *saver, state *s, int is_packed) {
    const int64_t all_rows[] = {ROWS, COLUMNS}, rows[] = {s->rows, COLUMNS}, start[] = {s->first, 0};
    const int64_t all_experts[] = {EXPERTS, 64}, one[] = {1, 64}, eight[] = {8};
    int64_t places[EXPERTS][2];
    uint32_t holders[8];
    for (uint32_t i = 0; i < (uint32_t)s->world; i++) holders[i] = i;
    size_t tensor_count = 2;
    ckpt_tensor tensors[MOST] = {
        {.name = "matrix", .data = s->matrix, .shape = rows, .rank = 2},
        {.name = "bias", .data = s->bias, .shape = eight, .rank = 1}};
    ckpt_shard shards[MOST] = {
        {.shape = all_rows, .offset = start},
        {.shape = eight, .holders = holders, .holder_count = (uint64_t)s->world}};
    for (int expert = s->rank; expert < EXPERTS; expert += s->world) {
        places[expert][0] = expert, places[expert][1] = 0;
        tensors[tensor_count] = (ckpt_tensor){
            .name = "experts", .data = s->experts[expert], .shape = one, .rank = 2};
        shards[tensor_count++] = (ckpt_shard){.shape = all_experts, .offset = places[expert]};
    }
    int64_t fields[128];
    char names[64] = "";
    size_t count = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        ckpt_tensor *t = &tensors[i];
        t->struct_size = sizeof *t, t->type = CKPT_F32;
        shards[i].struct_size = sizeof shards[i];
        strcat(names, t->name);
        const int64_t head[] = {(int64_t)(intptr_t)t->data, CKPT_F32, 0, (int64_t)strlen(t->name), 0,
                                2, t->rank};
        for (int j = 0; j < 7; j++) fields[count++] = head[j];
        for (uint32_t j = 0; j < t->rank; j++) fields[count++] = t->shape[j];
        for (uint32_t j = 0; j < t->rank; j++) fields[count++] = shards[i].shape[j];
        for (uint32_t j = 0; j < t->rank; j++)
            fields[count++] = shards[i].offset ? shards[i].offset[j] : 0;
        fields[count++] = (int64_t)shards[i].holder_count;
        for (uint64_t j = 0; j < shards[i].holder_count; j++) fields[count++] = holders[j];
    }
    CHECK_STATUS(CKPT_OK, is_packed
        ? ckpt_describe_packed(saver, fields, count, names, strlen(names), tensor_count, NULL)
        : ckpt_describe_shards(saver, tensors, shards, tensor_count, NULL));
    fields[5] = 4;
    CHECK_STATUS(CKPT_MISUSE, ckpt_describe_packed(
        saver, fields, count, names, strlen(names), tensor_count, NULL));
    if (s->world > 1) {
        /* What cannot be is refused, and the description stays. */
        int64_t outside[] = {ROWS, 0};
        shards[0].offset = outside;
        CHECK_STATUS(CKPT_MISUSE, ckpt_describe_shards(saver, tensors, shards, tensor_count, NULL));
        shards[0].offset = start;
        shards[3] = shards[2], tensors[3] = tensors[2], tensor_count = 4;
        CHECK_STATUS(CKPT_MISUSE, ckpt_describe_shards(saver, tensors, shards, tensor_count, NULL));
        CHECK(strstr(ckpt_last_message(), "experts"));
        holders[s->rank] = (uint32_t)s->world;
        CHECK_STATUS(CKPT_MISUSE, ckpt_describe_shards(saver, tensors, shards, 2, NULL));
        CHECK(strstr(ckpt_last_message(), "bias"));
    }
}

/* One process: resumes from `found`, if it is not 0, and saves two more steps. */
static void train(
    const char *path, int rank, int world, const char *launch, int found, int is_new_world) {
    state *s = malloc(sizeof *s);
    divide(s, rank, world);
    ckpt_store *store;
    ckpt_ranks ranks = {.struct_size = sizeof ranks, .launch = launch, .seconds = 60,
                        .start_seconds = 60, .rank = (uint32_t)rank, .world_size = (uint32_t)world};
    CHECK_STATUS(CKPT_OK, ckpt_store_open_ranks(path, &ranks, &store));
    ckpt_options options = {.struct_size = sizeof options, .run = "c", .workers = 1,
                            .chunk_bytes = 4096, .compression = CKPT_COMPRESS_NONE};
    ckpt_checkpointer *saver;
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_open(store, &options, &saver));
    describe(saver, s, rank % 2);
    char own[32];
    snprintf(own, sizeof own, "%d", 100 + rank);
    CHECK_STATUS(CKPT_MISUSE, ckpt_set_rank_object(saver, "rng", 1, CKPT_JSON, own, strlen(own), 7));
    CHECK_STATUS(CKPT_OK, ckpt_set_rank_object(
        saver, "rng", CKPT_OBJECT_RNG, CKPT_JSON, "0", 1, CKPT_FIRST_RANKS));
    ckpt_restore_report report = {.struct_size = sizeof report};
    CHECK_STATUS(CKPT_OK, ckpt_resume(saver, CKPT_STRICT, &report));
    CHECK((int)report.found == (found > 0) && report.step == found);
    if (found > 0) {
        check(s, found);
        char *bytes;
        size_t length;
        CHECK_STATUS(CKPT_OK, ckpt_get_object(saver, "rng", (void **)&bytes, &length));
        CHECK(report.first_rank_count == (uint64_t)is_new_world);
        CHECK(strcmp(bytes, is_new_world ? "100" : own) == 0);
        ckpt_free(bytes);
        /* Nothing of other processes is in this one. */
        CHECK_STATUS(CKPT_NOT_FOUND, ckpt_get_object(
            saver, "rng.rank1of2", (void **)&bytes, &length));
    }
    CHECK_STATUS(CKPT_OK, ckpt_set_rank_object(
        saver, "rng", CKPT_OBJECT_RNG, CKPT_JSON, own, strlen(own), CKPT_FIRST_RANKS));
    for (int step = found + 1; step <= found + 2; step++) {
        CHECK_STATUS(CKPT_OK, ckpt_fence(saver, NULL));
        update(s, step);
        CHECK_STATUS(CKPT_OK, ckpt_fence_end(saver, NULL));
        ckpt_ticket *ticket;
        CHECK_STATUS(CKPT_OK, ckpt_save(saver, step, NULL, 0, &ticket));
        CHECK_STATUS(CKPT_OK, ckpt_ticket_wait(ticket, CKPT_COMMITTED, 60));
        CHECK_STATUS(CKPT_OK, ckpt_ticket_close(ticket));
    }
    /* Back to the step before, in place. */
    char before[32];
    snprintf(before, sizeof before, "%d", found + 1);
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, before, CKPT_STRICT, &report));
    check(s, found + 1);
    CHECK_STATUS(CKPT_OK, ckpt_restore(saver, "latest", CKPT_STRICT, &report));
    check(s, found + 2);
    CHECK_STATUS(CKPT_OK, ckpt_checkpointer_close(saver));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    free(s);
}

/* Starts this program once for each rank. A child made by fork() alone cannot use the library. */
static void start(const char *path, int world, const char *launch, int found) {
    static int last_world;
    int is_new_world = found > 0 && world != last_world;
    last_world = world;
    for (int rank = 0; rank < world; rank++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char numbers[4][16];
            int values[] = {rank, world, found, is_new_world};
            for (int i = 0; i < 4; i++) snprintf(numbers[i], sizeof numbers[i], "%d", values[i]);
            execl("/proc/self/exe", "ranks", path, launch, numbers[0], numbers[1], numbers[2],
                  numbers[3], (char *)NULL);
            _exit(2);
        }
    }
    for (int rank = 0; rank < world; rank++) {
        int status;
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(int argc, char **argv) {
    if (argc == 7) {
        train(argv[1], atoi(argv[3]), atoi(argv[4]), argv[2], atoi(argv[5]), atoi(argv[6]));
        return 0;
    }
    CHECK(argc == 2);
    start(argv[1], 2, "job.0", 0);
    start(argv[1], 2, "job.1", 2);
    start(argv[1], 4, "job.2", 4);
    start(argv[1], 1, "job.3", 6);
    start(argv[1], 2, "job.4", 8);

    /* Everything, read by one process: whole, and a part that no process has had. */
    ckpt_store *store;
    ckpt_checkpoint *checkpoint;
    CHECK_STATUS(CKPT_OK, ckpt_store_open(argv[1], CKPT_READING, &store));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_open(store, "latest", &checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_verify(checkpoint));
    static float rows[5 * COLUMNS], experts[4 * 64];
    const int64_t all[] = {ROWS, COLUMNS}, five[] = {5, COLUMNS}, at[] = {4, 0}, four[] = {4, 64};
    ckpt_tensor tensors[] = {
        {.struct_size = sizeof(ckpt_tensor), .name = "matrix", .data = rows, .shape = five,
         .rank = 2, .type = CKPT_F32},
        {.struct_size = sizeof(ckpt_tensor), .name = "experts", .data = experts, .shape = four,
         .rank = 2, .type = CKPT_F32}};
    ckpt_shard shards[] = {{.struct_size = sizeof(ckpt_shard), .shape = all, .offset = at},
                           {.struct_size = sizeof(ckpt_shard)}};
    CHECK_STATUS(CKPT_OK, ckpt_read_shards(checkpoint, tensors, shards, 2));
    for (int i = 0; i < 5 * COLUMNS; i++) CHECK(rows[i] == element(4 * COLUMNS + i, 10));
    for (int i = 0; i < 4 * 64; i++) CHECK(experts[i] == element(i, 10));
    CHECK_STATUS(CKPT_OK, ckpt_read_shards(checkpoint, tensors, shards, 1));
    tensors[0].shape = all;
    CHECK_STATUS(CKPT_MISUSE, ckpt_read_shards(checkpoint, tensors, shards, 2));
    CHECK_STATUS(CKPT_OK, ckpt_checkpoint_close(checkpoint));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));

    /* Processes that cannot be. */
    ckpt_ranks ranks = {.struct_size = sizeof ranks, .launch = "x", .rank = 2, .world_size = 2};
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_ranks(argv[1], NULL, &store));
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_ranks(argv[1], &ranks, &store));
    ranks = (ckpt_ranks){.struct_size = sizeof ranks, .rank = 1, .world_size = 2};
    CHECK_STATUS(CKPT_MISUSE, ckpt_store_open_ranks(argv[1], &ranks, &store));
    ranks.launch = "alone", ranks.start_seconds = 0.05;
    CHECK_STATUS(CKPT_OK, ckpt_store_open_ranks(argv[1], &ranks, &store));
    ckpt_checkpointer *saver;
    CHECK_STATUS(CKPT_TIMED_OUT, ckpt_checkpointer_open(store, NULL, &saver));
    CHECK_STATUS(CKPT_OK, ckpt_store_close(store));
    printf("all is well\n");
    return 0;
}
