/* SPDX-License-Identifier: Apache-2.0 */
/* The content_type of a tensor. What an earlier request had must not show: v2_fixture.h. */
#include "protocol/tensor_content.h"

#include "v2_fixture.h"

/* A request whose userids are these, with parameters before or behind them. */
static const char *request(const char *datatype, const char *parameters, const char *data,
                           bool behind)
{
    static char body[2000];
    char before[300] = "", after[300] = "";
    snprintf(behind ? after : before, sizeof before, ", \"parameters\": %s", parameters);
    snprintf(body, sizeof body,
             "{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"%s\"%s, "
             "\"data\": [%s]%s}, " BRAND2 ", " PRICE2 "]}",
             datatype, before, data, after);
    return body;
}

static const char *encoded(const char *data)
{
    return request("BYTES", "{\"content_type\": \"base64\"}", data, false);
}

TEST(base64_is_decoded_wherever_it_is_said)
{
    static const struct {
        const char *data, *first, *second;
    } cases[] = {
        {"\"ODg0MjA4\", \"MTA3NjE2Nw==\"", "884208", "1076167"},
        {"\"\", \"NA==\"", "", "4"},
        {"\"NDI=\", \"NDIz\"", "42", "423"},
        {"\"w6k=\", \"5Lit5paH\"", "\xC3\xA9", "\xE4\xB8\xAD\xE6\x96\x87"},
        {"\"+/\\u0041=\", \"NDIz\"", NULL, NULL}, /* \xFB\xF0: not UTF-8 */
        {"\"Pz8\\/Pz4+\", \"YQBi\"", "???\?>>", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int behind = 0; behind < 2; behind++) {
            const char *body =
                request("BYTES", "{\"content_type\": \"base64\"}", cases[i].data, behind);
            if (cases[i].first == NULL) {
                refuses(body, "\"userid\", row 1", "UTF-8");
                continue;
            }
            if (!accepts(body, 2))
                continue;
            CHECK(cell_is(cell(USERID, 0), CELL_TEXT, cases[i].first));
            if (i != 5)
                CHECK(cell_is(cell(USERID, 1), CELL_TEXT, cases[i].second));
            else /* a NUL is a byte as any other */
                CHECK(cell(USERID, 1)->length == 3 &&
                      memcmp(cell(USERID, 1)->text, "a\0b", 3) == 0);
        }
    }
}

TEST(what_is_not_base64_is_refused_by_row)
{
    static const char *const wrong[] = {
        "ODg0MjA", "ODg0MjA4=",      "ODg0MjA4====", "=",        "====",
        "A===",    "N=A=",           "NA==NA==",     "NA =",     " ODg0",
        "ODg0\\n", "ODg0MjA4\\r\\n", "-_-_",         "ODg0!A==", "NB==",
        "NDJ=",    "884208\\u00e9",  "\\u0000AAA",   "884208",   "AAA\\u0000",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char data[100];
        snprintf(data, sizeof data, "\"NDI=\", \"%s\"", wrong[i]);
        refuses(encoded(data), "\"userid\", row 2", "base64");
    }
    /* ED A0 80, C0 80, FF: surrogate, overlong, no byte of UTF-8 */
    static const char *const not_utf8[] = {"7aCA", "wIA=", "/w==", "w6nD"};
    for (size_t i = 0; i < sizeof not_utf8 / sizeof *not_utf8; i++) {
        char data[100];
        snprintf(data, sizeof data, "\"%s\", \"NDI=\"", not_utf8[i]);
        refuses(encoded(data), "\"userid\", row 1", "UTF-8");
    }
}

TEST(every_byte_goes_through_base64)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned a = 1; a < 128; a++) {
        char data[100];
        const unsigned b = 127 - a, bits = a << 16 | b << 8 | a;
        snprintf(data, sizeof data, "\"%c%c%c%c\", \"%c%c==\"", digits[bits >> 18],
                 digits[bits >> 12 & 63], digits[bits >> 6 & 63], digits[bits & 63], digits[a >> 2],
                 digits[(a & 3) << 4]);
        if (!accepts(encoded(data), 2))
            continue;
        const char whole[3] = {(char)a, (char)b, (char)a};
        CHECK(cell(USERID, 0)->length == 3 && memcmp(cell(USERID, 0)->text, whole, 3) == 0);
        CHECK(cell(USERID, 1)->length == 1 && cell(USERID, 1)->text[0] == (char)a);
    }
}

TEST(base64_is_of_texts_in_a_tensor_of_BYTES)
{
    static const char *const datatypes[] = {"INT64", "FP32", "BOOL"};
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        refuses(request(datatypes[i], "{\"content_type\": \"base64\"}", "1, 2", false),
                "\"userid\"", "BYTES");
    refuses(encoded("\"NDI=\", 42"), "\"userid\", row 2", "base64");
    refuses(encoded("true, \"NDI=\""), "\"userid\", row 1", "base64");
    refuses(encoded("4.5, \"NDI=\""), "\"userid\", row 1", "base64");
    if (accepts(encoded("null, \"NDI=\""), 2))
        CHECK(cell(USERID, 0)->kind == CELL_MISSING && cell_is(cell(USERID, 1), CELL_TEXT, "42"));
}

TEST(known_types_leave_values_as_they_are)
{
    static const char *const known[] = {"\"str\"", "\"np\"", "\"pd\"", "\"\"", "null"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char parameters[100];
        snprintf(parameters, sizeof parameters, "{\"x\": [{}], \"content_type\": %s}", known[i]);
        for (int behind = 0; behind < 2; behind++)
            if (accepts(request("BYTES", parameters, "\"NDI=\", 8", behind), 2))
                CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "NDI=") &&
                      cell_is(cell(USERID, 1), CELL_INTEGER, "8"));
    }
}

TEST(an_unknown_type_is_refused_by_name_with_the_known_ones)
{
    static const char *const unknown[] = {"datetime", "Base64",    "base64 ",
                                          "hg_json",  "pil_image", "base64\\u0000"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char parameters[100];
        snprintf(parameters, sizeof parameters, "{\"content_type\": \"%s\"}", unknown[i]);
        for (int behind = 0; behind < 2; behind++) {
            refuses(request("BYTES", parameters, "\"a\", \"b\"", behind), "\"userid\"",
                    "known are str, np, pd and base64");
            CHECK_MSG(i == 5 || strstr(f.error.message, unknown[i]), "%s", f.error.message);
        }
    }
    static const char *const wrong[] = {"1", "true", "[]", "{}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char parameters[100];
        snprintf(parameters, sizeof parameters, "{\"content_type\": %s}", wrong[i]);
        refuses(request("BYTES", parameters, "\"a\", \"b\"", false), "Input 1", "content_type");
    }
    /* of a column that the model lacks nothing is scored */
    accepts("{\"inputs\": [{\"name\": \"picture\", \"shape\": [1], \"datatype\": \"BYTES\", "
            "\"parameters\": {\"content_type\": \"pil_image\"}, \"data\": [\"x\"]}, " USERID2
            ", " BRAND2 ", " PRICE2 "]}",
            2);
}

TEST(the_last_of_equal_keys_says_what_the_values_are)
{
    static const char *const plain[] = {
        "{\"content_type\": \"base64\", \"content_type\": \"str\"}",
        "{\"content_type\": \"base64\"}, \"parameters\": {}",
        "{\"content_type\": \"base64\"}, \"parameters\": null",
        "{\"content_type\": \"datetime\"}, \"parameters\": {\"content_type\": null}",
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        for (int behind = 0; behind < 2; behind++)
            if (accepts(request("BYTES", plain[i], "\"NDI=\", \"x\"", behind), 2))
                CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "NDI="));
    static const char *const base64[] = {
        "{\"content_type\": \"str\", \"content_type\": \"base64\"}",
        "{}, \"parameters\": {\"content_type\": \"base64\"}",
    };
    for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++)
        for (int behind = 0; behind < 2; behind++)
            if (accepts(request("BYTES", base64[i], "\"NDI=\", \"eA==\"", behind), 2))
                CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "42"));
    /* one before the values, another behind them */
    accepts("{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"BYTES\", "
            "\"parameters\": {\"content_type\": \"base64\"}, \"data\": [\"NDI=\", \"x\"], "
            "\"parameters\": {\"content_type\": \"str\"}}, " BRAND2 ", " PRICE2 "]}",
            2);
    CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "NDI="));
}

TEST(what_began_alike_before_is_read_by_its_own_type)
{
    static struct v2_memory memory;
    static const char *const types[] = {"base64", "str",      "base64", "",
                                        "base64", "datetime", "base64"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int round = 0; round < 3; round++) { /* the last two from memory */
            char parameters[100];
            snprintf(parameters, sizeof parameters, "{\"content_type\": \"%s\"}", types[i]);
            const char *body =
                request("BYTES", types[i][0] ? parameters : "null", "\"NDI=\", \"eA==\"", false);
            fixture_reset(&f);
            const int status = v2_parse(&f.frame, text_of(body), strlen(body), "dcnv2", &memory,
                                        &options, &f.error);
            CHECK(status == (strcmp(types[i], "datetime") == 0 ? -1 : 0));
            if (status == 0)
                CHECK(cell_is(cell(USERID, 0), CELL_TEXT,
                              strcmp(types[i], "base64") == 0 ? "42" : "NDI="));
        }
    }
}

TEST(base64_may_be_binary_too)
{
    static const char head[] =
        "{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"BYTES\", "
        "\"parameters\": {\"binary_data_size\": 16, \"content_type\": \"base64\"}}, " BRAND2
        ", " PRICE2 "]}";
    static const struct {
        const char *bytes, *message;
    } cases[] = {{"\4\0\0\0NDI=\4\0\0\0eA==", NULL},
                 {"\4\0\0\0NDI=\4\0\0\0eA=x", "\"userid\", row 2: not base64"},
                 {"\4\0\0\0/w==\4\0\0\0eA==", "UTF-8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder body = {0};
        builder_text(&body, head);
        builder_add(&body, cases[i].bytes, 16);
        fixture_reset(&f);
        const int status = v2_parse(&f.frame, builder_view(&body), strlen(head), "dcnv2", NULL,
                                    &options, &f.error);
        CHECK(status == (cases[i].message ? -1 : 0));
        if (cases[i].message)
            CHECK_MSG(strstr(f.error.message, cases[i].message), "%s", f.error.message);
        else
            CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "42") &&
                  cell_is(cell(USERID, 1), CELL_TEXT, "x"));
        builder_free(&body);
    }
}

TEST(a_full_arena_is_a_413)
{
    const char *body = encoded("\"ODg0MjA4\", \"MTA3NjE2Nw==\"");
    unsigned n_full = 0;
    int status = -1;
    for (size_t limit = 0; limit < 1 << 20 && status != 0; limit += 64) {
        arena_reset(&f.arena, 0);
        f.arena.limit_bytes = limit;
        if (frame_init(&f.frame, &f.schema, &f.arena, MAX_ROWS) != 0)
            continue;
        status = v2_parse(&f.frame, text_of(body), strlen(body), "dcnv2", NULL, &options, &f.error);
        if (status != 0)
            CHECK(f.error.http_status == 413 && ++n_full);
    }
    f.arena.limit_bytes = (size_t)1 << 30;
    CHECK(status == 0 && n_full > 0);
}

int main(void)
{
    fixture_init(&f, COLUMNS, 2, 1, MAX_ROWS);
    RUN(base64_is_decoded_wherever_it_is_said);
    RUN(what_is_not_base64_is_refused_by_row);
    RUN(every_byte_goes_through_base64);
    RUN(base64_is_of_texts_in_a_tensor_of_BYTES);
    RUN(known_types_leave_values_as_they_are);
    RUN(an_unknown_type_is_refused_by_name_with_the_known_ones);
    RUN(the_last_of_equal_keys_says_what_the_values_are);
    RUN(what_began_alike_before_is_read_by_its_own_type);
    RUN(base64_may_be_binary_too);
    RUN(a_full_arena_is_a_413);
    fixture_free(&f);
    return test_report();
}
