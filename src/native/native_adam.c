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

#include "native/native.h"

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

enum { DECAY_ROWS_LEAST = 3 }; /* fewer are as fast one by one */

/* m and v of rows whose p rests, DECAY_STEPS at a time; a bit for each row that is through. */
typedef unsigned (*phase)(const struct adam_constants *constants, size_t width,
                          float *const rows[DECAY_ROWS]);

/*
 * Takes all through a phase, several at once, since each multiplication waits for the one before.
 * Those that are through before their steps are done move to the front of the list; returns how
 * many. What is left of a row's steps in the end it does alone.
 */
static uint32_t run_phase(const struct backend *backend, phase run, struct pending *list,
                          uint32_t n, struct row *idle)
{
    const struct adam_kernels *adam = backend->train.adam;
    struct pending group[DECAY_ROWS];
    unsigned n_group = 0;
    uint32_t next = 0, n_through = 0;
    while (next < n || n_group >= DECAY_ROWS_LEAST) {
        float *values[DECAY_ROWS];
        while (n_group < DECAY_ROWS && next < n)
            group[n_group++] = list[next++];
        for (unsigned j = 0; j < DECAY_ROWS; j++)
            values[j] = j < n_group ? group[j].row->values : idle->values;
        const unsigned through = run(&backend->constants, backend->row_width, values);
        for (unsigned j = n_group; j-- > 0;) {
            group[j].n_steps -= DECAY_STEPS;
            if (through >> j & 1)
                list[n_through++] = group[j];
            else if (group[j].n_steps < DECAY_STEPS)
                adam->decay_row(&backend->constants, backend->row_width, group[j].n_steps,
                                group[j].row->values);
            else
                continue;
            group[j] = group[--n_group];
        }
    }
    for (unsigned j = 0; j < n_group; j++)
        adam->decay_row(&backend->constants, backend->row_width, group[j].n_steps,
                        group[j].row->values);
    return n_through;
}

static void decay_all(const struct backend *backend, struct pending *list, uint32_t n,
                      struct row *idle)
{
    const struct adam_kernels *adam = backend->train.adam;
    uint32_t n_long = 0;
    n = run_phase(backend, adam->decay, list, n, idle);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].n_steps >= DECAY_STEPS)
            list[n_long++] = list[i];
        else
            adam->decay_row(&backend->constants, backend->row_width, list[i].n_steps,
                            list[i].row->values);
    }
    run_phase(backend, adam->decay_v, list, n_long, idle);
}

void native_catch_up_rest(struct backend *backend, unsigned member)
{
    struct scratch *scratch = &backend->scratch[member];
    decay_all(backend, scratch->pending, scratch->n_pending, scratch->idle);
    scratch->n_pending = 0;
}

void native_catch_up(struct backend *backend, struct table *table, const uint32_t *rows, uint32_t n,
                     unsigned member)
{
    const struct adam_kernels *adam = backend->train.adam;
    const size_t width = backend->row_width;
    struct scratch *scratch = &backend->scratch[member];
    for (uint32_t i = 0; i < n; i++) {
        struct row *row = table_row(backend, table, rows ? rows[i] : i);
        const uint32_t last = row->last, n_steps = backend->n_steps - last;
        if (last == ROW_UNTOUCHED || n_steps == 0)
            continue;
        row->last = backend->n_steps;
        const uint32_t shrinking_from = backend->shrinking_from;
        const uint32_t n_growing = shrinking_from > last + 1 ? shrinking_from - last - 1 : 0;
        const struct adam_step *steps = backend->steps + (last - backend->first_step);
        const uint32_t left = n_steps - (uint32_t)adam->replay(&backend->constants, width, n_steps,
                                                               steps, n_growing, row->values);
        if (left >= DECAY_STEPS)
            scratch->pending[scratch->n_pending++] = (struct pending){row, left};
        else if (left > 0)
            adam->decay_row(&backend->constants, width, left, row->values);
        if (scratch->n_pending == PENDING_MAX)
            native_catch_up_rest(backend, member);
    }
}
