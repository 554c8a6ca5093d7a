/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/file.h"
#include "format/sklearn_file.h"

/* What reading may take beside the files themselves: a pickle's values and the texts of its
 * classes are some 14 times its bytes. Shared values can ask for far more; they are refused. */
enum { READING_BYTES_PER_FILE_BYTE = 40, READING_LEAST_BYTES = 64 << 20 };

struct dcnv2_workspace {
    float *scratch;
};

__attribute__((format(printf, 4, 5))) static int
fail(struct dcnv2_error *error, enum dcnv2_status status, const char *path, const char *format, ...)
{
    error->status = status;
    const size_t size = sizeof error->message;
    int n = path ? snprintf(error->message, size, "%s: ", path) : 0;
    if (n < 0 || (size_t)n >= size)
        n = 0;
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(error->message + n, size - (size_t)n, format, arguments);
    va_end(arguments);
    const size_t length = strlen(error->message);
    error->message[text_make_printable(error->message, length, wanted >= (int)size - n)] = '\0';
    return status;
}

/* What is needed while the two files are read, and no longer. */
struct loading {
    const struct dcnv2_source *source;
    struct arena arena;
    struct file_bytes encoder_bytes, model_bytes;
    struct sklearn_file sklearn;
    struct torch_file torch;
    const struct sklearn_encoder **encoders; /* [n_sparse], in the order of the columns */
    struct text *names;                      /* [n_sparse + n_dense] */
    uint32_t n_sparse, n_dense;
    struct dcnv2_error *error;
};

static int fail_memory(struct loading *loading)
{
    return fail(loading->error, DCNV2_ERROR_MEMORY, NULL, "out of memory");
}

static int fail_reading(struct loading *loading, enum dcnv2_status status, const char *path,
                        const struct format_error *error)
{
    return fail(loading->error, error->out_of_memory ? DCNV2_ERROR_MEMORY : status, path, "%s",
                error->message);
}

static int read_files(struct loading *loading)
{
    const struct dcnv2_source *source = loading->source;
    struct format_error error;
    if (file_read(source->model_path, &loading->model_bytes, &error) != 0)
        return fail_reading(loading, DCNV2_ERROR_IO, source->model_path, &error);
    if (file_read(source->encoder_path, &loading->encoder_bytes, &error) != 0)
        return fail_reading(loading, DCNV2_ERROR_IO, source->encoder_path, &error);
    loading->arena.limit_bytes +=
        READING_BYTES_PER_FILE_BYTE * (loading->model_bytes.size + loading->encoder_bytes.size);
    if (torch_file_read(&loading->torch, &loading->arena, loading->model_bytes.at,
                        loading->model_bytes.size, &error) != 0)
        return fail_reading(loading, DCNV2_ERROR_FORMAT, source->model_path, &error);
    if (sklearn_file_read(&loading->sklearn, &loading->arena, loading->encoder_bytes.at,
                          loading->encoder_bytes.size, &error) != 0)
        return fail_reading(loading, DCNV2_ERROR_FORMAT, source->encoder_path, &error);
    return DCNV2_OK;
}

/* ---- which columns, in which order ---- */

static const struct sklearn_encoder *find_encoder(const struct sklearn_file *sklearn,
                                                  struct text column)
{
    for (uint32_t i = 0; i < sklearn->n_encoders; i++)
        if (text_equal(sklearn->encoders[i].column, column))
            return &sklearn->encoders[i];
    return NULL;
}

static int choose_sparse(struct loading *loading)
{
    const struct dcnv2_columns *wanted = &loading->source->sparse_columns;
    for (uint32_t i = 0; i < loading->n_sparse; i++) {
        loading->names[i] =
            wanted->n ? text_of(wanted->names[i]) : loading->sklearn.encoders[i].column;
        loading->encoders[i] = find_encoder(&loading->sklearn, loading->names[i]);
        if (loading->encoders[i] == NULL)
            return fail(loading->error, DCNV2_ERROR_MODEL, loading->source->encoder_path,
                        "sparse column \"%.*s\" has no encoder", TEXT_SHOWN(loading->names[i]));
    }
    return DCNV2_OK;
}

static int choose_dense(struct loading *loading)
{
    const struct dcnv2_columns *wanted = &loading->source->dense_columns;
    const struct sklearn_file *sklearn = &loading->sklearn;
    const char *path = loading->source->encoder_path;
    struct text *names = loading->names + loading->n_sparse;
    if (wanted->n == 0 && sklearn->n_dense > 0 && sklearn->dense_names == NULL)
        return fail(loading->error, DCNV2_ERROR_MODEL, path,
                    "the scaler was fitted without column names: name its %u dense columns",
                    sklearn->n_dense);
    if (wanted->n && wanted->n != sklearn->n_dense)
        return fail(loading->error, DCNV2_ERROR_MODEL, path,
                    "the scaler was fitted on %u dense columns; %zu are named", sklearn->n_dense,
                    wanted->n);
    for (uint32_t i = 0; i < loading->n_dense; i++) {
        names[i] = wanted->n ? text_of(wanted->names[i]) : sklearn->dense_names[i];
        if (sklearn->dense_names && !text_equal(names[i], sklearn->dense_names[i]))
            return fail(loading->error, DCNV2_ERROR_MODEL, path,
                        "dense column %u is \"%.*s\"; the scaler was fitted on \"%.*s\" there",
                        i + 1, TEXT_SHOWN(names[i]), TEXT_SHOWN(sklearn->dense_names[i]));
    }
    return DCNV2_OK;
}

static int choose_columns(struct loading *loading)
{
    const struct dcnv2_source *source = loading->source;
    if (source->sparse_columns.n > UINT32_MAX / 4 || source->dense_columns.n > UINT32_MAX / 4)
        return fail(loading->error, DCNV2_ERROR_ARGUMENT, NULL, "too many columns");
    loading->n_sparse =
        source->sparse_columns.n ? (uint32_t)source->sparse_columns.n : loading->sklearn.n_encoders;
    loading->n_dense = loading->sklearn.n_dense;
    const size_t n = (size_t)loading->n_sparse + loading->n_dense;
    loading->names = arena_calloc(&loading->arena, n + 1, sizeof *loading->names);
    loading->encoders =
        arena_calloc(&loading->arena, (size_t)loading->n_sparse + 1, sizeof *loading->encoders);
    if (loading->names == NULL || loading->encoders == NULL)
        return fail_memory(loading);
    if (n == 0)
        return fail(loading->error, DCNV2_ERROR_MODEL, source->encoder_path,
                    "has neither dense nor sparse columns");
    const int status = choose_sparse(loading);
    return status ? status : choose_dense(loading);
}

/* ---- the two halves of a model ---- */

static int make_encoder(struct loading *loading, struct dcnv2_model *model)
{
    struct encoder *encoder = &model->encoder;
    const size_t n_dense = loading->n_dense;
    uint32_t twice;
    if (schema_init(&encoder->schema, &model->arena, loading->names, loading->n_sparse,
                    loading->n_dense, &twice) != 0) {
        if (twice == SCHEMA_NOT_FOUND)
            return fail_memory(loading);
        return fail(loading->error, DCNV2_ERROR_MODEL, loading->source->encoder_path,
                    "column \"%.*s\" is named twice", TEXT_SHOWN(loading->names[twice]));
    }
    encoder->mean = arena_calloc(&model->arena, n_dense + 1, sizeof *encoder->mean);
    encoder->scale = arena_calloc(&model->arena, n_dense + 1, sizeof *encoder->scale);
    encoder->vocabularies =
        arena_calloc(&model->arena, (size_t)loading->n_sparse + 1, sizeof *encoder->vocabularies);
    if (!encoder->mean || !encoder->scale || !encoder->vocabularies)
        return fail_memory(loading);
    memcpy(encoder->mean, loading->sklearn.mean, n_dense * sizeof *encoder->mean);
    memcpy(encoder->scale, loading->sklearn.scale, n_dense * sizeof *encoder->scale);
    for (uint32_t i = 0; i < loading->n_sparse; i++)
        if (vocabulary_init(&encoder->vocabularies[i], loading->encoders[i]->classes,
                            loading->encoders[i]->n_classes) != 0)
            return fail_memory(loading);
    return DCNV2_OK;
}

static int make_network(struct loading *loading, struct dcnv2_model *model)
{
    uint32_t *sizes = arena_calloc(&loading->arena, (size_t)loading->n_sparse + 1, sizeof *sizes);
    if (sizes == NULL)
        return fail_memory(loading);
    for (uint32_t i = 0; i < loading->n_sparse; i++)
        sizes[i] = loading->encoders[i]->n_classes;
    const struct network_inputs inputs = {.n_dense = loading->n_dense,
                                          .n_sparse = loading->n_sparse,
                                          .sparse_names = loading->names,
                                          .vocabulary_sizes = sizes};
    struct format_error error;
    if (network_load(&model->network, &model->arena, &loading->torch, &inputs, &error) != 0)
        return fail_reading(loading, DCNV2_ERROR_MODEL, loading->source->model_path, &error);
    return DCNV2_OK;
}

static int choose_kernels(struct loading *loading, struct dcnv2_model *model)
{
    const char *wanted = getenv("DCNV2_CPU");
    model->kernels = kernels_select(wanted);
    if (model->kernels == NULL)
        return fail(loading->error, DCNV2_ERROR_ARGUMENT, NULL,
                    "DCNV2_CPU=%.40s: unknown, or this CPU does not have it; unset it to choose "
                    "the fastest",
                    wanted);
    return DCNV2_OK;
}

static int load(struct loading *loading, struct dcnv2_model *model)
{
    int status = choose_kernels(loading, model);
    if (status == DCNV2_OK)
        status = read_files(loading);
    if (status == DCNV2_OK)
        status = choose_columns(loading);
    if (status == DCNV2_OK)
        status = make_encoder(loading, model);
    return status == DCNV2_OK ? make_network(loading, model) : status;
}

int dcnv2_model_load(const struct dcnv2_source *source, dcnv2_model **ret_model,
                     struct dcnv2_error *error)
{
    struct loading loading = {.source = source, .error = error};
    arena_init(&loading.arena, READING_LEAST_BYTES);
    struct dcnv2_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return fail_memory(&loading);
    arena_init(&model->arena, SIZE_MAX);
    const int status = load(&loading, model);
    if (status == DCNV2_OK)
        *ret_model = model;
    else
        dcnv2_model_free(model);
    file_free(&loading.model_bytes);
    file_free(&loading.encoder_bytes);
    arena_free(&loading.arena);
    return status;
}

void dcnv2_model_free(dcnv2_model *model)
{
    if (model == NULL)
        return;
    if (model->encoder.vocabularies)
        for (uint32_t i = 0; i < model->encoder.schema.n_sparse; i++)
            vocabulary_free(&model->encoder.vocabularies[i]);
    network_free(&model->network);
    arena_free(&model->arena);
    free(model);
}

size_t dcnv2_model_n_dense(const dcnv2_model *model)
{
    return model->encoder.schema.n_dense;
}

size_t dcnv2_model_n_sparse(const dcnv2_model *model)
{
    return model->encoder.schema.n_sparse;
}

const char *dcnv2_model_sparse_name(const dcnv2_model *model, size_t i)
{
    return model->encoder.schema.names[i].at;
}

const char *dcnv2_model_dense_name(const dcnv2_model *model, size_t i)
{
    return model->encoder.schema.names[model->encoder.schema.n_sparse + i].at;
}

uint32_t dcnv2_model_vocabulary_size(const dcnv2_model *model, size_t i)
{
    return model->encoder.vocabularies[i].n;
}

uint32_t dcnv2_model_sparse_index(const dcnv2_model *model, size_t i, const char *text,
                                  size_t length)
{
    return vocabulary_find(&model->encoder.vocabularies[i], text, length);
}

float dcnv2_model_dense_value(const dcnv2_model *model, size_t i, double value)
{
    return encoder_scale(&model->encoder, (uint32_t)i, value);
}

int dcnv2_workspace_create(const dcnv2_model *model, dcnv2_workspace **ret_workspace,
                           struct dcnv2_error *error)
{
    struct dcnv2_workspace *workspace = malloc(sizeof *workspace);
    const size_t n_bytes = network_scratch_floats(&model->network) * sizeof(float);
    float *scratch = aligned_alloc(KERNEL_ALIGNMENT, n_bytes);
    if (workspace == NULL || scratch == NULL) {
        free(workspace);
        free(scratch);
        return fail(error, DCNV2_ERROR_MEMORY, NULL, "out of memory");
    }
    memset(scratch, 0, n_bytes);
    workspace->scratch = scratch;
    *ret_workspace = workspace;
    return DCNV2_OK;
}

void dcnv2_workspace_free(dcnv2_workspace *workspace)
{
    if (workspace)
        free(workspace->scratch);
    free(workspace);
}

int dcnv2_predict(const dcnv2_model *model, dcnv2_workspace *workspace, size_t n_rows,
                  const float *dense, const uint32_t *indices, float *scores,
                  struct dcnv2_error *error)
{
    const size_t n = network_score(&model->network, model->kernels, workspace->scratch, n_rows,
                                   dense, indices, scores);
    if (n < n_rows)
        return fail(error, DCNV2_ERROR_ARGUMENT, NULL,
                    "row %zu: its values are out of the range of the model", n + 1);
    return DCNV2_OK;
}
