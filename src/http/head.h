/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h: what a request's header fields say, checked before a byte of its body is taken.
 *
 * libmicrohttpd 0.9.75 lets framing through that splits one request into two (two lengths,
 * a length beside chunks, a coding other than chunks), so these checks are ours.
 */
#ifndef DCNV2_HTTP_HEAD_H
#define DCNV2_HTTP_HEAD_H

#include <microhttpd.h>

#include "frame.h"

/* Only the types whose bodies cannot be read as JSON or tensors matter. */
enum content_type { CONTENT_ANY, CONTENT_MULTIPART, CONTENT_CLOUD_EVENT };

enum content_coding { CODING_IDENTITY, CODING_GZIP, CODING_UNSUPPORTED };

struct head {
    bool is_chunked;
    uint64_t content_length; /* 0 where none is given */
    enum content_coding coding;
    bool accepts_gzip;
    bool expects_continue;
    enum content_type type;
    /* Inference-Header-Content-Length: how often, and the last one where it is a number. */
    unsigned n_inference_header_lengths;
    bool inference_header_length_is_number;
    uint64_t inference_header_length;
};

/*
 * -1: the message's framing cannot be trusted or its version is not ours; *error says why, and
 * the connection must be closed.
 */
int head_read(struct head *head, struct MHD_Connection *connection, const char *version,
              struct request_error *error);

#endif
