/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_messages.h: the small messages of inference.GRPCInferenceService and of
 * grpc.health.v1.Health: requests read, replies written.
 *
 * Texts of a request are UTF-8 and lie in its message; one that was not sent is empty. Fields that
 * are not known are passed over. A reply lies in the arena; at == NULL: out of memory. Where KServe
 * and Triton differ in the fields of a message, both are understood.
 */
#ifndef DCNV2_PROTOCOL_GRPC_MESSAGES_H
#define DCNV2_PROTOCOL_GRPC_MESSAGES_H

#include "frame.h"

/* ---- requests; -1: *error, the message is not protobuf ---- */

/* ServerLive, ServerReady, ServerMetadata. */
int grpc_read_empty(struct text message, struct request_error *error);

struct grpc_model_name {
    struct text name, version;
};

/* ModelReady, ModelMetadata. */
int grpc_read_model_name(struct text message, struct grpc_model_name *ret,
                         struct request_error *error);

/* RepositoryModelLoad, RepositoryModelUnload. */
struct grpc_repository_model {
    struct text repository; /* Triton's clients alone name one */
    struct text name;
    bool has_parameters; /* Triton's: another configuration or other files of the model */
};

int grpc_read_repository_model(struct text message, struct grpc_repository_model *ret,
                               struct request_error *error);

/* RepositoryIndex. */
struct grpc_index_request {
    struct text repository;
    bool ready_only;
};

int grpc_read_index(struct text message, struct grpc_index_request *ret,
                    struct request_error *error);

/* Health Check and Watch: a service's name, or "" for the server. */
int grpc_read_health(struct text message, struct text *ret_service, struct request_error *error);

/* ---- replies ---- */

/* ServerLive, ServerReady, ModelReady. */
struct text grpc_render_flag(struct arena *arena, bool value);

struct text grpc_render_server(struct arena *arena, const char *name, const char *version,
                               const char *const *extensions, size_t n_extensions);

/* The columns as tensors, as the metadata of REST has them. */
struct text grpc_render_model(struct arena *arena, const char *name, const struct schema *schema);

/* Loaded or unloaded: KServe's reply, to Triton's clients an empty one with unknown fields. */
struct text grpc_render_repository_model(struct arena *arena, const char *name);

/* The one model, if `name` is not NULL. */
struct text grpc_render_index(struct arena *arena, const char *name, bool is_ready,
                              const char *reason);

enum grpc_health {
    GRPC_HEALTH_UNKNOWN = 0,
    GRPC_HEALTH_SERVING = 1,
    GRPC_HEALTH_NOT_SERVING = 2,
    GRPC_HEALTH_SERVICE_UNKNOWN = 3 /* Watch alone; Check answers a 404 */
};

struct text grpc_render_health(struct arena *arena, enum grpc_health health);

#endif
