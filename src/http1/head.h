/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h: the head of an HTTP/1.1 request (RFC 9112): request line and the fields of framing; the
 * other fields are read by serve/request_head.h.
 *
 * Strict where leniency lets two parties see two different requests: line ends are CRLF, a
 * field's name is a token right before its colon, no line is folded, values hold no control
 * bytes, the length is given once and in one way. No I/O, no allocation; thread-safe.
 */
#ifndef DCNV2_HTTP1_HEAD_H
#define DCNV2_HTTP1_HEAD_H

#include "frame.h"
#include "serve/request_head.h"

enum { TARGET_MAX_BYTES = 16 * 1024 };

/* What a byte may stand in: a token (RFC 9110 section 5.6.2), a field's value (5.5). */
enum { HEAD_TOKEN = 1, HEAD_VALUE = 2 };
extern const unsigned char head_kind_of_byte[256];

/* What a head says of framing, and of the connection. */
struct head {
    bool is_1_0;
    bool keep_alive; /* what the client wants of the connection behind this request */
    bool is_chunked;
    bool expects_continue;
};

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
 * Reads a complete head; texts of *request are in the bytes that were read. -1: its framing cannot
 * be trusted or its version is not ours; *error says why, and the connection must be closed.
 */
int head_read(struct head *head, struct request_head *request, const char *at, size_t length,
              struct request_error *error);

#endif
