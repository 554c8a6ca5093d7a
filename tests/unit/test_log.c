/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

/* Logs a message and returns what stderr got, from behind the stamp of a text line. */
static const char *logged(enum log_format format, const char *message)
{
    static char line[8192];
    char path[] = "/tmp/dcnv2-log-XXXXXX";
    const int file = mkstemp(path), kept = dup(STDERR_FILENO);
    if (file < 0 || kept < 0 || unlink(path) != 0)
        abort();
    dup2(file, STDERR_FILENO);
    CHECK(log_start(LOG_LEVEL_INFO, format) == 0);
    log_event(LOG_LEVEL_WARNING, "%s", message);
    log_event(LOG_LEVEL_DEBUG, "not shown");
    log_stop();
    dup2(kept, STDERR_FILENO);
    close(kept);
    const ssize_t n = pread(file, line, sizeof line - 1, 0);
    close(file);
    line[n < 0 ? 0 : n] = '\0';
    const char *mark = format == LOG_FORMAT_JSON ? "\"message\":" : " warning ";
    const char *at = strstr(line, mark);
    return at ? at + strlen(mark) : line;
}

static void check_logged(enum log_format format, const char *message, const char *expected)
{
    const char *found = logged(format, message);
    CHECK_MSG(strcmp(found, expected) == 0, "\"%s\" instead of \"%s\"", found, expected);
}

TEST(a_plain_message_is_written_as_it_is)
{
    check_logged(LOG_FORMAT_TEXT, "a \"b\" \\ \xC3\xA9 \xE2\x82\xAC",
                 "a \"b\" \\ \xC3\xA9 \xE2\x82\xAC\n");
    check_logged(LOG_FORMAT_JSON, "a \"b\" \xC3\xA9", "\"a \\\"b\\\" \xC3\xA9\"}\n");
}

TEST(what_a_terminal_would_obey_is_escaped)
{
    check_logged(LOG_FORMAT_TEXT, "a\nb\x1b[2J", "\"a\\u000ab\\u001b[2J\"\n");
    check_logged(LOG_FORMAT_TEXT,
                 "a\xC2\x9B"
                 "2J",
                 "\"a\\u009b2J\"\n");
    check_logged(LOG_FORMAT_TEXT, "\xC2\x80\xC2\x9F\xC2\xA0", "\"\\u0080\\u009f\xC2\xA0\"\n");
    check_logged(LOG_FORMAT_TEXT,
                 "a\xE2\x80\xAE"
                 "b",
                 "\"a\\u202eb\"\n");
    check_logged(LOG_FORMAT_JSON, "a\xC2\x85\xE2\x80\xA8", "\"a\\u0085\\u2028\"}\n");
}

TEST(bytes_that_are_not_utf8_are_shown_as_question_marks)
{
    check_logged(LOG_FORMAT_TEXT,
                 "a\x9B"
                 "2J and more",
                 "a?2J and more\n");
    check_logged(LOG_FORMAT_JSON, "a\x80\xFF end", "\"a?? end\"}\n");
}

TEST(a_long_message_is_cut_at_a_character)
{
    char message[2048];
    for (size_t i = 0; i + 2 < sizeof message; i += 2)
        memcpy(message + i, "\xC3\xA9", 3);
    const char *found = logged(LOG_FORMAT_TEXT, message);
    CHECK_MSG(strlen(found) == 1023 && strchr(found, '?') == NULL, "%zu bytes", strlen(found));
}

TEST(a_message_of_control_characters_alone_has_room)
{
    char message[2048];
    memset(message, '\x01', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    CHECK(strlen(logged(LOG_FORMAT_JSON, message)) == 6 * 1023 + 4);
}

int main(void)
{
    RUN(a_plain_message_is_written_as_it_is);
    RUN(what_a_terminal_would_obey_is_escaped);
    RUN(bytes_that_are_not_utf8_are_shown_as_question_marks);
    RUN(a_long_message_is_cut_at_a_character);
    RUN(a_message_of_control_characters_alone_has_room);
    return test_report();
}
