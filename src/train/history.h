/* SPDX-License-Identifier: Apache-2.0 */
/* history.h: what a run has measured so far: for the report, and kept in its checkpoints. */
#ifndef DCNV2_TRAIN_HISTORY_H
#define DCNV2_TRAIN_HISTORY_H

#include "report/report.h"

struct history {
    struct report_loss *losses;
    size_t n_losses, losses_capacity;
    struct report_epoch *epochs;
    size_t n_epochs, epochs_capacity;
    unsigned best_epoch; /* from 1; 0: none yet */
};

/* -1: out of memory, *error. */
int history_add_loss(struct history *history, uint64_t step, double loss,
                     struct train_error *error);
int history_add_epoch(struct history *history, const struct report_epoch *epoch,
                      struct train_error *error);
void history_free(struct history *history);

#endif
