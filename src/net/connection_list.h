/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection_list.h: the connections of a worker, a list per phase.
 *
 * Each list is in the order in which its connections entered the phase: the first one has been in
 * it longest, so that deadlines and the search for a connection to give up look at the front only.
 * By the worker's thread only.
 */
#ifndef DCNV2_NET_CONNECTION_LIST_H
#define DCNV2_NET_CONNECTION_LIST_H

#include <stddef.h>

struct connection;
struct worker;

enum connection_phase {
    CONNECTION_NEW,       /* no byte has come */
    CONNECTION_IDLE,      /* between requests */
    CONNECTION_HEAD,      /* a part of a request's head has come */
    CONNECTION_BODY,      /* its head has come, its body is coming */
    CONNECTION_WAITING,   /* its request is scored together with others, or when its turn comes */
    CONNECTION_WRITING,   /* it is answered */
    CONNECTION_LINGERING, /* the last reply is sent; what still comes is read and dropped, since a
                             close with bytes unread would take the reply away from the client */
    CONNECTION_N_PHASES
};

/* Names for the metrics' state label, [CONNECTION_N_PHASES]. */
extern const char *const connection_phase_names[CONNECTION_N_PHASES];

struct connection_list {
    struct connection *first, *last;
    unsigned n;
};

/* Puts a connection at the end of the list of its phase, if its phase has begun since it was listed
 * last. */
void connection_list_update(struct connection *connection);

/* Takes it off its list, if it is on one. */
void connection_list_remove(struct connection *connection);

/* Connections of a worker, without those that it has not seen yet. */
unsigned connection_list_n(const struct worker *worker);

/* Connections of a worker with a request whose head has come. */
unsigned connection_list_n_busy(const struct worker *worker);

#endif
