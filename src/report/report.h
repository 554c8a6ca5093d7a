/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: what a run of training was like: metrics.json for programs, report.html for people.
 *
 * report.html is one file without links to others: loss and AUC by step, calibration plot, score
 * histograms, size and unseen rate of each column, as inline SVG and tables.
 */
#ifndef DCNV2_REPORT_REPORT_H
#define DCNV2_REPORT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "network/spec.h"
#include "report/evaluate.h"

struct report_loss {
    uint64_t step; /* the last one of those it is the mean of */
    double loss;
};

struct report_epoch {
    unsigned epoch; /* from 1 */
    uint64_t step;  /* at its end */
    double train_loss, seconds, rows_per_second;
    struct evaluation evaluation; /* of the validation data; n_rows 0: there are none */
};

struct report_column {
    const char *name;
    uint32_t n_classes;
    uint64_t n_missing, n_rare; /* cells of the training data */
    uint32_t n_rare_values;
    uint64_t n_unseen; /* cells of the validation data that are no class */
};

struct report_setting {
    const char *name, *value; /* "batch-size", "128"; a name stands once */
};

struct report {
    const char *version, *backend;
    const struct network_spec *network;
    uint64_t n_parameters;
    uint64_t n_train_rows, n_train_clicks, n_valid_rows;
    uint64_t n_bad_rows;
    unsigned n_ranks, n_threads;
    unsigned best_epoch; /* from 1; the one whose files were written */
    const char *stopped; /* why it ended before its last epoch, or NULL */
    double seconds;
    const struct report_loss *losses;
    size_t n_losses;
    const struct report_epoch *epochs;
    size_t n_epochs;
    const struct report_column *columns;
    size_t n_columns;
    const struct report_setting *settings;
    size_t n_settings;
};

/* The epoch whose files were written. NULL: none is of that number. */
const struct report_epoch *report_best(const struct report *report);

/* The width of the first embedding table. 0: there is none. */
uint32_t report_embedding(const struct report *report);

/* Rows trained a second over all epochs. NAN: none took any time. */
double report_rows_per_second(const struct report *report);

/*
 * NUL-terminated, the caller's to free(). NULL: out of memory. Texts are UTF-8.
 * JSON: keys in one fixed order, doubles in full (they read back to the same bits), NAN as null.
 */
char *report_json(const struct report *report);
char *report_html(const struct report *report);

#endif
