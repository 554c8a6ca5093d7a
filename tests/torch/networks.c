/* SPDX-License-Identifier: Apache-2.0 */
#include "networks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/random.h"
#include "torch/torch_network.h"

static struct arena arena; /* of what stays until the test ends */

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

const struct network_spec *make_spec(const struct test_shape *shape)
{
    if (arena.limit_bytes == 0)
        arena_init(&arena, SIZE_MAX);
    struct network_spec *spec = arena_calloc(&arena, 1, sizeof *spec);
    if (spec == NULL || published_make(spec, &arena, &shape->sizes, shape->n_rows) != 0)
        abort();
    return spec;
}

struct test_shape small_shape(enum published_cross cross)
{
    static const uint32_t n_rows[] = {5, 7, 3};
    return (struct test_shape){.sizes = {.n_dense = 2,
                                         .n_sparse = 3,
                                         .embedding = 4,
                                         .cross = cross,
                                         .n_cross = 2,
                                         .n_deep = 2,
                                         .deep = {8, 6}},
                               .n_rows = n_rows};
}

struct test_shape published_shape(enum published_cross cross)
{
    static const uint32_t n_rows[MAX_TABLES] = {4833, 97,   14,  3,    8,    5,    4, 3,
                                                6,    5000, 367, 4818, 5000, 2966, 3, 2};
    return (struct test_shape){.sizes = {.n_dense = 1,
                                         .n_sparse = MAX_TABLES,
                                         .embedding = 8,
                                         .cross = cross,
                                         .n_cross = 2,
                                         .n_deep = 2,
                                         .deep = {128, 64}},
                               .n_rows = n_rows};
}

struct rows make_rows(const struct test_shape *shape, uint32_t n, uint64_t seed)
{
    const size_t n_words = 1 + (size_t)shape->sizes.n_dense + shape->sizes.n_sparse;
    struct rows rows = {.n = n,
                        .words = allocate(n * n_words, sizeof *rows.words),
                        .all = allocate(n, sizeof *rows.all)};
    struct random random;
    random_start(&random, seed, 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *row = rows.words + i * n_words;
        rows.all[i] = row;
        const float label = random_unit(&random) < 0.3;
        memcpy(row, &label, sizeof label);
        for (uint32_t k = 0; k < shape->sizes.n_dense; k++) {
            double pair[2];
            random_normal_pair(&random, pair);
            const float value = (float)pair[0];
            memcpy(row + 1 + k, &value, sizeof value);
        }
        for (uint32_t k = 0; k < shape->sizes.n_sparse; k++)
            row[1 + shape->sizes.n_dense + k] =
                (uint32_t)(pow(random_unit(&random), 3) * shape->n_rows[k]);
    }
    return rows;
}

void free_rows(struct rows *rows)
{
    free(rows->words);
    free(rows->all);
}

struct parameters make_parameters(const struct test_shape *shape, uint64_t seed)
{
    struct parameters parameters;
    struct train_error error;
    if (parameters_create(make_spec(shape), &parameters, &error) != 0)
        abort();
    if (seed > 0)
        parameters_initialise(&parameters, seed);
    return parameters;
}

struct adam_options default_adam(void)
{
    return (struct adam_options){.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
}

struct torch_network plugin_network(const struct network_spec *spec)
{
    const struct adam_options adam = default_adam();
    struct torch_network network;
    struct train_error error;
    if (torch_network_make(spec, &arena, &network, &error) != 0)
        abort();
    network.learning_rate = adam.learning_rate;
    network.beta1 = adam.beta1;
    network.beta2 = adam.beta2;
    network.eps = adam.eps;
    network.n_threads = 1;
    network.is_double = 1;
    return network;
}

struct plugin_batch make_plugin_batch(const struct test_shape *shape, const uint32_t *const *rows,
                                      uint32_t n_rows)
{
    struct plugin_batch made = {
        .dense = allocate((size_t)n_rows * shape->sizes.n_dense, sizeof *made.dense),
        .labels = allocate(n_rows, sizeof *made.labels),
        .indices = allocate((size_t)n_rows * shape->sizes.n_sparse, sizeof *made.indices)};
    for (uint32_t i = 0; i < n_rows; i++) {
        memcpy(&made.labels[i], rows[i], sizeof *made.labels);
        memcpy(made.dense + i * shape->sizes.n_dense, rows[i] + 1,
               shape->sizes.n_dense * sizeof *made.dense);
        for (uint32_t k = 0; k < shape->sizes.n_sparse; k++)
            made.indices[i * shape->sizes.n_sparse + k] = rows[i][1 + shape->sizes.n_dense + k];
    }
    made.batch = (struct torch_batch){
        .n_rows = n_rows, .dense = made.dense, .indices = made.indices, .labels = made.labels};
    return made;
}

void free_plugin_batch(struct plugin_batch *batch)
{
    free(batch->dense);
    free(batch->labels);
    free(batch->indices);
}

/* A value that is no number makes the result infinite: it is near to nothing. */
static double larger(double so_far, double value)
{
    return value <= so_far ? so_far : value > so_far ? value : INFINITY;
}

double largest(const struct parameter *values)
{
    double result = 0;
    for (uint64_t i = 0; i < values->n_elements; i++)
        result = larger(result, fabs((double)values->values[i]));
    return result;
}

double largest_difference(const struct parameter *a, const struct parameter *b)
{
    double result = 0;
    for (uint64_t i = 0; i < a->n_elements; i++)
        result = larger(result, fabs((double)a->values[i] - b->values[i]));
    return result;
}

double distance(const struct parameter *a, const struct parameter *b)
{
    double squares = 0;
    for (uint64_t i = 0; i < a->n_elements; i++) {
        const double difference = (double)a->values[i] - (b ? b->values[i] : 0);
        squares += difference * difference;
    }
    return sqrt(squares);
}
