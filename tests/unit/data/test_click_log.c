/* SPDX-License-Identifier: Apache-2.0 */
#include "data/click_log.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "log_files.h"
#include "test.h"

static const char *const users[] = {"user", "ad"};
static const char *const prices[] = {"price"};

static const struct log_columns columns = {
    .label = "clk", .sparse = users, .dense = prices, .n_sparse = 2, .n_dense = 1};

/* Every record of the files as "label user ad price;"; the error after it. */
static struct click_log_progress show(const char *const *paths, uint32_t n_paths,
                                      const struct log_columns *wanted, uint64_t max_bad_rows,
                                      struct builder *shown, struct train_error *error)
{
    struct click_log *log;
    struct click_record record;
    struct click_log_progress progress = {0};
    memset(error, 0, sizeof *error);
    if (click_log_open(&log, paths, n_paths, wanted, max_bad_rows, error) == 0) {
        char text[64];
        while (click_log_next(log, &record, error) > 0) {
            snprintf(text, sizeof text, "%d", record.label);
            builder_text(shown, text);
            for (uint32_t i = 0; i < wanted->n_sparse; i++) {
                builder_text(shown, " ");
                if (record.sparse[i].length > 0)
                    builder_add(shown, record.sparse[i].at, record.sparse[i].length);
            }
            for (uint32_t i = 0; i < wanted->n_dense; i++) {
                snprintf(text, sizeof text, " %.9g", record.dense[i]);
                builder_text(shown, text);
            }
            if (wanted->group) {
                builder_text(shown, " group ");
                builder_add(shown, record.group.at, record.group.length);
            }
            builder_text(shown, ";");
        }
        progress = click_log_progress(log);
        CHECK(strcmp(progress.first_bad, click_log_first_bad(log)) == 0);
        if (progress.n_bad == 0)
            CHECK(*progress.first_bad == '\0');
        click_log_close(log);
    }
    progress.first_bad = NULL;
    return progress;
}

static void check_rows(const char *const *paths, uint32_t n_paths, const struct log_columns *wanted,
                       const char *expected)
{
    struct builder shown = {0};
    struct train_error error;
    show(paths, n_paths, wanted, 0, &shown, &error);
    CHECK_MSG(error.message[0] == '\0', "%s", error.message);
    CHECK_MSG(text_is(builder_view(&shown), expected), "%.*s\n    instead of %s", (int)shown.length,
              shown.length ? shown.at : "", expected);
    builder_free(&shown);
}

static void check_message(const char *path, const struct log_columns *wanted, const char *expected)
{
    struct builder shown = {0};
    struct train_error error;
    show(&path, 1, wanted, 0, &shown, &error);
    const size_t length = strlen(path);
    const char *message =
        strncmp(error.message, path, length) == 0 ? error.message + length : error.message;
    CHECK_MSG(strcmp(message, expected) == 0, "\"%s\" instead of \"%s\"", message, expected);
    builder_free(&shown);
}

static void check_bad_bytes(const char *bytes, size_t size, const char *expected)
{
    check_message(log_write_bytes("bad.csv", bytes, size), &columns, expected);
}

static void check_bad(const char *text, const char *expected)
{
    check_bad_bytes(text, strlen(text), expected);
}

TEST(columns_are_found_by_name_in_each_file)
{
    const char *paths[] = {log_write("a.csv", "clk,user,ad,price\n1,u1,a1,0.5\n0,u2,a2,\n"),
                           log_write("b.csv", "more,price,ad,clk,user\nx,7,a3,0,\"u,3\"\n"),
                           log_write("c.csv.gz", "user,ad,price,clk\r\nu4,,NA,1.0")};
    check_rows(paths, 3, &columns, "1 u1 a1 0.5;0 u2 a2 0;0 u,3 a3 7;1 u4  0;");
}

TEST(a_folder_is_its_csv_files_by_name)
{
    char path[LOG_PATH_MAX * 2];
    snprintf(path, sizeof path, "%s", log_path("logs"));
    const char *const folder = path;
    CHECK(mkdir(folder, 0700) == 0);
    const char *header = "clk,user,ad,price\n";
    char text[64];
    static const char *const names[] = {"b.csv",  "a.csv.gz",   "c.txt",
                                        ".d.csv", "a-part.csv", "e.csv.bz2"};
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "logs/%s", names[i]);
        snprintf(text, sizeof text, "%s1,%c,%c,1\n", header, names[i][0], names[i][1]);
        log_write(name, text);
    }
    check_rows(&folder, 1, &columns, "1 a - 1;1 a . 1;1 b . 1;");
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "logs/%s", names[i]);
        CHECK(unlink(log_path(name)) == 0);
    }
    check_message(folder, &columns, ": there is no *.csv or *.csv.gz in this folder");
    CHECK(rmdir(folder) == 0);
}

TEST(the_label_and_the_group_may_be_left_out)
{
    const char *path = log_write("a.csv", "user,ad,price\nu1,a1,2\n");
    struct log_columns without = columns;
    without.label_is_optional = true;
    check_rows(&path, 1, &without, "-1 u1 a1 2;");
    without.label = NULL;
    check_rows(&path, 1, &without, "-1 u1 a1 2;");
    without.group = "user";
    check_rows(&path, 1, &without, "-1 u1 a1 2 group u1;");
    check_message(path, &columns,
                  ":1: column clk: is not in the file; the header has user, ad, price");
    path = log_write("a.csv", "clk,user,ad,price\n,u1,a1,2\nNA,u2,a2,3\n1,u3,a3,4\n");
    without = columns;
    without.label_is_optional = true;
    check_rows(&path, 1, &without, "-1 u1 a1 2;-1 u2 a2 3;1 u3 a3 4;");
    check_message(path, &columns, ":2: column clk: \"\" is neither 0 nor 1");
    path = log_write("a.csv", "clk,user,ad,price\n2,u1,a1,2\n");
    check_message(path, &without, ":2: column clk: \"2\" is neither 0 nor 1");
}

TEST(bad_records_are_told_with_file_line_and_column)
{
    const char *good = "clk,user,ad,price\n1,u,a,1\n";
    char text[256];
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"1\n", ":3: column user: is missing: 1 cells, the header has 4"},
        {"1,u,a\n", ":3: column price: is missing: 3 cells, the header has 4"},
        {"1,u,a,1,\n", ":3: cell 5: \"\" has no column: 5 cells, the header has 4"},
        {"1,u,a,1,b,c\n", ":3: cell 5: \"b\" has no column: 6 cells, the header has 4"},
        {"1,u,\"a\n", ":3: column ad: a quote that opens here is not closed until the end"},
        {"1,\"u,\n\",\"a\n", ":4: column ad: a quote that opens here is not closed until the end"},
        {"1,u,a,1,\"b\n", ":3: cell 5: a quote that opens here is not closed until the end"},
        {"2,u,a,1\n", ":3: column clk: \"2\" is neither 0 nor 1"},
        {",u,a,1\n", ":3: column clk: \"\" is neither 0 nor 1"},
        {"yes,u,a,1\n", ":3: column clk: \"yes\" is neither 0 nor 1"},
        {"1,u,a,cheap\n", ":3: column price: \"cheap\" is not a number"},
        {"1,u,a,1.2.3\n", ":3: column price: \"1.2.3\" is not a number"},
        {"1,u,a,inf\n", ":3: column price: \"inf\" is beyond the range of a float"},
        {"1,u,a,-4e38\n", ":3: column price: \"-4e38\" is beyond the range of a float"},
        {"1,u,a,True\n", ":3: column price: \"True\" is not a number"},
        {"1,u,\xFF,1\n", ":3: column ad: not UTF-8"},
        {"1,\"\xC3\",a,1\n", ":3: column user: not UTF-8"},
        {"\n\n1,\"u\nu\",\xED\xA0\x80,1\n", ":5: column ad: not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s0,u,a,1\n", good, cases[i].row);
        check_bad(text, cases[i].message);
    }
    check_bad_bytes("clk,user,ad,price\n1,u\0,a,1\n", 26, ":2: column user: a NUL byte");
    check_bad_bytes("clk,user,ad,price\n1,\"u\0\",a,1\n", 28, ":2: column user: a NUL byte");
}

/* What stands in a damaged file is not what was packed: the reason is not the record's. */
TEST(a_bad_record_of_a_damaged_file_is_the_files_fault)
{
    static char packed[1 << 12];
    FILE *file = fopen(
        log_write("whole.csv.gz", "clk,user,ad,price\n1,u,a,1\n1,u,a,cheap\n1,u,a,1\n"), "rb");
    const size_t size = fread(packed, 1, sizeof packed, file);
    fclose(file);
    check_message(log_write_raw("whole.csv.gz", packed, size), &columns,
                  ":3: column price: \"cheap\" is not a number");
    packed[size - 6] ^= 0x55; /* the checksum */
    char expected[256];
    snprintf(expected, sizeof expected,
             ": cannot be unpacked: the gzip member at byte 0 is damaged: incorrect data check at "
             "byte %zu; 3 records were read before",
             size - 4);
    check_message(log_write_raw("bad.csv.gz", packed, size), &columns, expected);
}

TEST(a_header_that_cannot_be_used_is_told)
{
    check_bad("", ": empty, not even a header");
    check_bad("\n\n", ": empty, not even a header");
    check_bad("clk,user,brand,price\n",
              ":1: column ad: is not in the file; the header has clk, user, brand, price");
    check_bad("\nclk,user,ad,price,ad\n",
              ":2: column ad: stands twice in the header; the header has clk, user, ad, price, ad");
    check_bad("clk,user,ad,pr\xFFice\n", ":1: the header's cell 4: not UTF-8");
    check_bad_bytes("clk,user,ad,pr\0ice\n", 19, ":1: the header's cell 4: a NUL byte");
    check_bad("clk,user,\"ad,price\n1,2,3,4\n",
              ":1: cell 3: a quote that opens here is not closed until the end");
}

TEST(a_long_header_is_cut_in_the_message)
{
    struct builder text = {0};
    builder_text(&text, "x");
    builder_repeat(&text, ",some_column", 500);
    struct builder shown = {0};
    struct train_error error;
    const char *path = log_write_bytes("long.csv", text.at, text.length);
    show(&path, 1, &columns, 0, &shown, &error);
    CHECK_MSG(strstr(error.message, "some_column") != NULL, "%s", error.message);
    CHECK_MSG(strcmp(error.message + strlen(error.message) - 2, "..") == 0, "%s", error.message);
    builder_free(&text);
}

TEST(columns_that_are_asked_for_twice_are_told)
{
    const char *path = log_write("a.csv", "clk,user,ad,price\n1,u,a,1\n");
    static const char *const twice[] = {"user", "user"};
    struct log_columns wanted = columns;
    wanted.sparse = twice;
    check_message(path, &wanted,
                  "column user: named twice among label, category and dense columns");
    wanted = columns;
    wanted.dense = users;
    check_message(path, &wanted,
                  "column user: named twice among label, category and dense columns");
    wanted = columns;
    wanted.label = "price";
    check_message(path, &wanted,
                  "column price: named twice among label, category and dense columns");
    wanted = columns;
    wanted.group = "price";
    check_message(path, &wanted,
                  "column price: groups are of a category column or another one, "
                  "not of the dense ones");
}

TEST(the_separator_is_found_in_each_file)
{
    const char *paths[] = {log_write("a.csv", "clk,user,ad,price\n1,u;1,a|1,0.5\n"),
                           log_write("b.tsv", "x,y\tuser\tad\tprice\tclk\nx\tu,2\ta 2\t1\t0\n"),
                           log_write("c.csv", "price;clk;ad;user\n2;1;a,3;\"u;3\"\n"),
                           log_write("d.txt.gz", "clk|user|ad|price\n0|u4|a4|\n")};
    check_rows(paths, 4, &columns, "1 u;1 a|1 0.5;0 u,2 a 2 1;1 u;3 a,3 2;0 u4 a4 0;");
}

TEST(a_separator_that_is_given_is_taken)
{
    const char *path = log_write("a.txt", "clk:user:ad:price\n1:u:a:2\n");
    struct log_columns wanted = columns;
    check_bad("clk:user:ad:price\n1:u:a:2\n",
              ":1: column clk: is not in the file; the header has clk:user:ad:price");
    wanted.form.separator = ':';
    check_rows(&path, 1, &wanted, "1 u a 2;");
    wanted.form.separator = '\t';
    path = log_write("b.csv", "clk,user,ad,price\n1,u,a,2\n");
    check_message(path, &wanted,
                  ":1: column clk: is not in the file; the header has \"clk,user,ad,price\"");
}

TEST(two_separators_that_would_do_are_told)
{
    struct log_columns wanted = {
        .label = "clk", .label_is_optional = true, .sparse = users, .n_sparse = 2};
    check_message(log_write("a.csv", "user;x,ad,user,ad;x;ad;user\n1,2\n"), &wanted,
                  ": more than one byte separates the columns: --separator says which");
    wanted.n_sparse = 1;
    const char *path = log_write("b.csv", "user\n1;2\n"); /* none is there: no choice to make */
    check_rows(&path, 1, &wanted, "-1 1;2;");
}

TEST(columns_that_lack_are_told_by_the_separator_that_finds_most)
{
    check_bad("clk\tuser\tadd\tprice\n",
              ":1: column ad: is not in the file; the header has clk, user, add, price");
    check_bad("clk;user;ad;ad;price\n", ":1: column ad: stands twice in the header; the header has "
                                        "clk, user, ad, ad, price");
}

TEST(a_name_that_is_almost_there_is_told)
{
    check_bad("clk,user ,ad,price\n",
              ":1: column user: is not in the file; the header has \"user \": spaces "
              "count, and a list of columns keeps those that are in double quotes");
    check_bad("clk;user; Ad;price\n",
              ":1: column ad: is not in the file; the header has \" Ad\": spaces "
              "count, and a list of columns keeps those that are in double quotes");
    check_bad("clk,user,ad,PRICE\n",
              ":1: column price: is not in the file; the header has \"PRICE\": letter case counts");
}

TEST(names_are_told_as_a_list_of_them_is_written)
{
    check_bad("clk,user,\"a,d\", x,\"say \"\"hi\"\"\",\"\",two words\n",
              ":1: column ad: is not in the file; the header has clk, user, \"a,d\", \" x\", "
              "\"say \"\"hi\"\"\", \"\", two words");
}

static const char *const given[] = {"clk", "more", "user", "price", "ad"};

TEST(names_can_be_given_for_files_without_a_header_line)
{
    struct log_columns wanted = columns;
    wanted.form.header = given;
    wanted.form.n_header = 5;
    const char *paths[] = {log_write("a.csv", "1,x,u1,2,a1\n0,,u2,,\n"),
                           log_write("b.tsv", "\n1\tx\tu,3\t5\ta3\n"),
                           log_write("c.csv", "\"1\"|\"x|y\"|u4|6|a4")};
    check_rows(paths, 3, &wanted, "1 u1 a1 2;0 u2  0;1 u,3 a3 5;1 u4 a4 6;");
    check_message(log_write("a.csv", ""), &wanted, ": empty");
    check_message(log_write("a.csv", "1,x,u1,2\n"), &wanted,
                  ":1: column ad: is missing: 4 cells, the header has 5");
    check_message(log_write("a.csv", "1;,x;,u;,2;,a\n"), &wanted,
                  ": more than one byte separates the columns: --separator says which");
    check_message(log_write("a.csv", "1,x,u1,2,a\n1,x,u1,x,a\n"), &wanted,
                  ":2: column price: \"x\" is not a number");
    wanted.group = "day";
    check_message(log_write("a.csv", "1,x,u1,2,a\n"), &wanted,
                  ":1: column day: is not in the file; the header has clk, more, user, price, ad");
}

TEST(a_header_line_that_repeats_the_given_names_is_told)
{
    struct log_columns wanted = columns;
    wanted.form.header = given;
    wanted.form.n_header = 5;
    wanted.label_is_optional = true;
    check_message(log_write("a.csv", "clk,more,user,price,ad\n1,x,u,2,a\n"), &wanted,
                  ":1: the file has a header line: leave --header out");
}

TEST(a_decimal_comma_is_told)
{
    check_bad("clk;user;ad;price\n1;u;a;0,5\n",
              ":2: column price: \"0,5\" is not a number: decimals stand behind a point");
}

TEST(utf16_is_read_and_its_broken_cells_are_told)
{
    static const char good[] = "clk\tuser\tad\tprice\n1\tu\ta\t2\n0\tv\tb\t3\n";
    char bytes[2 * sizeof good];
    for (size_t i = 0; i < sizeof good - 1; i++) {
        bytes[2 * i] = good[i];
        bytes[2 * i + 1] = '\0';
    }
    const size_t size = 2 * (sizeof good - 1);
    const char *path = log_write_bytes("a.csv", bytes, size);
    check_rows(&path, 1, &columns, "1 u a 2;0 v b 3;");
    const size_t of_v = 2 * (size_t)(strchr(good, 'v') - good);
    bytes[of_v + 1] = '\xD8'; /* half of a pair */
    check_bad_bytes(bytes, size, ":3: column user: not UTF-8");
}

TEST(bad_records_are_skipped_and_counted_up_to_the_most)
{
    const char *path =
        log_write("a.csv", "clk,user,ad,price\n1,u1,a,1\n3,u2,a,1\n1,u3,a\n0,u4,a,x\n0,u5,a,5\n");
    struct builder shown = {0};
    struct train_error error;
    struct click_log_progress progress = show(&path, 1, &columns, 3, &shown, &error);
    CHECK_MSG(error.message[0] == '\0', "%s", error.message);
    CHECK(progress.n_records == 2 && progress.n_bad == 3);
    CHECK(progress.bytes == progress.total_bytes && progress.bytes > 0);
    CHECK(text_is(builder_view(&shown), "1 u1 a 1;0 u5 a 5;"));
    progress = show(&path, 1, &columns, 2, &shown, &error);
    CHECK(progress.n_records == 1 && progress.n_bad == 2);
    CHECK_MSG(strstr(error.message, "a.csv:5: column price: \"x\""), "%s", error.message);
    progress = show(&path, 1, &columns, UINT64_MAX, &shown, &error);
    CHECK(progress.n_records == 2 && progress.n_bad == 3);
    path = log_write("b.csv", "clk,user,ad,price\n7,u1,a,1\n0,\"u\n");
    progress = show(&path, 1, &columns, UINT64_MAX, &shown, &error);
    CHECK_MSG(strstr(error.message, "b.csv:3: column user: a quote"), "%s", error.message);
    builder_free(&shown);
}

TEST(the_first_bad_record_is_kept)
{
    const char *path = log_write("a.csv", "clk,user,ad,price\n5,u,a,1\n6,u,a,1\n1,u,a,1\n");
    struct click_log *log;
    struct click_record record;
    struct train_error error;
    CHECK(click_log_open(&log, &path, 1, &columns, 9, &error) == 0);
    CHECK(*click_log_first_bad(log) == '\0');
    CHECK(click_log_next(log, &record, &error) == 1);
    CHECK_MSG(strstr(click_log_first_bad(log), "a.csv:2: column clk: \"5\""), "%s",
              click_log_first_bad(log));
    const struct click_log_place place = click_log_place(log);
    CHECK_MSG(strcmp(place.file, path) == 0 && place.line == 4, "%s:%llu", place.file,
              (unsigned long long)place.line);
    CHECK(click_log_next(log, &record, &error) == 0);
    CHECK(click_log_next(log, &record, &error) == 0);
    click_log_close(log);
    click_log_close(NULL);
}

TEST(a_missing_file_is_told_before_anything_is_read)
{
    const char *paths[] = {log_write("a.csv", "clk,user,ad,price\n"), log_path("none.csv")};
    struct builder shown = {0};
    struct train_error error;
    show(paths, 2, &columns, 0, &shown, &error);
    CHECK_MSG(strstr(error.message, "none.csv: No such file or directory"), "%s", error.message);
    show(paths, 0, &columns, 0, &shown, &error);
    CHECK_MSG(strcmp(error.message, "there is no file to read") == 0, "%s", error.message);
    builder_free(&shown);
}

TEST(a_missing_number_is_what_the_columns_say)
{
    const char *path = log_write("m.csv", "clk,user,ad,price\n1,u,a,\n0,u,a,NA\n0,u,a,2\n");
    struct log_columns told = columns;
    told.missing = (double)NAN;
    check_rows(&path, 1, &told, "1 u a nan;0 u a nan;0 u a 2;");
    check_rows(&path, 1, &columns, "1 u a 0;0 u a 0;0 u a 2;");
}

TEST(the_words_for_missing_are_pandas)
{
    static const char *const missing[] = {
        "",    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "<NA>",
        "N/A", "NA",   "NULL",     "NaN", "None",    "n/a",      "nan",  "null", "1.#QNAN"};
    static const char *const not_missing[] = {" ", "na", "NAN", "none", "Null", "0", "-", "nan "};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        CHECK_MSG(click_is_missing(text_of(missing[i])), "%s", missing[i]);
    for (size_t i = 0; i < sizeof not_missing / sizeof *not_missing; i++)
        CHECK_MSG(!click_is_missing(text_of(not_missing[i])), "%s", not_missing[i]);
}

int main(void)
{
    RUN(columns_are_found_by_name_in_each_file);
    RUN(a_folder_is_its_csv_files_by_name);
    RUN(the_label_and_the_group_may_be_left_out);
    RUN(bad_records_are_told_with_file_line_and_column);
    RUN(a_bad_record_of_a_damaged_file_is_the_files_fault);
    RUN(a_header_that_cannot_be_used_is_told);
    RUN(a_long_header_is_cut_in_the_message);
    RUN(columns_that_are_asked_for_twice_are_told);
    RUN(the_separator_is_found_in_each_file);
    RUN(a_separator_that_is_given_is_taken);
    RUN(two_separators_that_would_do_are_told);
    RUN(columns_that_lack_are_told_by_the_separator_that_finds_most);
    RUN(a_name_that_is_almost_there_is_told);
    RUN(names_are_told_as_a_list_of_them_is_written);
    RUN(names_can_be_given_for_files_without_a_header_line);
    RUN(a_header_line_that_repeats_the_given_names_is_told);
    RUN(a_decimal_comma_is_told);
    RUN(utf16_is_read_and_its_broken_cells_are_told);
    RUN(bad_records_are_skipped_and_counted_up_to_the_most);
    RUN(the_first_bad_record_is_kept);
    RUN(a_missing_file_is_told_before_anything_is_read);
    RUN(a_missing_number_is_what_the_columns_say);
    RUN(the_words_for_missing_are_pandas);
    return test_report();
}
