/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init_from.h: a model that exists, as training and scoring need it: its files (any kind that the
 * server reads), encoder, sizes and parameters.
 */
#ifndef DCNV2_TRAIN_INIT_FROM_H
#define DCNV2_TRAIN_INIT_FROM_H

#include "backend/parameters.h"
#include "data/fit.h"
#include "model/reading.h"
#include "network/published.h"

/* Not to be copied or moved while it is open: parts point at others. */
struct initial_model {
    struct fitted_encoder encoder; /* var is scale squared, n_rows 0: the files do not all say */
    const char *const *sparse_names;
    const char *label; /* column of the data that it was trained on; NULL: not known */
    dcnv2_model *model;
    struct published_sizes sizes; /* set by initial_model_read() alone */

    /* Of its own: */
    char *paths[2];
    struct dcnv2_source source;
    struct dcnv2_error reason;
    struct reading reading;
};

/*
 * Reads and checks a model as the server does. initial_model_free() is due in any case.
 * -1: *error, "FILE: REASON".
 */
int initial_model_open(struct initial_model *initial, const struct dcnv2_source *source,
                       struct train_error *error);

/*
 * The same by one path: of a converted file, of a state dict (its encoder is looked for beside it)
 * or of a folder with the pair, under the names of model_files.h; and its sizes.
 * -1, too: the trainer could not have made it: published_measure() says why.
 */
int initial_model_read(struct initial_model *initial, const char *path, struct train_error *error);

/* Its parameters, into those of a network of its sizes. Rows of a table beyond the classes and the
 * one row more, to which no value leads, are left out. -1: out of memory. */
int initial_model_copy(const struct initial_model *initial, struct parameters *ret_values,
                       struct train_error *error);

/* Accepts a zeroed one; empties it. */
void initial_model_free(struct initial_model *initial);

#endif
