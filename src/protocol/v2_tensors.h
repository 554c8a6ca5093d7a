/* SPDX-License-Identifier: Apache-2.0 */
/* v2_tensors.h: the tensors of a v2 request, "inputs", into a frame. For v2.c. */
#ifndef DCNV2_PROTOCOL_V2_TENSORS_H
#define DCNV2_PROTOCOL_V2_TENSORS_H

#include "protocol/json.h"
#include "protocol/v2.h"

struct v2_reader {
    struct json_reader *json;
    struct tensor_inputs inputs;
    struct v2_memory *memory; /* or NULL */
    struct text binary;       /* what follows the JSON */
    size_t binary_used;       /* bytes of it that tensors have taken */
};

/* The value of "inputs", which comes next. 0: every column is full, and of one length. */
int v2_read_inputs(struct v2_reader *v2);

#endif
