/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "network/maker.h"
#include "network/published.h"

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

static struct text copy_name(struct arena *arena, struct text name)
{
    return (struct text){arena_copy_text(arena, name.at, name.length), name.length};
}

/* The columns of a pair, as published.h asks for them. */
static int make_columns(const struct reading *reading, struct arena *arena,
                        struct published_columns *ret_columns)
{
    struct published_category *categories =
        arena_calloc(arena, (size_t)reading->n_sparse + 1, sizeof *categories);
    struct published_number *numbers =
        arena_calloc(arena, (size_t)reading->n_dense + 1, sizeof *numbers);
    if (categories == NULL || numbers == NULL)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const uint32_t n = reading->columns[i].n_classes;
        const struct special_rows *special = &reading->columns[i].special;
        categories[i] = (struct published_category){.name = copy_name(arena, reading->names[i]),
                                                    .n_classes = n,
                                                    .unseen_row = special->unknown,
                                                    .missing_row = special->missing};
        if (categories[i].name.at == NULL)
            return model_error_memory(reading->error);
    }
    for (uint32_t i = 0; i < reading->n_dense; i++) {
        struct spec_step *steps = arena_calloc(arena, 1 + MAKER_SCALING_STEPS, sizeof *steps);
        numbers[i].name = copy_name(arena, reading->names[reading->n_sparse + i]);
        if (numbers[i].name.at == NULL || steps == NULL)
            return model_error_memory(reading->error);
        steps[0] = (struct spec_step){.kind = STEP_FILL, .a = 0}; /* pandas' fillna(0) */
        numbers[i].n_steps = 1 + maker_scaling_steps(steps + 1, &reading->scaling[i]);
        numbers[i].steps = steps;
    }
    *ret_columns =
        (struct published_columns){categories, reading->n_sparse, numbers, reading->n_dense};
    return DCNV2_OK;
}

static int make_spec(struct reading *reading, struct dcnv2_model *model)
{
    struct published_columns columns;
    struct format_error error;
    if (reading->is_described) {
        model->spec = reading->spec;
        return DCNV2_OK;
    }
    if (make_columns(reading, &model->arena, &columns) != DCNV2_OK)
        return reading->error->status;
    if (published_recognise(&model->spec, &model->arena, &reading->tensors, &columns, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->weights_path, &error);
    return DCNV2_OK;
}

/* Those of the file, or made of its classes: [n_sparse]. */
static int take_vocabularies(struct reading *reading, struct dcnv2_model *model,
                             struct vocabulary **ret_vocabularies)
{
    struct vocabulary *vocabularies =
        arena_calloc(&model->arena, (size_t)reading->n_sparse + 1, sizeof *vocabularies);
    if (vocabularies == NULL)
        return model_error_memory(reading->error);
    *ret_vocabularies = vocabularies;
    if (!reading->is_converted)
        return make_vocabularies(reading, &model->vocabulary_arena, vocabularies);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        vocabularies[i] = reading->columns[i].vocabulary;
    return DCNV2_OK;
}

static int make_encoder(struct reading *reading, struct dcnv2_model *model)
{
    struct vocabulary *vocabularies = NULL;
    struct format_error error;
    int status = take_vocabularies(reading, model, &vocabularies);
    if (status == DCNV2_OK && !reading->is_described)
        status = model_choose_unknown(reading, vocabularies, model);
    if (status == DCNV2_OK)
        status = make_spec(reading, model);
    if (status != DCNV2_OK)
        return status;
    if (encoder_init(&model->encoder, &model->arena, &model->spec, vocabularies,
                     reading->is_described ? CELLS_AS_WRITTEN : CELLS_AS_PANDAS, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->schema_path, &error);
    return DCNV2_OK;
}

/* Classes per vocabulary, which tell the rows that look-ups may give. */
static int check_rows(struct reading *reading, struct dcnv2_model *model)
{
    struct format_error error;
    uint32_t *sizes = arena_calloc(&reading->arena, (size_t)reading->n_sparse + 1, sizeof *sizes);
    if (sizes == NULL)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        sizes[i] = reading->columns[i].n_classes;
    if (spec_check_rows(&model->spec, sizes, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->weights_path, &error);
    return DCNV2_OK;
}

static int check_strict(struct reading *reading, const struct network_spec *spec)
{
    if (!reading->source->strict || spec->n_assumptions == 0)
        return DCNV2_OK;
    return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->weights_path,
                           "no file tells whether %.*s: %s does (docs/%s.md), or leave out "
                           "--strict",
                           TEXT_SHOWN(spec->assumptions[0]),
                           reading->is_fuxictr ? "FuxiCTR's model_config.yaml" : "a model.json",
                           reading->is_fuxictr ? "files" : "model-json");
}

static int make_network(struct reading *reading, struct dcnv2_model *model)
{
    const struct network_memory memory = {.in_place = reading->in_place,
                                          .most_bytes = reading->arena.limit_bytes};
    struct format_error error;
    struct arena *arena = &model->arena;
    if (spec_resolve(&model->spec, arena, &reading->tensors, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->weights_path, &error);
    if (check_rows(reading, model) != DCNV2_OK || check_strict(reading, &model->spec) != DCNV2_OK)
        return reading->error->status;
    if (network_load(&model->network, arena, &model->spec, &reading->tensors, &memory, &error) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->weights_path, &error);
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
    model->arena = reading->spec_arena; /* the spec goes with the model */
    arena_init(&reading->spec_arena, SIZE_MAX);
    arena_init(&model->vocabulary_arena, SIZE_MAX);
    int status = choose_kernels(model, reading->error);
    if (status == DCNV2_OK)
        status = make_encoder(reading, model);
    if (status == DCNV2_OK)
        status = make_network(reading, model);
    if (status == DCNV2_OK)
        status = golden_check(reading, model, &model->golden);
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
        *ret_bytes = (struct source_bytes){.model = reading.model_bytes,
                                           .encoder = reading.encoder_bytes,
                                           .is_described = reading.is_described,
                                           .is_lent = reading.in_place};
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
    return i < model->spec.n_vocabularies ? model->encoder.vocabularies[i].n : 0;
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

static void set_missing(float *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        numbers[i] = NAN;
}

int dcnv2_predict(const dcnv2_model *model, dcnv2_workspace *workspace, size_t n_rows,
                  const float *dense, const struct dcnv2_rows *lookups, float *scores,
                  struct dcnv2_error *error)
{
    return dcnv2_predict_logits(model, workspace, n_rows, dense, lookups, scores, NULL, error);
}

int dcnv2_predict_logits(const dcnv2_model *model, dcnv2_workspace *workspace, size_t n_rows,
                         const float *dense, const struct dcnv2_rows *lookups, float *scores,
                         float *logits, struct dcnv2_error *error)
{
    const struct network_batch batch = {n_rows, dense, lookups};
    const size_t n =
        network_score(&model->network, model->kernels, workspace->scratch, &batch, scores, logits);
    if (n == n_rows)
        return DCNV2_OK;
    set_missing(scores + n, n_rows - n);
    if (logits)
        set_missing(logits + n, n_rows - n);
    error->n_scored = n;
    return model_error_set(error, DCNV2_ERROR_ARGUMENT, NULL,
                           "row %zu: its values are out of the range of the model", n + 1);
}
