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
#ifndef DCNV2_HTTP_HEAVY_H
#define DCNV2_HTTP_HEAVY_H

struct connection;
struct worker;

/* The connection's request waits from now on. Its body is whole. */
void heavy_add(struct connection *connection);

/* Takes the connection off the queue, if it is in it. */
void heavy_remove(struct connection *connection);

/* Takes the next one off the queue. NULL: none waits. */
struct connection *heavy_next(struct worker *worker);

/*
 * Asks the clients that have sent their end whether they are still there, once each: a 100
 * (Continue), which every client of HTTP/1.1 passes over (RFC 9110 section 15.2), makes the machine
 * of one that is gone reset the connection. One of HTTP/1.0 has the same second, unasked.
 */
void heavy_look(struct worker *worker);

#endif
