/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/json_writer.h"

#include "fixture.h"
#include "protocol/json.h"
#include "test.h"

/* Writes a text into memory that has just the room which the header asks for, and reads it back. */
static bool comes_back(struct text text)
{
    struct arena arena;
    struct json_reader reader;
    struct text read = {NULL, 0};
    char *out = malloc(json_string_max(text.length));
    CHECK(out != NULL);
    const size_t length = (size_t)(write_json_string(out, text) - out);
    CHECK(length <= json_string_max(text.length));
    arena_init(&arena, 1 << 24);
    json_init(&reader, out, length, &arena);
    const bool good = json_peek(&reader) == JSON_STRING && json_string(&reader, &read) &&
                      json_end(&reader) && text_equal(read, text);
    for (size_t i = 0; i < length; i++)
        CHECK((unsigned char)out[i] >= 0x20);
    arena_free(&arena);
    free(out);
    return good;
}

TEST(every_ascii_character_comes_back)
{
    for (int c = 0; c < 0x80; c++)
        for (size_t n = 1; n < 20; n += 6) {
            char bytes[20];
            memset(bytes, c, sizeof bytes);
            CHECK_MSG(comes_back((struct text){bytes, n}), "%02x", c);
        }
    CHECK(comes_back((struct text){"", 0}));
}

TEST(every_code_point_comes_back_as_it_is)
{
    char bytes[4];
    for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x900 ? 1 : 53)
        if (c < 0xD800 || c > 0xDFFF)
            CHECK_MSG(comes_back((struct text){bytes, (size_t)(text_put_utf8(bytes, c) - bytes)}),
                      "U+%04X", c);
}

TEST(what_must_be_escaped_is_and_the_rest_is_not)
{
    char out[100];
    const struct text text = text_of("a/\"\\\xC3\xA9 'b'");
    const struct text written = {out, (size_t)(write_json_string(out, text) - out)};
    CHECK_MSG(text_is(written, "\"a/\\\"\\\\\xC3\xA9 'b'\""), "%.*s", (int)written.length, out);
}

TEST(characters_that_a_terminal_obeys_are_escaped_by_their_code_points)
{
    char out[100];
    const struct text text = text_of("\n\x7F\xC2\x80\xC2\x9F\xC2\xA0\xE2\x80\xAE\xE2\x81\xA6");
    const struct text written = {out, (size_t)(write_json_string(out, text) - out)};
    CHECK_MSG(text_is(written, "\"\\u000a\\u007f\\u0080\\u009f\xC2\xA0\\u202e\\u2066\""), "%.*s",
              (int)written.length, out);
}

TEST(unsigned_numbers_are_decimal)
{
    static const unsigned long long values[] = {0,
                                                1,
                                                9,
                                                10,
                                                99,
                                                100,
                                                4294967295u,
                                                4294967296u,
                                                9999999999999999999u,
                                                18446744073709551615u};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char out[20], expected[24];
        snprintf(expected, sizeof expected, "%llu", values[i]);
        CHECK(
            text_is((struct text){out, (size_t)(write_unsigned(out, values[i]) - out)}, expected));
    }
}

TEST(an_error_is_an_object_of_its_message)
{
    char out[400];
    size_t length = write_json_error(out, "Column \"\xC3\xA9\", row 2:\n\\x");
    CHECK_MSG(text_is((struct text){out, length},
                      "{\"error\":\"Column \\\"\xC3\xA9\\\", row 2:\\u000a\\\\x\"}") ||
                  text_is((struct text){out, length},
                          "{\"error\":\"Column \\\"\xC3\xA9\\\", row 2:\\n\\\\x\"}"),
              "%.*s", (int)length, out);
    length = write_json_error(out, "");
    CHECK(text_is((struct text){out, length}, "{\"error\":\"\"}"));
}

TEST(the_longest_error_fits_the_room_that_is_asked_for)
{
    char message[384];
    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = '\0';
    const size_t room = json_string_max(sizeof message - 1) + 16;
    char *out = malloc(room);
    CHECK(out != NULL);
    CHECK(write_json_error(out, message) <= room);
    free(out);
}

int main(void)
{
    RUN(every_ascii_character_comes_back);
    RUN(every_code_point_comes_back_as_it_is);
    RUN(what_must_be_escaped_is_and_the_rest_is_not);
    RUN(characters_that_a_terminal_obeys_are_escaped_by_their_code_points);
    RUN(unsigned_numbers_are_decimal);
    RUN(an_error_is_an_object_of_its_message);
    RUN(the_longest_error_fits_the_room_that_is_asked_for);
    return test_report();
}
