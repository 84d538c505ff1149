/* A training loop in plain C that saves, is killed, and resumes: train STORE [STEP]
 *
 * It fits y = 2x + 1 by gradient descent with momentum. With STEP it kills itself after that step,
 * in the middle of whatever the library does then. Started again, it resumes from the newest
 * checkpoint, and ends with the same bits as a run that was not killed. */
#include "checkpoint.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { WEIGHTS = 2, STEPS = 1000, INTERVAL = 100 };

/* The state: weights, their momentum, and the state of the random generator. */
static float weight[WEIGHTS], momentum[WEIGHTS];
static uint64_t generator = 1;

static void check(ckpt_status status, const char *what) {
    if (status == CKPT_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, ckpt_status_name(status), ckpt_last_message());
    exit(1);
}

static float random_number(void) {
    generator = generator * 6364136223846793005u + 1442695040888963407u;
    return (float)(generator >> 40) / (float)(1 << 24);
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: %s STORE [STEP]\n", argv[0]), 2;
    int64_t last = argc > 2 ? atoll(argv[2]) : -1;

    const int64_t shape[] = {WEIGHTS};
    const ckpt_tensor state[] = {
        {.struct_size = sizeof(ckpt_tensor), .name = "weight", .data = weight, .shape = shape,
         .rank = 1, .type = CKPT_F32, .role = CKPT_PARAMETER},
        {.struct_size = sizeof(ckpt_tensor), .name = "momentum.weight", .data = momentum,
         .shape = shape, .rank = 1, .type = CKPT_F32, .role = CKPT_OPTIMIZER},
    };
    ckpt_store *store;
    ckpt_checkpointer *saver;
    check(ckpt_store_open(argv[1], CKPT_WRITING, &store), "open");
    check(ckpt_checkpointer_open(store, NULL, &saver), "start");
    check(ckpt_describe(saver, state, 2, NULL), "describe");

    ckpt_restore_report report = {.struct_size = sizeof report};
    check(ckpt_resume(saver, CKPT_STRICT, &report), "resume");
    int64_t step = 0;
    if (report.found) {
        void *bytes;
        size_t length;
        check(ckpt_get_object(saver, "rng", &bytes, &length), "rng");
        if (length == sizeof generator) generator = *(uint64_t *)bytes;
        ckpt_free(bytes);
        step = report.step;
        printf("resumed at step %" PRId64 "\n", step);
    }

    while (step < STEPS) {
        float x = random_number();
        float error = weight[0] * x + weight[1] - (2 * x + 1);
        const float gradient[WEIGHTS] = {error * x, error};

        check(ckpt_fence(saver, NULL), "fence"); /* waits only for what is not copied yet */
        for (int i = 0; i < WEIGHTS; i++) {
            momentum[i] = 0.9f * momentum[i] + gradient[i];
            weight[i] -= 0.01f * momentum[i];
        }
        check(ckpt_fence_end(saver, NULL), "fence");

        if (++step % INTERVAL == 0) {
            const ckpt_metric loss = {"loss", error * error};
            check(ckpt_set_object(saver, "rng", CKPT_OBJECT_RNG, CKPT_BYTES, &generator,
                                  sizeof generator), "rng");
            check(ckpt_save(saver, step, &loss, 1, NULL), "save");
        }
        if (step == last) raise(SIGKILL);
    }

    check(ckpt_checkpointer_close(saver), "last save"); /* waits for the saves in flight */
    check(ckpt_store_close(store), "close");
    printf("weight %a %a momentum %a %a\n", weight[0], weight[1], momentum[0], momentum[1]);
    return 0;
}
