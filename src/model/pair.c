/* SPDX-License-Identifier: Apache-2.0 */
/* pair.c: a model as it is trained: model_weights.pth and preprocess_metadata.pkl. */
#include "format/sklearn_file.h"
#include "format/torch_file.h"
#include "model/reading.h"
#include "network/published.h"

static const struct sklearn_encoder *find_encoder(const struct sklearn_file *sklearn,
                                                  struct text column)
{
    for (uint32_t i = 0; i < sklearn->n_encoders; i++)
        if (text_equal(sklearn->encoders[i].column, column))
            return &sklearn->encoders[i];
    return NULL;
}

static int choose_sparse(struct reading *reading, const struct sklearn_file *sklearn)
{
    const struct dcnv2_columns *wanted = &reading->source->sparse_columns;
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const struct sklearn_encoder *encoder =
            wanted->n ? find_encoder(sklearn, text_of(wanted->names[i])) : &sklearn->encoders[i];
        if (encoder == NULL)
            return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                                   "sparse column \"%.*s\" has no encoder",
                                   TEXT_SHOWN(text_of(wanted->names[i])));
        reading->names[i] = encoder->column;
        reading->columns[i].classes = encoder->classes;
        reading->columns[i].n_classes = encoder->n_classes;
    }
    return DCNV2_OK;
}

static int choose_dense(struct reading *reading, const struct sklearn_file *sklearn)
{
    const struct dcnv2_columns *wanted = &reading->source->dense_columns;
    const char *path = reading->schema_path;
    struct text *names = reading->names + reading->n_sparse;
    if (wanted->n == 0 && sklearn->n_dense > 0 && sklearn->dense_names == NULL)
        return model_error_set(
            reading->error, DCNV2_ERROR_MODEL, path,
            "the scaler was fitted without column names: name its %u dense columns",
            sklearn->n_dense);
    if (wanted->n && wanted->n != sklearn->n_dense)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, path,
                               "the scaler was fitted on %u dense columns; %zu are named",
                               sklearn->n_dense, wanted->n);
    for (uint32_t i = 0; i < reading->n_dense; i++) {
        names[i] = wanted->n ? text_of(wanted->names[i]) : sklearn->dense_names[i];
        if (sklearn->dense_names && !text_equal(names[i], sklearn->dense_names[i]))
            return model_error_set(
                reading->error, DCNV2_ERROR_MODEL, path,
                "dense column %u is \"%.*s\"; the scaler was fitted on \"%.*s\" there", i + 1,
                TEXT_SHOWN(names[i]), TEXT_SHOWN(sklearn->dense_names[i]));
    }
    reading->mean = sklearn->mean;
    reading->scale = sklearn->scale;
    return DCNV2_OK;
}

/* The file's bytes are worth keeping for its tables where there is little else in them. */
static bool tables_fill_file(const struct reading *reading)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < reading->tensors.n_tensors; i++) {
        const struct tensor *tensor = &reading->tensors.tensors[i];
        if (published_is_table(tensor->name) && tensor->dtype == TENSOR_F32 &&
            tensor_is_contiguous(tensor))
            n_bytes += tensor->n_elements * sizeof(float);
    }
    return n_bytes >= reading->model_bytes.size / 4 * 3;
}

int pair_read(struct reading *reading, int encoder_status)
{
    const struct dcnv2_source *source = reading->source;
    struct sklearn_file sklearn;
    struct format_error reason;
    if (torch_file_read(&reading->tensors, &reading->arena, reading->model_bytes.at,
                        reading->model_bytes.size, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_FORMAT, reading->weights_path, &reason);
    reading->in_place = tables_fill_file(reading);
    if (encoder_status != DCNV2_OK || reading->is_described)
        return encoder_status;
    if (sklearn_file_read(&sklearn, &reading->arena, reading->encoder_bytes.at,
                          reading->encoder_bytes.size, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_FORMAT, source->encoder_path, &reason);
    reading->schema_path = source->encoder_path;
    int status = reading_make_room(
        reading, source->sparse_columns.n ? source->sparse_columns.n : sklearn.n_encoders,
        sklearn.n_dense);
    if (status == DCNV2_OK)
        status = choose_sparse(reading, &sklearn);
    return status == DCNV2_OK ? choose_dense(reading, &sklearn) : status;
}
