/* SPDX-License-Identifier: Apache-2.0 */
#include "number.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "number_pow10.h"

/* ---- reading ---- */

/* Powers of ten that a double holds exactly: 5^22 < 2^53. */
static const double exact_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* More digits than decide between two doubles (767); what follows only has to be seen to be there.
 */
enum { SIGNIFICANT_DIGITS = 800, EXPONENT_LIMIT = 100000000 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Slow and exact: digits and exponent without a decimal point, so the locale has no say. */
static double parse_exactly(const char *digits, size_t n_digits, long long exponent, bool more)
{
    char buffer[SIGNIFICANT_DIGITS + 32];
    memcpy(buffer, digits, n_digits);
    if (more) {
        buffer[n_digits++] = '1';
        exponent--;
    }
    if (exponent > EXPONENT_LIMIT)
        exponent = EXPONENT_LIMIT;
    if (exponent < -EXPONENT_LIMIT)
        exponent = -EXPONENT_LIMIT;
    char *at = buffer + n_digits;
    *at++ = 'e';
    if (exponent < 0) {
        *at++ = '-';
        exponent = -exponent;
    }
    char reversed[12];
    size_t n = 0;
    do
        reversed[n++] = (char)('0' + exponent % 10);
    while ((exponent /= 10) != 0);
    while (n > 0)
        *at++ = reversed[--n];
    *at = '\0';
    return strtod(buffer, NULL);
}

/* The value of [-+]digits[.digits][e[-+]digits], already checked; '_' is passed over. */
static double parse_checked(const char *at, const char *end)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;

    const char *mantissa_text = at;
    uint64_t mantissa = 0;
    unsigned n_significant = 0;
    long long exponent = 0;
    bool point = false, dropped = false;
    for (; at < end; at++) {
        if (is_digit(*at)) {
            if (n_significant > 0 || *at != '0') {
                if (n_significant < 19)
                    mantissa = mantissa * 10 + (uint64_t)(*at - '0');
                else
                    dropped = true;
                n_significant++;
            }
            exponent -= point;
        } else if (*at == '.') {
            point = true;
        } else if (*at != '_') {
            break;
        }
    }
    const char *mantissa_end = at;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool below = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        long long written = 0;
        for (; at < end; at++)
            if (is_digit(*at) && written < EXPONENT_LIMIT)
                written = written * 10 + (*at - '0');
        exponent += below ? -written : written;
    }

    double value;
    if (mantissa == 0) {
        value = 0;
    } else if (!dropped && mantissa <= (UINT64_C(1) << 53) && exponent >= -22 && exponent <= 22) {
        /* Both sides exact, so one correctly rounded operation is (W. Clinger, 1990). */
        value = exponent < 0 ? (double)mantissa / exact_pow10[-exponent]
                             : (double)mantissa * exact_pow10[exponent];
    } else {
        char digits[SIGNIFICANT_DIGITS];
        size_t n = 0;
        bool more = false;
        for (const char *c = mantissa_text; c < mantissa_end; c++) {
            if (!is_digit(*c) || (n == 0 && *c == '0'))
                continue;
            if (n < SIGNIFICANT_DIGITS) {
                digits[n++] = *c;
            } else {
                exponent++;
                more |= *c != '0';
            }
        }
        value = parse_exactly(digits, n, exponent, more);
    }
    return negative ? -value : value;
}

double number_parse(const char *text, size_t length)
{
    return parse_checked(text, text + length);
}

/* What float() strips of ASCII text; str.strip() would take U+001C to U+001F too. */
static bool is_python_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* digits with single underscores between them; returns the end, NULL where there is no digit. */
static const char *skip_digit_groups(const char *at, const char *end)
{
    if (at == end || !is_digit(*at))
        return NULL;
    while (at < end && (is_digit(*at) || (*at == '_' && at + 1 < end && is_digit(at[1]))))
        at++;
    return at;
}

static bool equal_ignoring_case(const char *at, size_t length, const char *lower)
{
    if (length != strlen(lower))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((at[i] | 0x20) != lower[i])
            return false;
    return true;
}

bool number_parse_python(const char *text, size_t length, double *ret_value)
{
    const char *at = text, *end = text + length;
    while (at < end && is_python_space(*at))
        at++;
    while (at < end && is_python_space(end[-1]))
        end--;
    const char *start = at;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    size_t left = (size_t)(end - at);
    if (equal_ignoring_case(at, left, "inf") || equal_ignoring_case(at, left, "infinity")) {
        *ret_value = negative ? -INFINITY : INFINITY;
        return true;
    }
    if (equal_ignoring_case(at, left, "nan")) {
        *ret_value = NAN;
        return true;
    }
    const char *whole = skip_digit_groups(at, end);
    if (whole)
        at = whole;
    if (at < end && *at == '.') {
        at++;
        const char *fraction = skip_digit_groups(at, end);
        if (fraction)
            at = fraction;
        else if (!whole)
            return false;
    } else if (!whole) {
        return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        at = skip_digit_groups(at, end);
    }
    if (at != end)
        return false;
    *ret_value = parse_checked(start, end);
    return true;
}

/* ---- printing ---- */

/* A positive value as digits * 10^exponent. */
struct decimal {
    uint64_t digits;
    int exponent;
};

static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19; /* log2(10) to enough bits for |e| <= 1233 */
}

/* floor(log10(2^e)), or of 3/4 * 2^e where the lower neighbour is nearer */
static int floor_log10_pow2(int e, bool three_quarters)
{
    return (e * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* High word of a 128 x 64 bit product, its last bit set where anything below is lost. */
static uint64_t multiply_to_odd(const uint64_t power[2], uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)power[1] * factor;
    unsigned __int128 high = (unsigned __int128)power[0] * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/*
 * Schubfach: of the decimals that read back to significand * 2^exponent, one with the fewest
 * digits, and of these the nearest. All of the interval is scaled by one power of ten, in
 * units of a quarter, with a sticky last bit.
 */
static struct decimal shortest(uint64_t significand, int exponent, bool lower_is_nearer)
{
    const uint64_t odd = significand & 1; /* even significands own their interval's ends */
    const int k = floor_log10_pow2(exponent, lower_is_nearer);
    const int shift = exponent + floor_log2_pow10(-k) + 1;
    const uint64_t *power = pow10_table[-k - POW10_FIRST];

    const uint64_t value = multiply_to_odd(power, (4 * significand) << shift);
    const uint64_t lower =
        multiply_to_odd(power, (4 * significand - 2 + lower_is_nearer) << shift) + odd;
    const uint64_t upper = multiply_to_odd(power, (4 * significand + 2) << shift) - odd;

    const uint64_t whole = value / 4;
    if (whole >= 10) {
        const uint64_t tens = whole / 10;
        const bool below_inside = lower <= 40 * tens;
        const bool above_inside = 40 * tens + 40 <= upper;
        if (below_inside != above_inside)
            return (struct decimal){tens + above_inside, k + 1};
    }
    const bool below_inside = lower <= 4 * whole;
    const bool above_inside = 4 * whole + 4 <= upper;
    if (below_inside != above_inside)
        return (struct decimal){whole + above_inside, k};
    const uint64_t middle = 4 * whole + 2;
    const bool up = value > middle || (value == middle && (whole & 1));
    return (struct decimal){whole + up, k};
}

static struct decimal shortest_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const int biased = (int)(bits >> 52 & 0x7FF);
    if (biased == 0)
        return shortest(fraction, -1074, false);
    return shortest(fraction | UINT64_C(1) << 52, biased - 1075, fraction == 0 && biased > 1);
}

static struct decimal shortest_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t fraction = bits & ((UINT32_C(1) << 23) - 1);
    const int biased = (int)(bits >> 23 & 0xFF);
    if (biased == 0)
        return shortest(fraction, -149, false);
    return shortest(fraction | UINT32_C(1) << 23, biased - 150, fraction == 0 && biased > 1);
}

/* The digits without trailing zeros; returns their number. */
static unsigned decimal_digits(struct decimal *decimal, char digits[20])
{
    while (decimal->digits % 10 == 0) {
        decimal->digits /= 10;
        decimal->exponent++;
    }
    char reversed[20];
    unsigned n = 0;
    for (uint64_t left = decimal->digits; left; left /= 10)
        reversed[n++] = (char)('0' + left % 10);
    for (unsigned i = 0; i < n; i++)
        digits[i] = reversed[n - 1 - i];
    return n;
}

/* How the two ways of writing a number differ. */
struct style {
    int lowest_fixed;  /* value >= 10^lowest_fixed is written without an exponent .. */
    int highest_fixed; /* .. if it is below 10^highest_fixed */
    bool python;       /* "1.0", "1e+20", "1e-05" instead of "1", "1e20", "1e-5" */
};

static const struct style json_style = {-3, 10, false};
static const struct style repr_style = {-4, 16, true};

static size_t print_decimal(struct decimal decimal, bool negative, const struct style *style,
                            char *out)
{
    char digits[20];
    const int n = (int)decimal_digits(&decimal, digits);
    const int point = n + decimal.exponent; /* digits before the decimal point */
    char *at = out;
    if (negative)
        *at++ = '-';
    if (point - 1 < style->lowest_fixed || point > style->highest_fixed) {
        *at++ = digits[0];
        if (n > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, (size_t)n - 1);
            at += n - 1;
        }
        int e = point - 1;
        *at++ = 'e';
        if (e < 0) {
            *at++ = '-';
            e = -e;
        } else if (style->python) {
            *at++ = '+';
        }
        if (e >= 100)
            *at++ = (char)('0' + e / 100);
        if (e >= 10 || style->python)
            *at++ = (char)('0' + e / 10 % 10);
        *at++ = (char)('0' + e % 10);
    } else if (point <= 0) {
        *at++ = '0';
        *at++ = '.';
        memset(at, '0', (size_t)-point);
        at += -point;
        memcpy(at, digits, (size_t)n);
        at += n;
    } else if (point >= n) {
        memcpy(at, digits, (size_t)n);
        at += n;
        memset(at, '0', (size_t)(point - n));
        at += point - n;
        if (style->python) {
            *at++ = '.';
            *at++ = '0';
        }
    } else {
        memcpy(at, digits, (size_t)point);
        at += point;
        *at++ = '.';
        memcpy(at, digits + point, (size_t)(n - point));
        at += n - point;
    }
    return (size_t)(at - out);
}

static size_t copy_out(const char *text, char *out)
{
    const size_t length = strlen(text);
    memcpy(out, text, length);
    return length;
}

size_t number_print_float(float value, char out[NUMBER_FLOAT_MAX])
{
    if (value == 0)
        return copy_out(signbit(value) ? "-0" : "0", out);
    return print_decimal(shortest_float(fabsf(value)), signbit(value), &json_style, out);
}

size_t number_print_repr(double value, char out[NUMBER_REPR_MAX])
{
    if (isnan(value))
        return copy_out("nan", out);
    if (isinf(value))
        return copy_out(value < 0 ? "-inf" : "inf", out);
    if (value == 0)
        return copy_out(signbit(value) ? "-0.0" : "0.0", out);
    return print_decimal(shortest_double(fabs(value)), signbit(value), &repr_style, out);
}
