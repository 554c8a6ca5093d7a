/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h: what a reply says, exchange->reply, and how it is sent: status line, fields, body. */
#ifndef DCNV2_HTTP_REPLY_H
#define DCNV2_HTTP_REPLY_H

#include "http/exchange.h"

/* JSON, in the exchange's arena or static. */
void reply_text(struct exchange *exchange, int http_status, struct text body);

/* Leaves the reply without a body, for which a prepared 503 is sent. */
void reply_no_memory(struct exchange *exchange);

/* {"error": MESSAGE} */
void reply_error(struct exchange *exchange, const struct request_error *error);
void reply_failure(struct exchange *exchange, int http_status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void reply_no_model(struct exchange *exchange);

/*
 * Makes exchange->out of exchange->reply, its body compressed where the client takes that and it
 * pays. `close`: it says that the connection ends. false: for lack of memory a 503 is sent in its
 * place, which says that the connection ends.
 */
bool reply_lay_out(struct exchange *exchange, bool close);

#endif
