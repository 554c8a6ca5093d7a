/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection_list.h"

#include "net/connection.h"

const char *const connection_phase_names[CONNECTION_N_PHASES] = {
    [CONNECTION_NEW] = "new",          [CONNECTION_IDLE] = "idle",
    [CONNECTION_HEAD] = "header",      [CONNECTION_BODY] = "body",
    [CONNECTION_WAITING] = "waiting",  [CONNECTION_WRITING] = "writing",
    [CONNECTION_LINGERING] = "closing"};

_Static_assert((int)CONNECTION_N_PHASES == METRICS_CONNECTION_STATES,
               "each phase is a state of the metrics");

static void count(const struct worker *worker, enum connection_phase phase)
{
    metrics_connections(worker->metrics, phase, worker->lists[phase].n);
}

static void unlink_from(struct connection_list *list, struct connection *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else
        list->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    else
        list->last = c->previous;
    list->n--;
}

static void append(struct connection_list *list, struct connection *c)
{
    c->previous = list->last;
    c->next = NULL;
    if (list->last)
        list->last->next = c;
    else
        list->first = c;
    list->last = c;
    list->n++;
}

void connection_list_update(struct connection *c)
{
    struct worker *worker = c->worker;
    const enum connection_phase before = c->listed_phase;
    if (c->is_listed && before == c->phase && c->listed_since_ms == c->since_ms)
        return;
    if (c->is_listed)
        unlink_from(&worker->lists[before], c);
    append(&worker->lists[c->phase], c);
    if (!c->is_listed || before != c->phase) {
        count(worker, c->phase);
        if (c->is_listed)
            count(worker, before);
    }
    c->is_listed = true;
    c->listed_phase = c->phase;
    c->listed_since_ms = c->since_ms;
}

void connection_list_remove(struct connection *c)
{
    if (!c->is_listed)
        return;
    unlink_from(&c->worker->lists[c->listed_phase], c);
    count(c->worker, c->listed_phase);
    c->is_listed = false;
}

unsigned connection_list_n(const struct worker *worker)
{
    unsigned n = 0;
    for (int phase = 0; phase < CONNECTION_N_PHASES; phase++)
        n += worker->lists[phase].n;
    return n;
}

unsigned connection_list_n_busy(const struct worker *worker)
{
    return worker->lists[CONNECTION_BODY].n + worker->lists[CONNECTION_WAITING].n +
           worker->lists[CONNECTION_WRITING].n;
}
