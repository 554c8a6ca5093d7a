/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: one line an event on stderr, as text or JSON.
 *
 * Lines go through a buffer to a thread of their own: whoever logs never waits for
 * whoever reads. When the buffer is full lines are dropped and counted. Thread-safe.
 */
#ifndef DCNV2_LOG_H
#define DCNV2_LOG_H

#include <stdatomic.h>
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

/* Control characters (text.h) are escaped, bytes that are not UTF-8 shown as '?', a long message is
 * cut. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same about a request that came with this X-Request-Id, of which a bounded part is shown,
 * printable and without blanks: as a field of its own in JSON, else at the end of the line. An
 * empty id is none. */
void log_request(enum log_level level, struct text request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For lines of one kind, which many requests may give cause for. Zero at first. */
struct log_limit {
    _Atomic uint64_t taken;      /* the interval of the last line, and its lines so far */
    _Atomic uint64_t n_left_out; /* events since the last line */
};

/* Lines per interval, at most. */
struct log_rate {
    uint64_t interval_ns;
    uint64_t most; /* below 65,536 */
};

/* Whether `n` more events at `now_ns` (clock.h) may have a line. Others' events are counted;
 * *ret_left_out: those since the line before. Thread-safe, without a lock. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, struct log_rate rate, uint64_t n,
                      uint64_t *ret_left_out);

/* Lines that were dropped so far. */
uint64_t log_dropped(void);

#endif
