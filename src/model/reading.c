/* SPDX-License-Identifier: Apache-2.0 */
#include "model/reading.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "format/safetensors.h"
#include "format/torch_file.h"
#include "model/golden.h"

/* What reading may take beside the files themselves. The texts of a pickle's classes and their
 * places are some three times its bytes. Other values, and shared ones, can ask for far more; they
 * are refused. */
enum {
    TEXT_BYTES_PER_FILE_BYTE = 3,
    READING_BYTES_PER_FILE_BYTE = 40,
    READING_LEAST_BYTES = 64 << 20,
    RESERVED_BYTES = 64 << 20 /* at once, the rest as it is needed */
};

int model_error_set(struct dcnv2_error *error, enum dcnv2_status status, const char *path,
                    const char *format, ...)
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

int model_error_memory(struct dcnv2_error *error)
{
    return model_error_set(error, DCNV2_ERROR_MEMORY, NULL, "out of memory");
}

int model_error_from(struct dcnv2_error *error, enum dcnv2_status status, const char *path,
                     const struct format_error *reason)
{
    return model_error_set(error, reason->out_of_memory ? DCNV2_ERROR_MEMORY : status, path, "%s",
                           reason->message);
}

int reading_make_room(struct reading *reading, size_t n_sparse, size_t n_dense)
{
    if (n_sparse > UINT32_MAX / 4 || n_dense > UINT32_MAX / 4)
        return model_error_set(reading->error, DCNV2_ERROR_ARGUMENT, NULL, "too many columns");
    reading->n_sparse = (uint32_t)n_sparse;
    reading->n_dense = (uint32_t)n_dense;
    reading->names = arena_calloc(&reading->arena, n_sparse + n_dense + 1, sizeof *reading->names);
    reading->columns = arena_calloc(&reading->arena, n_sparse + 1, sizeof *reading->columns);
    if (reading->names == NULL || reading->columns == NULL)
        return model_error_memory(reading->error);
    if (n_sparse + n_dense == 0 && !reading->is_described)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "has neither dense nor sparse columns");
    return DCNV2_OK;
}

size_t reading_limit_bytes(size_t size)
{
    return READING_LEAST_BYTES + READING_BYTES_PER_FILE_BYTE * size;
}

struct text reading_class(const struct reading_column *column, uint32_t i)
{
    if (column->classes)
        return column->classes[i];
    const uint32_t from = column->offsets[i], to = column->offsets[i + 1];
    return (struct text){column->vocabulary.texts + from, to - from};
}

/* The bytes in memory of our own, and room in the arena for what they say. */
static int read_file(struct reading *reading, const char *path, struct file_bytes *ret_bytes)
{
    struct format_error reason;
    if (file_read(path, ret_bytes, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_IO, path, &reason);
    reading->arena.limit_bytes =
        reading_limit_bytes(reading->model_bytes.size + reading->encoder_bytes.size);
    return DCNV2_OK;
}

/* The kind is found in a map of the file, so that what is no model is not read, however large.
 * A converted file stays mapped: copying it would take as long as all the rest of its loading. */
static int read_model(struct reading *reading)
{
    const char *path = reading->weights_path;
    struct file_bytes *bytes = &reading->model_bytes;
    struct format_error reason;
    if (file_map(path, bytes, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_IO, path, &reason);
    reading->arena.limit_bytes = reading_limit_bytes(bytes->size);
    reading->is_converted = safetensors_is_converted(bytes->at, bytes->size);
    if (reading->is_converted)
        return DCNV2_OK;
    if (!torch_file_is(bytes->at, bytes->size) && !safetensors_is(bytes->at, bytes->size))
        return model_error_set(reading->error, DCNV2_ERROR_FORMAT, path,
                               "is neither a PyTorch zip file of a state dict nor a file that "
                               "dcnv2-convert wrote, nor other safetensors");
    file_free(bytes);
    return read_file(reading, path, bytes);
}

/* The encoder file, and room for its texts at once. */
static int read_encoder(struct reading *reading)
{
    struct file_bytes *bytes = &reading->encoder_bytes;
    const int status = read_file(reading, reading->source->encoder_path, bytes);
    if (status != DCNV2_OK)
        return status;
    const size_t wanted = TEXT_BYTES_PER_FILE_BYTE * bytes->size;
    if (arena_reserve(&reading->arena, wanted < RESERVED_BYTES ? wanted : RESERVED_BYTES) != 0)
        return model_error_memory(reading->error);
    return DCNV2_OK;
}

const char *reading_path_beside(struct reading *reading, const char *path, bool is_folder,
                                struct text name)
{
    const char *slash = strrchr(path, '/');
    const size_t length = is_folder ? strlen(path) : slash ? (size_t)(slash - path) : 0;
    const size_t size = length + name.length + 2;
    char *joined = arena_alloc(&reading->arena, size);
    if (joined == NULL)
        return NULL;
    snprintf(joined, size, "%.*s%s%.*s", (int)length, path, length || slash ? "/" : "",
             (int)name.length, name.at);
    return joined;
}

bool reading_is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void start(struct reading *reading, const struct dcnv2_source *source,
                  struct dcnv2_error *error)
{
    *reading = (struct reading){.source = source, .error = error};
    arena_init(&reading->arena, READING_LEAST_BYTES);
    arena_init(&reading->spec_arena, SIZE_MAX);
}

/* A model.json, or else FuxiCTR's files. */
static int find_description(struct reading *reading, const char **ret_path)
{
    const int status = described_find(reading, ret_path);
    return status == DCNV2_OK && *ret_path == NULL ? fuxictr_find(reading) : status;
}

int reading_find_description(const struct dcnv2_source *source, bool *ret_found,
                             struct dcnv2_error *error)
{
    struct reading reading;
    const char *path;
    start(&reading, source, error);
    const int status = find_description(&reading, &path);
    *ret_found = status == DCNV2_OK && (path || reading.is_fuxictr);
    reading_close(&reading);
    return status;
}

/* It holds its description: scores by another one are not to be had, and nobody may take them for
 * such. A model.json that lies beside it by chance is another matter. */
static int read_converted(struct reading *reading)
{
    if (reading->source->model_json)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->weights_path,
                               "is a converted file, which holds its description: --model-json has "
                               "no effect here, leave it out, or convert the sources again");
    if (reading->is_described)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "names weights that are a converted file, which holds its own "
                               "description: let MODEL_PATH name that file, or \"weights\" the "
                               "file that was converted");
    return converted_read(reading);
}

/* All but the golden set. */
static int open_files(struct reading *reading)
{
    const struct dcnv2_source *source = reading->source;
    const char *description;
    if (!described_is_folder(source->model_path))
        reading->weights_path = source->model_path;
    int status = find_description(reading, &description);
    if (status == DCNV2_OK && reading->weights_path == NULL)
        status = described_read(reading, description);
    if (status == DCNV2_OK)
        status = read_model(reading);
    if (status != DCNV2_OK)
        return status;
    if (reading->is_converted)
        return read_converted(reading);
    if (description && !reading->is_described)
        status = described_read(reading, description);
    if (status != DCNV2_OK)
        return status;
    const bool needs_encoder = !reading->is_described && !reading->is_fuxictr;
    return pair_read(reading, needs_encoder ? read_encoder(reading) : DCNV2_OK);
}

int reading_open(struct reading *reading, const struct dcnv2_source *source,
                 struct dcnv2_error *error)
{
    start(reading, source, error);
    const int status = open_files(reading);
    return status == DCNV2_OK ? golden_find(reading) : status;
}

void reading_close(struct reading *reading)
{
    file_free(&reading->golden_bytes);
    file_free(&reading->model_bytes);
    file_free(&reading->encoder_bytes);
    arena_free(&reading->arena);
    arena_free(&reading->spec_arena);
}
