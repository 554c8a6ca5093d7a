/* SPDX-License-Identifier: Apache-2.0 */
/* described.c: a model as a model.json describes it (network/json_spec.h), and its weights. */
#include <stdio.h>
#include <sys/stat.h>

#include "format/sklearn_file.h"
#include "model/reading.h"
#include "network/json_spec.h"

/* ---- classes in a pickled encoder ---- */

static int find_classes(const struct sklearn_file *file, struct text column,
                        struct spec_vocabulary *ret, struct format_error *error)
{
    for (uint32_t i = 0; i < file->n_encoders; i++) {
        const struct sklearn_encoder *encoder = &file->encoders[i];
        if (!text_equal(encoder->column, column))
            continue;
        ret->classes = encoder->classes;
        ret->n = encoder->n_classes;
        return 0;
    }
    return format_error_set(error, FORMAT_NO_OFFSET, "has no column \"%.*s\"", TEXT_SHOWN(column));
}

/* The encoder file that was read last: its columns are asked for one by one. */
struct encoder_file {
    struct reading *reading;
    const char *path; /* NULL: none was read */
    struct sklearn_file file;
};

/* All that tells the network beside its weights is one stretch of bytes, for its digest. */
static int note_file(void *context, struct text bytes)
{
    const struct encoder_file *encoder = context;
    return file_append(&encoder->reading->encoder_bytes, bytes.at, bytes.length);
}

/* The file's texts are places in the copy of its bytes, which is in the arena. */
static int open_encoder(struct encoder_file *encoder, const char *path, struct arena *arena,
                        struct format_error *error)
{
    struct file_bytes bytes = {0};
    struct format_error reason;
    if (encoder->path && strcmp(encoder->path, path) == 0)
        return 0;
    encoder->path = NULL;
    if (file_read(path, &bytes, error) != 0)
        return -1;
    const char *copy = arena_copy_text(arena, (const char *)bytes.at, bytes.size);
    const size_t size = bytes.size;
    file_free(&bytes);
    if (copy == NULL || note_file(encoder, (struct text){copy, size}) != 0)
        return format_error_memory(error);
    if (sklearn_file_read(&encoder->file, arena, (const uint8_t *)copy, size, &reason) != 0)
        return format_error_set(error, FORMAT_NO_OFFSET, "%s: %s", path, reason.message);
    encoder->path = path;
    return 0;
}

/* Of spec_json_files. */
static int read_encoder(void *context, const char *path, struct text column, struct arena *arena,
                        struct spec_vocabulary *ret, struct format_error *error)
{
    struct encoder_file *encoder = context;
    struct format_error reason;
    if (open_encoder(encoder, path, arena, error) != 0)
        return -1;
    if (find_classes(&encoder->file, column, ret, &reason) != 0)
        return format_error_set(error, FORMAT_NO_OFFSET, "%s: %s", path, reason.message);
    return 0;
}

/* ---- the reading ---- */

/* Vocabularies of the description as columns of the reading. */
static int take_vocabularies(struct reading *reading, const struct spec_vocabularies *vocabularies)
{
    const int status = reading_make_room(reading, vocabularies->n, 0);
    if (status != DCNV2_OK)
        return status;
    for (uint32_t i = 0; i < vocabularies->n; i++) {
        reading->names[i] = vocabularies->all[i].name;
        reading->columns[i] = (struct reading_column){.n_classes = vocabularies->all[i].n,
                                                      .classes = vocabularies->all[i].classes,
                                                      .special.missing = SPECIAL_ROW_NONE};
    }
    return DCNV2_OK;
}

static bool has_column(const struct network_spec *spec, const char *name, bool is_number)
{
    for (uint32_t c = 0; c < spec->n_columns; c++)
        if (spec->columns[c].is_number == is_number && text_is(spec->columns[c].name, name))
            return true;
    return false;
}

/* Columns that the caller names are the description's. */
static int check_wanted(struct reading *reading, const struct dcnv2_columns *wanted, bool is_number)
{
    const struct network_spec *spec = &reading->spec;
    const uint32_t n = is_number ? spec->n_columns - spec->n_categories : spec->n_categories;
    const char *kind = is_number ? "dense" : "sparse";
    if (wanted->n && wanted->n != n)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "has %u %s columns; %zu are named", n, kind, wanted->n);
    for (size_t i = 0; i < wanted->n; i++)
        if (!has_column(spec, wanted->names[i], is_number))
            return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                                   "has no %s column \"%.64s\", which is named", kind,
                                   wanted->names[i]);
    return DCNV2_OK;
}

int described_take(struct reading *reading, const struct spec_vocabularies *vocabularies)
{
    reading->is_described = true;
    if (reading->source->unknown_classes.n)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                               "tells which row unseen values take (\"unseen\" of a lookup): "
                               "--unknown-class has no effect here, leave it out");
    int status = take_vocabularies(reading, vocabularies);
    if (status == DCNV2_OK)
        status = check_wanted(reading, &reading->source->sparse_columns, false);
    return status == DCNV2_OK ? check_wanted(reading, &reading->source->dense_columns, true)
                              : status;
}

static int read_json(struct reading *reading, const char *path, const char *folder)
{
    struct file_bytes *bytes = &reading->encoder_bytes;
    struct format_error reason;
    struct spec_vocabularies vocabularies;
    struct encoder_file encoder = {.reading = reading};
    struct spec_json_files files = {.folder = folder,
                                    .read_encoder = read_encoder,
                                    .note_file = note_file,
                                    .context = &encoder};
    if (file_read(path, bytes, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_IO, path, &reason);
    const struct text json = {
        arena_copy_text(&reading->spec_arena, (const char *)bytes->at, bytes->size), bytes->size};
    if (json.at == NULL)
        return model_error_memory(reading->error);
    if (spec_json_read(&reading->spec, &vocabularies, &reading->spec_arena, json, &files,
                       &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, path, &reason);
    reading->schema_path = path;
    if (reading->weights_path == NULL && files.weights.length == 0)
        return model_error_set(
            reading->error, DCNV2_ERROR_MODEL, path,
            "does not name the file of its weights: add \"weights\": \"FILE\", or "
            "let MODEL_PATH name that file");
    if (reading->weights_path == NULL)
        reading->weights_path = reading_path_beside(reading, path, false, files.weights);
    if (reading->weights_path == NULL)
        return model_error_memory(reading->error);
    return described_take(reading, &vocabularies);
}

int described_read(struct reading *reading, const char *path)
{
    const char *folder = reading_path_beside(reading, path, false, (struct text){".", 1});
    return folder ? read_json(reading, path, folder) : model_error_memory(reading->error);
}

bool described_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int described_find(struct reading *reading, const char **ret_path)
{
    const struct dcnv2_source *source = reading->source;
    const bool is_folder = described_is_folder(source->model_path);
    *ret_path = source->model_json;
    if (source->model_json)
        return DCNV2_OK;
    const char *path =
        reading_path_beside(reading, source->model_path, is_folder, text_of("model.json"));
    if (path == NULL)
        return model_error_memory(reading->error);
    *ret_path = reading_is_there(path) ? path : NULL;
    return DCNV2_OK;
}
