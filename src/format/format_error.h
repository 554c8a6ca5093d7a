/* SPDX-License-Identifier: Apache-2.0 */
/* format_error.h: what is wrong with a file's bytes, without the file's name. */
#ifndef DCNV2_FORMAT_FORMAT_ERROR_H
#define DCNV2_FORMAT_FORMAT_ERROR_H

#include <stdbool.h>
#include <stddef.h>

struct format_error {
    bool out_of_memory; /* nothing is wrong with the file */
    char message[384];  /* one line, printable; " at byte N" where a place is known */
};

enum { FORMAT_NO_OFFSET = -1 };

/* Bytes of the arguments that would break the line are shown as '?'. Returns -1. */
int format_error_set(struct format_error *error, long long offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "out of memory". Returns -1. */
int format_error_memory(struct format_error *error);

#endif
