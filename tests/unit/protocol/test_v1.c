/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/v1.h"

#include <math.h>

#include "fixture.h"
#include "test.h"

/* Columns: userid and brand are categories, price is dense. */
#define COLUMNS "userid,brand,price"

enum { USERID, BRAND, PRICE, MAX_ROWS = 1000 };

static struct fixture f;
static bool wants_logits;

/* Parses a body whose memory ends with its last byte; it stays until the next call. */
static int parse_bytes(const char *bytes, size_t length)
{
    static struct text body;
    fixture_drop(body);
    body = fixture_copy(bytes, length);
    fixture_reset(&f);
    const int status = v1_parse(&f.frame, body, "dcnv2", &wants_logits, &f.error);
    if (status == 0) {
        CHECK(f.frame.n_rows > 0);
        for (int c = 0; c < 3; c++)
            CHECK(f.frame.columns[c].n == f.frame.n_rows);
        CHECK(f.frame.n_segments > 0 && f.frame.segment_starts[0] == 0);
    } else {
        CHECK(status == -1);
        CHECK_MSG(error_is_for_clients(&f.error), "\"%s\"", f.error.message);
    }
    return status;
}

static int parse(const char *body)
{
    return parse_bytes(body, strlen(body));
}

static const struct cell *cell(uint32_t column, uint32_t row)
{
    return &f.frame.columns[column].cells[row];
}

static bool accepts(const char *body, uint32_t n_rows)
{
    const bool accepted = parse(body) == 0;
    CHECK_MSG(accepted, "%s: %s", body, f.error.message);
    if (accepted)
        CHECK_MSG(f.frame.n_rows == n_rows, "%s: %u rows", body, f.frame.n_rows);
    return accepted && f.frame.n_rows == n_rows;
}

/* A 400 whose message has each of up to three words. */
static void refuses(const char *body, const char *a, const char *b, const char *c)
{
    CHECK_MSG(parse(body) == -1, "%s is accepted", body);
    CHECK_MSG(f.error.http_status == 400, "%s: %d", body, f.error.http_status);
    const char *words[] = {a, b, c};
    for (int i = 0; i < 3 && words[i]; i++)
        CHECK_MSG(strstr(f.error.message, words[i]), "%s: \"%s\" has no \"%s\"", body,
                  f.error.message, words[i]);
}

#define ROW "{\"userid\": [\"7\"], \"brand\": [\"b\"], \"price\": [0.5]}"

TEST(inputs_and_instances_are_lists_of_instances)
{
    static const char *const bodies[] = {"{\"inputs\": [" ROW "]}", "{\"instances\": [" ROW "]}",
                                         " {\t\"instances\"\n:\r[ " ROW " ] } \n",
                                         "{\"signature_name\": \"x\", \"inputs\": [" ROW "]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (!accepts(bodies[i], 1))
            continue;
        CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "7"));
        CHECK(cell_is(cell(BRAND, 0), CELL_TEXT, "b"));
        CHECK(cell(PRICE, 0)->kind == CELL_FLOAT && cell(PRICE, 0)->number == 0.5);
    }
}

TEST(each_kind_of_value_becomes_its_kind_of_cell)
{
    if (!accepts("{\"inputs\": [{\"userid\": [12, 1.0, true, false, null, \"x\", \"\"],"
                 "\"brand\": [-0, -0.0, 1e3, 18446744073709551616, -9223372036854775809, "
                 "\"a\\u0000b\", \"\\u00e9\"],"
                 "\"price\": [1, 1.5, \"1.5\", true, null, 1E-3, -7]}]}",
                 7))
        return;
    CHECK(cell_is(cell(USERID, 0), CELL_INTEGER, "12"));
    CHECK(cell(USERID, 1)->kind == CELL_FLOAT && cell(USERID, 1)->number == 1.0);
    CHECK(cell(USERID, 2)->kind == CELL_BOOL && cell(USERID, 2)->boolean);
    CHECK(cell(USERID, 3)->kind == CELL_BOOL && !cell(USERID, 3)->boolean);
    CHECK(cell(USERID, 4)->kind == CELL_MISSING);
    CHECK(cell_is(cell(USERID, 5), CELL_TEXT, "x"));
    CHECK(cell_is(cell(USERID, 6), CELL_TEXT, ""));
    CHECK(cell_is(cell(BRAND, 0), CELL_INTEGER, "0"));
    CHECK(cell(BRAND, 1)->kind == CELL_FLOAT && signbit(cell(BRAND, 1)->number));
    CHECK(cell(BRAND, 2)->kind == CELL_FLOAT && cell(BRAND, 2)->number == 1000.0);
    CHECK(cell_is(cell(BRAND, 3), CELL_INTEGER, "18446744073709551616"));
    CHECK(cell_is(cell(BRAND, 4), CELL_INTEGER, "-9223372036854775809"));
    CHECK(cell(BRAND, 5)->kind == CELL_TEXT && cell(BRAND, 5)->length == 3);
    CHECK(memcmp(cell(BRAND, 5)->text, "a\0b", 3) == 0);
    CHECK(cell_is(cell(BRAND, 6), CELL_TEXT, "\xC3\xA9"));
    CHECK(cell_is(cell(PRICE, 2), CELL_TEXT, "1.5"));
    CHECK(cell(PRICE, 4)->kind == CELL_MISSING);
}

TEST(columns_may_come_in_any_order_and_with_others_between)
{
    if (!accepts("{\"inputs\": [{\"x\": [[1], {\"y\": null}], \"price\": [1, 2], \"a\": {}, "
                 "\"brand\": [\"b\", \"c\"], \"\": 7, \"userid\": [\"u\", \"v\"], \"z\": []}]}",
                 2))
        return;
    CHECK(cell_is(cell(USERID, 1), CELL_TEXT, "v"));
    CHECK(cell_is(cell(BRAND, 1), CELL_TEXT, "c"));
    CHECK(cell_is(cell(PRICE, 1), CELL_INTEGER, "2"));
}

TEST(a_key_may_be_written_with_escapes)
{
    accepts("{\"\\u0069nputs\": [{\"user\\u0069d\": [1], \"br\\u0061nd\": [2], \"price\": [3]}]}",
            1);
    refuses("{\"inputs\": [{\"userid\\u0000\": [1], \"brand\": [2], \"price\": [3]}]}", "userid",
            NULL, NULL);
}

TEST(scalars_are_repeated_for_every_row_of_their_instance)
{
    if (accepts("{\"inputs\": [{\"userid\": \"u\", \"brand\": [1, 2, 3], \"price\": null}]}", 3))
        for (uint32_t row = 0; row < 3; row++) {
            CHECK(cell_is(cell(USERID, row), CELL_TEXT, "u"));
            CHECK(cell(PRICE, row)->kind == CELL_MISSING);
        }
    if (accepts("{\"inputs\": [{\"brand\": 5, \"price\": [1, 2], \"userid\": true},"
                "{\"userid\": \"a\\n\", \"brand\": \"b\", \"price\": 0.5}]}",
                3)) {
        CHECK(cell_is(cell(BRAND, 0), CELL_INTEGER, "5"));
        CHECK(cell_is(cell(BRAND, 1), CELL_INTEGER, "5"));
        CHECK(cell(USERID, 1)->kind == CELL_BOOL && cell(USERID, 1)->boolean);
        CHECK(cell_is(cell(USERID, 2), CELL_TEXT, "a\n"));
        CHECK(f.frame.n_segments == 2 && f.frame.segment_starts[1] == 2);
    }
}

TEST(an_instance_of_scalars_is_one_row)
{
    accepts("{\"inputs\": [{\"userid\": \"7\", \"brand\": \"b\", \"price\": 0.5}]}", 1);
    accepts("{\"instances\": [{\"userid\": 7, \"brand\": null, \"price\": 0.5},"
            "{\"userid\": \"x\", \"brand\": true, \"price\": 1}]}",
            2);
}

TEST(instances_follow_one_another_and_keep_where_each_starts)
{
    if (!accepts("{\"instances\": [" ROW ", {\"price\": [1, 2], \"userid\": [3, 4],"
                 "\"brand\": [5, 6]}, " ROW "]}",
                 4))
        return;
    CHECK(f.frame.n_segments == 3);
    CHECK(f.frame.segment_starts[0] == 0);
    CHECK(f.frame.segment_starts[1] == 1);
    CHECK(f.frame.segment_starts[2] == 3);
    CHECK(cell_is(cell(USERID, 1), CELL_INTEGER, "3"));
    CHECK(cell_is(cell(BRAND, 2), CELL_INTEGER, "6"));
    CHECK(cell_is(cell(USERID, 3), CELL_TEXT, "7"));
}

TEST(an_instance_may_be_a_list_of_objects)
{
    static const char row[] = "{\"userid\": \"7\", \"brand\": \"b\", \"price\": 0.5}";
    char body[400];
    snprintf(body, sizeof body, "{\"instances\": [[%s]]}", row);
    accepts(body, 1);
    snprintf(body, sizeof body, "{\"instances\": [[%s, %s], [%s]]}", row, row, row);
    accepts(body, 3);
    snprintf(body, sizeof body, "{\"instances\": [[[%s]]]}", row);
    refuses(body, NULL, NULL, NULL);
}

TEST(inputs_beat_instances_in_either_order)
{
    static const char two[] = "{\"userid\": [1, 2], \"brand\": [1, 2], \"price\": [1, 2]}";
    char body[400];
    snprintf(body, sizeof body, "{\"inputs\": [" ROW "], \"instances\": [%s]}", two);
    accepts(body, 1);
    snprintf(body, sizeof body, "{\"instances\": [%s], \"inputs\": [" ROW "]}", two);
    accepts(body, 1);
    snprintf(body, sizeof body, "{\"instances\": [{}], \"inputs\": [" ROW "]}");
    accepts(body, 1);
    refuses("{\"inputs\": [], \"instances\": [" ROW "]}", NULL, NULL, NULL);
}

TEST(of_equal_keys_the_last_counts)
{
    accepts("{\"inputs\": [], \"inputs\": [" ROW "]}", 1);
    accepts("{\"inputs\": 5, \"inputs\": [" ROW "]}", 1);
    accepts("{\"inputs\": [{\"userid\": [1]}], \"inputs\": [" ROW "]}", 1);
    refuses("{\"inputs\": [" ROW "], \"inputs\": []}", NULL, NULL, NULL);
    refuses("{\"inputs\": [" ROW "], \"inputs\": {}}", NULL, NULL, NULL);
    if (accepts("{\"inputs\": [{\"userid\": [1, 2], \"brand\": [3], \"userid\": [4], "
                "\"price\": [5]}]}",
                1))
        CHECK(cell_is(cell(USERID, 0), CELL_INTEGER, "4"));
    if (accepts("{\"inputs\": [{\"userid\": \"s\", \"brand\": [3, 4], \"price\": 1, "
                "\"price\": [5, 6], \"userid\": [1, 2], \"brand\": \"x\"}]}",
                2)) {
        CHECK(cell_is(cell(USERID, 1), CELL_INTEGER, "2"));
        CHECK(cell_is(cell(BRAND, 1), CELL_TEXT, "x"));
        CHECK(cell_is(cell(PRICE, 0), CELL_INTEGER, "5"));
    }
    /* in a later instance, the rows of the earlier ones stay */
    if (accepts("{\"inputs\": [" ROW ", {\"userid\": [1, 2], \"brand\": [3], \"userid\": [4], "
                "\"price\": [5]}]}",
                2)) {
        CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "7"));
        CHECK(cell_is(cell(USERID, 1), CELL_INTEGER, "4"));
    }
    /* kinds of values that were replaced are forgotten where types are inferred */
    accepts(
        "{\"inputs\": [{\"userid\": [\"a\"], \"userid\": [1], \"brand\": [1], \"price\": [1]}]}",
        1);
}

TEST(a_missing_column_is_named)
{
    refuses("{\"inputs\": [{\"brand\": [1], \"price\": [1]}]}", "userid", "missing", NULL);
    refuses("{\"inputs\": [{\"userid\": [1], \"price\": [1]}]}", "brand", "missing", NULL);
    refuses("{\"inputs\": [{\"userid\": [1], \"brand\": [1]}]}", "price", "missing", NULL);
    refuses("{\"inputs\": [" ROW ", {\"userid\": [1], \"brand\": [1]}]}", "price", "missing", NULL);
    refuses("{\"inputs\": [{}]}", "userid", NULL, NULL);
    refuses("{\"inputs\": [{\"Userid\": [1], \"brand\": [1], \"price\": [1]}]}", "userid", NULL,
            NULL);
}

TEST(columns_of_different_length_are_named_with_both_lengths)
{
    refuses("{\"inputs\": [{\"userid\": [1, 2, 3], \"brand\": [1], \"price\": [1, 2, 3]}]}",
            "brand", "1", "3");
    refuses("{\"inputs\": [{\"userid\": [1, 2], \"brand\": [1, 2], \"price\": [1, 2, 3]}]}",
            "price", "2", "3");
    refuses("{\"inputs\": [{\"userid\": [1, 2], \"brand\": [], \"price\": [1, 2]}]}", "brand", "0",
            "2");
    refuses("{\"inputs\": [{\"userid\": \"x\", \"brand\": [1, 2], \"price\": [1]}]}", "price", "1",
            "2");
    /* lengths are those of the instance, not of the rows so far */
    refuses("{\"inputs\": [" ROW "," ROW "," ROW ","
            "{\"userid\": [1, 2, 3, 4, 5], \"brand\": [1, 2, 3, 4, 5, 6], \"price\": 1}]}",
            "brand", "5", "6");
}

TEST(a_list_or_an_object_as_a_value_is_named_by_column_and_row)
{
    refuses("{\"inputs\": [{\"userid\": [1, [2]], \"brand\": [1, 2], \"price\": [1, 2]}]}",
            "userid", "row 2", NULL);
    refuses("{\"inputs\": [{\"userid\": [1, 2], \"brand\": [{}, 2], \"price\": [1, 2]}]}", "brand",
            "row 1", NULL);
    refuses("{\"inputs\": [{\"userid\": [1], \"brand\": [1], \"price\": [[]]}]}", "price", "row 1",
            NULL);
    refuses("{\"inputs\": [{\"userid\": {\"0\": 1}, \"brand\": [1], \"price\": [1]}]}", "userid",
            NULL, NULL);
    refuses("{\"inputs\": [[{\"userid\": [[1]], \"brand\": [1], \"price\": [1]}]]}", "userid", NULL,
            NULL);
}

/* What is long is cut at a character, and what stands behind it is still there. */
TEST(a_long_column_name_does_not_hide_the_rest_of_a_message)
{
    for (size_t before = 0; before < 4; before++) {
        struct builder names = {0}, body = {0};
        struct fixture wide;
        builder_repeat(&names, "a", before);
        builder_repeat(&names, "\xE4\xB8\xAD", 60);
        builder_text(&body, "{\"inputs\": [{\"");
        builder_add(&body, names.at, names.length);
        builder_text(&body, "\": [1, 2, [3]], \"price\": 1}]}");
        builder_add(&names, ",price", 7);
        fixture_init(&wide, names.at, 1, 1, MAX_ROWS);
        CHECK(v1_parse(&wide.frame, builder_view(&body), "dcnv2", &wants_logits, &wide.error) ==
              -1);
        CHECK(wide.error.http_status == 400 && error_is_for_clients(&wide.error));
        CHECK_MSG(strstr(wide.error.message, "row 3"), "\"%s\"", wide.error.message);
        CHECK_MSG(strstr(wide.error.message, "\xE4\xB8\xAD"), "\"%s\"", wide.error.message);
        fixture_free(&wide);
        builder_free(&names);
        builder_free(&body);
    }
}

TEST(what_is_not_a_list_of_instances_is_a_400)
{
    refuses("{\"instances\": {\"userid\": [1]}}", "Expected \"instances\" to be a list", NULL,
            NULL);
    refuses("{\"instances\": \"x\"}", "Expected \"instances\" to be a list", NULL, NULL);
    refuses("{\"instances\": null}", "Expected \"instances\" to be a list", NULL, NULL);
    refuses("{\"instances\": 5}", "Expected \"instances\" to be a list", NULL, NULL);
    refuses("{\"inputs\": {}}", "inputs", "list", NULL);
    refuses("{\"inputs\": true}", "inputs", "list", NULL);
    refuses("{}", "inputs", "instances", NULL);
    refuses("{\"data\": [" ROW "]}", "inputs", "instances", NULL);
    refuses("{\"Instances\": [" ROW "]}", "instances", NULL, NULL);
    refuses("{\"INPUTS\": [" ROW "]}", "inputs", NULL, NULL);
    refuses("{\"inputs\\u0000\": [" ROW "]}", "inputs", NULL, NULL);
    static const char *const others[] = {"{\"instances\": [1]}",
                                         "{\"instances\": [1, 2, 3]}",
                                         "{\"instances\": [\"a\"]}",
                                         "{\"instances\": [null]}",
                                         "{\"instances\": [true]}",
                                         "{\"instances\": [[1, 2, 3]]}",
                                         "{\"instances\": [[\"a\"]]}",
                                         "{\"inputs\": [" ROW ", 1]}",
                                         "{\"inputs\": [" ROW ", null]}",
                                         "[]",
                                         "[" ROW "]",
                                         "[1]",
                                         "\"inputs\"",
                                         "null",
                                         "true",
                                         "5",
                                         "0.5"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        refuses(others[i], NULL, NULL, NULL);
}

TEST(no_rows_are_a_400)
{
    refuses("{\"inputs\": []}", NULL, NULL, NULL);
    refuses("{\"instances\": [[]]}", NULL, NULL, NULL);
    refuses("{\"instances\": [[], []]}", NULL, NULL, NULL);
    refuses("{\"inputs\": [{\"userid\": [], \"brand\": [], \"price\": []}]}", NULL, NULL, NULL);
    refuses("{\"inputs\": [{\"userid\": 1, \"brand\": [], \"price\": \"x\"}]}", NULL, NULL, NULL);
}

TEST(what_is_not_json_is_a_400_with_its_place)
{
    static const struct {
        const char *body, *place;
    } cases[] = {
        {"", "line 1 column 1 (char 0)"},
        {" ", "(char 1)"},
        {"{", "(char 1)"},
        {"{\"inputs\": [{", "line 1 column 14 (char 13)"},
        {"{\"inputs\": [" ROW "],}", "line 1 column"},
        {"{\"inputs\": [" ROW ",]}", "line 1 column"},
        {"{\"inputs\": [" ROW "]}x", "line 1 column"},
        {"{\"inputs\": [" ROW "]} {}", "line 1 column"},
        {"{\n\"inputs\": [x]}", "line 2 column 12 (char 13)"},
        {"\xEF\xBB\xBF{\"inputs\": [" ROW "]}", "line 1 column 1 (char 0)"},
        {"{\"inputs\": [{\"userid\": [NaN]}]}", "line 1 column 25 (char 24)"},
        {"{\"inputs\": [{\"userid\": [Infinity]}]}", "(char 24)"},
        {"{\"inputs\": [{\"userid\": [1e400]}]}", "(char 24)"},
        {"{\"inputs\": [{\"userid\": [01]}]}", "(char 24)"},
        {"{\"inputs\": [{\"userid\": [\"\xFF\"]}]}", "(char 25)"},
        {"{\"inputs\": [{\"userid\": [\"\\ud800\"]}]}", "(char 25)"},
        {"{\"inputs\": [{\"userid\": [\"\n\"]}]}", "(char 25)"},
        {"{'inputs': [" ROW "]}", "(char 1)"},
        {"// x\n{\"inputs\": [" ROW "]}", "(char 0)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(cases[i].body, "Unrecognized request format: ", cases[i].place, NULL);
    CHECK(parse_bytes("{\"inputs\": []}\0", 15) == -1);
    CHECK(strstr(f.error.message, "(char 14)"));
}

/* A later error of syntax beats an earlier one of meaning: the text is no request at all. */
TEST(bad_json_in_what_is_ignored_is_refused)
{
    static const char *const bodies[] = {
        "{\"inputs\": [" ROW "], \"x\": [1,]}",
        "{\"inputs\": [" ROW "], \"x\": 1e999}",
        "{\"inputs\": [" ROW "], \"instances\": [{]}",
        "{\"x\": \"\\x\", \"inputs\": [" ROW "]}",
        "{\"inputs\": [{\"x\": tru, \"userid\": [1], \"brand\": [1], \"price\": [1]}]}",
        "{\"inputs\": [{\"userid\": [1], \"brand\": [1], \"price\": [1], \"x\": \"\xC0\xAF\"}]}",
        "{\"inputs\": [{\"\\ud800\": 1, \"userid\": [1], \"brand\": [1], \"price\": [1]}]}",
        "{\"inputs\": 5, \"x\": nope}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses(bodies[i], "Unrecognized request format: ", NULL, NULL);
}

TEST(a_request_cut_anywhere_is_refused)
{
    static const char body[] =
        "{\"x\": {\"y\": [null]}, \"inputs\": [" ROW ", {\"userid\": \"\\u00e9\","
        " \"brand\": -1.5e3, \"price\": true}]}";
    CHECK(parse_bytes(body, sizeof body - 1) == 0);
    for (size_t length = 0; length < sizeof body - 1; length++)
        CHECK_MSG(parse_bytes(body, length) == -1 && f.error.http_status == 400, "%zu bytes",
                  length);
}

TEST(depth_is_limited_also_in_what_is_ignored)
{
    for (size_t depth = 1000; depth <= 1100; depth += 25) {
        struct builder builder = {0};
        builder_text(&builder, "{\"inputs\": [" ROW "], \"x\": ");
        builder_repeat(&builder, "[", depth);
        builder_repeat(&builder, "]", depth);
        builder_text(&builder, "}");
        CHECK((parse_bytes(builder.at, builder.length) == 0) == (depth + 1 <= 1024));
        builder_free(&builder);
    }
    struct builder builder = {0};
    builder_text(&builder, "{\"inputs\": ");
    builder_repeat(&builder, "[", 250000);
    CHECK(parse_bytes(builder.at, builder.length) == -1 && f.error.http_status == 400);
    builder_free(&builder);
}

static void add_rows(struct builder *builder, const char *name, size_t n)
{
    builder_text(builder, "\"");
    builder_text(builder, name);
    builder_text(builder, "\": [0");
    builder_repeat(builder, ",1", n - 1);
    builder_text(builder, "]");
}

TEST(more_rows_than_allowed_are_a_413)
{
    for (size_t n = MAX_ROWS - 1; n <= MAX_ROWS + 1; n++) {
        struct builder builder = {0};
        builder_text(&builder, "{\"inputs\": [{");
        add_rows(&builder, "userid", n);
        builder_text(&builder, ",\"brand\": \"b\",\"price\": 1}]}");
        CHECK((parse_bytes(builder.at, builder.length) == 0) == (n <= MAX_ROWS));
        if (n > MAX_ROWS)
            CHECK(f.error.http_status == 413 && strstr(f.error.message, "1000"));
        builder_free(&builder);
    }
    for (size_t n = MAX_ROWS; n <= MAX_ROWS + 1; n++) { /* many instances of one row */
        struct builder builder = {0};
        builder_text(&builder, "{\"instances\": [" ROW);
        builder_repeat(&builder, "," ROW, n - 1);
        builder_text(&builder, "]}");
        CHECK((parse_bytes(builder.at, builder.length) == 0) == (n <= MAX_ROWS));
        if (n == MAX_ROWS)
            CHECK(f.frame.n_rows == MAX_ROWS && f.frame.n_segments == MAX_ROWS);
        else
            CHECK(f.error.http_status == 413);
        builder_free(&builder);
    }
}

TEST(a_hundred_thousand_unknown_keys_and_large_texts_are_passed_over)
{
    struct builder builder = {0};
    builder_text(&builder, "{\"inputs\": [{");
    builder_repeat(&builder, "\"xkey\": [0], ", 100000);
    builder_text(&builder, "\"");
    builder_repeat(&builder, "k", 1 << 20);
    builder_text(&builder, "\": 1, \"userid\": \"");
    builder_repeat(&builder, "v", 1 << 20);
    builder_text(&builder, "\", \"brand\": [1], \"price\": [1]}]}");
    CHECK(parse_bytes(builder.at, builder.length) == 0);
    CHECK(cell(USERID, 0)->length == 1 << 20);
    builder_free(&builder);
}

/* Memory may end at any point of a request: then the answer is an error, and the next one is good.
 */
TEST(a_request_that_does_not_fit_the_arena_is_an_error)
{
    static const char body[] =
        "{\"inputs\": [{\"userid\": [1, 2, 3, 4, 5, 6, 7, 8, 9], \"br\\u0061nd\": "
        "[\"\\n\", \"\\t\", \"\\u00e9\", \"\\n\", \"\\t\", \"\\u00e9\", 1, 2, 3], \"price\": "
        "0.5}," ROW "," ROW "," ROW "," ROW "," ROW "]}";
    unsigned n_refused = 0;
    for (size_t limit = 0; limit < 1 << 16; limit += 16) {
        struct arena arena;
        struct frame frame;
        struct request_error error = {0};
        arena_init(&arena, limit);
        if (frame_init(&frame, &f.schema, &arena, MAX_ROWS) == 0) {
            if (v1_parse(&frame, text_of(body), "dcnv2", &wants_logits, &error) != 0) {
                n_refused++;
                CHECK_MSG(error.http_status == 413 || error.http_status >= 500,
                          "%zu bytes: %d \"%s\"", limit, error.http_status, error.message);
                CHECK(error_is_for_clients(&error));
            } else {
                CHECK(frame.n_rows == 14);
            }
        }
        arena_free(&arena);
    }
    CHECK(n_refused > 10);
}

TEST(logits_are_asked_for_beside_the_instances)
{
#define WITH(member) "{\"inputs\": [{\"userid\": 1, \"brand\": 2, \"price\": 3}], " member "}"
    static const struct {
        const char *body;
        bool wants_logits;
    } cases[] = {
        {WITH("\"logit\": true"), true},
        {WITH("\"logit\": false"), false},
        {WITH("\"logit\": null"), false},
        {WITH("\"logits\": true"), false},
        {WITH("\"logit\": 1, \"logit\": true"), true},
        {WITH("\"logit\": true, \"logit\": false"), false},
        {"{\"logit\": true, \"instances\": [{\"userid\": 1, \"brand\": 2, \"price\": 3}]}", true},
        {"{\"inputs\": [{\"userid\": 1, \"brand\": 2, \"price\": 3, \"logit\": true}]}", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (accepts(cases[i].body, 1))
            CHECK_MSG(wants_logits == cases[i].wants_logits, "%s", cases[i].body);
    refuses(WITH("\"logit\": 1"), "\"logit\" must be true or false", "a number", NULL);
    refuses(WITH("\"logit\": \"true\""), "\"logit\" must be true or false", "a string", NULL);
    refuses(WITH("\"logit\": [true]"), "\"logit\" must be true or false", "a list", NULL);
    refuses(WITH("\"logit\": true, \"logit\": {}"), "\"logit\" must be", "an object", NULL);
    refuses(WITH("\"logit\": tru"), "Unrecognized request format", NULL, NULL);
#undef WITH
}

TEST(scores_are_written_as_the_shortest_text_of_their_float)
{
    static const float scores[] = {0.05672386288642883f, 1.0f, 0.0f, 0.5f, 1e-7f,
                                   0.06861408054828644f};
    static const float logits[] = {-2.8111312f, -120.0f, 17.5f, -3.4028235e38f};
    struct arena arena;
    arena_init(&arena, 1 << 16);
    CHECK(text_is(v1_render(&arena, scores, 1), "{\"predictions\":[[0.056723863]]}"));
    CHECK(text_is(v1_render(&arena, scores, 6), "{\"predictions\":[[0.056723863],[1],[0],[0.5],"
                                                "[1e-7],[0.06861408]]}"));
    CHECK(text_is(v1_render(&arena, logits, 4), "{\"predictions\":[[-2.8111312],[-120],[17.5],"
                                                "[-3.4028235e38]]}"));
    arena_free(&arena);
}

TEST(a_reply_of_any_size_reads_back_to_the_same_floats)
{
    enum { N = 20000 };
    static float scores[N];
    struct arena arena;
    arena_init(&arena, 1 << 22);
    uint32_t random = 1;
    for (int i = 0; i < N; i++) {
        random = random * 1664525 + 1013904223;
        scores[i] = (float)(random >> 8) / (float)(1 << 24) * (i % 3 ? 1.0f : 1e-6f);
    }
    struct text reply = v1_render(&arena, scores, N);
    CHECK(reply.at != NULL);
    if (reply.at) {
        char *copy = malloc(reply.length + 1);
        CHECK(copy != NULL);
        memcpy(copy, reply.at, reply.length);
        copy[reply.length] = '\0';
        char *at = copy + strlen("{\"predictions\":[");
        for (int i = 0; i < N; i++) {
            CHECK(*at == '[');
            CHECK(strtof(at + 1, &at) == scores[i]);
            CHECK(at[0] == ']' && at[1] == (i + 1 < N ? ',' : ']'));
            at += 2;
        }
        CHECK(strcmp(at, "}") == 0);
        free(copy);
    }
    arena_reset(&arena, 1000);
    arena.limit_bytes = 1000;
    CHECK(v1_render(&arena, scores, N).at == NULL);
    arena_free(&arena);
}

int main(void)
{
    fixture_init(&f, COLUMNS, 2, 1, MAX_ROWS);
    RUN(inputs_and_instances_are_lists_of_instances);
    RUN(each_kind_of_value_becomes_its_kind_of_cell);
    RUN(columns_may_come_in_any_order_and_with_others_between);
    RUN(a_key_may_be_written_with_escapes);
    RUN(scalars_are_repeated_for_every_row_of_their_instance);
    RUN(an_instance_of_scalars_is_one_row);
    RUN(instances_follow_one_another_and_keep_where_each_starts);
    RUN(an_instance_may_be_a_list_of_objects);
    RUN(inputs_beat_instances_in_either_order);
    RUN(of_equal_keys_the_last_counts);
    RUN(a_missing_column_is_named);
    RUN(columns_of_different_length_are_named_with_both_lengths);
    RUN(a_list_or_an_object_as_a_value_is_named_by_column_and_row);
    RUN(a_long_column_name_does_not_hide_the_rest_of_a_message);
    RUN(what_is_not_a_list_of_instances_is_a_400);
    RUN(no_rows_are_a_400);
    RUN(what_is_not_json_is_a_400_with_its_place);
    RUN(bad_json_in_what_is_ignored_is_refused);
    RUN(a_request_cut_anywhere_is_refused);
    RUN(depth_is_limited_also_in_what_is_ignored);
    RUN(more_rows_than_allowed_are_a_413);
    RUN(a_hundred_thousand_unknown_keys_and_large_texts_are_passed_over);
    RUN(a_request_that_does_not_fit_the_arena_is_an_error);
    RUN(logits_are_asked_for_beside_the_instances);
    RUN(scores_are_written_as_the_shortest_text_of_their_float);
    RUN(a_reply_of_any_size_reads_back_to_the_same_floats);
    fixture_free(&f);
    return test_report();
}
