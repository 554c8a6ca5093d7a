/* SPDX-License-Identifier: Apache-2.0 */
/* networks.h: shapes, parameters and rows for tests of the backends. */
#ifndef DCNV2_TESTS_TORCH_NETWORKS_H
#define DCNV2_TESTS_TORCH_NETWORKS_H

#include "torch/torch_plugin.h"
#include "train/backend.h"

enum { MAX_TABLES = 16 };

/* Two dense columns, three small tables, two cross and two deep layers. */
struct network_shape small_shape(enum cross_kind cross);

/* The published network over tables of up to 5,000 rows: 1 dense, 16 tables of 8, 128-64. */
struct network_shape published_shape(enum cross_kind cross);

/* `n` rows of a click log of that shape, from a seed: few values are frequent, most are rare. */
struct rows {
    uint32_t n;
    uint32_t *words;
    const uint32_t **all; /* [n] */
};
struct rows make_rows(const struct network_shape *shape, uint32_t n, uint64_t seed);
void free_rows(struct rows *rows);

/* Parameters with random values from a seed; zeros for seed 0. Ends the test if it cannot. */
struct parameters make_parameters(const struct network_shape *shape, uint64_t seed);

struct adam_options default_adam(void);

/* A network of the plugin in float64. */
struct torch_network plugin_network(const struct network_shape *shape);

/* Rows as the plugin takes them. */
struct plugin_batch {
    struct torch_batch batch;
    float *dense, *labels;
    int64_t *indices;
};
struct plugin_batch make_plugin_batch(const struct network_shape *shape,
                                      const uint32_t *const *rows, uint32_t n_rows);
void free_plugin_batch(struct plugin_batch *batch);

/* The largest absolute value, and the largest absolute difference. */
double largest(const struct parameter *values);
double largest_difference(const struct parameter *a, const struct parameter *b);

/* The root of the sum of squares of the differences; b NULL: zeros. */
double distance(const struct parameter *a, const struct parameter *b);

#endif
