/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h: what a protocol makes of a connection's bytes: requests, and replies to them.
 *
 * A connection (net/connection.h) reads, keeps its place in the lists and has deadlines; its
 * session does the rest, step by step. By the worker's thread only.
 */
#ifndef DCNV2_NET_SESSION_H
#define DCNV2_NET_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics.h"
#include "text.h"

struct connection;
struct task;

enum step {
    STEP_AGAIN,     /* there may be more to do at once */
    STEP_WAIT,      /* for bytes, for room in the socket, or for a request's answer */
    STEP_NEXT_TURN, /* there is more to do, and others have their turn first */
    STEP_CLOSE
};

struct session_kind {
    size_t
        connection_bytes; /* of a struct that begins with the struct connection, zeroed at first */

    /* Does one thing with what has come, or writes. */
    enum step (*step)(struct connection *connection);

    /* The turn of a heavy request has come (heavy.h): answers it. */
    void (*run_heavy)(struct task *task);

    /* Makes the client's machine say whether the client is still there, if the protocol can. false:
     * the connection has failed. */
    bool (*ask)(struct connection *connection);

    /* A phase with a request under way has lasted too long, or memory is short: answers by an
     * error, which ends the connection. `reason`: a sentence without its full stop. */
    void (*refuse)(struct connection *connection, enum metrics_cut cut, int http_status,
                   const char *reason);

    /* Whether a body or a reply of the session's takes memory of the budget. */
    bool (*holds_memory)(const struct connection *connection);

    /* X-Request-Id of the request under way, for the log; {NULL, 0}: none. */
    struct text (*request_id)(const struct connection *connection);

    /* Bytes that have come are lost for lack of memory: nothing is read behind the request that is
     * answered. */
    void (*lose_input)(struct connection *connection);

    /* Gives back all that the session has: the connection ends. */
    void (*close)(struct connection *connection);
};

#endif
