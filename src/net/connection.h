/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h: a client's socket: its bytes, its phase, its place among the others.
 *
 * A connection belongs to one worker and is touched by its thread only. Its socket is watched
 * edge-triggered: connection_run() lets the session go on until the socket has no more, or until
 * others should have their turn.
 */
#ifndef DCNV2_NET_CONNECTION_H
#define DCNV2_NET_CONNECTION_H

#include "net/deadlines.h"
#include "net/heavy.h"
#include "net/net.h"
#include "net/session.h"
#include "text.h"

enum { WORKER_INPUT_BYTES = 128 * 1024 }; /* a whole head fits */

struct connection {
    /* connection_list.h: */
    struct connection *next, *previous;
    bool is_listed; /* not before the worker has seen it */
    enum connection_phase listed_phase;
    uint64_t listed_since_ms;
    /* worker.h: */
    struct connection *next_waiting, *next_closed;
    bool is_waiting; /* in the worker's list of those that have more to do */

    struct worker *worker;
    const struct session_kind *session;
    int fd; /* -1: closed */
    enum connection_phase phase;
    uint64_t since_ms;      /* when the phase began */
    uint64_t bytes_came_ms; /* when the last bytes did */
    bool readable;          /* the socket may hold more */
    bool has_urgent;        /* the client has sent an urgent byte (RFC 9293 section 3.8.5) */
    bool peer_closed;       /* the client has sent its end; it may still read */
    bool peer_gone;         /* the connection has failed: nobody will read */
    bool is_probe;          /* the request that is answered is one of who watches the server */
    unsigned n_heavy;       /* requests in the queue of heavy.h */
    struct text input;      /* bytes that the session has not taken, in the worker's buffer; while
                               the connection does not run they are in `kept` */
    struct body kept;
    uint64_t n_moved; /* in this phase: bytes of the body, or of the reply; the session counts */
    struct pace pace; /* of these */
};

/* A phase begins. */
void connection_enter(struct connection *connection, enum connection_phase phase);

/* The session has taken the first `n` bytes of the input. */
void connection_take(struct connection *connection, size_t n);

/* More bytes behind those that were not taken. */
enum step connection_read(struct connection *connection);

/* Writes what it can of the two parts, one behind the other; *ret_n is how much. STEP_AGAIN:
 * something, or a signal came between; STEP_WAIT: the socket is full. */
enum step connection_write(const struct connection *connection, const struct text parts[2],
                           size_t *ret_n);

/* Whether more bytes have come than were taken. */
bool connection_has_more(const struct connection *connection);

/* Does what can be done now. May close and remove the connection. */
void connection_run(struct connection *connection);

/* Ends it now. */
void connection_close(struct connection *connection);

/* Ends it now, and says why: `reason` for a person, in the log. */
void connection_cut(struct connection *connection, enum metrics_cut cut, const char *reason);

/* Counts a connection that was cut, and logs it, unless others were logged just before. */
void connection_note_cut(struct worker *worker, struct text request_id, enum metrics_cut cut,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
