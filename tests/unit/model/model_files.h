/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_files.h: a small model's two files, put together tensor by tensor and column by
 * column, in a folder of their own; a test changes one thing and asks whether it is refused.
 *
 * The model as it starts: dense columns "price", "age"; sparse columns "cate" of 2 classes
 * and "brand" of 3; x0 of 2 + 4 + 3 = 9; cross layers 0 (layer norm) and 1 (full); a deep
 * network 5-3; output of 12. Its weights are small numbers.
 */
#ifndef DCNV2_TESTS_MODEL_MODEL_FILES_H
#define DCNV2_TESTS_MODEL_MODEL_FILES_H

#include <stdbool.h>

#include "dcnv2.h"

enum { MODEL_FILES_MAX_TENSORS = 40, MODEL_FILES_MAX_COLUMNS = 8 };

struct model_files {
    char folder[64], model_path[128], encoder_path[128];
    struct model_files_tensor {
        char name[64];
        unsigned n_dims;
        long long sizes[4];
        long long special_at; /* this element is `special`; -1: none */
        float special;
    } tensors[MODEL_FILES_MAX_TENSORS];
    size_t n_tensors;
    float factor; /* of all weights: 1 */

    const char *dense_names[MODEL_FILES_MAX_COLUMNS];
    size_t n_dense;
    bool dense_unnamed; /* a scaler fitted without names */
    struct model_files_column {
        const char *name;
        unsigned n_classes; /* "c00", "c01", .. */
    } columns[MODEL_FILES_MAX_COLUMNS];
    size_t n_columns;
};

/* Makes the folder; ends the test if it cannot. Every start has its end. */
void model_files_start(struct model_files *files);
void model_files_end(struct model_files *files);

/* The tensor of this name; ends the test if there is none. */
struct model_files_tensor *model_files_find(struct model_files *files, const char *name);
void model_files_remove(struct model_files *files, const char *name);
void model_files_add(struct model_files *files, const char *name, unsigned n_dims, long long rows,
                     long long columns);

/* Writes both, each put in its place in one step. */
void model_files_put(const struct model_files *files);

void write_whole_file(const char *path, const void *bytes, size_t size);

struct dcnv2_source model_files_source(const struct model_files *files);

/* One line of printable text, NUL-terminated. */
bool is_one_line_message(const struct dcnv2_error *error);

/*
 * Refused with this status, the result untouched, the message one line that starts with
 * `path` and ": " (NULL: any) and has `needle` in it (NULL: any). Says what else happened.
 */
bool is_load_refused(const struct dcnv2_source *source, enum dcnv2_status status, const char *path,
                     const char *needle);

/* Loaded, and scores a row of unknown values; says why not. */
bool is_load_good(const struct dcnv2_source *source);

#endif
