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

/* x0 of rows first .. first + n - 1. Returns n, or how many rows stand before a bad index. */
static size_t gather(const struct network *network, size_t n_rows, size_t first, size_t n,
                     const float *dense, const uint32_t *indices, const struct activations *block)
{
    for (size_t i = 0; i < network->n_dense; i++)
        for (size_t r = 0; r < n; r++)
            block->x0[r * block->stride + i] = dense[i * n_rows + first + r];
    size_t column = network->n_dense;
    for (size_t t = 0; t < network->n_embeddings; t++) {
        const struct embedding *table = &network->embeddings[t];
        const uint32_t *rows = indices + t * n_rows + first;
        for (size_t r = 0; r < n; r++) {
            if (rows[r] >= table->n_rows) {
                n = r;
                break;
            }
            memcpy(block->x0 + r * block->stride + column,
                   table->rows + (size_t)rows[r] * table->width, table->width * sizeof(float));
        }
        column += table->width;
    }
    return n;
}

static void run_cross(const struct network *network, const struct kernels *kernels, size_t n,
                      const struct activations *block)
{
    for (size_t r = 0; r < n; r++)
        memcpy(block->c + r * block->stride, block->x0 + r * block->stride,
               network->width * sizeof(float));
    for (size_t l = 0; l < network->n_cross; l++) {
        const struct cross_layer *layer = &network->cross[l];
        kernels->linear(&layer->linear, n, block->c, block->stride, block->y, block->stride);
        if (layer->kind == CROSS_LAYER_NORM)
            kernels->layer_norm_add(network->width, layer->gamma, layer->beta, n, block->y,
                                    block->c, block->stride);
        else
            kernels->multiply_add(network->width, n, block->x0, block->y, block->c, block->stride);
    }
}

/* The deep network's result and its stride. */
static const float *run_deep(const struct network *network, const struct kernels *kernels, size_t n,
                             const struct activations *block, size_t *ret_stride)
{
    const float *input = block->x0;
    *ret_stride = block->stride;
    for (size_t l = 0; l < network->n_deep; l++) {
        kernels->linear_relu(&network->deep[l], n, input, *ret_stride, block->deep[l % 2],
                             block->deep_stride);
        input = block->deep[l % 2];
        *ret_stride = block->deep_stride;
    }
    return input;
}

size_t network_score(const struct network *network, const struct kernels *kernels, float *scratch,
                     size_t n_rows, const float *dense, const uint32_t *indices, float *scores)
{
    const struct activations block = lay_out(network, scratch);
    for (size_t first = 0; first < n_rows; first += NETWORK_BLOCK_ROWS) {
        const size_t left = n_rows - first;
        const size_t wanted = left < NETWORK_BLOCK_ROWS ? left : NETWORK_BLOCK_ROWS;
        const size_t n = gather(network, n_rows, first, wanted, dense, indices, &block);
        run_cross(network, kernels, n, &block);
        size_t deep_stride;
        const float *deep = run_deep(network, kernels, n, &block, &deep_stride);
        kernels->output(network->output_cross, network->width, network->output_deep,
                        network->deep_width, network->output_bias, n, block.c, block.stride, deep,
                        deep_stride, scores + first);
        for (size_t r = 0; r < n; r++)
            if (isnan(scores[first + r]))
                return first + r;
        if (n < wanted)
            return first + n;
    }
    return n_rows;
}
