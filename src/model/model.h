/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: what is inside the dcnv2_model of the public header, for the server's own use. */
#ifndef DCNV2_MODEL_MODEL_H
#define DCNV2_MODEL_MODEL_H

#include "dcnv2.h"
#include "encode/encoder.h"
#include "model/golden.h"
#include "model/network.h"
#include "model/reading.h"

struct dcnv2_model {
    struct arena arena;            /* names and descriptions of both */
    struct arena vocabulary_arena; /* of a pair, in one block; unused of a converted file */
    struct encoder encoder;
    struct network_spec spec;
    struct network network;
    const struct kernels *kernels;
    struct file_bytes file; /* of a model in place, see reading.h */
    struct golden golden;   /* the outcome of its golden set */
    const char *note;       /* one line on classes that look like that of unseen values, or NULL */
};

/*
 * Makes a model of what was read, as dcnv2_model_load() returns it, except that it uses the
 * reading's file where it lies: to be freed before reading_close().
 */
int model_make(struct reading *reading, dcnv2_model **ret_model);

/* ---- unknown.c, for model_make() */

/* The rows of values that are no class: of the classes that the source names for that
 * (unknown_classes), in the reading's columns. Returns a status. Sets the model's note if there are
 * classes that look like it, and none is named. vocabularies: [n_sparse]. */
int model_choose_unknown(struct reading *reading, const struct vocabulary *vocabularies,
                         struct dcnv2_model *model);

/* The bytes of a model's files, as they were when it was made of them. */
struct source_bytes {
    struct file_bytes model;
    struct file_bytes encoder; /* or a model.json and the files that it names, behind each other;
                                * empty beside a converted file */
    bool is_described;         /* it is the latter */
    bool is_lent;              /* `model` is the model's own, and goes with it */
};

/* As dcnv2_model_load(); *ret_bytes is the caller's, for source_bytes_free(). */
int model_load_with_bytes(const struct dcnv2_source *source, dcnv2_model **ret_model,
                          struct source_bytes *ret_bytes, struct dcnv2_error *error);

/* Empties it; accepts an empty one. */
void source_bytes_free(struct source_bytes *bytes);

#endif
