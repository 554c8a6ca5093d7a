/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_codec.c: answers messages of gRPC without a network, for grpc_codec.py.
 *
 *     grpc_codec < LINES     in the project's folder, whose demo model it serves
 *
 * Of each line "METHOD HEX" of stdin, the message in hexadecimal digits, it writes a line
 * "CODE HEX" with gRPC's status as a number and the reply, or the error's text. A method that is
 * not spoken is UNIMPLEMENTED.
 */
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"
#include "protocol/grpc_infer.h"
#include "protocol/grpc_messages.h"
#include "protocol/grpc_reflection.h"
#include "protocol/grpc_status.h"

enum { MAX_ROWS = 100000, MAX_MESSAGE_BYTES = 8 << 20 };

#define MODEL_NAME "dcnv2"

struct service {
    dcnv2_model *model;
    dcnv2_workspace *workspace;
    struct arena arena; /* of one message */
    struct request_error error;
};

/* NULL: service->error says why. */
static const float *score(struct service *service, const struct frame *frame, bool wants_logits)
{
    const struct encoder *encoder = &service->model->encoder;
    const struct encode_options options = {.match_forms = false};
    struct arena *arena = &service->arena;
    struct encoded encoded;
    struct dcnv2_error failure;
    struct category_counts *counts = arena_calloc(arena, encoder->schema.n_sparse, sizeof *counts);
    float *scores = arena_calloc(arena, 2 * (size_t)frame->n_rows, sizeof *scores);
    if (counts == NULL || scores == NULL)
        abort();
    if (encoder_encode(encoder, frame, &options, &encoded, counts, &service->error) != 0)
        return NULL;
    float *logits = wants_logits ? scores + frame->n_rows : NULL;
    if (dcnv2_predict_logits(service->model, service->workspace, encoded.n_rows, encoded.dense,
                             encoded.lookups, scores, logits, &failure) == DCNV2_OK)
        return wants_logits ? logits : scores;
    request_error_set(&service->error, 400, "%s", failure.message);
    return NULL;
}

static int infer(struct service *service, struct text message, struct text *ret_reply)
{
    struct frame frame;
    struct grpc_infer_options options;
    if (frame_init(&frame, &service->model->encoder.schema, &service->arena, MAX_ROWS) != 0)
        return request_error_out_of_memory(&service->error);
    if (grpc_infer_parse(&frame, message, MODEL_NAME, &options, &service->error) != 0)
        return -1;
    const float *values = score(service, &frame, options.wants_logits);
    if (values == NULL)
        return -1;
    *ret_reply =
        grpc_infer_render(&service->arena, MODEL_NAME, &options, NULL, values, frame.n_rows);
    return 0;
}

static int answer_of_model(struct service *service, struct text method, struct text message,
                           struct text *ret_reply)
{
    struct grpc_model_name model;
    if (grpc_read_model_name(message, &model, &service->error) != 0)
        return -1;
    if (!text_is(model.name, MODEL_NAME))
        return request_error_set(&service->error, 404, "Model with name %.*s does not exist.",
                                 TEXT_SHOWN(model.name));
    *ret_reply = text_is(method, "ModelReady") ? grpc_render_flag(&service->arena, true)
                                               : grpc_render_model(&service->arena, MODEL_NAME,
                                                                   &service->model->encoder.schema);
    return 0;
}

static int answer_of_server(struct service *service, struct text method, struct text message,
                            struct text *ret_reply)
{
    if (grpc_read_empty(message, &service->error) != 0)
        return -1;
    *ret_reply = text_is(method, "ServerMetadata")
                     ? grpc_render_server(&service->arena, "dcnv2-server", DCNV2_VERSION, NULL, 0)
                     : grpc_render_flag(&service->arena, true);
    return 0;
}

static int check_health(struct service *service, struct text message, struct text *ret_reply)
{
    struct text name;
    if (grpc_read_health(message, &name, &service->error) != 0)
        return -1;
    *ret_reply = grpc_render_health(&service->arena, GRPC_HEALTH_SERVING);
    return 0;
}

static int answer(struct service *service, struct text method, struct text message,
                  struct text *ret_reply)
{
    if (message.length > MAX_MESSAGE_BYTES)
        return request_error_set(&service->error, 413, "The message is too large.");
    if (text_is(method, "ModelInfer"))
        return infer(service, message, ret_reply);
    if (text_is(method, "ModelReady") || text_is(method, "ModelMetadata"))
        return answer_of_model(service, method, message, ret_reply);
    if (text_is(method, "ServerLive") || text_is(method, "ServerReady") ||
        text_is(method, "ServerMetadata"))
        return answer_of_server(service, method, message, ret_reply);
    if (text_is(method, "Check"))
        return check_health(service, message, ret_reply);
    if (text_is(method, "ServerReflectionInfo"))
        return grpc_reflect(&service->arena, message, ret_reply, &service->error);
    return request_error_set(&service->error, 501, "There is no such method.");
}

/* In memory that ends where the message does, so that a sanitizer sees a byte too many. */
static struct text unhex(const char *hex, size_t n_digits)
{
    char *bytes = malloc(n_digits / 2 + (n_digits == 0));
    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < n_digits / 2; i++)
        bytes[i] = (char)(text_hex_digit(hex[2 * i]) << 4 | text_hex_digit(hex[2 * i + 1]));
    return (struct text){bytes, n_digits / 2};
}

static void answer_line(struct service *service, const char *line)
{
    struct text reply = {NULL, 0};
    const size_t method_length = strcspn(line, " "), length = strcspn(line, "\n");
    const struct text method = {line, method_length};
    const struct text message = unhex(line + method_length + 1, length - method_length - 1);
    if (answer(service, method, message, &reply) != 0) {
        printf("%d %s\n", grpc_status_of_http(service->error.http_status), service->error.message);
    } else {
        printf("0 ");
        for (size_t i = 0; i < reply.length; i++)
            printf("%02x", (unsigned char)reply.at[i]);
        puts("");
    }
    free((char *)message.at);
    arena_reset(&service->arena, SIZE_MAX);
}

int main(void)
{
    const struct dcnv2_source source = {.model_path = "model/model_weights.pth",
                                        .encoder_path = "model/preprocess_metadata.pkl"};
    struct service service = {0};
    struct dcnv2_error failure;
    char *line = NULL;
    size_t capacity = 0;
    arena_init(&service.arena, (size_t)1 << 30);
    if (dcnv2_model_load(&source, &service.model, &failure) != DCNV2_OK ||
        dcnv2_workspace_create(service.model, &service.workspace, &failure) != DCNV2_OK) {
        fprintf(stderr, "%s\n", failure.message);
        return EXIT_FAILURE;
    }
    while (getline(&line, &capacity, stdin) > 0)
        answer_line(&service, line);
    free(line);
    arena_free(&service.arena);
    dcnv2_workspace_free(service.workspace);
    dcnv2_model_free(service.model);
    return EXIT_SUCCESS;
}
