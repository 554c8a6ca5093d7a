/* SPDX-License-Identifier: Apache-2.0 */
#include "http/exchange.h"

#include <stdlib.h>

#include "clock.h"
#include "http/cors.h"
#include "http/handlers.h"
#include "http/reply.h"

enum {
    EXCHANGE_ARENA_MAX_BYTES = 256 << 20,
    KEPT_BYTES = 256 * 1024, /* of an exchange's arena and body, from one request to the next .. */
    KEPT_EXCHANGES = 64      /* .. for so many, over all workers; the usual load needs one each */
};

/* ---- memory ---- */

struct exchange *exchange_take(struct worker *worker, struct connection *connection)
{
    struct exchange *exchange = worker->free;
    if (exchange) {
        worker->free = exchange->next_free;
        worker->n_free--;
    } else {
        exchange = calloc(1, sizeof *exchange);
        if (exchange == NULL)
            return NULL;
        arena_init(&exchange->arena, EXCHANGE_ARENA_MAX_BYTES);
        exchange->worker = worker;
    }
    exchange->connection = connection;
    exchange->head = (struct head){0};
    exchange->match = (struct route_match){0};
    exchange->cors_origin = (struct text){NULL, 0};
    if (worker->server->config->access_log)
        exchange->started_ns = clock_ns();
    metrics_request_started(worker->metrics);
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    struct body_budget *budget = &exchange->worker->server->budget;
    body_reset(&exchange->body, budget, 0);
    body_reset(&exchange->inflated, budget, 0);
    arena_free(&exchange->arena);
    free(exchange);
}

void exchange_release(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct body_budget *budget = &worker->server->budget;
    metrics_request_ended(worker->metrics);
    if (exchange->reply.free_body)
        exchange->reply.free_body((void *)exchange->reply.body.at);
    if (worker->n_free >= KEPT_EXCHANGES / worker->server->n_workers) {
        exchange_free(exchange);
        return;
    }
    body_reset(&exchange->body, budget, KEPT_BYTES);
    body_reset(&exchange->inflated, budget, KEPT_BYTES);
    arena_reset(&exchange->arena, KEPT_BYTES);
    exchange->reply = (struct reply){0};
    exchange->error.http_status = 0;
    exchange->is_rest_kept = false;
    exchange->next_free = worker->free;
    worker->free = exchange;
    worker->n_free++;
}

bool exchange_keep_rest(struct exchange *exchange)
{
    struct text *out = exchange->out;
    struct body_budget *budget = &exchange->worker->server->budget;
    struct body rest = {0};
    if (exchange->is_rest_kept)
        return true;
    /* First, since the reply may need the room that its own request takes up. */
    body_reset(&exchange->body, budget, 0);
    body_reset(&exchange->inflated, budget, 0);
    if (!body_make_room(&rest, budget, out[0].length + out[1].length))
        return false;
    for (int i = 0; i < 2; i++) {
        memcpy(rest.at + rest.length, out[i].at, out[i].length);
        rest.length += out[i].length;
    }
    if (exchange->reply.free_body)
        exchange->reply.free_body((void *)exchange->reply.body.at);
    exchange->reply.free_body = NULL;
    arena_reset(&exchange->arena, 0);
    exchange->body = rest;
    exchange->is_rest_kept = true;
    out[0] = (struct text){rest.at, rest.length};
    out[1] = (struct text){"", 0};
    return true;
}

void exchange_sent(struct exchange *exchange, size_t n)
{
    for (int i = 0; i < 2; i++) {
        struct text *out = &exchange->out[i];
        const size_t gone = n < out->length ? n : out->length;
        out->at += gone;
        out->length -= gone;
        n -= gone;
    }
}

void exchange_free_kept(struct worker *worker)
{
    while (worker->free) {
        struct exchange *exchange = worker->free;
        worker->free = exchange->next_free;
        exchange_free(exchange);
    }
}

/* ---- before the body ---- */

/* Copies a text of the head, whose bytes will be gone when the body has come. */
static bool keep_text(struct exchange *exchange, struct text *text)
{
    if (text->at == NULL)
        return true;
    char *copy = arena_copy_text(&exchange->arena, text->at, text->length);
    if (copy)
        text->at = copy;
    return copy != NULL;
}

/* What can be said before the body is there. true: at once, and the connection closes. */
static bool check_head(struct exchange *exchange)
{
    const struct body_budget *budget = &exchange->worker->server->budget;
    const struct head *head = &exchange->head;
    struct request_error *error = &exchange->error;
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

bool exchange_begin(struct exchange *exchange, bool in_place)
{
    struct head *head = &exchange->head;
    const bool is_logged = exchange->worker->server->config->access_log;
    bool at_once = check_head(exchange);
    if (!at_once && (!in_place || is_logged) &&
        (!keep_text(exchange, &head->method) || !keep_text(exchange, &head->target) ||
         !keep_text(exchange, &head->inference_header_value)))
        at_once = request_error_no_memory_now(&exchange->error) != 0;
    exchange->match = route_find(&exchange->arena, head->method, head->target);
    exchange->cors_origin = cors_find(exchange->worker->server->config->cors_origin, head->origin);
    if (at_once) {
        reply_error(exchange, &exchange->error);
        return true;
    }
    exchange->body.discard = exchange->error.http_status || !reads_body(&exchange->match);
    return false;
}

/* ---- with the body ---- */

static int inflate_body(struct exchange *exchange, struct request_error *error)
{
    struct worker *worker = exchange->worker;
    if (worker->inflater == NULL)
        worker->inflater = inflater_create();
    if (worker->inflater == NULL)
        return request_error_no_memory_now(error);
    if (body_inflate(exchange->content, exchange->head.coding, &exchange->inflated,
                     &worker->server->budget, worker->inflater, error) != 0)
        return -1;
    exchange->content = (struct text){exchange->inflated.at, exchange->inflated.length};
    return 0;
}

/* 0, or -1 with why the request cannot be handled. */
static int check_body(struct exchange *exchange, struct request_error *error)
{
    if (exchange->error.http_status) {
        *error = exchange->error;
        return -1;
    }
    if (exchange->body.state != BODY_WHOLE)
        return body_error(exchange->body.state, &exchange->worker->server->budget, error);
    if (coding_is_packed(exchange->head.coding) && !exchange->body.discard)
        return inflate_body(exchange, error);
    return 0;
}

bool exchange_names_model(const struct exchange *exchange)
{
    return text_is(exchange->match.model, exchange->worker->server->config->model_name);
}

bool exchange_answer(struct exchange *exchange)
{
    struct request_error error;
    metrics_body(exchange->worker->metrics, exchange->body.n_received);
    if (check_body(exchange, &error) == 0)
        return handle(exchange);
    reply_error(exchange, &error);
    return true;
}
