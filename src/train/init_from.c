/* SPDX-License-Identifier: Apache-2.0 */
#include "train/init_from.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/model.h"
#include "network/kinds.h"
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

/* ---- the shape ---- */

static int refuse(const struct initial_model *initial, const char *reason,
                  struct train_error *error)
{
    return train_error_set(error, "%s: %s: training cannot go on from it",
                           initial->source.model_path, reason);
}

static int read_tables(struct initial_model *initial, struct train_error *error)
{
    const struct network_spec *spec = &initial->model->spec;
    const struct spec_input *tables = spec->layers[0].parts + spec->n_values;
    struct network_shape *shape = &initial->shape;
    uint32_t *n_rows = arena_calloc(&initial->encoder.arena, shape->n_sparse + 1u, sizeof *n_rows);
    if (n_rows == NULL)
        return train_error_memory(error);
    for (uint32_t i = 0; i < shape->n_sparse; i++) {
        if (tables[i].width != tables[0].width)
            return refuse(initial, "its embedding tables are of different width", error);
        n_rows[i] = initial->encoder.sparse[i].n_classes + 1;
    }
    shape->embedding = shape->n_sparse ? tables[0].width : 0;
    shape->n_rows = n_rows;
    return 0;
}

static int read_layer(struct initial_model *initial, const struct spec_layer *layer,
                      struct train_error *error)
{
    struct network_shape *shape = &initial->shape;
    if (shape->n_deep == SHAPE_MAX_LAYERS || shape->n_cross == SHAPE_MAX_LAYERS)
        return refuse(initial, "it has too many layers", error);
    if (layer->kind == LAYER_LINEAR)
        shape->deep[shape->n_deep++] = layer->n_out;
    if (!layer_kinds[layer->kind].is_cross)
        return 0;
    const enum cross_kind kind = layer->kind == LAYER_CROSS_FULL ? CROSS_FULL : CROSS_LAYER_NORM;
    if (shape->n_cross++ && shape->cross != kind)
        return refuse(initial, "it has cross layers of both kinds", error);
    shape->cross = kind;
    return 0;
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
static int read_shape(struct initial_model *initial, struct train_error *error)
{
    const struct network_spec *spec = &initial->model->spec;
    struct network_shape *shape = &initial->shape;
    *shape = (struct network_shape){.n_dense = initial->encoder.n_dense,
                                    .n_sparse = initial->encoder.n_sparse,
                                    .cross = CROSS_LAYER_NORM};
    if (initial->reading.is_described || !is_encoder_plain(&initial->reading))
        return refuse(initial,
                      "its encoder is not a StandardScaler with one row for all unknown values",
                      error);
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (read_layer(initial, &spec->layers[i], error) != 0)
            return -1;
    if (shape->n_deep == 0 && spec->layers[spec->n_layers - 1].n_inputs > 1)
        return refuse(initial, "its output looks at x0 itself", error);
    return read_tables(initial, error);
}

void initial_model_copy(const struct initial_model *initial, struct parameters *ret_values)
{
    for (size_t i = 0; i < ret_values->n; i++) {
        struct parameter *parameter = &ret_values->all[i];
        struct tensor rows = *tensor_find(&initial->reading.tensors, parameter->name);
        rows.sizes[0] = parameter->sizes[0]; /* of a table perhaps fewer than there are */
        rows.n_elements = parameter->n_elements;
        tensor_copy_f32(&rows, parameter->values);
    }
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
    return status == 0 ? read_shape(initial, error) : status;
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
