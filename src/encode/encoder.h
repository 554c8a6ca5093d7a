/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: raw values to what the network takes: scaled floats and embedding rows.
 *
 * As the Python predictor does it with scikit-learn and pandas: a dense column's
 * missing values are 0, then (x - mean) / scale in double, then float. A category
 * column's value is the text that astype(str) gives, its position among the classes,
 * or the number of classes. Immutable once made: shared by threads.
 */
#ifndef DCNV2_ENCODE_ENCODER_H
#define DCNV2_ENCODE_ENCODER_H

#include "encode/vocabulary.h"
#include "frame.h"

struct encoder {
    struct schema schema;            /* sparse columns, then dense */
    struct vocabulary *vocabularies; /* [n_sparse] */
    double *mean;                    /* [n_dense]; 0 where the scaler does not centre */
    double *scale;                   /* [n_dense]; 1 where it does not scale */
};

/*
 *   ret_dense:   [n_dense, n_rows]
 *   ret_indices: [n_sparse, n_rows]
 *   unknown:     [n_sparse], out-of-vocabulary values are added to it
 * -1: a dense value is not a number, or not a finite float once scaled; *error names
 * column and row (counted from 1). Also 413: out of memory.
 */
int encoder_encode(const struct encoder *encoder, const struct frame *frame, float *ret_dense,
                   uint32_t *ret_indices, uint32_t *unknown, struct request_error *error);

float encoder_scale(const struct encoder *encoder, uint32_t dense_column, double value);

#endif
