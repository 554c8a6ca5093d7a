/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_refused.c: files that do not make one model, and what the refusal says. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/build.h"
#include "format/torch_file.h"
#include "model_files.h"
#include "network_golden.h"
#include "predict.h"
#include "test.h"

static struct model_files files;
static struct dcnv2_source source;

static void start(void)
{
    model_files_start(&files);
    source = model_files_source(&files);
}

/* The files as they now are, refused for the weights with all of the needles. */
static bool is_refused_with(const char *one, const char *two, const char *three)
{
    model_files_put(&files);
    return is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, one) &&
           is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, two) &&
           is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, three);
}

static bool is_good(void)
{
    model_files_put(&files);
    return is_load_good(&source);
}

TEST(the_files_as_they_start_are_loaded)
{
    start();
    CHECK(is_good());
    model_files_end(&files);
}

TEST(cross_layers_of_both_kinds_may_stand_in_one_network)
{
    start();
    for (size_t i = 0; i < files.n_tensors; i++)
        if (strncmp(files.tensors[i].name, "cross_layers.1.", 15) == 0)
            files.tensors[i].name[13] = '2';
    model_files_add(&files, "cross_layers.1.0.weight", 2, 9, 9);
    model_files_add(&files, "cross_layers.1.0.bias", 1, 9, 0);
    model_files_add(&files, "cross_layers.1.1.weight", 1, 9, 0);
    model_files_add(&files, "cross_layers.1.1.bias", 1, 9, 0);
    CHECK(is_good());
    model_files_end(&files);
}

/* ---- tables */

TEST(a_table_smaller_than_its_vocabulary_is_refused)
{
    start();
    for (long long rows = 1; rows <= 3; rows++) {
        char shape[32];
        snprintf(shape, sizeof shape, "[%lld, 3]", rows);
        model_files_find(&files, "embeddings.1.weight")->sizes[0] = rows;
        CHECK(is_refused_with("\"embeddings.1.weight\"", shape, "[4, "));
        CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "\"brand\""));
    }
    model_files_end(&files);
}

TEST(a_table_larger_than_its_vocabulary_is_loaded)
{
    start();
    model_files_find(&files, "embeddings.0.weight")->sizes[0] = 1000;
    model_files_find(&files, "embeddings.1.weight")->sizes[0] = 5;
    CHECK(is_good());
    model_files_end(&files);
}

TEST(a_table_of_another_number_of_dimensions_is_refused)
{
    start();
    struct model_files_tensor *table = model_files_find(&files, "embeddings.0.weight");
    table->n_dims = 1;
    CHECK(is_refused_with("\"embeddings.0.weight\"", "[3]", "[3, "));
    table->n_dims = 3;
    CHECK(is_refused_with("\"embeddings.0.weight\"", "[3, 4, 1]", "[3, "));
    model_files_end(&files);
}

TEST(swapped_sparse_columns_are_refused_where_a_table_is_too_small)
{
    static const char *const swapped[] = {"brand", "cate"};
    start();
    model_files_put(&files);
    source.sparse_columns = (struct dcnv2_columns){swapped, 2};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "embeddings.0.weight"));
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "\"brand\""));
    model_files_end(&files);
}

/* ---- tensors */

/* Tensors whose absence is noticed as theirs; of a deep layer without a weight, see below. */
TEST(a_missing_tensor_is_refused_by_its_name_and_shape)
{
    static const char *const cases[][2] = {
        {"embeddings.0.weight", "[3, "},
        {"embeddings.1.weight", "[4, "},
        {"cross_layers.0.0.bias", "[9]"},
        {"cross_layers.0.1.weight", "[9]"},
        {"cross_layers.0.1.bias", "[9]"},
        {"cross_layers.1.bias", "[9]"},
        {"dnn.0.bias", "[5]"},
        {"dnn.2.bias", "[3]"},
        {"output.weight", "[1, 12]"},
        {"output.bias", "[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start();
        model_files_remove(&files, cases[i][0]);
        CHECK_MSG(is_refused_with(cases[i][0], cases[i][1], "missing"), "%s", cases[i][0]);
        model_files_end(&files);
    }
}

/* The first tensor of a layer says that there is a layer; what is left of it is named then. */
TEST(a_layer_without_its_weight_is_refused_by_the_layers_name)
{
    static const char *const cases[][2] = {{"cross_layers.0.0.weight", "cross_layers.0.0."},
                                           {"cross_layers.1.weight", "cross_layers.1."},
                                           {"dnn.0.weight", "dnn.0."},
                                           {"dnn.2.weight", "dnn.2."}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start();
        model_files_remove(&files, cases[i][0]);
        CHECK_MSG(is_refused_with(cases[i][1], NULL, NULL), "%s", cases[i][0]);
        model_files_end(&files);
    }
}

TEST(a_tensor_more_is_refused_by_its_name_and_shape)
{
    static const char *const names[] = {"embeddings.2.weight",
                                        "cross_layers.0.weight",
                                        "cross_layers.3.weight",
                                        "cross_layers.1.1.weight",
                                        "cross_layers.0.0.u",
                                        "dnn.01.weight",
                                        "dnn.0.weight2",
                                        "output.0.weight",
                                        "embeddings.00.weight",
                                        "embeddings.-1.weight",
                                        "scale",
                                        "dnn.18446744073709551616.weight"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        start();
        model_files_add(&files, names[i], 2, 7, 13);
        CHECK_MSG(is_refused_with(names[i], "[7, 13]", NULL), "%s", names[i]);
        model_files_end(&files);
    }
}

TEST(a_misshapen_tensor_is_refused_with_both_shapes)
{
    static const struct {
        const char *name;
        unsigned n_dims;
        long long rows, columns;
        const char *found, *wanted;
    } cases[] = {
        {"cross_layers.0.0.weight", 2, 9, 8, "[9, 8]", "[9, 9]"},
        {"cross_layers.0.0.weight", 2, 10, 9, "[10, 9]", "[9, 9]"},
        {"cross_layers.0.0.weight", 1, 81, 0, "[81]", "[9, 9]"},
        {"cross_layers.0.0.bias", 1, 8, 0, "[8]", "[9]"},
        {"cross_layers.0.0.bias", 2, 9, 1, "[9, 1]", "[9]"},
        {"cross_layers.0.1.weight", 1, 10, 0, "[10]", "[9]"},
        {"cross_layers.0.1.bias", 1, 1, 0, "[1]", "[9]"},
        {"cross_layers.1.weight", 2, 9, 1, "[9, 1]", "[9, 9]"},
        {"cross_layers.1.bias", 1, 3, 0, "[3]", "[9]"},
        {"dnn.0.weight", 2, 5, 8, "[5, 8]", "[5, 9]"},
        {"dnn.0.bias", 1, 6, 0, "[6]", "[5]"},
        {"dnn.2.weight", 2, 3, 4, "[3, 4]", "[3, 5]"},
        {"dnn.2.weight", 1, 15, 0, "[15]", "5]"},
        {"dnn.2.bias", 2, 3, 1, "[3, 1]", "[3]"},
        {"output.weight", 2, 1, 11, "[1, 11]", "[1, 12]"},
        {"output.weight", 2, 2, 12, "[2, 12]", "[1, 12]"},
        {"output.weight", 2, 1, 18, "[1, 18]", "[1, 12]"},
        {"output.weight", 1, 12, 0, "[12]", "[1, 12]"},
        {"output.bias", 1, 2, 0, "[2]", "[1]"},
        {"output.bias", 0, 1, 0, "[]", "[1]"},
        {"cross_layers.0.0.weight", 4, 9, 9, "[9, 9, 1, 1]", "[9, 9]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start();
        struct model_files_tensor *tensor = model_files_find(&files, cases[i].name);
        tensor->n_dims = cases[i].n_dims;
        tensor->sizes[0] = cases[i].rows;
        tensor->sizes[1] = cases[i].columns;
        CHECK_MSG(is_refused_with(cases[i].name, cases[i].found, cases[i].wanted), "%s %s",
                  cases[i].name, cases[i].found);
        model_files_end(&files);
    }
}

TEST(a_weight_that_is_not_finite_is_refused_by_its_tensor)
{
    const float values[] = {NAN, INFINITY, -INFINITY};
    start();
    for (size_t i = 0; i < files.n_tensors; i++) {
        struct model_files_tensor *tensor = &files.tensors[i];
        const long long n = tensor->sizes[0] * (tensor->n_dims > 1 ? tensor->sizes[1] : 1);
        const long long places[] = {0, n / 2, n - 1};
        for (size_t k = 0; k < 3; k++) {
            char quoted[80];
            snprintf(quoted, sizeof quoted, "\"%s\"", tensor->name);
            tensor->special_at = places[k];
            tensor->special = values[k];
            CHECK_MSG(is_refused_with(quoted, "finite", NULL), "%s", quoted);
        }
        tensor->special_at = -1;
    }
    CHECK(is_good());
    model_files_end(&files);
}

/* ---- columns */

TEST(a_sparse_column_without_an_encoder_is_refused)
{
    static const char *const names[] = {"cate", "brnad"};
    start();
    model_files_put(&files);
    source.sparse_columns = (struct dcnv2_columns){names, 2};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "\"brnad\""));
    model_files_end(&files);
}

TEST(fewer_sparse_columns_than_tables_are_refused)
{
    static const char *const names[] = {"cate"};
    start();
    model_files_put(&files);
    source.sparse_columns = (struct dcnv2_columns){names, 1};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "\""));
    model_files_end(&files);
}

TEST(more_sparse_columns_than_tables_are_refused)
{
    start();
    files.columns[files.n_columns++] = (struct model_files_column){"city", 4};
    CHECK(is_refused_with("\"embeddings.2.weight\"", "[5, ", "\"city\""));
    model_files_end(&files);
}

TEST(an_encoder_that_no_column_names_is_left_alone)
{
    static const char *const names[] = {"cate", "brand"};
    start();
    files.columns[2] = files.columns[1];
    files.columns[1] = (struct model_files_column){"city", 4};
    files.n_columns = 3;
    source.sparse_columns = (struct dcnv2_columns){names, 2};
    CHECK(is_good());
    model_files_end(&files);
}

static bool are_dense_names_refused(const char *const *names, size_t n, const char *needle)
{
    source.dense_columns = (struct dcnv2_columns){names, n};
    return is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, needle);
}

TEST(dense_names_other_than_the_scalers_are_refused)
{
    static const char *const right[] = {"price", "age"};
    static const char *const swapped[] = {"age", "price"};
    static const char *const more[] = {"price", "age", "size"};
    static const char *const other[] = {"price", "Age"};
    start();
    model_files_put(&files);
    CHECK(are_dense_names_refused(swapped, 2, "\"age\""));
    CHECK(are_dense_names_refused(swapped, 2, "\"price\""));
    CHECK(are_dense_names_refused(other, 2, "\"Age\""));
    CHECK(are_dense_names_refused(right, 1, "2"));
    CHECK(are_dense_names_refused(more, 3, "3"));
    source.dense_columns = (struct dcnv2_columns){right, 2};
    CHECK(is_load_good(&source));
    model_files_end(&files);
}

TEST(dense_columns_must_be_named_where_the_scaler_has_no_names)
{
    static const char *const any[] = {"width", "height"};
    start();
    files.dense_unnamed = true;
    model_files_put(&files);
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "names"));
    CHECK(are_dense_names_refused(any, 1, "2"));
    source.dense_columns = (struct dcnv2_columns){any, 2};
    CHECK(is_load_good(&source));
    model_files_end(&files);
}

TEST(a_column_named_twice_is_refused)
{
    static const char *const twice[] = {"cate", "cate"};
    static const char *const both[] = {"price", "price"};
    start();
    model_files_find(&files, "embeddings.0.weight")->sizes[0] = 10;
    model_files_put(&files);
    source.sparse_columns = (struct dcnv2_columns){twice, 2};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "\"cate\""));
    model_files_end(&files);

    start();
    files.columns[1].name = "age";
    model_files_put(&files);
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "\"age\""));
    model_files_end(&files);

    start();
    files.dense_unnamed = true;
    model_files_put(&files);
    source.dense_columns = (struct dcnv2_columns){both, 2};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "\"price\""));
    model_files_end(&files);
}

/* ---- whole files */

/* Whether every column of the one has a table large enough in the other: then nothing tells that
 * they do not belong together. */
static bool would_fit(const struct golden_network *weights, const struct golden_network *encoder)
{
    if (weights->n_dense != encoder->n_dense || weights->n_sparse != encoder->n_sparse)
        return false;
    struct bytes bytes = bytes_of_file(weights->model_path);
    struct arena arena;
    struct tensor_list torch;
    struct format_error error;
    arena_init(&arena, 1 << 24);
    bool fits = torch_file_read(&torch, &arena, bytes.at, bytes.size, NULL, &error) == 0;
    for (size_t c = 0; fits && c < encoder->n_sparse; c++) {
        char name[64];
        snprintf(name, sizeof name, "embeddings.%zu.weight", c);
        const struct tensor *table = tensor_find(&torch, name);
        fits = table && table->sizes[0] > encoder->n_classes[c];
    }
    arena_free(&arena);
    bytes_free(&bytes);
    return fits;
}

TEST(weights_and_encoders_of_two_trainings_are_refused)
{
    size_t n_refused = 0;
    for (size_t i = 0; golden_networks[i]; i++) {
        for (size_t k = 0; golden_networks[k]; k++) {
            struct golden_network weights, encoder;
            golden_network_read(&weights, golden_networks[i]);
            golden_network_read(&encoder, golden_networks[k]);
            struct dcnv2_source mixed = golden_network_source(&encoder, true);
            mixed.model_path = weights.model_path;
            const bool fits = would_fit(&weights, &encoder);
            n_refused += !fits;
            CHECK_MSG(
                fits || is_load_refused(&mixed, DCNV2_ERROR_MODEL, weights.model_path, "tensor \""),
                "%s with the encoder of %s", golden_networks[i], golden_networks[k]);
            CHECK(!fits || is_load_good(&mixed));
            golden_network_close(&weights);
            golden_network_close(&encoder);
        }
    }
    CHECK(n_refused > 350);
}

TEST(a_file_that_is_missing_empty_or_a_folder_is_refused)
{
    start();
    model_files_put(&files);
    char missing[160], long_path[700];
    snprintf(missing, sizeof missing, "%s/none", files.folder);
    struct dcnv2_source other = source;
    other.model_path = missing;
    CHECK(is_load_refused(&other, DCNV2_ERROR_IO, missing, "No such file"));
    other.model_path = files.folder;
    CHECK(is_load_refused(&other, DCNV2_ERROR_IO, files.folder, NULL));
    other = source;
    other.encoder_path = missing;
    CHECK(is_load_refused(&other, DCNV2_ERROR_IO, missing, "No such file"));
    other.encoder_path = files.folder;
    CHECK(is_load_refused(&other, DCNV2_ERROR_IO, files.folder, NULL));
    memset(long_path, 'x', sizeof long_path - 1);
    for (size_t length = 490; length < sizeof long_path; length++) {
        long_path[length] = '\0';
        other.encoder_path = long_path;
        CHECK(is_load_refused(&other, DCNV2_ERROR_IO, NULL, NULL));
        long_path[length] = 'x';
    }
    write_whole_file(files.encoder_path, "", 0);
    CHECK(is_load_refused(&source, DCNV2_ERROR_IO, files.encoder_path, "empty"));
    model_files_end(&files);
}

TEST(a_file_of_another_format_is_refused)
{
    start();
    model_files_put(&files);
    struct dcnv2_source swapped = source;
    swapped.model_path = source.encoder_path;
    CHECK(is_load_refused(&swapped, DCNV2_ERROR_FORMAT, files.encoder_path, NULL));
    swapped = source;
    swapped.encoder_path = source.model_path;
    CHECK(is_load_refused(&swapped, DCNV2_ERROR_FORMAT, files.model_path, NULL));
    write_whole_file(files.encoder_path, "\200\004.", 3);
    CHECK(is_load_refused(&source, DCNV2_ERROR_FORMAT, files.encoder_path, NULL));
    model_files_end(&files);
}

TEST(a_file_may_be_replaced_once_it_is_loaded)
{
    start();
    model_files_put(&files);
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error;
    float score = -1;
    const float dense[2] = {0, 0};
    const uint32_t indices[2] = {2, 3};
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    write_whole_file(files.model_path, "", 0);
    CHECK(truncate(files.encoder_path, 0) == 0);
    if (model && dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK)
        CHECK(predict_one_each(model, workspace, 1, dense, indices, &score, &error) == DCNV2_OK);
    CHECK(score > 0 && score < 1);
    CHECK(model && dcnv2_model_sparse_index(model, 1, "c02", 3) == 2);
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    model_files_end(&files);
}

/* ---- the kernel set, scores, messages */

TEST(an_unknown_kernel_set_is_refused_by_its_variable)
{
    static const char *const unknown[] = {"sse9", "AVX2", "scalar ", "avx2,scalar"};
    start();
    model_files_put(&files);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        setenv("DCNV2_CPU", unknown[i], 1);
        CHECK(is_load_refused(&source, DCNV2_ERROR_ARGUMENT, NULL, "DCNV2_CPU"));
        CHECK(is_load_refused(&source, DCNV2_ERROR_ARGUMENT, NULL, unknown[i]));
    }
    setenv("DCNV2_CPU", "scalar", 1);
    CHECK(is_load_good(&source));
    unsetenv("DCNV2_CPU");
    model_files_end(&files);
}

TEST(a_row_whose_score_is_not_a_number_is_refused_by_its_number)
{
    start();
    model_files_put(&files);
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    if (model && dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK) {
        enum { N = 60 };
        float dense[2 * N] = {0}, scores[N];
        uint32_t indices[2 * N] = {0};
        for (size_t bad = 0; bad < N; bad++) {
            char row[32];
            snprintf(row, sizeof row, "row %zu:", bad + 1);
            dense[bad] = NAN;
            CHECK(predict_one_each(model, workspace, N, dense, indices, scores, &error) ==
                  DCNV2_ERROR_ARGUMENT);
            CHECK_MSG(strstr(error.message, row), "%s", error.message);
            CHECK_MSG(error.n_scored == bad, "%zu: %zu", bad, error.n_scored);
            for (size_t r = 0; r < N; r++)
                CHECK(r < bad ? scores[r] > 0 && scores[r] < 1 : isnan(scores[r]));
            dense[bad] = 0;
        }
        CHECK(predict_one_each(model, workspace, N, dense, indices, scores, &error) == DCNV2_OK);
    }
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    model_files_end(&files);
}

TEST(a_list_is_refused_by_a_look_up_that_takes_one_row)
{
    start();
    model_files_put(&files);
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    if (model && dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK) {
        const float dense[2] = {0};
        const uint32_t rows[2] = {0}, offsets[2] = {0, 2};
        const struct dcnv2_rows lookups[2] = {{.rows = rows}, {rows, offsets}};
        float score = 0;
        CHECK(dcnv2_predict(model, workspace, 1, dense, lookups, &score, &error) ==
              DCNV2_ERROR_ARGUMENT);
        CHECK(error.n_scored == 0 && isnan(score));
    }
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    model_files_end(&files);
}

TEST(a_message_is_one_line_whatever_the_names_in_it_hold)
{
    static const char *const sparse[] = {"cate", "new\nline"};
    static const char *const dense[] = {"price", "ag\ne"};
    start();
    model_files_put(&files);
    source.sparse_columns = (struct dcnv2_columns){sparse, 2};
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "no encoder"));
    source = model_files_source(&files);
    CHECK(are_dense_names_refused(dense, 2, "\"age\""));
    model_files_end(&files);
}

TEST(a_message_is_one_line_whatever_the_encoder_file_holds)
{
    start();
    files.dense_names[1] = "x\nlevel=error";
    static const char *const dense[] = {"price", "age"};
    model_files_put(&files);
    CHECK(are_dense_names_refused(dense, 2, "\"age\""));
    source = model_files_source(&files);
    files.columns[1].name = files.dense_names[1];
    model_files_put(&files);
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "twice"));
    files.columns[1].n_classes = 9;
    files.dense_names[1] = "age";
    CHECK(is_refused_with("embeddings.1.weight", "[10, ", NULL));
    model_files_end(&files);
}

TEST(a_message_is_one_line_whatever_the_path_and_the_environment_hold)
{
    start();
    model_files_put(&files);
    struct dcnv2_source other = source;
    other.model_path = "no such\nfile";
    CHECK(is_load_refused(&other, DCNV2_ERROR_IO, NULL, "No such file"));
    setenv("DCNV2_CPU", "new\nline", 1);
    CHECK(is_load_refused(&source, DCNV2_ERROR_ARGUMENT, NULL, "DCNV2_CPU"));
    unsetenv("DCNV2_CPU");
    model_files_end(&files);
}

int main(void)
{
    RUN(the_files_as_they_start_are_loaded);
    RUN(cross_layers_of_both_kinds_may_stand_in_one_network);
    RUN(a_table_smaller_than_its_vocabulary_is_refused);
    RUN(a_table_larger_than_its_vocabulary_is_loaded);
    RUN(a_table_of_another_number_of_dimensions_is_refused);
    RUN(swapped_sparse_columns_are_refused_where_a_table_is_too_small);
    RUN(a_missing_tensor_is_refused_by_its_name_and_shape);
    RUN(a_layer_without_its_weight_is_refused_by_the_layers_name);
    RUN(a_tensor_more_is_refused_by_its_name_and_shape);
    RUN(a_misshapen_tensor_is_refused_with_both_shapes);
    RUN(a_weight_that_is_not_finite_is_refused_by_its_tensor);
    RUN(a_sparse_column_without_an_encoder_is_refused);
    RUN(fewer_sparse_columns_than_tables_are_refused);
    RUN(more_sparse_columns_than_tables_are_refused);
    RUN(an_encoder_that_no_column_names_is_left_alone);
    RUN(dense_names_other_than_the_scalers_are_refused);
    RUN(dense_columns_must_be_named_where_the_scaler_has_no_names);
    RUN(a_column_named_twice_is_refused);
    RUN(weights_and_encoders_of_two_trainings_are_refused);
    RUN(a_file_that_is_missing_empty_or_a_folder_is_refused);
    RUN(a_file_of_another_format_is_refused);
    RUN(a_file_may_be_replaced_once_it_is_loaded);
    RUN(an_unknown_kernel_set_is_refused_by_its_variable);
    RUN(a_row_whose_score_is_not_a_number_is_refused_by_its_number);
    RUN(a_list_is_refused_by_a_look_up_that_takes_one_row);
    RUN(a_message_is_one_line_whatever_the_names_in_it_hold);
    RUN(a_message_is_one_line_whatever_the_encoder_file_holds);
    RUN(a_message_is_one_line_whatever_the_path_and_the_environment_hold);
    return test_report();
}
