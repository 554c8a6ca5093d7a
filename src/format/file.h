/* SPDX-License-Identifier: Apache-2.0 */
/* file.h: a regular file read whole into private memory, so that replacing it later does nothing.
 */
#ifndef DCNV2_FORMAT_FILE_H
#define DCNV2_FORMAT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "format/format_error.h"

struct file_bytes {
    uint8_t *at;
    size_t size;
};

/* -1: missing, not a regular file, empty, unreadable or larger than memory. */
int file_read(const char *path, struct file_bytes *ret_file, struct format_error *error);

/* Accepts an empty one; empties it. */
void file_free(struct file_bytes *file);

#endif
