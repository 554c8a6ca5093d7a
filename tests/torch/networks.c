/* SPDX-License-Identifier: Apache-2.0 */
#include "networks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/random.h"

struct network_shape small_shape(enum cross_kind cross)
{
    static const uint32_t n_rows[] = {5, 7, 3};
    return (struct network_shape){.n_dense = 2,
                                  .n_sparse = 3,
                                  .n_rows = n_rows,
                                  .embedding = 4,
                                  .cross = cross,
                                  .n_cross = 2,
                                  .n_deep = 2,
                                  .deep = {8, 6}};
}

struct network_shape published_shape(enum cross_kind cross)
{
    static const uint32_t n_rows[MAX_TABLES] = {4833, 97,   14,  3,    8,    5,    4, 3,
                                                6,    5000, 367, 4818, 5000, 2966, 3, 2};
    return (struct network_shape){.n_dense = 1,
                                  .n_sparse = MAX_TABLES,
                                  .n_rows = n_rows,
                                  .embedding = 8,
                                  .cross = cross,
                                  .n_cross = 2,
                                  .n_deep = 2,
                                  .deep = {128, 64}};
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

struct rows make_rows(const struct network_shape *shape, uint32_t n, uint64_t seed)
{
    const size_t n_words = 1 + (size_t)shape->n_dense + shape->n_sparse;
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
        for (uint32_t k = 0; k < shape->n_dense; k++) {
            double pair[2];
            random_normal_pair(&random, pair);
            const float value = (float)pair[0];
            memcpy(row + 1 + k, &value, sizeof value);
        }
        for (uint32_t k = 0; k < shape->n_sparse; k++)
            row[1 + shape->n_dense + k] =
                (uint32_t)(pow(random_unit(&random), 3) * shape->n_rows[k]);
    }
    return rows;
}

void free_rows(struct rows *rows)
{
    free(rows->words);
    free(rows->all);
}

struct parameters make_parameters(const struct network_shape *shape, uint64_t seed)
{
    struct parameters parameters;
    struct train_error error;
    if (parameters_create(shape, &parameters, &error) != 0)
        abort();
    if (seed > 0)
        parameters_initialise(&parameters, seed);
    return parameters;
}

struct adam_options default_adam(void)
{
    return (struct adam_options){.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
}

struct torch_network plugin_network(const struct network_shape *shape)
{
    const struct adam_options adam = default_adam();
    return (struct torch_network){.n_dense = shape->n_dense,
                                  .n_sparse = shape->n_sparse,
                                  .embedding = shape->embedding,
                                  .n_rows = shape->n_rows,
                                  .is_full_cross = shape->cross == CROSS_FULL,
                                  .n_cross = shape->n_cross,
                                  .n_deep = shape->n_deep,
                                  .deep = shape->deep,
                                  .learning_rate = adam.learning_rate,
                                  .beta1 = adam.beta1,
                                  .beta2 = adam.beta2,
                                  .eps = adam.eps,
                                  .n_threads = 1,
                                  .is_double = 1};
}

struct plugin_batch make_plugin_batch(const struct network_shape *shape,
                                      const uint32_t *const *rows, uint32_t n_rows)
{
    struct plugin_batch made = {
        .dense = allocate((size_t)n_rows * shape->n_dense, sizeof *made.dense),
        .labels = allocate(n_rows, sizeof *made.labels),
        .indices = allocate((size_t)n_rows * shape->n_sparse, sizeof *made.indices)};
    for (uint32_t i = 0; i < n_rows; i++) {
        memcpy(&made.labels[i], rows[i], sizeof *made.labels);
        memcpy(made.dense + i * shape->n_dense, rows[i] + 1, shape->n_dense * sizeof *made.dense);
        for (uint32_t k = 0; k < shape->n_sparse; k++)
            made.indices[i * shape->n_sparse + k] = rows[i][1 + shape->n_dense + k];
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
