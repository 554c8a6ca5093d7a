/* SPDX-License-Identifier: Apache-2.0 */
#include "model_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/build_pickle.h"
#include "predict.h"

static void die(const char *what)
{
    fprintf(stderr, "tests: %s\n", what);
    exit(1);
}

void model_files_start(struct model_files *files)
{
    *files = (struct model_files){.folder = "/tmp/test_model_XXXXXX", .factor = 1};
    if (mkdtemp(files->folder) == NULL)
        die("no folder for files");
    snprintf(files->model_path, sizeof files->model_path, "%s/weights.pth", files->folder);
    snprintf(files->encoder_path, sizeof files->encoder_path, "%s/encoder.pkl", files->folder);
    model_files_add(files, "embeddings.0.weight", 2, 3, 4);
    model_files_add(files, "embeddings.1.weight", 2, 4, 3);
    model_files_add(files, "cross_layers.0.0.weight", 2, 9, 9);
    model_files_add(files, "cross_layers.0.0.bias", 1, 9, 0);
    model_files_add(files, "cross_layers.0.1.weight", 1, 9, 0);
    model_files_add(files, "cross_layers.0.1.bias", 1, 9, 0);
    model_files_add(files, "cross_layers.1.weight", 2, 9, 9);
    model_files_add(files, "cross_layers.1.bias", 1, 9, 0);
    model_files_add(files, "dnn.0.weight", 2, 5, 9);
    model_files_add(files, "dnn.0.bias", 1, 5, 0);
    model_files_add(files, "dnn.2.weight", 2, 3, 5);
    model_files_add(files, "dnn.2.bias", 1, 3, 0);
    model_files_add(files, "output.weight", 2, 1, 12);
    model_files_add(files, "output.bias", 1, 1, 0);
    files->dense_names[0] = "price";
    files->dense_names[1] = "age";
    files->n_dense = 2;
    files->columns[0] = (struct model_files_column){"cate", 2};
    files->columns[1] = (struct model_files_column){"brand", 3};
    files->n_columns = 2;
}

void model_files_end(struct model_files *files)
{
    unlink(files->model_path);
    unlink(files->encoder_path);
    if (rmdir(files->folder) != 0)
        die("a folder of files was left behind");
}

struct model_files_tensor *model_files_find(struct model_files *files, const char *name)
{
    for (size_t i = 0; i < files->n_tensors; i++)
        if (strcmp(files->tensors[i].name, name) == 0)
            return &files->tensors[i];
    die(name);
    return NULL;
}

void model_files_remove(struct model_files *files, const char *name)
{
    struct model_files_tensor *tensor = model_files_find(files, name);
    const size_t behind = files->n_tensors - (size_t)(tensor - files->tensors) - 1;
    memmove(tensor, tensor + 1, behind * sizeof *tensor);
    files->n_tensors--;
}

void model_files_add(struct model_files *files, const char *name, unsigned n_dims, long long rows,
                     long long columns)
{
    if (files->n_tensors == MODEL_FILES_MAX_TENSORS)
        die("too many tensors");
    struct model_files_tensor *tensor = &files->tensors[files->n_tensors++];
    *tensor = (struct model_files_tensor){
        .n_dims = n_dims, .sizes = {rows, columns, 1, 1}, .special_at = -1};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
}

/* ---- writing */

void write_whole_file(const char *path, const void *bytes, size_t size)
{
    char beside[192];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "wb");
    if (file == NULL || (size && fwrite(bytes, size, 1, file) != 1) || fclose(file) != 0 ||
        rename(beside, path) != 0)
        die("a file of a test cannot be written");
}

static void write_weights(const struct model_files *files)
{
    struct tensor_spec specs[MODEL_FILES_MAX_TENSORS];
    struct bytes storage = {0}, pickle = {0};
    uint32_t state = 12345;
    long long offset = 0;
    for (size_t i = 0; i < files->n_tensors; i++) {
        const struct model_files_tensor *tensor = &files->tensors[i];
        struct tensor_spec *spec = &specs[i];
        *spec = (struct tensor_spec){.name = tensor->name,
                                     .storage_type = "FloatStorage",
                                     .key = "0",
                                     .offset = offset,
                                     .n_dims = tensor->n_dims};
        long long n = 1;
        for (unsigned d = tensor->n_dims; d-- > 0;) {
            spec->sizes[d] = tensor->sizes[d];
            spec->strides[d] = n;
            n *= tensor->sizes[d];
        }
        for (long long k = 0; k < n; k++) {
            state = state * 1664525u + 1013904223u;
            float value = files->factor * ((float)(state >> 8) * 0x1p-24f - 0.5f);
            if (k == tensor->special_at)
                value = tensor->special;
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            bytes_u32(&storage, bits);
        }
        offset += n;
    }
    for (size_t i = 0; i < files->n_tensors; i++)
        specs[i].storage_elements = offset;
    pickle_state_dict(&pickle, specs, files->n_tensors);
    struct zip_image image;
    zip_image_torch(&image, &pickle, storage.at, storage.size);
    write_whole_file(files->model_path, image.bytes.at, image.bytes.size);
    zip_image_free(&image);
    bytes_free(&pickle);
    bytes_free(&storage);
}

/* An array of texts, as opcodes. */
static void add_texts(struct bytes *out, const char *const *texts, size_t n)
{
    struct bytes list = {0};
    pickle_op(&list, OP_EMPTY_LIST);
    pickle_op(&list, OP_MARK);
    for (size_t i = 0; i < n; i++)
        pickle_text(&list, texts[i]);
    pickle_op(&list, OP_APPENDS);
    struct array_spec array = array_objects;
    array.shape = (long long)n;
    array.data = (const char *)list.at;
    array.size = list.size;
    pickle_array(out, &array);
    bytes_free(&list);
}

static void add_doubles(struct bytes *out, double first, size_t n)
{
    struct bytes data = {0};
    for (size_t i = 0; i < n; i++)
        bytes_f64(&data, first + (double)i);
    struct array_spec array = array_doubles;
    array.shape = (long long)n;
    array.data = (const char *)data.at;
    array.size = data.size;
    pickle_array(out, &array);
    bytes_free(&data);
}

static void add_column(struct bytes *out, const struct model_files_column *column)
{
    enum { MAX_CLASSES = 100 };
    static char texts[MAX_CLASSES][8];
    const char *classes[MAX_CLASSES];
    for (unsigned i = 0; i < column->n_classes; i++) {
        snprintf(texts[i], sizeof texts[i], "c%02u", i % MAX_CLASSES);
        classes[i] = texts[i];
    }
    struct bytes array = {0};
    add_texts(&array, classes, column->n_classes);
    pickle_encoder(out, column->name, &array);
    bytes_free(&array);
}

static void write_encoder(const struct model_files *files)
{
    struct pair pair = {0};
    add_doubles(&pair.mean, 0.5, files->n_dense);
    add_doubles(&pair.scale, 2, files->n_dense);
    if (!files->dense_unnamed)
        add_texts(&pair.names, files->dense_names, files->n_dense);
    pickle_int(&pair.width, (long long)files->n_dense);
    for (size_t i = 0; i < files->n_columns; i++)
        add_column(&pair.encoders, &files->columns[i]);
    struct bytes pickle = pair_pickle(&pair);
    write_whole_file(files->encoder_path, pickle.at, pickle.size);
    bytes_free(&pickle);
}

void model_files_put(const struct model_files *files)
{
    write_weights(files);
    write_encoder(files);
}

/* ---- asking */

struct dcnv2_source model_files_source(const struct model_files *files)
{
    return (struct dcnv2_source){.model_path = files->model_path,
                                 .encoder_path = files->encoder_path};
}

bool is_one_line_message(const struct dcnv2_error *error)
{
    const size_t size = sizeof error->message, length = strnlen(error->message, size);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)error->message[i] < 0x20 || error->message[i] == 0x7F)
            return false;
    return length > 0 && length < size;
}

bool is_load_refused(const struct dcnv2_source *source, enum dcnv2_status status, const char *path,
                     const char *needle)
{
    dcnv2_model *const untouched = (dcnv2_model *)(void *)&status;
    dcnv2_model *model = untouched;
    struct dcnv2_error error;
    memset(&error, '\n', sizeof error);
    const int result = dcnv2_model_load(source, &model, &error);
    if (result == DCNV2_OK) {
        fprintf(stderr, "    was loaded\n");
        dcnv2_model_free(model);
        return false;
    }
    if (getenv("SHOW_REFUSALS"))
        fprintf(stderr, "    %.*s\n", (int)sizeof error.message, error.message);
    const size_t length = path ? strlen(path) : 0;
    const bool good = result == (int)status && error.status == status && model == untouched &&
                      is_one_line_message(&error) &&
                      (!path || (strncmp(error.message, path, length) == 0 &&
                                 strncmp(error.message + length, ": ", 2) == 0)) &&
                      (!needle || strstr(error.message, needle));
    if (!good)
        fprintf(stderr, "    %d, not %d%s%s%s: '%.*s'\n", result, (int)status,
                needle ? " with " : "", needle ? needle : "",
                model == untouched ? "" : ", result touched", (int)sizeof error.message,
                error.message);
    return good;
}

bool is_load_good(const struct dcnv2_source *source)
{
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    float dense[64] = {0}, score = -1;
    uint32_t indices[64];
    int status = dcnv2_model_load(source, &model, &error);
    if (status == DCNV2_OK)
        status = dcnv2_workspace_create(model, &workspace, &error);
    if (status == DCNV2_OK) {
        for (size_t i = 0; i < dcnv2_model_n_sparse(model); i++)
            indices[i] = dcnv2_model_vocabulary_size(model, i);
        status = predict_one_each(model, workspace, 1, dense, indices, &score, &error);
    }
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    if (status != DCNV2_OK || !(score >= 0 && score <= 1))
        fprintf(stderr, "    %d, score %g: %s\n", status, (double)score, error.message);
    return status == DCNV2_OK && score >= 0 && score <= 1;
}
