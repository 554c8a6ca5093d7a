/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_adam.c: Adam's steps, and rows that go through those they missed.
 *
 * A row that no batch reads still moves in dense Adam, by what is left of its momentum. Here it
 * takes those steps when it is next read, each in the same operations. It may leave out those
 * that provably change nothing. A step is s m / (r sqrt(v) + eps); without a gradient the next
 * one is smaller than it by at least the factor
 *     beta1 / sqrt(beta2) * sqrt((1 - beta2^(t+1)) / (1 - beta2^t)),
 * which falls with t. Once that is below 1, by far more than roundings, a step that left p as it
 * was is followed by none that does not. Where m and v are too small to be normal floats this
 * says nothing, but then a step is below 1e-23, and p must be above 1e-15 for that to be nothing
 * (or m be 0, and the step with it).
 */
#include <math.h>
#include <stdlib.h>

#include "train/native.h"

enum { REPLAY_STEPS = 16, DECAY_STEPS = 64 }; /* after which it is looked whether a row rests */

static const float still_from = 1e-15f;

/* ---- steps ---- */

/* UINT32_MAX: never. */
static uint32_t find_shrinking_from(const struct adam_options *adam)
{
    enum { LONGEST = 1 << 20 };
    if (adam->eps < 1e-12 || adam->learning_rate > adam->eps * 1e13)
        return UINT32_MAX;
    double power = adam->beta2;
    for (uint32_t t = 1; t < LONGEST; t++, power *= adam->beta2)
        if (adam->beta1 * sqrt((1 - power * adam->beta2) / ((1 - power) * adam->beta2)) < 1 - 1e-5)
            return t;
    return UINT32_MAX;
}

void native_set_steps(struct backend *backend, uint32_t n_steps)
{
    const struct adam_options *adam = &backend->adam;
    backend->constants = (struct adam_constants){.beta1 = (float)adam->beta1,
                                                 .beta2 = (float)adam->beta2,
                                                 .rest1 = (float)(1 - adam->beta1),
                                                 .rest2 = (float)(1 - adam->beta2),
                                                 .eps = (float)adam->eps};
    backend->shrinking_from = find_shrinking_from(adam);
    backend->n_steps = backend->first_step = n_steps;
    backend->n_known = 0;
}

int native_know_step(struct backend *backend, uint32_t step, struct train_error *error)
{
    if (step - backend->first_step > backend->steps_capacity) {
        const size_t capacity = 2 * backend->steps_capacity + 1024;
        struct adam_step *steps = realloc(backend->steps, capacity * sizeof *steps);
        if (steps == NULL)
            return train_error_memory(error);
        backend->steps = steps;
        backend->steps_capacity = capacity;
    }
    const struct adam_options *adam = &backend->adam;
    for (; backend->n_known < step - backend->first_step; backend->n_known++) {
        const double t = (double)backend->first_step + (double)backend->n_known + 1;
        backend->steps[backend->n_known] =
            (struct adam_step){(float)(adam->learning_rate / (1 - pow(adam->beta1, t))),
                               (float)(1 / sqrt(1 - pow(adam->beta2, t)))};
    }
    return 0;
}

struct adam_step native_step(const struct backend *backend, uint32_t step)
{
    return backend->steps[step - backend->first_step - 1];
}

/* ---- rows that catch up ---- */

/* Rows that are taken through a phase together: a kernel's rows, the free places idle. */
struct group {
    const struct backend *backend;
    struct pending rows[DECAY_ROWS];
    unsigned n, size;
    float *values[DECAY_ROWS];
};

/* Takes the group n_steps further; a bit for each row that is through with the phase. */
typedef unsigned (*phase)(const struct group *group, uint32_t n_steps);

static unsigned advance_all(const struct group *group, uint32_t n_steps)
{
    const struct backend *backend = group->backend;
    const struct adam_step *steps[REPLAY_ROWS];
    float still[REPLAY_ROWS];
    for (unsigned j = 0; j < REPLAY_ROWS; j++) {
        const uint32_t from = group->rows[j < group->n ? j : 0].from;
        steps[j] = backend->steps + (from - backend->first_step);
        still[j] = from + n_steps >= backend->shrinking_from ? still_from : INFINITY;
    }
    return backend->train.adam->replay(&backend->constants, backend->row_width, n_steps, steps,
                                       still, group->values);
}

static unsigned advance_moments(const struct group *group, uint32_t n_steps)
{
    return group->backend->train.adam->decay(&group->backend->constants, group->backend->row_width,
                                             n_steps, group->values);
}

static unsigned advance_v(const struct group *group, uint32_t n_steps)
{
    return group->backend->train.adam->decay_v(&group->backend->constants,
                                               group->backend->row_width, n_steps, group->values);
}

static uint32_t steps_until_one_is_there(const struct group *group, uint32_t to, uint32_t most)
{
    uint32_t least = most;
    for (unsigned j = 0; j < group->n; j++)
        if (to - group->rows[j].from < least)
            least = to - group->rows[j].from;
    return least;
}

/*
 * Takes all through one phase. Those that are through before the step `to` move to the front of
 * the list; returns how many.
 */
static uint32_t run_phase(struct group *group, struct pending *list, uint32_t n, uint32_t to,
                          phase advance, uint32_t most_steps, const struct scratch *scratch)
{
    uint32_t next = 0, n_left = 0;
    group->n = 0;
    while (next < n || group->n > 0) {
        for (; group->n < group->size && next < n; group->n++)
            group->rows[group->n] = list[next++];
        for (unsigned j = 0; j < group->size; j++)
            group->values[j] = j < group->n ? group->rows[j].row->values : scratch->idle->values;
        const uint32_t n_steps = steps_until_one_is_there(group, to, most_steps);
        const unsigned through = advance(group, n_steps);
        for (unsigned j = group->n; j-- > 0;) {
            group->rows[j].from += n_steps;
            const bool is_there = group->rows[j].from == to;
            if (!is_there && !(through >> j & 1))
                continue;
            if (!is_there)
                list[n_left++] = group->rows[j];
            group->rows[j] = group->rows[--group->n];
        }
    }
    return n_left;
}

static void run_phases(const struct backend *backend, struct pending *list, uint32_t n,
                       const struct scratch *scratch)
{
    const uint32_t to = backend->n_steps;
    struct group group = {.backend = backend, .size = REPLAY_ROWS};
    n = run_phase(&group, list, n, to, advance_all, REPLAY_STEPS, scratch);
    group.size = DECAY_ROWS;
    n = run_phase(&group, list, n, to, advance_moments, DECAY_STEPS, scratch);
    run_phase(&group, list, n, to, advance_v, DECAY_STEPS, scratch);
}

void native_catch_up(struct backend *backend, struct table *table, const uint32_t *rows, uint32_t n,
                     unsigned member)
{
    const struct scratch *scratch = &backend->scratch[member];
    uint32_t n_pending = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct row *row = table_row(backend, table, rows ? rows[i] : i);
        if (row->last == ROW_UNTOUCHED || row->last == backend->n_steps)
            continue;
        scratch->pending[n_pending++] = (struct pending){row, row->last};
        row->last = backend->n_steps;
        if (n_pending == PENDING_MAX) {
            run_phases(backend, scratch->pending, n_pending, scratch);
            n_pending = 0;
        }
    }
    run_phases(backend, scratch->pending, n_pending, scratch);
}
