/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/request.h"

#include <stdlib.h>

#include "clock.h"
#include "serve/cors.h"
#include "serve/handlers.h"
#include "serve/reply.h"

enum {
    ARENA_MAX_BYTES = 256 << 20,
    KEPT_BYTES = 256 * 1024, /* of a request's arena and body, from one request to the next .. */
    KEPT_REQUESTS = 64       /* .. for so many, over all workers; the usual load needs one each */
};

/* ---- memory ---- */

struct request *request_take(struct service_thread *thread, void *session,
                             void (*tell)(struct request *))
{
    struct request *request = thread->free;
    if (request) {
        thread->free = request->next_free;
        thread->n_free--;
    } else {
        request = calloc(1, sizeof *request);
        if (request == NULL)
            return NULL;
        arena_init(&request->arena, ARENA_MAX_BYTES);
        request->thread = thread;
    }
    request->session = session;
    request->tell = tell;
    request->head = (struct request_head){0};
    request->match = (struct route_match){0};
    request->model = NULL;
    request->cors_origin = (struct text){NULL, 0};
    if (thread->service->config->access_log)
        request->started_ns = clock_ns();
    metrics_request_started(thread->metrics);
    return request;
}

static void request_free(struct request *request)
{
    struct body_budget *budget = &request->thread->service->budget;
    body_reset(&request->body, budget, 0);
    body_reset(&request->inflated, budget, 0);
    arena_free(&request->arena);
    free(request);
}

void request_release(struct request *request)
{
    struct service_thread *thread = request->thread;
    struct body_budget *budget = &thread->service->budget;
    metrics_request_ended(thread->metrics);
    if (request->reply.free_body)
        request->reply.free_body((void *)request->reply.body.at);
    if (thread->n_free >= KEPT_REQUESTS / thread->service->n_threads) {
        request_free(request);
        return;
    }
    body_reset(&request->body, budget, KEPT_BYTES);
    body_reset(&request->inflated, budget, KEPT_BYTES);
    arena_reset(&request->arena, KEPT_BYTES);
    request->reply = (struct reply){0};
    request->error.http_status = 0;
    request->is_rest_kept = false;
    request->next_free = thread->free;
    thread->free = request;
    thread->n_free++;
}

bool request_keep_rest(struct request *request, struct text out[2])
{
    struct body_budget *budget = &request->thread->service->budget;
    struct body rest = {0};
    if (request->is_rest_kept)
        return true;
    /* First, since the reply may need the room that its own request takes up. */
    body_reset(&request->body, budget, 0);
    body_reset(&request->inflated, budget, 0);
    if (!body_make_room(&rest, budget, out[0].length + out[1].length))
        return false;
    for (int i = 0; i < 2; i++) {
        memcpy(rest.at + rest.length, out[i].at, out[i].length);
        rest.length += out[i].length;
    }
    if (request->reply.free_body)
        request->reply.free_body((void *)request->reply.body.at);
    request->reply.free_body = NULL;
    arena_reset(&request->arena, 0);
    request->body = rest;
    request->is_rest_kept = true;
    out[0] = (struct text){rest.at, rest.length};
    out[1] = (struct text){"", 0};
    return true;
}

void request_free_kept(struct service_thread *thread)
{
    while (thread->free) {
        struct request *request = thread->free;
        thread->free = request->next_free;
        request_free(request);
    }
}

/* ---- before the body ---- */

/* Copies a text of the head, whose bytes will be gone when the body has come. */
static bool keep_text(struct request *request, struct text *text)
{
    if (text->at == NULL)
        return true;
    char *copy = arena_copy_text(&request->arena, text->at, text->length);
    if (copy)
        text->at = copy;
    return copy != NULL;
}

/* What can be said before the body is there. true: at once, and the connection closes. */
static bool check_head(struct request *request)
{
    const struct body_budget *budget = &request->thread->service->budget;
    const struct request_head *head = &request->head;
    struct request_error *error = &request->error;
    if (head->content_length > budget->body_max_bytes) {
        body_error(BODY_TOO_LARGE, budget, error);
        return true;
    }
    if (head->coding == CODING_UNSUPPORTED)
        request_error_set(error, 415,
                          "Content-Encoding is not supported: \"%.*s\"; send gzip or deflate, "
                          "once, or neither.",
                          TEXT_SHOWN(head->coding_value));
    else if (head->type == CONTENT_MULTIPART)
        request_error_set(error, 415, "A multipart body is not supported: \"%.*s\"; send JSON.",
                          TEXT_SHOWN(head->type_value));
    else if (head->type == CONTENT_CLOUD_EVENT)
        request_error_set(error, 501,
                          "CloudEvents in structured mode are not supported: \"%.*s\"; send the "
                          "event's data as the body, with its attributes in ce- headers.",
                          TEXT_SHOWN(head->type_value));
    return false;
}

static bool reads_body(const struct route_match *match)
{
    return !match->is_options &&
           (match->route == ROUTE_V1_PREDICT || match->route == ROUTE_V2_INFER);
}

bool request_begin(struct request *request, bool in_place)
{
    struct request_head *head = &request->head;
    const bool is_logged = request->thread->service->config->access_log;
    bool at_once = check_head(request);
    if (!at_once && (!in_place || is_logged) &&
        (!keep_text(request, &head->method) || !keep_text(request, &head->target) ||
         !keep_text(request, &head->inference_header_value)))
        at_once = request_error_no_memory_now(&request->error) != 0;
    request->match = route_find(&request->arena, head->method, head->target);
    request->model = service_find_model(request->thread->service, request->match.model);
    request->cors_origin = cors_find(request->thread->service->config->cors_origin, head->origin);
    if (at_once) {
        reply_error(request, &request->error);
        return true;
    }
    request->body.discard = request->error.http_status || !reads_body(&request->match);
    return false;
}

/* ---- with the body ---- */

static int inflate_body(struct request *request, struct request_error *error)
{
    struct service_thread *thread = request->thread;
    if (thread->inflater == NULL)
        thread->inflater = inflater_create();
    if (thread->inflater == NULL)
        return request_error_no_memory_now(error);
    if (body_inflate(request->content, request->head.coding, &request->inflated,
                     &thread->service->budget, thread->inflater, error) != 0)
        return -1;
    request->content = (struct text){request->inflated.at, request->inflated.length};
    return 0;
}

/* 0, or -1 with why the request cannot be handled. */
static int check_body(struct request *request, struct request_error *error)
{
    if (request->error.http_status) {
        *error = request->error;
        return -1;
    }
    if (request->body.state != BODY_WHOLE)
        return body_error(request->body.state, &request->thread->service->budget, error);
    if (coding_is_packed(request->head.coding) && !request->body.discard)
        return inflate_body(request, error);
    return 0;
}

bool request_answer(struct request *request)
{
    struct request_error error;
    metrics_body(request->thread->metrics, request->body.n_received);
    if (check_body(request, &error) == 0)
        return handle(request);
    reply_error(request, &error);
    return true;
}

void request_note_reply(const struct request *request)
{
    const struct request_head *head = &request->head;
    metrics_reply(request->thread->metrics, request->match.route,
                  (unsigned)request->reply.http_status);
    if (request->thread->service->config->access_log)
        log_request(LOG_LEVEL_INFO, request_head_id(head), "%.*s %.*s %d %llu us",
                    TEXT_SHOWN(head->method), TEXT_SHOWN(head->target), request->reply.http_status,
                    (unsigned long long)(clock_ns() - request->started_ns) / 1000);
}
