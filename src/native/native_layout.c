/* SPDX-License-Identifier: Apache-2.0 */
/* native_layout.c: the plan that a spec gives, and where everything of the backend stands. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "native/native.h"
#include "network/kinds.h"

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

/* ---- what can be trained ---- */

static int refuse(const struct spec_layer *layer, const char *why, struct train_error *error)
{
    return train_error_set(error, "the native backend cannot train layer \"%.*s\" (%s): %s",
                           TEXT_SHOWN(layer->name), layer_kinds[layer->kind].name, why);
}

static int check_layer(const struct network_spec *spec, const struct spec_layer *layer,
                       struct train_error *error)
{
    const struct layer_class *class = layer_classes[layer->kind];
    if (class == NULL)
        return refuse(layer, "such layers can be served only", error);
    if (!spec_is_plain(layer) || !class->is_possible(spec, layer))
        return refuse(layer, "its form can be served only", error);
    return 0;
}

static int check_spec(const struct backend *backend, struct train_error *error)
{
    const struct network_spec *spec = backend->spec;
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (check_layer(spec, &spec->layers[i], error) != 0)
            return -1;
    if (backend->embedding > NATIVE_EMBEDDING_MAX || spec->layers[0].n_out == 0)
        return refuse(&spec->layers[0], "it has no width, or a table that is too wide", error);
    return 0;
}

/* ---- x0 ---- */

static int make_columns(struct backend *backend)
{
    const struct spec_layer *x0 = &backend->spec->layers[0];
    size_t first = 0;
    backend->columns = calloc(x0->n_parts + 1u, sizeof *backend->columns);
    backend->tables = calloc(x0->n_parts + 1u, sizeof *backend->tables);
    if (backend->columns == NULL || backend->tables == NULL)
        return -1;
    for (uint32_t i = 0; i < x0->n_parts; first += x0->parts[i++].width) {
        const struct spec_input *part = &x0->parts[i];
        struct column *column = &backend->columns[backend->n_columns++];
        column->word = 1 + part->source;
        if (part->kind == INPUT_VALUE)
            continue;
        struct table *table = &backend->tables[backend->n_tables++];
        column->word += backend->spec->n_values;
        column->table = table;
        *table = (struct table){.n_rows = part->n_rows, .word = column->word, .first = first};
    }
    return 0;
}

static int make_tables(struct backend *backend)
{
    for (uint32_t t = 0; t < backend->n_tables; t++) {
        struct table *table = &backend->tables[t];
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

/* ---- the plan ---- */

/* Backward, the first layer that comes to a value writes its gradient, the others add to it. */
static bool begin_gradient(const struct backend *backend, bool *has_begun,
                           const struct value *value)
{
    const size_t number = (size_t)(value - backend->values);
    const bool before = has_begun[number];
    has_begun[number] = true;
    return before;
}

static int plan_gradients(struct backend *backend)
{
    bool *has_begun = calloc(backend->n_layers, sizeof *has_begun);
    if (has_begun == NULL)
        return -1;
    for (uint32_t l = backend->n_layers; l-- > 1;) {
        struct layer *layer = &backend->layers[l];
        if (layer->class->is_in_place)
            continue;
        if (layer->x0)
            layer->is_x0_added = begin_gradient(backend, has_begun, layer->x0);
        for (uint32_t i = 0; i < layer->n_inputs; i++)
            layer->is_added[i] = begin_gradient(backend, has_begun, layer->inputs[i]);
    }
    free(has_begun);
    return 0;
}

static void plan_layer(struct backend *backend, uint32_t number)
{
    const struct spec_layer *of = &backend->spec->layers[number];
    struct layer *layer = &backend->layers[number];
    struct value *value = &backend->values[number];
    layer->class = layer_classes[of->kind];
    for (; layer->n_inputs < of->n_inputs; layer->n_inputs++) {
        const struct layer *from = &backend->layers[of->inputs[layer->n_inputs]];
        layer->inputs[layer->n_inputs] = from->value;
    }
    layer->value = layer->class->is_in_place ? layer->inputs[0] : value;
    if (layer->class->is_in_place && of->activation == ACTIVATE_RELU)
        backend->layers[of->inputs[0]].has_relu = true;
    if (layer->class->reads_x0)
        layer->x0 = backend->layers[of->x0].value;
    value->width = of->n_out;
    value->stride = stride_of(of->n_out);
    if (value->stride > backend->widest)
        backend->widest = value->stride;
}

static int make_plan(struct backend *backend)
{
    const uint32_t n = backend->n_layers = backend->spec->n_layers;
    backend->values = calloc(n, sizeof *backend->values);
    backend->layers = calloc(n, sizeof *backend->layers);
    if (backend->values == NULL || backend->layers == NULL)
        return -1;
    for (uint32_t l = 0; l < n; l++)
        plan_layer(backend, l);
    return plan_gradients(backend);
}

/* ---- the batch ---- */

/* Counts where backend->buffers is NULL, places otherwise. */
static float *buffer(struct backend *backend, size_t floats)
{
    const size_t place = reserve(&backend->n_buffers, floats);
    return backend->buffers ? backend->buffers + place : NULL;
}

static void place_value(struct backend *backend, uint32_t number)
{
    struct layer *layer = &backend->layers[number];
    struct value *value = &backend->values[number];
    const size_t size = backend->batch_rows * value->stride;
    if (layer->value != value || number + 1 == backend->n_layers) /* the output's are the scores */
        return;
    layer->product = layer->class->has_product ? buffer(backend, size) : NULL;
    layer->delta = layer->class->has_product ? buffer(backend, size) : NULL;
    value->rows = buffer(backend, size);
    value->gradient = buffer(backend, size);
    if (layer->class->has_product)
        return;
    layer->product = value->rows;
    layer->delta = value->gradient;
}

static void place_buffers(struct backend *backend)
{
    backend->n_buffers = 0;
    for (uint32_t l = 0; l < backend->n_layers; l++)
        place_value(backend, l);
    backend->scores = buffer(backend, backend->batch_rows);
    backend->dz = buffer(backend, backend->batch_rows);
    backend->losses = (double *)(void *)buffer(backend, 2 * (size_t)backend->batch_rows);
    for (unsigned i = 0; i < backend->n_threads; i++)
        backend->scratch[i].rows = buffer(backend, BLOCK_ROWS_MAX * backend->widest);
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

/* ---- parameters ---- */

static uint32_t find_parameter(struct layout *layout, uint32_t layer, uint32_t role)
{
    for (uint32_t i = 0; i < layout->n; i++)
        if (layout->parameters[i].layer == layer && layout->parameters[i].role == role)
            return i;
    layout->is_shared = true;
    return 0;
}

static void add_home(struct layout *layout, const struct layer *layer, uint32_t role,
                     struct home home)
{
    struct backend *backend = layout->backend;
    home.parameter = find_parameter(layout, (uint32_t)(layer - backend->layers), role);
    backend->homes[backend->n_homes++] = home;
}

struct vector *layout_vector(struct layout *layout, struct layer *layer, uint32_t role,
                             size_t first, size_t width)
{
    struct vector *vector = &layer->vectors[layer->n_vectors++];
    *vector = (struct vector){.place = reserve(&layout->backend->n_flat, width),
                              .width = width,
                              .stride = layer->value->stride};
    add_home(layout, layer, role,
             (struct home){.first = first, .place = vector->place, .width = width});
    return vector;
}

void layout_linear(struct layout *layout, struct layer *layer, size_t n_in, size_t n_out)
{
    struct backend *backend = layout->backend;
    layer->forward = (struct linear){.n_in = n_in, .n_out = n_out};
    layer->backward = (struct linear){.n_in = n_out, .n_out = n_in};
    layer->weight = reserve(&backend->n_flat, n_in * kernel_padded(n_out));
    add_home(layout, layer, ROLE_WEIGHT, (struct home){.layer = layer});
    layout_vector(layout, layer, ROLE_BIAS, 0, n_out)->rows = layer->delta;
    backend->n_transposed += n_out * kernel_padded(n_in) + kernel_padded(n_in);
    backend->n_parts += (uint32_t)(kernel_padded(n_out) / KERNEL_LANES);
}

/* The flat arrays, the second packing of all layers, and zeros for a bias that each may take. */
static int make_flat(struct backend *backend)
{
    backend->p = memory_alloc(4 * backend->n_flat * sizeof *backend->p);
    backend->transposed = memory_alloc((backend->n_transposed + 1) * sizeof *backend->transposed);
    if (backend->p == NULL || backend->transposed == NULL)
        return -1;
    float *at = backend->transposed;
    backend->g = backend->p + backend->n_flat;
    backend->m = backend->g + backend->n_flat;
    backend->v = backend->m + backend->n_flat;
    for (uint32_t l = 0; l < backend->n_layers; l++) {
        struct layer *layer = &backend->layers[l];
        if (layer->forward.n_out == 0)
            continue;
        layer->forward.weight = backend->p + layer->weight;
        layer->forward.bias = backend->p + layer->vectors[0].place;
        layer->backward.weight = at;
        at += layer->forward.n_out * kernel_padded(layer->forward.n_in);
        layer->backward.bias = at;
        at += kernel_padded(layer->forward.n_in);
    }
    return 0;
}

static int make_parts(struct backend *backend)
{
    backend->parts = calloc(backend->n_parts + backend->n_layers, sizeof *backend->parts);
    if (backend->parts == NULL)
        return -1;
    backend->n_parts = 0;
    for (uint32_t l = 0; l < backend->n_layers; l++) {
        const struct layer *layer = &backend->layers[l];
        const size_t n_panels = kernel_padded(layer->forward.n_out) / KERNEL_LANES;
        for (size_t panel = 0; panel < n_panels; panel++)
            backend->parts[backend->n_parts++] = (struct part){.layer = layer, .panel = panel};
        if (layer->n_vectors)
            backend->parts[backend->n_parts++] = (struct part){.layer = layer, .is_vectors = true};
    }
    return 0;
}

/* Each parameter has a home, or is a table. */
static int lay_out_all(struct layout *layout)
{
    struct backend *backend = layout->backend;
    const struct spec_layer *layers = backend->spec->layers;
    backend->homes = calloc(layout->n + (size_t)LAYER_INPUTS_MAX, sizeof *backend->homes);
    if (backend->homes == NULL)
        return -1;
    for (uint32_t i = 0, t = 0; i < layers[0].n_parts; i++)
        if (layers[0].parts[i].kind == INPUT_TABLE)
            backend->tables[t++].parameter = find_parameter(layout, 0, i);
    for (uint32_t l = 1; l < backend->n_layers; l++)
        if (backend->layers[l].class->lay_out)
            backend->layers[l].class->lay_out(layout, &backend->layers[l], &layers[l]);
    return make_flat(backend) != 0 ? -1 : make_parts(backend);
}

static int make_parameters(struct backend *backend, struct train_error *error)
{
    struct layout layout = {.backend = backend};
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const int status = spec_parameters(backend->spec, &arena, &layout.parameters, &layout.n) != 0
                           ? -1
                           : lay_out_all(&layout);
    arena_free(&arena);
    if (status != 0)
        return train_error_memory(error);
    if (layout.is_shared)
        return train_error_set(error, "the native backend cannot train a tensor that stands in "
                                      "several places of the network");
    return 0;
}

/* ---- the whole ---- */

/* The width of the tables: one for all. */
static size_t width_of_tables(const struct spec_layer *x0)
{
    for (uint32_t i = 0; i < x0->n_parts; i++)
        if (x0->parts[i].kind == INPUT_TABLE)
            return x0->parts[i].width;
    return 0;
}

int native_lay_out(struct backend *backend, struct train_error *error)
{
    backend->embedding = width_of_tables(&backend->spec->layers[0]);
    if (check_spec(backend, error) != 0)
        return -1;
    backend->row_width = row_padded(backend->embedding);
    const size_t bytes = sizeof(struct row) + 3 * backend->row_width * sizeof(float);
    backend->row_bytes = (bytes + KERNEL_ALIGNMENT - 1) / KERNEL_ALIGNMENT * KERNEL_ALIGNMENT;
    if (make_columns(backend) != 0 || make_plan(backend) != 0 || make_buffers(backend) != 0 ||
        make_tables(backend) != 0)
        return train_error_memory(error);
    return make_parameters(backend, error);
}

void native_free(struct backend *backend)
{
    for (uint32_t t = 0; backend->tables && t < backend->n_tables; t++) {
        struct table *table = &backend->tables[t];
        memory_free(table->memory, table->n_rows * backend->row_bytes);
        free(table->slots);
        free(table->distinct);
        free(table->sums);
    }
    free(backend->tables);
    free(backend->columns);
    free(backend->values);
    free(backend->layers);
    free(backend->homes);
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
