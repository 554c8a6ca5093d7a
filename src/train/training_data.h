/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_data.h: what a run learns from, on every rank.
 *
 * Rank 0 alone reads the files: it fits the encoder once over all of them (or takes that of
 * another model), encodes, and sends the encoded rows to the other ranks, which need no volume
 * with data. While it reads, fits and encodes it gives a sign of life every few seconds, at which
 * the others look whether they have been told to stop.
 */
#ifndef DCNV2_TRAIN_TRAINING_DATA_H
#define DCNV2_TRAIN_TRAINING_DATA_H

#include "data/fit.h"
#include "network/published.h"
#include "torch/ranks.h"
#include "train/init_from.h"
#include "train/options.h"

struct training_data {
    /* of rank 0 only */
    struct fitted_encoder encoder;
    struct initial_model initial; /* of --init-from, else empty */
    uint64_t *n_unseen;           /* [n_sparse] in the validation data */
    uint64_t n_bad_rows;

    /* of every rank */
    struct published_sizes sizes;
    uint32_t *n_rows_of_tables;  /* [sizes.n_sparse] */
    struct network_spec spec;    /* of the network to be trained, made from both */
    struct arena arena;          /* its own */
    struct dataset train, valid; /* valid.n_rows 0: there are none */
    uint64_t n_clicks;           /* in train */
};

/* 0; 1: stopped by options->stop, of this rank or of rank 0; -1: *error. training_data_free() is
 * due in any case. */
int training_data_read(struct training_data *data, const struct train_options *options,
                       const struct ranks *ranks, struct train_error *error);
void training_data_free(struct training_data *data);

/* The encoder in use, on rank 0. */
const struct fitted_encoder *training_data_encoder(const struct training_data *data);

/* Each number differs where what it stands for does. */
struct training_data_fingerprints {
    uint64_t encoder;      /* names of columns, texts of classes, mean and scale; 0 but on rank 0 */
    uint64_t train, valid; /* encoded rows, their labels and groups */
};
struct training_data_fingerprints training_data_fingerprints(const struct training_data *data);

#endif
