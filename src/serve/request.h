/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h: one request and its reply, from the last byte of its head to the last byte sent.
 *
 * A request has one owner, the session that it came on (or its stream there), and one release
 * point, request_release(). Its memory (arena, body) is kept for the next one, that of a bounded
 * number of requests, so that a warm server allocates nothing. By its thread only.
 */
#ifndef DCNV2_SERVE_REQUEST_H
#define DCNV2_SERVE_REQUEST_H

#include "serve/request_head.h"
#include "serve/routes.h"
#include "serve/service.h"

struct grpc_infer_request;
struct prediction;

/* A request with a larger body, or a packed one, may hold rows for milliseconds of work: it waits
 * for its turn (net/heavy.h). */
enum { REQUEST_LIGHT_BYTES = 8192 };

struct reply {
    int http_status;
    struct text body; /* in the request's arena, or static */
    const char *content_type;
    const char *allow;         /* the path's methods, or NULL */
    size_t json_length;        /* of a binary v2 reply, else 0 */
    bool retry_after;          /* of a 503 that may pass */
    void (*free_body)(void *); /* or NULL */
};

struct request {
    struct request *next_free, *next_pending;
    struct service_thread *thread;
    void *session;                  /* its owner, who is told .. */
    void (*tell)(struct request *); /* .. that the reply to a request that waited is set */
    struct request_head head;
    struct route_match match;
    const struct served_model *model; /* that the path or the message names; NULL: none of ours */
    bool is_grpc;         /* a call of gRPC: a reply that is no message is an error's text */
    uint64_t deadline_ns; /* of the client, clock_ns(); 0: none. Work is not begun behind it */
    struct grpc_infer_request *infer; /* a ModelInferRequest whose tensors are not yet read */
    struct text cors_origin; /* who may read the reply, cors.h; {NULL, 0}: nobody is told */
    struct body body;        /* what was collected of it, where it did not come at once */
    struct body inflated;
    struct text content; /* the whole body, as a handler reads it */
    struct arena arena;
    struct prediction *prediction;
    struct reply reply;
    struct request_error error; /* found before the body came; http_status 0: none */
    bool is_rest_kept;          /* what is to be sent lies in `body`, request_keep_rest() */
    uint64_t started_ns;        /* for the access log */
};

/* NULL: out of memory. */
struct request *request_take(struct service_thread *thread, void *session,
                             void (*tell)(struct request *));
void request_release(struct request *request);

/* Of a request that waits to be scored: nobody wants its reply any more. It is released when it has
 * been scored. */
void request_abandon(struct request *request);

/*
 * The client reads slowly: copies the bytes of `out` that are still to be sent, within the budget
 * of bodies, and gives all other memory of the request back. Does nothing if they are copied
 * already. false: there is no room.
 */
bool request_keep_rest(struct request *request, struct text out[2]);

/* Gives back what the requests of a thread have kept. */
void request_free_kept(struct service_thread *thread);

/*
 * request->head is read. `in_place`: its body has come as well, and nothing of the head is needed
 * later. true: a reply is set without the body, and the connection must close behind it.
 */
bool request_begin(struct request *request, bool in_place);

/*
 * request->content is the whole body, request->body.n_received its size as it came. true: the
 * reply is set. false: the session is told when the reply is set, at the end of the thread's turn.
 */
bool request_answer(struct request *request);

/* The reply is about to be sent: for metrics and the access log. */
void request_note_reply(const struct request *request);

#endif
