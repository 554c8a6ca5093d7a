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
    const uint32_t n_rows = part->input->n_rows;
    for (size_t r = 0; r < n; r++, to += stride) {
        if (rows[r] >= n_rows)
            return r;
        memcpy(to, part->values + (size_t)rows[r] * width, width * sizeof *to);
    }
    return n;
}

/* The usual widths are known to the compiler: the shorter the code between two rows, the more of
 * their cache misses run at once. */
static size_t gather_single(const struct gather_part *part, size_t n, const uint32_t *rows,
                            float *to, size_t stride)
{
    switch (part->input->width) {
    case 4:
        return copy_rows(part, 4, n, rows, to, stride);
    case 8:
        return copy_rows(part, 8, n, rows, to, stride);
    case 16:
        return copy_rows(part, 16, n, rows, to, stride);
    default:
        return copy_rows(part, part->input->width, n, rows, to, stride);
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
        if (counts || input->mask == MASK_NONZERO)
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
    float *out = pass->scratch + op->out.at;
    for (size_t p = 0; p < op->n_parts; p++) {
        const struct gather_part *part = &op->parts[p];
        float *to = out + part->first;
        if (part->input->kind != INPUT_TABLE) {
            gather_value(part, batch->dense + part->input->source * batch->n_rows + pass->first,
                         pass->n, to, op->out.stride);
            continue;
        }
        const struct dcnv2_rows *lookup = &batch->lookups[part->input->source];
        pass->n =
            lookup->offsets
                ? gather_lists(part, lookup, pass->first, pass->n, to, op->out.stride)
                : gather_single(part, pass->n, lookup->rows + pass->first, to, op->out.stride);
    }
}

/* ---- ahead ---- */

static void prefetch_row(const struct gather_part *part, uint32_t row)
{
    enum { LINE_FLOATS = 16 };
    if (row < part->input->n_rows)
        for (size_t i = 0; i < part->input->width; i += LINE_FLOATS)
            __builtin_prefetch(part->values + (size_t)row * part->input->width + i, 0, 2);
}

void gather_prefetch(struct ahead *ahead, const struct network_batch *batch)
{
    const size_t left = ahead->gather->n_parts - ahead->part;
    const size_t end = ahead->part + (left < ahead->n_a_turn ? left : ahead->n_a_turn);
    for (; ahead->part < end; ahead->part++) {
        const struct gather_part *part = &ahead->gather->parts[ahead->part];
        if (part->input->kind != INPUT_TABLE)
            continue;
        const struct dcnv2_rows *lookup = &batch->lookups[part->input->source];
        const size_t from = ahead->first, to = ahead->first + ahead->n;
        const size_t begin = lookup->offsets ? lookup->offsets[from] : from;
        const size_t stop = lookup->offsets ? lookup->offsets[to] : to;
        for (size_t i = begin; i < stop; i++)
            prefetch_row(part, lookup->rows[i]);
    }
}
