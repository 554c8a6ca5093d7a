/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: monotonic time, and the text of a date. */
#ifndef DCNV2_CLOCK_H
#define DCNV2_CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* To some milliseconds, and cheaper: for deadlines. */
static inline uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

enum { CLOCK_PRINTED_BYTES = 40 };

/* "2026-01-31T12:34:56.789Z", RFC 3339, of seconds since the epoch. */
static inline void clock_print(const struct timespec *time, char out[CLOCK_PRINTED_BYTES])
{
    struct tm utc;
    gmtime_r(&time->tv_sec, &utc);
    const size_t n = strftime(out, CLOCK_PRINTED_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, CLOCK_PRINTED_BYTES - n, ".%03ldZ", time->tv_nsec / 1000000);
}

#endif
