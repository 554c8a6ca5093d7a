/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange.h: one request and its reply, from the first header to the last byte sent.
 *
 * An exchange has one owner, the connection that it came on, and one release point,
 * exchange_release(). Its memory (arena, body) is kept for the next one, that of a bounded number
 * of exchanges, so that a warm server allocates nothing. What it needs of its thread is in the
 * worker.
 */
#ifndef DCNV2_HTTP_EXCHANGE_H
#define DCNV2_HTTP_EXCHANGE_H

#include "http/head.h"
#include "http/routes.h"
#include "http/state.h"

struct prediction;

struct reply {
    int http_status;
    struct text body; /* in the exchange's arena, or static */
    const char *content_type;
    const char *allow;         /* the path's methods, or NULL */
    size_t json_length;        /* of a binary v2 reply, else 0 */
    bool retry_after;          /* of a 503 that may pass */
    void (*free_body)(void *); /* or NULL */
};

struct exchange {
    struct exchange *next_free, *next_pending;
    struct worker *worker;
    struct connection *connection;
    struct head head;
    struct route_match match;
    struct text cors_origin; /* who may read the reply, cors.h; {NULL, 0}: nobody is told */
    struct body body;        /* what was collected of it, where it did not come at once */
    struct body inflated;
    struct text content; /* the whole body, as a handler reads it */
    struct arena arena;
    struct prediction *prediction;
    struct reply reply;
    struct request_error error; /* found before the body came; http_status 0: none */
    struct text out[2];         /* the bytes of the reply that are still to be sent: of its head,
                                   and of its body */
    bool is_rest_kept;          /* `out` lies in `body`, exchange_keep_rest() */
    uint64_t started_ns;        /* for the access log */
};

/* For a request on that connection. NULL: out of memory. */
struct exchange *exchange_take(struct worker *worker, struct connection *connection);
void exchange_release(struct exchange *exchange);

/*
 * The client reads slowly: copies the bytes of exchange->out, within the budget of bodies, and
 * gives all other memory of the request back. Does nothing if they are copied already. false: there
 * is no room.
 */
bool exchange_keep_rest(struct exchange *exchange);

/* The first `n` bytes of exchange->out are sent. */
void exchange_sent(struct exchange *exchange, size_t n);

/* Gives back what the exchanges of a worker have kept. */
void exchange_free_kept(struct worker *worker);

/*
 * The head is read. `in_place`: its body has come as well, and nothing of the head is needed later.
 * true: a reply is set without the body, and the connection must close behind it.
 */
bool exchange_begin(struct exchange *exchange, bool in_place);

/*
 * exchange->content is the whole body, exchange->body.n_received its size as it came. true: the
 * reply is set. false: predict_score() sets the reply at the end of the worker's turn, predict.h.
 */
bool exchange_answer(struct exchange *exchange);

/* Whether the path names the model that is served. */
bool exchange_names_model(const struct exchange *exchange);

#endif
