/* SPDX-License-Identifier: Apache-2.0 */
/* v2 requests with the binary tensor data extension. */
#include "protocol/v2.h"

#include <math.h>

#include "fixture.h"
#include "test.h"

#define COLUMNS "userid,brand,price"

enum { USERID, BRAND, PRICE, MAX_ROWS = 1000 };

static struct fixture f;

/* A request is its JSON and the bytes behind it. */
struct request {
    const char *json;
    const void *bytes;
    size_t n_bytes;
};

static int parse(struct request request)
{
    static struct text body;
    struct v2_options options;
    struct builder builder = {0};
    fixture_drop(body);
    builder_text(&builder, request.json);
    if (request.n_bytes)
        builder_add(&builder, request.bytes, request.n_bytes);
    body = fixture_copy(builder.at, builder.length);
    builder_free(&builder);
    fixture_reset(&f);
    const int status =
        v2_parse(&f.frame, body, strlen(request.json), "dcnv2", NULL, &options, &f.error);
    if (status != 0)
        CHECK_MSG(error_is_for_clients(&f.error), "\"%s\"", f.error.message);
    else
        for (int c = 0; c < 3; c++)
            CHECK(f.frame.columns[c].n == f.frame.n_rows && f.frame.n_rows > 0);
    return status;
}

static const struct cell *cell(uint32_t column, uint32_t row)
{
    return &f.frame.columns[column].cells[row];
}

static bool accepts(struct request request)
{
    const bool accepted = parse(request) == 0;
    CHECK_MSG(accepted, "%s: %s", request.json, f.error.message);
    return accepted;
}

static void refuses(struct request request, const char *word)
{
    CHECK_MSG(parse(request) == -1, "%s is accepted", request.json);
    CHECK_MSG(f.error.http_status == 400, "%s: %d", request.json, f.error.http_status);
    CHECK_MSG(strstr(f.error.message, word), "%s: \"%s\" has no \"%s\"", request.json,
              f.error.message, word);
}

/* `price` as one binary tensor; the other columns are JSON with `n_rows` nulls. */
static struct request with_price(const char *datatype, unsigned n_rows, const char *size,
                                 const void *bytes, size_t n_bytes)
{
    static char json[4096];
    static const char nulls[] = "null, null, null, null, null, null, null, null, null, null, ";
    const int length = n_rows ? (int)(6 * n_rows - 2) : 0;
    snprintf(json, sizeof json,
             "{\"inputs\": [{\"name\": \"userid\", \"shape\": [%u], \"datatype\": \"BYTES\", "
             "\"data\": [%.*s]}, {\"name\": \"price\", \"shape\": [%u], \"datatype\": \"%s\", "
             "\"parameters\": {\"binary_data_size\": %s}}, {\"name\": \"brand\", \"shape\": [%u], "
             "\"datatype\": \"BYTES\", \"data\": [%.*s]}]}",
             n_rows, length, nulls, n_rows, datatype, size, n_rows, length, nulls);
    return (struct request){json, bytes, n_bytes};
}

static struct request price_of(const char *datatype, unsigned n_rows, const void *bytes,
                               size_t n_bytes)
{
    char size[24];
    snprintf(size, sizeof size, "%zu", n_bytes);
    return with_price(datatype, n_rows, size, bytes, n_bytes);
}

TEST(integers_of_every_width_keep_all_their_digits)
{
    static const struct {
        const char *datatype;
        size_t size;
        const char *bytes; /* little-endian */
        const char *texts[4];
    } cases[] = {
        {"INT8", 1, "\x80\x7F\xFF\x00", {"-128", "127", "-1", "0"}},
        {"UINT8", 1, "\x80\x7F\xFF\x00", {"128", "127", "255", "0"}},
        {"INT16", 2, "\x00\x80\xFF\x7F\xFF\xFF\x01\x00", {"-32768", "32767", "-1", "1"}},
        {"UINT16", 2, "\x00\x80\xFF\x7F\xFF\xFF\x01\x00", {"32768", "32767", "65535", "1"}},
        {"INT32",
         4,
         "\x00\x00\x00\x80\xFF\xFF\xFF\x7F\xFF\xFF\xFF\xFF\x90\x7D\x0D\x00",
         {"-2147483648", "2147483647", "-1", "884112"}},
        {"UINT32",
         4,
         "\x00\x00\x00\x80\xFF\xFF\xFF\x7F\xFF\xFF\xFF\xFF\x90\x7D\x0D\x00",
         {"2147483648", "2147483647", "4294967295", "884112"}},
        {"INT64",
         8,
         "\x00\x00\x00\x00\x00\x00\x00\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"
         "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x00\x00\x00\x00\x00\x20\x00",
         {"-9223372036854775808", "9223372036854775807", "-1", "9007199254740993"}},
        {"UINT64",
         8,
         "\x00\x00\x00\x00\x00\x00\x00\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"
         "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x00\x00\x00\x00\x00\x20\x00",
         {"9223372036854775808", "9223372036854775807", "18446744073709551615",
          "9007199254740993"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!accepts(price_of(cases[i].datatype, 4, cases[i].bytes, 4 * cases[i].size)))
            continue;
        for (uint32_t row = 0; row < 4; row++)
            CHECK_MSG(cell_is(cell(PRICE, row), CELL_INTEGER, cases[i].texts[row]),
                      "%s, row %u: \"%.*s\"", cases[i].datatype, row, (int)cell(PRICE, row)->length,
                      cell(PRICE, row)->text);
    }
}

TEST(bools_are_false_when_0_and_true_otherwise)
{
    if (accepts(price_of("BOOL", 4, "\x00\x01\x02\xFF", 4)))
        for (uint32_t row = 0; row < 4; row++)
            CHECK(cell(PRICE, row)->kind == CELL_BOOL && cell(PRICE, row)->boolean == (row > 0));
}

TEST(floats_of_64_and_32_bits_keep_their_value)
{
    static const double doubles[] = {0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e20};
    static const float floats[] = {0.1f, -0.0f, 1e-45f, 3.4028235e38f, 16777216.0f};
    if (accepts(price_of("FP64", 5, doubles, sizeof doubles)))
        for (uint32_t row = 0; row < 5; row++)
            CHECK(cell(PRICE, row)->kind == CELL_FLOAT &&
                  memcmp(&cell(PRICE, row)->number, &doubles[row], 8) == 0);
    if (accepts(price_of("FP32", 5, floats, sizeof floats)))
        for (uint32_t row = 0; row < 5; row++) {
            const double expected = (double)floats[row];
            CHECK(cell(PRICE, row)->kind == CELL_FLOAT &&
                  memcmp(&cell(PRICE, row)->number, &expected, 8) == 0);
        }
}

/* Value of a half: (-1)^s (m / 1024) 2^(e - 15), IEEE 754. */
static double half_value(unsigned bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const double mantissa = bits & 1023;
    double value;
    if (exponent == 31)
        value = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, -24);
    else
        value = ldexp(1024 + mantissa, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

TEST(every_half_has_its_value)
{
    unsigned n_wrong = 0;
    for (unsigned first = 0; first < 0x10000; first += 8) {
        unsigned char bytes[16];
        for (unsigned i = 0; i < 8; i++) {
            bytes[2 * i] = (unsigned char)(first + i);
            bytes[2 * i + 1] = (unsigned char)((first + i) >> 8);
        }
        if (!accepts(price_of("FP16", 8, bytes, 16)))
            return;
        for (uint32_t row = 0; row < 8; row++) {
            const double value = cell(PRICE, row)->number, expected = half_value(first + row);
            const bool same = isnan(expected)
                                  ? isnan(value)
                                  : value == expected && !signbit(value) == !signbit(expected);
            n_wrong += cell(PRICE, row)->kind == CELL_FLOAT && !same;
        }
    }
    CHECK_MSG(n_wrong == 0, "%u halves", n_wrong);
}

TEST(bytes_are_texts_behind_their_lengths)
{
    static const char bytes[] = "\x01\0\0\0"
                                "7"
                                "\0\0\0\0"
                                "\x03\0\0\0"
                                "a\0b"
                                "\x06\0\0\0"
                                "\xC3\xA9\xF0\x9F\x98\x80";
    if (!accepts(price_of("BYTES", 4, bytes, sizeof bytes - 1)))
        return;
    CHECK(cell_is(cell(PRICE, 0), CELL_TEXT, "7"));
    CHECK(cell_is(cell(PRICE, 1), CELL_TEXT, ""));
    CHECK(cell(PRICE, 2)->length == 3 && memcmp(cell(PRICE, 2)->text, "a\0b", 3) == 0);
    CHECK(cell_is(cell(PRICE, 3), CELL_TEXT, "\xC3\xA9\xF0\x9F\x98\x80"));
}

TEST(bytes_that_do_not_fit_their_lengths_are_refused)
{
    static const struct {
        const char *bytes;
        size_t length;
        unsigned n;
    } cases[] = {
        {"", 0, 1},                 /* no prefix */
        {"\x01\0\0", 3, 1},         /* cut in the prefix */
        {"\x01\0\0\0", 4, 1},       /* cut behind it */
        {"\x02\0\0\0x", 5, 1},      /* cut in the text */
        {"\xFF\xFF\xFF\xFF", 4, 1}, /* a length of 4 GiB */
        {"\xFF\xFF\xFF\xFFxxxxxxxx", 12, 1},
        {"\xFB\xFF\xFF\xFFx", 5, 1},       /* wraps around in 32 bits */
        {"\x01\0\0\0x", 5, 2},             /* one text too few */
        {"\x01\0\0\0x\0\0\0", 8, 2},       /* cut in the second prefix */
        {"\x01\0\0\0xy", 6, 1},            /* a byte too many */
        {"\x01\0\0\0x\x01\0\0\0y", 10, 1}, /* a text too many */
        {"\x01\0\0\0x\0\0\0\0", 9, 1},     /* an empty text too many */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(price_of("BYTES", cases[i].n, cases[i].bytes, cases[i].length), "price");
}

TEST(bytes_must_be_utf8)
{
    static const char *const bad[] = {"\xFF",         "\xC3",  "\xC0\x80",
                                      "\xED\xA0\x80", "a\x80", "\xF4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char bytes[16] = {(char)strlen(bad[i])};
        memcpy(bytes + 4, bad[i], strlen(bad[i]));
        refuses(price_of("BYTES", 1, bytes, 4 + strlen(bad[i])), "price");
    }
}

TEST(a_size_that_is_no_number_of_bytes_is_refused)
{
    static const float one = 1.0f;
    static const char *const sizes[] = {"-4",
                                        "4.0",
                                        "4e0",
                                        "\"4\"",
                                        "true",
                                        "[4]",
                                        "{}",
                                        "-0.0",
                                        "9223372036854775808",
                                        "18446744073709551620",
                                        "18446744073709551616",
                                        "-18446744073709551612",
                                        "340282366920938463463374607431768211460"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        refuses(with_price("FP32", 1, sizes[i], &one, 4), "");
}

TEST(a_size_beyond_the_body_is_refused)
{
    static const float one = 1.0f;
    static const char *const sizes[] = {"5", "8", "1000000", "4294967300", "9223372036854775807"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        refuses(with_price("FP32", 1, sizes[i], &one, 4), "price");
    refuses(with_price("FP32", 1, "4", &one, 3), "price");
    refuses(with_price("FP32", 1, "4", NULL, 0), "price");
}

TEST(sizes_whose_sum_overflows_are_refused)
{
    static const char json[] = "{\"inputs\": ["
                               "{\"name\": \"x\", \"shape\": [1], \"datatype\": \"BYTES\", "
                               "\"parameters\": {\"binary_data_size\": 9223372036854775807}}, "
                               "{\"name\": \"y\", \"shape\": [1], \"datatype\": \"BYTES\", "
                               "\"parameters\": {\"binary_data_size\": 9223372036854775807}}, "
                               "{\"name\": \"price\", \"shape\": [1], \"datatype\": \"FP32\", "
                               "\"parameters\": {\"binary_data_size\": 4}}]}";
    refuses((struct request){json, "abcd", 4}, "x");
}

TEST(a_size_must_be_that_of_the_shape)
{
    static const unsigned char bytes[32];
    static const struct {
        const char *datatype;
        unsigned n;
        size_t length;
    } cases[] = {{"FP32", 2, 4}, {"FP32", 1, 8},   {"FP32", 2, 7},   {"FP32", 2, 9},
                 {"FP32", 1, 0}, {"FP64", 2, 8},   {"FP64", 1, 4},   {"FP16", 2, 2},
                 {"INT8", 2, 1}, {"INT8", 2, 3},   {"INT64", 4, 31}, {"UINT16", 2, 8},
                 {"BOOL", 3, 2}, {"UINT64", 3, 32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(price_of(cases[i].datatype, cases[i].n, bytes, cases[i].length), "price");
}

TEST(bytes_left_over_are_refused)
{
    static const float two[] = {1.0f, 2.0f};
    refuses(with_price("FP32", 1, "4", two, 8), "4");
    refuses(with_price("FP32", 1, "4", two, 5), "1");
    refuses((struct request){"{\"inputs\": ["
                             "{\"name\": \"userid\", \"shape\": [1], \"datatype\": \"BYTES\", "
                             "\"data\": [1]}, {\"name\": \"brand\", \"shape\": [1], \"datatype\": "
                             "\"BYTES\", \"data\": [1]}, {\"name\": \"price\", \"shape\": [1], "
                             "\"datatype\": \"BYTES\", \"data\": [1]}]}",
                             "x", 1},
            "1");
}

TEST(an_unknown_datatype_is_refused_in_binary_too)
{
    refuses(price_of("BF16", 1, "\0\0", 2), "price");
    refuses(price_of("fp32", 1, "\0\0\0\0", 4), "price");
    refuses(price_of("", 1, "\0", 1), "price");
}

/* Every tensor in binary, in another order than the model's, at odd offsets. */
TEST(tensors_take_their_bytes_in_the_order_of_the_request)
{
    static const char json[] =
        "{\"inputs\": ["
        "{\"parameters\": {\"binary_data_size\": 11, \"x\": 1}, \"name\": \"brand\", "
        "\"shape\": [2, 1], \"datatype\": \"BYTES\"}, "
        "{\"name\": \"unused\", \"shape\": [3], \"datatype\": \"INT8\", "
        "\"parameters\": {\"binary_data_size\": 3}}, "
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP64\", "
        "\"parameters\": {\"binary_data_size\": 16}}, "
        "{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"UINT32\", "
        "\"parameters\": {\"binary_data_size\": 8}, \"data\": null}]}";
    static const char bytes[] = "\x01\0\0\0"
                                "b"
                                "\x02\0\0\0"
                                "cd"
                                "\x01\x02\x03"
                                "\0\0\0\0\0\0\xE0\x3F\0\0\0\0\0\0\0\xC0"
                                "\x07\0\0\0\xFF\xFF\xFF\xFF";
    for (size_t spaces = 0; spaces < 8; spaces++) {
        struct builder builder = {0};
        builder_text(&builder, json);
        builder_repeat(&builder, " ", spaces);
        builder_add(&builder, "", 1);
        if (!accepts((struct request){builder.at, bytes, sizeof bytes - 1})) {
            builder_free(&builder);
            return;
        }
        CHECK(cell_is(cell(BRAND, 0), CELL_TEXT, "b") && cell_is(cell(BRAND, 1), CELL_TEXT, "cd"));
        CHECK(cell(PRICE, 0)->number == 0.5 && cell(PRICE, 1)->number == -2.0);
        CHECK(cell_is(cell(USERID, 0), CELL_INTEGER, "7"));
        CHECK(cell_is(cell(USERID, 1), CELL_INTEGER, "4294967295"));
        builder_free(&builder);
    }
    for (size_t length = 0; length < sizeof bytes - 1; length++)
        refuses((struct request){json, bytes, length}, "");
}

TEST(data_wins_over_a_binary_size)
{
    static const char json[] =
        "{\"inputs\": ["
        "{\"name\": \"userid\", \"shape\": [1], \"datatype\": \"BYTES\", \"data\": [1], "
        "\"parameters\": {\"binary_data_size\": 99}}, "
        "{\"name\": \"brand\", \"shape\": [1], \"datatype\": \"BYTES\", "
        "\"parameters\": {\"binary_data_size\": 99}, \"data\": [2]}, "
        "{\"name\": \"price\", \"shape\": [1], \"datatype\": \"FP32\", "
        "\"parameters\": {\"binary_data_size\": 4}}]}";
    static const float half = 0.5f;
    if (accepts((struct request){json, &half, 4})) {
        CHECK(cell_is(cell(USERID, 0), CELL_INTEGER, "1"));
        CHECK(cell_is(cell(BRAND, 0), CELL_INTEGER, "2"));
        CHECK(cell(PRICE, 0)->number == 0.5);
    }
}

TEST(a_tensor_that_comes_twice_is_named_in_binary_too)
{
    static const char json[] = "{\"inputs\": ["
                               "{\"name\": \"price\", \"shape\": [1], \"datatype\": \"FP32\", "
                               "\"parameters\": {\"binary_data_size\": 4}}, "
                               "{\"name\": \"price\", \"shape\": [1], \"datatype\": \"FP32\", "
                               "\"parameters\": {\"binary_data_size\": 4}}]}";
    refuses((struct request){json, "\0\0\0\0\0\0\0\0", 8}, "price");
}

TEST(not_a_number_and_infinities_are_floats)
{
    static const unsigned char nan32[] = {0, 0, 0xC0, 0x7F, 0, 0, 0x80, 0xFF};
    if (accepts(price_of("FP32", 2, nan32, sizeof nan32)))
        CHECK(isinf(cell(PRICE, 1)->number) && cell(PRICE, 1)->number < 0);
    static const unsigned char nan64[] = {0, 0, 0, 0, 0, 0, 0xF8, 0xFF,
                                          1, 0, 0, 0, 0, 0, 0xF0, 0x7F};
    accepts(price_of("FP64", 2, nan64, sizeof nan64));
}

TEST(the_length_of_the_json_decides_where_bytes_start)
{
    struct request request = price_of("FP32", 1, "\0\0\0\x3F", 4);
    struct builder builder = {0};
    struct v2_options options;
    builder_text(&builder, request.json);
    builder_add(&builder, request.bytes, request.n_bytes);
    struct text body = builder_view(&builder);
    const size_t json_length = strlen(request.json);
    for (size_t length = 0; length <= body.length; length++) {
        fixture_reset(&f);
        const int status = v2_parse(&f.frame, body, length, "dcnv2", NULL, &options, &f.error);
        CHECK_MSG((status == 0) == (length == json_length), "%zu of %zu", length, json_length);
        if (status != 0)
            CHECK(f.error.http_status == 400 && error_is_for_clients(&f.error));
    }
    builder_free(&builder);
}

TEST(more_rows_than_allowed_are_refused_before_they_take_memory)
{
    static char bytes[4 * (MAX_ROWS + 1)];
    static const char *const datatypes[] = {"INT8", "BOOL", "FP32", "BYTES"};
    static const unsigned sizes[] = {1, 1, 4, 4};
    for (int i = 0; i < 4; i++)
        for (unsigned n = MAX_ROWS; n <= MAX_ROWS + 1; n++) {
            char json[400];
            snprintf(json, sizeof json,
                     "{\"inputs\": [{\"name\": \"price\", \"shape\": [%u], \"datatype\": \"%s\", "
                     "\"parameters\": {\"binary_data_size\": %u}}]}",
                     n, datatypes[i], n * sizes[i]);
            CHECK(parse((struct request){json, bytes, (size_t)n * sizes[i]}) == -1);
            /* the other columns are missing: a 400, unless the rows alone are too many */
            CHECK_MSG(f.error.http_status == (n > MAX_ROWS ? 413 : 400), "%s: %d \"%s\"",
                      datatypes[i], f.error.http_status, f.error.message);
        }
    accepts(price_of("BYTES", 1, "\0\0\0\0", 4)); /* the frame is usable again */
}

int main(void)
{
    fixture_init(&f, COLUMNS, 2, 1, MAX_ROWS);
    RUN(integers_of_every_width_keep_all_their_digits);
    RUN(bools_are_false_when_0_and_true_otherwise);
    RUN(floats_of_64_and_32_bits_keep_their_value);
    RUN(every_half_has_its_value);
    RUN(bytes_are_texts_behind_their_lengths);
    RUN(bytes_that_do_not_fit_their_lengths_are_refused);
    RUN(bytes_must_be_utf8);
    RUN(a_size_that_is_no_number_of_bytes_is_refused);
    RUN(a_size_beyond_the_body_is_refused);
    RUN(sizes_whose_sum_overflows_are_refused);
    RUN(a_size_must_be_that_of_the_shape);
    RUN(bytes_left_over_are_refused);
    RUN(an_unknown_datatype_is_refused_in_binary_too);
    RUN(tensors_take_their_bytes_in_the_order_of_the_request);
    RUN(data_wins_over_a_binary_size);
    RUN(a_tensor_that_comes_twice_is_named_in_binary_too);
    RUN(not_a_number_and_infinities_are_floats);
    RUN(the_length_of_the_json_decides_where_bytes_start);
    RUN(more_rows_than_allowed_are_refused_before_they_take_memory);
    fixture_free(&f);
    return test_report();
}
