/* SPDX-License-Identifier: Apache-2.0 */
#include "net/heavy.h"

#include "net/connection.h"

enum {
    BYTES_PER_MS = 64 * 1024, /* of a body, read and scored; a rough figure does, since only the
                                 ratios of two requests matter */
    GONE_MS = 1000            /* within which the machine of a client that is gone says so */
};

void heavy_add(struct task *task, struct connection *c, uint64_t content_bytes)
{
    struct worker *worker = c->worker;
    *task = (struct task){.connection = c,
                          .is_queued = true,
                          .since_ms = worker->now_ms,
                          .cost_ms = 1e-3 + (double)content_bytes / BYTES_PER_MS,
                          .next = worker->first_heavy};
    if (task->next)
        task->next->previous = task;
    worker->first_heavy = task;
    c->n_heavy++;
}

void heavy_remove(struct task *task)
{
    if (!task->is_queued)
        return;
    task->is_queued = false;
    task->connection->n_heavy--;
    if (task->previous)
        task->previous->next = task->next;
    else
        task->connection->worker->first_heavy = task->next;
    if (task->next)
        task->next->previous = task->previous;
}

/* Whether its client has sent its end, and may be gone: it was not asked long enough ago. */
static bool may_be_gone(const struct task *task, uint64_t now_ms)
{
    return task->connection->peer_closed &&
           (task->asked_ms == 0 || now_ms < task->asked_ms + GONE_MS);
}

/* Those whose clients may be gone are below 0, the one that waits longest first. */
static double urgency(const struct task *task, uint64_t now_ms)
{
    const double age_ms = now_ms > task->since_ms ? (double)(now_ms - task->since_ms) : 0;
    return may_be_gone(task, now_ms) ? -1 / (1 + age_ms) : age_ms / task->cost_ms;
}

/* Whether a goes before b, which stands before it in the list and so is younger. */
static bool is_before(const struct task *a, const struct task *b, uint64_t now_ms)
{
    const double of_a = urgency(a, now_ms), of_b = urgency(b, now_ms);
    return of_a > of_b || (of_a >= of_b && a->cost_ms <= b->cost_ms);
}

struct task *heavy_next(struct worker *worker)
{
    struct task *best = worker->first_heavy;
    for (struct task *task = best; task; task = task->next)
        if (is_before(task, best, worker->now_ms))
            best = task;
    if (best)
        heavy_remove(best);
    return best;
}

void heavy_look(struct worker *worker)
{
    struct task *next;
    for (struct task *task = worker->first_heavy; task; task = next) {
        struct connection *c = task->connection;
        next = task->next;
        if (!c->peer_closed || task->asked_ms)
            continue;
        task->asked_ms = worker->now_ms;
        if (!c->session->ask(c))
            connection_close(c); /* a part of what was sent may not stand before the reply */
    }
}
