/* SPDX-License-Identifier: Apache-2.0 */
/* v2_tensors.h: the tensors of a v2 request, "inputs", into a frame. For v2.c. */
#ifndef DCNV2_PROTOCOL_V2_TENSORS_H
#define DCNV2_PROTOCOL_V2_TENSORS_H

#include "protocol/json.h"
#include "protocol/v2.h"

struct v2_reader {
    struct json_reader *json;
    struct frame *frame;
    struct request_error *error;
    struct v2_memory *memory; /* or NULL */
    struct text binary;       /* what follows the JSON */
    size_t binary_used;       /* bytes of it that tensors have taken */
    uint8_t *seen;            /* [n_columns]: a tensor of that name was read */
    uint32_t max_rows;        /* of the frame; columns of lists are read without it */
    uint32_t n_inputs;        /* number of the tensor being read, from 1 */
};

/* The value of "inputs", which comes next. 0: every column is full, and of one length. */
int v2_read_inputs(struct v2_reader *v2);

#endif
