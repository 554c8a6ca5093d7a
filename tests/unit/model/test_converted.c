/* SPDX-License-Identifier: Apache-2.0 */
/* test_converted.c: what dcnv2-convert makes of a pair gives the pair's scores, bit for bit. */
#include <stdlib.h>
#include <unistd.h>

#include "format/build.h"
#include "model/convert.h"
#include "model/model.h"
#include "model_files.h"
#include "network_golden.h"
#include "predict.h"
#include "test.h"

/* A folder for the converted file of one test. */
struct place {
    char folder[64], path[128];
};

static void place_start(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/dcnv2-converted-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        exit(1);
    snprintf(place->path, sizeof place->path, "%s/model.safetensors", place->folder);
}

static void place_end(struct place *place)
{
    unlink(place->path);
    CHECK_MSG(rmdir(place->folder) == 0, "something was left in %s", place->folder);
}

static bool convert(const struct dcnv2_source *source, const struct place *place)
{
    struct dcnv2_error error = {0};
    const bool good = model_convert(source, NULL, NULL, place->path, &error) == DCNV2_OK;
    CHECK_MSG(good, "%s", error.message);
    return good;
}

static dcnv2_model *load(const struct dcnv2_source *source)
{
    dcnv2_model *model = NULL;
    struct dcnv2_error error = {0};
    CHECK_MSG(dcnv2_model_load(source, &model, &error) == DCNV2_OK, "%s", error.message);
    return model;
}

/* Scores of `n_rows` rows, to be freed. NULL: a check has failed. */
static float *score(const dcnv2_model *model, size_t n_rows, const float *dense,
                    const uint32_t *indices)
{
    float *scores = calloc(n_rows + 1, sizeof *scores);
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    const bool good =
        scores && dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK &&
        predict_one_each(model, workspace, n_rows, dense, indices, scores, &error) == DCNV2_OK;
    dcnv2_workspace_free(workspace);
    CHECK_MSG(good, "%s", error.message);
    if (good)
        return scores;
    free(scores);
    return NULL;
}

/* ---- the same bits ---- */

/* The converted file at `path` beside the pair that it was made of. */
static void check_same_scores(const struct golden_network *pair, const char *name, const char *path)
{
    struct golden_network converted;
    if (strcmp(name, "paper") == 0)
        golden_network_read_paper(&converted);
    else
        golden_network_read(&converted, name);
    snprintf(converted.model_path, sizeof converted.model_path, "%s", path);
    snprintf(converted.encoder_path, sizeof converted.encoder_path, "/no-such-file");
    CHECK_MSG(golden_network_load(&converted, true), "%s", name);
    const size_t n = pair->n_rows;
    float *expected = score(pair->model, n, pair->dense, pair->indices);
    float *found =
        converted.model ? score(converted.model, n, converted.dense, converted.indices) : NULL;
    CHECK_MSG(expected && found && memcmp(expected, found, n * sizeof *found) == 0, "%s", name);
    CHECK(found && memcmp(pair->dense, converted.dense, n * pair->n_dense * sizeof(float)) == 0);
    CHECK(found &&
          memcmp(pair->indices, converted.indices, n * pair->n_sparse * sizeof(uint32_t)) == 0);
    free(expected);
    free(found);
    golden_network_close(&converted);
}

static void check_same_network(const char *name)
{
    struct golden_network pair;
    struct place place;
    place_start(&place);
    if (!golden_network_open(&pair, name))
        return;
    const struct dcnv2_source source = golden_network_source(&pair, true);
    if (convert(&source, &place))
        check_same_scores(&pair, name, place.path);
    golden_network_close(&pair);
    place_end(&place);
}

TEST(networks_of_any_shape_give_the_same_bits)
{
    for (size_t i = 0; golden_networks[i]; i++)
        check_same_network(golden_networks[i]);
}

TEST(the_paper_network_gives_the_same_bits)
{
    check_same_network("paper");
}

/* Written by the program of that version, before tables had a seed. */
TEST(files_of_version_1_give_the_same_bits)
{
    static const char *const names[] = {"deep_narrow", "linear", "norm_1", "one_number", "views"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct golden_network pair;
        char path[128];
        snprintf(path, sizeof path, "tests/fuzz/corpus/safetensors/%s.version_1.safetensors",
                 names[i]);
        if (!golden_network_open(&pair, names[i]))
            continue;
        CHECK(pair.n_sparse > 0);
        check_same_scores(&pair, names[i], path);
        golden_network_close(&pair);
    }
}

static const struct dcnv2_source demo = {.model_path = "model/model_weights.pth",
                                         .encoder_path = "model/preprocess_metadata.pkl"};

/* Every class of every column, and texts that are none. */
static void check_same_classes(const struct reading *pair, const dcnv2_model *converted)
{
    for (uint32_t c = 0; c < pair->n_sparse; c++) {
        CHECK(dcnv2_model_vocabulary_size(converted, c) == pair->columns[c].n_classes);
        for (uint32_t i = 0; i < pair->columns[c].n_classes; i++) {
            const struct text text = reading_class(&pair->columns[c], i);
            CHECK(dcnv2_model_sparse_index(converted, c, text.at, text.length) == i);
        }
        static const char unknown[] = "not a class of any column";
        for (size_t length = 0; length < sizeof unknown; length++)
            CHECK(dcnv2_model_sparse_index(converted, c, unknown, length) ==
                  pair->columns[c].n_classes);
    }
}

TEST(the_demo_model_gives_the_same_classes_and_bits)
{
    enum { N_ROWS = 500, N_COLUMNS = 16 };
    static float dense[N_ROWS];
    static uint32_t indices[N_COLUMNS * N_ROWS];
    struct place place;
    struct reading reading;
    struct dcnv2_error error = {0};
    place_start(&place);
    const struct dcnv2_source source = {.model_path = place.path};
    dcnv2_model *pair = load(&demo);
    dcnv2_model *converted = convert(&demo, &place) ? load(&source) : NULL;
    if (pair && converted && reading_open(&reading, &demo, &error) == DCNV2_OK) {
        check_same_classes(&reading, converted);
        uint32_t random = 1;
        for (size_t i = 0; i < N_COLUMNS * N_ROWS; i++) {
            random = random * 1664525 + 1013904223;
            indices[i] = (random >> 8) % (dcnv2_model_vocabulary_size(pair, i / N_ROWS) + 1);
            dense[i % N_ROWS] = dcnv2_model_dense_value(pair, 0, (double)(random >> 20) / 100);
            CHECK(dense[i % N_ROWS] ==
                  dcnv2_model_dense_value(converted, 0, (double)(random >> 20) / 100));
        }
        float *expected = score(pair, N_ROWS, dense, indices);
        float *found = score(converted, N_ROWS, dense, indices);
        CHECK(expected && found && memcmp(expected, found, N_ROWS * sizeof *found) == 0);
        free(expected);
        free(found);
        reading_close(&reading);
    }
    dcnv2_model_free(pair);
    dcnv2_model_free(converted);
    place_end(&place);
}

/* ---- the file ---- */

TEST(equal_sources_give_equal_bytes)
{
    struct place first, second;
    place_start(&first);
    place_start(&second);
    if (convert(&demo, &first) && convert(&demo, &second)) {
        struct bytes a = bytes_of_file(first.path), b = bytes_of_file(second.path);
        CHECK(a.size == b.size && memcmp(a.at, b.at, a.size) == 0);
        bytes_free(&a);
        bytes_free(&b);
    }
    place_end(&first);
    place_end(&second);
}

TEST(a_model_goes_on_when_its_file_is_replaced_or_removed)
{
    struct model_files files;
    struct place place;
    model_files_start(&files);
    model_files_put(&files);
    place_start(&place);
    const struct dcnv2_source source = model_files_source(&files);
    const struct dcnv2_source converted = {.model_path = place.path};
    dcnv2_model *model = convert(&source, &place) ? load(&converted) : NULL;
    const float dense[2] = {0.5f, 0.25f};
    const uint32_t indices[2] = {1, 2};
    float *before = model ? score(model, 1, dense, indices) : NULL;
    files.factor = 0.5f;
    model_files_put(&files);
    CHECK(convert(&source, &place));
    float *replaced = model ? score(model, 1, dense, indices) : NULL;
    unlink(place.path);
    float *removed = model ? score(model, 1, dense, indices) : NULL;
    CHECK(before && replaced && removed && *before == *replaced && *before == *removed);
    free(before);
    free(replaced);
    free(removed);
    dcnv2_model_free(model);
    place_end(&place);
    model_files_end(&files);
}

/* The file to be written is not to blame for what others say. */
TEST(a_refusal_names_the_file_at_fault)
{
    const struct made_golden golden = {"{\"inputs\": [{}], \"predictions\": []}", "rows.csv"};
    struct place place;
    struct dcnv2_error error = {0};
    place_start(&place);
    CHECK(model_convert(&demo, NULL, &golden, place.path, &error) == DCNV2_ERROR_MODEL);
    CHECK_MSG(strncmp(error.message, "rows.csv: predictions: ", 23) == 0, "%s", error.message);
    place_end(&place);
}

TEST(what_cannot_be_converted_leaves_the_old_file)
{
    struct model_files files;
    struct place place;
    struct dcnv2_error error = {0};
    model_files_start(&files);
    model_files_put(&files);
    place_start(&place);
    const struct dcnv2_source source = model_files_source(&files);
    const struct dcnv2_source converted = {.model_path = place.path};
    if (convert(&source, &place)) {
        struct bytes before = bytes_of_file(place.path);
        model_files_remove(&files, "output.bias");
        model_files_put(&files);
        CHECK(model_convert(&source, NULL, NULL, place.path, &error) == DCNV2_ERROR_MODEL);
        CHECK(strstr(error.message, "output.bias") && is_one_line_message(&error));
        CHECK(model_convert(&converted, NULL, NULL, place.path, &error) == DCNV2_ERROR_MODEL);
        CHECK_MSG(strstr(error.message, "is a converted file already"), "%s", error.message);
        struct bytes after = bytes_of_file(place.path);
        CHECK(before.size == after.size && memcmp(before.at, after.at, after.size) == 0);
        bytes_free(&before);
        bytes_free(&after);
    }
    CHECK(model_convert(&demo, NULL, NULL, "/no-such-folder/model.safetensors", &error) ==
          DCNV2_ERROR_IO);
    CHECK(strncmp(error.message, "/no-such-folder/model.safetensors: ", 35) == 0);
    CHECK(model_convert(&demo, NULL, NULL, place.folder, &error) == DCNV2_ERROR_IO);
    place_end(&place);
    model_files_end(&files);
}

TEST(columns_that_are_named_must_be_those_of_the_file)
{
    static const char *const sparse[] = {"cate", "brand", "more"}, *const dense[] = {"price",
                                                                                     "age"};
    static const char *const swapped[] = {"brand", "cate"}, *const other[] = {"price", "Age"};
    struct model_files files;
    struct place place;
    model_files_start(&files);
    model_files_put(&files);
    place_start(&place);
    const struct dcnv2_source pair = model_files_source(&files);
    if (convert(&pair, &place)) {
        struct dcnv2_source source = {
            .model_path = place.path, .dense_columns = {dense, 2}, .sparse_columns = {sparse, 2}};
        CHECK(is_load_good(&source));
        source.sparse_columns = (struct dcnv2_columns){swapped, 2};
        CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, place.path,
                              "sparse column 1 is \"cate\"; \"brand\" is named there"));
        source.sparse_columns = (struct dcnv2_columns){sparse, 3};
        CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, place.path,
                              "has 2 sparse columns; 3 are named"));
        source.sparse_columns.n = 0;
        source.dense_columns = (struct dcnv2_columns){other, 2};
        CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, place.path,
                              "dense column 2 is \"age\"; \"Age\" is named there"));
        source.dense_columns.n = 1;
        CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, place.path,
                              "has 2 dense columns; 1 are named"));
    }
    place_end(&place);
    model_files_end(&files);
}

TEST(any_flipped_byte_and_any_cut_is_refused)
{
    struct model_files files;
    struct place place;
    model_files_start(&files);
    model_files_put(&files);
    place_start(&place);
    const struct dcnv2_source pair = model_files_source(&files);
    const struct dcnv2_source source = {.model_path = place.path, .encoder_path = "/no-such-file"};
    if (convert(&pair, &place)) {
        struct bytes bytes = bytes_of_file(place.path);
        for (size_t i = 0; i < bytes.size; i++) {
            bytes.at[i] ^= 0x10;
            write_whole_file(place.path, bytes.at, bytes.size);
            bytes.at[i] ^= 0x10;
            struct dcnv2_error error = {0};
            dcnv2_model *model = NULL;
            CHECK_MSG(dcnv2_model_load(&source, &model, &error) != DCNV2_OK &&
                          is_one_line_message(&error),
                      "byte %zu", i);
        }
        for (size_t size = 16; size < bytes.size; size += 7) {
            write_whole_file(place.path, bytes.at, size);
            CHECK(is_load_refused(&source, DCNV2_ERROR_FORMAT, place.path, NULL));
        }
        bytes_free(&bytes);
    }
    place_end(&place);
    model_files_end(&files);
}

int main(void)
{
    RUN(networks_of_any_shape_give_the_same_bits);
    RUN(the_paper_network_gives_the_same_bits);
    RUN(files_of_version_1_give_the_same_bits);
    RUN(the_demo_model_gives_the_same_classes_and_bits);
    RUN(equal_sources_give_equal_bytes);
    RUN(a_model_goes_on_when_its_file_is_replaced_or_removed);
    RUN(a_refusal_names_the_file_at_fault);
    RUN(what_cannot_be_converted_leaves_the_old_file);
    RUN(columns_that_are_named_must_be_those_of_the_file);
    RUN(any_flipped_byte_and_any_cut_is_refused);
    return test_report();
}
