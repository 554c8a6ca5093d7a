/* SPDX-License-Identifier: Apache-2.0 */
/*
 * team.h: threads that share the tasks of one job, and end together.
 *
 * A training step is a few jobs of some tens of microseconds each, so threads that have nothing
 * to do spin for about as long before they sleep. Which thread takes which task is chance: tasks
 * of a job write to places of their own, and read what no other task of it writes.
 */
#ifndef DCNV2_NATIVE_TEAM_H
#define DCNV2_NATIVE_TEAM_H

#include <stddef.h>
#include <stdint.h>

struct team;

/* member: 0 .. n_threads - 1, for scratch memory. */
typedef void (*team_task)(void *context, uint32_t task, unsigned member);

/* n_threads includes the caller of team_run(). NULL: no memory, or no threads. */
struct team *team_create(unsigned n_threads);

/* task(context, 0 .. n_tasks - 1, ..) in any order; returns when all are done. One caller. */
void team_run(struct team *team, uint32_t n_tasks, team_task task, void *context);

/* Accepts NULL. */
void team_free(struct team *team);

#endif
