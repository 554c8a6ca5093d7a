/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sklearn_file.h: the fitted encoder: a pickled pair (StandardScaler, {column: LabelEncoder})
 * of any scikit-learn since 1.0, with numpy 1 or 2.
 */
#ifndef DCNV2_FORMAT_SKLEARN_FILE_H
#define DCNV2_FORMAT_SKLEARN_FILE_H

#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "text.h"

struct sklearn_encoder {
    struct text column;
    struct text *classes; /* [n_classes], strictly increasing */
    uint32_t n_classes;
};

struct sklearn_file {
    uint32_t n_dense;
    struct text *dense_names;         /* [n_dense], or NULL: fitted without names */
    double *mean;                     /* [n_dense]; 0 with with_mean=False */
    double *scale;                    /* [n_dense], not 0; 1 with with_std=False */
    struct sklearn_encoder *encoders; /* in file order, columns distinct */
    uint32_t n_encoders;
};

/* -1: *error, naming the column where one is at fault. Everything is in the arena or in `bytes`. */
int sklearn_file_read(struct sklearn_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error);

#endif
