/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/handlers.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "clock.h"
#include "protocol/v2.h"
#include "serve/grpc.h"
#include "serve/predict.h"
#include "serve/reply.h"
#include "serve/repository.h"

/* ---- which model ---- */

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
    if (service_is_draining(request->thread->service))
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
    if (service_is_draining(request->thread->service))
        reply_failure(request, 503, "The server is stopping.");
    else if (!service_has_its_model(request->thread->service))
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

/* {"name": .., "datatype": .., "shape": ..}; names of a schema end with a NUL. */
static void add_tensor(cJSON *tensors, struct tensor_description description)
{
    cJSON *tensor = cJSON_CreateObject();
    cJSON_AddStringToObject(tensor, "name", description.name.at);
    cJSON_AddStringToObject(tensor, "datatype", description.datatype);
    cJSON_AddItemToObject(tensor, "shape",
                          cJSON_CreateIntArray(description.shape, (int)description.n_dims));
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
    for (uint32_t c = 0; c < schema_n_columns(&model->encoder.schema); c++)
        add_tensor(inputs, tensor_describe_input(&model->encoder.schema, c));
    add_tensor(cJSON_AddArrayToObject(document, "outputs"), tensor_describe_output());
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

void handle_load(struct request *request)
{
    if (repository_load(request))
        reply_name_and(request, 200, "load", true);
}

void handle_unload(struct request *request)
{
    if (repository_unload(request))
        reply_name_and(request, 200, "unload", true);
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

static void handle_grpc_path(struct request *request)
{
    reply_failure(request, 415,
                  "\"%.*s\" is a method of gRPC: call it over HTTP/2 with Content-Type "
                  "application/grpc.",
                  TEXT_SHOWN(request->head.target));
}

bool handle(struct request *request)
{
    const struct route_row *row = request->match.row;
    if (request->is_grpc)
        return grpc_answer(request);
    if (request->match.is_options)
        handle_options(request);
    else if (row == NULL)
        handle_none(request);
    else if (row->kind != ROUTE_REST)
        handle_grpc_path(request);
    else if (row->codec)
        return predict(request);
    else
        row->handle(request);
    return true;
}
