/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadlines.h: how long a connection may stay as it is, and which one is given up first if there is
 * no room: no place for a new connection, or no memory for another body.
 *
 * A deadline is one of a whole phase, whatever drips in meanwhile. A body has a least rate as
 * well. By the worker's thread only.
 */
#ifndef DCNV2_NET_DEADLINES_H
#define DCNV2_NET_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct worker;

/* How fast the bytes of a body or of a reply move, from look to look. Zero when a phase begins. */
struct pace {
    uint64_t n_moved;     /* at the last look */
    uint64_t last_window; /* bytes between the two looks before .. */
    uint64_t late_ms;     /* how far the body is behind its least rate */
    uint64_t looked_ms;
};

/* Ends the connections of a worker whose time is over. A connection that is only idle is looked at
 * once more, so that a request which has come meanwhile is answered. */
void deadlines_look(struct worker *worker);

/*
 * Ends one connection, to make room for another: one that lingers behind its last reply, or else
 * the one that is idle longest, or else the one whose head is the oldest, or else a probe that does
 * not take its reply, or else one with requests that wait behind the one that was answered last.
 * false: each has a request under way.
 */
bool deadlines_make_room(struct worker *worker);

/*
 * If the memory for bodies is used up for three quarters, beside the reserve of small ones: ends
 * the request of this worker that came, or takes its reply, slowest of those that hold some of it.
 */
void deadlines_ease_budget(struct worker *worker);

#endif
