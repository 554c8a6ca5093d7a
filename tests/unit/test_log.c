/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c: the form of a log line, and what a request's id may do to one. */
#include "log.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum { WRITTEN_MAX = 16 * 1024 };

/* What one call writes. stderr is a file of its own for as long. */
static const char *written(enum log_level least, enum log_format format, enum log_level level,
                           const char *id, const char *message)
{
    static char text[WRITTEN_MAX];
    char path[] = "/tmp/dcnv2-log-XXXXXX";
    const int file = mkstemp(path), kept = dup(STDERR_FILENO);
    unlink(path);
    dup2(file, STDERR_FILENO);
    CHECK(log_start(least, format) == 0);
    if (id)
        log_request(level, text_of(id), "%s", message);
    else
        log_event(level, "%s", message);
    log_stop();
    dup2(kept, STDERR_FILENO);
    close(kept);
    const ssize_t n = pread(file, text, sizeof text - 1, 0);
    close(file);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static bool ends_in(const char *text, const char *end)
{
    const size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static void check_text(const char *id, const char *message, const char *end)
{
    const char *line = written(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, id, message);
    CHECK_MSG(ends_in(line, end), "%s", line);
    CHECK_MSG(strchr(line, '\n') == line + strlen(line) - 1, "%s", line);
}

static void check_json(const char *id, const char *message, const char *end)
{
    const char *line = written(LOG_LEVEL_INFO, LOG_FORMAT_JSON, LOG_LEVEL_INFO, id, message);
    CHECK_MSG(ends_in(line, end), "%s", line);
    CHECK_MSG(strchr(line, '\n') == line + strlen(line) - 1, "%s", line);
}

TEST(an_id_is_the_end_of_a_line_of_text)
{
    check_text("6f1c2a9e-7c31", "GET / 200 5 us",
               "Z info    GET / 200 5 us request_id=6f1c2a9e-7c31\n");
    check_text(NULL, "GET / 200 5 us", "Z info    GET / 200 5 us\n");
    check_text("", "GET / 200 5 us", "Z info    GET / 200 5 us\n");
}

TEST(an_id_is_a_field_of_json)
{
    check_json(
        "6f1c2a9e-7c31", "GET / 200 5 us",
        "\"level\":\"info\",\"message\":\"GET / 200 5 us\",\"request_id\":\"6f1c2a9e-7c31\"}\n");
    check_json(NULL, "GET / 200 5 us", "\"message\":\"GET / 200 5 us\"}\n");
    check_json("", "GET / 200 5 us", "\"message\":\"GET / 200 5 us\"}\n");
}

/* Quotes, blanks, control characters of ASCII and of Unicode, halves of characters, DEL. */
TEST(an_id_adds_no_line_no_field_and_no_quote)
{
    static const char id[] = "a\"b\\c d\te\nf\x1b[1m\xc2\x85g\xc3\x7fh\xff";
    check_text(id, "m", "info    m request_id=a\"b\\c?d?e?f?[1m??g??h?\n");
    check_json(id, "m", "\"message\":\"m\",\"request_id\":\"a\\\"b\\\\c?d?e?f?[1m??g??h?\"}\n");
    check_text(" ", "m", "info    m request_id=?\n");
}

TEST(a_long_id_is_cut_whatever_the_message_takes)
{
    char id[4097], shown[REQUEST_ID_MAX_BYTES + 1], message[2001], end[400];
    memset(id, '"', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    memset(shown, '"', sizeof shown - 1);
    shown[sizeof shown - 1] = '\0';
    snprintf(end, sizeof end, "m request_id=%s\n", shown);
    check_text(id, "m", end);
    memset(message, '\x01', sizeof message - 1); /* six bytes each, where it is escaped */
    message[sizeof message - 1] = '\0';
    snprintf(end, sizeof end, "\\u0001\" request_id=%s\n", shown);
    check_text(id, message, end);
    char *at = end + snprintf(end, sizeof end, "\\u0001\",\"request_id\":\"");
    for (int i = 0; i < REQUEST_ID_MAX_BYTES; i++, at += 2)
        memcpy(at, "\\\"", 2);
    memcpy(at, "\"}\n", 4);
    check_json(id, message, end);
}

TEST(lines_below_the_level_are_not_written)
{
    for (int least = LOG_LEVEL_DEBUG; least <= LOG_LEVEL_ERROR; least++)
        for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
            const char *line =
                written((enum log_level)least, LOG_FORMAT_TEXT, (enum log_level)level, "id", "m");
            CHECK_MSG((*line != '\0') == (level >= least), "%d at %d: %s", level, least, line);
        }
}

/* What a text or JSON line holds of the message, and what follows. */
static const char *logged(enum log_format format, const char *message)
{
    const char *line = written(LOG_LEVEL_INFO, format, LOG_LEVEL_WARNING, NULL, message);
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
    RUN(an_id_is_the_end_of_a_line_of_text);
    RUN(an_id_is_a_field_of_json);
    RUN(an_id_adds_no_line_no_field_and_no_quote);
    RUN(a_long_id_is_cut_whatever_the_message_takes);
    RUN(lines_below_the_level_are_not_written);
    RUN(a_plain_message_is_written_as_it_is);
    RUN(what_a_terminal_would_obey_is_escaped);
    RUN(bytes_that_are_not_utf8_are_shown_as_question_marks);
    RUN(a_long_message_is_cut_at_a_character);
    RUN(a_message_of_control_characters_alone_has_room);
    return test_report();
}
