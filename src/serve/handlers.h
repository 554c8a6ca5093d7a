/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.h: what each route answers, but for predictions (predict.h). Each sets request->reply.
 */
#ifndef DCNV2_SERVE_HANDLERS_H
#define DCNV2_SERVE_HANDLERS_H

#include "serve/request.h"

/* By the row of the route table. true: the reply is set; false: predict() says when. */
bool handle(struct request *request);

void handle_root(struct request *request);
void handle_live(struct request *request);
void handle_ready(struct request *request);
void handle_metrics(struct request *request);
void handle_server(struct request *request);
void handle_models(struct request *request);
void handle_model_ready(struct request *request);
void handle_metadata(struct request *request);
void handle_explain(struct request *request);
void handle_version(struct request *request);
void handle_load(struct request *request);
void handle_unload(struct request *request);

#endif
