/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h: what the server has of sockets, and what each of its workers has of its own. For the
 * sessions and src/net; whoever starts the server includes net/server.h alone.
 */
#ifndef DCNV2_NET_NET_H
#define DCNV2_NET_NET_H

#include <pthread.h>
#include <stdatomic.h>

#include "body.h"
#include "log.h"
#include "net/connection_list.h"
#include "net/server.h"

struct connection;
struct task;

struct server {
    struct server_setup setup;
    int listen_fd;
    struct worker *workers; /* [setup.n_workers] */
    unsigned
        worker_connections; /* of one worker: connections with requests under way, at most .. */
    unsigned worker_spare;  /* .. and how many more it keeps, so that a probe finds a place */
    unsigned most_open;     /* connections, in all, with those that are on their way to a worker */
    _Atomic unsigned n_connections;
    _Atomic bool backlog_waits; /* a client could not be accepted for the limit */
    struct log_limit cut_limits[METRICS_N_CUTS];
    struct log_limit accept_limit;
    _Atomic bool draining; /* replies close their connections */
    _Atomic bool quiesced; /* nothing is accepted, and connections end when they are quiet */
    _Atomic bool stopping;
};

/* What one thread has of its own. */
struct worker {
    struct server *server;
    unsigned index;
    struct metrics_shard *metrics;
    struct service_thread *service; /* what its requests have of this thread, for the sessions */
    pthread_t thread;
    bool is_running;
    int epoll_fd, wake_fd;
    bool listens;
    char *input; /* [WORKER_INPUT_BYTES], what was read last */
    struct connection_list lists[CONNECTION_N_PHASES]; /* of all that are open .. */
    _Atomic unsigned n_connections;   /* .. and how many, with those not yet seen here */
    struct connection *first_waiting; /* those that have more to do, but let others go first */
    struct task *first_heavy;         /* requests that may take long, heavy.h */
    struct connection *closed;        /* to be freed at the end of a turn */
    uint64_t now_ms;                  /* when this turn began */
    uint64_t eased_ms;                /* when a connection was last cut for the memory of bodies */
};

#endif
