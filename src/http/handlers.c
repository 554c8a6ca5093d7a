/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.c: what each route answers. */
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "clock.h"
#include "http/exchange.h"
#include "protocol/json_writer.h"
#include "protocol/v1.h"
#include "protocol/v2.h"

static const char json_type[] = "application/json";

static void reply_text(struct exchange *exchange, int http_status, struct text body)
{
    exchange->reply =
        (struct reply){.http_status = http_status, .body = body, .content_type = json_type};
}

/* Leaves the reply without a body, for which the server sends its prepared 503. */
static void reply_no_memory(struct exchange *exchange)
{
    exchange->reply = (struct reply){.http_status = 503};
}

void reply_error(struct exchange *exchange, const struct request_error *error)
{
    char *body = arena_alloc(&exchange->arena, json_string_max(strlen(error->message)) + 16);
    if (body == NULL) {
        reply_no_memory(exchange);
        return;
    }
    reply_text(exchange, error->http_status,
               (struct text){body, write_json_error(body, error->message)});
    exchange->reply.retry_after = error->http_status == 503;
}

__attribute__((format(printf, 3, 4))) static void fail(struct exchange *exchange, int http_status,
                                                       const char *format, ...)
{
    struct request_error error = {.http_status = http_status};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    error.message[text_utf8_valid_length(error.message, strlen(error.message))] = '\0';
    reply_error(exchange, &error);
}

/* ---- which model ---- */

static bool is_draining(const struct exchange *exchange)
{
    return atomic_load_explicit(&exchange->worker->server->draining, memory_order_relaxed);
}

static bool name_matches(const struct exchange *exchange)
{
    return text_is(exchange->match.model, exchange->worker->server->config->model_name);
}

static bool model_exists(const struct exchange *exchange)
{
    return name_matches(exchange) && registry_has_model(exchange->worker->server->registry);
}

static void fail_no_model(struct exchange *exchange)
{
    fail(exchange, 404, "Model with name %.*s does not exist.", TEXT_SHOWN(exchange->match.model));
}

/* ---- small documents ---- */

/* Prints the document, which may be NULL for lack of memory, and deletes it. */
static void reply_document(struct exchange *exchange, int http_status, cJSON *document)
{
    char *text = document ? cJSON_PrintUnformatted(document) : NULL;
    cJSON_Delete(document);
    if (text == NULL) {
        reply_no_memory(exchange);
        return;
    }
    reply_text(exchange, http_status, text_of(text));
    exchange->reply.free_body = cJSON_free;
}

static void handle_models(struct exchange *exchange)
{
    const struct server *server = exchange->worker->server;
    cJSON *document = cJSON_CreateObject();
    cJSON *models = cJSON_AddArrayToObject(document, "models");
    if (registry_has_model(server->registry))
        cJSON_AddItemToArray(models, cJSON_CreateString(server->config->model_name));
    reply_document(exchange, 200, document);
}

/* {"name": .., KEY: BOOLEAN} */
static void reply_name_and(struct exchange *exchange, int http_status, const char *key, bool value)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", exchange->worker->server->config->model_name);
    cJSON_AddBoolToObject(document, key, value);
    reply_document(exchange, http_status, document);
}

static void handle_model_ready(struct exchange *exchange)
{
    if (!model_exists(exchange)) {
        fail_no_model(exchange);
        return;
    }
    if (is_draining(exchange))
        fail(exchange, 503, "Model with name %.*s is not ready: the server is stopping.",
             TEXT_SHOWN(exchange->match.model));
    else
        reply_name_and(exchange, 200, "ready", true);
}

static void handle_live(struct exchange *exchange)
{
    reply_text(exchange, 200, text_of("{\"live\":true}"));
}

static void handle_ready(struct exchange *exchange)
{
    if (is_draining(exchange))
        fail(exchange, 503, "The server is stopping.");
    else
        reply_text(exchange, 200, text_of("{\"ready\":true}"));
}

static void handle_server(struct exchange *exchange)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", "dcnv2-server");
    cJSON_AddStringToObject(document, "version", DCNV2_VERSION);
    cJSON *extensions = cJSON_AddArrayToObject(document, "extensions");
    cJSON_AddItemToArray(extensions, cJSON_CreateString("binary_tensor_data"));
    if (exchange->worker->server->config->enable_model_repository)
        cJSON_AddItemToArray(extensions, cJSON_CreateString("model_repository_extension"));
    reply_document(exchange, 200, document);
}

/* {"name": .., "datatype": .., "shape": [-1] or [-1, 1]} */
static void add_tensor(cJSON *tensors, const char *name, const char *datatype, bool is_matrix)
{
    static const int shape[] = {-1, 1};
    cJSON *tensor = cJSON_CreateObject();
    cJSON_AddStringToObject(tensor, "name", name);
    cJSON_AddStringToObject(tensor, "datatype", datatype);
    cJSON_AddItemToObject(tensor, "shape", cJSON_CreateIntArray(shape, is_matrix ? 2 : 1));
    cJSON_AddItemToArray(tensors, tensor);
}

/* The columns as input tensors. The model is held by the caller. */
static void reply_metadata(struct exchange *exchange, const dcnv2_model *model)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", exchange->worker->server->config->model_name);
    cJSON_AddNullToObject(document, "versions");
    cJSON_AddStringToObject(document, "platform", "dcnv2");
    cJSON *inputs = cJSON_AddArrayToObject(document, "inputs");
    for (size_t i = 0; i < dcnv2_model_n_sparse(model); i++)
        add_tensor(inputs, dcnv2_model_sparse_name(model, i), "BYTES", false);
    for (size_t i = 0; i < dcnv2_model_n_dense(model); i++)
        add_tensor(inputs, dcnv2_model_dense_name(model, i), "FP64", false);
    add_tensor(cJSON_AddArrayToObject(document, "outputs"), V2_OUTPUT_NAME, "FP32", true);
    reply_document(exchange, 200, document);
}

static void handle_metadata(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct registry *registry = worker->server->registry;
    const dcnv2_model *model =
        name_matches(exchange) ? registry_acquire(registry, worker->index) : NULL;
    if (model)
        reply_metadata(exchange, model);
    else
        fail_no_model(exchange);
    registry_release(registry, worker->index);
}

static void handle_metrics(struct exchange *exchange)
{
    size_t length;
    char *text = metrics_print(exchange->worker->server->metrics, &length);
    if (text == NULL) {
        reply_no_memory(exchange);
        return;
    }
    exchange->reply = (struct reply){.http_status = 200,
                                     .body = {text, length},
                                     .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                     .free_body = free};
}

/* "FILE: REASON" without the file, which is for the log only. */
static const char *without_path(const char *message, const struct config *config)
{
    const char *paths[] = {config->source.model_path, config->source.encoder_path};
    for (int i = 0; i < 2; i++) {
        const size_t length = strlen(paths[i]);
        if (strncmp(message, paths[i], length) == 0 && strncmp(message + length, ": ", 2) == 0)
            return message + length + 2;
    }
    return message;
}

static void handle_load(struct exchange *exchange, bool load)
{
    struct server *server = exchange->worker->server;
    struct dcnv2_error error;
    if (!server->config->enable_model_repository) {
        fail(exchange, 404,
             "The model repository is off; the server was not started with "
             "--enable_model_repository true.");
    } else if (!name_matches(exchange)) {
        fail_no_model(exchange);
    } else if (load && registry_load(server->registry, &error) != DCNV2_OK) {
        log_event(LOG_LEVEL_WARNING, "model not loaded, the old one goes on: %s", error.message);
        /* A path is for the log only. */
        fail(exchange, 400, "Model with name %s was not loaded: %s", server->config->model_name,
             without_path(error.message, server->config));
    } else if (!load && !registry_unload(server->registry)) {
        fail_no_model(exchange);
    } else {
        log_event(LOG_LEVEL_INFO, "model %s %s", server->config->model_name,
                  load ? "loaded" : "unloaded");
        reply_name_and(exchange, 200, load ? "load" : "unload", true);
    }
}

/* ---- predictions ---- */

/* What a prediction works on, all of it in the exchange's arena. */
struct prediction {
    const dcnv2_model *model;
    struct frame frame;
    struct v2_options v2;
    float *dense;      /* [n_dense, n_rows] */
    uint32_t *indices; /* [n_sparse, n_rows] */
    uint32_t *unknown; /* [n_sparse] */
    float *scores;     /* [n_rows] */
};

/* The length of the JSON part of a v2 body. */
static int inference_header_length(const struct exchange *exchange, size_t *ret_length,
                                   struct request_error *error)
{
    const struct head *head = &exchange->head;
    *ret_length = exchange->content.length;
    if (head->n_inference_header_lengths == 0)
        return 0;
    if (head->n_inference_header_lengths > 1)
        return request_error_set(error, 400, "Inference-Header-Content-Length is given twice.");
    if (!head->inference_header_length_is_number)
        return request_error_set(error, 400, "Inference-Header-Content-Length is not a number.");
    if (head->inference_header_length > exchange->content.length)
        return request_error_set(error, 400,
                                 "Inference-Header-Content-Length is larger than the body of %zu "
                                 "bytes.",
                                 exchange->content.length);
    *ret_length = (size_t)head->inference_header_length;
    return 0;
}

static int parse_body(struct exchange *exchange, struct prediction *prediction,
                      struct request_error *error)
{
    const struct config *config = exchange->worker->server->config;
    const struct text body = exchange->content;
    if (frame_init(&prediction->frame, &prediction->model->encoder.schema, &exchange->arena,
                   config->max_rows) != 0)
        return request_error_out_of_memory(error);
    if (exchange->match.route == ROUTE_V1_PREDICT)
        return v1_parse(&prediction->frame, body, error);
    size_t json_length;
    if (inference_header_length(exchange, &json_length, error) != 0)
        return -1;
    return v2_parse(&prediction->frame, body, json_length, config->model_name, &prediction->v2,
                    error);
}

static int encode(struct exchange *exchange, struct prediction *prediction,
                  struct request_error *error)
{
    const struct schema *schema = &prediction->model->encoder.schema;
    const size_t n_rows = prediction->frame.n_rows;
    struct arena *arena = &exchange->arena;
    prediction->dense = arena_alloc(arena, schema->n_dense * n_rows * sizeof(float));
    prediction->indices = arena_alloc(arena, schema->n_sparse * n_rows * sizeof(uint32_t));
    prediction->unknown = arena_calloc(arena, schema->n_sparse, sizeof(uint32_t));
    prediction->scores = arena_alloc(arena, n_rows * sizeof(float));
    if (!prediction->dense || !prediction->indices || !prediction->unknown || !prediction->scores)
        return request_error_out_of_memory(error);
    return encoder_encode(&prediction->model->encoder, &prediction->frame, prediction->dense,
                          prediction->indices, prediction->unknown, error);
}

/* The worker's workspace, made anew where a reloaded model needs a larger one. */
static dcnv2_workspace *workspace_for(struct worker *worker, const dcnv2_model *model)
{
    const size_t n_floats = network_scratch_floats(&model->network);
    if (worker->workspace_floats < n_floats) {
        struct dcnv2_error error;
        dcnv2_workspace_free(worker->workspace);
        worker->workspace = NULL;
        worker->workspace_floats = 0;
        if (dcnv2_workspace_create(model, &worker->workspace, &error) != DCNV2_OK)
            return NULL;
        worker->workspace_floats = n_floats;
    }
    return worker->workspace;
}

static int score(struct exchange *exchange, struct prediction *prediction,
                 struct request_error *error)
{
    dcnv2_workspace *workspace = workspace_for(exchange->worker, prediction->model);
    struct dcnv2_error failure;
    if (workspace == NULL)
        return request_error_out_of_memory(error);
    if (dcnv2_predict(prediction->model, workspace, prediction->frame.n_rows, prediction->dense,
                      prediction->indices, prediction->scores, &failure) != DCNV2_OK)
        return request_error_set(error, 400, "Bad request: %s.", failure.message);
    return 0;
}

static const unsigned char *take_random(struct worker *worker)
{
    enum { ID_BYTES = 16 };
    if (worker->n_random < ID_BYTES) {
        /* Up to 256 bytes never come short where the call exists. Without it an id is unique by
         * its time and its worker. */
        for (size_t i = 0; i < sizeof worker->random; i += 256) {
            if (getrandom(worker->random + i, 256, 0) == 256)
                continue;
            for (size_t k = i; k < i + 256; k += ID_BYTES) {
                const uint64_t parts[2] = {clock_ns() + k, (uint64_t)worker->index << 32 | k};
                memcpy(worker->random + k, parts, sizeof parts);
            }
        }
        worker->n_random = sizeof worker->random;
    }
    worker->n_random -= ID_BYTES;
    return worker->random + worker->n_random;
}

static void render(struct exchange *exchange, const struct prediction *prediction)
{
    const uint32_t n_rows = prediction->frame.n_rows;
    if (exchange->match.route == ROUTE_V1_PREDICT) {
        reply_text(exchange, 200, v1_render(&exchange->arena, prediction->scores, n_rows));
    } else {
        const char *name = exchange->worker->server->config->model_name;
        const unsigned char *random = prediction->v2.id.at ? NULL : take_random(exchange->worker);
        const struct v2_reply reply =
            v2_render(&exchange->arena, name, &prediction->v2, random, prediction->scores, n_rows);
        reply_text(exchange, 200, reply.body);
        if (prediction->v2.binary_output) {
            exchange->reply.content_type = "application/octet-stream";
            exchange->reply.json_length = reply.json_length;
        }
    }
    if (exchange->reply.body.at == NULL)
        reply_no_memory(exchange);
}

static void predict_with(struct exchange *exchange, const dcnv2_model *model)
{
    struct metrics_shard *metrics = exchange->worker->metrics;
    struct prediction prediction = {.model = model};
    struct request_error error;
    const uint64_t start_ns = clock_ns();
    int status = parse_body(exchange, &prediction, &error);
    if (status == 0)
        status = encode(exchange, &prediction, &error);
    const uint64_t encoded_ns = clock_ns();
    metrics_stage(metrics, METRICS_PREPROCESS, encoded_ns - start_ns);
    if (status == 0)
        status = score(exchange, &prediction, &error);
    if (status != 0) {
        reply_error(exchange, &error);
        return;
    }
    const uint64_t scored_ns = clock_ns();
    metrics_stage(metrics, METRICS_PREDICT, scored_ns - encoded_ns);
    render(exchange, &prediction);
    metrics_stage(metrics, METRICS_POSTPROCESS, clock_ns() - scored_ns);
    metrics_rows(metrics, prediction.scores, prediction.frame.n_rows, prediction.unknown);
}

static void handle_predict(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct registry *registry = worker->server->registry;
    const dcnv2_model *model =
        name_matches(exchange) ? registry_acquire(registry, worker->index) : NULL;
    if (model)
        predict_with(exchange, model);
    else
        fail_no_model(exchange);
    registry_release(registry, worker->index);
}

static void handle_none(struct exchange *exchange)
{
    if (exchange->match.allow == NULL) {
        fail(exchange, 404, "Not Found");
        return;
    }
    fail(exchange, 405, "Method Not Allowed");
    exchange->reply.allow = exchange->match.allow;
}

void handle(struct exchange *exchange)
{
    switch (exchange->match.route) {
    case ROUTE_ROOT:
        reply_text(exchange, 200, text_of("{\"status\":\"alive\"}"));
        return;
    case ROUTE_METRICS:
        handle_metrics(exchange);
        return;
    case ROUTE_V1_MODELS:
    case ROUTE_V2_MODELS:
        handle_models(exchange);
        return;
    case ROUTE_V1_MODEL:
    case ROUTE_V2_MODEL_READY:
        handle_model_ready(exchange);
        return;
    case ROUTE_V1_PREDICT:
    case ROUTE_V2_INFER:
        handle_predict(exchange);
        return;
    case ROUTE_V1_EXPLAIN:
        fail(exchange, 501, "Explanations are not supported yet.");
        return;
    case ROUTE_V2_SERVER:
        handle_server(exchange);
        return;
    case ROUTE_V2_LIVE:
        handle_live(exchange);
        return;
    case ROUTE_V2_READY:
        handle_ready(exchange);
        return;
    case ROUTE_V2_MODEL:
        handle_metadata(exchange);
        return;
    case ROUTE_V2_VERSION:
        fail(exchange, 501, "Model versioning not supported yet.");
        return;
    case ROUTE_V2_LOAD:
    case ROUTE_V2_UNLOAD:
        handle_load(exchange, exchange->match.route == ROUTE_V2_LOAD);
        return;
    case ROUTE_NONE:
    case N_ROUTES:
        break;
    }
    handle_none(exchange);
}
