/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange.h: one request and its reply, from the first header to the last byte sent.
 *
 * An exchange has one owner, the worker thread of its connection, and one release point,
 * libmicrohttpd's completion callback. Its memory (arena, body) is kept for the next one, that
 * of a bounded number of exchanges.
 */
#ifndef DCNV2_HTTP_EXCHANGE_H
#define DCNV2_HTTP_EXCHANGE_H

#include "http/body.h"
#include "http/connections.h"
#include "http/head.h"
#include "http/routes.h"
#include "http/server.h"

struct server {
    const struct config *config;
    struct registry *registry;
    struct metrics *metrics;
    struct connections *connections;
    struct body_budget budget;
    struct MHD_Daemon *daemon;
    struct MHD_Response *no_memory; /* a 503 that needs no memory to be sent */
    struct worker *workers;         /* [n_workers] */
    unsigned n_workers;
    _Atomic unsigned n_workers_started;
    _Atomic bool draining;
};

/* What one thread has of its own. */
struct worker {
    struct server *server;
    unsigned index;
    struct metrics_shard *metrics;
    struct exchange *free; /* for use again .. */
    unsigned n_free;       /* .. and how many */
    dcnv2_workspace *workspace;
    size_t workspace_floats; /* for how large a network it is */
    struct inflater *inflater;
    struct deflater *deflater;
    unsigned char random[1024]; /* for ids */
    size_t n_random;            /* bytes of it that are left */
};

struct reply {
    int http_status;
    struct text body; /* in the exchange's arena, or static */
    const char *content_type;
    const char *allow;         /* of a 405, or NULL */
    size_t json_length;        /* of a binary v2 reply, else 0 */
    bool retry_after;          /* of a 503 that may pass */
    void (*free_body)(void *); /* or NULL */
};

struct exchange {
    struct exchange *next_free;
    struct worker *worker;
    struct connection *connection;
    struct head head;
    struct route_match match;
    struct body body;
    struct body inflated;
    struct arena arena;
    struct reply reply;
    struct request_error error; /* found before the body came; http_status 0: none */
    const char *method;
    uint64_t started_ns; /* for the access log, as path */
    size_t head_bytes;   /* of the request line and header as they came */
    char path[128];      /* its start, for the access log */
};

/* Fills exchange->reply. */
void handle(struct exchange *exchange);

/* Sets the reply to {"error": MESSAGE}. */
void reply_error(struct exchange *exchange, const struct request_error *error);

#endif
