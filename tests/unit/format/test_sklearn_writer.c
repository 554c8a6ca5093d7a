/* SPDX-License-Identifier: Apache-2.0 */
/* test_sklearn_writer.c: encoders that sklearn_file.h reads as they were written. */
#include "format/sklearn_writer.h"

#include <stdlib.h>

#include "build.h"
#include "format/pickle_opcodes.h"
#include "format/sklearn_file.h"
#include "test.h"

enum { ARENA_BYTES = 64 << 20 };

static struct bytes written(const struct sklearn_contents *contents)
{
    char *at = NULL;
    size_t size = 0;
    struct bytes bytes = {0};
    struct format_error error = {0};
    FILE *stream = open_memstream(&at, &size);
    CHECK_MSG(stream && sklearn_write(stream, contents, &error) == 0, "%s", error.message);
    fclose(stream);
    bytes_add(&bytes, at, size);
    free(at);
    return bytes;
}

static bool are_same_texts(const struct text *a, const struct text *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!text_equal(a[i], b[i]))
            return false;
    return true;
}

static bool are_same_scalings(const struct scaling *scaling,
                              const struct sklearn_contents *contents)
{
    for (uint32_t i = 0; i < contents->n_dense; i++)
        if (memcmp(&scaling[i].mean, &contents->mean[i], sizeof(double)) != 0 ||
            memcmp(&scaling[i].scale, &contents->scale[i], sizeof(double)) != 0 ||
            !scaling_is_standard(&scaling[i]))
            return false;
    return true;
}

static bool is_same(const struct sklearn_contents *contents, const struct sklearn_file *file)
{
    if (file->n_dense != contents->n_dense || file->n_encoders != contents->n_sparse ||
        (file->n_dense &&
         (file->dense_names == NULL ||
          !are_same_texts(file->dense_names, contents->dense_names, file->n_dense) ||
          !are_same_scalings(file->scaling, contents))))
        return false;
    for (uint32_t i = 0; i < file->n_encoders; i++) {
        const struct sklearn_encoder *found = &file->encoders[i];
        const struct sklearn_column *column = &contents->sparse[i];
        if (!text_equal(found->column, column->name) || found->n_classes != column->n_classes ||
            !are_same_texts(found->classes, column->classes, column->n_classes))
            return false;
    }
    return true;
}

static void check_round_trip(const struct sklearn_contents *contents)
{
    struct arena arena;
    struct sklearn_file file = {0};
    struct format_error error = {0};
    struct bytes bytes = written(contents);
    arena_init(&arena, ARENA_BYTES);
    const int status = sklearn_file_read(&file, &arena, bytes.at, bytes.size, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    CHECK(status == 0 && is_same(contents, &file));
    arena_free(&arena);
    bytes_free(&bytes);
}

/* ---- what is written */

static const struct text dense_names[] = {{"price", 5},
                                          {"gr\xC3\xB6\xC3\x9F"
                                           "e",
                                           7}};
static const double mean[] = {0.1, -1e300}, var[] = {4, 0}, scale[] = {2, 1};
static const struct text classes[] = {
    {"", 0}, {"-1", 2}, {"1.0", 3}, {"nan", 3}, {"\xF0\x9F\x98\x80", 4}};

static struct sklearn_contents small(const struct sklearn_column *columns, uint32_t n)
{
    return (struct sklearn_contents){.n_rows = 12345678901,
                                     .n_dense = 2,
                                     .dense_names = dense_names,
                                     .mean = mean,
                                     .var = var,
                                     .scale = scale,
                                     .n_sparse = n,
                                     .sparse = columns,
                                     .sklearn_version = "1.7.1"};
}

static const struct sklearn_column two_columns[] = {
    {{"userid", 6}, classes, 5}, {{"a column, with \"all\" of it\n", 27}, classes, 1}};

TEST(scaler_and_classes_come_back)
{
    struct sklearn_contents contents = small(two_columns, 2);
    check_round_trip(&contents);
}

TEST(a_column_without_classes_and_no_columns_come_back)
{
    const struct sklearn_column empty = {{"none", 4}, NULL, 0};
    struct sklearn_contents contents = small(&empty, 1);
    check_round_trip(&contents);
    contents = small(NULL, 0);
    check_round_trip(&contents);
}

/* The scaler is then one that was never fitted. */
TEST(no_dense_columns_come_back)
{
    struct sklearn_contents contents = small(two_columns, 2);
    contents.n_dense = 0;
    contents.dense_names = NULL;
    contents.mean = contents.var = contents.scale = NULL;
    check_round_trip(&contents);
    struct bytes bytes = written(&contents);
    CHECK(memmem(bytes.at, bytes.size, "StandardScaler", 14) != NULL);
    CHECK(memmem(bytes.at, bytes.size, "n_features_in_", 14) == NULL);
    bytes_free(&bytes);
}

/* Texts of every length class, and one that is longer than a frame. */
TEST(long_texts_come_back)
{
    static const size_t lengths[] = {254,   255,   256,   65000, 65525, 65526,
                                     65527, 65535, 65536, 65537, 200000};
    enum { N = sizeof lengths / sizeof *lengths };
    struct text texts[N];
    for (size_t i = 0; i < N; i++) {
        char *at = malloc(lengths[i]);
        memset(at, 'a' + (int)i, lengths[i]);
        texts[i] = (struct text){at, lengths[i]};
    }
    const struct sklearn_column column = {{"long", 4}, texts, N};
    struct sklearn_contents contents = small(&column, 1);
    check_round_trip(&contents);
    for (size_t i = 0; i < N; i++)
        free((char *)texts[i].at);
}

/* ---- frames */

/* Frames follow each other without gaps, none is longer than Python's, and there are `n_least`. */
static void check_frames(const struct bytes *bytes, size_t n_least)
{
    size_t at = 2, n = 0;
    while (at < bytes->size && bytes->at[at] == OP_FRAME) {
        const uint64_t length = get_u64(bytes->at + at + 1);
        CHECK(length > 0 && length <= 1 << 16);
        at += 9 + length;
        n++;
    }
    CHECK(at == bytes->size);
    CHECK_MSG(n >= n_least, "%zu frames", n);
}

TEST(large_class_lists_come_back_in_frames)
{
    enum { N = 100001 };
    struct text *texts = calloc(N, sizeof *texts);
    char *room = malloc(N * 8);
    for (int i = 0; i < N; i++)
        texts[i] = (struct text){room + i * 8, (size_t)snprintf(room + i * 8, 8, "%06d", i)};
    const struct sklearn_column columns[] = {{{"a", 1}, texts, N}, {{"b", 1}, texts, N - 1}};
    struct sklearn_contents contents = small(columns, 2);
    check_round_trip(&contents);
    struct bytes bytes = written(&contents);
    check_frames(&bytes, 2 * N * 8 / (1 << 16));
    bytes_free(&bytes);
    free(texts);
    free(room);
}

/* ---- the rest */

TEST(equal_contents_give_equal_bytes)
{
    struct sklearn_contents contents = small(two_columns, 2);
    struct bytes first = written(&contents), second = written(&contents);
    CHECK(first.size == second.size && memcmp(first.at, second.at, first.size) == 0);
    bytes_free(&first);
    bytes_free(&second);
}

TEST(a_cut_file_is_refused)
{
    struct sklearn_contents contents = small(two_columns, 2);
    struct bytes bytes = written(&contents);
    CHECK(every_cut_is_refused(read_as_sklearn_file, &bytes));
    bytes_free(&bytes);
}

TEST(a_full_disk_is_an_error)
{
    struct sklearn_contents contents = small(two_columns, 2);
    struct format_error error = {0};
    FILE *full = fopen("/dev/full", "w");
    CHECK(sklearn_write(full, &contents, &error) == -1);
    CHECK_MSG(strcmp(error.message, "cannot be written: No space left on device") == 0, "%s",
              error.message);
    fclose(full);
}

int main(void)
{
    RUN(scaler_and_classes_come_back);
    RUN(a_column_without_classes_and_no_columns_come_back);
    RUN(no_dense_columns_come_back);
    RUN(long_texts_come_back);
    RUN(large_class_lists_come_back_in_frames);
    RUN(equal_contents_give_equal_bytes);
    RUN(a_cut_file_is_refused);
    RUN(a_full_disk_is_an_error);
    return test_report();
}
