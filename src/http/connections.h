/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections.h: the open connections and their deadlines.
 *
 * libmicrohttpd's timeout starts again with every byte, so a client that sends one now and
 * then could hold a connection for ever. This table gives each phase of a request a
 * deadline of its own; connections_reap() cuts those that are over it.
 */
#ifndef DCNV2_HTTP_CONNECTIONS_H
#define DCNV2_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_phase {
    CONNECTION_IDLE,   /* between requests, or in a header that is not whole */
    CONNECTION_BODY,   /* a request's header has come, its body is coming */
    CONNECTION_WRITING /* it is being answered */
};

struct connection;
struct connections;

/* NULL: out of memory. */
struct connections *connections_create(unsigned header_timeout_s, unsigned body_timeout_s,
                                       unsigned idle_timeout_s);
void connections_free(struct connections *connections);

/* `fd` stays the caller's; it must be open until connections_remove(). NULL: out of memory. */
struct connection *connections_add(struct connections *connections, int fd);
void connections_remove(struct connections *connections, struct connection *connection);

/* By the thread that serves the connection; no lock. These accept NULL. */
void connection_enter(struct connection *connection, enum connection_phase phase);

/* A request ended that took `n_bytes`, header and body, as they came. */
void connection_consumed(struct connection *connection, uint64_t n_bytes);

/* A request ended whose size is not known, as chunks have a frame: it took all that has come. */
void connection_consumed_all(struct connection *connection);

/* Whether more has come than the requests before and `n_bytes` of this one: pipelined requests. */
bool connection_has_more(const struct connection *connection, uint64_t n_bytes);

/*
 * Shuts down what is over its deadline; an idle connection for reading only, so that a request
 * which comes at that moment is still answered. Call it about once a second, from one thread.
 */
void connections_reap(struct connections *connections);

/*
 * Connections that are in a request, or got bytes in the last `quiet_ms`: those that a server
 * about to stop must still wait for. Same thread as connections_reap().
 */
size_t connections_busy(struct connections *connections, unsigned quiet_ms);

#endif
