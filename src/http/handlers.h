/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.h: what each route answers. */
#ifndef DCNV2_HTTP_HANDLERS_H
#define DCNV2_HTTP_HANDLERS_H

#include "http/exchange.h"

/* By exchange->match. true: the reply is set. false: it will be by predict_score(), predict.h. */
bool handle(struct exchange *exchange);

#endif
