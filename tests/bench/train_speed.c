/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_speed.c: rows a second of the native backend, as JSON, on one epoch of generated rows.
 *
 * usage: train_speed [THREADS [BATCH [EPOCHS [dense]]]]
 *
 * The notebook's network and the row counts of its real encoder; category k of a column comes with
 * a probability in proportion to 1 / (k + 1), as peer_train.py has it. Rows are read in a random
 * order, as training does. "dense" moves all rows of all tables at each step.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/random.h"
#include "network/published.h"

enum { TABLES = 16, ROWS = 211033, WORDS = 2 + TABLES };

static const uint32_t cardinalities[TABLES] = {48325, 96,    14,   3,     8,     5,     4, 3,
                                               6,     97760, 3665, 78179, 58807, 29655, 3, 2};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Indices of one column: by the inverse of the distribution's sum. */
static void fill_column(uint32_t *records, uint32_t table, struct random *random)
{
    const uint32_t n = cardinalities[table];
    double *sums = malloc(n * sizeof *sums), sum = 0;
    for (uint32_t k = 0; k < n; k++)
        sums[k] = sum += 1.0 / (k + 1);
    for (uint32_t r = 0; r < ROWS; r++) {
        const double wanted = random_unit(random) * sum;
        uint32_t low = 0, high = n - 1;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (sums[middle] <= wanted)
                low = middle + 1;
            else
                high = middle;
        }
        records[(size_t)r * WORDS + 2 + table] = low;
    }
    free(sums);
}

static void fill(uint32_t *records, const uint32_t **order, struct random *random)
{
    for (uint32_t r = 0; r < ROWS; r++) {
        const float label = random_unit(random) < 0.039, price = (float)random_unit(random);
        memcpy(records + (size_t)r * WORDS, &label, sizeof label);
        memcpy(records + (size_t)r * WORDS + 1, &price, sizeof price);
        order[r] = records + (size_t)r * WORDS;
    }
    for (uint32_t t = 0; t < TABLES; t++)
        fill_column(records, t, random);
    for (uint32_t r = ROWS - 1; r > 0; r--) {
        const uint64_t other = random_below(random, r + 1);
        const uint32_t *row = order[r];
        order[r] = order[other];
        order[other] = row;
    }
}

static int run(struct backend *backend, const struct backend_options *options,
               const uint32_t *const *order, unsigned n_epochs, struct train_error *error)
{
    double loss = 0, first_losses = 0, part;
    uint64_t n_steps = 0;
    const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned epoch = 0; epoch < n_epochs; epoch++, loss = epoch < n_epochs ? 0 : loss)
        for (uint32_t r = 0, n; r < ROWS; r += n, n_steps++) {
            n = ROWS - r < options->batch_rows ? ROWS - r : options->batch_rows;
            if (native_backend.step(backend, order + r, n, n, &part, error) != 0)
                return -1;
            loss += part;
            first_losses += n_steps == 0 ? part / n : 0;
        }
    const double wall_used = seconds(CLOCK_MONOTONIC) - wall;
    const double cpu_used = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    struct parameters values;
    if (parameters_create(options->spec, &values, error) != 0)
        return -1;
    const double before = seconds(CLOCK_MONOTONIC);
    const int result = native_backend.store(backend, &values, NULL, NULL, error);
    const double store_s = seconds(CLOCK_MONOTONIC) - before;
    parameters_free(&values);
    const double rows = (double)ROWS * n_epochs;
    printf("{\"threads\": %u, \"batch\": %u, \"rows\": %.0f, \"rows_per_second\": %.0f, "
           "\"rows_per_cpu_second\": %.0f, \"store_seconds\": %.3f, \"first_loss\": %.6f, "
           "\"mean_loss\": %.6f}\n",
           options->n_threads, (unsigned)options->batch_rows, rows, rows / wall_used,
           rows / cpu_used, store_s, first_losses, loss / ROWS);
    return result;
}

static int measure(const struct backend_options *options, const uint32_t *const *order,
                   unsigned n_epochs, struct train_error *error)
{
    struct parameters values;
    struct backend *backend;
    if (parameters_create(options->spec, &values, error) != 0)
        return -1;
    parameters_initialise(&values, 1);
    int result = native_backend.create(&backend, options, error);
    if (result == 0) {
        result = native_backend.load(backend, &values, NULL, NULL, 0, error);
        if (result == 0)
            result = run(backend, options, order, n_epochs, error);
        native_backend.free(backend);
    }
    parameters_free(&values);
    return result;
}

int main(int argc, char **argv)
{
    uint32_t n_rows[TABLES];
    for (int t = 0; t < TABLES; t++)
        n_rows[t] = cardinalities[t] + 1;
    const struct published_sizes sizes = {.n_dense = 1,
                                          .n_sparse = TABLES,
                                          .embedding = 8,
                                          .n_cross = 2,
                                          .n_deep = 2,
                                          .deep = {128, 64}};
    struct network_spec spec;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    if (published_make(&spec, &arena, &sizes, n_rows) != 0)
        return 1;
    struct backend_options options = {
        .spec = &spec,
        .adam = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
        .n_threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1,
        .batch_rows = argc > 2 ? (uint32_t)atoi(argv[2]) : 128};
    options.adam.is_dense = argc > 4 && strcmp(argv[4], "dense") == 0;
    uint32_t *records = malloc((size_t)ROWS * WORDS * sizeof *records);
    const uint32_t **order = malloc(ROWS * sizeof *order);
    struct random random;
    struct train_error error;
    random_start(&random, 1, 0);
    if (records == NULL || order == NULL)
        return 1;
    fill(records, order, &random);
    const int result = measure(&options, order, argc > 3 ? (unsigned)atoi(argv[3]) : 1, &error);
    if (result != 0)
        fprintf(stderr, "%s\n", error.message);
    free(records);
    free(order);
    arena_free(&arena);
    return result != 0;
}
