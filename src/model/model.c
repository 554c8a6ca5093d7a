/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <stdbool.h>
#include <stdlib.h>

struct dcnv2_workspace {
    float *scratch;
};

/* Of a file that holds no vocabularies: makes them of the classes, in one piece of memory. */
static int make_vocabularies(struct reading *reading, struct dcnv2_model *model)
{
    struct arena *arena = &model->vocabulary_arena;
    size_t size = 0;
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        size += vocabulary_bytes(reading->columns[i].classes, reading->columns[i].n_classes);
    if (size > reading->arena.limit_bytes)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "its columns have %zu MB of classes, far more than the file: they "
                               "share some",
                               size >> 20);
    if (arena_reserve(arena, size) != 0)
        return model_error_memory(reading->error);
    const struct hash_seed seed = hash_seed_random();
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const struct reading_column *column = &reading->columns[i];
        if (vocabulary_init(&model->encoder.vocabularies[i], &seed, arena, column->classes,
                            column->n_classes) != 0)
            return model_error_memory(reading->error);
    }
    return DCNV2_OK;
}

static int make_encoder(struct reading *reading, struct dcnv2_model *model)
{
    struct encoder *encoder = &model->encoder;
    const size_t n_dense = reading->n_dense;
    uint32_t twice;
    if (schema_init(&encoder->schema, &model->arena, reading->names, reading->n_sparse,
                    reading->n_dense, &twice) != 0) {
        if (twice == SCHEMA_NOT_FOUND)
            return model_error_memory(reading->error);
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "column \"%.*s\" is named twice", TEXT_SHOWN(reading->names[twice]));
    }
    encoder->scaling = arena_calloc(&model->arena, n_dense + 1, sizeof *encoder->scaling);
    encoder->special =
        arena_calloc(&model->arena, (size_t)reading->n_sparse + 1, sizeof *encoder->special);
    encoder->vocabularies =
        arena_calloc(&model->arena, (size_t)reading->n_sparse + 1, sizeof *encoder->vocabularies);
    if (!encoder->scaling || !encoder->special || !encoder->vocabularies)
        return model_error_memory(reading->error);
    if (n_dense)
        memcpy(encoder->scaling, reading->scaling, n_dense * sizeof *encoder->scaling);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        encoder->special[i] = reading->columns[i].special;
    if (!reading->is_converted)
        return make_vocabularies(reading, model);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        encoder->vocabularies[i] = reading->columns[i].vocabulary;
    return DCNV2_OK;
}

static int make_network(struct reading *reading, struct dcnv2_model *model)
{
    const size_t n = (size_t)reading->n_sparse + 1;
    uint32_t *sizes = arena_calloc(&reading->arena, n, sizeof *sizes);
    uint64_t *needed = arena_calloc(&reading->arena, n, sizeof *needed);
    if (sizes == NULL || needed == NULL)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        sizes[i] = reading->columns[i].n_classes;
        needed[i] = reading_rows_needed(&reading->columns[i]);
    }
    const struct network_inputs inputs = {.n_dense = reading->n_dense,
                                          .n_sparse = reading->n_sparse,
                                          .sparse_names = reading->names,
                                          .vocabulary_sizes = sizes,
                                          .rows_needed = needed,
                                          .in_place = reading->in_place,
                                          .most_bytes = reading->arena.limit_bytes};
    struct format_error error;
    if (network_load(&model->network, &model->arena, &reading->tensors, &inputs, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->source->model_path,
                                &error);
    return DCNV2_OK;
}

static int choose_kernels(struct dcnv2_model *model, struct dcnv2_error *error)
{
    const char *wanted = getenv("DCNV2_CPU");
    model->kernels = kernels_select(wanted);
    if (model->kernels == NULL)
        return model_error_set(error, DCNV2_ERROR_ARGUMENT, NULL,
                               "DCNV2_CPU=%.40s: unknown, or this CPU does not have it; unset it "
                               "to choose the fastest",
                               wanted);
    return DCNV2_OK;
}

int model_make(struct reading *reading, dcnv2_model **ret_model)
{
    struct dcnv2_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return model_error_memory(reading->error);
    arena_init(&model->arena, SIZE_MAX);
    arena_init(&model->vocabulary_arena, SIZE_MAX);
    int status = choose_kernels(model, reading->error);
    if (status == DCNV2_OK)
        status = make_encoder(reading, model);
    if (status == DCNV2_OK)
        status = model_choose_unknown(reading, model);
    if (status == DCNV2_OK)
        status = make_network(reading, model);
    if (status != DCNV2_OK) {
        dcnv2_model_free(model);
        return status;
    }
    *ret_model = model;
    return DCNV2_OK;
}

int model_load_with_bytes(const struct dcnv2_source *source, dcnv2_model **ret_model,
                          struct source_bytes *ret_bytes, struct dcnv2_error *error)
{
    struct reading reading;
    int status = reading_open(&reading, source, error);
    if (status == DCNV2_OK)
        status = model_make(&reading, ret_model);
    if (status == DCNV2_OK) {
        *ret_bytes =
            (struct source_bytes){reading.model_bytes, reading.encoder_bytes, reading.in_place};
        if (reading.in_place)
            (*ret_model)->file = reading.model_bytes;
        reading.model_bytes = reading.encoder_bytes = (struct file_bytes){0};
    }
    reading_close(&reading);
    return status;
}

void source_bytes_free(struct source_bytes *bytes)
{
    if (!bytes->is_lent)
        file_free(&bytes->model);
    file_free(&bytes->encoder);
    *bytes = (struct source_bytes){0};
}

int dcnv2_model_load(const struct dcnv2_source *source, dcnv2_model **ret_model,
                     struct dcnv2_error *error)
{
    struct source_bytes bytes;
    const int status = model_load_with_bytes(source, ret_model, &bytes, error);
    if (status == DCNV2_OK)
        source_bytes_free(&bytes);
    return status;
}

void dcnv2_model_free(dcnv2_model *model)
{
    if (model == NULL)
        return;
    network_free(&model->network);
    file_free(&model->file);
    arena_free(&model->vocabulary_arena);
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
    const struct vocabulary *vocabulary = &model->encoder.vocabularies[i];
    const uint32_t found = vocabulary_find(vocabulary, text, length);
    return found == vocabulary->n ? model->encoder.special[i].unknown : found;
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
        return model_error_memory(error);
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
        return model_error_set(error, DCNV2_ERROR_ARGUMENT, NULL,
                               "row %zu: its values are out of the range of the model", n + 1);
    return DCNV2_OK;
}
