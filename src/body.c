/* SPDX-License-Identifier: Apache-2.0 */
#include "body.h"

#include <stdlib.h>

enum { FIRST_BYTES = 4096 };

bool body_budget_is_tight(const struct body_budget *budget)
{
    const size_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    return used > (budget->total_max_bytes - budget->reserve_bytes) / 4 * 3;
}

/* Takes `n` bytes of the budget for a body that then has `size`, or says that there are not so
 * many. */
static bool budget_take(struct body_budget *budget, size_t n, size_t size)
{
    const size_t before = atomic_fetch_add_explicit(&budget->used_bytes, n, memory_order_relaxed);
    const size_t reserved = size > BODY_SMALL_BYTES ? budget->reserve_bytes : 0;
    if (before + n <= budget->total_max_bytes - reserved)
        return true;
    atomic_fetch_sub_explicit(&budget->used_bytes, n, memory_order_relaxed);
    return false;
}

static void budget_give(struct body_budget *budget, size_t n)
{
    atomic_fetch_sub_explicit(&budget->used_bytes, n, memory_order_relaxed);
}

static bool reserve(struct body *body, struct body_budget *budget, size_t length)
{
    if (length <= body->capacity)
        return true;
    size_t capacity = body->capacity ? 2 * body->capacity : FIRST_BYTES;
    while (capacity < length)
        capacity *= 2;
    const size_t most = body->expected >= length ? body->expected : budget->body_max_bytes;
    if (capacity > most)
        capacity = most;
    const size_t more = capacity - body->capacity;
    if (!budget_take(budget, more, capacity))
        return false;
    char *grown = realloc(body->at, capacity);
    if (grown == NULL) {
        budget_give(budget, more);
        return false;
    }
    body->at = grown;
    body->capacity = capacity;
    return true;
}

void body_append(struct body *body, struct body_budget *budget, const char *data, size_t n)
{
    body->n_received += n;
    if (body->state != BODY_WHOLE)
        return;
    if (body->n_received > budget->body_max_bytes)
        body->state = BODY_TOO_LARGE;
    else if (!body->discard && !reserve(body, budget, body->length + n))
        body->state = BODY_OVER_BUDGET;
    if (body->state != BODY_WHOLE || body->discard || n == 0)
        return;
    memcpy(body->at + body->length, data, n);
    body->length += n;
}

bool body_make_room(struct body *body, struct body_budget *budget, size_t n)
{
    if (!budget_take(budget, n, n))
        return false;
    body->at = malloc(n);
    body->capacity = body->at ? n : 0; /* what it has is given back once more when it ends */
    if (body->at == NULL)
        budget_give(budget, n);
    return body->at != NULL;
}

void body_reset(struct body *body, struct body_budget *budget, size_t keep_bytes)
{
    struct body kept = {.at = body->at, .capacity = body->capacity};
    /* What is kept counts: kept by many it would leave no room for those to come. */
    const size_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    if (body->capacity > keep_bytes || used > budget->total_max_bytes / 4) {
        free(body->at);
        budget_give(budget, body->capacity);
        kept = (struct body){0};
    }
    *body = kept;
}

int body_error(enum body_state state, const struct body_budget *budget, struct request_error *error)
{
    if (state == BODY_TOO_LARGE)
        return request_error_set(error, 413, "Request body is larger than %zu bytes.",
                                 budget->body_max_bytes);
    return request_error_set(error, 503, "Too many request bodies at once; try again.");
}
