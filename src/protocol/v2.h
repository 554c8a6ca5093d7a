/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v2.h: the Open Inference Protocol (v2), request body to frame and scores to reply,
 * with the binary tensor data extension both ways.
 *
 * A tensor is a column: {"name", "shape", "datatype", "data"}, or instead of data
 * {"parameters": {"binary_data_size": N}} and N bytes behind the JSON, in the order of
 * the tensors. A value in JSON is taken as written whatever the datatype says, as
 * KServe's client names a column's type by its first value; but an integer lies within the range of
 * an integer datatype. A tensor's "content_type" is looked at (tensor_content.h), the request's is
 * not.
 */
#ifndef DCNV2_PROTOCOL_V2_H
#define DCNV2_PROTOCOL_V2_H

#include "frame.h"
#include "protocol/datatype.h"
#include "protocol/request_tensor.h"
#include "protocol/tensor_content.h"

struct v2_options {
    struct text id; /* at == NULL: none was sent, or null */
    bool binary_output;
    bool wants_logits; /* "parameters": {"logit": true}: the output holds logits, not probabilities
                        */
};

/*
 * How the tensors of earlier requests began. A client writes the same words before its values each
 * time, so that one comparison of bytes takes the place of reading {"name": .., "shape": ..,
 * "datatype": .., "data": [ once more. What is not the same byte for byte is read as ever.
 */
enum { V2_OPENINGS = 64, V2_OPENING_MAX = 112 };

struct v2_opening {
    uint16_t length; /* of the text up to and with the '[' of "data"; 0: none */
    uint16_t name_at, name_length, datatype_at, datatype_length;
    enum datatype datatype;
    enum tensor_content content_type;
    uint32_t column;
    struct input_shape shape;
    char text[V2_OPENING_MAX];
};

struct v2_memory {
    const struct schema *schema;             /* whose columns they name */
    struct v2_opening openings[V2_OPENINGS]; /* by the tensor's place */
};

/*
 * `memory` is zero at first, one thread's, and kept from request to request; or NULL.
 * `json_length`: length of the JSON part, body.length when there is no binary part.
 * `model_name` stands in messages only. 0: *frame holds one row or more, every column full.
 */
int v2_parse(struct frame *frame, struct text body, size_t json_length, const char *model_name,
             struct v2_memory *memory, struct v2_options *ret_options, struct request_error *error);

enum { V2_UUID_LENGTH = 36 };

/* The id of a request that had none, of 16 random bytes: RFC 4122, version 4. */
void v2_print_uuid(const unsigned char random[16], char out[V2_UUID_LENGTH]);

struct v2_reply {
    struct text body;   /* in the arena; at == NULL: out of memory */
    size_t json_length; /* body.length unless the output is binary */
};

/* `random`: 16 random bytes for the id (RFC 4122 version 4) where the request had none. */
/* scores: or logits */
struct v2_reply v2_render(struct arena *arena, const char *model_name,
                          const struct v2_options *options, const unsigned char random[16],
                          const float *scores, uint32_t n_rows);

#endif
