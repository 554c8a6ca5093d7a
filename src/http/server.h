/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: the HTTP/1.1 server: listens, answers by the route table, drains and stops.
 *
 * One event loop a worker thread; a request is read, answered and released by one of them.
 */
#ifndef DCNV2_HTTP_SERVER_H
#define DCNV2_HTTP_SERVER_H

#include "config.h"
#include "metrics.h"
#include "registry.h"

struct server;

/*
 * Starts to listen. The arguments are borrowed for the server's life. `n_workers` is also
 * that of the registry and the metrics. NULL: *message (a line) names the port or says what else.
 */
struct server *server_start(const struct config *config, unsigned n_workers,
                            struct registry *registry, struct metrics *metrics, char *message,
                            size_t message_size);

/*
 * From now on readiness is 503 and connections end with their last reply. Returns when all have
 * ended, or at the end of the grace period: the number of requests cut then.
 */
size_t server_drain(struct server *server);

/* Ends the threads and frees the server. Accepts NULL. */
void server_stop(struct server *server);

#endif
