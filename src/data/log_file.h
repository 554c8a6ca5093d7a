/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_file.h: the bytes of one file of a click log, unpacked if the file is a gzip file.
 *
 * Its first two bytes say so, whatever its name; a name that ends in .gz promises the same.
 * A gzip file is a sequence of members (RFC 1952), read one behind the other. Zeros behind a member
 * are padding, as tar and dd leave it, and are skipped as pandas does. Anything else that is no
 * member is an error: the rows in it would be lost without a word.
 */
#ifndef DCNV2_DATA_LOG_FILE_H
#define DCNV2_DATA_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "data/train_error.h"

enum {
    LOG_FILE_INPUT_BYTES = 1 << 17, /* of a gzip file, read at once */
    LOG_FILE_CHECK_BYTES = 1 << 30  /* unpacked at most to find whether a member is damaged */
};

struct log_file;

/* `path` is borrowed. -1: *error. */
int log_file_open(struct log_file **ret_log, const char *path, struct train_error *error);

/*
 * Bytes put at `at`, at most `size` > 0; 0: the end; -1: *error: the file cannot be read, a member
 * is cut or damaged, or something else follows a member; the message names the file's byte. After
 * an error every call returns it again.
 */
ssize_t log_file_read(struct log_file *log, char *at, size_t size, struct train_error *error);

/*
 * Unpacks the rest of the gzip member under way and throws it away. -1: the member, or one read
 * ahead, is cut or damaged: *error. 0: nothing wrong within LOG_FILE_CHECK_BYTES, or no gzip file.
 */
int log_file_check_member(struct log_file *log, struct train_error *error);

/* Bytes of the file as it is on disk that were used so far. */
uint64_t log_file_offset(const struct log_file *log);

/* Accepts NULL. */
void log_file_close(struct log_file *log);

#endif
