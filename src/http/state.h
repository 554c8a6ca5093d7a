/* SPDX-License-Identifier: Apache-2.0 */
/* state.h: what the server has, and what each of its workers has of its own. For src/http. */
#ifndef DCNV2_HTTP_STATE_H
#define DCNV2_HTTP_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "dcnv2.h"
#include "http/body.h"
#include "http/connection_list.h"
#include "http/server.h"
#include "log.h"
#include "protocol/v2.h"

struct connection;
struct exchange;
struct log_limit;

/* Requests that are scored together, predict.h. */
struct batch {
    const dcnv2_model *model; /* held; NULL: none waits */
    struct exchange *first, *last;
    uint32_t n_rows;
};

struct server {
    const struct config *config;
    struct registry *registry;
    struct metrics *metrics;
    struct log_limit *form_lines; /* [n_sparse], form_log.h */
    struct body_budget budget;
    int listen_fd;
    struct worker *workers; /* [n_workers] */
    unsigned n_workers;
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
    /* The event loop, worker.c: */
    pthread_t thread;
    bool is_running;
    int epoll_fd, wake_fd;
    bool listens;
    char *input; /* [WORKER_INPUT_BYTES], what was read last */
    struct connection_list lists[CONNECTION_N_PHASES]; /* of all that are open .. */
    _Atomic unsigned n_connections;   /* .. and how many, with those not yet seen here */
    struct connection *first_waiting; /* those that have more to do, but let others go first */
    struct connection *first_heavy;   /* those with a heavy request, heavy.h */
    struct connection *closed;        /* to be freed at the end of a turn */
    uint64_t now_ms;                  /* when this turn began */
    uint64_t eased_ms;                /* when a connection was last cut for the memory of bodies */
    char date[32];                    /* a Date header's value .. */
    time_t date_s;                    /* .. and the second it is of */
    /* Exchanges, exchange.c and predict.c: */
    struct batch batch;
    struct v2_memory v2_memory;
    struct exchange *answered; /* were in a batch and have their reply */
    struct exchange *free;     /* for use again .. */
    unsigned n_free;           /* .. and how many */
    dcnv2_workspace *workspace;
    size_t workspace_floats; /* for how large a network it is */
    struct inflater *inflater;
    struct deflater *deflater;
    unsigned char random[1024]; /* for ids */
    size_t n_random;            /* bytes of it that are left */
};

#endif
