/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h: what a reply says, request->reply; how a session sends it is the session's matter. */
#ifndef DCNV2_SERVE_REPLY_H
#define DCNV2_SERVE_REPLY_H

#include "serve/request.h"

/* JSON, in the request's arena or static. */
void reply_text(struct request *request, int http_status, struct text body);

/* Leaves the reply without a body, for which a prepared 503 is sent. */
void reply_no_memory(struct request *request);

/* {"error": MESSAGE} */
void reply_error(struct request *request, const struct request_error *error);
void reply_failure(struct request *request, int http_status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void reply_no_model(struct request *request);

/* Packs the body with gzip if the client takes that and it pays; true: it is packed. */
bool reply_compress(struct request *request);

/* The reply cannot be sent for lack of memory: it becomes a 503 for metrics and log. */
void reply_lost(struct request *request);

#endif
