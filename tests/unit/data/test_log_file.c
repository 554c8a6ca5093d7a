/* SPDX-License-Identifier: Apache-2.0 */
/* Files of several gzip members, cut, damaged, padded, and followed by something else. */
#include "data/log_file.h"

#include <zlib.h>

#include "fixture.h"
#include "log_files.h"

/* One member; its header holds a file name of so many bytes, to make it as long as wanted. */
static void add_member(struct builder *file, const char *text, size_t name_bytes)
{
    static char name[LOG_FILE_INPUT_BYTES + 1];
    unsigned char out[256];
    z_stream stream = {0};
    memset(name, 'n', name_bytes);
    name[name_bytes] = '\0';
    gz_header header = {.name = (unsigned char *)name, .os = 3};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflateSetHeader(&stream, name_bytes ? &header : Z_NULL) != Z_OK)
        abort();
    stream.next_in = (unsigned char *)text;
    stream.avail_in = (unsigned)strlen(text);
    int code;
    do {
        stream.next_out = out;
        stream.avail_out = sizeof out;
        code = deflate(&stream, Z_FINISH);
        builder_add(file, out, sizeof out - stream.avail_out);
    } while (code == Z_OK);
    deflateEnd(&stream);
    if (code != Z_STREAM_END)
        abort();
}

static size_t member_bytes(const char *text)
{
    struct builder member = {0};
    add_member(&member, text, 0);
    const size_t length = member.length;
    builder_free(&member);
    return length;
}

/* Reads all in pieces of `size` bytes; the message is empty at a good end. */
static void read_all(const char *path, size_t size, struct builder *text, struct train_error *error)
{
    struct log_file *log;
    char piece[4096];
    ssize_t n;
    error->message[0] = '\0';
    if (log_file_open(&log, path, error) != 0)
        return;
    while ((n = log_file_read(log, piece, size, error)) > 0)
        builder_add(text, piece, (size_t)n);
    if (n < 0) {
        struct train_error again;
        CHECK(log_file_read(log, piece, size, &again) == -1);
        CHECK_MSG(strcmp(again.message, error->message) == 0, "then \"%s\"", again.message);
    }
    log_file_close(log);
}

/* `message`: what stands behind the path, or "". */
static void check_named(const char *name, const struct builder *file, const char *expected,
                        const char *message)
{
    const char *path = log_write_raw(name, file->at, file->length);
    for (size_t size = 1; size <= 4096; size *= 64) {
        struct builder text = {0};
        struct train_error error;
        read_all(path, size, &text, &error);
        CHECK_MSG(text_is(builder_view(&text), expected), "%.*s instead of %s", (int)text.length,
                  text.length ? text.at : "", expected);
        const char *found = *error.message ? error.message + strlen(path) : "";
        CHECK_MSG(strcmp(found, message) == 0, "\"%s\" instead of \"%s\"", found, message);
        builder_free(&text);
    }
}

static void check_read(const struct builder *file, const char *expected, const char *message)
{
    check_named("some.csv.gz", file, expected, message);
}

TEST(a_packed_file_is_found_by_its_first_bytes)
{
    struct builder file = {0};
    char message[128];
    add_member(&file, "a,b\n", 0);
    add_member(&file, "1,2\n", 0);
    check_named("some.csv", &file, "a,b\n1,2\n", "");
    snprintf(message, sizeof message,
             ": what follows the gzip data at byte %zu is not gzip: pack the whole file anew",
             file.length);
    builder_text(&file, "3,4\n");
    check_named("some.csv", &file, "a,b\n1,2\n", message);
    builder_free(&file);
}

TEST(a_file_that_only_begins_like_a_packed_one_is_read_as_it_is)
{
    static const char *const texts[] = {"", "\x1f", "\x1fplain", "x\x8b", "ab", "abc\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct builder file = {0};
        builder_add(&file, texts[i], strlen(texts[i]));
        check_named("some.csv", &file, texts[i], "");
        builder_free(&file);
    }
}

TEST(members_are_read_one_behind_the_other)
{
    struct builder file = {0};
    add_member(&file, "a,b\n", 0);
    check_read(&file, "a,b\n", "");
    add_member(&file, "", 0);
    add_member(&file, "1,2\n", 5);
    add_member(&file, "", 0);
    check_read(&file, "a,b\n1,2\n", "");
    builder_free(&file);
}

TEST(an_empty_file_has_no_bytes)
{
    struct builder file = {0};
    builder_add(&file, "", 0);
    check_read(&file, "", "");
    builder_free(&file);
}

TEST(zeros_behind_a_member_are_padding)
{
    struct builder file = {0};
    add_member(&file, "a\n", 0);
    for (int i = 0; i < 10240; i++)
        builder_add(&file, "", 1);
    check_read(&file, "a\n", "");
    add_member(&file, "b\n", 0);
    builder_add(&file, "", 1);
    check_read(&file, "a\nb\n", "");
    builder_free(&file);
}

TEST(zeros_alone_are_no_gzip_file)
{
    struct builder file = {0};
    builder_add(&file, "\0\0\0\0", 4);
    check_read(&file, "", ": not a gzip file, which its name says");
    builder_free(&file);
}

static void check_tail(size_t n_zeros, const char *tail)
{
    struct builder file = {0};
    char message[128];
    add_member(&file, "a\n", 0);
    for (size_t i = 0; i < n_zeros; i++)
        builder_add(&file, "", 1);
    snprintf(message, sizeof message,
             ": what follows the gzip data at byte %zu is not gzip: pack the whole file anew",
             file.length);
    builder_text(&file, tail);
    check_read(&file, "a\n", message);
    builder_free(&file);
}

TEST(what_follows_the_members_and_is_none_is_an_error_at_its_byte)
{
    check_tail(0, "plain,1\n");
    check_tail(0, "x");
    check_tail(0, "\x1f\x8c"); /* as far as the second byte */
    check_tail(0, "\x1fplain");
    check_tail(512, "plain,1\n");
}

/* A member of which only the first byte is there, or all but the last, is cut. */
TEST(a_member_that_is_cut_anywhere_is_told_with_its_start)
{
    const size_t first = member_bytes("first\n"), second = member_bytes("second\n");
    char message[128];
    snprintf(message, sizeof message,
             ": cannot be unpacked: the end of the gzip member at byte %zu is missing", first);
    for (size_t n = 1; n < second; n++) {
        struct builder file = {0};
        add_member(&file, "first\n", 0);
        add_member(&file, "second\n", 0);
        file.length = first + n;
        const char *path = log_write_raw("cut.csv.gz", file.at, file.length);
        struct builder text = {0};
        struct train_error error;
        read_all(path, 100, &text, &error);
        CHECK_MSG(strcmp(error.message + strlen(path), message) == 0, "%zu: %s", n, error.message);
        CHECK(text.length >= 6 && memcmp(text.at, "first\n", 6) == 0);
        builder_free(&text);
        builder_free(&file);
    }
}

TEST(a_damaged_member_is_told_with_its_start_and_the_byte)
{
    const size_t first = member_bytes("first\n");
    char message[160];
    struct builder file = {0};
    add_member(&file, "first\n", 0);
    add_member(&file, "second\n", 0);
    file.at[file.length - 8] ^= 1; /* the checksum */
    snprintf(
        message, sizeof message,
        ": cannot be unpacked: the gzip member at byte %zu is damaged: incorrect data check at "
        "byte %zu",
        first, file.length - 4);
    check_read(&file, "first\nsecond\n", message);
    file.at[file.length - 8] ^= 1;
    file.at[file.length - 1] ^= 1; /* the length */
    snprintf(message, sizeof message,
             ": cannot be unpacked: the gzip member at byte %zu is damaged: incorrect length check "
             "at byte %zu",
             first, file.length);
    check_read(&file, "first\nsecond\n", message);
    file.at[file.length - 1] ^= 1;
    check_read(&file, "first\nsecond\n", "");
    builder_free(&file);
}

/* What starts `shift` bytes before the first input ends, so that the border lies in each of its
 * bytes in turn. */
static void check_at_border(size_t shift)
{
    const size_t start = LOG_FILE_INPUT_BYTES - shift;
    struct builder file = {0};
    char message[128];
    add_member(&file, "first\n", start - member_bytes("first\n") - 1); /* the name's NUL */
    CHECK_MSG(file.length == start, "%zu bytes", file.length);
    add_member(&file, "second\n", 0);
    const size_t whole = file.length;
    check_read(&file, "first\nsecond\n", "");
    builder_add(&file, "\0\0\0", 3);
    add_member(&file, "third\n", 0);
    check_read(&file, "first\nsecond\nthird\n", "");
    file.length = whole - 1;
    snprintf(message, sizeof message,
             ": cannot be unpacked: the end of the gzip member at byte %zu is missing", start);
    check_read(&file, "first\nsecond\n", message);
    file.length = start;
    builder_text(&file, "plain,1\n");
    snprintf(message, sizeof message,
             ": what follows the gzip data at byte %zu is not gzip: pack the whole file anew",
             start);
    check_read(&file, "first\n", message);
    builder_free(&file);
}

TEST(a_member_may_start_and_end_at_every_place_of_the_input)
{
    const size_t most = member_bytes("second\n") + 8;
    for (size_t shift = 0; shift <= most; shift++)
        check_at_border(shift);
}

TEST(the_offset_is_of_the_file_as_it_is_on_disk)
{
    struct builder file = {0};
    struct log_file *log;
    struct train_error error;
    char piece[64];
    add_member(&file, "first\n", 0);
    const size_t first = file.length;
    add_member(&file, "second\n", 0);
    CHECK(log_file_open(&log, log_write_raw("a.csv.gz", file.at, file.length), &error) == 0);
    CHECK(log_file_offset(log) == 0);
    CHECK(log_file_read(log, piece, 6, &error) == 6);
    CHECK(log_file_offset(log) > 0 && log_file_offset(log) <= first);
    CHECK(log_file_read(log, piece, sizeof piece, &error) == 7);
    CHECK(log_file_read(log, piece, sizeof piece, &error) == 0);
    CHECK(log_file_offset(log) == file.length);
    log_file_close(log);
    log_file_close(NULL);
    builder_free(&file);
}

int main(void)
{
    RUN(a_packed_file_is_found_by_its_first_bytes);
    RUN(a_file_that_only_begins_like_a_packed_one_is_read_as_it_is);
    RUN(members_are_read_one_behind_the_other);
    RUN(an_empty_file_has_no_bytes);
    RUN(zeros_behind_a_member_are_padding);
    RUN(zeros_alone_are_no_gzip_file);
    RUN(what_follows_the_members_and_is_none_is_an_error_at_its_byte);
    RUN(a_member_that_is_cut_anywhere_is_told_with_its_start);
    RUN(a_damaged_member_is_told_with_its_start_and_the_byte);
    RUN(a_member_may_start_and_end_at_every_place_of_the_input);
    RUN(the_offset_is_of_the_file_as_it_is_on_disk);
    return test_report();
}
