/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h: HTTP/2 on a connection (RFC 9113): many requests at once, each on a stream.
 *
 * Framing, header compression and flow control are nghttp2's work; memory, time and the order of
 * work are ours. A client begins with HTTP/2 at once (prior knowledge): http1/session.h sees that
 * by the first bytes.
 */
#ifndef DCNV2_HTTP2_SESSION_H
#define DCNV2_HTTP2_SESSION_H

#include "net/session.h"

/* The bytes that a client of HTTP/2 sends first (RFC 9113 section 3.4). */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum { HTTP2_PREFACE_BYTES = sizeof HTTP2_PREFACE - 1 };

/* The connection, whose input begins with the preface, goes on as HTTP/2. -1: no memory. */
int http2_take_over(struct connection *connection);

#endif
