/* SPDX-License-Identifier: Apache-2.0 */
#include "data/csv.h"

#include <stdlib.h>

#include "fixture.h"
#include "log_files.h"
#include "test.h"

/* All records of a file on one line: cells in [], records apart by their line numbers. */
static void show_record(const struct csv_record *record, struct builder *shown)
{
    char line[32];
    snprintf(line, sizeof line, "%llu", (unsigned long long)record->line);
    builder_text(shown, line);
    for (uint32_t i = 0; i < record->n_cells; i++) {
        builder_text(shown, "[");
        if (record->cells[i].length > 0)
            builder_add(shown, record->cells[i].at, record->cells[i].length);
        builder_text(shown, "]");
    }
}

static void show_file(const char *path, char separator, struct builder *shown,
                      struct train_error *error)
{
    struct csv_reader *reader;
    struct csv_record record;
    memset(error, 0, sizeof *error);
    if (csv_open(&reader, path, error) != 0)
        return;
    csv_set_separator(reader, separator);
    while (csv_next(reader, &record, error) > 0)
        show_record(&record, shown);
    csv_close(reader);
}

static void check_separated(const char *path, char separator, const char *expected)
{
    struct builder shown = {0};
    struct train_error error;
    show_file(path, separator, &shown, &error);
    CHECK_MSG(error.message[0] == '\0', "%s", error.message);
    CHECK_MSG(text_is(builder_view(&shown), expected), "%.*s\n    instead of %s", (int)shown.length,
              shown.length ? shown.at : "", expected);
    builder_free(&shown);
}

static void check_file(const char *path, const char *expected)
{
    check_separated(path, ',', expected);
}

/* Of a text, plain and packed. */
static void check_text(const char *text, const char *expected)
{
    check_file(log_write("a.csv", text), expected);
    check_file(log_write("a.csv.gz", text), expected);
}

static void check_error(const char *path, const char *expected)
{
    struct builder shown = {0};
    struct train_error error;
    show_file(path, ',', &shown, &error);
    const char *message = strncmp(error.message, path, strlen(path)) == 0
                              ? error.message + strlen(path)
                              : error.message;
    CHECK_MSG(strcmp(message, expected) == 0, "\"%s\" instead of \"%s\"", message, expected);
    builder_free(&shown);
}

TEST(cells_are_split_at_commas_and_records_at_line_ends)
{
    check_text("a,b\n1,2\n", "1[a][b]2[1][2]");
    check_text(",\n,,\n", "1[][]2[][][]");
    check_text("a b,-1.5e+3,<x>\n", "1[a b][-1.5e+3][<x>]");
}

TEST(any_byte_may_separate_cells)
{
    static const char separators[] = "\t\x01 #,-/5:;A_a|}~\x7F";
    for (const char *at = separators; *at; at++) {
        char text[160], quoted[4], expected[160];
        const char s = *at;
        /* 64 bytes are looked at at once: separators at both their ends, and far apart. */
        snprintf(text, sizeof text, "%c%061d%c,%c\n\"x%cy\"%cz\r\n", s, 0, s, s, s, s);
        snprintf(quoted, sizeof quoted, "x%cy", s);
        snprintf(expected, sizeof expected, "1[][%061d][,][]2[%s][z]", 0, quoted);
        if (s == ',')
            snprintf(expected, sizeof expected, "1[][%061d][][][]2[%s][z]", 0, quoted);
        check_separated(log_write("a.txt", text), s, expected);
    }
    check_separated(log_write("a.txt", "a0b00c\n"), '0', "1[a][b][][c]");
}

/* Against a walk byte by byte, at all offsets of the mask and the buffer. */
TEST(separators_above_the_comma_are_found_at_every_place)
{
    struct builder text = {0}, expected = {0};
    for (unsigned i = 1; i < 3000; i++) {
        char line[32];
        snprintf(line, sizeof line, "%u[", i);
        builder_text(&expected, line);
        for (unsigned j = 0; j < i % 211; j++) {
            const char c = "x|,0{z\xC3\xA4"[(i * 7 + j * j) % 6];
            builder_add(&text, &c, 1);
            builder_text(&expected, c == '|' ? "][" : "");
            if (c != '|')
                builder_add(&expected, &c, 1);
        }
        builder_text(&text, "|\n");
        builder_text(&expected, "][]");
    }
    builder_add(&text, "", 1);
    builder_add(&expected, "", 1);
    check_separated(log_write("a.txt", text.at), '|', expected.at);
    builder_free(&text);
    builder_free(&expected);
}

TEST(a_record_that_was_looked_at_is_still_the_next)
{
    struct csv_reader *reader;
    struct csv_record record;
    struct train_error error;
    struct builder shown = {0};
    CHECK(csv_open(&reader, log_write("a.csv", "\n\"a;\"\"b\",\"c\nd\";e\n1,2"), &error) == 0);
    static const char separators[] = {';', ',', '\t', ','};
    for (unsigned i = 0; i < sizeof separators; i++) {
        CHECK(csv_peek(reader, separators[i], &record, &error) == 1);
        show_record(&record, &shown);
        builder_text(&shown, "/");
    }
    while (csv_next(reader, &record, &error) > 0)
        show_record(&record, &shown);
    CHECK_MSG(text_is(builder_view(&shown),
                      "2[a;\"b,\"c]/2[a;\"b][c\nd;e]/2[a;\"b,\"c]/2[a;\"b][c\nd;e]/"
                      "2[a;\"b][c\nd;e]4[1][2]"),
              "%.*s", (int)shown.length, shown.at);
    CHECK(csv_peek(reader, ',', &record, &error) == 0);
    csv_close(reader);
    builder_free(&shown);
}

/* What one separator makes of the file must not spoil it for another. */
TEST(a_quote_that_only_one_separator_opens_does_no_harm)
{
    struct csv_reader *reader;
    struct csv_record record;
    struct train_error error;
    struct builder shown = {0};
    CHECK(csv_open(&reader, log_write("a.csv", "a,b;\"c\nd,e\n"), &error) == 0);
    CHECK(csv_peek(reader, ';', &record, &error) == -1);
    CHECK(csv_peek(reader, ',', &record, &error) == 1);
    while (csv_next(reader, &record, &error) > 0)
        show_record(&record, &shown);
    CHECK_MSG(text_is(builder_view(&shown), "1[a][b;\"c]2[d][e]"), "%.*s", (int)shown.length,
              shown.at);
    csv_close(reader);
    builder_free(&shown);
}

TEST(lines_end_with_lf_crlf_or_cr)
{
    check_text("a,b\r\n1,2\r\n", "1[a][b]2[1][2]");
    check_text("a,b\r1,2\r", "1[a][b]2[1][2]");
    check_text("a\r\n\r\nb\n\nc\r\rd", "1[a]3[b]5[c]7[d]");
}

TEST(the_last_line_may_lack_its_end)
{
    check_text("a,b\n1,2", "1[a][b]2[1][2]");
    check_text("a,b\n1,", "1[a][b]2[1][]");
    check_text("a", "1[a]");
    check_text("a\n\"b\"", "1[a]2[b]");
    check_text("a\r", "1[a]");
}

TEST(an_empty_file_has_no_record)
{
    check_text("", "");
    check_text("\n\r\n\r", "");
    check_text("\xEF\xBB\xBF", "");
}

TEST(a_byte_order_mark_is_skipped_at_the_start_alone)
{
    check_text("\xEF\xBB\xBF"
               "a,b\n1,2",
               "1[a][b]2[1][2]");
    check_text("\xEF\xBB\xBF\"a\",b\n", "1[a][b]");
    check_text("a\n\xEF\xBB\xBF"
               "b",
               "1[a]2[\xEF\xBB\xBF"
               "b]");
}

TEST(quotes_keep_commas_quotes_and_line_ends)
{
    check_text("\"a,b\",\"c\"\"d\"\n", "1[a,b][c\"d]");
    check_text("\"two\nlines\",x\nb\n", "1[two\nlines][x]3[b]");
    check_text("\"two\r\nlines\r\",x\nb\n", "1[two\r\nlines\r][x]4[b]");
    check_text("\"\",\"\"\"\"\n\"\"\n", "1[][\"]2[]");
}

TEST(quotes_elsewhere_are_as_pandas_takes_them)
{
    check_text("a\"b\"c,\"x\"y\"z,\"\"q\n", "1[a\"b\"c][xy\"z][q]");
    check_text("x \"a,b\"\n", "1[x \"a][b\"]");
}

TEST(bytes_that_need_a_look_are_told)
{
    struct csv_reader *reader;
    struct csv_record record;
    struct train_error error;
    const char bytes[] = "plain,1\nh\xC3\xA4,1\nnul\0,1\nspace #!,1\n";
    CHECK(csv_open(&reader, log_write_bytes("a.csv", bytes, sizeof bytes - 1), &error) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(csv_next(reader, &record, &error) == 1);
        CHECK(record.has_high == (i == 1) && record.has_control == (i == 2));
    }
    CHECK(csv_next(reader, &record, &error) == 0);
    CHECK(csv_next(reader, &record, &error) == 0); /* and again */
    CHECK(csv_bytes_read(reader) == sizeof bytes - 1);
    csv_close(reader);
    csv_close(NULL);
}

/* Records around every size of buffer and mask: cells of all lengths, at all offsets. */
TEST(records_are_whole_wherever_the_buffer_ends)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    for (unsigned e = 0; e < 3; e++) {
        struct builder text = {0}, expected = {0};
        char cell[700], line[32];
        for (unsigned i = 1; text.length < 1500000; i++) {
            const bool is_quoted = i % 5 == 0;
            const size_t length = i * 7919u % 600;
            memset(cell, 'a' + (int)(i % 26), length);
            cell[length] = '\0';
            if (is_quoted)
                builder_text(&text, "\"");
            if (length > 0)
                builder_text(&text, cell);
            builder_text(&text, is_quoted ? "\"\"\",," : ",,");
            builder_text(&text, ends[e]);
            snprintf(line, sizeof line, "%u[", i);
            builder_text(&expected, line);
            if (length > 0)
                builder_text(&expected, cell);
            builder_text(&expected, is_quoted ? "\"][][]" : "][][]");
        }
        builder_add(&text, "", 1);
        builder_add(&expected, "", 1);
        check_text(text.at, expected.at);
        builder_free(&text);
        builder_free(&expected);
    }
}

TEST(a_record_may_be_larger_than_the_buffer)
{
    struct builder text = {0}, expected = {0};
    builder_text(&text, "a,\"");
    builder_repeat(&text, "long, ", 500000);
    builder_add(&text, "\"\nb\n", 5);
    builder_text(&expected, "1[a][");
    builder_repeat(&expected, "long, ", 500000);
    builder_add(&expected, "]2[b]", 6);
    check_text(text.at, expected.at);
    builder_free(&text);
    builder_free(&expected);
}

TEST(an_open_quote_is_told_with_the_line_where_it_opens)
{
    const char *const first = ":3: cell 1: a quote that opens here is not closed until the end";
    const char *const second = ":3: cell 2: a quote that opens here is not closed until the end";
    check_error(log_write("a.csv", "a,b\n1,2\n3,\"x\n4,5\n"), second);
    check_error(log_write("a.csv", "a,b\n\"1\n2\",\"3\n4\n"), second);
    check_error(log_write("a.csv", "a\nb\n\""), first);
    check_error(log_write("a.csv", "a\nb\n\"\"\""), first);
}

TEST(a_quote_that_swallows_a_large_file_is_told_early)
{
    struct builder text = {0};
    builder_text(&text, "a\n\"open\n");
    builder_repeat(&text, "0123456789,0123456789,0123456789\n", 2000000);
    check_error(
        log_write_bytes("a.csv", text.at, text.length),
        ":2: cell 1: the record that starts here is longer than 16 MiB: is its quote open?");
    memcpy((char *)text.at, "a\nwide,", 7);
    memset((char *)text.at + 7, ',', text.length - 7);
    check_error(log_write_bytes("a.csv", text.at, text.length),
                ":2: the record that starts here is longer than 16 MiB");
    builder_free(&text);
}

TEST(cells_are_called_by_the_names_that_were_told)
{
    static char first[] = "user", second[] = "ad";
    static char *const names[] = {first, second};
    static const char *const reasons[] = {":2: column user: a", ":2: column ad: a",
                                          ":2: cell 3: a"};
    static const char *const rows[] = {"a,b\n\"", "a,b\n1,\"2", "a,b\n1,2,\"3"};
    for (unsigned i = 0; i < 3; i++) {
        struct csv_reader *reader;
        struct csv_record record;
        struct train_error error;
        CHECK(csv_open(&reader, log_write("a.csv", rows[i]), &error) == 0);
        CHECK(csv_next(reader, &record, &error) == 1);
        csv_name_cells(reader, names, 2);
        CHECK(csv_next(reader, &record, &error) == -1);
        CHECK_MSG(strstr(error.message, reasons[i]), "%s", error.message);
        csv_close(reader);
    }
}

TEST(cells_beyond_the_most_are_counted)
{
    struct builder text = {0};
    builder_repeat(&text, "x,", CSV_MAX_CELLS + 9);
    struct csv_reader *reader;
    struct csv_record record;
    struct train_error error;
    CHECK(csv_open(&reader, log_write_bytes("a.csv", text.at, text.length), &error) == 0);
    CHECK(csv_next(reader, &record, &error) == 1 && record.n_cells == CSV_MAX_CELLS + 10);
    CHECK(text_is(record.cells[CSV_MAX_CELLS - 1], "x"));
    csv_close(reader);
    builder_free(&text);
}

TEST(a_file_that_cannot_be_read_is_told)
{
    check_error(log_path("none.csv"), ": No such file or directory");
    check_error(log_folder(), ": Is a directory");
    check_error(log_write_raw("plain.csv.gz", "a,b\n", 4),
                ": not a gzip file, which its name says");
}

/* Records of two cells; all that are whole come before the error, which says how many there were.
 */
static void check_cut(const char *path)
{
    struct builder shown = {0};
    struct train_error error;
    char expected[160];
    size_t n_cells = 0;
    show_file(path, ',', &shown, &error);
    for (size_t i = 0; i < shown.length; i++)
        n_cells += shown.at[i] == ']';
    snprintf(expected, sizeof expected,
             ": cannot be unpacked: the end of the gzip member at byte 0 is missing; %zu records "
             "were read before",
             n_cells / 2);
    CHECK_MSG(n_cells > 90000 && strcmp(error.message + strlen(path), expected) == 0, "%zu: %s",
              n_cells, error.message);
    builder_free(&shown);
}

TEST(a_plain_tail_behind_a_packed_file_is_told_behind_its_records)
{
    struct builder file = {0}, shown = {0};
    struct train_error error;
    char bytes[256], expected[160];
    FILE *packed = fopen(log_write("whole.csv.gz", "a,b\n1,2\n3,4\n"), "rb");
    builder_add(&file, bytes, fread(bytes, 1, sizeof bytes, packed));
    fclose(packed);
    snprintf(expected, sizeof expected,
             ": what follows the gzip data at byte %zu is not gzip: pack the whole file anew; 3 "
             "records were read before",
             file.length);
    builder_text(&file, "5,6\n");
    const char *path = log_write_raw("tail.csv.gz", file.at, file.length);
    show_file(path, ',', &shown, &error);
    CHECK(text_is(builder_view(&shown), "1[a][b]2[1][2]3[3][4]"));
    CHECK_MSG(strcmp(error.message + strlen(path), expected) == 0, "%s", error.message);
    builder_free(&shown);
    builder_free(&file);
}

TEST(a_packed_file_that_is_cut_or_damaged_is_told)
{
    struct builder text = {0};
    for (unsigned i = 0; i < 50000; i++) {
        char line[32];
        snprintf(line, sizeof line, "%u,%u\n", i, i * 2654435761u);
        builder_text(&text, line);
    }
    const char *whole = log_write_bytes("whole.csv.gz", text.at, text.length);
    static char packed[2000000];
    FILE *file = fopen(whole, "rb");
    const size_t size = fread(packed, 1, sizeof packed, file);
    fclose(file);
    check_cut(log_write_raw("cut.csv.gz", packed, size - 100));
    packed[size / 2] ^= 0x55;
    packed[size - 6] ^= 0x55; /* the checksum */
    log_write_raw("bad.csv.gz", packed, size);
    struct builder shown = {0};
    struct train_error error;
    show_file(log_path("bad.csv.gz"), ',', &shown, &error);
    CHECK_MSG(strstr(error.message, "cannot be unpacked"), "%s", error.message);
    builder_free(&shown);
    builder_free(&text);
}

int main(void)
{
    RUN(cells_are_split_at_commas_and_records_at_line_ends);
    RUN(any_byte_may_separate_cells);
    RUN(separators_above_the_comma_are_found_at_every_place);
    RUN(a_record_that_was_looked_at_is_still_the_next);
    RUN(a_quote_that_only_one_separator_opens_does_no_harm);
    RUN(lines_end_with_lf_crlf_or_cr);
    RUN(the_last_line_may_lack_its_end);
    RUN(an_empty_file_has_no_record);
    RUN(a_byte_order_mark_is_skipped_at_the_start_alone);
    RUN(quotes_keep_commas_quotes_and_line_ends);
    RUN(quotes_elsewhere_are_as_pandas_takes_them);
    RUN(bytes_that_need_a_look_are_told);
    RUN(records_are_whole_wherever_the_buffer_ends);
    RUN(a_record_may_be_larger_than_the_buffer);
    RUN(an_open_quote_is_told_with_the_line_where_it_opens);
    RUN(a_quote_that_swallows_a_large_file_is_told_early);
    RUN(cells_are_called_by_the_names_that_were_told);
    RUN(cells_beyond_the_most_are_counted);
    RUN(a_file_that_cannot_be_read_is_told);
    RUN(a_plain_tail_behind_a_packed_file_is_told_behind_its_records);
    RUN(a_packed_file_that_is_cut_or_damaged_is_told);
    return test_report();
}
