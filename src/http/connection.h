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
#include "http/connection_list.h"
#include "http/deadlines.h"
#include "http/exchange.h"

enum { WORKER_INPUT_BYTES = 128 * 1024 }; /* above HEAD_MAX_BYTES, so that a head fits */

struct connection {
    /* connection_list.h: */
    struct connection *next, *previous;
    bool is_listed; /* not before the worker has seen it */
    enum connection_phase listed_phase;
    uint64_t listed_since_ms;
    /* heavy.h: */
    struct connection *next_heavy, *previous_heavy;
    bool is_heavy;
    uint64_t asked_ms; /* when its client was asked whether it is still there; 0: not yet */
    double cost_ms;    /* that the answer may take */
    /* worker.h: */
    struct connection *next_waiting, *next_closed;
    bool is_waiting; /* in the worker's list of those that have more to do */

    struct worker *worker;
    int fd; /* -1: closed */
    enum connection_phase phase;
    uint64_t since_ms;      /* when the phase began */
    uint64_t bytes_came_ms; /* when the last bytes did */
    bool readable;          /* the socket may hold more */
    bool has_urgent;        /* the client has sent an urgent byte (RFC 9293 section 3.8.5) */
    bool peer_closed;       /* the client has sent its end; it may still read */
    bool peer_gone;         /* the connection has failed: nobody will read */
    bool close_after;       /* the reply is the last one .. */
    bool linger_after;      /* .. to a client that may still be sending */
    struct text input;      /* bytes that no request has taken, in the worker's buffer; while the
                               connection does not run they are in `kept` */
    struct body kept;
    size_t scanned; /* of the input, by head_find_end() */
    struct chunks chunks;
    struct exchange *exchange; /* of the request that is read or answered, or NULL */
    uint64_t n_sent;           /* bytes of the reply */
    uint64_t n_lingered;
    struct pace pace; /* of the body or the reply */
};

/* Does what can be done now: reads, answers, writes. May close and remove the connection. */
void connection_run(struct connection *connection);

/* The turn of its heavy request has come: answers it. */
void connection_run_heavy(struct connection *connection);

/* The reply to a request that waited is set: starts to send it, and goes on. */
void connection_answered(struct connection *connection);

/* Sends a 100 (Continue). false: the connection has failed. */
bool connection_send_continue(const struct connection *connection);

/* Ends it now. An exchange under way is released. */
void connection_close(struct connection *connection);

/* Ends it now, and says why: `reason` for a person, in the log. */
void connection_cut(struct connection *connection, enum metrics_cut cut, const char *reason);

/* In the place of the request whose body is coming: an error as its answer, which ends the
 * connection. `reason`: a sentence without its full stop. */
void connection_refuse(struct connection *connection, enum metrics_cut cut, int http_status,
                       const char *reason);

/* Counts a connection that was cut, and logs it, unless others were logged just before. */
void connection_note_cut(struct worker *worker, struct text request_id, enum metrics_cut cut,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
