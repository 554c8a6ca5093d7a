/* SPDX-License-Identifier: Apache-2.0 */
/* native_values.c: between the native backend's arrays and PyTorch's shapes. */
#include <math.h>
#include <string.h>

#include "native/native.h"

/* ---- what stands outside the tables ---- */

static void copy(float *flat, float *values, size_t n, bool is_out)
{
    memcpy(is_out ? values : flat, is_out ? flat : values, n * sizeof *values);
}

/* A weight [n_out, n_in], which stands in panels. */
static void copy_weight(const struct layer *layer, float *flat, float *values, bool is_out)
{
    const size_t n_in = layer->forward.n_in;
    for (size_t out = 0; out < layer->forward.n_out; out++)
        for (size_t in = 0; in < n_in; in++)
            copy(flat + layer->weight + linear_place(&layer->forward, in, out),
                 values + out * n_in + in, 1, is_out);
}

/* is_out: from the flat array to the parameters. */
static void copy_flat(const struct backend *backend, const struct parameters *parameters,
                      float *flat, bool is_out)
{
    for (uint32_t i = 0; i < backend->n_homes; i++) {
        const struct home *home = &backend->homes[i];
        float *values = parameters->all[home->parameter].values + home->first;
        if (home->layer)
            copy_weight(home->layer, flat, values, is_out);
        else
            copy(flat + home->place, values, home->width, is_out);
    }
}

/* ---- rows ---- */

enum { VALUES, MOMENT1, MOMENT2 };

static void copy_rows(const struct backend *backend, const struct parameters *parameters,
                      unsigned which, bool is_out)
{
    const size_t embedding = backend->embedding;
    for (uint32_t t = 0; t < backend->n_tables; t++) {
        const struct table *table = &backend->tables[t];
        float *values = parameters->all[table->parameter].values;
        for (uint32_t i = 0; i < table->n_rows; i++, values += embedding)
            copy(table_row(backend, table, i)->values + which * backend->row_width, values,
                 embedding, is_out);
    }
}

void native_values_out(const struct backend *backend, struct parameters *values,
                       struct parameters *moment1, struct parameters *moment2)
{
    struct parameters *const to[] = {values, moment1, moment2};
    float *const flat[] = {backend->p, backend->m, backend->v};
    for (unsigned which = VALUES; which <= MOMENT2; which++)
        if (to[which]) {
            copy_rows(backend, to[which], which, true);
            copy_flat(backend, to[which], flat[which], true);
        }
}

/* Subnormals count as zero in every operation: as zero they are the same bits from the start. */
static void flush(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = bits & 0x7F800000 ? bits : bits & 0x80000000;
        memcpy(&values[i], &bits, sizeof bits);
    }
}

static void settle_rows(struct backend *backend, const struct table *table)
{
    const size_t width = backend->row_width;
    for (uint32_t i = 0; i < table->n_rows; i++) {
        struct row *row = table_row(backend, table, i);
        flush(row->values, 3 * width);
        bool is_moving = false;
        for (size_t k = width; k < 3 * width; k++)
            is_moving |= row->values[k] != 0 || signbit(row->values[k]);
        row->last = is_moving ? backend->n_steps : ROW_UNTOUCHED;
    }
}

void native_values_in(struct backend *backend, const struct parameters *values,
                      const struct parameters *moment1, const struct parameters *moment2)
{
    const struct parameters *const from[] = {values, moment1, moment2};
    float *const flat[] = {backend->p, backend->m, backend->v};
    for (uint32_t t = 0; t < backend->n_tables; t++)
        for (uint32_t i = 0; i < backend->tables[t].n_rows; i++)
            memset(table_row(backend, &backend->tables[t], i)->values, 0,
                   3 * backend->row_width * sizeof(float));
    memset(backend->p, 0, 4 * backend->n_flat * sizeof *backend->p);
    for (unsigned which = VALUES; which <= MOMENT2; which++)
        if (from[which]) {
            copy_rows(backend, from[which], which, false);
            copy_flat(backend, from[which], flat[which], false);
        }
    flush(backend->p, 4 * backend->n_flat);
    for (uint32_t t = 0; t < backend->n_tables; t++)
        settle_rows(backend, &backend->tables[t]);
    for (uint32_t i = 0; i < backend->n_parts; i++)
        native_part_pack(backend, i);
}

/* ---- gradients ---- */

void native_gradients_out(const struct backend *backend, struct parameters *gradients)
{
    const size_t embedding = backend->embedding;
    copy_flat(backend, gradients, backend->g, true);
    for (uint32_t t = 0; t < backend->n_tables; t++) {
        const struct table *table = &backend->tables[t];
        float *values = gradients->all[table->parameter].values;
        memset(values, 0, table->n_rows * embedding * sizeof *values);
        for (uint32_t i = 0; i < table->n_distinct; i++)
            memcpy(values + table->distinct[i] * embedding, table->sums + i * backend->row_width,
                   embedding * sizeof *values);
    }
}
