/* SPDX-License-Identifier: Apache-2.0 */
/* native_layout.c: where everything of the native backend stands. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "native/native.h"

/*
 * Floats from one row of activations to the next: room for what a gather writes beyond the width,
 * and an odd number of cache lines, so that one column's lines are spread over the cache's sets.
 */
static size_t stride_of(size_t width)
{
    const size_t padded = kernel_padded(width + ROW_LANES);
    return padded / KERNEL_LANES % 2 ? padded : padded + KERNEL_LANES;
}

/* A place of n floats in an array whose size is being counted. */
static size_t reserve(size_t *total, size_t n)
{
    const size_t place = *total;
    *total += kernel_padded(n);
    return place;
}

/* ---- parameters ---- */

static void place_layer(struct backend *backend, struct layer *layer, size_t n_in, size_t n_out)
{
    layer->forward = (struct linear){.n_in = n_in, .n_out = n_out};
    layer->backward = (struct linear){.n_in = n_out, .n_out = n_in};
    layer->weight = reserve(&backend->n_flat, n_in * kernel_padded(n_out));
    layer->bias = reserve(&backend->n_flat, n_out);
}

static void place_parameters(struct backend *backend)
{
    const struct network_shape *shape = backend->shape;
    for (uint32_t l = 0; l < shape->n_cross; l++) {
        struct layer *layer = &backend->cross[l];
        place_layer(backend, layer, backend->width, backend->width);
        if (shape->cross == CROSS_LAYER_NORM) {
            layer->gamma = reserve(&backend->n_flat, backend->width);
            layer->beta = reserve(&backend->n_flat, backend->width);
        }
    }
    for (uint32_t l = 0; l < shape->n_deep; l++)
        place_layer(backend, &backend->deep[l], l ? shape->deep[l - 1] : backend->width,
                    shape->deep[l]);
    backend->output_cross = reserve(&backend->n_flat, backend->width);
    backend->output_deep = reserve(&backend->n_flat, backend->deep_width);
    backend->output_bias = reserve(&backend->n_flat, 1);
}

/* The second packing of all layers, and zeros for a bias that each may take. */
static size_t transposed_floats(const struct layer *layers, uint32_t n)
{
    size_t total = 0;
    for (uint32_t l = 0; l < n; l++)
        total += layers[l].forward.n_out * kernel_padded(layers[l].forward.n_in) +
                 kernel_padded(layers[l].forward.n_in);
    return total;
}

static float *point_layers(struct backend *backend, struct layer *layers, uint32_t n, float *at)
{
    for (uint32_t l = 0; l < n; l++) {
        struct layer *layer = &layers[l];
        layer->forward.weight = backend->p + layer->weight;
        layer->forward.bias = backend->p + layer->bias;
        layer->backward.weight = at;
        at += layer->forward.n_out * kernel_padded(layer->forward.n_in);
        layer->backward.bias = at;
        at += kernel_padded(layer->forward.n_in);
    }
    return at;
}

static int make_parameters(struct backend *backend)
{
    const struct network_shape *shape = backend->shape;
    place_parameters(backend);
    backend->n_transposed = transposed_floats(backend->cross, shape->n_cross) +
                            transposed_floats(backend->deep, shape->n_deep);
    backend->p = memory_alloc(4 * backend->n_flat * sizeof *backend->p);
    backend->transposed = memory_alloc((backend->n_transposed + 1) * sizeof *backend->transposed);
    if (backend->p == NULL || backend->transposed == NULL)
        return -1;
    backend->g = backend->p + backend->n_flat;
    backend->m = backend->g + backend->n_flat;
    backend->v = backend->m + backend->n_flat;
    float *at = point_layers(backend, backend->cross, shape->n_cross, backend->transposed);
    point_layers(backend, backend->deep, shape->n_deep, at);
    return 0;
}

static void add_parts(struct backend *backend, const struct layer *layer, bool is_normed)
{
    const size_t n_panels = kernel_padded(layer->forward.n_out) / KERNEL_LANES;
    for (size_t panel = 0; panel < n_panels; panel++)
        backend->parts[backend->n_parts++] =
            (struct part){.kind = PART_PANEL, .layer = layer, .panel = panel};
    backend->parts[backend->n_parts++] =
        (struct part){.kind = PART_VECTORS, .layer = layer, .is_normed = is_normed};
}

static int make_parts(struct backend *backend)
{
    const struct network_shape *shape = backend->shape;
    size_t n = 1 + shape->n_cross * (kernel_padded(backend->width) / KERNEL_LANES + 1);
    for (uint32_t l = 0; l < shape->n_deep; l++)
        n += kernel_padded(shape->deep[l]) / KERNEL_LANES + 1;
    backend->parts = calloc(n, sizeof *backend->parts);
    if (backend->parts == NULL)
        return -1;
    for (uint32_t l = 0; l < shape->n_cross; l++)
        add_parts(backend, &backend->cross[l], shape->cross == CROSS_LAYER_NORM);
    for (uint32_t l = 0; l < shape->n_deep; l++)
        add_parts(backend, &backend->deep[l], false);
    backend->parts[backend->n_parts++] = (struct part){.kind = PART_OUTPUT};
    return 0;
}

/* ---- the batch ---- */

/* Counts where backend->buffers is NULL, places otherwise. */
static float *buffer(struct backend *backend, size_t floats)
{
    const size_t place = reserve(&backend->n_buffers, floats);
    return backend->buffers ? backend->buffers + place : NULL;
}

static void place_cross(struct backend *backend)
{
    const size_t size = backend->batch_rows * backend->stride;
    float *c = backend->x0, *delta_c = backend->delta_first;
    for (uint32_t l = 0; l < backend->shape->n_cross; l++) {
        struct layer *layer = &backend->cross[l];
        layer->input_stride = layer->stride = backend->stride;
        layer->input = c;
        layer->delta_input = delta_c;
        layer->output = buffer(backend, size);
        layer->delta = buffer(backend, size);
        layer->result = c = buffer(backend, size);
        layer->delta_result = delta_c = buffer(backend, size);
    }
    backend->c_last = c;
    backend->delta_last = delta_c;
}

static void place_deep(struct backend *backend)
{
    backend->d_last = backend->x0;
    backend->d_stride = backend->stride;
    for (uint32_t l = 0; l < backend->shape->n_deep; l++) {
        struct layer *layer = &backend->deep[l];
        layer->input = backend->d_last;
        layer->input_stride = backend->d_stride;
        layer->stride = stride_of(layer->forward.n_out);
        layer->output = buffer(backend, backend->batch_rows * layer->stride);
        layer->delta = buffer(backend, backend->batch_rows * layer->stride);
        backend->d_last = layer->output;
        backend->d_stride = layer->stride;
    }
}

static void place_buffers(struct backend *backend)
{
    const size_t size = backend->batch_rows * backend->stride;
    backend->n_buffers = 0;
    backend->x0 = buffer(backend, size);
    backend->dx0 = buffer(backend, size);
    backend->delta_first = buffer(backend, size);
    place_cross(backend);
    place_deep(backend);
    backend->scores = buffer(backend, backend->batch_rows);
    backend->dz = buffer(backend, backend->batch_rows);
    backend->losses = (double *)(void *)buffer(backend, 2 * (size_t)backend->batch_rows);
    for (unsigned i = 0; i < backend->n_threads; i++)
        backend->scratch[i].rows = buffer(backend, BLOCK_ROWS_MAX * backend->stride);
}

static int make_buffers(struct backend *backend)
{
    backend->scratch = calloc(backend->n_threads, sizeof *backend->scratch);
    if (backend->scratch == NULL)
        return -1;
    place_buffers(backend);
    backend->buffers = memory_alloc(backend->n_buffers * sizeof *backend->buffers);
    if (backend->buffers == NULL)
        return -1;
    place_buffers(backend);
    for (unsigned i = 0; i < backend->n_threads; i++) {
        struct scratch *scratch = &backend->scratch[i];
        scratch->pending = calloc(PENDING_MAX, sizeof *scratch->pending);
        scratch->idle = aligned_alloc(KERNEL_ALIGNMENT, backend->row_bytes);
        if (scratch->pending == NULL || scratch->idle == NULL)
            return -1;
        memset(scratch->idle, 0, backend->row_bytes);
    }
    return 0;
}

/* ---- tables ---- */

static int make_tables(struct backend *backend)
{
    const struct network_shape *shape = backend->shape;
    backend->tables = calloc(shape->n_sparse + 1, sizeof *backend->tables);
    if (backend->tables == NULL)
        return -1;
    for (uint32_t t = 0; t < shape->n_sparse; t++) {
        struct table *table = &backend->tables[t];
        table->n_rows = shape->n_rows[t];
        table->memory = memory_alloc(table->n_rows * backend->row_bytes);
        table->slots = calloc(backend->batch_rows, sizeof *table->slots);
        if (table->memory == NULL || table->slots == NULL ||
            native_table_reserve(backend, table, backend->batch_rows) != 0)
            return -1;
        for (uint32_t i = 0; i < table->n_rows; i++)
            table_row(backend, table, i)->last = ROW_UNTOUCHED;
    }
    return 0;
}

int native_lay_out(struct backend *backend, struct train_error *error)
{
    const struct network_shape *shape = backend->shape;
    if (shape->embedding > NATIVE_EMBEDDING_MAX || shape->n_cross > SHAPE_MAX_LAYERS ||
        shape->n_deep > SHAPE_MAX_LAYERS || shape_width(shape) == 0)
        return train_error_set(error, "the native backend has no room for such a network");
    backend->width = shape_width(shape);
    backend->deep_width = shape->n_deep ? shape->deep[shape->n_deep - 1] : 0;
    backend->stride = stride_of(backend->width);
    backend->row_width = row_padded(shape->embedding);
    const size_t bytes = sizeof(struct row) + 3 * backend->row_width * sizeof(float);
    backend->row_bytes = (bytes + KERNEL_ALIGNMENT - 1) / KERNEL_ALIGNMENT * KERNEL_ALIGNMENT;
    if (make_parameters(backend) != 0 || make_parts(backend) != 0 || make_buffers(backend) != 0 ||
        make_tables(backend) != 0)
        return train_error_memory(error);
    return 0;
}

void native_free(struct backend *backend)
{
    for (uint32_t t = 0; backend->tables && t < backend->shape->n_sparse; t++) {
        struct table *table = &backend->tables[t];
        memory_free(table->memory, table->n_rows * backend->row_bytes);
        free(table->slots);
        free(table->distinct);
        free(table->sums);
    }
    free(backend->tables);
    for (unsigned i = 0; backend->scratch && i < backend->n_threads; i++) {
        free(backend->scratch[i].pending);
        free(backend->scratch[i].idle);
    }
    free(backend->scratch);
    memory_free(backend->buffers, backend->n_buffers * sizeof *backend->buffers);
    memory_free(backend->p, 4 * backend->n_flat * sizeof *backend->p);
    memory_free(backend->transposed, (backend->n_transposed + 1) * sizeof *backend->transposed);
    free(backend->parts);
    free(backend->steps);
    team_free(backend->team);
    free(backend);
}
