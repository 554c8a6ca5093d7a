/* SPDX-License-Identifier: Apache-2.0 */
#include "train/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum { BAR_WIDTH = 24 };
static const double BAR_SECONDS = 0.1, LINE_SECONDS = 5;

void progress_start(struct progress *progress, uint64_t at)
{
    const uint64_t now = clock_ns();
    *progress = (struct progress){.is_terminal = isatty(STDERR_FILENO) == 1,
                                  .is_bar_shown = progress->is_bar_shown,
                                  .started_ns = now,
                                  .shown_ns = now,
                                  .started_at = at};
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_ns() - progress->started_ns) / 1e9;
}

bool progress_is_due(const struct progress *progress)
{
    return (double)(clock_ns() - progress->shown_ns) / 1e9 >=
           (progress->is_terminal ? BAR_SECONDS : LINE_SECONDS);
}

/* "1:02:03" or "2:03" */
static void print_duration(double seconds, char out[32])
{
    const unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(out, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%lu:%02lu", s / 60, s % 60);
}

static void print_bar(double share, char out[BAR_WIDTH + 1])
{
    const int full = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        out[i] = i < full ? '=' : i == full ? '>' : ' ';
    out[BAR_WIDTH] = '\0';
}

void progress_show(struct progress *progress, const char *what, uint64_t at, uint64_t total,
                   uint64_t n_rows, const char *note)
{
    if (!progress_is_due(progress))
        return;
    progress->shown_ns = clock_ns();
    const double seconds = fmax(progress_seconds(progress), 1e-9);
    const double rate = (double)(n_rows - progress->started_at) / seconds;
    const double pace = (double)(at - progress->started_at) / seconds;
    char line[256], bar[BAR_WIDTH + 1], left[32];
    int n = snprintf(line, sizeof line, "%s", what);
    if (total > 0) {
        const double share = at < total ? (double)at / (double)total : 1;
        print_bar(share, bar);
        if (progress->is_terminal)
            n += snprintf(line + n, sizeof line - (size_t)n, " [%s]", bar);
        n += snprintf(line + n, sizeof line - (size_t)n, " %3.0f %%", 100 * share);
    }
    n += snprintf(line + n, sizeof line - (size_t)n, ", %.0f rows/s%s%s", rate, *note ? ", " : "",
                  note);
    if (total > at && pace > 0) {
        print_duration((double)(total - at) / pace, left);
        snprintf(line + n, sizeof line - (size_t)n, ", %s left", left);
    }
    if (progress->is_terminal)
        fprintf(stderr, "\r\033[K%s", line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->is_bar_shown = progress->is_terminal;
}

void progress_line(struct progress *progress, const char *format, ...)
{
    va_list arguments;
    if (progress->is_bar_shown)
        fputs("\r\033[K", stderr);
    progress->is_bar_shown = false;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
