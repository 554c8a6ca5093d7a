/* SPDX-License-Identifier: Apache-2.0 */
#include "http/handlers.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "clock.h"
#include "http/predict.h"
#include "http/reply.h"
#include "protocol/v2.h"

/* ---- which model ---- */

static bool is_draining(const struct exchange *exchange)
{
    return atomic_load_explicit(&exchange->worker->server->draining, memory_order_relaxed);
}

/* While one is loaded its readiness is the server's. */
static bool is_without_model(const struct exchange *exchange)
{
    const struct server *server = exchange->worker->server;
    return server->config->ready_needs_model && !registry_has_model(server->registry);
}

static bool model_exists(const struct exchange *exchange)
{
    return exchange_names_model(exchange) && registry_has_model(exchange->worker->server->registry);
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

/* 404, as KServe's server has it for a GET of /v1/models/{m}:predict; but it says what is meant. */
static void reply_no_model_or_verb(struct exchange *exchange)
{
    const struct text target = exchange->head.target;
    struct route_match post = route_find(&exchange->arena, text_of("POST"), target);
    if (post.route == ROUTE_NONE) {
        reply_no_model(exchange);
        return;
    }
    reply_failure(
        exchange, 404, "Model with name %.*s does not exist; \"%.*s\" takes POST, not %.*s.",
        TEXT_SHOWN(exchange->match.model), TEXT_SHOWN(target), TEXT_SHOWN(exchange->head.method));
    exchange->reply.allow = "OPTIONS, POST";
}

static void handle_model_ready(struct exchange *exchange)
{
    if (!model_exists(exchange)) {
        reply_no_model_or_verb(exchange);
        return;
    }
    if (is_draining(exchange))
        reply_failure(exchange, 503, "Model with name %.*s is not ready: the server is stopping.",
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
        reply_failure(exchange, 503, "The server is stopping.");
    else if (is_without_model(exchange))
        reply_failure(exchange, 503, "Model with name %s is not loaded.",
                      exchange->worker->server->config->model_name);
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

/* {"name": .., "datatype": .., "shape": [-1] or [-1, 1]; of lists [-1, -1]} */
enum tensor_shape { SHAPE_ROWS, SHAPE_ROWS_1, SHAPE_LISTS };

static void add_tensor(cJSON *tensors, const char *name, const char *datatype,
                       enum tensor_shape kind)
{
    const int shape[] = {-1, kind == SHAPE_LISTS ? -1 : 1};
    cJSON *tensor = cJSON_CreateObject();
    cJSON_AddStringToObject(tensor, "name", name);
    cJSON_AddStringToObject(tensor, "datatype", datatype);
    cJSON_AddItemToObject(tensor, "shape", cJSON_CreateIntArray(shape, kind == SHAPE_ROWS ? 1 : 2));
    cJSON_AddItemToArray(tensors, tensor);
}

/* Which model it is, as far as it is known by now. */
static void add_fingerprint(cJSON *document, const struct fingerprint *model)
{
    char time[CLOCK_PRINTED_BYTES];
    cJSON *parameters = cJSON_AddObjectToObject(document, "parameters");
    if (model->loaded_at.tv_sec) {
        clock_print(&model->loaded_at, time);
        cJSON_AddStringToObject(parameters, "loaded_at", time);
    }
    if (model->is_hashed)
        cJSON_AddStringToObject(parameters, "model_sha256", model->model);
    if (model->is_hashed && *model->encoder)
        cJSON_AddStringToObject(parameters, "encoder_sha256", model->encoder);
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
        add_tensor(inputs, dcnv2_model_sparse_name(model, i), "BYTES",
                   schema_is_list(&model->encoder.schema, (uint32_t)i) ? SHAPE_LISTS : SHAPE_ROWS);
    for (size_t i = 0; i < dcnv2_model_n_dense(model); i++)
        add_tensor(inputs, dcnv2_model_dense_name(model, i), "FP64", SHAPE_ROWS);
    add_tensor(cJSON_AddArrayToObject(document, "outputs"), V2_OUTPUT_NAME, "FP32", SHAPE_ROWS_1);
    const struct fingerprint fingerprint = registry_fingerprint(exchange->worker->server->registry);
    add_fingerprint(document, &fingerprint);
    reply_document(exchange, 200, document);
}

static void handle_metadata(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    const dcnv2_model *model = model_acquire(exchange);
    if (model)
        reply_metadata(exchange, model);
    else
        reply_no_model(exchange);
    model_release(worker);
}

static void handle_metrics(struct exchange *exchange)
{
    size_t length;
    const struct server *server = exchange->worker->server;
    const struct fingerprint model = registry_fingerprint(server->registry);
    char *text = metrics_print(server->metrics, &model, &length);
    if (text == NULL) {
        reply_no_memory(exchange);
        return;
    }
    exchange->reply = (struct reply){.http_status = 200,
                                     .body = {text, length},
                                     .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                     .free_body = free};
}

/* REASON of "FILE: REASON", and which of the model's files that is: a path is for the log only. */
static const char *reason_of(const char *message, const struct config *config,
                             const char **ret_role)
{
    const char *paths[] = {config->source.model_path, config->source.encoder_path};
    const char *roles[] = {"model file: ", "encoder file: "};
    for (int i = 0; i < 2; i++) {
        const size_t length = strlen(paths[i]);
        if (strncmp(message, paths[i], length) == 0 && strncmp(message + length, ": ", 2) == 0) {
            *ret_role = roles[i];
            return message + length + 2;
        }
    }
    *ret_role = "";
    return message;
}

static void handle_load(struct exchange *exchange, bool load)
{
    struct server *server = exchange->worker->server;
    const struct text id = head_request_id(&exchange->head);
    struct dcnv2_error error;
    predict_score(exchange->worker); /* what waits holds the model that is to go */
    if (!server->config->enable_model_repository) {
        reply_failure(exchange, 404,
                      "The model repository is off; the server was not started with "
                      "--enable_model_repository true.");
    } else if (!exchange_names_model(exchange)) {
        reply_no_model(exchange);
    } else if (load && registry_load(server->registry, &error) != DCNV2_OK) {
        log_request(LOG_LEVEL_WARNING, id, "model not loaded, %s: %s",
                    registry_has_model(server->registry) ? "the old one goes on"
                                                         : "none is in service",
                    error.message);
        const char *role, *reason = reason_of(error.message, server->config, &role);
        reply_failure(exchange, error.status == DCNV2_ERROR_MEMORY ? 503 : 400,
                      "Model with name %s was not loaded: %s%s", server->config->model_name, role,
                      reason);
    } else if (!load && !registry_unload(server->registry)) {
        reply_no_model(exchange);
    } else {
        log_request(LOG_LEVEL_INFO, id, "model %s %s", server->config->model_name,
                    load ? "loaded" : "unloaded");
        reply_name_and(exchange, 200, load ? "load" : "unload", true);
    }
}

/* ---- all of them ---- */

static void reply_not_allowed(struct exchange *exchange, const char *allow)
{
    reply_failure(exchange, 405, "The method \"%.*s\" is not allowed on \"%.*s\"; allowed: %s.",
                  TEXT_SHOWN(exchange->head.method), TEXT_SHOWN(exchange->head.target), allow);
    exchange->reply.allow = allow;
}

static void handle_none(struct exchange *exchange)
{
    if (exchange->match.allow)
        reply_not_allowed(exchange, exchange->match.allow);
    else
        reply_failure(exchange, 404, "The path \"%.*s\" does not exist.",
                      TEXT_SHOWN(exchange->head.target));
}

static void handle_other(struct exchange *exchange)
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
    case ROUTE_V1_EXPLAIN:
        reply_failure(exchange, 501, "Explanations are not supported yet.");
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
        reply_failure(exchange, 501, "Model versioning not supported yet.");
        return;
    case ROUTE_V2_LOAD:
    case ROUTE_V2_UNLOAD:
        handle_load(exchange, exchange->match.route == ROUTE_V2_LOAD);
        return;
    case ROUTE_V1_PREDICT:
    case ROUTE_V2_INFER:
    case ROUTE_NONE:
    case N_ROUTES:
        break;
    }
    handle_none(exchange);
}

/* The methods of a path, or what a browser asks before it sends a request to another origin. */
static void handle_options(struct exchange *exchange)
{
    switch (exchange->match.route) {
    case ROUTE_V2_INFER:
        /* As KServe's server, whose recorded reply is a 405; but a browser has to be told. */
        if (exchange->cors_origin.at == NULL) {
            reply_not_allowed(exchange, "POST");
            return;
        }
        break;
    case ROUTE_V1_MODEL:
    case ROUTE_V2_READY:
    case ROUTE_V2_MODEL_READY:
        /* HAProxy's check and Knative's probe: a server that is not ready must not look it. */
        handle_other(exchange);
        if (exchange->reply.http_status != 200)
            return;
        break;
    default:
        break;
    }
    if (exchange->reply.free_body)
        exchange->reply.free_body((void *)exchange->reply.body.at);
    reply_text(exchange, 204, text_of(""));
    exchange->reply.allow = exchange->match.allow;
}

bool handle(struct exchange *exchange)
{
    const enum route route = exchange->match.route;
    if (exchange->match.is_options) {
        handle_options(exchange);
        return true;
    }
    if (route == ROUTE_V1_PREDICT || route == ROUTE_V2_INFER)
        return predict(exchange);
    handle_other(exchange);
    return true;
}
