/* SPDX-License-Identifier: Apache-2.0 */
#include "train/init_from.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/model.h"
#include "train/model_files.h"

/* ---- the encoder ---- */

static const char *copy_name(struct arena *arena, struct text name)
{
    return arena_copy_text(arena, name.at, name.length);
}

static int copy_names(struct initial_model *initial, struct train_error *error)
{
    struct fitted_encoder *encoder = &initial->encoder;
    const struct reading *reading = &initial->reading;
    struct arena *arena = &encoder->arena;
    const char **sparse = arena_calloc(arena, reading->n_sparse + 1u, sizeof *sparse);
    const char **dense = arena_calloc(arena, reading->n_dense + 1u, sizeof *dense);
    if (sparse == NULL || dense == NULL)
        return train_error_memory(error);
    for (uint32_t i = 0; i < reading->n_sparse + reading->n_dense; i++) {
        const char *name = copy_name(arena, reading->names[i]);
        if (name == NULL)
            return train_error_memory(error);
        if (i < reading->n_sparse)
            sparse[i] = name;
        else
            dense[i - reading->n_sparse] = name;
    }
    initial->sparse_names = sparse;
    encoder->dense = dense;
    return 0;
}

static int copy_column(struct initial_model *initial, uint32_t i, struct train_error *error)
{
    const struct reading_column *from = &initial->reading.columns[i];
    struct fitted_column *column = &initial->encoder.sparse[i];
    column->name = initial->sparse_names[i];
    column->n_classes = from->n_classes;
    column->special = &from->special;
    column->classes =
        arena_calloc(&initial->encoder.arena, from->n_classes + 1u, sizeof *column->classes);
    if (column->classes == NULL)
        return train_error_memory(error);
    for (uint32_t k = 0; k < from->n_classes; k++)
        column->classes[k] = reading_class(from, k);
    return 0;
}

static int make_encoder(struct initial_model *initial, struct train_error *error)
{
    struct fitted_encoder *encoder = &initial->encoder;
    const struct reading *reading = &initial->reading;
    const uint32_t n_dense = reading->n_dense;
    encoder->n_sparse = reading->n_sparse;
    encoder->n_dense = n_dense;
    encoder->sparse =
        arena_calloc(&encoder->arena, reading->n_sparse + 1u, sizeof *encoder->sparse);
    double *numbers = arena_calloc(&encoder->arena, 3 * ((size_t)n_dense + 1), sizeof *numbers);
    if (encoder->sparse == NULL || numbers == NULL)
        return train_error_memory(error);
    encoder->mean = numbers;
    encoder->var = numbers + n_dense;
    encoder->scale = numbers + 2 * (size_t)n_dense;
    for (uint32_t i = 0; i < n_dense; i++) {
        encoder->mean[i] = reading->scaling[i].mean;
        encoder->scale[i] = reading->scaling[i].scale;
        encoder->var[i] = encoder->scale[i] * encoder->scale[i];
    }
    encoder->scaling = reading->scaling;
    int status = copy_names(initial, error);
    for (uint32_t i = 0; i < encoder->n_sparse && status == 0; i++)
        status = copy_column(initial, i, error);
    return status;
}

/* ---- the network ---- */

static int refuse(const struct initial_model *initial, const char *reason,
                  struct train_error *error)
{
    return train_error_set(error, "%s: %s: training cannot go on from it",
                           initial->source.model_path, reason);
}

/* What the trainer fits: a StandardScaler, and one row behind the classes for all other values. */
static bool is_encoder_plain(const struct reading *reading)
{
    for (uint32_t i = 0; i < reading->n_dense; i++)
        if (!scaling_is_standard(&reading->scaling[i]))
            return false;
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        if (reading->columns[i].special.unknown != reading->columns[i].n_classes ||
            reading->columns[i].special.missing != SPECIAL_ROW_NONE)
            return false;
    return true;
}

/* model_make() has found that the tensors are a network's and what it is made of. */
static int read_sizes(struct initial_model *initial, struct train_error *error)
{
    if (initial->reading.is_described || !is_encoder_plain(&initial->reading))
        return refuse(initial,
                      "its encoder is not a StandardScaler with one row for all unknown values",
                      error);
    const char *reason = published_measure(&initial->model->spec, &initial->sizes);
    return reason ? refuse(initial, reason, error) : 0;
}

/* Both specs list their parameters in the same order. The names may differ: a file counts the
 * layers without tensors that lie between its deep ones. */
int initial_model_copy(const struct initial_model *initial, struct parameters *ret_values,
                       struct train_error *error)
{
    struct arena arena;
    const struct spec_parameter *own;
    uint32_t n;
    arena_init(&arena, SIZE_MAX);
    int status = spec_parameters(&initial->model->spec, &arena, &own, &n);
    for (uint32_t i = 0; status == 0 && i < n; i++) {
        struct parameter *parameter = &ret_values->all[i];
        struct tensor rows = *tensor_find(&initial->reading.tensors, own[i].name);
        rows.sizes[0] = parameter->sizes[0];
        rows.n_elements = parameter->n_elements;
        tensor_copy_f32(&rows, parameter->values);
    }
    arena_free(&arena);
    return status == 0 ? 0 : train_error_memory(error);
}

/* ---- files ---- */

int initial_model_open(struct initial_model *initial, const struct dcnv2_source *source,
                       struct train_error *error)
{
    *initial = (struct initial_model){.source = *source};
    arena_init(&initial->encoder.arena, SIZE_MAX);
    int status = reading_open(&initial->reading, &initial->source, &initial->reason);
    if (status == DCNV2_OK)
        status = model_make(&initial->reading, &initial->model);
    if (status != DCNV2_OK)
        return train_error_set(error, "%s", initial->reason.message);
    initial->label = initial->reading.label;
    return make_encoder(initial, error);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* "FOLDER/NAME"; NULL: out of memory. */
static char *path_in(const char *folder, size_t folder_length, const char *name)
{
    char *path;
    return asprintf(&path, "%.*s/%s", (int)folder_length, folder, name) < 0 ? NULL : path;
}

int initial_model_read(struct initial_model *initial, const char *path, struct train_error *error)
{
    const char *slash = strrchr(path, '/');
    const bool is_whole = is_folder(path);
    char *model = is_whole ? path_in(path, strlen(path), MODEL_FILES_WEIGHTS) : strdup(path);
    char *encoder = is_whole ? path_in(path, strlen(path), MODEL_FILES_ENCODER)
                    : slash  ? path_in(path, (size_t)(slash - path), MODEL_FILES_ENCODER)
                             : strdup(MODEL_FILES_ENCODER);
    int status;
    if (model && encoder) {
        const struct dcnv2_source source = {.model_path = model, .encoder_path = encoder};
        status = initial_model_open(initial, &source, error);
    } else {
        *initial = (struct initial_model){0};
        status = train_error_memory(error);
    }
    initial->paths[0] = model;
    initial->paths[1] = encoder;
    return status == 0 ? read_sizes(initial, error) : status;
}

void initial_model_free(struct initial_model *initial)
{
    dcnv2_model_free(initial->model);
    reading_close(&initial->reading);
    arena_free(&initial->encoder.arena);
    free(initial->paths[0]);
    free(initial->paths[1]);
    *initial = (struct initial_model){0};
}
