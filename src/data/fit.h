/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit.h: fits the encoder as the notebook does, and encodes with it.
 *
 * The notebook: pandas.read_csv, then LabelEncoder.fit(df[column].astype(str)) for each category
 * column and StandardScaler.fit(df[dense].fillna(0)). So
 *   - a class is the text that astype(str) gives after read_csv has found the column's type from
 *     all its values: int64 and uint64 ("007" is "7"), float64 ("1" is "1.0" where another value
 *     is a fraction or missing; missing is "nan"), bool ("True"), or object (as written; missing
 *     is "nan"), as read_csv(low_memory=False);
 *   - classes are sorted as Python sorts text; value k is embedding row k, and every value that is
 *     not a class is row n_classes (out of vocabulary);
 *   - mean, var and scale are StandardScaler's: population variance, scale 1 for a constant column.
 * What it lacks: with min_count, a value that occurs fewer times is no class.
 *
 * Reading is one pass: a cell gets a number in the order of first appearance, and the numbers are
 * exchanged for rows when all classes are known.
 */
#ifndef DCNV2_DATA_FIT_H
#define DCNV2_DATA_FIT_H

#include "arena.h"
#include "data/click_log.h"
#include "data/dataset.h"
#include "encode/vocabulary.h"
#include "scaling.h"

struct fitted_column {
    const char *name;     /* borrowed from the options */
    struct text *classes; /* [n_classes], sorted, distinct, UTF-8 */
    uint32_t n_classes;
    uint64_t n_missing; /* cells without a value, in the data it was fitted on */
    uint64_t n_rare;    /* cells of values below min_count */
    uint32_t n_rare_values;
    const struct special_rows *special; /* of a model that says more than row n_classes; or NULL */
};

/* Everything in `arena` but the names. */
struct fitted_encoder {
    struct arena arena;
    uint32_t n_sparse, n_dense;
    struct fitted_column *sparse;  /* [n_sparse] */
    const char *const *dense;      /* [n_dense] */
    double *mean, *var, *scale;    /* [n_dense] */
    const struct scaling *scaling; /* [n_dense], of a model that scales in other ways; or NULL */
    uint64_t n_rows;
};

struct fit_options {
    struct log_columns columns;
    uint64_t min_count; /* 1: every value is a class */
    uint64_t max_bad_rows;
    /* Called every few thousand records, at the end, and while classes and scaler are fitted and
     * rows encoded: for each column and each block of rows. Returns false to stop (interrupted). */
    bool (*on_progress)(void *context, const struct click_log_progress *progress);
    void *progress_context;
};

/*
 * Reads the files, fits the encoder, and encodes the rows that it was fitted on.
 * 0: both are the caller's to free. -1: *error, both untouched. 1: on_progress said stop.
 */
int fit_encoder(const char *const *paths, uint32_t n_paths, const struct fit_options *options,
                struct fitted_encoder *ret_encoder, struct dataset *ret_dataset,
                struct train_error *error);

void fitted_encoder_free(struct fitted_encoder *encoder);

/* A dense value as the network takes it: scaled in double, then a float, as a word of a row. */
static inline uint32_t fitted_encoder_scale(const struct fitted_encoder *encoder, uint32_t column,
                                            double value)
{
    const double exact = encoder->scaling
                             ? scaling_apply(&encoder->scaling[column], value)
                             : (value - encoder->mean[column]) / encoder->scale[column];
    const float scaled = (float)exact;
    uint32_t word;
    memcpy(&word, &scaled, sizeof word);
    return word;
}

/* Makes a dense value that this encoder scales beyond the range of a float a bad row's. */
void fitted_encoder_check(const struct fitted_encoder *encoder, struct log_columns *columns);

/*
 * Looks cells up in an encoder's classes: fitted here, or read from a model that training goes on
 * from. A cell that is not a class as it is written is tried as pandas would write it in the column
 * that has such classes: missing as "nan", an integer as str(int), a number as str(float), a bool
 * as str(bool). So a row is encoded as when the encoder was fitted on it, and one cell at a time.
 * Shared by threads.
 */
struct cell_encoder;

/* Texts are borrowed. NULL: out of memory. */
struct cell_encoder *cell_encoder_create(const struct fitted_encoder *encoder);

/* `row`: as in dataset.h, without the label. n_unknown: [n_sparse] or NULL, counted up. */
void cell_encoder_encode(const struct cell_encoder *encoder, const struct click_record *record,
                         uint32_t *row, uint64_t *n_unknown);

void cell_encoder_free(struct cell_encoder *encoder);

/*
 * Reads files of labelled rows with an encoder that exists: validation data, or training data of
 * a run that continues another model. Values beyond its range make bad rows. n_unknown:
 * [n_sparse], may be NULL. Returns as above.
 */
int encode_files(const char *const *paths, uint32_t n_paths, const struct fit_options *options,
                 const struct fitted_encoder *encoder, struct dataset *ret_dataset,
                 uint64_t *n_unknown, struct train_error *error);

#endif
