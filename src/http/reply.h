/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h: a reply as it is sent: status line, header fields, body. */
#ifndef DCNV2_HTTP_REPLY_H
#define DCNV2_HTTP_REPLY_H

#include "http/exchange.h"

/*
 * Makes exchange->out of exchange->reply, its body compressed where the client takes that and it
 * pays. `close`: it says that the connection ends. false: for lack of memory a 503 is sent in its
 * place, which says that the connection ends.
 */
bool reply_lay_out(struct exchange *exchange, bool close);

#endif
