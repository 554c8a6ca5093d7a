/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h: the head of an HTTP/1.1 request (RFC 9112): request line and header fields.
 *
 * Strict where leniency lets two parties see two different requests: line ends are CRLF, a
 * field's name is a token right before its colon, no line is folded, values hold no control
 * bytes, the length is given once and in one way. No I/O, no allocation; thread-safe.
 */
#ifndef DCNV2_HTTP_HEAD_H
#define DCNV2_HTTP_HEAD_H

#include "frame.h"
#include "log.h"

enum {
    HEAD_MAX_BYTES = 72 * 1024, /* more than the 60 KiB that Envoy lets through */
    TARGET_MAX_BYTES = 16 * 1024
};

/* What a byte may stand in: a token (RFC 9110 section 5.6.2), a field's value (5.5). */
enum { HEAD_TOKEN = 1, HEAD_VALUE = 2 };
extern const unsigned char head_kind_of_byte[256];

/* Only the types whose bodies cannot be read as JSON or tensors matter. */
enum content_type { CONTENT_ANY, CONTENT_MULTIPART, CONTENT_CLOUD_EVENT };

enum content_coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_UNSUPPORTED };

static inline bool coding_is_packed(enum content_coding coding)
{
    return coding == CODING_GZIP || coding == CODING_DEFLATE;
}

/* Texts are in the bytes that were read; of a field that was not sent they are {NULL, 0}. */
struct head {
    struct text method, target;
    bool is_head; /* the method is HEAD: no body is sent */
    bool is_1_0;
    bool keep_alive; /* what the client wants of the connection behind this request */
    bool is_chunked;
    uint64_t content_length; /* 0 where none is given */
    enum content_coding coding;
    struct text coding_value; /* CODING_UNSUPPORTED: the Content-Encoding that made it so */
    bool accepts_gzip;
    bool expects_continue;
    enum content_type type;
    struct text type_value; /* Content-Type */
    struct text origin;
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

static inline struct text head_request_id(const struct head *head)
{
    return (struct text){head->request_id, head->request_id_length};
}

enum head_size { HEAD_INCOMPLETE, HEAD_COMPLETE, HEAD_MALFORMED };

/*
 * Looks for the empty line that ends the head. `scanned` is 0 at first and is kept by the caller
 * from call to call, so that a head that comes byte by byte is looked at once. HEAD_COMPLETE: the
 * head takes *ret_bytes. HEAD_MALFORMED: it can never become one, and *error says why; among
 * others 431 and 414 where it is longer than HEAD_MAX_BYTES.
 */
enum head_size head_find_end(const char *at, size_t length, size_t *scanned, size_t *ret_bytes,
                             struct request_error *error);

/*
 * Reads a complete head. -1: its framing cannot be trusted or its version is not ours; *error says
 * why, and the connection must be closed.
 */
int head_read(struct head *head, const char *at, size_t length, struct request_error *error);

#endif
