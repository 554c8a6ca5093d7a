/* SPDX-License-Identifier: Apache-2.0 */
/* native_dense.c: a block of rows through the plan and back, and the gradients of the layers. */
#include <math.h>
#include <string.h>

#include "native/native.h"

/* ---- loss ---- */

/* torch.nn.BCELoss takes no logarithm for less than -100. */
static double log_within(double x)
{
    return fmax(log(x), -100);
}

static void take_loss(const struct backend *backend, uint32_t first, uint32_t n)
{
    for (uint32_t r = first; r < first + n; r++) {
        float label;
        memcpy(&label, backend->rows[r], sizeof label);
        const float score = backend->scores[r];
        double loss = 0;
        if (label > 0)
            loss -= label * log_within(score);
        if (label < 1)
            loss -= (1 - label) * log_within(1 - (double)score);
        backend->losses[r] = isnan(score) ? (double)score : loss;
        backend->dz[r] = (score - label) * backend->factor;
    }
}

/* ---- a block ---- */

void native_block(struct backend *backend, uint32_t block, unsigned member)
{
    const uint32_t first = block * backend->block_rows;
    const uint32_t left = backend->n_rows - first;
    const uint32_t n = left < backend->block_rows ? left : backend->block_rows;
    for (uint32_t l = 0; l < backend->n_layers; l++)
        if (backend->layers[l].class->forward)
            backend->layers[l].class->forward(backend, &backend->layers[l], first, n);
    if (!backend->is_training)
        return;
    take_loss(backend, first, n);
    for (uint32_t l = backend->n_layers; l-- > 0;)
        if (backend->layers[l].class->backward)
            backend->layers[l].class->backward(backend, &backend->layers[l], first, n,
                                               backend->scratch[member].rows);
}

/* ---- gradients ---- */

/* So many rows of a panel's delta and of an input's columns stay in the first cache. */
enum { CHUNK_ROWS = 128 };

static void panel_gradient(const struct backend *backend, const struct layer *layer, size_t panel)
{
    const size_t n_in = layer->forward.n_in, stride = layer->value->stride;
    const size_t n_out = layer->forward.n_out - panel * KERNEL_LANES;
    const struct value *input = layer->inputs[0];
    const float *delta = layer->delta + panel * KERNEL_LANES;
    float *gradient = backend->g + layer->weight + panel * n_in * KERNEL_LANES;
    for (size_t r = 0; r == 0 || r < backend->n_rows; r += CHUNK_ROWS) {
        const size_t left = backend->n_rows - r, n = left < CHUNK_ROWS ? left : CHUNK_ROWS;
        backend->train.gradient->weight(n, n_in, n_out, input->rows + r * input->stride,
                                        input->stride, delta + r * stride, stride, gradient,
                                        r == 0);
    }
}

static void vector_gradient(const struct backend *backend, const struct vector *vector)
{
    const size_t padded = kernel_padded(vector->width);
    float *sums = backend->g + vector->place;
    memset(sums, 0, padded * sizeof *sums);
    if (vector->rows == NULL) {
        for (uint32_t r = 0; r < backend->n_rows; r++)
            *sums += vector->factors[r];
        return;
    }
    backend->train.gradient->sum_rows(backend->n_rows, padded, vector->factors, vector->rows,
                                      vector->stride, sums);
    /* what stands in the padding of an activation is no gradient */
    memset(sums + vector->width, 0, (padded - vector->width) * sizeof *sums);
}

void native_part_gradient(struct backend *backend, uint32_t number)
{
    const struct part *part = &backend->parts[number];
    if (!part->is_vectors)
        panel_gradient(backend, part->layer, part->panel);
    for (uint32_t i = 0; part->is_vectors && i < part->layer->n_vectors; i++)
        vector_gradient(backend, &part->layer->vectors[i]);
}

/* ---- Adam, and the second packing ---- */

static void update(const struct backend *backend, size_t place, size_t n)
{
    backend->train.adam->update(&backend->constants, native_step(backend, backend->n_steps + 1),
                                kernel_padded(n), backend->p + place, backend->g + place,
                                backend->m + place, backend->v + place);
}

void native_part_pack(struct backend *backend, uint32_t number)
{
    const struct part *part = &backend->parts[number];
    if (part->is_vectors)
        return;
    const struct linear *from = &part->layer->forward;
    const size_t first = part->panel * KERNEL_LANES, left = from->n_out - first;
    float *to = backend->transposed + (part->layer->backward.weight - backend->transposed);
    backend->train.gradient->transpose(from->n_in, left < KERNEL_LANES ? left : KERNEL_LANES,
                                       from->weight + linear_place(from, 0, first),
                                       to + first * KERNEL_LANES, from->n_out * KERNEL_LANES);
}

void native_part_update(struct backend *backend, uint32_t number)
{
    const struct part *part = &backend->parts[number];
    const struct layer *layer = part->layer;
    const size_t size = layer->forward.n_in * KERNEL_LANES;
    if (!part->is_vectors) {
        update(backend, layer->weight + part->panel * size, size);
        native_part_pack(backend, number);
    }
    for (uint32_t i = 0; part->is_vectors && i < layer->n_vectors; i++)
        update(backend, layer->vectors[i].place, layer->vectors[i].width);
}
