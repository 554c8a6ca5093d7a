/* SPDX-License-Identifier: Apache-2.0 */
/* networks.h: shapes, parameters and rows for tests of the backends. */
#ifndef DCNV2_TESTS_TORCH_NETWORKS_H
#define DCNV2_TESTS_TORCH_NETWORKS_H

#include "backend/backend.h"
#include "network/published.h"
#include "torch/ranks.h"
#include "torch/torch_plugin.h"

enum { MAX_TABLES = 16 };

/* What a network is made from. */
struct test_shape {
    struct published_sizes sizes;
    const uint32_t *n_rows; /* of the tables */
};

/* Its spec, which stays until the test ends. */
const struct network_spec *make_spec(const struct test_shape *shape);

/* Two dense columns, three small tables, two cross and two deep layers. */
struct test_shape small_shape(enum published_cross cross);

/* The published network over tables of up to 5,000 rows: 1 dense, 16 tables of 8, 128-64. */
struct test_shape published_shape(enum published_cross cross);

/* `n` rows of a click log of that shape, from a seed: few values are frequent, most are rare. */
struct rows {
    uint32_t n;
    uint32_t *words;
    const uint32_t **all; /* [n] */
};
struct rows make_rows(const struct test_shape *shape, uint32_t n, uint64_t seed);
void free_rows(struct rows *rows);

/* Parameters with random values from a seed; zeros for seed 0. Ends the test if it cannot. */
struct parameters make_parameters(const struct test_shape *shape, uint64_t seed);

struct adam_options default_adam(void);

/* A network of the plugin in float64. */
struct torch_network plugin_network(const struct network_spec *spec);

/* Rows as the plugin takes them. */
struct plugin_batch {
    struct torch_batch batch;
    float *dense, *labels;
    int64_t *indices;
};
struct plugin_batch make_plugin_batch(const struct test_shape *shape, const uint32_t *const *rows,
                                      uint32_t n_rows);
void free_plugin_batch(struct plugin_batch *batch);

/* The largest absolute value, and the largest absolute difference. */
double largest(const struct parameter *values);
double largest_difference(const struct parameter *a, const struct parameter *b);

/* The root of the sum of squares of the differences; b NULL: zeros. */
double distance(const struct parameter *a, const struct parameter *b);

#endif
