/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.h: how well scores tell clicks apart.
 *
 *   AUC          the chance that a click's score is above that of a row without, ties by half
 *                (sklearn.metrics.roc_auc_score)
 *   log loss     mean of -log of the probability given to what happened, probabilities clipped
 *                to [eps, 1 - eps] of float (sklearn.metrics.log_loss)
 *   calibration  mean score over click rate: 1 is right, 2 promises twice the clicks
 *   grouped AUC  the mean of AUC within each group that has both labels, weighted by its rows
 */
#ifndef DCNV2_REPORT_EVALUATE_H
#define DCNV2_REPORT_EVALUATE_H

#include <stddef.h>
#include <stdint.h>

#include "data/train_error.h"

enum { EVALUATE_BINS = 20 };

struct evaluation {
    uint64_t n_rows, n_clicks;
    double auc; /* NAN where there are not both labels */
    double log_loss;
    double mean_score;
    double calibration; /* NAN without a click */
    double grouped_auc; /* NAN without groups, or without one that has both labels */
    uint64_t n_groups;  /* that count */
    /* Calibration plot: rows in EVALUATE_BINS parts of equal size by score. Of equal scores that
     * two parts share, each has clicks in proportion. mean_score: NAN in an empty part. */
    struct evaluation_bin {
        uint64_t n_rows, n_clicks;
        double mean_score;
    } bins[EVALUATE_BINS];
    /* Score histograms: k / EVALUATE_BINS <= score < (k + 1) / EVALUATE_BINS, by label; the first
     * and the last have what is beyond them. */
    uint64_t histogram[2][EVALUATE_BINS];
};

/*
 * labels: 0 or not. groups: [n], any numbers, or NULL. n < 2^32. Equal rows in any order, equal
 * bits. Without rows, or with a NaN among the scores, nothing but n_rows and n_clicks is known:
 * the doubles are NAN, bins and histograms empty. Takes 16 bytes a row at most while it runs.
 * -1: out of memory, *error.
 */
int evaluate(const float *scores, const uint8_t *labels, const uint32_t *groups, size_t n,
             struct evaluation *ret_evaluation, struct train_error *error);

#endif
