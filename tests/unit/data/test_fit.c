/* SPDX-License-Identifier: Apache-2.0 */
/* tests/client/test_fit.py compares the same with pandas and scikit-learn on random tables. */
#include "data/fit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "fixture.h"
#include "log_files.h"
#include "test.h"

static const char *const sparse[] = {"user", "ad"};
static const char *const dense[] = {"price"};

static struct fit_options options_of(uint64_t min_count)
{
    return (struct fit_options){
        .columns = {.label = "clk", .sparse = sparse, .dense = dense, .n_sparse = 2, .n_dense = 1},
        .min_count = min_count};
}

struct fitted {
    struct fitted_encoder encoder;
    struct dataset dataset;
    struct train_error error;
};

static int fit(struct fitted *fitted, const char *text, const struct fit_options *options)
{
    const char *path = log_write("fit.csv", text);
    return fit_encoder(&path, 1, options, &fitted->encoder, &fitted->dataset, &fitted->error);
}

static void fitted_free(struct fitted *fitted)
{
    fitted_encoder_free(&fitted->encoder);
    dataset_free(&fitted->dataset);
}

/* Classes of a column, each with a bar behind it. */
static bool classes_are(const struct fitted_encoder *encoder, uint32_t column, const char *expected)
{
    char shown[512];
    size_t length = 0;
    for (uint32_t i = 0; i < encoder->sparse[column].n_classes; i++)
        length += (size_t)snprintf(shown + length, sizeof shown - length, "%.*s|",
                                   TEXT_SHOWN(encoder->sparse[column].classes[i]));
    const bool is_equal = text_is((struct text){shown, length}, expected);
    if (!is_equal)
        fprintf(stderr, "    classes %.*s\n", (int)length, shown);
    return is_equal;
}

static float value_at(const struct dataset *dataset, uint64_t row, uint32_t word)
{
    float value;
    memcpy(&value, &dataset_row(dataset, row)[word], sizeof value);
    return value;
}

/* The embedding rows of a column, as "0 1 2 ". */
static bool rows_are(const struct dataset *dataset, uint32_t column, const char *expected)
{
    char shown[512];
    size_t length = 0;
    for (uint64_t i = 0; i < dataset->n_rows; i++)
        length += (size_t)snprintf(shown + length, sizeof shown - length, "%u ",
                                   dataset_row(dataset, i)[1 + dataset->n_dense + column]);
    const bool is_equal = text_is((struct text){shown, length}, expected);
    if (!is_equal)
        fprintf(stderr, "    rows %.*s\n", (int)length, shown);
    return is_equal;
}

TEST(classes_are_sorted_texts_and_rows_their_positions)
{
    struct fitted fitted;
    const struct fit_options options = options_of(1);
    CHECK(fit(&fitted, "clk,user,ad,price\n1,10,b,1\n0,9,a,2\n0,10,\xC3\xA4,3\n1,1,Z,4\n",
              &options) == 0);
    CHECK(classes_are(&fitted.encoder, 0, "1|10|9|"));
    CHECK(classes_are(&fitted.encoder, 1, "Z|a|b|\xC3\xA4|"));
    CHECK(rows_are(&fitted.dataset, 0, "1 2 1 0 "));
    CHECK(rows_are(&fitted.dataset, 1, "2 1 3 0 "));
    CHECK(fitted.encoder.n_rows == 4 && fitted.dataset.n_rows == 4);
    CHECK(value_at(&fitted.dataset, 0, 0) == 1 && value_at(&fitted.dataset, 1, 0) == 0);
    CHECK(strcmp(fitted.encoder.sparse[1].name, "ad") == 0);
    CHECK(strcmp(fitted.encoder.dense[0], "price") == 0);
    CHECK(fitted.dataset.groups == NULL);
    fitted_free(&fitted);
}

TEST(a_missing_value_makes_integers_floats)
{
    struct fitted fitted;
    const struct fit_options options = options_of(1);
    CHECK(fit(&fitted, "clk,user,ad,price\n1,007,,1\n0,7,a,2\n0,NA,null,3\n1,20,b,4\n", &options) ==
          0);
    CHECK(classes_are(&fitted.encoder, 0, "20.0|7.0|nan|"));
    CHECK(classes_are(&fitted.encoder, 1, "a|b|nan|"));
    CHECK(rows_are(&fitted.dataset, 0, "1 1 2 0 "));
    CHECK(rows_are(&fitted.dataset, 1, "2 0 2 1 "));
    CHECK(fitted.encoder.sparse[0].n_missing == 1 && fitted.encoder.sparse[1].n_missing == 2);
    fitted_free(&fitted);
}

TEST(values_that_merge_count_together)
{
    struct fitted fitted;
    const struct fit_options options = options_of(2);
    CHECK(fit(&fitted,
              "clk,user,ad,price\n1,007,x,1\n0,7,y,2\n0,8,x,3\n1,9,z,4\n0,9,x,4\n1,10,q,3\n",
              &options) == 0);
    CHECK(classes_are(&fitted.encoder, 0, "7|9|"));
    CHECK(classes_are(&fitted.encoder, 1, "x|"));
    CHECK(rows_are(&fitted.dataset, 0, "0 0 2 1 1 2 "));
    CHECK(rows_are(&fitted.dataset, 1, "0 1 0 1 0 1 "));
    CHECK(fitted.encoder.sparse[0].n_rare == 2 && fitted.encoder.sparse[0].n_rare_values == 2);
    CHECK(fitted.encoder.sparse[1].n_rare == 3 && fitted.encoder.sparse[1].n_rare_values == 3);
    fitted_free(&fitted);
}

TEST(dense_values_are_scaled_with_missing_as_0)
{
    struct fitted fitted;
    const struct fit_options options = options_of(1);
    CHECK(fit(&fitted, "clk,user,ad,price\n1,1,1,3\n0,1,1,\n0,1,1,5\n1,1,1,-4\n", &options) == 0);
    const double mean = 1, var = (4 + 1 + 16 + 25) / 4.0;
    CHECK(fitted.encoder.mean[0] == mean && fitted.encoder.var[0] == var);
    CHECK(fitted.encoder.scale[0] == sqrt(var));
    static const double values[] = {3, 0, 5, -4};
    for (uint64_t i = 0; i < 4; i++)
        CHECK(value_at(&fitted.dataset, i, 1) == (float)((values[i] - mean) / sqrt(var)));
    fitted_free(&fitted);
}

TEST(a_constant_column_has_scale_1)
{
    static const char *const values[] = {"0", "7", "0.1", "1e30", "123456.789"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct builder text = {0};
        builder_text(&text, "clk,user,ad,price\n");
        for (unsigned row = 0; row < 1000; row++) {
            builder_text(&text, "1,1,1,");
            builder_text(&text, values[i]);
            builder_text(&text, "\n");
        }
        builder_add(&text, "", 1);
        struct fitted fitted;
        const struct fit_options options = options_of(1);
        CHECK(fit(&fitted, text.at, &options) == 0);
        CHECK_MSG(fitted.encoder.scale[0] == 1, "%s: scale %g", values[i], fitted.encoder.scale[0]);
        CHECK_MSG(fabs(value_at(&fitted.dataset, 9, 1)) <= 1e-15 * atof(values[i]), "%s",
                  values[i]);
        fitted_free(&fitted);
        builder_free(&text);
    }
}

TEST(groups_are_numbers_of_the_group_columns_values)
{
    struct fitted fitted;
    struct fit_options options = options_of(1);
    options.columns.group = "session";
    CHECK(fit(&fitted,
              "clk,user,ad,price,session\n1,1,1,1,b\n1,2,1,1,a\n1,1,1,1,\n0,1,1,1,b\n0,1,1,1,a\n",
              &options) == 0);
    static const uint32_t expected[] = {0, 1, 2, 0, 1};
    CHECK(memcmp(fitted.dataset.groups, expected, sizeof expected) == 0);
    fitted_free(&fitted);
    options.columns.group = "user";
    CHECK(fit(&fitted, "clk,user,ad,price\n1,5,1,1\n1,3,1,1\n1,5,1,1\n", &options) == 0);
    CHECK(fitted.dataset.groups[0] == 0 && fitted.dataset.groups[1] == 1 &&
          fitted.dataset.groups[2] == 0);
    fitted_free(&fitted);
}

struct watch {
    unsigned n_calls, stop_at;
    struct click_log_progress last;
};

static bool watch_progress(void *context, const struct click_log_progress *progress)
{
    struct watch *watch = context;
    watch->last = *progress;
    watch->last.first_bad = NULL;
    return ++watch->n_calls != watch->stop_at;
}

TEST(progress_is_told_and_may_stop_the_reading)
{
    struct builder text = {0};
    builder_text(&text, "clk,user,ad,price\n");
    builder_repeat(&text, "1,2,3,4\n", 20000);
    builder_add(&text, "", 1);
    struct watch watch = {0};
    struct fit_options options = options_of(1);
    options.on_progress = watch_progress;
    options.progress_context = &watch;
    struct fitted fitted;
    CHECK(fit(&fitted, text.at, &options) == 0);
    const unsigned reading = 20000 / 4096 + 1, columns = 2 + 1;
    CHECK_MSG(watch.n_calls == reading + columns, "%u", watch.n_calls);
    CHECK(watch.last.n_records == 20000);
    CHECK(watch.last.bytes == watch.last.total_bytes && watch.last.bytes == text.length - 1);
    const unsigned last = watch.n_calls;
    fitted_free(&fitted);
    for (unsigned stop_at = 1; stop_at <= last; stop_at++) {
        watch = (struct watch){.stop_at = stop_at};
        CHECK(fit(&fitted, text.at, &options) == 1);
    }
    builder_free(&text);
}

TEST(without_a_row_there_is_nothing_to_fit)
{
    struct fitted fitted;
    struct fit_options options = options_of(1);
    CHECK(fit(&fitted, "clk,user,ad,price\n", &options) == -1);
    CHECK_MSG(strstr(fitted.error.message, "fit.csv: header only, no rows"), "%s",
              fitted.error.message);
    options.max_bad_rows = 9;
    CHECK(fit(&fitted, "clk,user,ad,price\n5,1,1,1\n", &options) == -1);
    CHECK_MSG(strstr(fitted.error.message, "no row can be read; the first of 1 bad ones: ") &&
                  strstr(fitted.error.message, "fit.csv:2: column clk:"),
              "%s", fitted.error.message);
    options.max_bad_rows = 0;
    CHECK(fit(&fitted, "clk,user,ad,price\n1,1,1,1\n5,1,1,1\n", &options) == -1);
    CHECK_MSG(strstr(fitted.error.message, "fit.csv:3: column clk:"), "%s", fitted.error.message);
}

/* Rows of another file with the classes of this one. */
static void check_encoded(const char *fitted_text, const char *text, const char *users,
                          const char *ads, uint64_t unknown_users, uint64_t unknown_ads)
{
    struct fitted fitted;
    struct dataset dataset;
    const struct fit_options options = options_of(1);
    CHECK(fit(&fitted, fitted_text, &options) == 0);
    const char *path = log_write("valid.csv", text);
    uint64_t n_unknown[2] = {0};
    CHECK(encode_files(&path, 1, &options, &fitted.encoder, &dataset, n_unknown, &fitted.error) ==
          0);
    CHECK(rows_are(&dataset, 0, users) && rows_are(&dataset, 1, ads));
    CHECK(n_unknown[0] == unknown_users && n_unknown[1] == unknown_ads);
    dataset_free(&dataset);
    CHECK(encode_files(&path, 1, &options, &fitted.encoder, &dataset, NULL, &fitted.error) == 0);
    dataset_free(&dataset);
    fitted_free(&fitted);
}

TEST(another_file_is_encoded_as_pandas_wrote_the_first)
{
    check_encoded("clk,user,ad,price\n1,7,x,1\n0,10,007,2\n", /* int64 and object */
                  "price,ad,user,clk\n1,007,007,1\n1,x,+10,0\n1,7,11,0\n1,,7.0,0\n", "1 0 2 2 ",
                  "0 1 2 2 ", 2, 2);
    check_encoded("clk,user,ad,price\n1,7,True,1\n0,,False,2\n0,2.5,,1\n", /* float64, bool */
                  "price,ad,user,clk\n1,true,007,1\n1,FALSE,2.50,0\n1,NA,null,0\n1,1,x,0\n",
                  "1 0 2 3 ", "1 0 2 3 ", 1, 1);
}

TEST(validation_without_a_row_is_refused)
{
    struct fitted fitted;
    struct dataset dataset;
    struct train_error error;
    const struct fit_options options = options_of(1);
    const char *paths[] = {log_write("valid.csv", "clk,user,ad,price\n"), NULL};
    CHECK(fit(&fitted, "clk,user,ad,price\n1,7,x,1\n", &options) == 0);
    CHECK(encode_files(paths, 1, &options, &fitted.encoder, &dataset, NULL, &error) == -1);
    CHECK_MSG(strstr(error.message, "valid.csv: header only, no rows"), "%s", error.message);
    paths[1] = paths[0];
    CHECK(encode_files(paths, 2, &options, &fitted.encoder, &dataset, NULL, &error) == -1);
    CHECK_MSG(strstr(error.message, "and so are the other files"), "%s", error.message);
    fitted_free(&fitted);
}

TEST(a_value_beyond_the_scalers_range_makes_a_bad_row)
{
    struct fitted fitted;
    struct dataset dataset;
    struct fit_options options = options_of(1);
    CHECK(fit(&fitted, "clk,user,ad,price\n1,7,x,0\n0,10,y,1e-9\n", &options) == 0);
    const char *path =
        log_write("valid.csv", "clk,user,ad,price\n1,7,x,0\n1,12,x,1e35\n0,10,y,1e-9\n");
    CHECK(encode_files(&path, 1, &options, &fitted.encoder, &dataset, NULL, &fitted.error) == -1);
    CHECK_MSG(strstr(fitted.error.message, "valid.csv:3: column price: \"1e35\" is beyond"), "%s",
              fitted.error.message);
    uint64_t n_unknown[2] = {0};
    options.max_bad_rows = 1;
    CHECK(encode_files(&path, 1, &options, &fitted.encoder, &dataset, n_unknown, &fitted.error) ==
          0);
    CHECK(dataset.n_rows == 2 && n_unknown[0] == 0);
    dataset_free(&dataset);
    fitted_free(&fitted);
}

/* More rows than a block of the data set has, each known by its row number. */
TEST(rows_keep_their_places_over_many_blocks)
{
    enum { ROWS = 3 * DATASET_BLOCK_ROWS + 5 };
    struct builder text = {0};
    char line[64];
    builder_text(&text, "clk,user,ad,price\n");
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(line, sizeof line, "%u,%06u,%u,%u\n", i % 2, i, i % 10, i);
        builder_text(&text, line);
    }
    builder_add(&text, "", 1);
    struct fitted fitted;
    struct fit_options options = options_of(1);
    struct watch watch = {0};
    options.columns.group = "ad";
    options.on_progress = watch_progress;
    options.progress_context = &watch;
    CHECK(fit(&fitted, text.at, &options) == 0);
    CHECK_MSG(watch.n_calls == ROWS / 4096 + 1 + 3 + ROWS / DATASET_BLOCK_ROWS, "%u",
              watch.n_calls);
    watch = (struct watch){.stop_at = watch.n_calls};
    struct fitted stopped;
    CHECK(fit(&stopped, text.at, &options) == 1);
    CHECK(fitted.dataset.n_rows == ROWS && fitted.encoder.sparse[0].n_classes == ROWS);
    const double mean = fitted.encoder.mean[0], scale = fitted.encoder.scale[0];
    CHECK(fabs(mean - (ROWS - 1) / 2.0) <= 1e-12 * mean);
    CHECK(fabs(fitted.encoder.var[0] - ((double)ROWS * ROWS - 1) / 12) <=
          1e-12 * fitted.encoder.var[0]);
    bool is_right = true;
    for (uint32_t i = 0; i < ROWS; i++) {
        const uint32_t *row = dataset_row(&fitted.dataset, i);
        is_right &= value_at(&fitted.dataset, i, 0) == (float)(i % 2);
        is_right &= value_at(&fitted.dataset, i, 1) == (float)((i - mean) / scale);
        is_right &= row[3] == i % 10 && fitted.dataset.groups[i] == i % 10;
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        is_right &= text_is(fitted.encoder.sparse[0].classes[row[2]], name);
    }
    CHECK(is_right);
    fitted_free(&fitted);
    builder_free(&text);
}

/*
 * A million rows of TaobaoAd_x1's shape: 16 category columns, 1.6 million values in all, and a
 * dense one. 72 MB are the rows, 8 MB their dense values; tables and classes get the rest.
 */
TEST(a_million_rows_stay_within_200_mb)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return; /* whose shadow memory counts as well */
#endif
    enum { ROWS = 1000000, COLUMNS = 16 };
    static const uint32_t n_values[COLUMNS] = {600000, 97,     13,    2,      7,      4,     3, 2,
                                               5,      500000, 12000, 250000, 150000, 90000, 2, 2};
    const char *path = log_path("large.csv");
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    char names[COLUMNS][8];
    const char *columns[COLUMNS];
    fprintf(file, "clk,price");
    for (unsigned c = 0; c < COLUMNS; c++) {
        snprintf(names[c], sizeof names[c], "c%u", c);
        columns[c] = names[c];
        fprintf(file, ",%s", names[c]);
    }
    uint64_t random = 1;
    for (unsigned i = 0; i < ROWS; i++) {
        fprintf(file, "\n%u,%u.5", i % 25 == 0, i % 1000);
        for (unsigned c = 0; c < COLUMNS; c++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            fprintf(file, ",%u", (unsigned)((random >> 32) * n_values[c] >> 32));
        }
    }
    fclose(file);
    struct fit_options options = options_of(1);
    options.columns.sparse = columns;
    options.columns.n_sparse = COLUMNS;
    struct fitted fitted;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    CHECK(fit_encoder(&path, 1, &options, &fitted.encoder, &fitted.dataset, &fitted.error) == 0);
    getrusage(RUSAGE_SELF, &after);
    const long grown_mb = (after.ru_maxrss - before.ru_maxrss) / 1024;
    CHECK_MSG(grown_mb < 200, "%ld MB", grown_mb);
    CHECK(fitted.dataset.n_rows == ROWS);
    fitted_free(&fitted);
}

int main(void)
{
    RUN(a_million_rows_stay_within_200_mb); /* first: what others took counts in a peak */
    RUN(classes_are_sorted_texts_and_rows_their_positions);
    RUN(a_missing_value_makes_integers_floats);
    RUN(values_that_merge_count_together);
    RUN(dense_values_are_scaled_with_missing_as_0);
    RUN(a_constant_column_has_scale_1);
    RUN(groups_are_numbers_of_the_group_columns_values);
    RUN(progress_is_told_and_may_stop_the_reading);
    RUN(without_a_row_there_is_nothing_to_fit);
    RUN(another_file_is_encoded_as_pandas_wrote_the_first);
    RUN(validation_without_a_row_is_refused);
    RUN(a_value_beyond_the_scalers_range_makes_a_bad_row);
    RUN(rows_keep_their_places_over_many_blocks);
    return test_report();
}
