/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scoring.h: scores of a click log by a finished model, in the order of its rows.
 *
 * One thread reads blocks of rows; the others encode and score them with the server's encoder and
 * forward pass (dcnv2.h), so a row's score has the bits that the server gives it.
 */
#ifndef DCNV2_TRAIN_SCORING_H
#define DCNV2_TRAIN_SCORING_H

#include <stdio.h>

#include "data/click_log.h"
#include "report/evaluate.h"
#include "train/init_from.h"

struct scoring_options {
    const char *const *paths;
    uint32_t n_paths;
    struct log_form form;
    const char *label; /* NULL: not measured */
    bool label_is_optional;
    bool match_numbers; /* encode/other_form.h */
    bool writes_logits; /* instead of scores; what is measured is the scores */
    uint64_t max_bad_rows;
    unsigned n_threads; /* at least 1 */
};

struct scoring_result {
    uint64_t n_rows, n_bad_rows;
    struct train_error first_bad; /* "" without one */
    struct train_error no_rows;   /* which log has a header only, or "" */
    struct train_error forms;     /* of cells that are a class in another form, or "" */
    bool is_measured;             /* every row had a label */
    struct evaluation evaluation;
    double seconds;
};

/*
 * Writes a score per line to `out`, or a logit, in its shortest form. -1: *error; scores of rows
 * before the one that it names may have been written. A dense value that the model's scaler takes
 * beyond the range of a float makes a bad row; one within it whose score is not a number is an
 * error, and so is a row that the model refuses because a value is unknown or missing.
 */
int score_files(const struct initial_model *initial, const struct scoring_options *options,
                FILE *out, struct scoring_result *ret_result, struct train_error *error);

#endif
