/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/other_form.h"

#include <math.h>

#include "encode/cell_text.h"

enum { DIGITS_MAX = 18, EXPONENT_DIGITS_MAX = 4, DOUBLE_BITS = 53 };

/* A number as text gives it: digits * 10^exponent. The last digit is not 0; zero is 0 * 10^0 and
 * has no sign. Two texts are the same number if all members are the same. */
struct decimal {
    bool is_negative;
    uint64_t digits;
    int64_t exponent;
};

/* ---- text to number ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct digits {
    uint64_t value;
    unsigned n;     /* digits in it */
    uint64_t zeros; /* that follow it, and are not in it */
};

/* The run of digits at `at`, after those that were read before. NULL: none, or too many. */
static const char *read_digits(const char *at, const char *end, struct digits *digits)
{
    const char *const start = at;
    for (; at < end && is_digit(*at); at++) {
        if (*at == '0') {
            digits->zeros += digits->n > 0;
            continue;
        }
        if (digits->zeros + digits->n >= DIGITS_MAX)
            return NULL;
        for (; digits->zeros > 0; digits->zeros--, digits->n++)
            digits->value *= 10;
        digits->value = 10 * digits->value + (uint64_t)(*at - '0');
        digits->n++;
    }
    return at > start ? at : NULL;
}

static const char *read_exponent(const char *at, const char *end, int64_t *exponent)
{
    const bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    const char *const start = at;
    int64_t value = 0;
    for (; at < end && is_digit(*at) && at - start < EXPONENT_DIGITS_MAX; at++)
        value = 10 * value + (*at - '0');
    *exponent += is_negative ? -value : value;
    return at > start ? at : NULL;
}

/* A number in JSON's grammar (RFC 8259 section 6) that fills the text. */
static bool read_decimal(struct text text, struct decimal *ret_decimal)
{
    const char *at = text.at, *const end = text.at + text.length;
    struct digits digits = {0};
    int64_t exponent = 0;
    const bool is_negative = at < end && *at == '-';
    at += is_negative;
    if (end - at >= 2 && *at == '0' && is_digit(at[1]))
        return false; /* a code: "007" */
    at = read_digits(at, end, &digits);
    if (at && at < end && *at == '.') {
        const char *const fraction = at + 1;
        at = read_digits(fraction, end, &digits);
        exponent = at ? fraction - at : 0;
    }
    if (at && at < end && (*at | 0x20) == 'e')
        at = read_exponent(at + 1, end, &exponent);
    if (at != end)
        return false;
    *ret_decimal = (struct decimal){0};
    if (digits.n > 0)
        *ret_decimal =
            (struct decimal){is_negative, digits.value, exponent + (int64_t)digits.zeros};
    return true;
}

/* ---- forms ---- */

static void add(struct other_form *form, struct text text)
{
    form->texts[form->n++] = text;
}

/* "3" and "3.0", in one place; as repr(float) writes what is below 2^53. */
static void add_whole(struct other_form *form, bool is_negative, uint64_t magnitude)
{
    char *const end = form->number + sizeof form->number, *at = end;
    *--at = '0';
    *--at = '.';
    const char *const point = at;
    do
        *--at = (char)('0' + magnitude % 10);
    while ((magnitude /= 10) > 0);
    if (is_negative)
        *--at = '-';
    add(form, (struct text){at, (size_t)(point - at)});
    add(form, (struct text){at, (size_t)(end - at)});
}

/* Whether the magnitude of a decimal is an integer below 2^53. */
static bool is_whole(const struct decimal *decimal, uint64_t *ret_magnitude)
{
    uint64_t magnitude = decimal->digits;
    int64_t zeros = decimal->exponent;
    for (; zeros > 0 && magnitude < UINT64_C(1) << DOUBLE_BITS; zeros--)
        magnitude *= 10;
    *ret_magnitude = magnitude;
    return zeros == 0 && magnitude < UINT64_C(1) << DOUBLE_BITS;
}

static bool same(const struct decimal *a, const struct decimal *b)
{
    return a->is_negative == b->is_negative && a->digits == b->digits && a->exponent == b->exponent;
}

static void add_number(struct other_form *form, struct text text)
{
    struct decimal decimal, found;
    uint64_t magnitude;
    if (!read_decimal(text, &decimal))
        return;
    if (decimal.exponent >= 0) {
        if (is_whole(&decimal, &magnitude))
            add_whole(form, decimal.is_negative, magnitude);
        return;
    }
    const double number = number_parse(text.at, text.length);
    const struct text repr = {form->number, number_print_repr(number, form->number)};
    if (read_decimal(repr, &found) && same(&decimal, &found))
        add(form, repr);
}

static void add_text(struct other_form *form, struct text text)
{
    if (text_is(text, "nan"))
        add(form, text_of("None"));
    else if (text_is(text, "None"))
        add(form, text_of("nan"));
    else if (text.length > 0 && (is_digit(*text.at) || *text.at == '-'))
        add_number(form, text);
}

/* An integer, if no other one is rounded to it in a float of that many bits. */
static void add_float(struct other_form *form, double number, unsigned bits)
{
    if (isnan(number))
        add(form, text_of("None"));
    else if (number == trunc(number) && fabs(number) < (double)(UINT64_C(1) << bits))
        add_whole(form, number < 0, (uint64_t)fabs(number));
}

/* Of texts and floats the own one is what was written; of the others no scratch is needed. */
static void list(struct other_form *form, const struct cell *cell)
{
    form->n = 0;
    if (cell->kind != CELL_TEXT && cell->kind != CELL_FLOAT)
        add(form, cell_text(cell, COLUMN_AS_WRITTEN, form->number));
    switch ((enum cell_kind)cell->kind) {
    case CELL_MISSING:
        add(form, text_of("nan"));
        break;
    case CELL_BOOL:
        add_whole(form, false, cell->boolean);
        break;
    case CELL_INTEGER:
        add_number(form, (struct text){cell->text, cell->length});
        break;
    case CELL_FLOAT:
        add_float(form, cell->number, cell->length > 0 ? cell->length : DOUBLE_BITS);
        break;
    case CELL_TEXT:
        add_text(form, (struct text){cell->text, cell->length});
        break;
    case CELL_LIST:
        break;
    }
}

uint32_t other_form_find(const struct vocabulary *vocabulary, const struct cell *cell,
                         struct text written, struct other_form *ret_form)
{
    list(ret_form, cell);
    for (unsigned i = 0; i < ret_form->n; i++) {
        const struct text text = ret_form->texts[i];
        if (text_equal(text, written))
            continue;
        const uint32_t found = vocabulary_find(vocabulary, text.at, text.length);
        if (found != vocabulary->n) {
            ret_form->text = text;
            return found;
        }
    }
    return vocabulary->n;
}
