/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h: a run in the middle: what it takes to go on with the same bits.
 *
 * A safetensors file (format/safetensors.h): value.NAME, moment1.NAME and moment2.NAME for each
 * parameter (F32, PyTorch's names and shapes), run.numbers and run.pending (F64), run.losses and
 * run.epochs (the records of history.h as they lie in memory, U64), and in the metadata the
 * settings that the run must go on with. Any reader of safetensors opens it; a damaged one, and
 * one of another version, is refused.
 */
#ifndef DCNV2_TRAIN_CHECKPOINT_H
#define DCNV2_TRAIN_CHECKPOINT_H

#include "backend/parameters.h"
#include "train/history.h"

#define CHECKPOINT_NAME "checkpoint.safetensors"

struct loss_sum {
    double sum;
    double n_rows;
};

/* Everything is borrowed. */
struct checkpoint {
    uint64_t step;        /* done so far */
    uint64_t epoch;       /* done so far: the one under way, from 0 */
    uint64_t batch;       /* done of it */
    double epoch_seconds; /* spent on it */
    double seconds;       /* spent on all */
    struct loss_sum epoch_loss;
    struct loss_sum *pending; /* [n_ranks]: not yet in epoch_loss */
    unsigned n_ranks;
    struct parameters *values, *moment1, *moment2;
    struct history *history;
    const struct report_setting *settings; /* that must be the same when it goes on */
    size_t n_settings;
};

/* Written beside `path` and renamed. -1: *error. */
int checkpoint_write(const struct checkpoint *checkpoint, const char *path,
                     struct train_error *error);

/*
 * Fills what `checkpoint` points to and its numbers; parameters and settings are those of the run
 * that goes on. 1: there is no such file; -1: *error, it is damaged, or of another run: which
 * setting differs.
 */
int checkpoint_read(struct checkpoint *checkpoint, const char *path, struct train_error *error);

#endif
