/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading is checked against strtod, which glibc rounds exactly; printing against
 * strtof and Python's own texts (tests/golden/make_number_golden.py).
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "fixture.h"
#include "golden.h"
#include "number.h"
#include "test.h"

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* `text` ends in NUL for strtod; what number_parse() gets does not. */
static bool parses_as_strtod(const char *text)
{
    const double expected = strtod(text, NULL);
    struct text exact = fixture_copy(text, strlen(text));
    const double value = number_parse(exact.at, exact.length);
    fixture_drop(exact);
    if (double_bits(value) == double_bits(expected))
        return true;
    CHECK_MSG(false, "\"%.60s\" (%zu bytes) gives %a, not %a", text, strlen(text), value, expected);
    return false;
}

TEST(numbers_that_are_hard_to_round_are_rounded_exactly)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e5",
        "0e-5",
        "0.000e400",
        "-0e-400",
        "1",
        "-1",
        "0.1",
        "1e0",
        "1E5",
        "1e+5",
        "1e-5",
        "10",
        "100",
        "0.05",
        "123456789",
        "1e22",
        "1e23",
        "-1e23",
        "9e22",
        /* around 2^53: halves go to the even one */
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740994",
        "9007199254740995",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000001",
        "9007199254740992.99999999999999999999999999",
        "900719925474099300000e-5",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709550591",
        "18446744073709550592",
        "18446744073709550593",
        "36893488147419103231",
        "36893488147419103232",
        /* the ends of the range */
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231570000e289",
        "1.797693134862315807e308",
        "1.797693134862315809e308",
        "1e308",
        "1e309",
        "-1e309",
        "1e400",
        "1e99999",
        "1e-99999",
        "0.1e310",
        "10000e304",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945516529"
        "5239081350879141491589130396211068700864386945946455276572074078206217433799881410632673"
        "2925355228688137214901298112245145188984905722230728525513315575501591439747639798341180"
        "1999323962548289017107081850690630666655994938275772572015763062690663332647565300009245"
        "8883164330377797918696120494973903778297049050510806099407302629371289589500035837999672"
        "0725430437936245183143e-308",
        "4.9406564584124654e-324",
        "5e-324",
        "4e-324",
        "3e-324",
        "2.5e-324",
        "2.4703282292062328e-324",
        "2.4703282292062327e-324",
        "2.47032822920623272088e-324",
        "2.47032822920623272089e-324",
        "7.4109846876186981e-324",
        "7.4109846876186982e-324",
        "1e-323",
        "1e-400",
        "-1e-400",
        /* long ones: the last digit decides */
        "0.1000000000000000055511151231257827021181583404541015625",
        "0.10000000000000000555111512312578270211815834045410156250000000000000000001",
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "0.500000000000000166533453693773481063544750213623046875",
        "6929495644600919.5",
        "3.7455744005952583e15",
        "2.2250738585072013e-308",
        "8.5e-45",
        "1.448997445238699",
        "0.000000000000000000000000000000000000011754943508222875",
        "5708990770823839207320493820740630171355185152001",
        "1090544144181609348671888949248",
        "1090544144181609348835077142190",
        /* many zeros on either side */
        "0.00000000000000000000000000000000000000000000000000000000000000000000000000000001",
        "100000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000e400",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000e-400",
        /* exponents beyond any integer type */
        "1e9223372036854775808",
        "1e-9223372036854775808",
        "0e99999999999999999999",
        "1e4294967296",
        "1e-4294967297",
        "1e2147483648",
        "12e18446744073709551617",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        parses_as_strtod(texts[i]);
}

TEST(numbers_of_thousands_of_digits_are_rounded_exactly)
{
    enum { N = 3000 };
    static char text[2 * N + 64];
    for (int digit = 0; digit <= 9; digit++) {
        memset(text, '0' + digit, N);
        text[0] = digit ? text[0] : '0';
        text[N] = '\0';
        if (digit) { /* a leading zero is no JSON */
            parses_as_strtod(text);
            snprintf(text + N, 32, "e-%d", N);
            parses_as_strtod(text);
        }
        snprintf(text, sizeof text, "0.%0*d%d", N, 0, digit);
        parses_as_strtod(text);
        snprintf(text, sizeof text, "0.%0*d%de%d", N, 0, digit, N);
        parses_as_strtod(text);
        snprintf(text, sizeof text, "1.00000000000000011102230246251565404236316680908203125%0*d%d",
                 N, 0, digit);
        parses_as_strtod(text);
        snprintf(text, sizeof text, "9007199254740993.%0*d%d", N, 0, digit);
        parses_as_strtod(text);
    }
}

TEST(halfway_points_of_random_doubles_go_to_the_even_neighbour)
{
    static char text[1200];
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = random_bits() & 0x7FFFFFFFFFFFFFFFu;
        const double low = double_of(bits), high = double_of(bits + 1);
        if (!isfinite(low) || !isfinite(high))
            continue;
        /* long double has 64 bits of mantissa: the middle of two doubles is exact in it */
        const long double middle = ((long double)low + high) / 2;
        snprintf(text, sizeof text, "%.1100Lf", middle);
        if (strlen(text) >= sizeof text - 1)
            snprintf(text, sizeof text, "%.780Le", middle);
        if (!parses_as_strtod(text))
            break;
        snprintf(text, sizeof text, "%.*Le", (int)(random_bits() % 40), middle);
        if (!parses_as_strtod(text))
            break;
    }
}

TEST(a_million_random_numbers_are_read_as_strtod_reads_them)
{
    char text[128];
    for (int i = 0; i < 1000000; i++) {
        const uint64_t random = random_bits();
        size_t n = 0;
        if (random % 3 == 0) { /* as a program prints a double */
            const double value = double_of(random_bits());
            if (!isfinite(value))
                continue;
            snprintf(text, sizeof text, "%.*e", (int)(random % 20), value);
        } else { /* digits, a point somewhere, an exponent or none */
            const size_t n_digits = 1 + random / 3 % (random % 2 ? 20 : 45);
            const size_t point = random_bits() % (2 * n_digits);
            if (random & 64)
                text[n++] = '-';
            for (size_t d = 0; d < n_digits; d++) {
                text[n++] = (char)('0' + random_bits() % 10);
                if (d == 0 && text[n - 1] == '0' && point != 0)
                    text[n - 1] = '1';
                if (d == point && d + 1 < n_digits)
                    text[n++] = '.';
            }
            text[n] = '\0';
            if (random & 128)
                snprintf(text + n, 16, "e%d", (int)(random_bits() % 700) - 350);
        }
        if (!parses_as_strtod(text))
            break;
    }
}

/* Digits of a JSON number without leading and trailing zeros. */
static size_t significant_digits(const char *text, size_t length)
{
    size_t n = 0, trailing = 0;
    for (size_t i = 0; i < length && text[i] != 'e'; i++) {
        if (text[i] < '0' || text[i] > '9' || (n == 0 && text[i] == '0'))
            continue;
        n++;
        trailing = text[i] == '0' ? trailing + 1 : 0;
    }
    return n - trailing;
}

/* RFC 8259 section 6. */
static bool is_json_number(const char *text, size_t length)
{
    size_t i = length > 0 && text[0] == '-';
    if (i == length)
        return false;
    if (text[i] == '0')
        i++;
    else
        for (size_t start = i;; i++)
            if (i == length || text[i] < '0' || text[i] > '9') {
                if (i == start)
                    return false;
                break;
            }
    if (i < length && text[i] == '.') {
        size_t start = ++i;
        while (i < length && text[i] >= '0' && text[i] <= '9')
            i++;
        if (i == start)
            return false;
    }
    if (i < length && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        i += i < length && (text[i] == '+' || text[i] == '-');
        size_t start = i;
        while (i < length && text[i] >= '0' && text[i] <= '9')
            i++;
        if (i == start)
            return false;
    }
    return i == length;
}

/* Number of digits with which no decimal that is near reads back, and one more does. */
static size_t least_digits(float value)
{
    char text[64];
    for (int precision = 0; precision < 9; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, (double)value);
        if (strtof(text, NULL) == value)
            return significant_digits(text, strlen(text));
        /* the neighbours: at a power of two the nearest is not always the one that reads back */
        char *last = text + (precision ? precision + 1 : 0) + (value < 0);
        const char kept = *last;
        for (int step = -1; step <= 1; step += 2) {
            *last = (char)(kept + step);
            if (*last >= (precision ? '0' : '1') && *last <= '9' && strtof(text, NULL) == value)
                return significant_digits(text, strlen(text));
        }
    }
    return 9;
}

static bool prints_shortest(uint32_t bits)
{
    struct text exact = fixture_copy("################", NUMBER_FLOAT_MAX);
    char *out = (char *)exact.at, text[NUMBER_FLOAT_MAX + 1] = "";
    const float value = float_of(bits);
    const size_t length = number_print_float(value, out);
    bool good = length > 0 && length <= NUMBER_FLOAT_MAX;
    CHECK_MSG(good, "%08x: length %zu", bits, length);
    if (good) {
        memcpy(text, out, length);
        good = is_json_number(text, length);
        CHECK_MSG(good, "%08x: \"%s\" is no JSON number", bits, text);
    }
    if (good) {
        good = float_bits(strtof(text, NULL)) == bits;
        CHECK_MSG(good, "%08x: \"%s\" does not read back", bits, text);
    }
    if (good) {
        const size_t least = least_digits(value);
        good = significant_digits(text, length) <= (value != 0 ? least : 0);
        CHECK_MSG(good, "%08x: \"%s\" has more than %zu digits", bits, text, least);
    }
    fixture_drop(exact);
    return good;
}

TEST(floats_over_all_bit_patterns_print_shortest_and_read_back)
{
    unsigned n_wrong = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX && n_wrong < 10; bits += 15013)
        if (isfinite(float_of((uint32_t)bits)))
            n_wrong += !prints_shortest((uint32_t)bits);
}

TEST(floats_at_boundaries_print_shortest_and_read_back)
{
    for (uint32_t sign = 0; sign <= 0x80000000u; sign += 0x80000000u) {
        for (uint32_t bits = 0; bits < 3000; bits++) /* the smallest denormals */
            prints_shortest(sign | bits);
        for (uint32_t exponent = 0; exponent < 255; exponent++)
            for (uint32_t i = 0; i < 40; i++) {
                prints_shortest(sign | exponent << 23 | i);
                prints_shortest(sign | exponent << 23 | (0x7FFFFF - i));
            }
        for (int exponent = -45; exponent <= 38; exponent++)
            for (int digit = 1; digit <= 9; digit++) {
                char text[32];
                snprintf(text, sizeof text, "%de%d", digit, exponent);
                const uint32_t bits = float_bits(strtof(text, NULL));
                for (uint32_t step = 0; step < 5; step++)
                    if (bits + step >= 2 && isfinite(float_of(bits + step - 2)))
                        prints_shortest(sign | (bits + step - 2));
            }
        if (sign)
            break;
    }
}

TEST(floats_of_a_score_print_shortest_and_read_back)
{
    for (uint32_t i = 0; i < 200000; i++)
        if (!prints_shortest(float_bits((float)i / 200000)))
            break;
}

TEST(well_known_floats_have_the_texts_that_the_header_names)
{
    static const struct {
        float value;
        const char *text;
    } cases[] = {{0.05f, "0.05"},        {1.0f, "1"},
                 {1e-7f, "1e-7"},        {0.0f, "0"},
                 {0.5f, "0.5"},          {0.1f, "0.1"},
                 {0.25f, "0.25"},        {-1.5f, "-1.5"},
                 {100.0f, "100"},        {0.056723863f, "0.056723863"},
                 {0.999999f, "0.999999"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[NUMBER_FLOAT_MAX];
        struct text text = {out, number_print_float(cases[i].value, out)};
        CHECK_MSG(text_is(text, cases[i].text), "\"%.*s\", not \"%s\"", (int)text.length, out,
                  cases[i].text);
    }
}

static uint64_t hex(struct text text)
{
    char digits[17] = "";
    memcpy(digits, text.at, text.length < 16 ? text.length : 16);
    return strtoull(digits, NULL, 16);
}

static void check_repr(struct text bits, const char *out, size_t length, struct text expected)
{
    CHECK(length <= NUMBER_REPR_MAX);
    struct text text = {out, length};
    CHECK_MSG(text_equal(text, expected), "%.*s: \"%.*s\", not \"%.*s\"", (int)bits.length, bits.at,
              (int)length, out, (int)expected.length, expected.at);
}

TEST(doubles_have_pythons_repr)
{
    struct golden golden;
    struct text fields[2];
    if (!golden_open(&golden, "tests/golden/repr_double.tsv"))
        return;
    while (golden_next(&golden, fields, 2) == 2) {
        struct text exact = fixture_copy("#########################", NUMBER_REPR_MAX);
        const size_t n = number_print_repr(double_of(hex(fields[0])), (char *)exact.at);
        check_repr(fields[0], exact.at, n, fields[1]);
        fixture_drop(exact);
    }
    CHECK_MSG(golden.n_records > 3000, "%u records", golden.n_records);
    golden_close(&golden);
}

TEST(random_doubles_print_with_17_digits_at_most_and_read_back)
{
    for (int i = 0; i < 300000; i++) {
        const double value = double_of(random_bits());
        if (isnan(value))
            continue;
        char out[NUMBER_REPR_MAX + 1] = "";
        const size_t length = number_print_repr(value, out);
        CHECK(length <= NUMBER_REPR_MAX);
        if (double_bits(strtod(out, NULL)) != double_bits(value) ||
            significant_digits(out, length) > 17) {
            CHECK_MSG(false, "%a prints as \"%s\"", value, out);
            break;
        }
    }
}

TEST(every_nan_prints_as_nan)
{
    static const uint64_t nans[] = {0x7FF8000000000000u, 0xFFF8000000000000u, 0x7FF0000000000001u,
                                    0xFFFFFFFFFFFFFFFFu};
    for (size_t i = 0; i < 4; i++) {
        char out[NUMBER_REPR_MAX];
        CHECK(text_is((struct text){out, number_print_repr(double_of(nans[i]), out)}, "nan"));
    }
}

/* The text with what is not printable as \\xHH, cut. */
static const char *shown(struct text text)
{
    static char out[300];
    size_t n = 0;
    for (size_t i = 0; i < text.length && n < sizeof out - 8; i++) {
        const unsigned char c = (unsigned char)text.at[i];
        n += (size_t)snprintf(out + n, 8, c >= 0x20 && c < 0x7F ? "%c" : "\\x%02x", c);
    }
    out[n] = '\0';
    return out;
}

static bool is_ascii(struct text text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.at[i] >= 0x80)
            return false;
    return true;
}

/* Python also knows the digits and the spaces of other scripts; we may refuse those. */
TEST(text_is_a_number_when_pythons_float_says_so)
{
    struct golden golden;
    struct text fields[2];
    if (!golden_open(&golden, "tests/golden/python_float.tsv"))
        return;
    while (golden_next(&golden, fields, 2) == 2) {
        struct text exact = fixture_copy(fields[0].at, fields[0].length);
        double value = 12345.0;
        const bool accepted = number_parse_python(exact.at, exact.length, &value);
        if (text_is(fields[1], "refused")) {
            CHECK_MSG(!accepted, "\"%s\" is taken for %g", shown(exact), value);
            CHECK_MSG(accepted || value == 12345.0, "\"%s\" touches the result", shown(exact));
        } else {
            CHECK_MSG(accepted || !is_ascii(exact), "\"%s\" is refused", shown(exact));
            const double expected = double_of(hex(fields[1]));
            CHECK_MSG(!accepted || double_bits(value) == double_bits(expected) ||
                          (isnan(value) && isnan(expected)),
                      "\"%s\" is %a, not %a", shown(exact), value, expected);
        }
        fixture_drop(exact);
    }
    CHECK_MSG(golden.n_records > 250, "%u records", golden.n_records);
    golden_close(&golden);
}

int main(void)
{
    RUN(numbers_that_are_hard_to_round_are_rounded_exactly);
    RUN(numbers_of_thousands_of_digits_are_rounded_exactly);
    RUN(halfway_points_of_random_doubles_go_to_the_even_neighbour);
    RUN(a_million_random_numbers_are_read_as_strtod_reads_them);
    RUN(floats_over_all_bit_patterns_print_shortest_and_read_back);
    RUN(floats_at_boundaries_print_shortest_and_read_back);
    RUN(floats_of_a_score_print_shortest_and_read_back);
    RUN(well_known_floats_have_the_texts_that_the_header_names);
    RUN(doubles_have_pythons_repr);
    RUN(random_doubles_print_with_17_digits_at_most_and_read_back);
    RUN(every_nan_prints_as_nan);
    RUN(text_is_a_number_when_pythons_float_says_so);
    return test_report();
}
