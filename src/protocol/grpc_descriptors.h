/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_descriptors.h: the messages and services that are spoken here, as a table, and what
 * google/protobuf/descriptor.proto makes of each file of them.
 */
#ifndef DCNV2_PROTOCOL_GRPC_DESCRIPTORS_H
#define DCNV2_PROTOCOL_GRPC_DESCRIPTORS_H

#include "protocol/protobuf.h"

struct grpc_file;

/* NULL: there is no such file. */
const struct grpc_file *grpc_file_find(struct text name);

/* The file that says what a full name stands for: of a message, field, enum, service or method.
 * `of_messages`: of a message alone. NULL: there is none. */
const struct grpc_file *grpc_file_of_symbol(struct text symbol, bool of_messages);

/* Full name of service `i`, such as "inference.GRPCInferenceService", into `out`. false: there are
 * no more than `i`. */
enum { GRPC_SYMBOL_MAX = 128 };
bool grpc_service_name(size_t i, char out[GRPC_SYMBOL_MAX]);

/* Writes a FileDescriptorProto. */
void grpc_file_put(struct protobuf_writer *writer, const struct grpc_file *file);

#endif
