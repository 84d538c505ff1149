/* checkpoint.h: asynchronous checkpoints for training loops.
 *
 * A program opens a store (a directory, or a place in object storage), makes a checkpointer in it, describes its tensors, and
 * calls ckpt_save, which returns immediately. Threads of the library copy the tensors while the
 * program computes, hash and compress the copies, and publish the checkpoint in one atomic step.
 * Before the program changes a tensor it calls ckpt_fence, which waits until what is about to
 * change has been copied.
 *
 *     ckpt_store *store;
 *     ckpt_checkpointer *saver;
 *     if (ckpt_store_open("runs/first", CKPT_WRITING, &store) != CKPT_OK) fail();
 *     if (ckpt_checkpointer_open(store, NULL, &saver) != CKPT_OK) fail();
 *     ckpt_describe(saver, tensors, tensor_count, NULL);
 *     ckpt_resume(saver, CKPT_STRICT, &report);
 *     for (step = report.found ? report.step : 0; step < 10000; ) {
 *         forward_backward();
 *         ckpt_fence(saver, NULL);
 *         update();
 *         ckpt_fence_end(saver, NULL);
 *         if (++step % 100 == 0) ckpt_save(saver, step, NULL, 0, NULL);
 *     }
 *     ckpt_checkpointer_close(saver);
 *     ckpt_store_close(store);
 *
 * Errors.   Functions return CKPT_OK or another status. After a failure, ckpt_last_message says
 *           what happened, to which file or tensor, and what to do. Each thread has its own text;
 *           the next failure in the thread replaces it, a success does not.
 *           A failure of the disk during a save does not fail ckpt_save: the ticket, the next
 *           ticket and ckpt_checkpointer_close report it. Results are set only on success, unless
 *           the comment of a function says otherwise.
 * Handles.  A handle is a number in the form of a pointer; it never points to anything. A NULL
 *           handle, a closed one, one of a different kind, and any other value give CKPT_MISUSE.
 *           No handle value is used twice. The functions that close a handle accept NULL.
 * Memory.   Strings are UTF-8 and end with a zero byte. Arguments are copied before the
 *           function returns, except the tensors themselves: those are lent. Lent memory must stay
 *           mapped until it is released (see ckpt_describe). Other addresses than NULL are not
 *           checked. Free memory that a function allocates for you with ckpt_free.
 * Threads.  Any function may be called on any thread. Calls on one checkpointer take turns; waits
 *           for tickets and events do not block other calls. Threads of the library receive no
 *           signals, and call no functions of the program but those that it gives with
 *           ckpt_set_lender, ckpt_set_encoder and ckpt_add_device. While one of these runs, every
 *           function that is called on its thread returns CKPT_MISUSE. They return 0, or another
 *           number, which the error then states; they must return, and not unwind the stack.
 * Forks.    In a child made by fork(), every function returns CKPT_MISUSE, except those that close
 *           a handle or free memory, which do nothing. The locks of open stores stay with the
 *           parent.
 * Times     are in seconds, sizes in bytes, strides in elements. A negative time counts as 0, a
 *           huge or infinite one as 100 years; a time that is not a number is misuse.
 * Versions. Structures begin with their size: set struct_size to sizeof before a call. All other
 *           fields of a structure may be 0. The library reads and writes no more than that size.
 */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __clang__
#define CKPT_NULLABLE _Nullable
#define CKPT_NONNULL _Nonnull
#else
#define CKPT_NULLABLE
#define CKPT_NONNULL
#endif

/* ------------------------------------------------------------------ version and errors */

/* Version of this interface. It increases when something is added; nothing is ever removed.
 * 2 added several processes: ckpt_store_open_ranks, ckpt_describe_shards, ckpt_read_shards,
 * ckpt_set_rank_object. 3 added CKPT_STOP_AT_SIGTERM and ckpt_is_terminating,
 * CKPT_CONVERT_FLOATS, ckpt_store_prune, and GPUs: ckpt_cuda_device and ckpt_tensor.device.
 * 4 added object storage and mirrors: s3:// for ckpt_store_open, ckpt_store_open_mirrored,
 * ckpt_wait_until_mirrored, ckpt_options.mirror_seconds, ckpt_restore_report.is_from_mirror.
 * 5 added functions of the program: ckpt_set_lender, ckpt_set_encoder, ckpt_add_device. */
#define CKPT_ABI_VERSION 5

/* The result of a call. The numbers never change. */
typedef int32_t ckpt_status;
enum {
    CKPT_OK = 0,
    CKPT_NOT_FOUND = 1,      /* the store, checkpoint, tensor or object does not exist */
    CKPT_NOT_A_STORE = 2,    /* the directory is not a store */
    CKPT_BUSY = 3,           /* another process or checkpointer writes to the store */
    CKPT_EXISTS = 4,         /* the step is already committed in this run */
    CKPT_NO_SPACE = 5,       /* the disk or quota is full */
    CKPT_READ_ONLY = 6,      /* writing is not permitted */
    CKPT_IO = 7,             /* the file system failed in another way */
    CKPT_DAMAGED = 8,        /* bytes on disk differ from those written */
    CKPT_UNSUPPORTED = 9,    /* a version, feature, codec or kernel that is not supported */
    CKPT_MISMATCH = 10,      /* the state and the checkpoint do not fit together */
    CKPT_MISUSE = 11,        /* an invalid argument or handle, or a call at the wrong time */
    CKPT_CANCELLED = 12,     /* the save was cancelled, or the checkpointer is closed */
    CKPT_SKIPPED = 13,       /* the save was skipped: an earlier one was still being written */
    CKPT_TIMED_OUT = 14,     /* a wait reached its deadline */
    CKPT_OUT_OF_MEMORY = 15, /* memory could not be allocated */
    CKPT_PROVIDER = 16,      /* the state could not be encoded or decoded */
    CKPT_DEVICE = 17         /* a device failed to copy */
};

/* The version of the interface that the library implements: at least CKPT_ABI_VERSION of the
 * header that a program was compiled with. */
uint32_t ckpt_abi_version(void);

/* The version of the library, such as "0.2.0". A constant; not to be freed. */
const char *CKPT_NONNULL ckpt_version(void);

/* A name of a status, such as "CKPT_NO_SPACE"; "CKPT_UNKNOWN" for other numbers. A constant. */
const char *CKPT_NONNULL ckpt_status_name(ckpt_status status);

/* The last failure in this thread: message and remedy, in sentences. Empty if no call has
 * failed. Valid until the next failure in this thread. At most 8 KiB; longer texts are cut. */
const char *CKPT_NONNULL ckpt_last_message(void);

/* The part of ckpt_last_message that says what to do; empty if none is known. */
const char *CKPT_NONNULL ckpt_last_remedy(void);

/* The path of the file that the last failure in this thread concerns; empty if none. */
const char *CKPT_NONNULL ckpt_last_path(void);

/* Frees memory that a function of this library returned. NULL, and any address that the library
 * did not return or that was freed already, is ignored. */
void ckpt_free(void *CKPT_NULLABLE memory);

/* -------------------------------------------------------------------------- stores */

typedef struct ckpt_store ckpt_store;
typedef struct ckpt_checkpoint ckpt_checkpoint;
typedef struct ckpt_checkpointer ckpt_checkpointer;
typedef struct ckpt_ticket ckpt_ticket;

/* Access to a store. Any number of processes may read; one may write. */
enum { CKPT_READING = 0, CKPT_WRITING = 1 };

/* Opens the store at a path, or at s3://BUCKET/PREFIX, in object storage with the S3 protocol, with
 * the settings and credentials that the user has configured for other programs. For CKPT_WRITING the
 * store is created if the directory is missing or empty, and the leftovers of a killed writer are
 * removed. A library without object storage, such as Tools/c-library makes, fails for s3:// with
 * UNSUPPORTED; that of the wheel for Python has it.
 * Fails with NOT_FOUND, NOT_A_STORE, BUSY, READ_ONLY, NO_SPACE, UNSUPPORTED, DAMAGED, IO. */
ckpt_status ckpt_store_open(
    const char *CKPT_NULLABLE path, uint32_t access, ckpt_store *CKPT_NULLABLE *CKPT_NULLABLE store);

/* The processes that save one checkpoint together, as one of them sees them. */
typedef struct ckpt_ranks {
    size_t struct_size;
    const char *CKPT_NULLABLE launch; /* name of this start of the processes: the same in all of them,
                                       * and a new one at each start, such as job and restart */
    double seconds;       /* maximum wait for the others in each phase of a save; default 600 */
    double start_seconds; /* maximum wait for them at the start and to restore; default 600 */
    uint32_t rank;        /* number of this process, from 0 */
    uint32_t world_size;  /* number of processes; 1: this one saves alone */
} ckpt_ranks;

/* Opens a store for writing in several processes, all of which make this call. They meet in the
 * store, which must lie on a file system that all of them share, or in object storage. Each describes the parts of tensors
 * that it holds (ckpt_describe_shards), and saves the same steps; the checkpoint is published when
 * all parts are durable. ckpt_resume and ckpt_restore are calls of all processes, too, and restore
 * what any number of processes has saved. Backpressure must be CKPT_BLOCK, the default.
 * Fails as ckpt_store_open, and with TIMED_OUT (rank 0 has not made the store). */
ckpt_status ckpt_store_open_ranks(
    const char *CKPT_NULLABLE path, const ckpt_ranks *CKPT_NULLABLE ranks,
    ckpt_store *CKPT_NULLABLE *CKPT_NULLABLE store);

/* Rules for the checkpoints of each run to keep. A checkpoint stays if at least one rule keeps it; 0
 * and NULL are no rule. The newest intact one of each run, and those with a tag or pin, always stay. */
typedef struct ckpt_retention {
    size_t struct_size;
    uint64_t keep_last;  /* the newest N */
    uint64_t keep_every; /* the first one of every K steps */
    double keep_seconds; /* those made at most this long before the newest */
    const char *CKPT_NULLABLE const *CKPT_NULLABLE keep_best; /* the best ones by a metric: "loss:3",
                                                               * "accuracy:1:max" */
    size_t keep_best_count; /* at most 64 */
} ckpt_retention;

/* A second copy of a store, elsewhere. */
typedef struct ckpt_mirror {
    size_t struct_size;
    const char *CKPT_NULLABLE place; /* a directory, or s3://BUCKET/PREFIX: a mirror of this store, or
                                      * nothing yet */
    const ckpt_retention *CKPT_NULLABLE rules; /* what it keeps, whatever the store keeps; NULL: all */
    uint64_t bytes_per_second; /* maximum speed; 0: none */
} ckpt_mirror;

/* Opens a store in a directory for writing, with a mirror. While a checkpointer is open, a thread of
 * the lowest priority sends each checkpoint to the mirror after it is committed (CKPT_EVENT_MIRRORED).
 * ckpt_resume and ckpt_restore take from the mirror what the directory has lost or finds damaged; a
 * directory that is missing or empty becomes the store that the mirror is of. `ranks` may be NULL:
 * this process saves alone. Of several processes, rank 0 sends, and all must be given the mirror to
 * restore from it.
 * Fails as ckpt_store_open and ckpt_store_open_ranks, and with UNSUPPORTED (a library without
 * mirrors). If the mirror is the store itself, lies in it, or is the mirror of another one,
 * ckpt_checkpointer_open fails with MISUSE. */
ckpt_status ckpt_store_open_mirrored(
    const char *CKPT_NULLABLE path, const ckpt_ranks *CKPT_NULLABLE ranks,
    const ckpt_mirror *CKPT_NULLABLE mirror, ckpt_store *CKPT_NULLABLE *CKPT_NULLABLE store);

/* Closes a store: other processes may then write to it. Open checkpoints stay readable.
 * Fails with MISUSE while a checkpointer is open in it; the handle then stays valid. */
ckpt_status ckpt_store_close(ckpt_store *CKPT_NULLABLE store);

/* A checkpoint in a list. */
typedef struct ckpt_summary {
    size_t struct_size;
    int64_t step;
    int64_t created_ms; /* milliseconds since 1970 */
    uint64_t tensor_count;
    uint64_t object_count;
    uint64_t logical_bytes; /* before compression */
    uint64_t stored_bytes;
    uint32_t is_pinned;
    uint32_t is_copy;   /* copied from another store */
    char id[40];        /* 32 hexadecimal digits */
    char restart[40];   /* id of the process that saved it */
    char run[264];      /* name of the run */
} ckpt_summary;

/* Lists the newest checkpoints, newest first. Damaged ones are left out.
 * `summaries` has room for `capacity` entries, each `struct_size` bytes of the first one; NULL with
 * a capacity of 0 only counts. `count` is the number of all checkpoints.
 * Fails with IO, MISUSE. */
ckpt_status ckpt_store_list(
    ckpt_store *CKPT_NULLABLE store, ckpt_summary *CKPT_NULLABLE summaries, size_t capacity,
    size_t *CKPT_NULLABLE count);

/* The same list with metrics and tags as JSON text: an array of objects with the keys id, restart,
 * run, step, created_ms, metrics, tags, pinned, copy, tensors, objects, logical_bytes and
 * stored_bytes. A damaged checkpoint has one key, error. At most `limit` entries; 0 lists all.
 * Free `text` with ckpt_free. Fails with IO, OUT_OF_MEMORY. */
ckpt_status ckpt_store_list_json(
    ckpt_store *CKPT_NULLABLE store, size_t limit, char *CKPT_NULLABLE *CKPT_NULLABLE text);

/* Sets a tag on a checkpoint, which retention then never removes. If `moves` is not 0, the tag may be
 * taken from another checkpoint. Fails with NOT_FOUND, EXISTS, BUSY, MISUSE (open for reading), IO. */
ckpt_status ckpt_store_tag(
    ckpt_store *CKPT_NULLABLE store, const char *CKPT_NULLABLE reference,
    const char *CKPT_NULLABLE tag, uint32_t moves);

/* Deletes a tag; the checkpoint stays. Fails with NOT_FOUND, BUSY, MISUSE, IO. */
ckpt_status ckpt_store_untag(ckpt_store *CKPT_NULLABLE store, const char *CKPT_NULLABLE tag);

/* Protects a checkpoint from removal by retention, or ends the protection if `pinned` is 0.
 * Fails with NOT_FOUND, BUSY, MISUSE, IO. */
ckpt_status ckpt_store_pin(
    ckpt_store *CKPT_NULLABLE store, const char *CKPT_NULLABLE reference, uint32_t pinned);

/* Deletes a checkpoint, and frees the bytes that no other checkpoint shares. If `forced` is 0, one
 * that is pinned, has a tag, or is the newest intact one of its run is refused with MISUSE.
 * Fails with NOT_FOUND, BUSY (a reader or a save in flight uses it, or another process removes or
 * repacks checkpoints: try again later), MISUSE, DAMAGED, IO. */
ckpt_status ckpt_store_remove(
    ckpt_store *CKPT_NULLABLE store, const char *CKPT_NULLABLE reference, uint32_t forced);

/* The result of a prune. */
typedef struct ckpt_prune_report {
    size_t struct_size;
    uint64_t kept_count;
    uint64_t removed_count;
    uint64_t in_use_count; /* no rule keeps them, but a reader or a save in flight uses them */
    uint64_t freed_bytes;
} ckpt_prune_report;

/* Removes the checkpoints that no rule keeps, while the program may save. If `is_dry_run` is not 0,
 * only counts them; the store may then be open for reading. `report` may be NULL. Reads all
 * manifests. Fails with MISUSE (no rule, or no rule keeps more than the newest of a run), BUSY
 * (another process removes or repacks checkpoints: try again later), DAMAGED, IO. */
ckpt_status ckpt_store_prune(
    ckpt_store *CKPT_NULLABLE store, const ckpt_retention *CKPT_NULLABLE rules, uint32_t is_dry_run,
    ckpt_prune_report *CKPT_NULLABLE report);

/* --------------------------------------------------------------------- tensors */

/* Types of elements. The numbers are those of the format (Formats/manifest.md). */
enum {
    CKPT_F64 = 1, CKPT_F32 = 2, CKPT_F16 = 3, CKPT_BF16 = 4, CKPT_F8E4M3 = 5, CKPT_F8E5M2 = 6,
    CKPT_I64 = 7, CKPT_I32 = 8, CKPT_I16 = 9, CKPT_I8 = 10,
    CKPT_U64 = 11, CKPT_U32 = 12, CKPT_U16 = 13, CKPT_U8 = 14, CKPT_BOOL = 15,
    CKPT_C128 = 16, CKPT_C64 = 17, CKPT_C32 = 18, CKPT_BC32 = 19,
    CKPT_F8E8M0 = 20, CKPT_F8E4M3FNUZ = 21, CKPT_F8E5M2FNUZ = 22, CKPT_F8E4M3B11FNUZ = 23,
    CKPT_F8E4M3IEEE = 24, CKPT_F8E3M4 = 25, CKPT_F6E2M3 = 26, CKPT_F6E3M2 = 27, CKPT_F4E2M1 = 28,
    CKPT_I4 = 29, CKPT_U4 = 30, CKPT_I2 = 31, CKPT_U2 = 32, CKPT_I1 = 33, CKPT_U1 = 34
};

/* Roles of tensors. */
enum { CKPT_PARAMETER = 0, CKPT_OPTIMIZER = 1, CKPT_BUFFER = 2, CKPT_OTHER = 3 };

/* A tensor: in the memory of the program, or as a checkpoint describes it. */
typedef struct ckpt_tensor {
    size_t struct_size;
    const char *CKPT_NULLABLE name;  /* 1 to 4096 bytes */
    const char *CKPT_NULLABLE group; /* tensors that change together; NULL: "state" */
    void *CKPT_NULLABLE data;        /* element (0, ..., 0); NULL only if there is none */
    const int64_t *CKPT_NULLABLE shape;   /* `rank` extents, slowest first */
    const int64_t *CKPT_NULLABLE strides; /* `rank` strides in elements; NULL: row-major */
    uint64_t bytes; /* set by the library; not read */
    uint32_t rank;  /* at most 32 */
    uint32_t type;  /* CKPT_F32, ... */
    uint32_t role;  /* CKPT_PARAMETER, ... */
    uint32_t device; /* 0: memory of the process; otherwise of a device, by its number from
                      * ckpt_cuda_device or ckpt_add_device: only for ckpt_describe and ckpt_describe_shards */
} ckpt_tensor;

/* The part of a tensor that a process holds: a box, row-major in its memory. */
typedef struct ckpt_shard {
    size_t struct_size;
    const int64_t *CKPT_NULLABLE shape;  /* extents of the complete tensor; NULL: it is complete */
    const int64_t *CKPT_NULLABLE offset; /* first index held, per dimension; NULL: 0 */
    const uint32_t *CKPT_NULLABLE holders; /* the ranks that hold the same elements, this one among
                                            * them; one of them saves the elements, and all are
                                            * compared. NULL: each process that holds them saves */
    uint64_t holder_count;
} ckpt_shard;

/* Roles of objects: state that is not a tensor. `ckpt inspect` uses the roles to decide whether a
 * checkpoint has everything that a resume needs. */
enum {
    CKPT_OBJECT_OTHER = 0, CKPT_OBJECT_RNG = 1, CKPT_OBJECT_DATA = 2, CKPT_OBJECT_SCHEDULE = 3,
    CKPT_OBJECT_OPTIMIZER = 4, CKPT_OBJECT_CONFIG = 5
};

/* Encodings of objects. */
enum { CKPT_BYTES = 0, CKPT_JSON = 1 };

/* An object of a checkpoint. */
typedef struct ckpt_object {
    size_t struct_size;
    const char *CKPT_NULLABLE name;
    uint64_t bytes;
    uint32_t role;
    uint32_t encoding;
} ckpt_object;

/* --------------------------------------------------------------------- checkpoints */

/* Opens a checkpoint for reading. `reference` is "latest" (or NULL), a step ("1000"), "RUN:STEP",
 * "RUN:latest", a tag, a prefix of an id, "best:METRIC" or "best:METRIC:max". What a store with a
 * mirror has lost or finds damaged is opened in the mirror.
 * Every byte that the functions below return has been checked against the hash taken at capture.
 * Opening checks the hash of the manifest; its entry of a tensor is decoded when the tensor is first
 * asked for, and all entries when a function is called that is not about one tensor: any function
 * below may fail with DAMAGED.
 * Fails with NOT_FOUND, DAMAGED, UNSUPPORTED, IO. */
ckpt_status ckpt_checkpoint_open(
    ckpt_store *CKPT_NULLABLE store, const char *CKPT_NULLABLE reference,
    ckpt_checkpoint *CKPT_NULLABLE *CKPT_NULLABLE checkpoint);

/* Closes a checkpoint. Strings and shapes that were read from it become invalid. */
ckpt_status ckpt_checkpoint_close(ckpt_checkpoint *CKPT_NULLABLE checkpoint);

/* Gets step, id, run and sizes. */
ckpt_status ckpt_checkpoint_summary(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, ckpt_summary *CKPT_NULLABLE summary);

/* Describes a checkpoint as JSON text: the keys of ckpt_store_list_json, with `tensors` as an array
 * of [name, type, shape, role, group, bytes] and `objects` as one of [name, role, encoding, bytes].
 * Free `text` with ckpt_free. */
ckpt_status ckpt_checkpoint_json(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, char *CKPT_NULLABLE *CKPT_NULLABLE text);

/* Gets the number of tensors. */
ckpt_status ckpt_checkpoint_tensor_count(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, size_t *CKPT_NULLABLE count);

/* Gets a tensor by index, in the order in which the program described them. Name, group and shape
 * belong to the checkpoint; data and strides are NULL. Fails with NOT_FOUND, MISUSE. */
ckpt_status ckpt_checkpoint_tensor(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, size_t index, ckpt_tensor *CKPT_NULLABLE tensor);

/* Finds a tensor by name. Fails with NOT_FOUND; the message lists the nearest names. */
ckpt_status ckpt_checkpoint_find(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, const char *CKPT_NULLABLE name,
    size_t *CKPT_NULLABLE index);

/* Gets the number of objects. */
ckpt_status ckpt_checkpoint_object_count(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, size_t *CKPT_NULLABLE count);

/* Gets an object by index. The name belongs to the checkpoint. Fails with NOT_FOUND, MISUSE. */
ckpt_status ckpt_checkpoint_object(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, size_t index, ckpt_object *CKPT_NULLABLE object);

/* Reads tensors into memory of the program. Each must have the type and shape of the checkpoint;
 * any strides are allowed. After a failure other than MISMATCH, NOT_FOUND and MISUSE the memory is partly
 * overwritten. Fails with NOT_FOUND, MISMATCH, MISUSE, DAMAGED, IO, OUT_OF_MEMORY. */
ckpt_status ckpt_read_tensors(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, const ckpt_tensor *CKPT_NULLABLE tensors,
    size_t count);

/* Reads parts of tensors, whatever parts were saved: `shards[i]` says which part `tensors[i]` is, whose
 * shape is that of the box, row-major. Reads only the blocks that overlap. `shards` may be NULL.
 * Otherwise as ckpt_read_tensors; also fails with UNSUPPORTED (elements of 6 bits that an earlier
 * version has cut). */
ckpt_status ckpt_read_shards(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, const ckpt_tensor *CKPT_NULLABLE tensors,
    const ckpt_shard *CKPT_NULLABLE shards, size_t count);

/* Reads `length` row-major bytes of a tensor, from `offset`. Reads only the blocks that overlap.
 * Fails with NOT_FOUND, MISUSE (outside the tensor), DAMAGED, IO, OUT_OF_MEMORY. */
ckpt_status ckpt_read_range(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, const char *CKPT_NULLABLE name, uint64_t offset,
    uint64_t length, void *CKPT_NULLABLE destination);

/* Reads an object. Free `data` with ckpt_free; one zero byte that `length` does not count follows
 * it. Fails with NOT_FOUND, DAMAGED, IO, OUT_OF_MEMORY. */
ckpt_status ckpt_read_object(
    ckpt_checkpoint *CKPT_NULLABLE checkpoint, const char *CKPT_NULLABLE name,
    void *CKPT_NULLABLE *CKPT_NULLABLE data, size_t *CKPT_NULLABLE length);

/* Reads every byte of a checkpoint and checks it. Fails with DAMAGED, IO, OUT_OF_MEMORY. */
ckpt_status ckpt_checkpoint_verify(ckpt_checkpoint *CKPT_NULLABLE checkpoint);

/* -------------------------------------------------------------------- checkpointers */

/* Methods that keep tensors from changing while they are copied. */
enum {
    CKPT_FENCED = 0,  /* the program calls ckpt_fence before it changes tensors */
    CKPT_CHECKED = 1, /* also finds and names tensors that change without a fence; for tests */
    CKPT_GUARDED = 2  /* the kernel delays writes to memory that is not copied yet; Linux 6.4 */
};

/* Policies for saves that come faster than the disk can write them. */
enum {
    CKPT_BLOCK = 0,          /* the program waits */
    CKPT_SKIP = 1,           /* the new save is skipped */
    CKPT_REPLACE_PENDING = 2 /* a save that has not begun is replaced by the new one */
};

/* Effort of compression. */
enum {
    CKPT_COMPRESS_AUTO = 0, CKPT_COMPRESS_NONE = 1, CKPT_COMPRESS_FAST = 2,
    CKPT_COMPRESS_BALANCED = 3, CKPT_COMPRESS_MAX = 4
};

/* Flags of ckpt_options. */
enum {
    CKPT_NO_DEDUPLICATION = 1, /* every chunk is written again */
    CKPT_NO_CASTS = 2,         /* tensors are not compared with others that they may be casts of */
    CKPT_QUIET = 4,            /* warnings and errors are events, and not printed */
    CKPT_STOP_AT_SIGTERM = 8   /* the loop ends at SIGTERM: see ckpt_is_terminating. Needs
                                * termination_seconds */
};

/* Options of a checkpointer. 0 or NULL in a field means its default. */
typedef struct ckpt_options {
    size_t struct_size;
    const char *CKPT_NULLABLE run;        /* name of the run; default: name of the directory */
    const char *CKPT_NULLABLE trace_path; /* writes a trace for Perfetto at the end */
    uint64_t arena_bytes;      /* memory for copies; default 128 MiB, and more while training would
                                * wait for the disk, up to an eighth of the free memory */
    uint64_t chunk_bytes;      /* multiple of 4096; default 4 MiB */
    uint64_t bytes_per_second; /* limit of the disk bandwidth; default none */
    uint64_t keep_last;        /* checkpoints of the run to keep; default all */
    double exit_seconds;       /* maximum wait for saves at exit() without close; default 30 */
    double termination_seconds; /* maximum time for saves after SIGTERM; default: not handled */
    uint32_t workers;          /* threads that copy and compress, 1 to 64; default 2 */
    uint32_t compression;      /* CKPT_COMPRESS_... */
    uint32_t capture;          /* CKPT_FENCED, ... */
    uint32_t backpressure;     /* CKPT_BLOCK, ... */
    uint32_t flags;            /* CKPT_NO_DEDUPLICATION | ... */
    uint32_t reserved;
    double mirror_seconds;     /* maximum wait of ckpt_checkpointer_close for the mirror; default 60 */
} ckpt_options;

/* Opens a checkpointer in a store that is open for writing, and starts its threads. `options` may
 * be NULL. A store has one checkpointer at a time. Several processes agree on the id of the restart.
 * Fails with MISUSE (also if the launch is not new), BUSY, UNSUPPORTED, OUT_OF_MEMORY, IO, TIMED_OUT
 * (another process is not there). */
ckpt_status ckpt_checkpointer_open(
    ckpt_store *CKPT_NULLABLE store, const ckpt_options *CKPT_NULLABLE options,
    ckpt_checkpointer *CKPT_NULLABLE *CKPT_NULLABLE checkpointer);

/* Waits for the saves in flight, ends the threads, releases all lent memory, and closes the handle,
 * whatever the status. Returns the failure of the last save if no later ticket has reported it. */
ckpt_status ckpt_checkpointer_close(ckpt_checkpointer *CKPT_NULLABLE checkpointer);

/* Describes the tensors of the state, in place of an earlier description. Saves and restores that
 * follow use it; saves in flight keep the one that they began with.
 *
 * The memory of a description is lent until ckpt_oldest_lent is greater than the number that
 * this function sets in `description` (which may be NULL), or until the checkpointer is closed.
 * Fails with MISUSE (a NULL address, an invalid shape, a name given twice); the earlier description
 * then stays in use. */
ckpt_status ckpt_describe(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const ckpt_tensor *CKPT_NULLABLE tensors,
    size_t count, uint64_t *CKPT_NULLABLE description);

/* Describes the tensors of one of several processes: as ckpt_describe, and `shards[i]` says which
 * part of a tensor `tensors[i]` is; its shape is that of the box. Several parts of one tensor have
 * its name. All processes together must hold every element. `shards` may be NULL: then all tensors are
 * complete, and each process saves them.
 * Fails with MISUSE, also for parts of one tensor that overlap or differ in type, role or group. */
ckpt_status ckpt_describe_shards(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const ckpt_tensor *CKPT_NULLABLE tensors,
    const ckpt_shard *CKPT_NULLABLE shards, size_t count, uint64_t *CKPT_NULLABLE description);

/* Opens an NVIDIA GPU, whose memory tensors may then be in, and sets its number for descriptions of
 * this checkpointer (at most 256). `ordinal` counts the GPUs as CUDA does. `stream` is the stream in
 * which the program works on its tensors (a CUstream or cudaStream_t of the primary context; 0: the
 * legacy default stream). Every save and restore orders its copies after the work that is in the
 * stream then, without waiting; a fence waits until they are done. For another stream, open the GPU
 * again. Programs with several streams order them with this one before they save.
 * Needs the driver for CUDA 11.1 or later. Fails with DEVICE (no driver, or no such GPU), MISUSE. */
ckpt_status ckpt_cuda_device(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, uint32_t ordinal, uint64_t stream,
    uint32_t *CKPT_NULLABLE device);

/* A device whose memory the library cannot read, by the functions that copy from it and to it. They
 * are called on any thread, several at a time. A field may be NULL, but for the name and the two
 * that copy. */
typedef struct ckpt_device {
    size_t struct_size;
    const char *CKPT_NULLABLE name; /* for messages, such as "npu:0" */
    void *CKPT_NULLABLE context;    /* the first argument of every function */
    /* Orders the copies that begin from now on after all work that the program has given to the
     * device. Called in ckpt_save, ckpt_resume and ckpt_restore; returns at once. */
    int (*CKPT_NULLABLE order)(void *CKPT_NULLABLE context);
    /* Begin a copy of `bytes` bytes from or to an address of the device, and set the number by which
     * it is finished. `address` is that of a described tensor, or inside of it. */
    int (*CKPT_NULLABLE copy_to_host)(
        void *CKPT_NULLABLE context, uint64_t address, void *CKPT_NULLABLE destination,
        size_t bytes, uint64_t *CKPT_NULLABLE copy);
    int (*CKPT_NULLABLE copy_to_device)(
        void *CKPT_NULLABLE context, const void *CKPT_NULLABLE source, uint64_t address,
        size_t bytes, uint64_t *CKPT_NULLABLE copy);
    /* Waits until a copy has ended; called once for each that has begun. NULL: the functions above
     * return when it has. */
    int (*CKPT_NULLABLE finish)(void *CKPT_NULLABLE context, uint64_t copy);
    /* Makes memory of the process quick to copy to and from, and undoes that: pins it, for example.
     * Called once for the memory of each checkpointer. A failure is a warning. */
    int (*CKPT_NULLABLE prepare)(
        void *CKPT_NULLABLE context, void *CKPT_NULLABLE memory, size_t bytes);
    void (*CKPT_NULLABLE unprepare)(
        void *CKPT_NULLABLE context, void *CKPT_NULLABLE memory, size_t bytes);
    /* The last call: the checkpointer and all that it has lent are gone. */
    void (*CKPT_NULLABLE release)(void *CKPT_NULLABLE context);
} ckpt_device;

/* Adds a device of the program, and sets its number for descriptions of this checkpointer (at most
 * 256 devices). A copy that fails fails the save (DEVICE), and not the program.
 * Fails with MISUSE. `release` is called only if it does not. */
ckpt_status ckpt_add_device(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const ckpt_device *CKPT_NULLABLE device,
    uint32_t *CKPT_NULLABLE number);

/* Describes the tensors by one array of numbers and one text, for languages in which filling
 * structures is slow. For each tensor `fields` holds: address, type, role, bytes of the name, bytes
 * of the group (0: "state"), 1 if strides follow plus 2 if a shard follows plus 4 if a device follows,
 * rank, extents, strides, of the shard extents of the complete tensor, offsets, number of holders,
 * and holders, and the number of the device. `names` holds name and group of each tensor, one after
 * the other without separators. Otherwise as ckpt_describe_shards. */
ckpt_status ckpt_describe_packed(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const int64_t *CKPT_NULLABLE fields,
    size_t field_count, const char *CKPT_NULLABLE names, size_t names_length, size_t tensor_count,
    uint64_t *CKPT_NULLABLE description);

/* Changes the addresses of the described tensors, in the order of the description, and nothing else.
 * This is a new description. Fails with MISUSE (another count, a NULL address). */
ckpt_status ckpt_set_pointers(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, void *CKPT_NULLABLE const *CKPT_NULLABLE data,
    size_t count, uint64_t *CKPT_NULLABLE description);

/* Lets ckpt_save, ckpt_resume and ckpt_restore ask where the tensors are: `lend` is called first, on
 * the thread of that call, with the addresses until now in the order of the description, and changes
 * those that are others. As with ckpt_set_pointers, that is a new description. NULL: the tensors stay
 * where they are. If `lend` fails, so does the call, with PROVIDER. Fails with MISUSE. */
ckpt_status ckpt_set_lender(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer,
    int (*CKPT_NULLABLE lend)(
        void *CKPT_NULLABLE context, void *CKPT_NULLABLE *CKPT_NULLABLE data, size_t count),
    void *CKPT_NULLABLE context);

/* Gets the number of the oldest description whose memory may still be read. */
ckpt_status ckpt_oldest_lent(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, uint64_t *CKPT_NULLABLE description);

/* Sets an object of the state: a copy of `length` bytes, which the following saves include. Fails
 * with MISUSE. */
ckpt_status ckpt_set_object(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE name, uint32_t role,
    uint32_t encoding, const void *CKPT_NULLABLE data, size_t length);

/* An object that functions of the program encode in the background. */
typedef struct ckpt_encoder {
    size_t struct_size;
    void *CKPT_NULLABLE context; /* the first argument of every function */
    /* Takes the value as it is now: called in ckpt_save, on its thread; returns at once. `value` is
     * what the other functions get; they are called on any thread. */
    int (*CKPT_NULLABLE freeze)(
        void *CKPT_NULLABLE context, void *CKPT_NULLABLE *CKPT_NULLABLE value);
    /* Encodes a value that was taken. `data` is allocated with malloc; the library frees it. */
    int (*CKPT_NULLABLE encode)(
        void *CKPT_NULLABLE context, void *CKPT_NULLABLE value,
        void *CKPT_NULLABLE *CKPT_NULLABLE data, size_t *CKPT_NULLABLE length);
    /* Called once for each value that was taken, when it is no longer needed; may be NULL. */
    void (*CKPT_NULLABLE release)(void *CKPT_NULLABLE context, void *CKPT_NULLABLE value);
} ckpt_encoder;

/* Sets an object of the state whose bytes are made in the background, so that encoding it takes no
 * time of ckpt_save. If `freeze` or `encode` fails, the save does (PROVIDER), and not the program.
 * ckpt_get_object gives the bytes that a restore has read; NOT_FOUND before one. The functions may be
 * called until the checkpointer is closed. Fails with MISUSE. */
ckpt_status ckpt_set_encoder(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE name, uint32_t role,
    uint32_t encoding, const ckpt_encoder *CKPT_NULLABLE encoder);

/* Rules for an object of a process, if the checkpoint was saved by another number of processes. */
enum {
    CKPT_REFUSE = 0,     /* the object counts as missing from the checkpoint */
    CKPT_FIRST_RANKS = 1 /* each process gets the bytes of rank 0; make different ones from them */
};

/* Sets an object that belongs to this one of several processes, such as a random generator: each has
 * its own bytes under the name, and gets them back. ckpt_get_object gives those of this process.
 * All processes set it, rank 0 among them, also before a restore. Other objects must have the same
 * bytes in all processes. Fails with MISUSE. */
ckpt_status ckpt_set_rank_object(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE name, uint32_t role,
    uint32_t encoding, const void *CKPT_NULLABLE data, size_t length, uint32_t rule);

/* Removes an object from the state. Fails with NOT_FOUND. */
ckpt_status ckpt_remove_object(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE name);

/* Gets an object of the state, after a restore that of the checkpoint. Free `data` with
 * ckpt_free; one zero byte that `length` does not count follows it.
 * Fails with NOT_FOUND, OUT_OF_MEMORY. */
ckpt_status ckpt_get_object(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE name,
    void *CKPT_NULLABLE *CKPT_NULLABLE data, size_t *CKPT_NULLABLE length);

/* --------------------------------------------------------------------- fences */

/* Waits until no tensor of a group is being copied for a save; none is then copied until
 * ckpt_fence_end. NULL, and a name that no tensor has, mean all tensors. The group may already be
 * fenced. Bytes that are not copied yet are copied now, on this thread and those of the library.
 * Does not fail if a save fails. Fails with MISUSE. */
ckpt_status ckpt_fence(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE group);

/* As ckpt_fence, if that needs no wait; otherwise returns TIMED_OUT and fences nothing. */
ckpt_status ckpt_try_fence(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE group);

/* Ends the fence of a group; with NULL, all fences. Ending a fence that does not exist does
 * nothing. */
ckpt_status ckpt_fence_end(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE group);

/* ---------------------------------------------------------------------- saves */

/* A number by which a person may want to choose checkpoints. */
typedef struct ckpt_metric {
    const char *CKPT_NULLABLE name;
    double value;
} ckpt_metric;

/* Requests a checkpoint of the state as it is now, and returns immediately. `step` is unique in the
 * run. `ticket` may be NULL. Fails only with MISUSE: a fence is held, the step is negative, an
 * argument is invalid; and with PROVIDER, if the function of ckpt_set_lender fails. */
ckpt_status ckpt_save(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, int64_t step,
    const ckpt_metric *CKPT_NULLABLE metrics, size_t metric_count,
    ckpt_ticket *CKPT_NULLABLE *CKPT_NULLABLE ticket);

/* States of a save. Each includes those before it. */
enum {
    CKPT_SUBMITTED = 0,
    CKPT_CAPTURED = 1, /* every byte has been copied out of the program's memory */
    CKPT_DURABLE = 2,  /* every byte is on stable storage */
    CKPT_COMMITTED = 3 /* the checkpoint is published */
};

/* Waits until a save has reached a state. Returns the failure of the save, or TIMED_OUT; the save
 * then continues. */
ckpt_status ckpt_ticket_wait(ckpt_ticket *CKPT_NULLABLE ticket, uint32_t state, double seconds);

/* Gets the state that a save has reached. Returns the failure of the save if it has failed, and
 * sets `state` in that case as well. */
ckpt_status ckpt_ticket_state(ckpt_ticket *CKPT_NULLABLE ticket, uint32_t *CKPT_NULLABLE state);

/* Returns the failure of the save before this one, if it failed and has not been reported yet. */
ckpt_status ckpt_ticket_earlier_failure(ckpt_ticket *CKPT_NULLABLE ticket);

/* The result of a committed save. Times count from the call of ckpt_save. */
typedef struct ckpt_save_report {
    size_t struct_size;
    int64_t step;
    uint64_t logical_bytes; /* tensors and objects before encoding */
    uint64_t stored_bytes;  /* size of the checkpoint's blocks */
    uint64_t new_bytes;     /* of those, written by this save */
    uint64_t reused_bytes;  /* of logical_bytes, found in earlier checkpoints */
    double captured_seconds;
    double durable_seconds;
    double committed_seconds;
    double stall_submit_seconds;
    double stall_fence_seconds;
    double stall_disk_seconds;
    uint32_t is_unchanged; /* every tensor equals that of the previous checkpoint */
    uint32_t reserved;
    char id[40];
} ckpt_save_report;

/* Gets the result of a save. Fails with TIMED_OUT (not committed yet), or the save's failure. */
ckpt_status ckpt_ticket_report(
    ckpt_ticket *CKPT_NULLABLE ticket, ckpt_save_report *CKPT_NULLABLE report);

/* Cancels a save, unless it is being committed already. */
ckpt_status ckpt_ticket_cancel(ckpt_ticket *CKPT_NULLABLE ticket);

/* Closes a ticket; the save continues. */
ckpt_status ckpt_ticket_close(ckpt_ticket *CKPT_NULLABLE ticket);

/* Tells whether this process has received SIGTERM, if the checkpointer handles it
 * (termination_seconds): sets `is_terminating` to 1 or 0.
 * Without CKPT_STOP_AT_SIGTERM the saves in flight are finished, at most for that time, and the
 * signal then acts as it would without the library; it need not be asked for. With the flag, a loop
 * that finds 1 saves and closes the checkpointer. If it has done so within that time, the signal
 * has no other effect; otherwise it acts then as it would without the library.
 * Of several processes, perhaps only one receives the signal: all combine the answer in a reduction
 * that they make in every step anyway, so that all end after the same step. Fails with MISUSE. */
ckpt_status ckpt_is_terminating(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, uint32_t *CKPT_NULLABLE is_terminating);

/* Waits until everything that is committed now is in the mirror of the store. Does not block other
 * calls. Fails with MISUSE (the store has no mirror, or another process sends to it), TIMED_OUT, and
 * with what keeps the mirror from being brought up to date, which is tried again. */
ckpt_status ckpt_wait_until_mirrored(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, double seconds);

/* -------------------------------------------------------------------- restoring */

/* Strictness about names that only the state or only the checkpoint has, and about types. */
enum {
    CKPT_STRICT = 0, /* the tensors have the same names; the checkpoint has the objects of the state */
    CKPT_PARTIAL = 1, /* tensors and objects that both have are restored */
    /* To add to one of these: a tensor of F64, F32, F16 or BF16 may be another one of them in the
     * checkpoint. Values are rounded to the nearest, ties to even; too large ones become infinite. */
    CKPT_CONVERT_FLOATS = 16
};

/* The result of a restore. */
typedef struct ckpt_restore_report {
    size_t struct_size;
    uint32_t found; /* 0: the run has no checkpoint, and nothing was changed */
    uint32_t is_from_mirror; /* 1: bytes were read from the mirror of the store */
    int64_t step;
    uint64_t tensor_count;
    uint64_t object_count;
    uint64_t tensor_bytes;
    uint64_t missing_count; /* names of the state that the checkpoint lacks */
    uint64_t unused_count;  /* names of the checkpoint that the state lacks */
    uint64_t skipped_count; /* newer checkpoints that are damaged */
    char id[40];
    uint64_t first_rank_count; /* objects of this process that have the bytes of rank 0 */
    uint64_t converted_count; /* tensors that were converted to another type */
    uint64_t overflow_count; /* finite elements that became infinite */
} ckpt_restore_report;

/* Restores the newest intact checkpoint of the run into the described tensors and the objects, and
 * continues the run from it. All objects of the checkpoint become objects of the state, but those of
 * other processes. If the run has no checkpoint, the call succeeds, and `found` is 0. `report` may be
 * NULL. Of several processes, all restore the newest that each of them can restore.
 * Fails with MISMATCH (nothing was changed), MISUSE, DAMAGED, IO, UNSUPPORTED, OUT_OF_MEMORY, and of
 * several processes with CANCELLED (another one cannot restore it), TIMED_OUT (one is not there). */
ckpt_status ckpt_resume(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, uint32_t mode,
    ckpt_restore_report *CKPT_NULLABLE report);

/* Gets a reference to the checkpoint that ckpt_resume would restore if it is intact, so that memory
 * can be made for its tensors first. Free `text` with ckpt_free.
 * Fails with NOT_FOUND (the run has no checkpoint), IO, OUT_OF_MEMORY. */
ckpt_status ckpt_resume_reference(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, char *CKPT_NULLABLE *CKPT_NULLABLE text);

/* As ckpt_resume, from a checkpoint that need not be the run's newest. The saves that follow form a
 * branch of the run. Also fails with NOT_FOUND. */
ckpt_status ckpt_restore(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, const char *CKPT_NULLABLE reference,
    uint32_t mode, ckpt_restore_report *CKPT_NULLABLE report);

/* -------------------------------------------------------------------- observing */

/* Kinds of events. */
enum {
    CKPT_EVENT_STARTED = 0, CKPT_EVENT_PROGRESS = 1, CKPT_EVENT_CAPTURED = 2,
    CKPT_EVENT_DURABLE = 3, CKPT_EVENT_COMMITTED = 4, CKPT_EVENT_FAILED = 5,
    CKPT_EVENT_WARNING = 6,
    CKPT_EVENT_MIRRORED = 7 /* in the mirror of the store */
};

/* An event of a save. */
typedef struct ckpt_event {
    size_t struct_size;
    uint32_t kind;
    ckpt_status failure; /* of CKPT_EVENT_FAILED */
    int64_t step;        /* -1 for warnings */
    uint64_t done_bytes;  /* of CKPT_EVENT_PROGRESS: written */
    uint64_t total_bytes; /* of CKPT_EVENT_PROGRESS: to write; of CKPT_EVENT_MIRRORED: sent */
    char message[1024];   /* of failures and warnings; cut if longer */
} ckpt_event;

/* Waits for the next event. The last 1,024 are kept, older ones are dropped. Fails with TIMED_OUT,
 * and with CANCELLED when the checkpointer is closed and no event is left. */
ckpt_status ckpt_next_event(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, double seconds, ckpt_event *CKPT_NULLABLE event);

/* Time for which the program was blocked since the checkpointer was opened. */
typedef struct ckpt_stall {
    size_t struct_size;
    double submit_seconds; /* in ckpt_save */
    double fence_seconds;  /* at fences, copying */
    double disk_seconds;   /* waiting for the disk */
    uint64_t arena_high_water_bytes;
} ckpt_stall;

/* Gets the time for which the program was blocked. */
ckpt_status ckpt_get_stall(
    ckpt_checkpointer *CKPT_NULLABLE checkpointer, ckpt_stall *CKPT_NULLABLE stall);

#ifdef __cplusplus
}
#endif

#endif
