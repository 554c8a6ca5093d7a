/* SPDX-License-Identifier: Apache-2.0 */
#include "train/model_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/new_file.h"
#include "format/output.h"
#include "format/sklearn_writer.h"
#include "format/torch_writer.h"
#include "model/convert.h"
#include "model/golden.h"

/* The order is that in which they take their places. */
enum { WEIGHTS, ENCODER, CONVERTED, N_FILES };

static const char *const names[N_FILES] = {MODEL_FILES_WEIGHTS, MODEL_FILES_ENCODER,
                                           MODEL_FILES_CONVERTED};

struct model_writing {
    const struct model_contents *contents;
    struct new_file files[N_FILES];
    int n_open;
    struct train_error *error;
};

static int fail(const struct new_file *file, const struct format_error *reason,
                struct train_error *error)
{
    return train_error_set(error, "%s: %s", file->path, reason->message);
}

static int open_in(struct new_file *file, const char *folder, const char *name,
                   struct train_error *error)
{
    struct format_error reason;
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return train_error_memory(error);
    const int status = new_file_open(file, path, NEW_FILE_REPLACES_LINKS, &reason);
    if (status != 0)
        train_error_set(error, "%s: %s", path, reason.message);
    free(path);
    return status;
}

static int write_weights(FILE *stream, const struct model_contents *contents,
                         struct format_error *reason)
{
    const struct tensor_list list = {.tensors = parameters_tensors(contents->values),
                                     .n_tensors = contents->values->n};
    if (list.tensors == NULL)
        return format_error_memory(reason);
    const int status = torch_write(stream, &list, reason);
    free(list.tensors);
    return status;
}

static int write_encoder(FILE *stream, const struct model_contents *contents,
                         struct format_error *reason)
{
    const struct fitted_encoder *encoder = contents->encoder;
    struct text *dense = calloc(encoder->n_dense + 1u, sizeof *dense);
    struct sklearn_column *sparse = calloc(encoder->n_sparse + 1u, sizeof *sparse);
    int status = dense && sparse ? 0 : format_error_memory(reason);
    if (status == 0) {
        for (uint32_t i = 0; i < encoder->n_dense; i++)
            dense[i] = text_of(encoder->dense[i]);
        for (uint32_t i = 0; i < encoder->n_sparse; i++)
            sparse[i] =
                (struct sklearn_column){text_of(encoder->sparse[i].name),
                                        encoder->sparse[i].classes, encoder->sparse[i].n_classes};
        const char *version = contents->sklearn_version;
        const struct sklearn_contents fitted = {
            .n_rows = encoder->n_rows,
            .n_dense = encoder->n_dense,
            .dense_names = dense,
            .mean = encoder->mean,
            .var = encoder->var,
            .scale = encoder->scale,
            .n_sparse = encoder->n_sparse,
            .sparse = sparse,
            .sklearn_version = version ? version : MODEL_FILES_SKLEARN_VERSION};
        status = sklearn_write(stream, &fitted, reason);
    }
    free(dense);
    free(sparse);
    return status;
}

static int write_pair(struct model_writing *writing)
{
    static int (*const writers[])(FILE *, const struct model_contents *,
                                  struct format_error *) = {write_weights, write_encoder};
    for (int i = 0; i < CONVERTED; i++) {
        struct new_file *file = &writing->files[i];
        struct format_error reason;
        if (writers[i](file->stream, writing->contents, &reason) != 0 ||
            new_file_finish(file, &reason) != 0)
            return fail(file, &reason, writing->error);
    }
    return 0;
}

/* Of the temporary pair, onto the temporary name: what cannot be served is found here. */
static int convert_pair(struct model_writing *writing)
{
    struct new_file *file = &writing->files[CONVERTED];
    struct format_error reason;
    struct dcnv2_error error;
    if (new_file_finish(file, &reason) != 0)
        return fail(file, &reason, writing->error);
    const struct dcnv2_source source = {.model_path = writing->files[WEIGHTS].temporary,
                                        .encoder_path = writing->files[ENCODER].temporary,
                                        .golden = GOLDEN_NONE}; /* that of another model */
    if (model_convert(&source, writing->contents->label, NULL, file->temporary, &error) == DCNV2_OK)
        return 0;
    /* The temporary name is nobody's business. */
    for (int i = 0; i < N_FILES; i++) {
        const size_t length = strlen(writing->files[i].temporary);
        if (strncmp(error.message, writing->files[i].temporary, length) == 0)
            return train_error_set(writing->error, "%s%s", writing->files[i].path,
                                   error.message + length);
    }
    return train_error_set(writing->error, "%s: %s", file->path, error.message);
}

static int keep_all(struct model_writing *writing)
{
    for (int i = 0; i < N_FILES; i++) {
        struct format_error reason;
        if (new_file_keep(&writing->files[i], &reason) != 0)
            return fail(&writing->files[i], &reason, writing->error);
    }
    return 0;
}

int model_files_write(const char *folder, const struct model_contents *contents,
                      struct train_error *error)
{
    struct model_writing writing = {.contents = contents, .error = error};
    int status = 0;
    while (status == 0 && writing.n_open < N_FILES) {
        status = open_in(&writing.files[writing.n_open], folder, names[writing.n_open], error);
        writing.n_open += status == 0;
    }
    if (status == 0)
        status = write_pair(&writing);
    if (status == 0)
        status = convert_pair(&writing);
    if (status == 0)
        status = keep_all(&writing);
    while (writing.n_open > 0)
        new_file_close(&writing.files[--writing.n_open]);
    return status;
}

int model_files_write_text(const char *folder, const char *name, const char *text,
                           struct train_error *error)
{
    struct new_file file;
    struct format_error reason;
    if (open_in(&file, folder, name, error) != 0)
        return -1;
    struct output output = {.stream = file.stream};
    output_put(&output, text, strlen(text));
    int status = 0;
    if (output_flush(&output, &reason) != 0 || new_file_finish(&file, &reason) != 0 ||
        new_file_keep(&file, &reason) != 0)
        status = fail(&file, &reason, error);
    new_file_close(&file);
    return status;
}
