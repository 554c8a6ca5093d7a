/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings of click logs, and files that are no text. */
#include "data/log_text.h"

#include "fixture.h"
#include "log_files.h"
#include "test.h"

/* Reads all in pieces of `size` bytes; the message is empty at a good end. */
static void read_all(const char *path, size_t size, struct builder *out, struct train_error *error)
{
    struct log_text *text;
    char piece[4096];
    ssize_t n;
    error->message[0] = '\0';
    if (log_text_open(&text, path, error) != 0)
        return;
    while ((n = log_text_read(text, piece, size, error)) > 0)
        builder_add(out, piece, (size_t)n);
    if (n < 0) {
        struct train_error again;
        CHECK(log_text_read(text, piece, size, &again) == -1);
        CHECK_MSG(strcmp(again.message, error->message) == 0, "then \"%s\"", again.message);
    }
    log_text_close(text);
}

/* `message`: what stands behind the path, or "". */
static void check_path(const char *path, struct text expected, const char *message)
{
    for (size_t size = 1; size <= 4096; size *= 64) {
        struct builder out = {0};
        struct train_error error;
        read_all(path, size, &out, &error);
        CHECK_MSG(text_equal(builder_view(&out), expected), "%.*s instead of %.*s",
                  TEXT_SHOWN(builder_view(&out)), TEXT_SHOWN(expected));
        const char *found = *error.message ? error.message + strlen(path) : "";
        CHECK_MSG(strcmp(found, message) == 0, "\"%s\" instead of \"%s\"", found, message);
        builder_free(&out);
    }
}

/* Plain and packed. */
static void check_bytes(const struct builder *file, struct text expected, const char *message)
{
    check_path(log_write_bytes("some.csv", file->at, file->length), expected, message);
    check_path(log_write_bytes("some.csv.gz", file->at, file->length), expected, message);
}

static void add_unit(struct builder *file, unsigned unit, bool is_be)
{
    const char bytes[2] = {(char)(is_be ? unit >> 8 : unit), (char)(is_be ? unit : unit >> 8)};
    builder_add(file, bytes, 2);
}

static void add_units(struct builder *file, const uint16_t *units, size_t n, bool is_be)
{
    for (size_t i = 0; i < n; i++)
        add_unit(file, units[i], is_be);
}

TEST(text_without_a_sign_is_given_as_it_is)
{
    static const char *const texts[] = {
        "", "a", "a,b\n1,2\n", "\xEF\xBB", "h\xC3\xA4,\xFF\n", "BZh9,PAR1,ORC\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct builder file = {0};
        builder_add(&file, texts[i], strlen(texts[i]));
        check_bytes(&file, text_of(texts[i]), "");
        builder_free(&file);
    }
}

TEST(a_byte_order_mark_of_utf8_is_passed_over_once)
{
    struct builder file = {0};
    builder_text(&file, "\xEF\xBB\xBF\xEF\xBB\xBF"
                        "a\n");
    check_bytes(&file,
                text_of("\xEF\xBB\xBF"
                        "a\n"),
                "");
    builder_free(&file);
}

TEST(text_that_is_longer_than_what_is_looked_at_is_whole)
{
    struct builder file = {0};
    builder_repeat(&file, "0123456789\n", 9000);
    check_bytes(&file, builder_view(&file), "");
    builder_free(&file);
}

TEST(utf16_is_converted_in_either_order_with_a_mark_and_without)
{
    static const uint16_t units[] = {'a', '\t', 0xE4, 0x20AC, 0xD83D, 0xDE00, 0xFEFF, '\r', '\n'};
    const char *const expected = "a\t\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xEF\xBB\xBF\r\n";
    for (int i = 0; i < 4; i++) {
        const bool is_be = i % 2, has_mark = i / 2;
        struct builder file = {0};
        if (has_mark)
            add_unit(&file, 0xFEFF, is_be);
        add_units(&file, units, sizeof units / sizeof *units, is_be);
        check_bytes(&file, text_of(expected), "");
        builder_free(&file);
    }
}

/* A pair at every place of the input buffer, and the end of the text at all of them. */
TEST(pairs_are_whole_wherever_the_buffer_ends)
{
    for (unsigned shift = 0; shift < 4; shift++) {
        struct builder file = {0}, expected = {0};
        add_unit(&file, 0xFEFF, false);
        for (unsigned i = 0; i < 20000; i++) {
            const bool is_pair = i % 3 == shift % 3 || i < shift;
            add_unit(&file, is_pair ? 0xD83D : 'x', false);
            if (is_pair)
                add_unit(&file, 0xDE00, false);
            builder_text(&expected, is_pair ? "\xF0\x9F\x98\x80" : "x");
        }
        check_bytes(&file, builder_view(&expected), "");
        builder_free(&file);
        builder_free(&expected);
    }
}

TEST(half_of_a_pair_becomes_bytes_that_are_not_utf8)
{
    static const uint16_t units[] = {0xFEFF, 'a',    0xD83D, 'b',   0xDE00,
                                     0xD83D, 0xD83D, 0xDE00, 0xD83D};
    struct builder file = {0};
    add_units(&file, units, sizeof units / sizeof *units, false);
    check_bytes(&file,
                text_of("a\xED\xA0\xBD"
                        "b\xED\xB8\x80\xED\xA0\xBD\xF0\x9F\x98\x80\xED\xA0\xBD"),
                "");
    builder_free(&file);
}

TEST(utf16_that_ends_within_a_character_is_cut)
{
    static const uint16_t units[] = {0xFEFF, 'a', '\n'};
    struct builder file = {0};
    add_units(&file, units, 3, true);
    builder_add(&file, "", 1);
    check_bytes(&file, text_of("a\n"), ": cut: UTF-16 ends within a character");
    builder_free(&file);
}

TEST(files_that_are_no_text_are_refused_by_their_name)
{
    static const struct {
        const char *name, *bytes;
        size_t n, at;
    } files[] = {
        {"packed with zstd", "\x28\xB5\x2F\xFD\x04", 5, 0},
        {"packed with bzip2", "BZh91AY&SY", 10, 0},
        {"packed with xz",
         "\xFD"
         "7zXZ\0\0",
         7, 0},
        {"packed with lz4", "\x04\x22\x4D\x18", 4, 0},
        {"a 7-Zip archive", "7z\xBC\xAF\x27\x1C", 6, 0},
        {"a zip archive, or an Excel workbook", "PK\x03\x04\x14", 5, 0},
        {"an Excel workbook", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8, 0},
        {"a tar archive", "ustar\0", 6, 257},
        {"a Parquet file", "PAR1\x15\x04", 6, 0},
        {"an Arrow file", "ARROW1\0\0", 8, 0},
        {"an Avro file", "Obj\x01\x04", 5, 0},
        {"an HDF5 file", "\x89HDF\r\n\x1A\n", 8, 0},
        {"UTF-32", "\xFF\xFE\0\0a\0\0\0", 8, 0},
        {"UTF-32", "\0\0\xFE\xFF\0\0\0a", 8, 0},
    };
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        char bytes[300] = "";
        struct log_text *text;
        struct train_error error = {""};
        memset(bytes, 'x', files[i].at);
        memcpy(bytes + files[i].at, files[i].bytes, files[i].n);
        const char *path = log_write_bytes("some.csv", bytes, files[i].at + files[i].n);
        CHECK(log_text_open(&text, path, &error) == -1);
        const char *found = error.message + strlen(path) + 2;
        CHECK_MSG(strncmp(found, files[i].name, strlen(files[i].name)) == 0,
                  "\"%s\" instead of \"%s\"", error.message, files[i].name);
        path = log_write_bytes("some.csv.gz", bytes, files[i].at + files[i].n);
        CHECK(log_text_open(&text, path, &error) == -1);
    }
}

TEST(what_is_packed_twice_is_told)
{
    struct builder once = {0};
    char bytes[256];
    struct log_text *text;
    struct train_error error;
    FILE *file = fopen(log_write("once.csv.gz", "a,b\n1,2\n"), "rb");
    const size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    CHECK(n > 0 && fclose(file) == 0);
    builder_add(&once, bytes, n);
    CHECK(log_text_open(&text, log_write_bytes("twice.csv.gz", once.at, once.length), &error) ==
          -1);
    CHECK_MSG(strstr(error.message, "twice.csv.gz: packed with gzip twice"), "%s", error.message);
    builder_free(&once);
}

int main(void)
{
    RUN(text_without_a_sign_is_given_as_it_is);
    RUN(a_byte_order_mark_of_utf8_is_passed_over_once);
    RUN(text_that_is_longer_than_what_is_looked_at_is_whole);
    RUN(utf16_is_converted_in_either_order_with_a_mark_and_without);
    RUN(pairs_are_whole_wherever_the_buffer_ends);
    RUN(half_of_a_pair_becomes_bytes_that_are_not_utf8);
    RUN(utf16_that_ends_within_a_character_is_cut);
    RUN(files_that_are_no_text_are_refused_by_their_name);
    RUN(what_is_packed_twice_is_told);
    return test_report();
}
