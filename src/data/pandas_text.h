/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pandas_text.h: the type that pandas.read_csv(low_memory=False) gives a column of cells, and the
 * text that astype(str) then makes of each (pandas 2.3, pandas/_libs/parsers.pyx).
 *
 * One difference: read_csv by default reads a number of 16 digits or more up to a bit or two off
 * (float_precision="high"); here it is the nearest double, as read_csv(float_precision=
 * "round_trip") and the server's JSON reader have it, so that a class is found again when served.
 */
#ifndef DCNV2_DATA_PANDAS_TEXT_H
#define DCNV2_DATA_PANDAS_TEXT_H

#include "number.h"
#include "text.h"

enum pandas_type {
    PANDAS_INTEGER,            /* int64 or uint64: "7" */
    PANDAS_FLOAT,              /* float64: "7.0" */
    PANDAS_FLOAT_FROM_INTEGER, /* int64 made float64 by a missing value: "7.0", and "-0" is "0.0" */
    PANDAS_BOOL,               /* bool, or object of bools and nan: "True" */
    PANDAS_OBJECT,             /* as written; missing is nan */
    PANDAS_AS_WRITTEN          /* the same, but missing values too: int64 and uint64 cannot agree */
};

/* The type of a column, from its values in the order of their first appearance. Zero-initialised
 * it is of no value. */
struct pandas_inference {
    bool is_not_float, is_not_bool;
    int signed_error, unsigned_error; /* of the first value that is no int64, no uint64 */
    bool has_minus, has_large;
    bool has_missing; /* set by the caller */
};

/* A value that is not missing. Repeated values make no difference. */
void pandas_inference_add(struct pandas_inference *inference, struct text cell);

enum pandas_type pandas_inference_type(const struct pandas_inference *inference);

/*
 * The text of a value that is not missing. It points into the cell or into `scratch`. A cell that
 * is not of the type stays as it is written.
 */
struct text pandas_text(enum pandas_type type, struct text cell, char scratch[NUMBER_REPR_MAX]);

/* A cell that read_csv takes for a float: white space around, a sign, digits, point, exponent, or
 * "inf" or "infinity" in any case. false: it does not; *ret_value is untouched. */
bool pandas_float(struct text cell, double *ret_value);

/* The type whose texts these are: object where one of them is none that a number or bool has.
 * For the classes of an encoder that somebody else fitted. */
enum pandas_type pandas_type_of_classes(const struct text *classes, uint32_t n);

#endif
