/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: the listening socket and the threads behind it: started, drained, stopped.
 *
 * One event loop per worker thread. What the bytes of a connection mean is a session's matter
 * (net/session.h), and what a request means is the service's, of which this room knows no more
 * than the hooks below.
 */
#ifndef DCNV2_NET_SERVER_H
#define DCNV2_NET_SERVER_H

#include "body.h"
#include "config.h"
#include "metrics.h"

struct server;
struct service_thread;
struct session_kind;

/* All of it is borrowed for the server's life. */
struct server_setup {
    const struct config *config;
    unsigned n_workers; /* also of the metrics */
    struct metrics *metrics;
    struct body_budget *budget;         /* of what connections keep */
    const struct session_kind *session; /* which a connection begins as */
    /* By a worker's thread: the thread's part of the service, service[worker]. */
    struct service_thread *(*thread_of)(void *service, unsigned worker);
    /* At the end of each turn of an event loop: answers what has come in it. */
    void (*end_turn)(struct service_thread *);
    /* Whether there is something for end_turn() already. */
    bool (*has_work)(const struct service_thread *);
    void *service;
};

/* Starts to listen. NULL: *message (a line) names the port or says what else. */
struct server *server_start(const struct server_setup *setup, char *message, size_t message_size);

/*
 * From now on connections end with their last reply. Returns when all have ended, or at the end of
 * the grace period: the number of requests cut then.
 */
size_t server_drain(struct server *server);

/* Ends the threads and frees the server. Accepts NULL. */
void server_stop(struct server *server);

#endif
