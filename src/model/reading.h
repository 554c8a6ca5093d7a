/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reading.h: what a model's files say, read and checked one by one, before a model is made of it.
 *
 * Two kinds of source give the same description: the pair of a network's tensors (PyTorch's file,
 * or safetensors) and a pickled encoder (pair.c), and the one file that dcnv2-convert made of such
 * a pair (converted.c).
 */
#ifndef DCNV2_MODEL_READING_H
#define DCNV2_MODEL_READING_H

#include "arena.h"
#include "dcnv2.h"
#include "encode/vocabulary.h"
#include "format/file.h"
#include "format/tensor.h"
#include "scaling.h"

/* A category column: its classes, or the vocabulary that was made of them before. */
struct reading_column {
    uint32_t n_classes;
    const struct text *classes;   /* [n_classes], distinct; NULL: see `vocabulary` */
    struct vocabulary vocabulary; /* borrows from the file */
    const uint32_t *offsets;      /* [n_classes + 1], of the classes in vocabulary.texts */
    struct special_rows special;
};

struct reading {
    const struct dcnv2_source *source;
    struct dcnv2_error *error;
    struct arena arena; /* of everything below */
    struct file_bytes model_bytes, encoder_bytes;

    bool is_converted;
    bool in_place; /* the model uses tables, and a converted one's vocabularies, where they lie */
    const char *schema_path;        /* the file that says which columns there are */
    uint32_t n_sparse, n_dense;     /* not both 0 */
    struct text *names;             /* [n_sparse + n_dense], sparse first */
    struct reading_column *columns; /* [n_sparse] */
    const struct scaling *scaling;  /* [n_dense] */
    struct tensor_list tensors;     /* of the network */
    const char *label;              /* column of the training data, or NULL: not known */
};

/*
 * Reads the source's files; which kind they are is found by their content. Returns a status;
 * reading_close() is due in any case. The source and the error are borrowed until then.
 */
int reading_open(struct reading *reading, const struct dcnv2_source *source,
                 struct dcnv2_error *error);
void reading_close(struct reading *reading);

/* ---- for pair.c, converted.c and who goes on from them */

int converted_read(struct reading *reading);

/* `encoder_status` and *error: of the reading of the encoder file. The model file's faults come
 * first. */
int pair_read(struct reading *reading, int encoder_status);

/* Room for n_sparse columns and all names. Returns a status. */
int reading_make_room(struct reading *reading, size_t n_sparse, size_t n_dense);

/* Rows that the table of a column needs. */
uint64_t reading_rows_needed(const struct reading_column *column);

/* Text of class `i` of a column, of either kind of source. */
struct text reading_class(const struct reading_column *column, uint32_t i);

/* What an arena may take for the reading of so many bytes. */
size_t reading_limit_bytes(size_t size);

/* Fills *error with "PATH: .." (PATH may be NULL), one printable line; returns the status. */
int model_error_set(struct dcnv2_error *error, enum dcnv2_status status, const char *path,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
int model_error_memory(struct dcnv2_error *error);

/* The same of what a file's reader says. */
int model_error_from(struct dcnv2_error *error, enum dcnv2_status status, const char *path,
                     const struct format_error *reason);

#endif
