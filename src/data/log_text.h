/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_text.h: the text of one file of a click log, as UTF-8.
 *
 * The first bytes tell what the file is. A byte order mark is passed over. UTF-16 is converted:
 * what Excel calls "Unicode text" begins with a mark; without one, every second byte of an ASCII
 * header is zero. Other encodings and files that are no text are refused by their name, with what
 * to do. Bytes without such a sign are given as they are.
 */
#ifndef DCNV2_DATA_LOG_TEXT_H
#define DCNV2_DATA_LOG_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "data/train_error.h"

struct log_text;

/* `path` is borrowed. -1: *error. */
int log_text_open(struct log_text **ret_text, const char *path, struct train_error *error);

/*
 * As log_file_read(), and an error if UTF-16 ends within a character. Half of a surrogate pair
 * becomes three bytes that are not UTF-8, so that its reader can name the cell.
 */
ssize_t log_text_read(struct log_text *text, char *at, size_t size, struct train_error *error);

/* As log_file_check_member() and log_file_offset(). */
int log_text_check_member(struct log_text *text, struct train_error *error);
uint64_t log_text_offset(const struct log_text *text);

/* Accepts NULL. */
void log_text_close(struct log_text *text);

#endif
