/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.h: decimal text to binary floating point and back.
 *
 * Independent of the locale. Printing is the shortest text that reads back to the
 * same value (R. Giulietti, "The Schubfach way to render doubles").
 */
#ifndef DCNV2_NUMBER_H
#define DCNV2_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NUMBER_FLOAT_MAX = 16, /* bytes of the longest text of number_print_float() */
    NUMBER_REPR_MAX = 25   /* and of number_print_repr() */
};

/*
 * The double nearest to a JSON number (RFC 8259 section 6) that fills `text` exactly.
 * The caller has checked its form. Overflow gives an infinity, underflow zero.
 */
double number_parse(const char *text, size_t length);

/*
 * Python's float(str): white space around, digits grouped by single underscores,
 * "inf", "infinity" and "nan" in any case. false: not a number; *ret_value is untouched.
 */
bool number_parse_python(const char *text, size_t length, double *ret_value);

/* A finite float as a JSON number, shortest form: "0.05", "1", "1e-7". Returns the length. No NUL.
 */
size_t number_print_float(float value, char out[NUMBER_FLOAT_MAX]);

/* Python's repr(float): "1.0", "1e+20", "1e-05", "nan", "inf". Returns the length. No NUL. */
size_t number_print_repr(double value, char out[NUMBER_REPR_MAX]);

#endif
