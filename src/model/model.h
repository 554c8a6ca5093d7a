/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: what is inside the dcnv2_model of the public header, for the server's own use. */
#ifndef DCNV2_MODEL_MODEL_H
#define DCNV2_MODEL_MODEL_H

#include "dcnv2.h"
#include "encode/encoder.h"
#include "model/network.h"
#include "model/reading.h"

struct dcnv2_model {
    struct arena arena;            /* names and descriptions of both */
    struct arena vocabulary_arena; /* of a pair, in one block; unused of a converted file */
    struct encoder encoder;
    struct network network;
    const struct kernels *kernels;
    struct file_bytes file; /* of a model in place, see reading.h */
};

/*
 * Makes a model of what was read, as dcnv2_model_load() returns it, except that it uses the
 * reading's file where it lies: to be freed before reading_close().
 */
int model_make(struct reading *reading, dcnv2_model **ret_model);

#endif
