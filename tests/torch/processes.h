/* SPDX-License-Identifier: Apache-2.0 */
/* processes.h: ranks as forked processes on loopback, with reports to the test. */
#ifndef DCNV2_TESTS_TORCH_PROCESSES_H
#define DCNV2_TESTS_TORCH_PROCESSES_H

#include <stdbool.h>
#include <sys/types.h>

#include "torch/ranks.h"

enum { MAX_PROCESSES = 4, REPORT_FLOATS = 1 << 16 };

/* What a rank tells, in memory that all share. */
struct rank_report {
    volatile bool is_done; /* it came to the end */
    int result;            /* of the call that failed, or 0 */
    double seconds;        /* that the call took */
    struct train_error error;
    float values[REPORT_FLOATS];
};

typedef void rank_body(const struct ranks_options *options, struct rank_report *report);

struct processes {
    unsigned n;
    pid_t ids[MAX_PROCESSES];
    struct rank_report *reports; /* [n] */
};

/* A port of loopback that nobody has. */
unsigned free_port(void);

/* rank 0 of n at a free port of loopback. */
struct ranks_options local_ranks(unsigned n, unsigned timeout_s);

/* Starts `n` processes, as the ranks from options->rank on. The test has loaded the plugin, which
 * takes each process a second, but does not use it: libtorch's threads, which come with its first
 * work, would not live through a fork. */
void processes_start(struct processes *processes, const struct ranks_options *options, unsigned n,
                     rank_body *body);

/* Waits, up to `seconds`, until at most `n_left` have not ended, and kills those. Returns whether
 * it came to that. The reports stay until processes_free(). */
bool processes_wait(struct processes *processes, unsigned n_left, double seconds);
void processes_free(struct processes *processes);

double now_s(void);

#endif
