/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sklearn_file.h: the fitted encoders: a pickle, plain or joblib's, compressed with zlib or gzip,
 * of any scikit-learn since 1.0, with numpy 1 or 2.
 *
 * It holds a scaler (StandardScaler, MinMaxScaler, RobustScaler, MaxAbsScaler) and the encoders of
 * category columns ({column: LabelEncoder} or an OrdinalEncoder), as the items of a tuple, a list
 * or a dict, in any order, among things that are passed over. LabelEncoders may stand in the dict
 * itself.
 */
#ifndef DCNV2_FORMAT_SKLEARN_FILE_H
#define DCNV2_FORMAT_SKLEARN_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "scaling.h"
#include "text.h"

enum { SKLEARN_NO_ROW = UINT32_MAX };

struct sklearn_encoder {
    struct text column;   /* at == NULL: fitted without column names */
    struct text *classes; /* [n_classes], distinct; class k is embedding row k */
    uint32_t n_classes;
    uint32_t unknown_row; /* of values that are no class, or SKLEARN_NO_ROW: the file says none */
    uint32_t missing_row; /* of missing values, or SKLEARN_NO_ROW */
};

struct sklearn_file {
    uint32_t n_dense;                 /* 0, too, if there is no scaler */
    struct text *dense_names;         /* [n_dense], or NULL: fitted without names */
    struct scaling *scaling;          /* [n_dense] */
    struct sklearn_encoder *encoders; /* in file order, columns distinct */
    uint32_t n_encoders;
    const char *scaler; /* "StandardScaler", ..; NULL: there is none */
    bool is_ordinal;    /* the encoders are an OrdinalEncoder's */
};

/* Whether the bytes start as such a file does, which says nothing of the rest. */
bool sklearn_file_is(const uint8_t *bytes, size_t size);

/* -1: *error, naming the column where one is at fault. Everything is in the arena or in `bytes`. */
int sklearn_file_read(struct sklearn_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error);

#endif
