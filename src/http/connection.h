/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h: a client's connection: requests from bytes, replies to bytes, one after the other.
 *
 * A connection belongs to one worker and is touched by its thread only. Its socket is watched
 * edge-triggered: connection_run() goes on until the socket has no more, or until others should
 * have their turn.
 */
#ifndef DCNV2_HTTP_CONNECTION_H
#define DCNV2_HTTP_CONNECTION_H

#include "http/chunks.h"
#include "http/exchange.h"

enum { WORKER_INPUT_BYTES = 128 * 1024 }; /* above HEAD_MAX_BYTES, so that a head fits */

enum connection_phase {
    CONNECTION_IDLE,     /* between requests */
    CONNECTION_HEAD,     /* a part of a request's head has come */
    CONNECTION_BODY,     /* its head has come, its body is coming */
    CONNECTION_WAITING,  /* its request is scored together with others, or when its turn comes */
    CONNECTION_WRITING,  /* it is answered */
    CONNECTION_LINGERING /* the last reply is sent; what still comes is read and dropped, since a
                            close with bytes unread would take the reply away from the client */
};

struct connection {
    struct connection *next, *previous; /* of the worker's list */
    struct connection *next_waiting, *next_heavy, *next_closed;
    struct worker *worker;
    int fd; /* -1: closed */
    enum connection_phase phase;
    uint64_t since_ms;      /* when the phase began */
    uint64_t bytes_came_ms; /* when the last bytes did */
    bool is_listed;         /* in the worker's list; not before the worker has seen it */
    bool is_waiting;        /* in the worker's list of those that have more to do */
    bool readable;          /* the socket may hold more */
    bool peer_closed;       /* the client has sent its end; it may still read */
    bool close_after;       /* the reply is the last one .. */
    bool linger_after;      /* .. to a client that may still be sending */
    struct text input;      /* bytes that no request has taken, in the worker's buffer; while the
                               connection does not run they are in `kept` */
    char *kept;
    size_t n_kept, kept_capacity;
    size_t scanned; /* of the input, by head_find_end() */
    struct chunks chunks;
    struct exchange *exchange; /* of the request that is read or answered, or NULL */
    uint64_t n_lingered;
};

/* Does what can be done now: reads, answers, writes. May close and remove the connection. */
void connection_run(struct connection *connection);

/* The turn of its heavy request has come: answers it. */
void connection_run_heavy(struct connection *connection);

/* The reply to a request that waited is set: starts to send it, and goes on. */
void connection_answered(struct connection *connection);

/* Ends it now. An exchange under way is released. */
void connection_close(struct connection *connection);

/*
 * Whether its time is over. `now_ms` is by clock_ms(). A connection that is only idle is looked at
 * once more, so that a request which has come meanwhile is answered.
 */
void connection_check_deadline(struct connection *connection, uint64_t now_ms);

#endif
