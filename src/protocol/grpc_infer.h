/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_infer.h: inference.ModelInferRequest of the Open Inference Protocol, message to frame, and
 * scores to inference.ModelInferResponse. v2.h is the same in JSON: its rules and its messages
 * hold here.
 *
 * The values of a tensor stand in its own contents, in the field of its datatype, or those of all
 * tensors in raw_input_contents, one for each in their order; as the values came, so does the reply
 * go. Stricter than JSON: values in a field of another datatype are refused, and a column that the
 * model lacks has to have as many rows as the others.
 */
#ifndef DCNV2_PROTOCOL_GRPC_INFER_H
#define DCNV2_PROTOCOL_GRPC_INFER_H

#include "frame.h"

/* Texts are UTF-8, of the message, and empty if none was sent. */
struct grpc_infer_options {
    struct text model_name, model_version;
    struct text id;
    bool wants_logits; /* parameter "logit" */
    bool raw_output;   /* parameters "binary_data" of the output, "binary_data_output"; or else
                        * whether the values were raw */
};

/* All of a message but its tensors, such as the name by which the model is looked up. */
struct grpc_infer_request {
    struct text message;
    struct grpc_infer_options options;
    struct text unknown_output; /* the first that no model has; at == NULL: none */
    const char *first_input, *first_raw;
    uint32_t n_inputs, n_raw;
};

/* Reads the message but for the tensors. -1: *error. */
int grpc_infer_open(struct text message, struct grpc_infer_request *ret,
                    struct request_error *error);

/*
 * Reads the tensors. `model_name` is the served model's. 0: *frame holds one row or more, every
 * column full; its texts lie in the message. -1: *error; a 404 if the request names another model.
 */
int grpc_infer_read(const struct grpc_infer_request *request, struct frame *frame,
                    const char *model_name, struct request_error *error);

/* Both at once. */
int grpc_infer_parse(struct frame *frame, struct text message, const char *model_name,
                     struct grpc_infer_options *ret, struct request_error *error);

/* `random`: 16 random bytes for the id of a reply to a request that had none; NULL: it stays empty.
 * scores: or logits. The message is in the arena; at == NULL: out of memory. */
struct text grpc_infer_render(struct arena *arena, const char *model_name,
                              const struct grpc_infer_options *options,
                              const unsigned char random[16], const float *scores, uint32_t n_rows);

#endif
