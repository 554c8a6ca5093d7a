/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "format/new_file.h"
#include "format/output.h"
#include "format/safetensors.h"
#include "format/sha256.h"
#include "model/model.h"
#include "number.h"

enum { NAME_MAX_LENGTH = 64, DESCRIPTION_MAX = 1024 };
_Static_assert((int)SHA256_DIGITS == (int)HASH_SEED_DIGITS, "a digest is a seed");

/* One conversion: what was read, and what is to be written. Memory is the reading's. */
struct conversion {
    struct reading reading;
    struct arena *arena;
    const char *label; /* or NULL */
    const char *path;  /* of the file to be made */
    struct dcnv2_error *error;
    dcnv2_model *model; /* made of the sources: they describe a model */
    char model_sha256[SHA256_DIGITS + 1], encoder_sha256[SHA256_DIGITS + 1];
    char seed[HASH_SEED_DIGITS + 1]; /* of the hash tables */
    struct tensor_list list;
    struct safetensors_metadata metadata;
};

/* `file`: the one at fault. */
#define FAIL(conversion, file, ...)                                                                \
    model_error_set((conversion)->error, DCNV2_ERROR_MODEL, file, __VA_ARGS__)

/* Digests of the sources, and the seed that follows from them. */
static void digest(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    char both[2 * SHA256_DIGITS + 1];
    sha256_print(reading->model_bytes.at, reading->model_bytes.size, conversion->model_sha256);
    sha256_print(reading->encoder_bytes.at, reading->encoder_bytes.size,
                 conversion->encoder_sha256);
    snprintf(both, sizeof both, "%s%s", conversion->model_sha256, conversion->encoder_sha256);
    sha256_print(both, 2 * SHA256_DIGITS, conversion->seed);
}

/* ---- tensors ---- */

/* A tensor of up to two dimensions whose data follow later. */
static struct tensor new_tensor(struct text name, enum tensor_dtype dtype, uint64_t rows,
                                uint64_t columns, const void *data)
{
    return (struct tensor){.name = name,
                           .dtype = dtype,
                           .n_dims = columns ? 2 : 1,
                           .sizes = {rows, columns},
                           .n_elements = columns ? rows * columns : rows,
                           .data = data};
}

/* The network's tensors, in FP32 and without gaps. */
static int add_network(struct conversion *conversion)
{
    const struct tensor_list *from = &conversion->reading.tensors;
    for (size_t i = 0; i < from->n_tensors; i++) {
        struct tensor tensor = from->tensors[i];
        if (!tensor_is_float(&tensor))
            continue; /* offsets and the like, which no layer reads */
        if (tensor.dtype != TENSOR_F32 || !tensor_is_contiguous(&tensor)) {
            float *values = arena_calloc(conversion->arena, tensor.n_elements + 1, sizeof *values);
            if (values == NULL)
                return model_error_memory(conversion->error);
            tensor_copy_f32(&tensor, values);
            tensor.data = (const uint8_t *)values;
            tensor.dtype = TENSOR_F32;
        }
        conversion->list.tensors[conversion->list.n_tensors++] = tensor;
    }
    return DCNV2_OK;
}

static int add_part(struct conversion *conversion, uint32_t column, const char *part,
                    struct tensor tensor)
{
    char name[NAME_MAX_LENGTH];
    const int length = snprintf(name, sizeof name, CONVERTED_VOCABULARY "%u.%s", column, part);
    tensor.name =
        (struct text){arena_copy_text(conversion->arena, name, (size_t)length), (size_t)length};
    if (tensor.name.at == NULL)
        return model_error_memory(conversion->error);
    conversion->list.tensors[conversion->list.n_tensors++] = tensor;
    return DCNV2_OK;
}

/* Text, offsets and slots of a column's classes. */
static int add_vocabulary(struct conversion *conversion, const struct hash_seed *seed, uint32_t i)
{
    const struct reading_column *column = &conversion->reading.columns[i];
    const uint32_t n = column->n_classes;
    uint64_t size = 0;
    for (uint32_t k = 0; k < n; k++)
        size += column->classes[k].length;
    if (size >= UINT32_MAX)
        return FAIL(conversion, conversion->reading.schema_path,
                    "the classes of column \"%.*s\" have more than 4 GiB of text",
                    TEXT_SHOWN(conversion->reading.names[i]));
    char *texts = arena_alloc(conversion->arena, size + 1);
    uint32_t *offsets = arena_calloc(conversion->arena, (size_t)n + 1, sizeof *offsets);
    struct text *moved = arena_calloc(conversion->arena, (size_t)n + 1, sizeof *moved);
    if (!texts || !offsets || !moved)
        return model_error_memory(conversion->error);
    for (uint32_t k = 0; k < n; k++) {
        moved[k] = (struct text){texts + offsets[k], column->classes[k].length};
        if (moved[k].length)
            memcpy(texts + offsets[k], column->classes[k].at, moved[k].length);
        offsets[k + 1] = offsets[k] + (uint32_t)moved[k].length;
    }
    struct vocabulary vocabulary; /* in place in the texts */
    if (vocabulary_init_in_place(&vocabulary, seed, conversion->arena, texts, moved, n) != 0)
        return model_error_memory(conversion->error);
    const struct text none = {NULL, 0};
    int status =
        add_part(conversion, i, CONVERTED_TEXT, new_tensor(none, TENSOR_U8, size, 0, texts));
    if (status == DCNV2_OK)
        status = add_part(conversion, i, CONVERTED_OFFSETS,
                          new_tensor(none, TENSOR_U32, (uint64_t)n + 1, 0, offsets));
    return status ? status
                  : add_part(conversion, i, CONVERTED_SLOTS,
                             new_tensor(none, TENSOR_U64, vocabulary.n_slots, 2, vocabulary.slots));
}

static int add_tensors(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    const size_t n = reading->tensors.n_tensors + (size_t)reading->n_sparse * CONVERTED_PARTS;
    conversion->list.tensors =
        arena_calloc(conversion->arena, n + 1, sizeof *conversion->list.tensors);
    if (conversion->list.tensors == NULL)
        return model_error_memory(conversion->error);
    struct hash_seed seed;
    hash_seed_parse(conversion->seed, &seed);
    int status = add_network(conversion);
    for (uint32_t i = 0; i < reading->n_sparse && status == DCNV2_OK; i++)
        status = add_vocabulary(conversion, &seed, i);
    return status;
}

/* ---- metadata ---- */

static int add_metadata(struct conversion *conversion, const char *key, const char *value)
{
    if (value == NULL)
        return model_error_memory(conversion->error);
    struct safetensors_metadata *metadata = &conversion->metadata;
    metadata->entries[metadata->n_entries++] = (struct safetensors_entry){key, value};
    return DCNV2_OK;
}

static int add_names(struct conversion *conversion, const char *key, const struct text *names,
                     uint32_t n)
{
    const char *value = safetensors_print_texts(conversion->arena, names, n);
    if (value == NULL)
        return FAIL(conversion, conversion->reading.schema_path, "a name in %s is not UTF-8 text",
                    key);
    return add_metadata(conversion, key, value);
}

/* "[0.5, 1e-05]", as Python's json.dumps() writes it. */
static int add_numbers(struct conversion *conversion, const char *key, const double *numbers,
                       uint32_t n)
{
    char *value = arena_alloc(conversion->arena, (size_t)n * (NUMBER_REPR_MAX + 2) + 3);
    if (value == NULL)
        return model_error_memory(conversion->error);
    size_t length = 0;
    value[length++] = '[';
    for (uint32_t i = 0; i < n; i++) {
        if (!__builtin_isfinite(numbers[i]))
            return FAIL(conversion, conversion->reading.schema_path,
                        "the %s of dense column %u is not a finite number", key, i + 1);
        if (i) {
            value[length++] = ',';
            value[length++] = ' ';
        }
        length += number_print_repr(numbers[i], value + length);
    }
    value[length++] = ']';
    value[length] = '\0';
    return add_metadata(conversion, key, value);
}

/* A member of each dense column's scaling. */
static int add_member(struct conversion *conversion, const char *key, size_t member)
{
    const struct reading *reading = &conversion->reading;
    double *values = arena_calloc(conversion->arena, (size_t)reading->n_dense + 1, sizeof *values);
    if (values == NULL)
        return model_error_memory(conversion->error);
    for (uint32_t i = 0; i < reading->n_dense; i++)
        memcpy(&values[i], (const char *)&reading->scaling[i] + member, sizeof *values);
    return add_numbers(conversion, key, values, reading->n_dense);
}

/* The scaler is one for all columns, and so is what it clips to. */
static int add_scaling(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    int status = add_member(conversion, CONVERTED_MEAN, offsetof(struct scaling, mean));
    if (status == DCNV2_OK)
        status = add_member(conversion, CONVERTED_SCALE, offsetof(struct scaling, scale));
    bool is_standard = true;
    for (uint32_t i = 0; i < reading->n_dense; i++)
        is_standard &= scaling_is_standard(&reading->scaling[i]);
    if (is_standard || status != DCNV2_OK)
        return status;
    conversion->metadata.needs_newest = true;
    status = add_member(conversion, CONVERTED_FACTOR, offsetof(struct scaling, factor));
    if (status == DCNV2_OK)
        status = add_member(conversion, CONVERTED_SHIFT, offsetof(struct scaling, shift));
    const double clip[] = {reading->scaling[0].low, reading->scaling[0].high};
    return status == DCNV2_OK && isfinite(clip[0])
               ? add_numbers(conversion, CONVERTED_CLIP, clip, 2)
               : status;
}

static int add_special_rows(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    const size_t n = (size_t)reading->n_sparse + 1;
    double *unknown = arena_calloc(conversion->arena, n, sizeof *unknown);
    double *missing = arena_calloc(conversion->arena, n, sizeof *missing);
    bool is_plain = true;
    if (unknown == NULL || missing == NULL)
        return model_error_memory(conversion->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const struct special_rows *special = &reading->columns[i].special;
        unknown[i] = special->unknown;
        missing[i] = special->missing == SPECIAL_ROW_NONE ? -1 : (double)special->missing;
        is_plain &= special->unknown == reading->columns[i].n_classes && missing[i] < 0;
    }
    if (is_plain)
        return DCNV2_OK;
    conversion->metadata.needs_newest = true;
    const int status = add_numbers(conversion, CONVERTED_UNKNOWN, unknown, reading->n_sparse);
    return status == DCNV2_OK
               ? add_numbers(conversion, CONVERTED_MISSING, missing, reading->n_sparse)
               : status;
}

/* The description that came with the model, with the classes left out. */
static int add_description(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    struct text json;
    struct spec_vocabularies vocabularies = {.n = reading->n_sparse};
    vocabularies.all =
        arena_calloc(conversion->arena, (size_t)reading->n_sparse + 1, sizeof *vocabularies.all);
    if (vocabularies.all == NULL)
        return model_error_memory(conversion->error);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        vocabularies.all[i] =
            (struct spec_vocabulary){.name = reading->names[i], .n = reading->columns[i].n_classes};
    if (spec_json_write(&conversion->model->spec, &vocabularies, conversion->arena, &json) != 0)
        return model_error_memory(conversion->error);
    conversion->metadata.needs_newest = true;
    return add_metadata(conversion, CONVERTED_MODEL,
                        arena_copy_text(conversion->arena, json.at, json.length));
}

/* The golden set, byte for byte as its file has it. */
static int add_golden(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    if (reading->golden.length > GOLDEN_CONVERTED_BYTES)
        return FAIL(conversion, reading->golden_path,
                    "%zu bytes: a converted file holds a golden set of %d at most; take "
                    "fewer rows",
                    reading->golden.length, GOLDEN_CONVERTED_BYTES);
    return add_metadata(
        conversion, CONVERTED_GOLDEN,
        arena_copy_text(conversion->arena, reading->golden.at, reading->golden.length));
}

static int add_columns(struct conversion *conversion)
{
    const struct reading *reading = &conversion->reading;
    if (reading->is_described)
        return add_description(conversion);
    int status = add_names(conversion, CONVERTED_SPARSE, reading->names, reading->n_sparse);
    if (status == DCNV2_OK)
        status = add_names(conversion, CONVERTED_DENSE, reading->names + reading->n_sparse,
                           reading->n_dense);
    if (status == DCNV2_OK)
        status = add_scaling(conversion);
    return status == DCNV2_OK ? add_special_rows(conversion) : status;
}

static int add_schema(struct conversion *conversion)
{
    enum { N_ENTRIES = 16 };
    char network[DESCRIPTION_MAX];
    spec_describe(&conversion->model->spec, network, sizeof network);
    conversion->metadata.entries =
        arena_calloc(conversion->arena, N_ENTRIES, sizeof *conversion->metadata.entries);
    if (conversion->metadata.entries == NULL)
        return model_error_memory(conversion->error);
    int status = add_columns(conversion);
    if (status == DCNV2_OK)
        status = add_metadata(conversion, "network",
                              arena_copy_text(conversion->arena, network, strlen(network)));
    if (status == DCNV2_OK)
        status = add_metadata(conversion, "model_sha256", conversion->model_sha256);
    if (status == DCNV2_OK)
        status = add_metadata(conversion, "encoder_sha256", conversion->encoder_sha256);
    if (status == DCNV2_OK)
        status = add_metadata(conversion, CONVERTED_SEED, conversion->seed);
    if (status == DCNV2_OK && conversion->label)
        status = add_metadata(conversion, CONVERTED_LABEL, conversion->label);
    if (status == DCNV2_OK && conversion->reading.golden.at)
        status = add_golden(conversion);
    return status;
}

/* ---- the file ---- */

static int fail_writing(struct conversion *conversion, const struct format_error *reason)
{
    return model_error_from(conversion->error, DCNV2_ERROR_IO, conversion->path, reason);
}

static int write_file(struct conversion *conversion, FILE *stream)
{
    struct format_error reason;
    struct text header;
    if (safetensors_header(&conversion->list, &conversion->metadata, conversion->arena, &header,
                           &reason) != 0)
        return model_error_from(conversion->error, DCNV2_ERROR_MODEL,
                                conversion->reading.weights_path, &reason);
    struct output output = {.stream = stream};
    output_put(&output, header.at, header.length);
    for (size_t i = 0; i < conversion->list.n_tensors; i++) {
        const struct tensor *tensor = &conversion->list.tensors[i];
        output_put(&output, tensor->data, safetensors_bytes(tensor));
    }
    return output_flush(&output, &reason) == 0 ? DCNV2_OK : fail_writing(conversion, &reason);
}

/* Every class has to be found at its place: loading looks at a sample (encode/vocabulary.h). */
static int check_classes(const struct conversion *conversion, const dcnv2_model *model)
{
    const struct reading *reading = &conversion->reading;
    for (uint32_t c = 0; c < reading->n_sparse; c++)
        for (uint32_t i = 0; i < reading->columns[c].n_classes; i++) {
            const struct text text = reading_class(&reading->columns[c], i);
            if (dcnv2_model_sparse_index(model, c, text.at, text.length) != i)
                return FAIL(conversion, conversion->path,
                            "class %u of column \"%.*s\" is not found in what was written", i,
                            TEXT_SHOWN(reading->names[c]));
        }
    return DCNV2_OK;
}

/* Whether the file holds the model that it is to hold. What a reader of it refuses comes from the
 * source, unless it cannot be opened. */
static int read_back(struct conversion *conversion, const char *temporary)
{
    struct dcnv2_error error;
    const struct dcnv2_source source = {
        .model_path = temporary, .golden = conversion->reading.golden.at ? NULL : GOLDEN_NONE};
    dcnv2_model *model = NULL;
    if (dcnv2_model_load(&source, &model, &error) != DCNV2_OK) {
        const char *reason = strstr(error.message, ": ");
        return model_error_set(
            conversion->error, error.status,
            error.status == DCNV2_ERROR_IO ? conversion->path : conversion->reading.weights_path,
            "what was written of it cannot be read: %s", reason ? reason + 2 : error.message);
    }
    const int status = check_classes(conversion, model);
    dcnv2_model_free(model);
    return status;
}

static int write_and_replace(struct conversion *conversion)
{
    struct new_file file;
    struct format_error reason;
    if (new_file_open(&file, conversion->path, NEW_FILE_MINDS_LINKS, &reason) != 0)
        return fail_writing(conversion, &reason);
    int status = write_file(conversion, file.stream);
    if (status == DCNV2_OK && new_file_finish(&file, &reason) != 0)
        status = fail_writing(conversion, &reason);
    if (status == DCNV2_OK)
        status = read_back(conversion, file.temporary);
    if (status == DCNV2_OK && new_file_keep(&file, &reason) != 0)
        status = fail_writing(conversion, &reason);
    new_file_close(&file);
    return status;
}

/* A signal that ended the program here would leave a part of the file beside its place: it is taken
 * when the file is whole. */
static int replace_file(struct conversion *conversion)
{
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    const int status = write_and_replace(conversion);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

int model_convert(const struct dcnv2_source *source, const char *label,
                  const struct made_golden *golden, const char *path, struct dcnv2_error *error)
{
    struct conversion conversion = {.label = label, .path = path, .error = error};
    struct reading *reading = &conversion.reading;
    conversion.arena = &reading->arena;
    int status = reading_open(reading, source, error);
    if (status == DCNV2_OK && reading->is_converted)
        status = model_error_set(error, DCNV2_ERROR_MODEL, source->model_path,
                                 "is a converted file already");
    if (golden) {
        reading->golden = text_of(golden->json);
        reading->golden_path = golden->path;
    }
    if (status == DCNV2_OK)
        status = model_make(reading, &conversion.model);
    if (status == DCNV2_OK) {
        digest(&conversion);
        status = add_tensors(&conversion);
    }
    if (status == DCNV2_OK)
        status = add_schema(&conversion);
    if (status == DCNV2_OK)
        status = replace_file(&conversion);
    dcnv2_model_free(conversion.model);
    reading_close(reading);
    return status;
}
