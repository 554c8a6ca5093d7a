/* SPDX-License-Identifier: Apache-2.0 */
/* native_dense.c: a block of rows through the layers and back, and the gradients of the layers. */
#include <math.h>
#include <string.h>

#include "native/native.h"

/* ---- forward, as model/forward.c goes, but every activation stays ---- */

/* Whole vectors, whose surplus the next table's columns or the row's padding take. */
static inline void copy_row(float *to, const float *from, size_t width)
{
    for (size_t i = 0; i < width; i += ROW_LANES)
        memcpy(to + i, from + i, ROW_LANES * sizeof *to);
}

static void gather(const struct backend *backend, uint32_t first, uint32_t n)
{
    const struct network_shape *shape = backend->shape;
    for (uint32_t r = first; r < first + n; r++) {
        float *x0 = backend->x0 + r * backend->stride;
        const uint32_t *record = backend->rows[r] + 1;
        for (uint32_t i = 0; i < shape->n_dense; i++, x0++, record++)
            memcpy(x0, record, sizeof *x0);
        for (uint32_t t = 0; t < shape->n_sparse; t++, x0 += shape->embedding)
            copy_row(x0, table_row(backend, &backend->tables[t], record[t])->values,
                     backend->row_width);
    }
}

static void cross_forward(const struct backend *backend, const struct layer *layer, uint32_t first,
                          uint32_t n)
{
    const size_t at = first * layer->stride;
    backend->kernels->linear(&layer->forward, n, layer->input + at, layer->stride,
                             layer->output + at, layer->stride);
    if (backend->shape->cross == CROSS_LAYER_NORM)
        backend->kernels->layer_norm_add(backend->width, backend->p + layer->gamma,
                                         backend->p + layer->beta, n, layer->output + at,
                                         layer->input + at, layer->result + at, layer->stride);
    else
        backend->kernels->multiply_add(backend->width, n, backend->x0 + at, layer->output + at,
                                       layer->input + at, layer->result + at, layer->stride);
}

static void forward(const struct backend *backend, uint32_t first, uint32_t n)
{
    gather(backend, first, n);
    for (uint32_t l = 0; l < backend->shape->n_cross; l++)
        cross_forward(backend, &backend->cross[l], first, n);
    for (uint32_t l = 0; l < backend->shape->n_deep; l++) {
        const struct layer *layer = &backend->deep[l];
        backend->kernels->linear_relu(
            &layer->forward, n, layer->input + first * layer->input_stride, layer->input_stride,
            layer->output + first * layer->stride, layer->stride);
    }
    backend->kernels->output(
        backend->p + backend->output_cross, backend->width, backend->p + backend->output_deep,
        backend->deep_width, backend->p[backend->output_bias], n,
        backend->c_last + first * backend->stride, backend->stride,
        backend->d_last + first * backend->d_stride, backend->d_stride, backend->scores + first);
}

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

/* ---- backward ---- */

/* delta times the transposed weight */
static void through_linear(const struct backend *backend, const struct layer *layer, uint32_t first,
                           uint32_t n, float *to, size_t to_stride)
{
    backend->kernels->linear(&layer->backward, n, layer->delta + first * layer->stride,
                             layer->stride, to, to_stride);
}

static void deep_backward(const struct backend *backend, uint32_t first, uint32_t n)
{
    const struct gradient_kernels *gradient = backend->train.gradient;
    for (uint32_t l = backend->shape->n_deep; l-- > 0;) {
        const struct layer *layer = &backend->deep[l];
        const size_t width = kernel_padded(layer->forward.n_out), at = first * layer->stride;
        float *delta = layer->delta + at;
        if (l + 1 == backend->shape->n_deep)
            gradient->scale(width, n, backend->dz + first, backend->p + backend->output_deep, delta,
                            layer->stride);
        else
            through_linear(backend, layer + 1, first, n, delta, layer->stride);
        gradient->relu(width, n, layer->output + at, delta, layer->stride);
    }
    float *dx0 = backend->dx0 + first * backend->stride;
    if (backend->shape->n_deep)
        through_linear(backend, &backend->deep[0], first, n, dx0, backend->stride);
    else
        memset(dx0, 0, n * backend->stride * sizeof *dx0);
}

static void cross_backward(const struct backend *backend, uint32_t first, uint32_t n,
                           float *scratch)
{
    const struct gradient_kernels *gradient = backend->train.gradient;
    const size_t stride = backend->stride, at = first * stride;
    const size_t width = kernel_padded(backend->width);
    gradient->scale(width, n, backend->dz + first, backend->p + backend->output_cross,
                    backend->delta_last + at, stride);
    for (uint32_t l = backend->shape->n_cross; l-- > 0;) {
        const struct layer *layer = &backend->cross[l];
        const float *above = layer->delta_result + at;
        if (backend->shape->cross == CROSS_LAYER_NORM)
            gradient->layer_norm(backend->width, backend->p + layer->gamma, n, above,
                                 layer->output + at, layer->delta + at, stride);
        else
            gradient->multiply(width, n, backend->x0 + at, layer->output + at, above,
                               layer->delta + at, backend->dx0 + at, stride);
        through_linear(backend, layer, first, n, scratch, stride);
        gradient->add(width, n, above, scratch, layer->delta_input + at, stride);
    }
    gradient->add(width, n, backend->dx0 + at, backend->delta_first + at, backend->dx0 + at,
                  stride);
}

void native_block(struct backend *backend, uint32_t block, unsigned member)
{
    const uint32_t first = block * backend->block_rows;
    const uint32_t left = backend->n_rows - first;
    const uint32_t n = left < backend->block_rows ? left : backend->block_rows;
    forward(backend, first, n);
    if (!backend->is_training)
        return;
    take_loss(backend, first, n);
    deep_backward(backend, first, n);
    cross_backward(backend, first, n, backend->scratch[member].rows);
}

/* ---- gradients ---- */

/* So many rows of a panel's delta and of an input's columns stay in the first cache. */
enum { CHUNK_ROWS = 128 };

static void panel_gradient(const struct backend *backend, const struct layer *layer, size_t panel)
{
    const size_t n_in = layer->forward.n_in;
    const size_t n_out = layer->forward.n_out - panel * KERNEL_LANES;
    const float *delta = layer->delta + panel * KERNEL_LANES;
    float *gradient = backend->g + layer->weight + panel * n_in * KERNEL_LANES;
    for (size_t r = 0; r == 0 || r < backend->n_rows; r += CHUNK_ROWS) {
        const size_t left = backend->n_rows - r, n = left < CHUNK_ROWS ? left : CHUNK_ROWS;
        backend->train.gradient->weight(n, n_in, n_out, layer->input + r * layer->input_stride,
                                        layer->input_stride, delta + r * layer->stride,
                                        layer->stride, gradient, r == 0);
    }
}

static void sum_rows(const struct backend *backend, size_t width, const float *factors,
                     const float *rows, size_t stride, size_t place)
{
    const size_t padded = kernel_padded(width);
    float *sums = backend->g + place;
    memset(sums, 0, padded * sizeof *sums);
    backend->train.gradient->sum_rows(backend->n_rows, padded, factors, rows, stride, sums);
    /* what stands in the padding of an activation is no gradient */
    memset(sums + width, 0, (padded - width) * sizeof *sums);
}

static void output_gradient(const struct backend *backend)
{
    sum_rows(backend, backend->width, backend->dz, backend->c_last, backend->stride,
             backend->output_cross);
    if (backend->deep_width)
        sum_rows(backend, backend->deep_width, backend->dz, backend->d_last, backend->d_stride,
                 backend->output_deep);
    float sum = 0;
    for (uint32_t r = 0; r < backend->n_rows; r++)
        sum += backend->dz[r];
    backend->g[backend->output_bias] = sum;
}

void native_part_gradient(struct backend *backend, uint32_t number)
{
    const struct part *part = &backend->parts[number];
    const struct layer *layer = part->layer;
    if (part->kind == PART_PANEL) {
        panel_gradient(backend, layer, part->panel);
    } else if (part->kind == PART_OUTPUT) {
        output_gradient(backend);
    } else {
        sum_rows(backend, layer->forward.n_out, NULL, layer->delta, layer->stride, layer->bias);
        if (!part->is_normed)
            return;
        sum_rows(backend, backend->width, NULL, layer->output, layer->stride, layer->gamma);
        sum_rows(backend, backend->width, NULL, layer->delta_result, layer->stride, layer->beta);
    }
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
    if (part->kind != PART_PANEL)
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
    if (part->kind == PART_PANEL) {
        const size_t size = layer->forward.n_in * KERNEL_LANES;
        update(backend, layer->weight + part->panel * size, size);
        native_part_pack(backend, number);
    } else if (part->kind == PART_OUTPUT) {
        update(backend, backend->output_cross, backend->width);
        update(backend, backend->output_deep, backend->deep_width);
        update(backend, backend->output_bias, 1);
    } else {
        update(backend, layer->bias, layer->forward.n_out);
        if (!part->is_normed)
            return;
        update(backend, layer->gamma, backend->width);
        update(backend, layer->beta, backend->width);
    }
}
