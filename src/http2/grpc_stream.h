/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_stream.h: a call of gRPC on a stream (gRPC over HTTP/2): messages behind their prefixes,
 * and trailers with the call's status. For stream.c.
 */
#ifndef DCNV2_HTTP2_GRPC_STREAM_H
#define DCNV2_HTTP2_GRPC_STREAM_H

#include "http2/stream.h"

/* The reply to a call of one message is set: gives it to nghttp2. */
void grpc_send_reply(struct stream *stream);

/* Some bytes have come, which request->body holds: refuses a message that is too long by its
 * prefix, and answers those of a call that has several. */
void grpc_data(struct stream *stream);

/* The client has sent its end. true: the call has more than one answer, and is taken care of. */
bool grpc_end(struct stream *stream);

/* At each look at the deadlines: tells who watches of a change; ends calls in which no message has
 * come for --idle_timeout, and, if the server `ends`, all that would stay open. */
void grpc_look(struct stream *stream, bool ends, uint64_t now_ms);

#endif
