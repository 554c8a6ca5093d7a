/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c: the forward pass of network.h, block by block. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "model/network.h"

/* The activations of a block of rows; each row starts at a 64-byte boundary. */
struct activations {
    float *x0; /* [NETWORK_BLOCK_ROWS, stride] */
    float *c;
    float *y;       /* a cross layer before it is added */
    float *deep[2]; /* [NETWORK_BLOCK_ROWS, deep_stride], in turns */
    size_t stride;
    size_t deep_stride;
};

static struct activations lay_out(const struct network *network, float *scratch)
{
    const size_t stride = kernel_padded(network->width);
    const size_t deep_stride = kernel_padded(network->deep_widest);
    const size_t block = NETWORK_BLOCK_ROWS * stride;
    float *deep = scratch + 3 * block;
    return (struct activations){.x0 = scratch,
                                .c = scratch + block,
                                .y = scratch + 2 * block,
                                .deep = {deep, deep + NETWORK_BLOCK_ROWS * deep_stride},
                                .stride = stride,
                                .deep_stride = deep_stride};
}

size_t network_scratch_floats(const struct network *network)
{
    return NETWORK_BLOCK_ROWS *
           (3 * kernel_padded(network->width) + 2 * kernel_padded(network->deep_widest));
}

/* Columns of x0 from a table's rows. Returns n, or how many stand before a bad index. */
static inline __attribute__((always_inline)) size_t gather_table(const struct embedding *table,
                                                                 size_t width, size_t n,
                                                                 const uint32_t *rows, float *to,
                                                                 size_t stride)
{
    for (size_t r = 0; r < n; r++, to += stride) {
        if (rows[r] >= table->n_rows)
            return r;
        memcpy(to, table->rows + (size_t)rows[r] * width, width * sizeof *to);
    }
    return n;
}

/*
 * x0 of rows first .. first + n - 1. Returns n, or how many rows stand before a bad index.
 * Table by table, with the usual widths known to the compiler: the shorter the code between two
 * rows, the more of their cache misses run at once.
 */
static size_t gather(const struct network *network, size_t n_rows, size_t first, size_t n,
                     const float *dense, const struct dcnv2_rows *lookups,
                     const struct activations *block)
{
    for (size_t i = 0; i < network->n_dense; i++)
        for (size_t r = 0; r < n; r++)
            block->x0[r * block->stride + i] = dense[i * n_rows + first + r];
    float *to = block->x0 + network->n_dense;
    for (size_t t = 0; t < network->n_embeddings; t++) {
        const struct embedding *table = &network->embeddings[t];
        const uint32_t *rows = lookups[t].rows + first;
        switch (table->width) {
        case 4:
            n = gather_table(table, 4, n, rows, to, block->stride);
            break;
        case 8:
            n = gather_table(table, 8, n, rows, to, block->stride);
            break;
        case 16:
            n = gather_table(table, 16, n, rows, to, block->stride);
            break;
        default:
            n = gather_table(table, table->width, n, rows, to, block->stride);
            break;
        }
        to += table->width;
    }
    return n;
}

/* Asks for what gather() will read of tables first .. last - 1. */
static void prefetch_tables(const struct network *network, size_t first_table, size_t last_table,
                            size_t first, size_t n, const struct dcnv2_rows *lookups)
{
    enum { LINE_FLOATS = 16 };
    for (size_t t = first_table; t < last_table; t++) {
        const struct embedding *table = &network->embeddings[t];
        const uint32_t *rows = lookups[t].rows + first;
        for (size_t r = 0; r < n; r++)
            if (rows[r] < table->n_rows)
                for (size_t i = 0; i < table->width; i += LINE_FLOATS)
                    __builtin_prefetch(table->rows + (size_t)rows[r] * table->width + i, 0, 2);
    }
}

/*
 * The rows of the block that comes next, asked for in parts between the layers of this one: so many
 * misses at once as a layer hides.
 */
struct ahead {
    const struct network *network;
    const struct dcnv2_rows *lookups;
    size_t first, n; /* n: 0 behind the last block */
    size_t table, n_a_part;
};

static void prefetch_part(struct ahead *ahead)
{
    const size_t left = ahead->network->n_embeddings - ahead->table;
    const size_t last = ahead->table + (left < ahead->n_a_part ? left : ahead->n_a_part);
    prefetch_tables(ahead->network, ahead->table, last, ahead->first, ahead->n, ahead->lookups);
    ahead->table = last;
}

/* The cross network's result. */
static const float *run_cross(const struct network *network, const struct kernels *kernels,
                              size_t n, const struct activations *block, struct ahead *ahead)
{
    const float *c = block->x0;
    for (size_t l = 0; l < network->n_cross; l++) {
        const struct cross_layer *layer = &network->cross[l];
        prefetch_part(ahead);
        kernels->linear(&layer->linear, n, c, block->stride, block->y, block->stride);
        if (layer->kind == CROSS_LAYER_NORM)
            kernels->layer_norm_add(network->width, layer->gamma, layer->beta, n, block->y, c,
                                    block->c, block->stride);
        else
            kernels->multiply_add(network->width, n, block->x0, block->y, c, block->c,
                                  block->stride);
        c = block->c;
    }
    return c;
}

/* The deep network's result and its stride. */
static const float *run_deep(const struct network *network, const struct kernels *kernels, size_t n,
                             const struct activations *block, struct ahead *ahead,
                             size_t *ret_stride)
{
    const float *input = block->x0;
    *ret_stride = block->stride;
    for (size_t l = 0; l < network->n_deep; l++) {
        prefetch_part(ahead);
        kernels->linear_relu(&network->deep[l], n, input, *ret_stride, block->deep[l % 2],
                             block->deep_stride);
        input = block->deep[l % 2];
        *ret_stride = block->deep_stride;
    }
    return input;
}

static bool has_one_row_each(const struct network *network, const struct dcnv2_rows *lookups)
{
    for (size_t t = 0; t < network->n_embeddings; t++)
        if (lookups[t].offsets)
            return false;
    return true;
}

static size_t at_most_a_block(size_t n)
{
    return n < NETWORK_BLOCK_ROWS ? n : NETWORK_BLOCK_ROWS;
}

size_t network_score(const struct network *network, const struct kernels *kernels, float *scratch,
                     size_t n_rows, const float *dense, const struct dcnv2_rows *lookups,
                     float *scores)
{
    if (n_rows == 0 || !has_one_row_each(network, lookups))
        return 0;
    const struct activations block = lay_out(network, scratch);
    const size_t n_layers = network->n_cross + network->n_deep;
    const size_t n_a_part = n_layers ? (network->n_embeddings + n_layers - 1) / n_layers : 0;
    for (size_t first = 0; first < n_rows; first += NETWORK_BLOCK_ROWS) {
        const size_t left = n_rows - first, wanted = at_most_a_block(left);
        struct ahead ahead = {network, lookups, first + wanted, at_most_a_block(left - wanted),
                              0,       n_a_part};
        if (first == 0)
            prefetch_tables(network, 0, network->n_embeddings, 0, wanted, lookups);
        const size_t n = gather(network, n_rows, first, wanted, dense, lookups, &block);
        const float *cross = run_cross(network, kernels, n, &block, &ahead);
        size_t deep_stride;
        const float *deep = run_deep(network, kernels, n, &block, &ahead, &deep_stride);
        kernels->output(network->output_cross, network->width, network->output_deep,
                        network->deep_width, network->output_bias, n, cross, block.stride, deep,
                        deep_stride, scores + first);
        for (size_t r = 0; r < n; r++)
            if (isnan(scores[first + r]))
                return first + r;
        if (n < wanted)
            return first + n;
    }
    return n_rows;
}
