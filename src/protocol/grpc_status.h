/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_status.h: what gRPC puts around a message in HTTP/2: the prefix of its length, the status of
 * an answer, the deadline of a call (gRPC over HTTP/2,
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Hostile input.
 */
#ifndef DCNV2_PROTOCOL_GRPC_STATUS_H
#define DCNV2_PROTOCOL_GRPC_STATUS_H

#include "frame.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16
};

/* The status with which gRPC says what a request_error says with that of HTTP. */
enum grpc_status grpc_status_of_http(int http_status);

/* The bytes that grpc_message_encode() takes at most for a text of that length. */
static inline size_t grpc_message_max(size_t length)
{
    return 3 * length;
}

/* The value of grpc-message: all but printable ASCII, and '%', as %XX. Returns its length; no NUL
 * is written. */
size_t grpc_message_encode(char *out, struct text message);

/*
 * The value of grpc-timeout: 1 to 8 digits and a unit, H M S m u n. UINT64_MAX if it is longer than
 * 64 bits of nanoseconds hold. -1: *error.
 */
int grpc_timeout_read(struct text value, uint64_t *ret_ns, struct request_error *error);

/* ---- the prefix of a message ---- */

enum { GRPC_PREFIX_BYTES = 5 };

/* Zero at first, and again for the next message. */
struct grpc_prefix {
    unsigned char bytes[GRPC_PREFIX_BYTES];
    unsigned n; /* that have come */
    bool is_compressed;
    uint32_t length; /* of the message */
};

enum grpc_prefix_state { GRPC_PREFIX_WRONG = -1, GRPC_PREFIX_CUT = 0, GRPC_PREFIX_WHOLE = 1 };

/*
 * Takes the prefix, or what there is of it, from the front of `data`, in as many calls as it comes
 * in pieces. GRPC_PREFIX_WRONG: *error says that there is no such flag, or that the message is
 * longer than `limit` bytes, before any of it was read.
 */
enum grpc_prefix_state grpc_prefix_read(struct grpc_prefix *prefix, struct text *data, size_t limit,
                                        struct request_error *error);

/* Before a message of that length. */
void grpc_prefix_write(char out[GRPC_PREFIX_BYTES], uint32_t length, bool is_compressed);

#endif
