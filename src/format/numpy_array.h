/* SPDX-License-Identifier: Apache-2.0 */
/* numpy_array.h: one-dimensional numpy arrays, and numpy's scalars, inside a pickle. */
#ifndef DCNV2_FORMAT_NUMPY_ARRAY_H
#define DCNV2_FORMAT_NUMPY_ARRAY_H

#include "format/pickle.h"

/* What the elements of an array are. */
struct numpy_type {
    char kind;      /* 'f', 'i', 'u', 'b' (bool), 'U' (text of one width), 'O' (objects), others */
    uint32_t width; /* bytes; code points of 'U' */
    bool big_endian;
};

/* The parts of an array, whichever way numpy pickled it. */
struct numpy_array {
    struct numpy_type type;
    uint32_t n;
    const struct pickle_value *data; /* BYTES, or a LIST or TEXTS of objects */
};

/* Of a pickled numpy.dtype. false: it is something else, or a type that is not known here. */
bool numpy_type_read(const struct pickle_value *dtype, struct numpy_type *ret_type);

/* Bytes of an element, 0 of objects. */
uint64_t numpy_type_size(const struct numpy_type *type);

static inline bool numpy_type_is_float(const struct numpy_type *type)
{
    return type->kind == 'f' && (type->width == 8 || type->width == 4);
}

static inline bool numpy_type_is_integer(const struct numpy_type *type)
{
    return (type->kind == 'i' || type->kind == 'u') && type->width >= 1 && type->width <= 8;
}

/* The elements as they lie in memory; NULL: they are not bytes, or not as many as the shape says.
 */
const uint8_t *numpy_array_bytes(const struct numpy_array *array);

/* `what` names the array in messages. All return -1 with *error set when it is something else. */

int numpy_array_read(const struct pickle_value *value, const char *what,
                     struct numpy_array *ret_array, struct format_error *error);

/* Floats or integers, either byte order; *ret_values in the arena. */
int numpy_array_doubles(const struct pickle_value *value, const char *what, struct arena *arena,
                        double **ret_values, uint32_t *ret_n, struct format_error *error);

/* A number: Python's int, float or bool, or numpy's scalar of one. false: something else. */
bool numpy_scalar_double(const struct pickle_value *value, double *ret_number);

/* An element of an array, as it lies in memory. The type is a float, or an integer (of the second
 * one: an integer, its sign carried to 64 bits). */
double numpy_double_at(const struct numpy_type *type, const uint8_t *at);
uint64_t numpy_integer_at(const struct numpy_type *type, const uint8_t *at);

enum { NUMPY_NONE_MISSING = UINT32_MAX };

/*
 * Classes as the texts that pandas' astype(str) gives them: str objects or fixed-width Unicode
 * ("<U12") as they are; integers, floats ("3.0", "nan") and bools ("True"), in arrays of their own
 * or as objects. *ret_texts in the arena, UTF-8. *ret_missing: the element that is a missing value
 * (NaN, else None), or NUMPY_NONE_MISSING; its text is "nan" or "None".
 */
int numpy_array_texts(const struct pickle_value *value, const char *what, struct arena *arena,
                      struct text **ret_texts, uint32_t *ret_n, uint32_t *ret_missing,
                      struct format_error *error);

#endif
