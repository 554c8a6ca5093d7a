/* SPDX-License-Identifier: Apache-2.0 */
/* native_tables.c: the rows of the embedding tables that a batch reads. */
#include <stdlib.h>
#include <string.h>

#include "native/native.h"

int native_table_reserve(const struct backend *backend, struct table *table, uint32_t n)
{
    if (n <= table->capacity)
        return 0;
    uint32_t *distinct = realloc(table->distinct, n * sizeof *distinct);
    if (distinct)
        table->distinct = distinct;
    float *sums =
        aligned_alloc(KERNEL_ALIGNMENT, kernel_padded(n * backend->row_width) * sizeof *sums);
    if (distinct == NULL || sums == NULL) {
        free(sums);
        return -1;
    }
    free(table->sums);
    table->sums = sums;
    table->capacity = n;
    return 0;
}

static void prefetch_row(const struct backend *backend, const struct row *row)
{
    for (size_t at = 0; at < backend->row_bytes; at += KERNEL_ALIGNMENT)
        __builtin_prefetch((const char *)row + at, 1);
}

/* The batch's rows into slots[], and on their way into the cache. False: one is outside. */
static bool read_indices(const struct backend *backend, struct table *table)
{
    for (uint32_t r = 0; r < backend->n_rows; r++) {
        const uint32_t index = backend->rows[r][table->word];
        if (index >= table->n_rows)
            return false;
        table->slots[r] = index;
        prefetch_row(backend, table_row(backend, table, index));
    }
    return true;
}

void native_table_read(struct backend *backend, uint32_t number, unsigned member)
{
    struct table *table = &backend->tables[number];
    table->n_distinct = 0;
    table->is_outside = !read_indices(backend, table);
    if (table->is_outside)
        return;
    for (uint32_t r = 0; r < backend->n_rows; r++) {
        struct row *row = table_row(backend, table, table->slots[r]);
        if (row->stamp != backend->stamp) {
            row->stamp = backend->stamp;
            row->slot = table->n_distinct;
            table->distinct[table->n_distinct++] = table->slots[r];
        }
        table->slots[r] = row->slot;
    }
    native_catch_up(backend, table, table->distinct, table->n_distinct, member);
}

void native_table_sum(struct backend *backend, uint32_t number)
{
    struct table *table = &backend->tables[number];
    const struct value *x0 = &backend->values[0];
    memset(table->sums, 0, table->n_distinct * backend->row_width * sizeof *table->sums);
    backend->train.gradient->sum_by_slot(backend->n_rows, backend->embedding, table->slots,
                                         x0->gradient + table->first, x0->stride, table->sums);
}

static void update_row(const struct backend *backend, struct row *row, struct adam_step step,
                       const float *gradient)
{
    const size_t width = backend->row_width;
    backend->train.adam->update(&backend->constants, step, width, row->values, gradient,
                                row->values + width, row->values + 2 * width);
    row->last = backend->n_steps + 1;
}

/* Dense Adam as it is written: rows of other batches take the step with a gradient of 0. */
static void update_others(const struct backend *backend, const struct table *table,
                          struct adam_step step)
{
    _Alignas(KERNEL_ALIGNMENT) static const float zeros[NATIVE_EMBEDDING_MAX];
    _Static_assert(NATIVE_EMBEDDING_MAX % ROW_LANES == 0, "a row is padded within it");
    for (uint32_t i = 0; i < table->n_rows; i++) {
        struct row *row = table_row(backend, table, i);
        if (row->stamp != backend->stamp)
            update_row(backend, row, step, zeros);
    }
}

void native_table_update(struct backend *backend, uint32_t number)
{
    struct table *table = &backend->tables[number];
    const struct adam_step step = native_step(backend, backend->n_steps + 1);
    for (uint32_t i = 0; i < table->n_distinct; i++)
        update_row(backend, table_row(backend, table, table->distinct[i]), step,
                   table->sums + i * backend->row_width);
    if (backend->adam.is_dense)
        update_others(backend, table, step);
}
