/* SPDX-License-Identifier: Apache-2.0 */
/* gather.c: the vector of an input layer, from embedding tables and numbers. */
#include <string.h>

#include "model/plan.h"

/* ---- one row per cell ---- */

/* Returns n, or how many rows stand before a bad index. */
static inline __attribute__((always_inline)) size_t copy_rows(const struct gather_part *part,
                                                              size_t width, size_t n,
                                                              const uint32_t *rows, float *to,
                                                              size_t stride)
{
    const uint32_t n_rows = part->n_rows;
    const float *values = part->values;
    for (size_t r = 0; r < n; r++, to += stride) {
        if (rows[r] >= n_rows)
            return r;
        memcpy(to, values + (size_t)rows[r] * width, width * sizeof *to);
    }
    return n;
}

/* The usual widths are known to the compiler: the shorter the code between two rows, the more of
 * their cache misses run at once. */
static inline __attribute__((always_inline)) size_t gather_single(const struct gather_part *part,
                                                                  size_t n, const uint32_t *rows,
                                                                  float *to, size_t stride)
{
    switch (part->width) {
    case 4:
        return copy_rows(part, 4, n, rows, to, stride);
    case 8:
        return copy_rows(part, 8, n, rows, to, stride);
    case 16:
        return copy_rows(part, 16, n, rows, to, stride);
    default:
        return copy_rows(part, part->width, n, rows, to, stride);
    }
}

/* ---- any number of rows per cell ---- */

static bool is_counted(const struct spec_input *input, uint32_t row, const float *values)
{
    if (input->mask == MASK_ROW)
        return row != input->masked_row;
    if (input->mask == MASK_NONE)
        return true;
    float sum = 0;
    for (uint32_t i = 0; i < input->width; i++)
        sum += values[i];
    return sum != 0;
}

static void add_row(const struct spec_input *input, bool is_first, const float *values, float *to)
{
    if (input->pooling == POOLING_MAX && !is_first) {
        for (uint32_t i = 0; i < input->width; i++)
            to[i] = values[i] > to[i] ? values[i] : to[i];
        return;
    }
    for (uint32_t i = 0; i < input->width; i++)
        to[i] += values[i];
}

static void divide(const struct spec_input *input, uint32_t n_counted, float *to)
{
    double count = (double)n_counted + (double)input->epsilon;
    if (count < (double)input->at_least)
        count = (double)input->at_least;
    if (count == 0)
        return; /* nothing was added */
    for (uint32_t i = 0; i < input->width; i++)
        to[i] = (float)((double)to[i] / count);
}

/* false: an index outside the table. */
static bool pool(const struct gather_part *part, const uint32_t *rows, uint32_t n, float *to)
{
    const struct spec_input *input = part->input;
    uint32_t n_counted = 0;
    memset(to, 0, input->width * sizeof *to);
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i] >= input->n_rows)
            return false;
        const float *values = part->values + (size_t)rows[i] * input->width;
        const bool counts = is_counted(input, rows[i], values);
        if (counts || (input->mask == MASK_NONZERO && input->pooling != POOLING_MAX))
            add_row(input, n_counted == 0, values, to);
        n_counted += counts;
    }
    if (input->pooling == POOLING_MEAN)
        divide(input, n_counted, to);
    return true;
}

static size_t gather_lists(const struct gather_part *part, const struct dcnv2_rows *lookup,
                           size_t first, size_t n, float *to, size_t stride)
{
    for (size_t r = 0; r < n; r++, to += stride) {
        const uint32_t from = lookup->offsets[first + r], end = lookup->offsets[first + r + 1];
        if (part->input->pooling == POOLING_NONE && end - from > 1)
            return r; /* which of them? */
        if (!pool(part, lookup->rows + from, end - from, to))
            return r;
    }
    return n;
}

/* ---- all parts ---- */

static void gather_value(const struct gather_part *part, const float *column, size_t n, float *to,
                         size_t stride)
{
    if (part->input->kind == INPUT_VALUE) {
        for (size_t r = 0; r < n; r++)
            to[r * stride] = column[r];
        return;
    }
    for (size_t r = 0; r < n; r++)
        for (uint32_t i = 0; i < part->input->width; i++)
            to[r * stride + i] = column[r] * part->values[i];
}

/* Part by part; rows from one with a bad index on are left out of the pass. */
void op_gather(const struct op *op, struct pass *pass)
{
    const struct network_batch *batch = pass->batch;
    const struct dcnv2_rows *lookups = batch->lookups;
    const struct gather_part *part = op->parts, *end = part + op->n_parts;
    float *out = pass->scratch + op->out.at;
    const size_t stride = op->out.stride, first = pass->first;
    size_t n = pass->n;
    for (; part < end; part++) {
        float *to = out + part->first;
        if (!part->is_table) {
            gather_value(part, batch->dense + part->source * batch->n_rows + first, n, to, stride);
            continue;
        }
        const struct dcnv2_rows *lookup = &lookups[part->source];
        n = lookup->offsets ? gather_lists(part, lookup, first, n, to, stride)
                            : gather_single(part, n, lookup->rows + first, to, stride);
    }
    pass->n = n;
}

/* ---- ahead ---- */

static inline void prefetch_row(const struct gather_part *part, uint32_t row)
{
    enum { LINE_FLOATS = 16 };
    if (row >= part->n_rows)
        return;
    const float *values = part->values + (size_t)row * part->width;
    const float *end = values + part->width;
    do
        __builtin_prefetch(values, 0, 2);
    while ((values += LINE_FLOATS) < end);
}

void gather_prefetch(struct ahead *ahead, const struct network_batch *batch)
{
    const size_t left = ahead->gather->n_parts - ahead->part;
    const size_t from = ahead->first, n = ahead->n;
    const size_t n_parts = left < ahead->n_a_turn ? left : ahead->n_a_turn;
    const struct gather_part *part = ahead->gather->parts + ahead->part, *end = part + n_parts;
    const struct dcnv2_rows *lookups = batch->lookups;
    for (; part < end; part++) {
        if (!part->is_table)
            continue;
        const struct dcnv2_rows *lookup = &lookups[part->source];
        const uint32_t *row = lookup->rows + from, *stop = row + n;
        if (lookup->offsets) {
            row = lookup->rows + lookup->offsets[from];
            stop = lookup->rows + lookup->offsets[from + n];
        }
        for (; row < stop; row++)
            prefetch_row(part, *row);
    }
    ahead->part += n_parts;
}
