/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/reply.h"

#include <stdarg.h>

#include "clock.h"
#include "log.h"
#include "protocol/json_writer.h"

enum { COMPRESSED_LEAST_BYTES = 16384 }; /* below this it does not pay */

/* ---- what is refused, for the log ---- */

/* A 5xx is for whoever runs the server, anything else for whoever looks into a client's trouble. */
static void log_refusal(const struct request *request, int http_status, const char *message)
{
    static struct log_limit failures; /* a client can cause a 5xx at will */
    static const struct log_rate rate = {.interval_ns = UINT64_C(1000000000), .most = 10};
    const char *route = route_names[request->match.route];
    const struct text id = request_head_id(&request->head);
    uint64_t n_held_back;
    if (http_status < 500)
        log_request(LOG_LEVEL_DEBUG, id, "%s %d: %s", route, http_status, message);
    else if (!log_limit_allows(&failures, clock_ns(), rate, 1, &n_held_back))
        return;
    else if (n_held_back == 0)
        log_request(LOG_LEVEL_WARNING, id, "%s %d: %s", route, http_status, message);
    else
        log_request(LOG_LEVEL_WARNING, id, "%s %d: %s (%llu more since the last such line)", route,
                    http_status, message, (unsigned long long)n_held_back);
}

/* ---- what it says ---- */

void reply_text(struct request *request, int http_status, struct text body)
{
    request->reply = (struct reply){
        .http_status = http_status, .body = body, .content_type = "application/json"};
}

void reply_no_memory(struct request *request)
{
    request->reply = (struct reply){.http_status = 503};
}

/* The text alone, which a session puts into grpc-message. */
static void reply_grpc_error(struct request *request, const struct request_error *error)
{
    const size_t length = strlen(error->message);
    char *text = arena_copy_text(&request->arena, error->message, length);
    if (text == NULL) {
        reply_no_memory(request);
        return;
    }
    request->reply = (struct reply){.http_status = error->http_status,
                                    .body = {text, length},
                                    .content_type = "application/grpc"};
    log_refusal(request, error->http_status, error->message);
}

void reply_error(struct request *request, const struct request_error *error)
{
    if (request->is_grpc) {
        reply_grpc_error(request, error);
        return;
    }
    char *body = arena_alloc(&request->arena, json_string_max(strlen(error->message)) + 16);
    /* Whatever is wrong was found without the memory that it needed: it may not be so. */
    if (body == NULL || request->arena.starved) {
        reply_no_memory(request);
        return;
    }
    reply_text(request, error->http_status,
               (struct text){body, write_json_error(body, error->message)});
    request->reply.retry_after = error->http_status == 503;
    log_refusal(request, error->http_status, error->message);
}

void reply_failure(struct request *request, int http_status, const char *format, ...)
{
    struct request_error error;
    va_list arguments;
    va_start(arguments, format);
    request_error_set_list(&error, http_status, format, arguments);
    va_end(arguments);
    reply_error(request, &error);
}

void reply_no_model(struct request *request)
{
    reply_failure(request, 404, "Model with name %.*s does not exist.",
                  TEXT_SHOWN(request->match.model));
}

/* ---- before it is sent ---- */

bool reply_compress(struct request *request)
{
    struct service_thread *thread = request->thread;
    struct reply *reply = &request->reply;
    if (!request->head.accepts_gzip || reply->body.length < COMPRESSED_LEAST_BYTES ||
        reply->free_body)
        return false;
    if (thread->deflater == NULL)
        thread->deflater = deflater_create();
    if (thread->deflater == NULL)
        return false;
    const struct text packed = deflater_run(thread->deflater, &request->arena, reply->body);
    if (packed.at == NULL || packed.length >= reply->body.length)
        return false;
    reply->body = packed;
    return true;
}

void reply_lost(struct request *request)
{
    request->reply.http_status = 503;
    log_refusal(request, 503, REQUEST_NO_MEMORY);
}
