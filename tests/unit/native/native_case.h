/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_case.h: networks, rows and batches for the tests of the native backend, and the loss in
 * double precision, computed as the equations stand.
 */
#ifndef DCNV2_TESTS_TRAIN_NATIVE_CASE_H
#define DCNV2_TESTS_TRAIN_NATIVE_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "network/published.h"
#include "torch/ranks.h"

enum { CASE_TABLES_MAX = 16 };

struct native_case {
    struct published_sizes sizes;
    struct network_spec spec; /* made of them */
    struct arena arena;       /* its own */
    uint32_t n_rows_of[CASE_TABLES_MAX];
    struct parameters start;
    uint32_t *records; /* [n_records] rows as dataset.h has them */
    uint32_t n_records;
    const uint32_t **rows; /* [n_records]: all of them */
    struct backend_options options;
};

/* Of a network whose tables have 1 to largest_table rows, with values of all kinds, and records. */
void case_create(struct native_case *c, struct published_sizes sizes, uint32_t largest_table,
                 uint32_t n_records, uint64_t seed);
void case_free(struct native_case *c);

/* With the start's values. Ends the program where it fails. */
struct backend *case_backend(const struct native_case *c);

/* p, m and v. */
struct case_state {
    struct parameters all[3];
};
void case_state_create(const struct native_case *c, struct case_state *state);
void case_state_free(struct case_state *state);
void case_store(struct backend *backend, struct case_state *state);
bool case_states_equal(const struct case_state *a, const struct case_state *b);

/* The mean loss of rows, and each one's score where it is asked for. values: one array for each
 * parameter, in their order. */
double case_loss(const struct native_case *c, double *const *values, const uint32_t *const *rows,
                 uint32_t n_rows, double *ret_scores);

/* The start's values as doubles. Free each, and the array. */
double **case_doubles(const struct native_case *c);
void case_doubles_free(const struct native_case *c, double **values);

#endif
