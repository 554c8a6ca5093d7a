/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/grpc.h"

#include "clock.h"
#include "protocol/grpc_descriptors.h"
#include "protocol/grpc_infer.h"
#include "protocol/grpc_messages.h"
#include "protocol/grpc_reflection.h"
#include "protocol/grpc_status.h"
#include "serve/codec.h"
#include "serve/predict.h"
#include "serve/reply.h"
#include "serve/repository.h"

/* ---- the head ---- */

void grpc_begin(struct request *request)
{
    uint64_t timeout_ns;
    const struct text timeout = request->head.grpc_timeout;
    if (request->error.http_status || timeout.at == NULL ||
        grpc_timeout_read(timeout, &timeout_ns, &request->error) != 0)
        return;
    const uint64_t now_ns = clock_ns();
    request->deadline_ns = timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : 0;
}

/* ---- messages ---- */

static size_t limit_of(const struct request *request)
{
    return request->thread->service->budget.body_max_bytes;
}

int grpc_check_prefix(const struct request *request, struct request_error *error)
{
    struct grpc_prefix prefix = {0};
    struct text data = {request->body.at, request->body.length};
    return grpc_prefix_read(&prefix, &data, limit_of(request), error) == GRPC_PREFIX_WRONG ? -1 : 0;
}

static int unpack(struct request *request, struct text packed, struct text *ret_message,
                  struct request_error *error)
{
    const struct request_head *head = &request->head;
    struct service_thread *thread = request->thread;
    if (head->message_coding == CODING_IDENTITY)
        return request_error_set(error, 500,
                                 "The message is flagged as compressed, but grpc-encoding does not "
                                 "say how.");
    if (head->message_coding == CODING_UNSUPPORTED)
        return request_error_set(error, 501,
                                 "grpc-encoding is not supported: \"%.*s\"; identity, deflate and "
                                 "gzip are.",
                                 TEXT_SHOWN(head->message_coding_value));
    if (thread->inflater == NULL)
        thread->inflater = inflater_create();
    if (thread->inflater == NULL)
        return request_error_no_memory_now(error);
    body_reset(&request->inflated, &thread->service->budget, 0);
    if (body_inflate(packed, head->message_coding, &request->inflated, &thread->service->budget,
                     thread->inflater, error) != 0) {
        if (error->http_status == 400) /* gRPC has it so */
            error->http_status = 500;
        return -1;
    }
    *ret_message = (struct text){request->inflated.at, request->inflated.length};
    return 0;
}

int grpc_take_message(struct request *request, struct text *data, struct text *ret_message,
                      struct request_error *error)
{
    struct grpc_prefix prefix = {0};
    struct text rest = *data;
    const enum grpc_prefix_state state = grpc_prefix_read(&prefix, &rest, limit_of(request), error);
    if (state == GRPC_PREFIX_WRONG)
        return -1;
    if (state == GRPC_PREFIX_CUT || rest.length < prefix.length)
        return 0;
    const struct text message = {rest.at, prefix.length};
    data->at = rest.at + prefix.length;
    data->length = rest.length - prefix.length;
    *ret_message = message;
    if (prefix.is_compressed && unpack(request, message, ret_message, error) != 0)
        return -1;
    return 1;
}

/* The one message that the whole body is. */
static int take_only_message(struct request *request, struct request_error *error)
{
    struct text data = request->content;
    const int n = grpc_take_message(request, &data, &request->content, error);
    if (n == 0)
        return request_error_set(
            error, 500, "The call ends before its message is whole: %zu bytes came.", data.length);
    if (n == 1 && data.length > 0)
        return request_error_set(error, 501, "A second message came; this method takes one.");
    return n == 1 ? 0 : -1;
}

/* ---- replies ---- */

static void reply_message(struct request *request, struct text message)
{
    request->reply =
        (struct reply){.http_status = 200, .body = message, .content_type = "application/grpc"};
    if (message.at == NULL)
        reply_no_memory(request);
}

static void reply_unknown_method(struct request *request)
{
    reply_failure(request, 501, "The method \"%.*s\" is not implemented.",
                  TEXT_SHOWN(request->head.target));
}

/* request->model becomes the one of that name, which messages quote. */
static void name_model(struct request *request, struct text name)
{
    request->match.model = name;
    request->model = service_find_model(request->thread->service, name);
}

/* false: a reply is set, since models have no versions here. */
static bool has_no_version(struct request *request, struct text version)
{
    if (version.length > 0)
        reply_failure(request, 501, "Model versioning not supported yet.");
    return version.length == 0;
}

/* false: a reply is set. */
static bool read_model_name(struct request *request)
{
    struct grpc_model_name model;
    struct request_error error;
    if (grpc_read_model_name(request->content, &model, &error) != 0) {
        reply_error(request, &error);
        return false;
    }
    name_model(request, model.name);
    return has_no_version(request, model.version);
}

/* ---- the server ---- */

/* false: a reply is set, since the message is none. */
static bool read_empty(struct request *request)
{
    struct request_error error;
    if (grpc_read_empty(request->content, &error) == 0)
        return true;
    reply_error(request, &error);
    return false;
}

bool grpc_is_ready(const struct request *request)
{
    const struct service *service = request->thread->service;
    return !service_is_draining(service) && service_has_its_model(service);
}

void grpc_handle_live(struct request *request)
{
    if (read_empty(request))
        reply_message(request, grpc_render_flag(&request->arena, true));
}

void grpc_handle_ready(struct request *request)
{
    if (read_empty(request))
        reply_message(request, grpc_render_flag(&request->arena, grpc_is_ready(request)));
}

void grpc_handle_server(struct request *request)
{
    static const char *const extensions[] = {"binary_tensor_data", "model_repository_extension"};
    const bool has_repository = request->thread->service->config->enable_model_repository;
    if (read_empty(request))
        reply_message(request, grpc_render_server(&request->arena, "dcnv2-server", DCNV2_VERSION,
                                                  extensions, has_repository ? 2 : 1));
}

/* ---- a model ---- */

void grpc_handle_model_ready(struct request *request)
{
    if (!read_model_name(request))
        return;
    if (request->model == NULL || !registry_has_model(request->model->registry))
        reply_no_model(request);
    else
        reply_message(request, grpc_render_flag(&request->arena,
                                                !service_is_draining(request->thread->service)));
}

void grpc_handle_model(struct request *request)
{
    if (!read_model_name(request))
        return;
    const dcnv2_model *model = model_acquire(request);
    if (model)
        reply_message(request, grpc_render_model(&request->arena, request->model->name,
                                                 &model->encoder.schema));
    else
        reply_no_model(request);
    model_release(request);
}

/* false: a reply is set. */
static bool read_repository_model(struct request *request, bool *ret_has_parameters)
{
    struct grpc_repository_model model;
    struct request_error error;
    if (grpc_read_repository_model(request->content, &model, &error) != 0) {
        reply_error(request, &error);
        return false;
    }
    name_model(request, model.name);
    *ret_has_parameters = model.has_parameters;
    return true;
}

/* Parameters of Triton's client: a load with another configuration or other files is none of ours;
 * of an unload, which names a model's dependents, there is nothing to keep. */
void grpc_handle_load(struct request *request)
{
    bool has_parameters;
    if (!read_repository_model(request, &has_parameters))
        return;
    if (has_parameters)
        reply_failure(request, 501, "Parameters of a load are not supported.");
    else if (repository_load(request))
        reply_message(request, grpc_render_repository_model(&request->arena, request->model->name));
}

void grpc_handle_unload(struct request *request)
{
    bool has_parameters;
    if (read_repository_model(request, &has_parameters) && repository_unload(request))
        reply_message(request, grpc_render_repository_model(&request->arena, request->model->name));
}

void grpc_handle_index(struct request *request)
{
    struct grpc_index_request index;
    struct request_error error;
    const struct served_model *model = &request->thread->service->model;
    if (grpc_read_index(request->content, &index, &error) != 0) {
        reply_error(request, &error);
        return;
    }
    const bool is_loaded = registry_has_model(model->registry);
    const char *name = is_loaded || !index.ready_only ? model->name : NULL;
    reply_message(request,
                  grpc_render_index(&request->arena, name, is_loaded, is_loaded ? "" : "unloaded"));
}

/* ---- health and reflection ---- */

static bool is_service(struct text name)
{
    char known[GRPC_SYMBOL_MAX];
    for (size_t i = 0; grpc_service_name(i, known); i++)
        if (text_is(name, known))
            return true;
    return name.length == 0;
}

void grpc_handle_health(struct request *request)
{
    struct text service;
    struct request_error error;
    if (grpc_read_health(request->content, &service, &error) != 0)
        reply_error(request, &error);
    else if (!is_service(service))
        reply_failure(request, 404, "The service \"%.*s\" is not known.", TEXT_SHOWN(service));
    else
        reply_message(request, grpc_render_health(&request->arena, grpc_is_ready(request)
                                                                       ? GRPC_HEALTH_SERVING
                                                                       : GRPC_HEALTH_NOT_SERVING));
}

void grpc_handle_watch(struct request *request)
{
    struct text service;
    struct request_error error;
    if (grpc_read_health(request->content, &service, &error) != 0) {
        reply_error(request, &error);
        return;
    }
    const enum grpc_health health = !is_service(service)     ? GRPC_HEALTH_SERVICE_UNKNOWN
                                    : grpc_is_ready(request) ? GRPC_HEALTH_SERVING
                                                             : GRPC_HEALTH_NOT_SERVING;
    reply_message(request, grpc_render_health(&request->arena, health));
}

void grpc_handle_reflection(struct request *request)
{
    struct text reply;
    struct request_error error;
    if (grpc_reflect(&request->arena, request->content, &reply, &error) != 0)
        reply_error(request, &error);
    else
        reply_message(request, reply);
}

/* ---- a call ---- */

/* A prediction, whose message names the model. */
static bool infer(struct request *request)
{
    struct request_error error;
    request->infer = arena_alloc(&request->arena, sizeof *request->infer);
    if (request->infer == NULL) {
        reply_no_memory(request);
        return true;
    }
    if (grpc_infer_open(request->content, request->infer, &error) != 0) {
        reply_error(request, &error);
        return true;
    }
    name_model(request, request->infer->options.model_name);
    return has_no_version(request, request->infer->options.model_version) ? predict(request) : true;
}

bool grpc_answer(struct request *request)
{
    const struct route_row *row = request->match.row;
    struct request_error error;
    if (row == NULL || row->kind == ROUTE_REST || request->match.is_options) {
        reply_unknown_method(request);
        return true;
    }
    if (take_only_message(request, &error) != 0) {
        reply_error(request, &error);
        return true;
    }
    if (row->codec)
        return infer(request);
    row->handle(request);
    return true;
}

void grpc_answer_message(struct request *request, struct text message)
{
    request->content = message;
    request->match.row->handle(request);
}
