/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_head.h: what the head of a request says of its content and of the reply that is wanted,
 * whichever version of HTTP brought the fields (RFC 9110). Framing is the session's matter.
 * No I/O, no allocation; thread-safe.
 */
#ifndef DCNV2_SERVE_REQUEST_HEAD_H
#define DCNV2_SERVE_REQUEST_HEAD_H

#include "frame.h"
#include "log.h"
#include "serve/content_coding.h"

enum { HEAD_MAX_BYTES = 72 * 1024 }; /* more than the 60 KiB that Envoy lets through */

/* Only the types whose bodies cannot be read as JSON or tensors matter. */
enum content_type { CONTENT_ANY, CONTENT_MULTIPART, CONTENT_CLOUD_EVENT, CONTENT_GRPC };

/* Texts are in the bytes that were read; of a field that was not sent they are {NULL, 0}. */
struct request_head {
    struct text method, target;
    bool is_head;            /* the method is HEAD: no body is sent */
    uint64_t content_length; /* 0 where none is given */
    enum content_coding coding;
    struct text coding_value; /* CODING_UNSUPPORTED: the Content-Encoding that made it so */
    bool accepts_gzip;
    enum content_type type;
    struct text type_value; /* Content-Type */
    struct text origin;
    /* Of a gRPC call: how its messages may be packed, and how those of the reply may be. */
    enum content_coding message_coding;
    struct text message_coding_value; /* CODING_UNSUPPORTED: the grpc-encoding that made it so */
    bool accepts_gzip_messages;
    struct text grpc_timeout;
    /* Inference-Header-Content-Length: how often, and the last one where it is a number. */
    unsigned n_inference_header_lengths;
    bool inference_header_length_is_number;
    uint64_t inference_header_length;
    struct text inference_header_value; /* where it is not */
    /* X-Request-Id, as much of the value as a log line shows: a copy, since the bytes that were
     * read may be gone when there is something to log. Its length is 0 where none came. */
    char request_id[REQUEST_ID_MAX_BYTES];
    size_t request_id_length;
};

static inline struct text request_head_id(const struct request_head *head)
{
    return (struct text){head->request_id, head->request_id_length};
}

/* Takes a field, `name` without regard to case; one that means nothing here is passed over. */
void request_head_field(struct request_head *head, struct text name, struct text value);

/* 1*DIGIT; a number that does not fit counts as the largest. false: it is none. */
bool request_head_read_length(struct text value, uint64_t *ret_length);

#endif
