/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: a request's cells to what the network takes: floats and embedding rows, as the values
 * and the look-ups of a spec say (network/spec.h).
 *
 * Of the published pair that is what the Python predictor does with scikit-learn and pandas: a
 * dense column's missing values are 0, then (x - mean) / scale in double, then float. A category
 * column's value is the text that astype(str) gives, its position among the classes,
 * or the number of classes. With `match_forms` that text is the value's own, whatever stands beside
 * it, and a value that is no class is looked up in its other forms (other_form.h): so it has the
 * same class alone and in any batch. Of other models each cell is read by itself.
 *
 * Immutable once made: shared by threads.
 */
#ifndef DCNV2_ENCODE_ENCODER_H
#define DCNV2_ENCODE_ENCODER_H

#include "encode/lookup.h"

/* A float of a column. */
struct value {
    const struct spec_value *spec;
    /* Of the steps "fill, subtract, divide", which nearly all models have, alone. */
    bool is_standard;
    double fill, mean, scale;
};

struct encoder {
    struct schema schema; /* categories, then numbers */
    enum cell_rules rules;
    uint32_t n_values, n_lookups;
    struct value *values;                  /* [n_values] */
    struct lookup *lookups;                /* [n_lookups] */
    const struct vocabulary *vocabularies; /* those of the spec */
};

/*
 * Spec and vocabularies, [spec->n_vocabularies], are borrowed; all else is in `arena`. Texts of the
 * spec are trusted to be as spec.h has them, numbers are not. -1: *error.
 */
int encoder_init(struct encoder *encoder, struct arena *arena, const struct network_spec *spec,
                 const struct vocabulary *vocabularies, enum cell_rules rules,
                 struct format_error *error);

/* What dcnv2_predict() takes. */
struct encoded {
    uint32_t n_rows;
    float *dense;               /* [n_values, n_rows] */
    struct dcnv2_rows *lookups; /* [n_lookups] */
};

/*
 * *ret is in the frame's arena. counts: [n_sparse], added to: each unseen value of a list counts,
 * and a column that several look-ups share counts once. -1: a value is not a number, or not a
 * finite float after its steps, or one that the model refuses; *error names column and row (counted
 * from 1). Also 413: out of memory.
 */
int encoder_encode(const struct encoder *encoder, const struct frame *frame,
                   const struct encode_options *options, struct encoded *ret,
                   struct category_counts *counts, struct request_error *error);

/* Several batches as one, in their order. -1: out of memory. */
int encoder_join(const struct encoder *encoder, struct arena *arena,
                 const struct encoded *const *parts, uint32_t n_parts, struct encoded *ret);

/* Value `i` of one number; NaN: it is missing. */
float encoder_value(const struct encoder *encoder, uint32_t i, double number);

#endif
