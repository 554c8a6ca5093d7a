/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/handlers.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "clock.h"
#include "protocol/v2.h"
#include "serve/predict.h"
#include "serve/reply.h"

/* ---- which model ---- */

static bool is_draining(const struct request *request)
{
    return atomic_load_explicit(&request->thread->service->draining, memory_order_relaxed);
}

/* While one is loaded its readiness is the server's. */
static bool is_without_model(const struct request *request)
{
    const struct service *service = request->thread->service;
    return service->config->ready_needs_model && !registry_has_model(service->model.registry);
}

static bool model_exists(const struct request *request)
{
    return request->model && registry_has_model(request->model->registry);
}

/* ---- small documents ---- */

/* Prints the document, which may be NULL for lack of memory, and deletes it. */
static void reply_document(struct request *request, int http_status, cJSON *document)
{
    char *text = document ? cJSON_PrintUnformatted(document) : NULL;
    cJSON_Delete(document);
    if (text == NULL) {
        reply_no_memory(request);
        return;
    }
    reply_text(request, http_status, text_of(text));
    request->reply.free_body = cJSON_free;
}

void handle_models(struct request *request)
{
    const struct service *service = request->thread->service;
    cJSON *document = cJSON_CreateObject();
    cJSON *models = cJSON_AddArrayToObject(document, "models");
    if (registry_has_model(service->model.registry))
        cJSON_AddItemToArray(models, cJSON_CreateString(service->model.name));
    reply_document(request, 200, document);
}

/* {"name": .., KEY: BOOLEAN} */
static void reply_name_and(struct request *request, int http_status, const char *key, bool value)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", request->model->name);
    cJSON_AddBoolToObject(document, key, value);
    reply_document(request, http_status, document);
}

/* 404, as KServe's server has it for a GET of /v1/models/{m}:predict; but it says what is meant. */
static void reply_no_model_or_verb(struct request *request)
{
    const struct text target = request->head.target;
    struct route_match post = route_find(&request->arena, text_of("POST"), target);
    if (post.route == ROUTE_NONE) {
        reply_no_model(request);
        return;
    }
    reply_failure(
        request, 404, "Model with name %.*s does not exist; \"%.*s\" takes POST, not %.*s.",
        TEXT_SHOWN(request->match.model), TEXT_SHOWN(target), TEXT_SHOWN(request->head.method));
    request->reply.allow = "OPTIONS, POST";
}

void handle_model_ready(struct request *request)
{
    if (!model_exists(request)) {
        reply_no_model_or_verb(request);
        return;
    }
    if (is_draining(request))
        reply_failure(request, 503, "Model with name %.*s is not ready: the server is stopping.",
                      TEXT_SHOWN(request->match.model));
    else
        reply_name_and(request, 200, "ready", true);
}

void handle_live(struct request *request)
{
    reply_text(request, 200, text_of("{\"live\":true}"));
}

void handle_ready(struct request *request)
{
    if (is_draining(request))
        reply_failure(request, 503, "The server is stopping.");
    else if (is_without_model(request))
        reply_failure(request, 503, "Model with name %s is not loaded.",
                      request->thread->service->model.name);
    else
        reply_text(request, 200, text_of("{\"ready\":true}"));
}

void handle_server(struct request *request)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", "dcnv2-server");
    cJSON_AddStringToObject(document, "version", DCNV2_VERSION);
    cJSON *extensions = cJSON_AddArrayToObject(document, "extensions");
    cJSON_AddItemToArray(extensions, cJSON_CreateString("binary_tensor_data"));
    if (request->thread->service->config->enable_model_repository)
        cJSON_AddItemToArray(extensions, cJSON_CreateString("model_repository_extension"));
    reply_document(request, 200, document);
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
static void reply_metadata(struct request *request, const dcnv2_model *model)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", request->model->name);
    cJSON_AddNullToObject(document, "versions");
    cJSON_AddStringToObject(document, "platform", "dcnv2");
    cJSON *inputs = cJSON_AddArrayToObject(document, "inputs");
    for (size_t i = 0; i < dcnv2_model_n_sparse(model); i++)
        add_tensor(inputs, dcnv2_model_sparse_name(model, i), "BYTES",
                   schema_is_list(&model->encoder.schema, (uint32_t)i) ? SHAPE_LISTS : SHAPE_ROWS);
    for (size_t i = 0; i < dcnv2_model_n_dense(model); i++)
        add_tensor(inputs, dcnv2_model_dense_name(model, i), "FP64", SHAPE_ROWS);
    add_tensor(cJSON_AddArrayToObject(document, "outputs"), V2_OUTPUT_NAME, "FP32", SHAPE_ROWS_1);
    const struct fingerprint fingerprint = registry_fingerprint(request->model->registry);
    add_fingerprint(document, &fingerprint);
    reply_document(request, 200, document);
}

void handle_metadata(struct request *request)
{
    const dcnv2_model *model = model_acquire(request);
    if (model)
        reply_metadata(request, model);
    else
        reply_no_model(request);
    model_release(request);
}

void handle_metrics(struct request *request)
{
    size_t length;
    const struct service *service = request->thread->service;
    const struct fingerprint model = registry_fingerprint(service->model.registry);
    char *text = metrics_print(service->metrics, &model, &length);
    if (text == NULL) {
        reply_no_memory(request);
        return;
    }
    request->reply = (struct reply){.http_status = 200,
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

/* true: a reply is set, since the model that is named cannot be loaded or unloaded. */
static bool refuse_change(struct request *request)
{
    predict_score(request->thread); /* what waits holds the model that is to go */
    if (!request->thread->service->config->enable_model_repository)
        reply_failure(request, 404,
                      "The model repository is off; the server was not started with "
                      "--enable_model_repository true.");
    else if (request->model == NULL)
        reply_no_model(request);
    else
        return false;
    return true;
}

static void reply_changed(struct request *request, const char *what)
{
    log_request(LOG_LEVEL_INFO, request_head_id(&request->head), "model %s %sed",
                request->model->name, what);
    reply_name_and(request, 200, what, true);
}

static void reply_not_loaded(struct request *request, const struct dcnv2_error *error)
{
    const struct served_model *model = request->model;
    const char *role, *reason = reason_of(error->message, request->thread->service->config, &role);
    log_request(LOG_LEVEL_WARNING, request_head_id(&request->head), "model not loaded, %s: %s",
                registry_has_model(model->registry) ? "the old one goes on" : "none is in service",
                error->message);
    reply_failure(request, error->status == DCNV2_ERROR_MEMORY ? 503 : 400,
                  "Model with name %s was not loaded: %s%s", model->name, role, reason);
}

void handle_load(struct request *request)
{
    struct dcnv2_error error;
    if (refuse_change(request))
        return;
    if (registry_load(request->model->registry, &error) == DCNV2_OK)
        reply_changed(request, "load");
    else
        reply_not_loaded(request, &error);
}

void handle_unload(struct request *request)
{
    if (refuse_change(request))
        return;
    if (registry_unload(request->model->registry))
        reply_changed(request, "unload");
    else
        reply_no_model(request);
}

/* ---- all of them ---- */

static void reply_not_allowed(struct request *request, const char *allow)
{
    reply_failure(request, 405, "The method \"%.*s\" is not allowed on \"%.*s\"; allowed: %s.",
                  TEXT_SHOWN(request->head.method), TEXT_SHOWN(request->head.target), allow);
    request->reply.allow = allow;
}

static void handle_none(struct request *request)
{
    if (request->match.allow)
        reply_not_allowed(request, request->match.allow);
    else
        reply_failure(request, 404, "The path \"%.*s\" does not exist.",
                      TEXT_SHOWN(request->head.target));
}

void handle_root(struct request *request)
{
    reply_text(request, 200, text_of("{\"status\":\"alive\"}"));
}

void handle_explain(struct request *request)
{
    reply_failure(request, 501, "Explanations are not supported yet.");
}

void handle_version(struct request *request)
{
    reply_failure(request, 501, "Model versioning not supported yet.");
}

/* The methods of a path, or what a browser asks before it sends a request to another origin. */
static void handle_options(struct request *request)
{
    switch (request->match.route) {
    case ROUTE_V2_INFER:
        /* As KServe's server, whose recorded reply is a 405; but a browser has to be told. */
        if (request->cors_origin.at == NULL) {
            reply_not_allowed(request, "POST");
            return;
        }
        break;
    case ROUTE_V1_MODEL:
    case ROUTE_V2_READY:
    case ROUTE_V2_MODEL_READY:
        /* HAProxy's check and Knative's probe: a server that is not ready must not look it. */
        request->match.row->handle(request);
        if (request->reply.http_status != 200)
            return;
        break;
    default:
        break;
    }
    if (request->reply.free_body)
        request->reply.free_body((void *)request->reply.body.at);
    reply_text(request, 204, text_of(""));
    request->reply.allow = request->match.allow;
}

bool handle(struct request *request)
{
    const struct route_row *row = request->match.row;
    if (request->match.is_options)
        handle_options(request);
    else if (row == NULL)
        handle_none(request);
    else if (row->codec)
        return predict(request);
    else
        row->handle(request);
    return true;
}
