/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair.c: a model as it is trained: model_weights.pth, which may be safetensors, and
 * preprocess_metadata.pkl.
 */
#include "format/safetensors.h"
#include "format/sklearn_file.h"
#include "format/torch_file.h"
#include "model/reading.h"
#include "network/published.h"

/* The encoder of sparse column `i`; NULL: there is none. One without names has them in order. */
static const struct sklearn_encoder *find_encoder(const struct reading *reading,
                                                  const struct sklearn_file *sklearn, uint32_t i)
{
    const struct dcnv2_columns *wanted = &reading->source->sparse_columns;
    if (wanted->n == 0 || sklearn->encoders[0].column.at == NULL)
        return i < sklearn->n_encoders ? &sklearn->encoders[i] : NULL;
    for (uint32_t k = 0; k < sklearn->n_encoders; k++)
        if (text_is(sklearn->encoders[k].column, wanted->names[i]))
            return &sklearn->encoders[k];
    return NULL;
}

/* An encoder without names gives them to nobody, and its columns are all or none. */
static int check_unnamed(const struct reading *reading, const struct sklearn_file *sklearn)
{
    const size_t n = reading->source->sparse_columns.n;
    if (sklearn->n_encoders == 0 || sklearn->encoders[0].column.at || n == sklearn->n_encoders)
        return DCNV2_OK;
    return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                           "the OrdinalEncoder was fitted without column names: name its %u sparse "
                           "columns",
                           sklearn->n_encoders);
}

static int choose_sparse(struct reading *reading, const struct sklearn_file *sklearn)
{
    const struct dcnv2_columns *wanted = &reading->source->sparse_columns;
    if (check_unnamed(reading, sklearn) != DCNV2_OK)
        return reading->error->status;
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const struct sklearn_encoder *encoder = find_encoder(reading, sklearn, i);
        if (encoder == NULL)
            return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                                   "sparse column \"%.*s\" has no encoder",
                                   TEXT_SHOWN(text_of(wanted->names[i])));
        struct reading_column *column = &reading->columns[i];
        reading->names[i] = wanted->n ? text_of(wanted->names[i]) : encoder->column;
        column->classes = encoder->classes;
        column->n_classes = encoder->n_classes;
        column->special.unknown =
            encoder->unknown_row == SKLEARN_NO_ROW ? encoder->n_classes : encoder->unknown_row;
        column->special.missing =
            encoder->missing_row == SKLEARN_NO_ROW ? SPECIAL_ROW_NONE : encoder->missing_row;
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
    reading->scaling = sklearn->scaling;
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

/* The network's tensors, by the names that the network gives them itself. */
static int read_tensors(struct reading *reading)
{
    const struct file_bytes *bytes = &reading->model_bytes;
    const struct torch_choice choice = {.key = reading->source->state_dict_key,
                                        .allow_whole_model = reading->is_described};
    struct format_error reason;
    struct tensor_list *list = &reading->tensors;
    if (choice.key && safetensors_is(bytes->at, bytes->size))
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->weights_path,
                               "is safetensors, which holds one set of tensors: leave out "
                               "--state-dict-key");
    const int status =
        safetensors_is(bytes->at, bytes->size)
            ? safetensors_read_weights(list, &reading->arena, bytes->at, bytes->size, &reason)
            : torch_file_read(list, &reading->arena, bytes->at, bytes->size, &choice, &reason);
    if (status != 0)
        return model_error_from(reading->error, DCNV2_ERROR_FORMAT, reading->weights_path, &reason);
    tensor_list_take_off_prefix(list, reading->is_described ? spec_anchor(&reading->spec)
                                      : reading->is_fuxictr ? NULL
                                                            : "output.weight");
    return DCNV2_OK;
}

int pair_read(struct reading *reading, int encoder_status)
{
    const struct dcnv2_source *source = reading->source;
    struct sklearn_file sklearn;
    struct format_error reason;
    if (read_tensors(reading) != DCNV2_OK)
        return reading->error->status;
    if (reading->is_fuxictr)
        return fuxictr_take(reading);
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
