/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_tensors.h: the tensors of a ModelInferRequest into a frame, and the parameters that a
 * request, an input and an output have alike. For grpc_infer.c. */
#ifndef DCNV2_PROTOCOL_GRPC_TENSORS_H
#define DCNV2_PROTOCOL_GRPC_TENSORS_H

#include "protocol/grpc_infer.h"
#include "protocol/protobuf.h"

/* Field numbers of ModelInferRequest. */
enum {
    INFER_MODEL_NAME = 1,
    INFER_MODEL_VERSION,
    INFER_ID,
    INFER_PARAMETERS,
    INFER_INPUTS,
    INFER_OUTPUTS,
    INFER_RAW_INPUT_CONTENTS
};

/* An entry of map<string, InferParameter>. */
struct grpc_parameter {
    struct text key;
    enum {
        PARAMETER_NONE = 0, /* as null in JSON */
        PARAMETER_BOOL,     /* its field number, as the others' are */
        PARAMETER_INT64,
        PARAMETER_STRING,
        PARAMETER_DOUBLE,
        PARAMETER_UINT64
    } kind;
    bool boolean;     /* of PARAMETER_BOOL */
    struct text text; /* of PARAMETER_STRING */
};

/* The entry that `bytes` of a field of `outer` hold. */
int grpc_parameter_read(const struct protobuf_reader *outer, struct text bytes,
                        struct grpc_parameter *ret);

/* 0: *frame's columns are full and of one length, of no rows perhaps. -1: *error. */
int grpc_tensors_read(const struct grpc_infer_request *request, struct frame *frame,
                      struct request_error *error);

#endif
