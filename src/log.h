/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: one line an event on stderr, as text or JSON.
 *
 * Lines go through a buffer to a thread of their own: whoever logs never waits for
 * whoever reads. When the buffer is full lines are dropped and counted. Thread-safe.
 */
#ifndef DCNV2_LOG_H
#define DCNV2_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

enum { REQUEST_ID_MAX_BYTES = 128 }; /* as much of an id as is kept and shown */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Starts the writer. -1: no thread could be started. */
int log_start(enum log_level level, enum log_format format);

/* Writes what is left, for a second at most, and ends the writer. */
void log_stop(void);

/* The message is UTF-8; control characters in it are escaped, a long one is cut. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same about a request that came with this X-Request-Id, of which a bounded part is shown,
 * printable and without blanks: as a field of its own in JSON, else at the end of the line. An
 * empty id is none. */
void log_request(enum log_level level, struct text request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Some lines a second, of a kind that clients can cause at will. All zero at first. Thread-safe. */
struct log_limit {
    _Atomic uint64_t second;
    _Atomic unsigned n_lines; /* in that second */
    _Atomic uint64_t n_held_back;
};

/* Whether a line may be written now; *ret_n_held_back: how many were not, since the last one. */
bool log_limit_allows(struct log_limit *limit, uint64_t *ret_n_held_back);

/* Lines that were dropped so far. */
uint64_t log_dropped(void);

#endif
