/* SPDX-License-Identifier: Apache-2.0 */
/* validation.h: scores rows that a run does not learn from, each rank its part of them. */
#ifndef DCNV2_TRAIN_VALIDATION_H
#define DCNV2_TRAIN_VALIDATION_H

#include "backend/backend.h"
#include "data/dataset.h"
#include "report/evaluate.h"
#include "torch/ranks.h"
#include "train/progress.h"

/* What is scored, and by what; all of it borrowed. */
struct validation {
    const struct backend_class *class;
    struct backend *backend;
    const struct dataset *dataset;
    const struct ranks *ranks;
    uint32_t batch_rows;
    struct progress *progress; /* that has been started, to show its rows by; NULL: silent */
    const char *what;          /* it is called there */
};

/* Collective. The same bits on all ranks, but for grouped AUC where only rank 0 has the groups.
 * No rows: n_rows is 0. -1: *error. */
int validate(const struct validation *validation, struct evaluation *ret_evaluation,
             struct train_error *error);

#endif
