/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h: a regular file's bytes, in one piece: read into private memory, so that whatever is done
 * to the file later changes nothing, or mapped.
 */
#ifndef DCNV2_FORMAT_FILE_H
#define DCNV2_FORMAT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/format_error.h"

struct file_bytes {
    uint8_t *at; /* aligned to 64 bytes */
    size_t size;
    bool is_mapped; /* read-only */
};

/* -1: missing, not a regular file, empty, unreadable or larger than memory_limit_bytes(). */
int file_read(const char *path, struct file_bytes *ret_file, struct format_error *error);

/*
 * The same without a copy, where the file system can, and then of any size. What is removed or
 * replaced by another file stays as it is here; what is written into the file shows, and who looks
 * behind an end that was cut off is killed (SIGBUS).
 */
int file_map(const char *path, struct file_bytes *ret_file, struct format_error *error);

/* More bytes behind those of a file that was read, or of an empty one. -1: out of memory. */
int file_append(struct file_bytes *file, const void *bytes, size_t size);

/* Accepts an empty one; empties it. */
void file_free(struct file_bytes *file);

#endif
