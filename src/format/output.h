/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h: bytes to a stream, as the writers of formats put them: the first error is kept and
 * what follows it is dropped, so that it is enough to ask once, at the end.
 */
#ifndef DCNV2_FORMAT_OUTPUT_H
#define DCNV2_FORMAT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "format/format_error.h"

struct output {
    FILE *stream;
    uint64_t offset;  /* bytes put so far */
    int error_number; /* errno of the first error */
};

void output_put(struct output *output, const void *bytes, size_t size);

/* Hands everything to the system. -1: "cannot be written: ..". */
int output_flush(struct output *output, struct format_error *error);

#endif
