/* Assertions of the tests of the C interface. */
#ifndef CHECK_H
#define CHECK_H

#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s is false; last failure: %s\n", __FILE__, __LINE__, \
                    #condition, ckpt_last_message());                                     \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define CHECK_STATUS(expected, call)                                                        \
    do {                                                                                    \
        ckpt_status found = (call);                                                         \
        if (found != (expected)) {                                                          \
            fprintf(stderr, "%s:%d: %s gave %s, not %s; last failure: %s\n", __FILE__,      \
                    __LINE__, #call, ckpt_status_name(found), ckpt_status_name(expected),   \
                    ckpt_last_message());                                                   \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

#endif
