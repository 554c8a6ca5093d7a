/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_reflection.h: ServerReflectionInfo of grpc.reflection.v1 and v1alpha, whose messages are the
 * same: with it grpcurl and its like list and call the services of a server that they do not know.
 */
#ifndef DCNV2_PROTOCOL_GRPC_REFLECTION_H
#define DCNV2_PROTOCOL_GRPC_REFLECTION_H

#include "frame.h"

/*
 * The reply to one message of the stream, in the arena; a question to which there is no answer gets
 * a reply that says so. -1: *error, the message is not protobuf, or out of memory.
 */
int grpc_reflect(struct arena *arena, struct text message, struct text *ret_reply,
                 struct request_error *error);

#endif
