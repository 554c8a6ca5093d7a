/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_folder.c: a model as FuxiCTR leaves it (network/fuxictr.h), without a model.json. */
#include <dirent.h>

#include "model/reading.h"
#include "network/fuxictr.h"

static const char ending[] = ".model";

static bool is_model(const char *name)
{
    const size_t length = strlen(name), end = sizeof ending - 1;
    return length > end && strcmp(name + length - end, ending) == 0;
}

static struct text file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return text_of(slash ? slash + 1 : path);
}

/* The one file of weights in the folder. */
static int find_weights(struct reading *reading, const char *folder)
{
    DIR *entries = opendir(folder);
    struct text found = {NULL, 0}, other = {NULL, 0};
    const struct dirent *entry;
    if (entries == NULL)
        return model_error_set(reading->error, DCNV2_ERROR_IO, folder, "cannot be listed");
    while (other.at == NULL && (entry = readdir(entries)) != NULL) {
        if (!is_model(entry->d_name))
            continue;
        struct text *name = found.at ? &other : &found;
        *name = text_of(arena_copy_text(&reading->arena, entry->d_name, strlen(entry->d_name)));
    }
    closedir(entries);
    if (found.at == NULL)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, folder,
                               "has a " FUXICTR_MAP " and no file \"*.model\", as FuxiCTR calls "
                               "its weights: copy it here from the folder of its checkpoints");
    if (other.at)
        return model_error_set(reading->error, DCNV2_ERROR_MODEL, folder,
                               "has several models, %s and %s: let MODEL_PATH name the file",
                               found.at, other.at);
    reading->weights_path = reading_path_beside(reading, folder, true, found);
    return reading->weights_path ? DCNV2_OK : model_error_memory(reading->error);
}

int fuxictr_find(struct reading *reading)
{
    const char *path = reading->source->model_path;
    const bool is_folder = described_is_folder(path);
    const char *map = reading_path_beside(reading, path, is_folder, text_of(FUXICTR_MAP));
    if (map == NULL)
        return model_error_memory(reading->error);
    reading->is_fuxictr = reading_is_there(map);
    if (!is_folder)
        return DCNV2_OK;
    if (!reading->is_fuxictr)
        return model_error_set(reading->error, DCNV2_ERROR_IO, path,
                               "is a folder; name the file in it, or put a model.json "
                               "(docs/model-json.md) or FuxiCTR's " FUXICTR_MAP " there");
    return find_weights(reading, path);
}

/* A file beside the weights, in the arena and in what is hashed. */
static int read_beside(struct reading *reading, const char *name, bool is_needed, struct text *ret)
{
    const char *path = reading_path_beside(reading, reading->weights_path, false, text_of(name));
    struct file_bytes bytes = {0};
    struct format_error reason;
    if (path == NULL)
        return model_error_memory(reading->error);
    if (!reading_is_there(path))
        return !is_needed ? DCNV2_OK
                          : model_error_set(reading->error, DCNV2_ERROR_IO, path,
                                            "is missing: FuxiCTR writes it into the folder of the "
                                            "data set; copy it beside the weights");
    if (file_read(path, &bytes, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_IO, path, &reason);
    const int status = file_append(&reading->encoder_bytes, bytes.at, bytes.size);
    reading->arena.limit_bytes =
        reading_limit_bytes(reading->model_bytes.size + reading->encoder_bytes.size);
    *ret =
        (struct text){arena_copy_text(&reading->arena, (char *)bytes.at, bytes.size), bytes.size};
    file_free(&bytes);
    return status == 0 && ret->at ? DCNV2_OK : model_error_memory(reading->error);
}

static int read_files(struct reading *reading, struct fuxictr_source *source)
{
    int status = read_beside(reading, FUXICTR_MAP, true, &source->map);
    if (status == DCNV2_OK)
        status = read_beside(reading, FUXICTR_VOCABULARY, true, &source->vocabulary);
    if (status == DCNV2_OK)
        status = read_beside(reading, FUXICTR_PROCESSOR, true, &source->processor);
    if (status == DCNV2_OK)
        status = read_beside(reading, FUXICTR_CONFIG, false, &source->config);
    return status;
}

int fuxictr_take(struct reading *reading)
{
    struct fuxictr_source source = {.id = file_name(reading->weights_path),
                                    .tensors = &reading->tensors};
    struct spec_vocabularies vocabularies;
    struct format_error reason;
    if (is_model(source.id.at))
        source.id.length -= sizeof ending - 1;
    const int status = read_files(reading, &source);
    if (status != DCNV2_OK)
        return status;
    if (fuxictr_read(&reading->spec, &vocabularies, &reading->spec_arena, &reading->arena, &source,
                     &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_MODEL, reading->source->model_path,
                                &reason);
    reading->schema_path = reading->weights_path;
    return described_take(reading, &vocabularies);
}
