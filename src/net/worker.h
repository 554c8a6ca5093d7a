/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h: a thread with an event loop: it accepts connections, gives each its turn, and keeps
 * their deadlines. A new connection goes to the worker that has the fewest.
 *
 * One heavy request (heavy.h) is answered per turn, after everything that had come before: whatever
 * connects or sends meanwhile waits for one of them at most.
 */
#ifndef DCNV2_NET_WORKER_H
#define DCNV2_NET_WORKER_H

#include "net/connection.h"

/* What it needs, for worker_free() to give back in any case. -1: errno says what is not to be had.
 */
int worker_create(struct worker *worker);

/* Its thread; all workers are created by then, since each may give connections to any. -1: errno.
 */
int worker_start(struct worker *worker);

/* From any thread: it looks at the server's flags. */
void worker_wake(struct worker *worker);

/* server->stopping is set. Waits for its thread. */
void worker_join(struct worker *worker);

/* All threads have ended. Ends the connections and gives all memory back. */
void worker_free(struct worker *worker);

/* Whether a line of a kind that many connections may give cause for can be written now; if so,
 * *ret_left_out is the number of those since the last one. */
bool worker_may_log(const struct worker *worker, struct log_limit *limit, uint64_t *ret_left_out);

/* For connection.c. It has more to do: it is run again when the others had their turn. */
void worker_wait_turn(struct connection *connection);

/* For connection.c. Its socket is closed. It is freed at the end of the turn. */
void worker_remove(struct connection *connection);

#endif
