/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_exchange.c: gradients summed over ranks.
 *
 * Outside the tables by an all-reduce. Of the tables only the rows that some rank has read: each
 * rank hears of all ranks' rows and gradients and sums them in the order of ranks, so all come
 * to the same bits.
 */
#include <stdlib.h>
#include <string.h>

#include "native/native.h"

/* What all ranks said. Each list is padded to the longest. */
struct exchange {
    struct backend *backend;
    uint32_t most;    /* rows of one rank, over all tables */
    uint32_t *counts; /* [n_ranks][n_tables] */
    uint32_t *rows;   /* [n_ranks][most] */
    float *gradients; /* [n_ranks][most][embedding] */
};

/* A rank reads one row per table and row of its batch at most. Sets exchange->most. */
static int check_counts(struct exchange *exchange, struct train_error *error)
{
    const struct backend *backend = exchange->backend;
    const uint32_t n_tables = backend->n_tables, n_ranks = backend->ranks->n_ranks;
    for (uint32_t rank = 0; rank < n_ranks; rank++) {
        uint64_t total = 0;
        for (uint32_t t = 0; t < n_tables; t++) {
            const uint32_t count = exchange->counts[(size_t)rank * n_tables + t];
            if (count > backend->batch_rows)
                return train_error_set(error,
                                       "rank %u: rank %u has sent %u rows of table %u; a batch has "
                                       "%u",
                                       backend->ranks->rank, rank, count, t, backend->batch_rows);
            total += count;
        }
        if (total > UINT32_MAX)
            return train_error_set(error, "rank %u: rank %u has sent %llu rows of tables",
                                   backend->ranks->rank, rank, (unsigned long long)total);
        exchange->most = total > exchange->most ? (uint32_t)total : exchange->most;
    }
    return 0;
}

static int gather_counts(struct exchange *exchange, struct train_error *error)
{
    const struct backend *backend = exchange->backend;
    const uint32_t n_tables = backend->n_tables, n_ranks = backend->ranks->n_ranks;
    uint32_t *mine = calloc(n_tables + 1, sizeof *mine);
    exchange->counts = calloc((size_t)n_ranks * n_tables + 1, sizeof *exchange->counts);
    int result = -1;
    if (mine == NULL || exchange->counts == NULL) {
        train_error_memory(error);
    } else {
        for (uint32_t t = 0; t < n_tables; t++)
            mine[t] = backend->tables[t].n_distinct;
        result =
            ranks_gather(backend->ranks, mine, n_tables * sizeof *mine, exchange->counts, error);
    }
    free(mine);
    return result == 0 ? check_counts(exchange, error) : -1;
}

static void list_mine(const struct backend *backend, uint32_t *rows, float *gradients)
{
    const size_t embedding = backend->embedding;
    for (uint32_t t = 0; t < backend->n_tables; t++) {
        const struct table *table = &backend->tables[t];
        memcpy(rows, table->distinct, table->n_distinct * sizeof *rows);
        rows += table->n_distinct;
        for (uint32_t i = 0; i < table->n_distinct; i++, gradients += embedding)
            memcpy(gradients, table->sums + i * backend->row_width, embedding * sizeof *gradients);
    }
}

static int gather_rows(struct exchange *exchange, struct train_error *error)
{
    const struct backend *backend = exchange->backend;
    const size_t n_ranks = backend->ranks->n_ranks, most = exchange->most;
    const size_t size = most * backend->embedding;
    uint32_t *rows = calloc(most + 1, sizeof *rows);
    float *gradients = calloc(size + 1, sizeof *gradients);
    exchange->rows = calloc(n_ranks * most + 1, sizeof *exchange->rows);
    exchange->gradients = calloc(n_ranks * size + 1, sizeof *exchange->gradients);
    int result = -1;
    if (rows == NULL || gradients == NULL || exchange->rows == NULL ||
        exchange->gradients == NULL) {
        train_error_memory(error);
    } else {
        list_mine(backend, rows, gradients);
        result = ranks_gather(backend->ranks, rows, most * sizeof *rows, exchange->rows, error) != 0
                     ? -1
                     : ranks_gather(backend->ranks, gradients, size * sizeof *gradients,
                                    exchange->gradients, error);
    }
    free(rows);
    free(gradients);
    return result;
}

/* Adds one rank's rows of a table to those there are. False: a row is outside the table. */
static bool add_rows(const struct backend *backend, struct table *table, const uint32_t *rows,
                     uint32_t n, const float *gradients)
{
    const size_t embedding = backend->embedding;
    for (uint32_t i = 0; i < n; i++, gradients += embedding) {
        if (rows[i] >= table->n_rows)
            return false;
        struct row *row = table_row(backend, table, rows[i]);
        if (row->stamp != backend->stamp) {
            row->stamp = backend->stamp;
            row->slot = table->n_distinct++;
            table->distinct[row->slot] = rows[i];
            memset(table->sums + row->slot * backend->row_width, 0,
                   backend->row_width * sizeof *table->sums);
        }
        float *sums = table->sums + row->slot * backend->row_width;
        for (size_t k = 0; k < embedding; k++)
            sums[k] += gradients[k];
    }
    return true;
}

static void sum_table(void *context, uint32_t number, unsigned member)
{
    const struct exchange *exchange = context;
    struct backend *backend = exchange->backend;
    const uint32_t n_tables = backend->n_tables;
    struct table *table = &backend->tables[number];
    uint32_t total = 0;
    for (uint32_t rank = 0; rank < backend->ranks->n_ranks; rank++)
        total += exchange->counts[rank * n_tables + number];
    table->n_distinct = 0;
    table->is_outside = native_table_reserve(backend, table, total) != 0;
    for (uint32_t rank = 0; rank < backend->ranks->n_ranks && !table->is_outside; rank++) {
        const uint32_t *counts = exchange->counts + rank * n_tables;
        size_t first = (size_t)rank * exchange->most;
        for (uint32_t t = 0; t < number; t++)
            first += counts[t];
        table->is_outside = !add_rows(backend, table, exchange->rows + first, counts[number],
                                      exchange->gradients + first * backend->embedding);
    }
    native_catch_up(backend, table, table->distinct, table->n_distinct, member);
    native_catch_up_rest(backend, member);
}

static int sum_tables(struct exchange *exchange, struct train_error *error)
{
    struct backend *backend = exchange->backend;
    backend->stamp++;
    team_run(backend->team, backend->n_tables, sum_table, exchange);
    for (uint32_t t = 0; t < backend->n_tables; t++)
        if (backend->tables[t].is_outside)
            return train_error_set(error,
                                   "the ranks' rows of table %u do not fit it: their "
                                   "encoders differ, or memory is short",
                                   (unsigned)t);
    return 0;
}

int native_exchange(struct backend *backend, struct train_error *error)
{
    struct exchange exchange = {.backend = backend};
    int result = ranks_sum(backend->ranks, backend->g, backend->n_flat, error);
    if (result == 0)
        result = gather_counts(&exchange, error);
    if (result == 0 && exchange.most > 0)
        result = gather_rows(&exchange, error);
    if (result == 0)
        result = sum_tables(&exchange, error);
    free(exchange.counts);
    free(exchange.rows);
    free(exchange.gradients);
    return result;
}
