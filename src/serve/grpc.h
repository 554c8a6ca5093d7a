/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.h: calls of gRPC (Open Inference Protocol, health, reflection), from a message to the
 * message that answers it. The session puts prefixes and trailers around them.
 */
#ifndef DCNV2_SERVE_GRPC_H
#define DCNV2_SERVE_GRPC_H

#include "serve/request.h"

/* The head is read: the call's deadline; what is wrong with the head becomes request->error. */
void grpc_begin(struct request *request);

/* The bytes of a unary call's body have begun to come: a message that is too long is refused by its
 * prefix. -1: *error. */
int grpc_check_prefix(const struct request *request, struct request_error *error);

/*
 * The message at the front of `*data`, which goes behind it; unpacked, in memory of the request.
 * 0: it is not whole; 1: it is; -1: *error.
 */
int grpc_take_message(struct request *request, struct text *data, struct text *ret_message,
                      struct request_error *error);

/* request->content is the body of a unary call. As request_answer(); the reply's body is a
 * message, or an error's text. */
bool grpc_answer(struct request *request);

/* Answers one message of a call that has several. */
void grpc_answer_message(struct request *request, struct text message);

/* What Watch tells of. */
bool grpc_is_ready(const struct request *request);

/* Handlers: request->content is a message. */
void grpc_handle_live(struct request *request);
void grpc_handle_ready(struct request *request);
void grpc_handle_server(struct request *request);
void grpc_handle_model_ready(struct request *request);
void grpc_handle_model(struct request *request);
void grpc_handle_load(struct request *request);
void grpc_handle_unload(struct request *request);
void grpc_handle_index(struct request *request);
void grpc_handle_health(struct request *request);
void grpc_handle_watch(struct request *request);
void grpc_handle_reflection(struct request *request);

#endif
