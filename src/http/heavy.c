/* SPDX-License-Identifier: Apache-2.0 */
#include "http/heavy.h"

#include "http/connection.h"

enum {
    BYTES_PER_MS = 64 * 1024, /* of a body, read and scored; a rough figure does, since only the
                                 ratios of two requests matter */
    GONE_MS = 1000,           /* within which the machine of a client that is gone says so */
    DEFLATE_FACTOR = 8        /* of a deflate body, which does not say how long its content is */
};

/* Bytes of the request's content, once inflated. A gzip member ends with that number (RFC 1952
 * section 2.3.1); a client that lies there gains a place in the queue and nothing else. */
static uint64_t content_bytes(const struct exchange *exchange)
{
    const struct text content = exchange->content;
    if (exchange->head.coding == CODING_IDENTITY)
        return content.length;
    if (exchange->head.coding == CODING_DEFLATE)
        return DEFLATE_FACTOR * (uint64_t)content.length;
    uint32_t inflated = 0;
    if (content.length >= sizeof inflated)
        memcpy(&inflated, content.at + content.length - sizeof inflated, sizeof inflated);
    return inflated > content.length ? inflated : content.length;
}

void heavy_add(struct connection *c)
{
    struct worker *worker = c->worker;
    c->cost_ms = 1e-3 + (double)content_bytes(c->exchange) / BYTES_PER_MS;
    c->is_heavy = true;
    c->asked_ms = 0;
    c->previous_heavy = NULL;
    c->next_heavy = worker->first_heavy;
    if (c->next_heavy)
        c->next_heavy->previous_heavy = c;
    worker->first_heavy = c;
}

void heavy_remove(struct connection *c)
{
    if (!c->is_heavy)
        return;
    c->is_heavy = false;
    if (c->previous_heavy)
        c->previous_heavy->next_heavy = c->next_heavy;
    else
        c->worker->first_heavy = c->next_heavy;
    if (c->next_heavy)
        c->next_heavy->previous_heavy = c->previous_heavy;
}

/* Whether its client has sent its end, and may be gone: it was not asked long enough ago. */
static bool may_be_gone(const struct connection *c, uint64_t now_ms)
{
    return c->peer_closed && (c->asked_ms == 0 || now_ms < c->asked_ms + GONE_MS);
}

/* Those whose clients may be gone are below 0, the one that waits longest first. */
static double urgency(const struct connection *c, uint64_t now_ms)
{
    const double age_ms = now_ms > c->since_ms ? (double)(now_ms - c->since_ms) : 0;
    return may_be_gone(c, now_ms) ? -1 / (1 + age_ms) : age_ms / c->cost_ms;
}

/* Whether a goes before b, which stands before it in the list and so is younger. */
static bool is_before(const struct connection *a, const struct connection *b, uint64_t now_ms)
{
    const double of_a = urgency(a, now_ms), of_b = urgency(b, now_ms);
    return of_a > of_b || (of_a >= of_b && a->cost_ms <= b->cost_ms);
}

struct connection *heavy_next(struct worker *worker)
{
    struct connection *best = worker->first_heavy;
    for (struct connection *c = best; c; c = c->next_heavy)
        if (is_before(c, best, worker->now_ms))
            best = c;
    if (best)
        heavy_remove(best);
    return best;
}

void heavy_look(struct worker *worker)
{
    struct connection *next;
    for (struct connection *c = worker->first_heavy; c; c = next) {
        next = c->next_heavy;
        if (!c->peer_closed || c->asked_ms)
            continue;
        c->asked_ms = worker->now_ms;
        if (!c->exchange->head.is_1_0 && !connection_send_continue(c))
            connection_close(c); /* a part of a 100 may not stand before the reply */
    }
}
