/* SPDX-License-Identifier: Apache-2.0 */
/* reply_bytes.h: a reply as HTTP/1.1 sends it (RFC 9112): status line, fields, body. */
#ifndef DCNV2_HTTP1_REPLY_BYTES_H
#define DCNV2_HTTP1_REPLY_BYTES_H

#include "http1/head.h"
#include "serve/request.h"

/*
 * `out`, one part behind the other, is request->reply, its body compressed if the client takes that
 * and it pays; the parts are in the request's memory. `close`: the reply says that the connection
 * ends. false: for lack of memory a 503 takes its place, which says that the connection ends.
 */
bool reply_bytes(struct request *request, const struct head *head, bool close, struct text out[2]);

#endif
