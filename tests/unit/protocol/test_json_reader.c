/* SPDX-License-Identifier: Apache-2.0 */
/* What the typed calls give, and where and why a text is refused. */
#include <math.h>

#include "protocol/json.h"

#include "fixture.h"
#include "test.h"

struct reading {
    struct arena arena;
    struct json_reader json;
    struct text text;
};

static struct json_reader *start(struct reading *reading, const char *bytes, size_t length)
{
    arena_init(&reading->arena, 1 << 20);
    reading->text = fixture_copy(bytes, length);
    json_init(&reading->json, reading->text.at, length, &reading->arena);
    return &reading->json;
}

static void stop(struct reading *reading)
{
    arena_free(&reading->arena);
    fixture_drop(reading->text);
}

TEST(peek_names_each_kind_and_passes_over_white_space_only)
{
    static const struct {
        const char *text;
        enum json_kind kind;
    } cases[] = {{" {}", JSON_OBJECT},   {"\t[]", JSON_ARRAY},  {"\n\"\"", JSON_STRING},
                 {"\r0", JSON_NUMBER},   {" -1", JSON_NUMBER},  {" true", JSON_TRUE},
                 {" false", JSON_FALSE}, {" null", JSON_NULL},  {" x", JSON_INVALID},
                 {" ", JSON_INVALID},    {" NaN", JSON_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading reading;
        struct json_reader *json = start(&reading, cases[i].text, strlen(cases[i].text));
        CHECK(json_peek(json) == cases[i].kind);
        CHECK(json_peek(json) == cases[i].kind);
        CHECK((json->reason != NULL) == (cases[i].kind == JSON_INVALID));
        stop(&reading);
    }
}

/* White space is passed over a word at a time where there is much, and not beyond the end. */
TEST(white_space_of_any_length_is_passed_over)
{
    static const char *const kinds[] = {" ", "\n", "\t ", "\r\n", "\n        "};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t n = 0; n <= 40; n++) {
            struct builder builder = {0};
            builder_repeat(&builder, kinds[k], n);
            const size_t length = builder.length;
            struct reading reading;
            struct json_reader *json = start(&reading, builder.at, length);
            CHECK(length == 0 || json_end(json));
            stop(&reading);
            builder_repeat(&builder, "7", 1);
            json = start(&reading, builder.at, builder.length);
            CHECK(json_peek(json) == JSON_NUMBER && json->at == reading.text.at + length);
            stop(&reading);
            builder.at[length] = '\v';
            json = start(&reading, builder.at, builder.length);
            CHECK(json_peek(json) == JSON_INVALID && json->error_at == reading.text.at + length);
            stop(&reading);
            builder_free(&builder);
        }
    }
}

/* A string is looked at a word at a time: the byte that ends a run is found at any place in it. */
TEST(each_byte_of_a_string_is_seen_at_any_place)
{
    for (size_t at = 0; at < 24; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[27] = "\"abcdefghijklmnopqrstuvwx\"";
            const size_t length = sizeof text - 1;
            text[1 + at] = (char)byte;
            struct reading reading;
            struct json_reader *json = start(&reading, text, length);
            struct text string;
            const bool read = json_peek(json) == JSON_STRING && json_string(json, &string);
            const bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            if (is_plain)
                CHECK(read && string.length == 24 && memcmp(string.at, text + 1, 24) == 0);
            else if (byte == '"')
                CHECK(read && string.length == at);
            else if (byte == '\\') /* followed by a letter that may be an escape's */
                CHECK(read == (at < 23 && strchr("bfnrt", text[at + 2]) != NULL));
            else
                CHECK(!read && json->error_at == reading.text.at + 1 + at);
            stop(&reading);
        }
    }
}

TEST(members_come_in_order_with_equal_keys_as_they_stand)
{
    static const char text[] = "{\"a\":1, \"b\" : [2,3] ,\"a\":{\"x\":[]},\"\":null}";
    static const char *const keys[] = {"a", "b", "a", ""};
    struct reading reading;
    struct json_reader *json = start(&reading, text, sizeof text - 1);
    struct text key;
    bool first = true;
    size_t n = 0;
    CHECK(json_peek(json) == JSON_OBJECT && json_enter(json));
    while (json_next_key(json, &first, &key)) {
        CHECK(n < 4 && text_is(key, keys[n]));
        n++;
        CHECK(json_skip(json));
    }
    CHECK(n == 4 && json->reason == NULL && json_end(json));
    stop(&reading);
}

TEST(an_empty_container_ends_at_the_first_call)
{
    struct reading reading;
    struct json_reader *json = start(&reading, "[ {} , [ ] ]", 12);
    struct text key;
    bool outer = true, first = true;
    CHECK(json_peek(json) == JSON_ARRAY && json_enter(json));
    CHECK(json_next_element(json, &outer) && !outer);
    CHECK(json_peek(json) == JSON_OBJECT && json_enter(json));
    CHECK(!json_next_key(json, &first, &key) && json->reason == NULL);
    CHECK(json_next_element(json, &outer));
    first = true;
    CHECK(json_peek(json) == JSON_ARRAY && json_enter(json));
    CHECK(!json_next_element(json, &first) && json->reason == NULL);
    CHECK(!json_next_element(json, &outer) && json->reason == NULL);
    CHECK(json_end(json));
    stop(&reading);
}

TEST(strings_are_unescaped)
{
    static const struct {
        const char *text;
        struct text expected;
    } cases[] = {
        {"\"\"", {"", 0}},
        {"\"abc\"", {"abc", 3}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {"\"\\/\b\f\n\r\t", 8}},
        {"\"\\u0000\"", {"\0", 1}},
        {"\"a\\u0000b\"", {"a\0b", 3}},
        {"\"\\u001f\\u0020\\u007F\"", {"\x1F \x7F", 3}},
        {"\"\\u0080\\u07ff\"", {"\xC2\x80\xDF\xBF", 4}},
        {"\"\\u0800\\uFFFF\"", {"\xE0\xA0\x80\xEF\xBF\xBF", 6}},
        {"\"\\ud7ff\\ue000\"", {"\xED\x9F\xBF\xEE\x80\x80", 6}},
        {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8}},
        {"\"\\ud83d\\ude00\"", {"\xF0\x9F\x98\x80", 4}},
        {"\"\xF0\x9F\x98\x80\"", {"\xF0\x9F\x98\x80", 4}},
        {"\"x\xC3\xA9\\u00e9\xC3\xA9y\"", {"x\xC3\xA9\xC3\xA9\xC3\xA9y", 8}},
        {"\"0123456789abcdef\\n0123456789abcdef\"", {"0123456789abcdef\n0123456789abcdef", 33}},
        {"\"\\u00412\"", {"A2", 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading reading;
        struct json_reader *json = start(&reading, cases[i].text, strlen(cases[i].text));
        struct text string = {NULL, 0};
        CHECK(json_peek(json) == JSON_STRING && json_string(json, &string) && json_end(json));
        CHECK_MSG(text_equal(string, cases[i].expected), "case %zu: \"%.*s\"", i,
                  (int)string.length, string.at);
        const bool inside = string.at >= json->start && string.at < json->end;
        CHECK_MSG(inside == (strchr(cases[i].text, '\\') == NULL), "case %zu", i);
        stop(&reading);
    }
}

TEST(keys_are_unescaped)
{
    static const char text[] = "{\"\\u0070ri\\u0063e\":1,\"a\\u0000\":2}";
    struct reading reading;
    struct json_reader *json = start(&reading, text, sizeof text - 1);
    struct text key = {NULL, 0};
    bool first = true;
    CHECK(json_peek(json) == JSON_OBJECT && json_enter(json));
    CHECK(json_next_key(json, &first, &key) && text_is(key, "price") && json_skip(json));
    CHECK(json_next_key(json, &first, &key) && text_equal(key, (struct text){"a\0", 2}));
    stop(&reading);
}

TEST(an_escaped_string_that_does_not_fit_the_arena_is_an_error)
{
    struct builder builder = {0};
    builder_text(&builder, "\"");
    builder_repeat(&builder, "\\n", 5000);
    builder_text(&builder, "\"");
    struct arena arena;
    struct json_reader json;
    struct text string;
    arena_init(&arena, 1000);
    json_init(&json, builder.at, builder.length, &arena);
    CHECK(json_peek(&json) == JSON_STRING && !json_string(&json, &string));
    CHECK(json.reason != NULL);
    json_init(&json, builder.at, builder.length, &arena);
    CHECK(json_skip(&json) && json_end(&json));
    arena_free(&arena);
    builder_free(&builder);
}

TEST(numbers_keep_their_text_and_have_the_value_of_a_double)
{
    static const struct {
        const char *text, *kept;
        bool is_integer;
        double value;
    } cases[] = {
        {"0", "0", true, 0.0},
        {"-0", "0", true, 0.0},
        {"-0.0", "-0.0", false, -0.0},
        {"-0e0", "-0e0", false, -0.0},
        {"-1", "-1", true, -1.0},
        {"1.0", "1.0", false, 1.0},
        {"1e2", "1e2", false, 100.0},
        {"1E+2", "1E+2", false, 100.0},
        {"884208", "884208", true, 884208.0},
        {"18446744073709551616", "18446744073709551616", true, 18446744073709551616.0},
        {"9007199254740993", "9007199254740993", true, 9007199254740992.0},
        {"-9223372036854775809", "-9223372036854775809", true, -9223372036854775808.0},
        {"123456789012345678901234567890", "123456789012345678901234567890", true,
         123456789012345678901234567890.0},
        {"0.1", "0.1", false, 0.1},
        {"5e-324", "5e-324", false, 5e-324},
        {"1e-400", "1e-400", false, 0.0},
        {"1.7976931348623157e308", "1.7976931348623157e308", false, 1.7976931348623157e308},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading reading;
        struct json_reader *json = start(&reading, cases[i].text, strlen(cases[i].text));
        struct json_number number = {{NULL, 0}, false, 7.0};
        CHECK(json_peek(json) == JSON_NUMBER && json_number(json, &number) && json_end(json));
        CHECK_MSG(text_is(number.text, cases[i].kept), "%s", cases[i].text);
        CHECK_MSG(number.is_integer == cases[i].is_integer, "%s", cases[i].text);
        CHECK_MSG(number.value == cases[i].value, "%s is %a", cases[i].text, number.value);
        if (!number.is_integer)
            CHECK(!signbit(number.value) == !signbit(cases[i].value));
        stop(&reading);
    }
}

TEST(an_integer_may_be_as_long_as_a_double_reaches)
{
    for (size_t n_digits = 300; n_digits <= 320; n_digits++) {
        struct builder builder = {0};
        builder_repeat(&builder, "1", n_digits);
        struct arena arena;
        struct json_reader json;
        struct json_number number;
        arena_init(&arena, 1000);
        json_init(&json, builder.at, builder.length, &arena);
        CHECK(json_peek(&json) == JSON_NUMBER);
        const bool read = json_number(&json, &number);
        CHECK(read == (n_digits <= 309));
        if (read)
            CHECK(isfinite(number.value) && number.text.length == n_digits && number.is_integer);
        arena_free(&arena);
        builder_free(&builder);
    }
}

TEST(a_cell_comes_from_each_scalar_and_from_nothing_else)
{
    static const char text[] = "[null,true,false,12,-0,1.50,\"x\\u0000\",[1],{\"a\":2}]";
    struct reading reading;
    struct json_reader *json = start(&reading, text, sizeof text - 1);
    struct cell cells[9];
    bool first = true;
    size_t n = 0;
    CHECK(json_peek(json) == JSON_ARRAY && json_enter(json));
    while (n < 9 && json_next_element(json, &first)) {
        const enum json_kind kind = json_peek(json);
        const bool scalar = kind != JSON_ARRAY && kind != JSON_OBJECT;
        CHECK(json_cell(json, kind, &cells[n++]) == scalar);
        CHECK(json->reason == NULL);
        if (!scalar)
            CHECK(json_skip(json));
    }
    CHECK(n == 9 && !json_next_element(json, &first) && json_end(json));
    CHECK(cells[0].kind == CELL_MISSING);
    CHECK(cells[1].kind == CELL_BOOL && cells[1].boolean);
    CHECK(cells[2].kind == CELL_BOOL && !cells[2].boolean);
    CHECK(cell_is(&cells[3], CELL_INTEGER, "12"));
    CHECK(cell_is(&cells[4], CELL_INTEGER, "0"));
    CHECK(cells[5].kind == CELL_FLOAT && cells[5].number == 1.5);
    CHECK(cells[6].kind == CELL_TEXT && cells[6].length == 2);
    CHECK(memcmp(cells[6].text, "x\0", 2) == 0);
    stop(&reading);
}

TEST(a_cell_of_a_bad_scalar_sets_the_error)
{
    static const char *const texts[] = {"nul", "truth", "1e999", "-", "\"\\x\"", "\"", "01"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct reading reading;
        struct json_reader *json = start(&reading, texts[i], strlen(texts[i]));
        struct cell cell;
        CHECK_MSG(!json_cell(json, json_peek(json), &cell) && json->reason, "%s", texts[i]);
        stop(&reading);
    }
}

/* The reason's own words are free; that there is one, and where, is not. */
static void check_error(const char *bytes, size_t length, const char *reason, const char *where)
{
    struct reading reading;
    struct json_reader *json = start(&reading, bytes, length);
    CHECK_MSG(!(json_skip(json) && json_end(json)), "%s is accepted", bytes);
    char message[200] = "";
    if (json->reason)
        json_describe_error(json, message, sizeof message);
    const size_t n = strlen(message), end = strlen(where);
    CHECK_MSG(n > end && strcmp(message + n - end, where) == 0, "%s: \"%s\", not %s", bytes,
              message, where);
    CHECK_MSG(strstr(message, reason) != NULL, "%s: \"%s\" has no \"%s\"", bytes, message, reason);
    stop(&reading);
}

TEST(each_reason_stands_at_the_character_that_is_wrong)
{
    static const struct {
        const char *text, *reason, *where;
    } cases[] = {
        {"", "empty document", ": line 1 column 1 (char 0)"},
        {"\xEF\xBB\xBF{}", "BOM", ": line 1 column 1 (char 0)"},
        {" ", "end of data", ": line 1 column 2 (char 1)"},
        {"{\"a\": NaN}", "NaN is not JSON; send null for a missing value",
         ": line 1 column 7 (char 6)"},
        {"{\"a\": nan}", "NaN is not JSON;", ": line 1 column 7 (char 6)"},
        {"[-NaN]", "NaN is not JSON;", ": line 1 column 2 (char 1)"},
        {"{\"a\": Infinity}", "Infinity is not JSON; a number must be finite",
         ": line 1 column 7 (char 6)"},
        {"[-Infinity]", "Infinity is not JSON;", ": line 1 column 2 (char 1)"},
        {"[-inf]", "Infinity is not JSON;", ": line 1 column 2 (char 1)"},
        {"[inf", "Infinity is not JSON;", ": line 1 column 2 (char 1)"},
        {"[none]", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[nano]", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[info]", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[-x]", "invalid number", ": line 1 column 3 (char 2)"},
        {"[Na", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[1, x]", "expected a JSON value", ": line 1 column 5 (char 4)"},
        {"[1,,2]", "expected a JSON value", ": line 1 column 4 (char 3)"},
        {"[1, nule]", "expected a JSON value", ": line 1 column 5 (char 4)"},
        {"[+1]", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[.5]", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"['a']", "expected a JSON value", ": line 1 column 2 (char 1)"},
        {"[1", "end of data", ": line 1 column 3 (char 2)"},
        {"{\"inputs\": [{", "end of data", ": line 1 column 14 (char 13)"},
        {"{\"a\"", "end of data", ": line 1 column 5 (char 4)"},
        {"{\"a\":", "end of data", ": line 1 column 6 (char 5)"},
        {"[\"abc", "end of data", ": line 1 column 6 (char 5)"},
        {"[\"abc\\", "end of data", ": line 1 column 7 (char 6)"},
        {"[tru", "end of data", ": line 1 column 5 (char 4)"},
        {"[-", "end of data", ": line 1 column 3 (char 2)"},
        {"[1 2]", "','", ": line 1 column 4 (char 3)"},
        {"[1}", "']'", ": line 1 column 3 (char 2)"},
        {"{\"a\":1 \"b\":2}", "','", ": line 1 column 8 (char 7)"},
        {"{\"a\":1]", "'}'", ": line 1 column 7 (char 6)"},
        {"[1,]", "trailing comma", ": line 1 column 3 (char 2)"},
        {"[1 , ]", "trailing comma", ": line 1 column 4 (char 3)"},
        {"{\"a\":1,}", "trailing comma", ": line 1 column 7 (char 6)"},
        {"{\"a\" 1}", "':'", ": line 1 column 6 (char 5)"},
        {"{\"a\"}", "':'", ": line 1 column 5 (char 4)"},
        {"{a:1}", "key", ": line 1 column 2 (char 1)"},
        {"{1:1}", "key", ": line 1 column 2 (char 1)"},
        {"{\"a\":1,b:2}", "key", ": line 1 column 8 (char 7)"},
        {"[\"a\\x41\"]", "escape", ": line 1 column 4 (char 3)"},
        {"[\"a\\uZZZZ\"]", "escape", ": line 1 column 4 (char 3)"},
        {"[\"\\ud800\"]", "surrogate", ": line 1 column 3 (char 2)"},
        {"[\"a\\udc00\"]", "surrogate", ": line 1 column 4 (char 3)"},
        {"[\"\\ud800\\u0041\"]", "surrogate", ": line 1 column 3 (char 2)"},
        {"[\"a\nb\"]", "control character", ": line 1 column 4 (char 3)"},
        {"[\"\x01\"]", "control character", ": line 1 column 3 (char 2)"},
        {"[\"ab\xFF\"]", "UTF-8", ": line 1 column 5 (char 4)"},
        {"[\"a\xC3\"]", "UTF-8", ": line 1 column 4 (char 3)"},
        {"[\"\xED\xA0\x80\"]", "UTF-8", ": line 1 column 3 (char 2)"},
        {"[1.]", "number", ": line 1 column 4 (char 3)"},
        {"[1e]", "number", ": line 1 column 4 (char 3)"},
        {"[1e+x]", "number", ": line 1 column 5 (char 4)"},
        {"[-x]", "number", ": line 1 column 3 (char 2)"},
        {"[01]", "leading zero", ": line 1 column 2 (char 1)"},
        {"[-01]", "leading zero", ": line 1 column 3 (char 2)"},
        {"[0, 1e400]", "range", ": line 1 column 5 (char 4)"},
        {"[-1e400]", "range", ": line 1 column 2 (char 1)"},
        {"[1]x", "after document", ": line 1 column 4 (char 3)"},
        {"{} {}", "after document", ": line 1 column 4 (char 3)"},
        {"1-2", "after document", ": line 1 column 2 (char 1)"},
        /* characters, not bytes; lines end at a newline */
        {"[\"\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\", x]", "value", ": line 1 column 9 (char 8)"},
        {"[\n1,\n x]", "value", ": line 3 column 2 (char 6)"},
        {"[\r\n1,\r\nx]", "value", ": line 3 column 1 (char 7)"},
        {"{\n\"\xC3\xA9\": 1,\n\"b\": y}", "value", ": line 3 column 6 (char 15)"},
        {"[1,\n", "end of data", ": line 2 column 1 (char 4)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_error(cases[i].text, strlen(cases[i].text), cases[i].reason, cases[i].where);
    check_error("[\"a\0b\"]", 7, "control character", ": line 1 column 4 (char 3)");
    check_error("[1]\0", 4, "after document", ": line 1 column 4 (char 3)");
    check_error("\0[]", 3, "expected a JSON value", ": line 1 column 1 (char 0)");
}

TEST(depth_is_refused_at_the_bracket_that_is_one_too_many)
{
    struct builder builder = {0};
    builder_repeat(&builder, "[", JSON_MAX_DEPTH + 1);
    builder_add(&builder, "", 1);
    check_error(builder.at, builder.length - 1, "depth", ": line 1 column 1025 (char 1024)");
    builder_free(&builder);
}

TEST(after_an_error_every_call_fails_and_the_error_stays)
{
    struct reading reading;
    struct json_reader *json = start(&reading, "[x, {\"a\": 1}]", 13);
    struct text text = {NULL, 0};
    struct json_number number;
    struct cell cell;
    bool first = true;
    CHECK(!json_skip(json));
    const char *reason = json->reason, *at = json->error_at;
    CHECK(reason != NULL && at == json->start + 1);
    CHECK(json_peek(json) == JSON_INVALID);
    CHECK(!json_enter(json));
    CHECK(!json_next_key(json, &first, &text));
    CHECK(!json_next_element(json, &first));
    CHECK(!json_string(json, &text));
    CHECK(!json_number(json, &number));
    CHECK(!json_literal(json, JSON_NULL));
    CHECK(!json_cell(json, JSON_NULL, &cell));
    CHECK(!json_cell(json, JSON_INVALID, &cell));
    CHECK(!json_skip(json));
    CHECK(!json_end(json));
    CHECK(json->reason == reason && json->error_at == at);
    stop(&reading);
}

TEST(an_error_is_described_in_any_space)
{
    struct reading reading;
    struct json_reader *json = start(&reading, "[1,,2]", 6);
    char whole[200];
    CHECK(!json_skip(json));
    json_describe_error(json, whole, sizeof whole);
    for (size_t size = 1; size <= sizeof whole; size++) {
        char *out = malloc(size);
        CHECK(out != NULL);
        memset(out, 'x', size);
        json_describe_error(json, out, size);
        CHECK(memchr(out, '\0', size) != NULL && strncmp(out, whole, strlen(out)) == 0);
        free(out);
    }
    stop(&reading);
}

int main(void)
{
    RUN(peek_names_each_kind_and_passes_over_white_space_only);
    RUN(white_space_of_any_length_is_passed_over);
    RUN(each_byte_of_a_string_is_seen_at_any_place);
    RUN(members_come_in_order_with_equal_keys_as_they_stand);
    RUN(an_empty_container_ends_at_the_first_call);
    RUN(strings_are_unescaped);
    RUN(keys_are_unescaped);
    RUN(an_escaped_string_that_does_not_fit_the_arena_is_an_error);
    RUN(numbers_keep_their_text_and_have_the_value_of_a_double);
    RUN(an_integer_may_be_as_long_as_a_double_reaches);
    RUN(a_cell_comes_from_each_scalar_and_from_nothing_else);
    RUN(a_cell_of_a_bad_scalar_sets_the_error);
    RUN(each_reason_stands_at_the_character_that_is_wrong);
    RUN(depth_is_refused_at_the_bracket_that_is_one_too_many);
    RUN(after_an_error_every_call_fails_and_the_error_stays);
    RUN(an_error_is_described_in_any_space);
    return test_report();
}
