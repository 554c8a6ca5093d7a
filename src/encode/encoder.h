/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: raw values to what the network takes: scaled floats and embedding rows.
 *
 * As the Python predictor does it with scikit-learn and pandas: a dense column's
 * missing values are 0, then scaled in double (scaling.h), then float. A category
 * column's value is the text that astype(str) gives, its position among the classes,
 * or the column's special row for it. With `match_forms` that text is the value's own, whatever
 * stands beside it, and a value that is no class is looked up in its other forms (other_form.h): so
 * it has the same class alone and in any batch. Immutable once made: shared by threads.
 */
#ifndef DCNV2_ENCODE_ENCODER_H
#define DCNV2_ENCODE_ENCODER_H

#include "encode/vocabulary.h"
#include "frame.h"
#include "scaling.h"

struct encoder {
    struct schema schema;            /* sparse columns, then dense */
    struct vocabulary *vocabularies; /* [n_sparse] */
    struct special_rows *special;    /* [n_sparse] */
    struct scaling *scaling;         /* [n_dense] */
};

/* Of a category column. Values that are no class as they are written, but in another form: with
 * `match_forms` they have that class, else they are unknown as well. */
struct category_counts {
    uint32_t n_unknown, n_other_form;
    struct text value, class; /* the first of the latter, in the frame's arena; or at == NULL */
};

/*
 *   ret_dense:   [n_dense, n_rows]
 *   ret_indices: [n_sparse, n_rows]
 *   counts:      [n_sparse], added to
 * -1: a dense value is not a number, or not a finite float once scaled; *error names
 * column and row (counted from 1). Also 413: out of memory.
 */
int encoder_encode(const struct encoder *encoder, const struct frame *frame, bool match_forms,
                   float *ret_dense, uint32_t *ret_indices, struct category_counts *counts,
                   struct request_error *error);

float encoder_scale(const struct encoder *encoder, uint32_t dense_column, double value);

#endif
