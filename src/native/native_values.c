/* SPDX-License-Identifier: Apache-2.0 */
/* native_values.c: between the native backend's arrays and PyTorch's shapes. */
#include <math.h>
#include <string.h>

#include "native/native.h"

/* ---- what stands outside the tables ---- */

/* A walk over a flat array and the parameters after the tables, in their order. */
struct walk {
    float *flat;
    const struct parameter *next;
    bool is_out; /* from the flat array to the parameters */
};

static void copy_vector(struct walk *walk, size_t place, size_t n, float *values)
{
    if (walk->is_out)
        memcpy(values, walk->flat + place, n * sizeof *values);
    else
        memcpy(walk->flat + place, values, n * sizeof *values);
}

static void copy_layer(struct walk *walk, const struct layer *layer)
{
    const size_t n_in = layer->forward.n_in;
    float *values = walk->next++->values;
    for (size_t out = 0; out < layer->forward.n_out; out++)
        for (size_t in = 0; in < n_in; in++) {
            float *place = walk->flat + layer->weight + linear_place(&layer->forward, in, out);
            if (walk->is_out)
                values[out * n_in + in] = *place;
            else
                *place = values[out * n_in + in];
        }
    copy_vector(walk, layer->bias, layer->forward.n_out, walk->next++->values);
}

static void copy_flat(const struct backend *backend, const struct parameters *parameters,
                      float *flat, bool is_out)
{
    const struct network_shape *shape = backend->shape;
    struct walk walk = {flat, parameters->all + shape->n_sparse, is_out};
    for (uint32_t l = 0; l < shape->n_cross; l++) {
        const struct layer *layer = &backend->cross[l];
        copy_layer(&walk, layer);
        if (shape->cross == CROSS_LAYER_NORM) {
            copy_vector(&walk, layer->gamma, backend->width, walk.next++->values);
            copy_vector(&walk, layer->beta, backend->width, walk.next++->values);
        }
    }
    for (uint32_t l = 0; l < shape->n_deep; l++)
        copy_layer(&walk, &backend->deep[l]);
    float *output = walk.next++->values;
    copy_vector(&walk, backend->output_cross, backend->width, output);
    copy_vector(&walk, backend->output_deep, backend->deep_width, output + backend->width);
    copy_vector(&walk, backend->output_bias, 1, walk.next->values);
}

/* ---- rows ---- */

enum { VALUES, MOMENT1, MOMENT2 };

static void copy_rows(const struct backend *backend, const struct parameters *parameters,
                      unsigned which, bool is_out)
{
    const size_t embedding = backend->shape->embedding;
    for (uint32_t t = 0; t < backend->shape->n_sparse; t++) {
        float *values = parameters->all[t].values;
        for (uint32_t i = 0; i < backend->tables[t].n_rows; i++, values += embedding) {
            float *row =
                table_row(backend, &backend->tables[t], i)->values + which * backend->row_width;
            memcpy(is_out ? values : row, is_out ? row : values, embedding * sizeof *row);
        }
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
    for (uint32_t t = 0; t < backend->shape->n_sparse; t++)
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
    for (uint32_t t = 0; t < backend->shape->n_sparse; t++)
        settle_rows(backend, &backend->tables[t]);
    for (uint32_t i = 0; i < backend->n_parts; i++)
        native_part_pack(backend, i);
}

/* ---- gradients ---- */

void native_gradients_out(const struct backend *backend, struct parameters *gradients)
{
    const size_t embedding = backend->shape->embedding;
    copy_flat(backend, gradients, backend->g, true);
    for (uint32_t t = 0; t < backend->shape->n_sparse; t++) {
        const struct table *table = &backend->tables[t];
        float *values = gradients->all[t].values;
        memset(values, 0, table->n_rows * embedding * sizeof *values);
        for (uint32_t i = 0; i < table->n_distinct; i++)
            memcpy(values + table->distinct[i] * embedding, table->sums + i * backend->row_width,
                   embedding * sizeof *values);
    }
}
