#define _GNU_SOURCE
#include "process_state.h"
#include "checkpoint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { MESSAGE_BYTES = 8192, REMEDY_BYTES = 2048, PATH_BYTES = 4096 };

static _Thread_local char message_text[MESSAGE_BYTES];
static _Thread_local char remedy_text[REMEDY_BYTES];
static _Thread_local char path_text[PATH_BYTES];

/* Copies a text, and cuts it between two characters of UTF-8 if it is too long. */
static void copy_text(char *to, size_t capacity, const char *from) {
    size_t length = strnlen(from, capacity);
    if (length == capacity) {
        length = capacity - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80) length--;
    }
    memmove(to, from, length);
    to[length] = 0;
}

void cc_set_failure(const char *message, const char *remedy, const char *path) {
    copy_text(message_text, MESSAGE_BYTES, message);
    copy_text(remedy_text, REMEDY_BYTES, remedy);
    copy_text(path_text, PATH_BYTES, path);
}

const char *ckpt_last_message(void) { return message_text; }
const char *ckpt_last_remedy(void) { return remedy_text; }
const char *ckpt_last_path(void) { return path_text; }

static atomic_int is_forked;

static void note_fork(void) { atomic_store_explicit(&is_forked, 1, memory_order_relaxed); }

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, note_fork); }

int cc_is_forked(void) { return atomic_load_explicit(&is_forked, memory_order_relaxed); }

static _Thread_local int program_depth;

void cc_enter_program(void) { program_depth++; }
void cc_leave_program(void) { program_depth--; }
int cc_is_in_program(void) { return program_depth > 0; }

uint32_t ckpt_abi_version(void) { return CKPT_ABI_VERSION; }

const char *ckpt_status_name(ckpt_status status) {
    static const char *const names[] = {
        "CKPT_OK", "CKPT_NOT_FOUND", "CKPT_NOT_A_STORE", "CKPT_BUSY", "CKPT_EXISTS", "CKPT_NO_SPACE",
        "CKPT_READ_ONLY", "CKPT_IO", "CKPT_DAMAGED", "CKPT_UNSUPPORTED", "CKPT_MISMATCH",
        "CKPT_MISUSE", "CKPT_CANCELLED", "CKPT_SKIPPED", "CKPT_TIMED_OUT", "CKPT_OUT_OF_MEMORY",
        "CKPT_PROVIDER", "CKPT_DEVICE",
    };
    enum { COUNT = sizeof names / sizeof *names };
    return status >= 0 && status < COUNT ? names[status] : "CKPT_UNKNOWN";
}
