/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "test.h"
#include "text.h"

static size_t valid_length(const char *bytes, size_t length)
{
    return text_utf8_valid_length(bytes, length);
}

/* Length of the code point at the start, or 0. By value, not by the table that the program may use.
 */
static size_t code_point_length(const unsigned char *at, size_t length)
{
    if (length == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    size_t n = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : at[0] >= 0xC0 ? 2 : 0;
    if (n == 0 || at[0] >= 0xF8 || n > length)
        return 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = at[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3Fu);
    }
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    return value < least[n] || value > 0x10FFFF || surrogate ? 0 : n;
}

static size_t expected_length(const unsigned char *bytes, size_t length)
{
    size_t at = 0, n;
    while ((n = code_point_length(bytes + at, length - at)) != 0)
        at += n;
    return at;
}

TEST(ranges_of_table_3_7_end_where_they_should)
{
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"\x7F", true},  /* the last of one byte */
        {"\x80", false}, /* a continuation alone */
        {"\xBF", false},
        {"\xC0\x80", false}, /* overlong NUL */
        {"\xC1\xBF", false}, /* overlong U+007F */
        {"\xC2\x80", true},  /* U+0080 */
        {"\xC2\x7F", false},
        {"\xC2\xC0", false},
        {"\xDF\xBF", true},      /* U+07FF */
        {"\xE0\x80\x80", false}, /* overlong */
        {"\xE0\x9F\xBF", false}, /* overlong U+07FF */
        {"\xE0\xA0\x80", true},  /* U+0800 */
        {"\xE1\x80\x80", true},
        {"\xEC\xBF\xBF", true},
        {"\xED\x80\x80", true},      /* U+D000 */
        {"\xED\x9F\xBF", true},      /* U+D7FF */
        {"\xED\xA0\x80", false},     /* U+D800, a surrogate */
        {"\xED\xBF\xBF", false},     /* U+DFFF */
        {"\xEE\x80\x80", true},      /* U+E000 */
        {"\xEF\xBF\xBF", true},      /* U+FFFF, a noncharacter */
        {"\xEF\xBB\xBF", true},      /* U+FEFF: a text may hold it */
        {"\xF0\x80\x80\x80", false}, /* overlong */
        {"\xF0\x8F\xBF\xBF", false}, /* overlong U+FFFF */
        {"\xF0\x90\x80\x80", true},  /* U+10000 */
        {"\xF3\xBF\xBF\xBF", true},
        {"\xF4\x8F\xBF\xBF", true},  /* U+10FFFF */
        {"\xF4\x90\x80\x80", false}, /* U+110000 */
        {"\xF5\x80\x80\x80", false},
        {"\xF8\x88\x80\x80\x80", false},
        {"\xFC\x84\x80\x80\x80\x80", false},
        {"\xFE", false},
        {"\xFF", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].bytes);
        CHECK_MSG(valid_length(cases[i].bytes, length) == (cases[i].valid ? length : 0), "case %zu",
                  i);
    }
}

TEST(every_sequence_of_four_bytes_agrees_with_the_definition)
{
    static const unsigned char tails[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90,
                                          0x9F, 0xA0, 0xBF, 0xC0, 0xE0, 0xFF};
    unsigned n_wrong = 0;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned t = 0; t < sizeof tails * sizeof tails; t++) {
                const unsigned char bytes[4] = {(unsigned char)first, (unsigned char)second,
                                                tails[t / sizeof tails], tails[t % sizeof tails]};
                for (size_t length = t % sizeof tails ? 4 : 0; length <= 4; length++)
                    if (valid_length((const char *)bytes, length) != expected_length(bytes, length))
                        if (n_wrong++ < 5)
                            CHECK_MSG(false, "%02x %02x %02x %02x, length %zu", bytes[0], bytes[1],
                                      bytes[2], bytes[3], length);
            }
    CHECK_MSG(n_wrong == 0, "%u sequences", n_wrong);
}

TEST(the_offset_is_that_of_the_first_bad_byte_wherever_it_stands)
{
    static const char *const bad[] = {"\x80",         "\xC2", "\xE2\x82", "\xF0\x9F\x98",
                                      "\xED\xA0\x80", "\xFF", "\xC0\xAF"};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t before = 0; before < 70; before++)
            for (size_t after = 0; after < 20; after += 5) {
                size_t n = strlen(bad[b]), length = before + n + after;
                char *bytes = malloc(length);
                CHECK(bytes != NULL);
                memset(bytes, 'a', length);
                memcpy(bytes + before, bad[b], n);
                CHECK_MSG(valid_length(bytes, length) == before, "%zu before, %zu after", before,
                          after);
                free(bytes);
            }
}

TEST(long_runs_of_every_width_are_valid_and_no_byte_beyond_is_read)
{
    static const char *const runs[] = {"a", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80",
                                       "ab\xC3\xA9"};
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        size_t n = strlen(runs[r]);
        for (size_t count = 0; count < 80; count++) {
            size_t length = count * n;
            char *bytes = malloc(length ? length : 1);
            CHECK(bytes != NULL);
            for (size_t i = 0; i < count; i++)
                memcpy(bytes + i * n, runs[r], n);
            CHECK(valid_length(bytes, length) == length);
            if (n > 1 && count > 0) /* cut in the last code point */
                CHECK(valid_length(bytes, length - 1) ==
                      expected_length((unsigned char *)bytes, length - 1));
            free(bytes);
        }
    }
}

TEST(nul_bytes_are_text)
{
    CHECK(valid_length("\0\0\0", 3) == 3);
    CHECK(valid_length("a\0\xFF", 3) == 2);
    CHECK(valid_length("", 0) == 0);
    CHECK(valid_length(NULL, 0) == 0);
}

TEST(every_code_point_is_written_as_its_bytes)
{
    unsigned n_wrong = 0;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char out[5] = "####";
        const size_t length = (size_t)(text_put_utf8(out, c) - out);
        uint32_t value = (unsigned char)out[0];
        if (length > 1)
            value &= 0x7Fu >> length;
        for (size_t i = 1; i < length && i < 4; i++)
            value = value << 6 | ((unsigned char)out[i] & 0x3F);
        if (value != c || length != code_point_length((unsigned char *)out, 4))
            if (n_wrong++ < 5)
                CHECK_MSG(false, "U+%04X: %zu bytes", c, length);
    }
    CHECK_MSG(n_wrong == 0, "%u code points", n_wrong);
}

static int order(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int result = text_compare((struct text){a, a_length}, (struct text){b, b_length});
    return (result > 0) - (result < 0);
}

TEST(texts_are_in_the_order_of_their_code_points)
{
    /* sorted(..) of Python */
    static const struct text list[] = {
        {"", 0},
        {"\0", 1},
        {"\0\0", 2},
        {"\x01", 1},
        {" ", 1},
        {"0", 1},
        {"00", 2},
        {"01", 2},
        {"1", 1},
        {"1\0", 2},
        {"10", 2},
        {"2", 1},
        {"A", 1},
        {"Z", 1},
        {"a", 1},
        {"a\0b", 3},
        {"a\0c", 3},
        {"aa", 2},
        {"\x7F", 1},
        {"\xC2\x80", 2},
        {"\xC3\xA9", 2},
        {"\xE4\xB8\xAD", 3},
        {"\xEF\xBF\xBF", 3},
        {"\xF0\x90\x80\x80", 4},
    };
    const size_t n = sizeof list / sizeof *list;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            CHECK_MSG(order(list[i].at, list[i].length, list[j].at, list[j].length) ==
                          (i > j) - (i < j),
                      "texts %zu and %zu", i, j);
}

TEST(a_comma_list_is_taken_apart_without_blanks)
{
    static const char *const expected[] = {"a", "", "b c", "", "d"};
    struct text list = text_of(" a ,,\t b c , ,d");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CHECK(list.length > 0);
        const struct text element = text_next_element(&list);
        CHECK_MSG(text_is(element, expected[i]), "%zu: \"%.*s\"", i, TEXT_SHOWN(element));
    }
    CHECK(list.length == 0);
    CHECK(text_trimmed(text_of(" \t ")).length == 0);
    CHECK(text_is(text_trimmed(text_of("a")), "a"));
}

TEST(empty_texts_compare_whatever_they_point_to)
{
    CHECK(order(NULL, 0, NULL, 0) == 0);
    CHECK(order(NULL, 0, "", 0) == 0);
    CHECK(order(NULL, 0, "a", 1) == -1);
    CHECK(order("a", 1, NULL, 0) == 1);
    CHECK(text_equal((struct text){NULL, 0}, (struct text){"x", 0}));
    CHECK(!text_equal((struct text){"x", 1}, (struct text){"x", 0}));
    CHECK(text_equal(text_of("price"), text_of("price")));
    CHECK(!text_is((struct text){"a\0b", 3}, "a"));
    CHECK(text_is((struct text){"abc", 2}, "ab"));
}

/* By value, not by the bytes that the program looks at. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

TEST(characters_that_a_terminal_obeys_are_found_among_all)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char bytes[4];
        const size_t n = (size_t)(text_put_utf8(bytes, c) - bytes);
        if (text_control_bytes(bytes, n) != (is_control(c) ? n : 0))
            CHECK_MSG(false, "U+%04X", c);
        for (size_t cut = 1; cut < n; cut++)
            CHECK(text_control_bytes(bytes, cut) == 0);
    }
}

static void check_printable(const char *text, bool cut, const char *expected)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    copy[text_make_printable(copy, strlen(copy), cut)] = '\0';
    CHECK_MSG(strcmp(copy, expected) == 0, "\"%s\" instead of \"%s\"", copy, expected);
}

TEST(what_breaks_a_line_steers_a_terminal_or_is_no_utf8_becomes_question_marks)
{
    check_printable("a\n\x1b[31m\x7f", false, "a??[31m?");
    check_printable("a\xc2\x9b"
                    "31m\xc2\xa0\xc3\xa9",
                    false, "a??31m\xc2\xa0\xc3\xa9");
    check_printable("raw \x9b and \x80", false, "raw ? and ?");
    check_printable("\xe2\x80\xae"
                    "drow\xe2\x81\xa9 \xe2\x80\xa8 \xe2\x82\xac",
                    false, "\?\?\?drow\?\?\? \?\?\? \xe2\x82\xac");
    check_printable("cut \xe2\x82", false, "cut ??");
    check_printable("cut \xe2\x82", true, "cut ");
    check_printable("cut \xc2", true, "cut ");
}

TEST(a_misspelt_name_is_near_to_another_that_shares_two_thirds_of_it)
{
    unsigned edits = TEXT_NOT_NEAR;
    CHECK(text_is_nearer(text_of("Weigth"), "weight", &edits) && edits == 2);
    CHECK(!text_is_nearer(text_of("weigth"), "heights", &edits)); /* three edits of seven */
    CHECK(text_is_nearer(text_of("first-row"), "first_row", &edits) && edits == 0);
    edits = TEXT_NOT_NEAR;
    CHECK(!text_is_nearer(text_of("bias"), "mean", &edits) && edits == TEXT_NOT_NEAR);
    CHECK(!text_is_nearer(text_of(""), "mean", &edits));
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[65] = '\0';
    CHECK(!text_is_nearer(text_of(longest), longest, &edits));
    longest[64] = '\0';
    CHECK(text_is_nearer(text_of(longest), longest, &edits) && edits == 0);
}

int main(void)
{
    RUN(ranges_of_table_3_7_end_where_they_should);
    RUN(every_sequence_of_four_bytes_agrees_with_the_definition);
    RUN(the_offset_is_that_of_the_first_bad_byte_wherever_it_stands);
    RUN(long_runs_of_every_width_are_valid_and_no_byte_beyond_is_read);
    RUN(nul_bytes_are_text);
    RUN(every_code_point_is_written_as_its_bytes);
    RUN(texts_are_in_the_order_of_their_code_points);
    RUN(a_comma_list_is_taken_apart_without_blanks);
    RUN(empty_texts_compare_whatever_they_point_to);
    RUN(characters_that_a_terminal_obeys_are_found_among_all);
    RUN(what_breaks_a_line_steers_a_terminal_or_is_no_utf8_becomes_question_marks);
    RUN(a_misspelt_name_is_near_to_another_that_shares_two_thirds_of_it);
    return test_report();
}
