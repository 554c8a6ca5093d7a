/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sklearn_writer.h: writes the pickle (StandardScaler, {column: LabelEncoder}): sklearn_file.h the
 * other way. Protocol 4. scikit-learn unpickles it, and so does the notebook's encoder; classes
 * are object arrays of str, sorted. `sklearn_version` is what the estimators say they are of:
 * another version only warns. Equal contents give equal bytes.
 */
#ifndef DCNV2_FORMAT_SKLEARN_WRITER_H
#define DCNV2_FORMAT_SKLEARN_WRITER_H

#include <stdint.h>
#include <stdio.h>

#include "format/format_error.h"
#include "text.h"

struct sklearn_column {
    struct text name;
    const struct text *classes; /* [n_classes] */
    uint32_t n_classes;
};

struct sklearn_contents {
    uint64_t n_rows; /* n_samples_seen_ */
    uint32_t n_dense;
    const struct text *dense_names;   /* [n_dense] feature_names_in_ */
    const double *mean, *var, *scale; /* [n_dense] */
    uint32_t n_sparse;
    const struct sklearn_column *sparse; /* [n_sparse] */
    const char *sklearn_version;         /* "1.7.1" */
};

/* -1: *error; the stream is then half written. */
int sklearn_write(FILE *stream, const struct sklearn_contents *contents,
                  struct format_error *error);

#endif
