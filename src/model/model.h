/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: what is inside the dcnv2_model of the public header, for the server's own use. */
#ifndef DCNV2_MODEL_MODEL_H
#define DCNV2_MODEL_MODEL_H

#include "dcnv2.h"
#include "encode/encoder.h"
#include "model/network.h"
#include "model/reading.h"

struct dcnv2_model {
    struct arena arena; /* names and descriptions of both */
    struct encoder encoder;
    struct network network;
    const struct kernels *kernels;
    struct file_bytes file; /* a converted one, in which tables and vocabularies lie */
};

/*
 * Makes a model of what was read, as dcnv2_model_load() returns it. Takes a converted file's
 * bytes over: nothing else of the reading is needed afterwards.
 */
int model_make(struct reading *reading, dcnv2_model **ret_model);

#endif
