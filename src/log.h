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

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Starts the writer. -1: no thread could be started. */
int log_start(enum log_level level, enum log_format format);

/* Writes what is left, for a second at most, and ends the writer. */
void log_stop(void);

/* Control characters (text.h) are escaped, bytes that are not UTF-8 shown as '?', a long message is
 * cut. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of a kind of line that may come too often. Zero at first. */
struct log_limit {
    _Atomic uint64_t next_ms;
    _Atomic uint64_t n_left_out;
};

/* Whether a line may be written now: one per 10 s. *ret_left_out: how many were not since the last
 * one. `now_ms`: by clock_ms(). */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *ret_left_out);

/* Lines that were dropped so far. */
uint64_t log_dropped(void);

#endif
