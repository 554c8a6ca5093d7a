/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pandas_text.h"

#include <math.h>

/* What the parser of an integer finds, as pandas' str_to_int64 and str_to_uint64. */
enum { INTEGER_OK = 0, INTEGER_OVERFLOW, INTEGER_INVALID };

struct integer {
    bool is_negative;
    uint64_t magnitude;
    struct text digits; /* without sign and leading zeros; "0" for zero */
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct text strip(struct text cell)
{
    while (cell.length > 0 && is_space(*cell.at))
        cell = (struct text){cell.at + 1, cell.length - 1};
    while (cell.length > 0 && is_space(cell.at[cell.length - 1]))
        cell.length--;
    return cell;
}

/* Overflow: a magnitude that no uint64 holds. pandas sees it before it sees what follows. */
static int parse_integer(struct text cell, struct integer *integer)
{
    cell = strip(cell);
    const char *at = cell.at, *end = cell.at + cell.length;
    integer->is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end || !is_digit(*at))
        return INTEGER_INVALID;
    while (at + 1 < end && *at == '0' && is_digit(at[1]))
        at++;
    integer->digits.at = at;
    integer->magnitude = 0;
    for (; at < end && is_digit(*at); at++)
        if (__builtin_mul_overflow(integer->magnitude, 10, &integer->magnitude) ||
            __builtin_add_overflow(integer->magnitude, (uint64_t)(*at - '0'), &integer->magnitude))
            return INTEGER_OVERFLOW;
    integer->digits.length = (size_t)(at - integer->digits.at);
    return at == end ? INTEGER_OK : INTEGER_INVALID;
}

static bool is_int64(const struct integer *integer)
{
    return integer->magnitude <= (uint64_t)INT64_MAX + integer->is_negative;
}

static bool equal_ignoring_case(struct text text, const char *lower)
{
    if (text.length != strlen(lower))
        return false;
    for (size_t i = 0; i < text.length; i++)
        if ((text.at[i] | 0x20) != lower[i])
            return false;
    return true;
}

static bool is_bool(struct text cell, bool *ret_value)
{
    *ret_value = equal_ignoring_case(cell, "true");
    return *ret_value || equal_ignoring_case(cell, "false");
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Without white space around them, these alone may be infinite. */
static bool is_infinity(struct text cell, double *ret_value)
{
    const bool is_negative = cell.length > 0 && *cell.at == '-';
    if (cell.length > 0 && (*cell.at == '-' || *cell.at == '+'))
        cell = (struct text){cell.at + 1, cell.length - 1};
    if (!equal_ignoring_case(cell, "inf") && !equal_ignoring_case(cell, "infinity"))
        return false;
    *ret_value = is_negative ? -INFINITY : INFINITY;
    return true;
}

bool pandas_float(struct text cell, double *ret_value)
{
    const struct text number = strip(cell);
    const char *at = number.at, *const end = number.at + number.length;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    const char *const whole = at;
    at = skip_digits(at, end);
    size_t n_digits = (size_t)(at - whole);
    if (at < end && *at == '.') {
        const char *const fraction = at + 1;
        at = skip_digits(fraction, end);
        n_digits += (size_t)(at - fraction);
    }
    if (n_digits == 0)
        return is_infinity(cell, ret_value);
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (at == end || !is_digit(*at))
            return false;
        at = skip_digits(at, end);
    }
    if (at != end)
        return false;
    const double value = number_parse(number.at, number.length);
    if (!isfinite(value))
        return false; /* out of range, which read_csv takes for text */
    *ret_value = value;
    return true;
}

/*
 * read_csv tries int64, and if that overflows uint64, then float64, then bool. The first value that
 * fails decides: text ends an attempt and the next type is tried; what overflows uint64, and a
 * large value beside a minus or a missing one, make the column object at once.
 */
void pandas_inference_add(struct pandas_inference *inference, struct text cell)
{
    struct integer integer;
    const int found = parse_integer(cell, &integer);
    if (inference->signed_error == INTEGER_OK)
        inference->signed_error =
            found == INTEGER_OK && !is_int64(&integer) ? INTEGER_OVERFLOW : found;
    if (integer.is_negative) {
        inference->has_minus = true; /* read_csv's uint64 looks no further */
    } else {
        if (inference->unsigned_error == INTEGER_OK)
            inference->unsigned_error = found;
        inference->has_large |= found == INTEGER_OK && !is_int64(&integer);
    }
    double number;
    bool boolean;
    if (found != INTEGER_OK && !inference->is_not_float)
        inference->is_not_float = !pandas_float(cell, &number);
    if (!inference->is_not_bool)
        inference->is_not_bool = !is_bool(cell, &boolean);
}

enum pandas_type pandas_inference_type(const struct pandas_inference *inference)
{
    if (inference->signed_error == INTEGER_OK)
        return inference->has_missing ? PANDAS_FLOAT_FROM_INTEGER : PANDAS_INTEGER;
    if (inference->signed_error == INTEGER_OVERFLOW) {
        if (inference->unsigned_error == INTEGER_OVERFLOW)
            return PANDAS_OBJECT;
        if (inference->unsigned_error == INTEGER_OK) {
            if (inference->has_large && (inference->has_minus || inference->has_missing))
                return PANDAS_AS_WRITTEN;
            return inference->has_minus ? PANDAS_OBJECT : PANDAS_INTEGER;
        }
    }
    if (!inference->is_not_float)
        return PANDAS_FLOAT;
    return inference->is_not_bool ? PANDAS_OBJECT : PANDAS_BOOL;
}

struct text pandas_text(enum pandas_type type, struct text cell, char scratch[NUMBER_REPR_MAX])
{
    struct integer integer;
    double number;
    bool boolean;
    switch (type) {
    case PANDAS_INTEGER:
        if (parse_integer(cell, &integer) != INTEGER_OK)
            return cell;
        if (!integer.is_negative || integer.magnitude == 0)
            return integer.digits;
        scratch[0] = '-'; /* there may be zeros behind the one that is written */
        memcpy(scratch + 1, integer.digits.at, integer.digits.length);
        return (struct text){scratch, 1 + integer.digits.length};
    case PANDAS_FLOAT:
    case PANDAS_FLOAT_FROM_INTEGER:
        if (!pandas_float(cell, &number))
            return cell;
        if (type == PANDAS_FLOAT_FROM_INTEGER && number == 0)
            number = 0; /* an integer has no minus zero */
        return (struct text){scratch, number_print_repr(number, scratch)};
    case PANDAS_BOOL:
        if (!is_bool(cell, &boolean))
            return cell;
        return text_of(boolean ? "True" : "False");
    case PANDAS_OBJECT:
    case PANDAS_AS_WRITTEN:
        break;
    }
    return cell;
}

static bool are_texts_of(enum pandas_type type, const struct text *classes, uint32_t n)
{
    char scratch[NUMBER_REPR_MAX];
    struct pandas_inference inference = {0};
    for (uint32_t i = 0; i < n; i++) {
        if (text_is(classes[i], "nan") && type != PANDAS_INTEGER)
            continue;
        if (!text_equal(classes[i], pandas_text(type, classes[i], scratch)))
            return false;
        pandas_inference_add(&inference, classes[i]);
    }
    const bool is_nan_alone = n == 1 && text_is(classes[0], "nan");
    return is_nan_alone ? type == PANDAS_FLOAT : pandas_inference_type(&inference) == type;
}

static bool has_class(const struct text *classes, uint32_t n, const char *text)
{
    for (uint32_t i = 0; i < n; i++)
        if (text_is(classes[i], text))
            return true;
    return false;
}

enum pandas_type pandas_type_of_classes(const struct text *classes, uint32_t n)
{
    static const enum pandas_type types[] = {PANDAS_INTEGER, PANDAS_FLOAT, PANDAS_BOOL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!are_texts_of(types[i], classes, n))
            continue;
        if (types[i] == PANDAS_FLOAT && !has_class(classes, n, "-0.0"))
            return PANDAS_FLOAT_FROM_INTEGER; /* perhaps */
        return types[i];
    }
    return PANDAS_OBJECT;
}
