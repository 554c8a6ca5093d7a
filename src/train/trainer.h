/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainer.h: a run of training, from the click log to the model's files.
 *
 * Each epoch: shuffle, a step of Adam for each batch, scores of the validation data. The files of
 * the best epoch so far are in the output folder at any time, whole; so are metrics.json and
 * report.html of all epochs, and the checkpoint.
 */
#ifndef DCNV2_TRAIN_TRAINER_H
#define DCNV2_TRAIN_TRAINER_H

#include "data/train_error.h"
#include "torch/ranks.h"
#include "train/options.h"

/* With the ranks that have joined. 0: done; 1: options->stop was set, a checkpoint is written where
 * there is what to go on with; -1: *error. */
int train_run(const struct train_options *options, const struct ranks *ranks,
              struct train_error *error);

#endif
