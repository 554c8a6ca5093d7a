/* SPDX-License-Identifier: Apache-2.0 */
/*
 * converted.c: the file that dcnv2-convert writes (its layout: convert.h), read.
 *
 * Its tables are used where they lie, so that whatever a look-up follows is checked here:
 * nothing leads outside them, whoever wrote the file.
 */
#include <stdio.h>

#include "format/safetensors.h"
#include "model/convert.h"
#include "model/reading.h"

enum { NAME_MAX_LENGTH = 64 };

#define FAIL(reading, ...)                                                                         \
    model_error_set((reading)->error, DCNV2_ERROR_MODEL, (reading)->source->model_path, __VA_ARGS__)

/* What the caller names must be what the file holds, in its order. */
static int compare_columns(struct reading *reading, const char *kind,
                           const struct dcnv2_columns *wanted, const struct text *names, uint32_t n)
{
    if (wanted->n && wanted->n != n)
        return FAIL(reading, "has %u %s columns; %zu are named", n, kind, wanted->n);
    for (uint32_t i = 0; i < wanted->n; i++)
        if (!text_is(names[i], wanted->names[i]))
            return FAIL(reading, "%s column %u is \"%.*s\"; \"%.64s\" is named there", kind, i + 1,
                        TEXT_SHOWN(names[i]), wanted->names[i]);
    return DCNV2_OK;
}

/* An array of the metadata with a number per column. */
static int read_numbers(struct reading *reading, const struct safetensors_metadata *metadata,
                        const char *key, uint32_t n, double **ret_numbers)
{
    struct format_error reason;
    uint32_t n_found;
    if (safetensors_numbers(metadata, key, &reading->arena, ret_numbers, &n_found, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->schema_path, &reason);
    if (n_found != n)
        return FAIL(reading, "metadata \"%s\" has %u numbers; %u are expected", key, n_found, n);
    return DCNV2_OK;
}

/* Factor, shift and clip, if the file has them. */
static int read_steps(struct reading *reading, const struct safetensors_metadata *metadata,
                      struct scaling *scaling, uint32_t n_dense)
{
    double *factor, *shift, *clip;
    if (safetensors_find(metadata, CONVERTED_FACTOR) == NULL)
        return DCNV2_OK;
    int status = read_numbers(reading, metadata, CONVERTED_FACTOR, n_dense, &factor);
    if (status == DCNV2_OK)
        status = read_numbers(reading, metadata, CONVERTED_SHIFT, n_dense, &shift);
    for (uint32_t i = 0; i < n_dense && status == DCNV2_OK; i++) {
        scaling[i].factor = factor[i];
        scaling[i].shift = shift[i];
    }
    if (status != DCNV2_OK || safetensors_find(metadata, CONVERTED_CLIP) == NULL)
        return status;
    status = read_numbers(reading, metadata, CONVERTED_CLIP, 2, &clip);
    for (uint32_t i = 0; i < n_dense && status == DCNV2_OK; i++) {
        scaling[i].low = clip[0];
        scaling[i].high = clip[1];
    }
    return status;
}

static int read_scaling(struct reading *reading, const struct safetensors_metadata *metadata,
                        uint32_t n_dense)
{
    double *mean, *scale;
    uint32_t n_mean, n_scale;
    struct format_error reason;
    struct arena *arena = &reading->arena;
    if (safetensors_numbers(metadata, CONVERTED_MEAN, arena, &mean, &n_mean, &reason) != 0 ||
        safetensors_numbers(metadata, CONVERTED_SCALE, arena, &scale, &n_scale, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->schema_path, &reason);
    if (n_mean != n_dense || n_scale != n_dense)
        return FAIL(reading, "has %u dense columns, %u means and %u scales", n_dense, n_mean,
                    n_scale);
    struct scaling *scaling = arena_calloc(arena, (size_t)n_dense + 1, sizeof *scaling);
    if (scaling == NULL)
        return model_error_memory(reading->error);
    for (uint32_t i = 0; i < n_dense; i++) {
        if (scale[i] == 0)
            return FAIL(reading, "the scale of dense column %u is 0", i + 1);
        scaling[i] = SCALING_NONE;
        scaling[i].mean = mean[i];
        scaling[i].scale = scale[i];
    }
    reading->scaling = scaling;
    return read_steps(reading, metadata, scaling, n_dense);
}

/* The description of a model that came with a model.json. */
static int read_description(struct reading *reading, const char *json)
{
    struct spec_vocabularies vocabularies;
    struct format_error reason;
    const size_t length = strlen(json);
    const struct text copy = {arena_copy_text(&reading->spec_arena, json, length), length};
    if (copy.at == NULL)
        return model_error_memory(reading->error);
    if (spec_json_read(&reading->spec, &vocabularies, &reading->spec_arena, copy, NULL, &reason) !=
        0)
        return FAIL(reading, "metadata \"" CONVERTED_MODEL "\": %s", reason.message);
    return described_take(reading, &vocabularies);
}

static int read_schema(struct reading *reading, const struct safetensors_metadata *metadata)
{
    struct arena *arena = &reading->arena;
    struct text *sparse, *dense;
    uint32_t n_sparse, n_dense;
    struct format_error reason;
    reading->label = safetensors_find(metadata, CONVERTED_LABEL);
    const char *golden = safetensors_find(metadata, CONVERTED_GOLDEN);
    if (golden) {
        reading->golden = text_of(golden);
        reading->golden_path = reading->schema_path;
    }
    const char *description = safetensors_find(metadata, CONVERTED_MODEL);
    if (description)
        return read_description(reading, description);
    if (safetensors_find(metadata, CONVERTED_SPARSE) == NULL)
        return FAIL(reading,
                    "holds no model: its metadata have no \"" CONVERTED_SPARSE
                    "\"; if it is a checkpoint of dcnv2-train, use model.safetensors beside it");
    if (safetensors_texts(metadata, CONVERTED_SPARSE, arena, &sparse, &n_sparse, &reason) != 0 ||
        safetensors_texts(metadata, CONVERTED_DENSE, arena, &dense, &n_dense, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->schema_path, &reason);
    if (read_scaling(reading, metadata, n_dense) != DCNV2_OK)
        return reading->error->status;
    const struct dcnv2_source *source = reading->source;
    int status = reading_make_room(reading, n_sparse, n_dense);
    if (status == DCNV2_OK)
        status = compare_columns(reading, "sparse", &source->sparse_columns, sparse, n_sparse);
    if (status == DCNV2_OK)
        status = compare_columns(reading, "dense", &source->dense_columns, dense, n_dense);
    if (status == DCNV2_OK && n_sparse)
        memcpy(reading->names, sparse, n_sparse * sizeof *sparse);
    if (status == DCNV2_OK && n_dense)
        memcpy(reading->names + n_sparse, dense, n_dense * sizeof *dense);
    return status;
}

/* ---- vocabularies ---- */

static const struct tensor *find_part(const struct tensor_list *list, size_t column,
                                      const char *part)
{
    char name[NAME_MAX_LENGTH];
    snprintf(name, sizeof name, CONVERTED_VOCABULARY "%zu.%s", column, part);
    return tensor_find(list, name);
}

static int read_part(struct reading *reading, const struct tensor_list *list, uint32_t column,
                     const char *part, enum tensor_dtype dtype, unsigned n_dims,
                     const struct tensor **ret_tensor)
{
    *ret_tensor = find_part(list, column, part);
    if (*ret_tensor && (*ret_tensor)->dtype == dtype && (*ret_tensor)->n_dims == n_dims &&
        (n_dims == 1 || (*ret_tensor)->sizes[1] == 2))
        return DCNV2_OK;
    return FAIL(reading,
                "tensor \"" CONVERTED_VOCABULARY "%u.%s\" of dtype %s and %u dimensions %s", column,
                part, tensor_dtype_name(dtype), n_dims,
                *ret_tensor ? "is another one" : "is missing");
}

/* Offsets increase from 0 to the number of bytes. */
static bool are_offsets(const uint32_t *offsets, uint64_t n, uint64_t texts_size)
{
    uint32_t n_decreasing = 0;
    for (uint64_t i = 0; i < n; i++)
        n_decreasing += offsets[i] > offsets[i + 1];
    return offsets[0] == 0 && n_decreasing == 0 && offsets[n] == texts_size;
}

/* Of the hash tables. */
static int read_seed(struct reading *reading, const struct safetensors *file,
                     struct hash_seed *ret_seed)
{
    *ret_seed = hash_seed_fixed;
    if (file->version < 2)
        return DCNV2_OK;
    const char *digits = safetensors_find(&file->metadata, CONVERTED_SEED);
    if (digits && hash_seed_parse(digits, ret_seed))
        return DCNV2_OK;
    return FAIL(reading, "metadata \"" CONVERTED_SEED "\" is not %d hexadecimal digits",
                HASH_SEED_DIGITS);
}

static int read_vocabulary(struct reading *reading, const struct tensor_list *list,
                           const struct hash_seed *seed, uint32_t i)
{
    const struct tensor *texts, *offsets, *slots;
    if (read_part(reading, list, i, CONVERTED_TEXT, TENSOR_U8, 1, &texts) != DCNV2_OK ||
        read_part(reading, list, i, CONVERTED_OFFSETS, TENSOR_U32, 1, &offsets) != DCNV2_OK ||
        read_part(reading, list, i, CONVERTED_SLOTS, TENSOR_U64, 2, &slots) != DCNV2_OK)
        return reading->error->status;
    struct reading_column *column = &reading->columns[i];
    const uint64_t n = offsets->n_elements - 1;
    column->offsets = (const uint32_t *)(const void *)offsets->data;
    if (offsets->n_elements == 0 || n >= UINT32_MAX ||
        !are_offsets(column->offsets, n, texts->n_elements))
        return FAIL(reading, "tensor \"%.*s\" does not lead through the texts",
                    TEXT_SHOWN(offsets->name));
    if (reading->is_described && column->n_classes != n)
        return FAIL(reading,
                    "has %u classes of \"%.*s\" by its description; tensor \"%.*s\" has "
                    "%llu",
                    column->n_classes, TEXT_SHOWN(reading->names[i]), TEXT_SHOWN(offsets->name),
                    (unsigned long long)n);
    column->n_classes = (uint32_t)n;
    const char *wrong = vocabulary_open(
        &column->vocabulary, seed, (const struct vocabulary_slot *)(const void *)slots->data,
        slots->sizes[0], (struct text){(const char *)texts->data, texts->n_elements},
        column->n_classes);
    if (wrong)
        return FAIL(reading, "tensor \"%.*s\": %s", TEXT_SHOWN(slots->name), wrong);
    return DCNV2_OK;
}

/* Rows of values that are no class: behind the classes, unless the file says otherwise. */
static int read_special_rows(struct reading *reading, const struct safetensors_metadata *metadata)
{
    double *unknown, *missing;
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        reading->columns[i].special =
            (struct special_rows){reading->columns[i].n_classes, SPECIAL_ROW_NONE};
    if (safetensors_find(metadata, CONVERTED_UNKNOWN) == NULL)
        return DCNV2_OK;
    if (read_numbers(reading, metadata, CONVERTED_UNKNOWN, reading->n_sparse, &unknown) ||
        read_numbers(reading, metadata, CONVERTED_MISSING, reading->n_sparse, &missing))
        return reading->error->status;
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        struct special_rows *special = &reading->columns[i].special;
        if (!(unknown[i] >= 0 && unknown[i] < SPECIAL_ROW_NONE && missing[i] < SPECIAL_ROW_NONE))
            return FAIL(reading, "the rows of unknown and missing values of column %u are none",
                        i + 1);
        special->unknown = (uint32_t)unknown[i];
        special->missing = missing[i] < 0 ? SPECIAL_ROW_NONE : (uint32_t)missing[i];
    }
    return DCNV2_OK;
}

/* ---- the network ---- */

/* All tensors but the vocabularies'. */
static int read_network(struct reading *reading, const struct tensor_list *list)
{
    const size_t prefix = strlen(CONVERTED_VOCABULARY);
    struct tensor_list *network = &reading->tensors;
    network->tensors = arena_calloc(&reading->arena, list->n_tensors + 1, sizeof *network->tensors);
    if (network->tensors == NULL)
        return model_error_memory(reading->error);
    for (size_t i = 0; i < list->n_tensors; i++) {
        const struct tensor *tensor = &list->tensors[i];
        if (tensor->name.length >= prefix &&
            memcmp(tensor->name.at, CONVERTED_VOCABULARY, prefix) == 0)
            continue;
        if (tensor->dtype != TENSOR_F32)
            return FAIL(reading, "tensor \"%.*s\" is of dtype %s; F32 is expected",
                        TEXT_SHOWN(tensor->name), tensor_dtype_name(tensor->dtype));
        network->tensors[network->n_tensors++] = *tensor;
    }
    const uint64_t n_parts = (uint64_t)reading->n_sparse * CONVERTED_PARTS;
    if (list->n_tensors - network->n_tensors != n_parts)
        return FAIL(reading, "has %zu tensors of vocabularies; its %u sparse columns need %llu",
                    list->n_tensors - network->n_tensors, reading->n_sparse,
                    (unsigned long long)n_parts);
    const struct tensor *twice; /* none, as in the whole list */
    if (tensor_list_sort(network, &reading->arena, &twice) != 0)
        return model_error_memory(reading->error);
    return DCNV2_OK;
}

int converted_read(struct reading *reading)
{
    struct safetensors file;
    struct format_error reason;
    reading->schema_path = reading->source->model_path;
    reading->in_place = true;
    if (safetensors_read(&file, &reading->arena, reading->model_bytes.at, reading->model_bytes.size,
                         &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_FORMAT, reading->source->model_path,
                                &reason);
    struct hash_seed seed;
    int status = read_schema(reading, &file.metadata);
    if (status == DCNV2_OK)
        status = read_seed(reading, &file, &seed);
    for (uint32_t i = 0; i < reading->n_sparse && status == DCNV2_OK; i++)
        status = read_vocabulary(reading, &file.list, &seed, i);
    if (status == DCNV2_OK)
        status = read_special_rows(reading, &file.metadata);
    return status == DCNV2_OK ? read_network(reading, &file.list) : status;
}
