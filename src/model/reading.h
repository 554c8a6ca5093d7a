/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reading.h: what a model's files say, read and checked one by one, before a model is made of it.
 *
 * Four kinds of source give the same description: the pair of a PyTorch state dict and a pickled
 * encoder (pair.c), weights with a model.json (described.c), FuxiCTR's own files
 * (fuxictr_folder.c), and the one file that dcnv2-convert made of any of them (converted.c).
 */
#ifndef DCNV2_MODEL_READING_H
#define DCNV2_MODEL_READING_H

#include "arena.h"
#include "dcnv2.h"
#include "encode/vocabulary.h"
#include "format/file.h"
#include "format/tensor.h"
#include "network/json_spec.h"
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
    struct arena arena;      /* of everything below */
    struct arena spec_arena; /* of `spec`: the model takes both */
    struct file_bytes model_bytes;
    struct file_bytes encoder_bytes; /* or a model.json and the files that it names, in order; or
                                      * what lies beside FuxiCTR's weights */

    const char *weights_path; /* of model_bytes */
    bool is_converted;
    bool is_fuxictr;          /* its feature_map.json lies beside */
    bool is_described;        /* `spec` tells the network; else the names of the tensors do */
    struct network_spec spec; /* not resolved */
    bool in_place; /* the model uses tables, and a converted one's vocabularies, where they lie */
    const char *schema_path;        /* the file that says which columns there are */
    uint32_t n_sparse, n_dense;     /* vocabularies, and scaled columns if not is_described */
    struct text *names;             /* [n_sparse + n_dense], sparse first */
    struct reading_column *columns; /* [n_sparse] */
    const struct scaling *scaling;  /* [n_dense] */
    struct tensor_list tensors;     /* of the network */
    const char *label;              /* column of the training data, or NULL: not known */
    struct text golden;             /* a golden set (golden.h), or at == NULL: there is none */
    const char *golden_path;        /* where it is, for messages */
    struct file_bytes golden_bytes; /* of its file */
};

/*
 * Reads the source's files; which kind they are is found by their content. Returns a status;
 * reading_close() is due in any case. The source and the error are borrowed until then.
 */
int reading_open(struct reading *reading, const struct dcnv2_source *source,
                 struct dcnv2_error *error);
void reading_close(struct reading *reading);

/* Whether a model.json or FuxiCTR's files describe the network of these weights, as the source
 * names them or as they lie there. Returns a status. */
int reading_find_description(const struct dcnv2_source *source, bool *ret_found,
                             struct dcnv2_error *error);

/* ---- for pair.c, converted.c and who goes on from them */

int converted_read(struct reading *reading);

/* `encoder_status` and *error: of the reading of the encoder file. The model file's faults come
 * first. */
int pair_read(struct reading *reading, int encoder_status);

/* The model.json that the source names, or beside its weights, or in its folder; NULL: there is
 * none. Returns a status. */
int described_find(struct reading *reading, const char **ret_path);
bool described_is_folder(const char *path);

/* Reads it; sets weights_path if the source names a folder. Returns a status. */
int described_read(struct reading *reading, const char *path);

/* Whether FuxiCTR's files are there, if no model.json is; sets weights_path if the source names a
 * folder, which is of one of these two kinds. Returns a status. */
int fuxictr_find(struct reading *reading);

/* Reads them, once the tensors are read. Returns a status. */
int fuxictr_take(struct reading *reading);

/* Goes on with reading->spec and these vocabularies. Returns a status. */
int described_take(struct reading *reading, const struct spec_vocabularies *vocabularies);

/* "FOLDER/NAME" of the folder that a path names, or lies in. NULL: no memory. */
const char *reading_path_beside(struct reading *reading, const char *path, bool is_folder,
                                struct text name);

/* Whether a file that is read only if it is there has to be read: also a link that leads nowhere,
 * and a name that cannot be looked up, which reading then refuses. */
bool reading_is_there(const char *path);

/* Room for n_sparse columns and all names. Returns a status. */
int reading_make_room(struct reading *reading, size_t n_sparse, size_t n_dense);

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
