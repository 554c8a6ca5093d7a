/* SPDX-License-Identifier: Apache-2.0 */
/* sklearn_scaler.h: the scalers and encoders that sklearn_file.c has found in a pickle. */
#ifndef DCNV2_FORMAT_SKLEARN_SCALER_H
#define DCNV2_FORMAT_SKLEARN_SCALER_H

#include "format/pickle.h"
#include "format/sklearn_file.h"

struct sklearn_reader {
    struct arena *arena;
    struct format_error *error;
    struct sklearn_file *file;
};

/* Whether it is an object of one of the scalers' classes. */
bool sklearn_is_scaler(const struct pickle_value *value);

/* The attributes of an object of class `name`; NULL: it is something else. */
const struct pickle_value *sklearn_attributes(const struct pickle_value *value,
                                              enum pickle_name name);

static inline bool sklearn_is_none(const struct pickle_value *value)
{
    return value == NULL || value->kind == PICKLE_NONE;
}

static inline bool sklearn_is_bool(const struct pickle_value *value, bool wanted)
{
    return value && value->kind == PICKLE_BOOL && (value->integer != 0) == wanted;
}

/* Dense columns of the file. -1: *error. */
int sklearn_read_scaler(struct sklearn_reader *sklearn, const struct pickle_value *value);

#endif
