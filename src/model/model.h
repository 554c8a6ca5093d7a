/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: what is inside the dcnv2_model of the public header, for the server's own use. */
#ifndef DCNV2_MODEL_MODEL_H
#define DCNV2_MODEL_MODEL_H

#include "dcnv2.h"
#include "encode/encoder.h"
#include "model/network.h"

struct dcnv2_model {
    struct arena arena; /* names and descriptions of both */
    struct encoder encoder;
    struct network network;
    const struct kernels *kernels;
};

#endif
