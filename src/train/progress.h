/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h: how far a run is, on stderr: a bar on a terminal, else a line every few seconds.
 */
#ifndef DCNV2_TRAIN_PROGRESS_H
#define DCNV2_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_terminal;
    bool is_bar_shown;
    uint64_t started_ns, shown_ns;
    uint64_t started_at; /* rows and units of work that were done before */
};

/* A piece of work begins of which `at` rows, and as many units, are done. Zeroed before the first.
 */
void progress_start(struct progress *progress, uint64_t at);

/*
 * Shows it where the last time is long enough ago. `what`: "epoch 1/3"; at, total: the work in any
 * unit (total 0: unknown), of which the time left is computed; n_rows: done so far, of which the
 * rate is; note: more to say, "loss 0.2214".
 */
void progress_show(struct progress *progress, const char *what, uint64_t at, uint64_t total,
                   uint64_t n_rows, const char *note);

/* Whether progress_show() would show anything now. */
bool progress_is_due(const struct progress *progress);

/* A line that stays. */
void progress_line(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Seconds since progress_start(). */
double progress_seconds(const struct progress *progress);

#endif
