/* SPDX-License-Identifier: Apache-2.0 */
/* run_report.h: a run's settings by name, and its metrics.json and report.html. */
#ifndef DCNV2_TRAIN_RUN_REPORT_H
#define DCNV2_TRAIN_RUN_REPORT_H

#include "train/history.h"
#include "train/training_data.h"

/* Names and values as a person would give them. */
struct run_settings {
    struct report_setting *all; /* [n] */
    size_t n;
    size_t n_binding; /* the first so many decide on the bits of the result, and which epoch's is
                         kept */
    struct arena arena;
};

/* -1: out of memory, *error. */
int run_settings_make(struct run_settings *ret_settings, const struct train_options *options,
                      const struct training_data *data, unsigned n_ranks,
                      struct train_error *error);
void run_settings_free(struct run_settings *settings);

/* Everything is borrowed. */
struct run_report {
    const struct train_options *options;
    const struct training_data *data;
    const struct parameters *values;
    const struct history *history;
    const struct run_settings *settings;
    unsigned n_ranks, n_threads;
    double seconds;
    uint64_t epochs_without_better;
};

/* Into the output folder, each in one step. -1: *error. */
int run_report_write(const struct run_report *run, struct train_error *error);

#endif
