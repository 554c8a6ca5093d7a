/* SPDX-License-Identifier: Apache-2.0 */
/* train_error.h: why training or scoring cannot go on: one line for a person. */
#ifndef DCNV2_DATA_TRAIN_ERROR_H
#define DCNV2_DATA_TRAIN_ERROR_H

struct train_error {
    char message[640]; /* printable, "FILE:LINE: column COLUMN: REASON" where a place is known */
};

/* Bytes of the arguments that would break the line are shown as '?'. Returns -1. */
int train_error_set(struct train_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "out of memory". Returns -1. */
int train_error_memory(struct train_error *error);

#endif
