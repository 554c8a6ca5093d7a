/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_hostile.c: small files of large models, and what a model keeps of its files. */
#include <time.h>

#include "format/build_pickle.h"
#include "model/model.h"
#include "model_files.h"
#include "test.h"

static struct model_files files;

/* An encoder file of the columns "c0", "c1", .., which share one array of classes "00000", "00001",
 * .. ; each is filled up with zeros in front to this length. */
static void put_shared_classes(unsigned n_columns, unsigned n_classes, unsigned length)
{
    struct bytes data = {0};
    bytes_add(&data, "](", 2);
    for (unsigned i = 0; i < n_classes; i++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%05u", i);
        pickle_op(&data, OP_BINUNICODE);
        bytes_u32(&data, length);
        bytes_fill(&data, '0', length - 5);
        bytes_text(&data, digits);
    }
    bytes_add(&data, "e", 1);
    struct pair pair = pair_good();
    pair_share_classes(&pair,
                       &(struct array_spec){.dtype = "O8",
                                            .shape = n_classes,
                                            .data = (const char *)data.at,
                                            .size = data.size,
                                            .objects = true},
                       n_columns);
    bytes_free(&data);
    struct bytes bytes = pair_pickle(&pair);
    write_whole_file(files.encoder_path, bytes.at, bytes.size);
    bytes_free(&bytes);
}

/* A network of `n_tables` of `n_rows` rows of 4, all of them one and the same float. */
static void put_repeated_value(unsigned n_tables, long long n_rows)
{
    enum { MOST = 10 };
    struct tensor_spec tensors[MOST];
    char names[MOST][32];
    const struct tensor_spec one = {
        .storage_type = "FloatStorage", .key = "0", .location = "cpu", .storage_elements = 1};
    for (unsigned i = 0; i < n_tables; i++) {
        snprintf(names[i], sizeof names[i], "embeddings.%u.weight", i);
        tensors[i] = one;
        tensors[i].name = names[i];
        tensors[i].n_dims = 2;
        tensors[i].sizes[0] = n_rows;
        tensors[i].sizes[1] = 4;
    }
    struct tensor_spec *weight = &tensors[n_tables], *bias = &tensors[n_tables + 1];
    *weight = *bias = one;
    weight->name = "output.weight";
    weight->n_dims = 2;
    weight->sizes[0] = 1;
    weight->sizes[1] = 2 + 4 * n_tables;
    bias->name = "output.bias";
    bias->n_dims = 1;
    bias->sizes[0] = 1;
    const float value = 0.5f;
    struct bytes pickle = {0};
    struct zip_image image;
    pickle_state_dict(&pickle, tensors, n_tables + 2);
    zip_image_torch(&image, &pickle, &value, sizeof value);
    write_whole_file(files.model_path, image.bytes.at, image.bytes.size);
    zip_image_free(&image);
    bytes_free(&pickle);
}

TEST(tables_that_repeat_one_value_are_loaded_up_to_a_size)
{
    model_files_start(&files);
    const struct dcnv2_source source = model_files_source(&files);
    put_shared_classes(2, 3, 5);
    put_repeated_value(2, 1000);
    CHECK(is_load_good(&source));
    put_repeated_value(2, 1 << 22); /* 128 MiB of a file of 1 KB */
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "they repeat its values"));
    model_files_end(&files);
}

TEST(classes_that_columns_share_are_refused_where_they_are_too_many)
{
    model_files_start(&files);
    const struct dcnv2_source source = model_files_source(&files);
    put_repeated_value(2, 2);
    put_shared_classes(2, 1, 1 << 20);
    CHECK(is_load_good(&source));
    put_shared_classes(200, 1, 1 << 20); /* 200 MiB of a file of 1 MiB */
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.encoder_path, "columns have"));
    model_files_end(&files);
}

TEST(columns_in_the_files_order_are_found_in_linear_time)
{
    model_files_start(&files);
    const struct dcnv2_source source = model_files_source(&files);
    put_repeated_value(1, 2);
    put_shared_classes(60000, 1, 5);
    const clock_t start = clock();
    CHECK(is_load_refused(&source, DCNV2_ERROR_MODEL, files.model_path, "embeddings.1.weight"));
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK_MSG(seconds < 1.5, "%.1f s", seconds);
    model_files_end(&files);
}

/* Whether the model keeps its files' bytes; it scores in any case. */
static bool keeps_file(void)
{
    const struct dcnv2_source source = model_files_source(&files);
    dcnv2_model *model = NULL;
    struct dcnv2_error error;
    CHECK(is_load_good(&source));
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    const bool keeps = model && model->file.at != NULL;
    dcnv2_model_free(model);
    return keeps;
}

TEST(a_pairs_file_is_kept_where_tables_are_most_of_it)
{
    model_files_start(&files);
    model_files_put(&files);
    CHECK(!keeps_file()); /* some rows */
    for (size_t i = 0; i < files.n_tensors; i++)
        if (strncmp(files.tensors[i].name, "embeddings.", 11) == 0)
            files.tensors[i].sizes[0] = 20000;
    model_files_put(&files);
    CHECK(keeps_file());
    put_shared_classes(2, 3, 5);
    put_repeated_value(2, 1000); /* larger than the file, but nowhere in it */
    CHECK(!keeps_file());
    model_files_end(&files);
}

int main(void)
{
    RUN(tables_that_repeat_one_value_are_loaded_up_to_a_size);
    RUN(classes_that_columns_share_are_refused_where_they_are_too_many);
    RUN(columns_in_the_files_order_are_found_in_linear_time);
    RUN(a_pairs_file_is_kept_where_tables_are_most_of_it);
    return test_report();
}
