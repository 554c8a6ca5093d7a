/* SPDX-License-Identifier: Apache-2.0 */
/* test_scoring.c: rows that the encoder refuses. What is scored, and how: test_score.py. */
#include "train/scoring.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/model.h"
#include "test.h"

static char path[] = "/tmp/dcnv2-scoring-XXXXXX";

/* A click log of the demo model's columns: `n` rows, of which one has this userid. */
static void write_log(const dcnv2_model *model, int n, int row, const char *userid)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    if (file == NULL)
        return;
    for (size_t c = 0; c < dcnv2_model_n_sparse(model); c++)
        fprintf(file, "%s,", dcnv2_model_sparse_name(model, c));
    fprintf(file, "%s\n", dcnv2_model_dense_name(model, 0));
    for (int r = 0; r < n; r++) {
        for (size_t c = 0; c < dcnv2_model_n_sparse(model); c++)
            fprintf(file, "%s,", r == row && c == 0 ? userid : "");
        fprintf(file, "%d\n", r);
    }
    CHECK(fclose(file) == 0);
}

static uint64_t count_lines(FILE *file)
{
    uint64_t n = 0;
    rewind(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        n += c == '\n';
    return n;
}

TEST(a_row_that_is_refused_is_named_by_file_and_line)
{
    static const int rows[] = {0, 1, 511, 512, 700, 16383, 16384, 17000};
    const struct dcnv2_source source = {.model_path = "model/model_weights.pth",
                                        .encoder_path = "model/preprocess_metadata.pkl"};
    const char *const paths[] = {path};
    struct initial_model initial = {0};
    struct train_error error = {0};
    CHECK_MSG(initial_model_open(&initial, &source, &error) == 0, "%s", error.message);
    if (initial.model == NULL)
        return;
    /* As of a model that has no row for unseen values: the description is the model's own. */
    struct spec_lookup *lookup = (void *)(uintptr_t)initial.model->encoder.lookups[0].spec;
    lookup->missing_row = lookup->unseen_row;
    lookup->unseen_row = SPEC_REFUSE;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned n_threads = 1; n_threads <= 3; n_threads += 2) {
            const struct scoring_options options = {
                .paths = paths, .n_paths = 1, .n_threads = n_threads};
            struct scoring_result result;
            char expected[64];
            FILE *out = tmpfile();
            if (out == NULL)
                exit(1);
            write_log(initial.model, 17001, rows[i], "nobody");
            CHECK(score_files(&initial, &options, out, &result, &error) == -1);
            snprintf(expected, sizeof expected, "%s:%d: Column \"userid\"", path, rows[i] + 2);
            CHECK_MSG(strstr(error.message, expected) && strstr(error.message, "\"nobody\""), "%s",
                      error.message);
            CHECK_MSG(count_lines(out) == (uint64_t)rows[i], "row %d: %llu", rows[i],
                      (unsigned long long)count_lines(out));
            fclose(out);
        }
    }
    initial_model_free(&initial);
}

TEST(a_log_without_rows_is_scored_and_named)
{
    const struct dcnv2_source source = {.model_path = "model/model_weights.pth",
                                        .encoder_path = "model/preprocess_metadata.pkl"};
    const char *const paths[] = {path};
    struct initial_model initial = {0};
    struct scoring_result result;
    struct train_error error = {0};
    FILE *out = tmpfile();
    CHECK_MSG(out && initial_model_open(&initial, &source, &error) == 0, "%s", error.message);
    if (out == NULL || initial.model == NULL)
        return;
    for (int n = 0; n < 2; n++) {
        const struct scoring_options options = {.paths = paths, .n_paths = 1, .n_threads = 1};
        write_log(initial.model, n, -1, "");
        CHECK(score_files(&initial, &options, out, &result, &error) == 0);
        CHECK(count_lines(out) == (uint64_t)n && result.n_rows == (uint64_t)n);
        CHECK_MSG((strstr(result.no_rows.message, ": header only, no rows") != NULL) == (n == 0),
                  "%d: %s", n, result.no_rows.message);
    }
    fclose(out);
    initial_model_free(&initial);
}

int main(void)
{
    const int file = mkstemp(path);
    if (file < 0)
        return 1;
    close(file);
    RUN(a_row_that_is_refused_is_named_by_file_and_line);
    RUN(a_log_without_rows_is_scored_and_named);
    unlink(path);
    return test_report();
}
