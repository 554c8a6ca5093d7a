/* SPDX-License-Identifier: Apache-2.0 */
#include "net/deadlines.h"

#include "net/connection.h"
#include "net/heavy.h"
#include "net/worker.h"

enum {
    QUIET_MS = 200,      /* while the server stops, a connection without bytes for so long ends */
    LATE_MAX_MS = 10000, /* that a body may be behind its least rate */
    SLOW_MS = 500,       /* slow is who moves no more in half a second and longer .. */
    SLOW_BYTES = 64 * 1024, /* .. than so much */
    FIRST_BYTE_MS = 1000,   /* within which they come where nobody means harm */
    ROOM_TRIES = 16,        /* connections that turn out not to be idle any more */
    EASE_EVERY_MS = 10      /* between two that are cut for memory */
};

static const struct config *config_of(const struct worker *worker)
{
    return worker->server->setup.config;
}

/* For how long a connection may be in a phase. */
static uint64_t limit_ms(const struct config *config, enum connection_phase phase)
{
    switch (phase) {
    case CONNECTION_NEW:
    case CONNECTION_HEAD:
    case CONNECTION_LINGERING:
        return config->header_timeout_s * UINT64_C(1000);
    case CONNECTION_IDLE:
        return config->idle_timeout_s * UINT64_C(1000);
    case CONNECTION_BODY:
    case CONNECTION_WRITING:
        return config->body_timeout_s * UINT64_C(1000);
    case CONNECTION_WAITING:
    case CONNECTION_N_PHASES:
        break;
    }
    return UINT64_MAX;
}

static uint64_t age_ms(const struct connection *c)
{
    const uint64_t now_ms = c->worker->now_ms;
    return now_ms > c->since_ms ? now_ms - c->since_ms : 0;
}

/* ---- the end of a connection ---- */

/* Takes what has come at this moment. Whether the connection still is in the same phase, and has
 * nothing to do: a request may lie there behind the one that was answered last. */
static bool goes_on_waiting(struct connection *c)
{
    const enum connection_phase phase = c->phase;
    const uint64_t since_ms = c->since_ms;
    c->readable = true;
    connection_run(c);
    return c->fd >= 0 && c->phase == phase && c->since_ms == since_ms && !c->is_waiting;
}

/* Nothing is expected: ends it, unless something has come at this moment. Whether it has ended. */
static bool close_idle(struct connection *c)
{
    if (goes_on_waiting(c))
        connection_close(c);
    return c->fd < 0;
}

/* The session answers by an error, and ends the connection behind it. */
static void refuse(struct connection *c, enum metrics_cut cut, int http_status, const char *reason)
{
    c->session->refuse(c, cut, http_status, reason);
    connection_run(c);
}

static void end(struct connection *c)
{
    switch (c->phase) {
    case CONNECTION_NEW:
    case CONNECTION_IDLE:
        close_idle(c);
        break;
    case CONNECTION_HEAD:
        if (goes_on_waiting(c))
            connection_cut(c, METRICS_CUT_HEADER, "its header did not come in time");
        break;
    case CONNECTION_BODY:
        refuse(c, METRICS_CUT_BODY, 408, "The request body did not come in time");
        break;
    case CONNECTION_WRITING:
        connection_cut(c, METRICS_CUT_REPLY, "its reply was not taken in time");
        break;
    case CONNECTION_LINGERING:
    case CONNECTION_WAITING:
    case CONNECTION_N_PHASES:
        connection_close(c);
        break;
    }
}

/* ---- deadlines ---- */

/* The first of a list entered its phase first: behind one whose time is not over no other's is. */
static void end_expired(struct worker *worker, enum connection_phase phase)
{
    const uint64_t limit = limit_ms(config_of(worker), phase);
    struct connection_list *list = &worker->lists[phase];
    while (list->first && age_ms(list->first) >= limit) {
        struct connection *c = list->first;
        end(c);
        if (list->first == c)
            break; /* a whole request lies there, and is run in its turn */
    }
}

static bool is_quiet(const struct connection *c)
{
    const uint64_t now_ms = c->worker->now_ms;
    return now_ms > c->bytes_came_ms && now_ms - c->bytes_came_ms >= QUIET_MS;
}

/* While the server stops: who sends nothing for a moment has nothing to send. */
static void end_quiet(struct worker *worker, enum connection_phase phase)
{
    struct connection *next;
    for (struct connection *c = worker->lists[phase].first; c; c = next) {
        next = c->next; /* only c itself leaves the list */
        if (is_quiet(c))
            end(c);
    }
}

static void look_at_pace(struct connection *c)
{
    struct pace *pace = &c->pace;
    const uint64_t now_ms = c->worker->now_ms;
    const uint64_t looked_ms = pace->looked_ms > c->since_ms ? pace->looked_ms : c->since_ms;
    const uint64_t moved = c->n_moved;
    pace->last_window = moved - pace->n_moved;
    pace->late_ms += now_ms > looked_ms ? now_ms - looked_ms : 0;
    pace->n_moved = moved;
    pace->looked_ms = now_ms;
    const unsigned least = config_of(c->worker)->min_body_rate;
    if (c->phase != CONNECTION_BODY || least == 0) {
        pace->late_ms = 0;
        return;
    }
    const uint64_t paid_ms = pace->last_window * 1000 / least;
    pace->late_ms = pace->late_ms > paid_ms ? pace->late_ms - paid_ms : 0;
    if (pace->late_ms >= LATE_MAX_MS)
        refuse(c, METRICS_CUT_BODY, 408, "The request body came too slowly");
}

static void look_at_paces(struct worker *worker, enum connection_phase phase)
{
    struct connection *next;
    for (struct connection *c = worker->lists[phase].first; c; c = next) {
        next = c->next;
        look_at_pace(c);
    }
}

void deadlines_look(struct worker *worker)
{
    for (int phase = 0; phase < CONNECTION_N_PHASES; phase++)
        end_expired(worker, (enum connection_phase)phase);
    look_at_paces(worker, CONNECTION_BODY);
    look_at_paces(worker, CONNECTION_WRITING);
    heavy_look(worker);
    if (!atomic_load(&worker->server->quiesced))
        return;
    end_quiet(worker, CONNECTION_NEW);
    end_quiet(worker, CONNECTION_IDLE);
    end_quiet(worker, CONNECTION_HEAD);
    end_quiet(worker, CONNECTION_LINGERING);
}

/* ---- room for another connection ---- */

/* The one that is idle longest, whether a request came on it before or not. A new one has a moment
 * for its first bytes to come. */
static struct connection *idle_longest(const struct worker *worker)
{
    struct connection *idle = worker->lists[CONNECTION_IDLE].first;
    struct connection *silent = worker->lists[CONNECTION_NEW].first;
    if (silent == NULL || age_ms(silent) < FIRST_BYTE_MS)
        return idle;
    return idle == NULL || silent->since_ms < idle->since_ms ? silent : idle;
}

/* The one whose head is the oldest that has not come whole: what has more to do holds a whole
 * request, behind the one that was answered last. */
static struct connection *oldest_part(const struct worker *worker)
{
    struct connection *c = worker->lists[CONNECTION_HEAD].first;
    for (int i = 0; i < ROOM_TRIES && c && c->is_waiting; i++)
        c = c->next;
    return c && !c->is_waiting ? c : NULL;
}

static struct connection *stuck_probe(const struct worker *worker)
{
    struct connection *c = worker->lists[CONNECTION_WRITING].first;
    while (c && !c->is_probe)
        c = c->next;
    return c;
}

bool deadlines_make_room(struct worker *worker)
{
    struct connection *c = worker->lists[CONNECTION_LINGERING].first;
    if (c) {
        connection_close(c);
        return true;
    }
    for (int i = 0; i < ROOM_TRIES && (c = idle_longest(worker)); i++) {
        const uint64_t idle_ms = age_ms(c);
        if (close_idle(c)) {
            connection_note_cut(worker, (struct text){NULL, 0}, METRICS_CUT_ROOM,
                                "idle for %.1f s, makes room for a new one", (double)idle_ms / 1e3);
            return true;
        }
    }
    if ((c = oldest_part(worker)) == NULL && (c = worker->lists[CONNECTION_NEW].first) == NULL &&
        (c = stuck_probe(worker)) == NULL)
        c = worker->lists[CONNECTION_HEAD].first;
    if (c)
        connection_cut(c, METRICS_CUT_ROOM, "unfinished, makes room for a new one");
    return c != NULL;
}

/* ---- memory for another body ---- */

static bool holds_memory(const struct connection *c)
{
    return c->kept.capacity > 0 || c->session->holds_memory(c);
}

static uint64_t recently_moved(const struct connection *c)
{
    if (c->phase != CONNECTION_BODY && c->phase != CONNECTION_WRITING)
        return 0;
    return c->pace.last_window + c->n_moved - c->pace.n_moved;
}

/* Of those that are slow at all. */
static struct connection *slowest(const struct worker *worker)
{
    static const enum connection_phase phases[] = {CONNECTION_BODY, CONNECTION_WRITING,
                                                   CONNECTION_HEAD};
    struct connection *found = NULL;
    uint64_t least = SLOW_BYTES;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct connection *c = worker->lists[phases[i]].first;
        for (; c && age_ms(c) >= SLOW_MS; c = c->next) {
            if (holds_memory(c) && recently_moved(c) < least) {
                found = c;
                least = recently_moved(c);
            }
        }
    }
    return found;
}

void deadlines_ease_budget(struct worker *worker)
{
    if (!body_budget_is_tight(worker->server->setup.budget) ||
        worker->now_ms < worker->eased_ms + EASE_EVERY_MS)
        return;
    worker->eased_ms = worker->now_ms;
    struct connection *c = slowest(worker);
    if (c == NULL)
        return;
    if (c->phase == CONNECTION_BODY)
        refuse(c, METRICS_CUT_MEMORY, 503,
               "Too many request bodies at once, and this one came slowest; try again");
    else
        connection_cut(c, METRICS_CUT_MEMORY, "slowest of those that hold memory for bodies");
}
