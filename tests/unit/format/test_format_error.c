/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format_error.h"

#include <stdlib.h>

#include "build.h"
#include "test.h"

static struct format_error error;

TEST(a_message_is_formatted_and_minus_one_returned)
{
    CHECK(format_error_set(&error, FORMAT_NO_OFFSET, "%s has %d of %zu", "x", -3, (size_t)7) == -1);
    CHECK_MSG(strcmp(error.message, "x has -3 of 7") == 0, "%s", error.message);
}

TEST(a_known_place_is_told)
{
    format_error_set(&error, 0, "bad");
    CHECK_MSG(strcmp(error.message, "bad at byte 0") == 0, "%s", error.message);
    format_error_set(&error, 1LL << 40, "bad");
    CHECK_MSG(strcmp(error.message, "bad at byte 1099511627776") == 0, "%s", error.message);
}

TEST(control_bytes_are_shown_as_question_marks)
{
    format_error_set(&error, FORMAT_NO_OFFSET, "[%s]", "a\nb\r\t\x01\x1b[0m\x7f");
    CHECK_MSG(strcmp(error.message, "[a?b????[0m?]") == 0, "%s", error.message);
}

TEST(utf_8_stays_and_other_bytes_are_shown_as_question_marks)
{
    format_error_set(&error, FORMAT_NO_OFFSET, "[%s]", "\xC3\xBC\xE4\xB8\xAD\xF0\x9F\x98\x80");
    CHECK(strcmp(error.message, "[\xC3\xBC\xE4\xB8\xAD\xF0\x9F\x98\x80]") == 0);
    static const char *const others[] = {"\xFF",     "\xC3",         "\x80",
                                         "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                                         "\xE2\x82", "\xC3("};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        format_error_set(&error, FORMAT_NO_OFFSET, "[%s]", others[i]);
        CHECK_MSG(is_one_line(&error) && strchr(error.message, '?'), "case %zu", i);
        CHECK(error.message[0] == '[' && error.message[strlen(error.message) - 1] == ']');
    }
}

TEST(a_long_message_is_cut_and_keeps_its_place)
{
    for (size_t length = 300; length < 2000; length += 17) {
        for (unsigned wide = 0; wide < 2; wide++) {
            char *text = malloc(length + 1);
            for (size_t i = 0; i < length; i++)
                text[i] = wide ? "\xE4\xB8\xAD"[i % 3] : 'x';
            text[length - length % 3] = '\0';
            format_error_set(&error, 1234567, "%s", text);
            CHECK(is_one_line(&error));
            const char *place = strstr(error.message, " at byte 1234567");
            CHECK_MSG(place && place[16] == '\0', "%zu bytes", length);
            free(text);
        }
    }
}

int main(void)
{
    RUN(a_message_is_formatted_and_minus_one_returned);
    RUN(a_known_place_is_told);
    RUN(control_bytes_are_shown_as_question_marks);
    RUN(utf_8_stays_and_other_bytes_are_shown_as_question_marks);
    RUN(a_long_message_is_cut_and_keeps_its_place);
    return test_report();
}
