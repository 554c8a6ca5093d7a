/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h: what answers requests, whichever protocol brings them: the model, limits, metrics,
 * and what each thread keeps from one request to the next.
 */
#ifndef DCNV2_SERVE_SERVICE_H
#define DCNV2_SERVE_SERVICE_H

#include <stdatomic.h>
#include <time.h>

#include "body.h"
#include "config.h"
#include "dcnv2.h"
#include "metrics.h"
#include "protocol/v2.h"
#include "registry.h"

struct log_limit;
struct request;

/* A model, by the name that requests give. */
struct served_model {
    const char *name;
    struct registry *registry;
    struct log_limit *form_lines; /* [n_sparse], form_log.h */
};

struct service {
    const struct config *config;
    struct metrics *metrics;
    struct body_budget budget;
    struct served_model model;
    struct service_thread *threads; /* [n_threads] */
    unsigned n_threads;
    _Atomic bool draining; /* readiness is 503 */
};

/* Requests that are scored together, predict.h. */
struct batch {
    const dcnv2_model *model; /* held; NULL: none waits */
    struct request *first, *last;
    uint32_t n_rows;
};

/* What one thread has of its own; only that thread touches any of it. */
struct service_thread {
    struct service *service;
    unsigned index;
    struct metrics_shard *metrics;
    struct batch batch;
    struct v2_memory v2_memory;
    struct request *answered; /* were in a batch and have their reply */
    struct request *free;     /* for use again .. */
    unsigned n_free;          /* .. and how many */
    dcnv2_workspace *workspace;
    size_t workspace_floats; /* for how large a network it is */
    struct inflater *inflater;
    struct deflater *deflater;
    unsigned char random[1024]; /* for ids */
    size_t n_random;            /* bytes of it that are left */
    char date[32];              /* a Date header's value .. */
    time_t date_s;              /* .. and the second it is of */
};

/* The arguments are borrowed for the service's life. `n_threads` is also that of the registry and
 * the metrics. NULL: out of memory. */
struct service *service_create(const struct config *config, unsigned n_threads,
                               struct registry *registry, struct metrics *metrics);

/* All threads have ended, and no request is held. Accepts NULL. */
void service_free(struct service *service);

/* From now on readiness is 503. */
void service_drain(struct service *service);

/* The model of that name, or NULL. */
const struct served_model *service_find_model(const struct service *service, struct text name);

/* For the event loop, net/server.h: a thread's part; */
struct service_thread *service_thread_of(void *service, unsigned index);
/* scores what came in this turn together, and tells the sessions; */
void service_end_turn(struct service_thread *thread);
/* whether there is something to score or to tell. */
bool service_has_work(const struct service_thread *thread);

/* The value of a Date header, IMF-fixdate (RFC 9110 section 5.6.7): made anew once a second. */
const char *service_date(struct service_thread *thread);

#endif
