/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heavy.h: requests that may take long, and which of them is next.
 *
 * Highest response ratio next (Brinch Hansen, 1971): of all that wait, the one is taken whose time
 * of waiting is the largest multiple of the time that its answer needs. A small request overtakes
 * large ones that came before it, and a large one cannot be overtaken for ever. A request whose
 * client has sent its end comes last until the client was asked and had a second to be found gone:
 * mostly nobody is there any more to read the reply.
 * By the worker's thread only.
 */
#ifndef DCNV2_NET_HEAVY_H
#define DCNV2_NET_HEAVY_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct worker;

/* A request in the queue, in memory of its session. Zeroed before it is used first. */
struct task {
    struct task *next, *previous;
    struct connection *connection;
    bool is_queued;
    uint64_t since_ms; /* when it was added */
    uint64_t asked_ms; /* when its client was asked whether it is still there; 0: not yet */
    double cost_ms;    /* that the answer may take */
};

/* A request of the connection waits from now on; its body, unpacked, has so many bytes. */
void heavy_add(struct task *task, struct connection *connection, uint64_t content_bytes);

/* Takes the request off the queue, if it is in it. */
void heavy_remove(struct task *task);

/* Takes the next one off the queue. NULL: none waits. */
struct task *heavy_next(struct worker *worker);

/* Asks the clients that have sent their end whether they are still there, once per request; the
 * machine of one that is gone resets the connection. */
void heavy_look(struct worker *worker);

#endif
