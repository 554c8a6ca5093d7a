/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.h: the bytes of a request body, or others that a client makes us keep: collected, bounded.
 *
 * A body grows with what arrives, never by a promised length. All bodies together have a
 * budget. One thread at a time; the budget is shared by all.
 */
#ifndef DCNV2_BODY_H
#define DCNV2_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "frame.h"

struct body_budget {
    size_t body_max_bytes; /* of one body, also once inflated */
    size_t total_max_bytes;
    size_t reserve_bytes; /* of these, for bodies of up to BODY_SMALL_BYTES only */
    _Atomic size_t used_bytes;
};

enum { BODY_SMALL_BYTES = 64 * 1024 };

/* Whether three quarters of the bytes beside the reserve are used. */
bool body_budget_is_tight(const struct body_budget *budget);

enum body_state { BODY_WHOLE, BODY_TOO_LARGE, BODY_OVER_BUDGET };

struct body {
    char *at;
    size_t length;
    size_t capacity;
    size_t expected;   /* bytes in all, if they are promised: no more memory than that is taken */
    size_t n_received; /* bytes that arrived, kept or not */
    enum body_state state;
    bool discard; /* nobody will read it */
};

/* Keeps `n` more bytes, or notes in `state` why not. */
void body_append(struct body *body, struct body_budget *budget, const char *data, size_t n);

/* Gives an empty body room for `n` bytes, be it above the largest body. false: no memory, or no
 * budget. */
bool body_make_room(struct body *body, struct body_budget *budget, size_t n);

/* Empties it and gives back what is more than `keep_bytes`. */
void body_reset(struct body *body, struct body_budget *budget, size_t keep_bytes);

/* Sets the error for a body that is not whole; -1. */
int body_error(enum body_state state, const struct body_budget *budget,
               struct request_error *error);

#endif
