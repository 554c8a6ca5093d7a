/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "network/published.h"

enum { N_SCALER_STEPS = 3 };

struct dcnv2_workspace {
    float *scratch;
};

/* Of a file that holds no vocabularies: makes them of the classes, in one piece of memory. */
static int make_vocabularies(struct reading *reading, struct arena *arena,
                             struct vocabulary *vocabularies)
{
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
        if (vocabulary_init(&vocabularies[i], &seed, arena, column->classes, column->n_classes) !=
            0)
            return model_error_memory(reading->error);
    }
    return DCNV2_OK;
}

/* Columns, values and look-ups of a pair. -1: out of memory. */
static int describe_columns(const struct reading *reading, struct arena *arena,
                            struct network_spec *spec)
{
    const uint32_t n_sparse = reading->n_sparse, n_dense = reading->n_dense;
    *spec = (struct network_spec){.n_columns = n_sparse + n_dense,
                                  .n_categories = n_sparse,
                                  .n_values = n_dense,
                                  .n_lookups = n_sparse,
                                  .n_vocabularies = n_sparse};
    spec->columns = arena_calloc(arena, (size_t)spec->n_columns + 1, sizeof *spec->columns);
    spec->values = arena_calloc(arena, (size_t)n_dense + 1, sizeof *spec->values);
    spec->lookups = arena_calloc(arena, (size_t)n_sparse + 1, sizeof *spec->lookups);
    struct spec_step *steps = arena_calloc(arena, 3 * (size_t)n_dense + 1, sizeof *steps);
    if (!spec->columns || !spec->values || !spec->lookups || !steps)
        return -1;
    for (uint32_t c = 0; c < spec->n_columns; c++)
        spec->columns[c] =
            (struct spec_column){.name = reading->names[c], .is_number = c >= n_sparse};
    for (uint32_t i = 0; i < n_sparse; i++)
        spec->lookups[i] = (struct spec_lookup){.column = i,
                                                .kind = LOOKUP_VOCABULARY,
                                                .vocabulary = i,
                                                .unseen_row = reading->columns[i].n_classes,
                                                .missing_row = reading->columns[i].n_classes};
    for (uint32_t i = 0; i < n_dense; i++, steps += 3) {
        steps[0] = (struct spec_step){.kind = STEP_FILL, .a = 0};
        steps[1] = (struct spec_step){.kind = STEP_SUBTRACT, .a = reading->mean[i]};
        steps[2] = (struct spec_step){.kind = STEP_DIVIDE, .a = reading->scale[i]};
        spec->values[i] = (struct spec_value){n_sparse + i, steps, 3};
    }
    return 0;
}

static int make_encoder(struct reading *reading, struct dcnv2_model *model)
{
    struct arena *arena = &model->arena;
    struct vocabulary *vocabularies =
        arena_calloc(arena, (size_t)reading->n_sparse + 1, sizeof *vocabularies);
    struct network_spec *spec = arena_calloc(arena, 1, sizeof *spec);
    struct format_error error;
    if (vocabularies == NULL || spec == NULL || describe_columns(reading, arena, spec) != 0)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        vocabularies[i] = reading->columns[i].vocabulary;
    if (!reading->is_converted) {
        const int status = make_vocabularies(reading, &model->vocabulary_arena, vocabularies);
        if (status != DCNV2_OK)
            return status;
    }
    if (encoder_init(&model->encoder, arena, spec, vocabularies, CELLS_AS_PANDAS, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->schema_path, &error);
    return DCNV2_OK;
}

/* What the scaler does: pandas' fillna(0), then StandardScaler.transform. */
static const struct spec_step *make_steps(struct arena *arena, double mean, double scale)
{
    struct spec_step *steps = arena_calloc(arena, N_SCALER_STEPS, sizeof *steps);
    if (steps == NULL)
        return NULL;
    steps[0] = (struct spec_step){.kind = STEP_FILL, .a = 0};
    steps[1] = (struct spec_step){.kind = STEP_SUBTRACT, .a = mean};
    steps[2] = (struct spec_step){.kind = STEP_DIVIDE, .a = scale};
    return steps;
}

/* The columns of a reading, as published.h asks for them. */
static int make_columns(const struct reading *reading, struct dcnv2_model *model,
                        struct published_columns *ret_columns)
{
    struct arena *arena = &model->arena;
    const struct text *names = model->encoder.schema.names;
    struct published_category *categories =
        arena_calloc(arena, (size_t)reading->n_sparse + 1, sizeof *categories);
    struct published_number *numbers =
        arena_calloc(arena, (size_t)reading->n_dense + 1, sizeof *numbers);
    if (categories == NULL || numbers == NULL)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const uint32_t n = reading->columns[i].n_classes;
        categories[i] = (struct published_category){
            .name = names[i], .n_classes = n, .unseen_row = n, .missing_row = n};
    }
    for (uint32_t i = 0; i < reading->n_dense; i++) {
        numbers[i] = (struct published_number){
            .name = names[reading->n_sparse + i],
            .steps = make_steps(arena, reading->mean[i], reading->scale[i]),
            .n_steps = N_SCALER_STEPS};
        if (numbers[i].steps == NULL)
            return model_error_memory(reading->error);
    }
    *ret_columns =
        (struct published_columns){categories, reading->n_sparse, numbers, reading->n_dense};
    return DCNV2_OK;
}

static int make_network(struct reading *reading, struct dcnv2_model *model)
{
    struct published_columns columns;
    const struct network_memory memory = {.in_place = reading->in_place,
                                          .most_bytes = reading->arena.limit_bytes};
    struct format_error error;
    struct arena *arena = &model->arena;
    if (make_columns(reading, model, &columns) != DCNV2_OK)
        return reading->error->status;
    if (published_recognise(&model->spec, arena, &reading->tensors, &columns, &error) != 0 ||
        spec_resolve(&model->spec, arena, &reading->tensors, &error) != 0 ||
        network_load(&model->network, arena, &model->spec, &reading->tensors, &memory, &error) != 0)
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
    return vocabulary_find(&model->encoder.vocabularies[i], text, length);
}

float dcnv2_model_dense_value(const dcnv2_model *model, size_t i, double value)
{
    return encoder_value(&model->encoder, (uint32_t)i, value);
}

int dcnv2_workspace_create(const dcnv2_model *model, dcnv2_workspace **ret_workspace,
                           struct dcnv2_error *error)
{
    struct dcnv2_workspace *workspace = malloc(sizeof *workspace);
    const size_t n_bytes = model->network.scratch_floats * sizeof(float);
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
                  const float *dense, const struct dcnv2_rows *lookups, float *scores,
                  struct dcnv2_error *error)
{
    const struct network_batch batch = {n_rows, dense, lookups};
    const size_t n = network_score(&model->network, model->kernels, workspace->scratch, &batch,
                                   NETWORK_PROBABILITY, scores);
    if (n == n_rows)
        return DCNV2_OK;
    for (size_t row = n; row < n_rows; row++)
        scores[row] = NAN;
    error->n_scored = n;
    return model_error_set(error, DCNV2_ERROR_ARGUMENT, NULL,
                           "row %zu: its values are out of the range of the model", n + 1);
}
