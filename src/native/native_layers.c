/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_layers.c: the kinds of layers that the native backend trains: for each a row with its
 * parameters, its forward operation, as model/ops.c has it, and its backward operation.
 */
#include <string.h>

#include "kernels/constants.h"
#include "native/native.h"
#include "network/kinds.h"

/* Adds what is in `scratch` to an input's gradient, rows of the input's width. */
static void add_to_gradient(const struct backend *backend, const struct value *input,
                            uint32_t first, uint32_t n, const float *scratch)
{
    float *gradient = input->gradient + first * input->stride;
    backend->train.gradient->add(kernel_padded(input->width), n, gradient, scratch, gradient,
                                 input->stride);
}

/* delta times the transposed weight */
static void through_linear(const struct backend *backend, const struct layer *layer, uint32_t first,
                           uint32_t n, float *to)
{
    backend->kernels->linear(&layer->backward, n, layer->delta + first * layer->value->stride,
                             layer->value->stride, to, layer->inputs[0]->stride);
}

/* ---- x0 ---- */

/* One, with tables of one width. */
static bool is_input_possible(const struct network_spec *spec, const struct spec_layer *layer)
{
    const struct spec_input *table = NULL;
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        const struct spec_input *part = &layer->parts[i];
        if (part->kind != INPUT_TABLE)
            continue;
        if (table && table->width != part->width)
            return false;
        table = part;
    }
    return layer == spec->layers;
}

/* Whole vectors, whose surplus the next column or the row's padding takes. */
static inline void copy_row(float *to, const float *from, size_t width)
{
    for (size_t i = 0; i < width; i += ROW_LANES)
        memcpy(to + i, from + i, ROW_LANES * sizeof *to);
}

static void gather(const struct backend *backend, const struct layer *layer, uint32_t first,
                   uint32_t n)
{
    for (uint32_t r = first; r < first + n; r++) {
        float *x0 = layer->value->rows + r * layer->value->stride;
        const uint32_t *record = backend->rows[r];
        for (uint32_t i = 0; i < backend->n_columns; i++) {
            const struct column *column = &backend->columns[i];
            if (column->table) {
                copy_row(x0, table_row(backend, column->table, record[column->word])->values,
                         backend->row_width);
                x0 += backend->embedding;
            } else {
                memcpy(x0++, &record[column->word], sizeof *x0);
            }
        }
    }
}

static const struct layer_class input_class = {.is_possible = is_input_possible, .forward = gather};

/* ---- a linear layer ---- */

static bool is_linear_possible(const struct network_spec *spec, const struct spec_layer *layer)
{
    (void)spec;
    return layer->n_inputs == 1;
}

static void lay_out_linear(struct layout *layout, struct layer *layer, const struct spec_layer *of)
{
    layout_linear(layout, layer, of->n_in, of->n_out);
}

static void linear_forward(const struct backend *backend, const struct layer *layer, uint32_t first,
                           uint32_t n)
{
    const struct value *input = layer->inputs[0];
    const size_t stride = layer->value->stride;
    (layer->has_relu ? backend->kernels->linear_relu : backend->kernels->linear)(
        &layer->forward, n, input->rows + first * input->stride, input->stride,
        layer->product + first * stride, stride);
}

static void linear_backward(const struct backend *backend, const struct layer *layer,
                            uint32_t first, uint32_t n, float *scratch)
{
    const struct value *input = layer->inputs[0];
    if (layer->is_added[0]) {
        through_linear(backend, layer, first, n, scratch);
        add_to_gradient(backend, input, first, n, scratch);
    } else {
        through_linear(backend, layer, first, n, input->gradient + first * input->stride);
    }
}

static const struct layer_class linear_class = {.is_possible = is_linear_possible,
                                                .lay_out = lay_out_linear,
                                                .forward = linear_forward,
                                                .backward = linear_backward};

/* ---- its ReLU ---- */

/* Of a linear layer that nothing else reads: it is done in that layer's kernel and place. */
static bool is_activation_possible(const struct network_spec *spec, const struct spec_layer *layer)
{
    return layer->activation == ACTIVATE_RELU && layer->n_inputs == 1 &&
           spec->layers[layer->inputs[0]].kind == LAYER_LINEAR &&
           spec_count_readers(spec, layer->inputs[0]) == 1;
}

static void relu_backward(const struct backend *backend, const struct layer *layer, uint32_t first,
                          uint32_t n, float *scratch)
{
    const struct value *value = layer->value;
    const size_t at = first * value->stride;
    (void)scratch;
    backend->train.gradient->relu(kernel_padded(value->width), n, value->rows + at,
                                  value->gradient + at, value->stride);
}

static const struct layer_class activation_class = {
    .is_in_place = true, .is_possible = is_activation_possible, .backward = relu_backward};

/* ---- cross layers: they keep the width, so all their rows have one stride ---- */

/* value = product + input, and so the gradient: what came to the value, and that of the product
 * through the weight. */
static void cross_backward(const struct backend *backend, const struct layer *layer, uint32_t first,
                           uint32_t n, float *scratch)
{
    const struct value *input = layer->inputs[0], *value = layer->value;
    const size_t at = first * value->stride;
    float *to = layer->is_added[0] ? scratch : input->gradient + at;
    through_linear(backend, layer, first, n, scratch);
    backend->train.gradient->add(kernel_padded(value->width), n, value->gradient + at, scratch, to,
                                 value->stride);
    if (layer->is_added[0])
        add_to_gradient(backend, input, first, n, scratch);
}

/* The kernels know one epsilon. */
static bool is_layer_norm_possible(const struct network_spec *spec, const struct spec_layer *layer)
{
    return is_linear_possible(spec, layer) && layer->epsilon == (float)LAYER_NORM_EPSILON;
}

static void layer_norm_forward(const struct backend *backend, const struct layer *layer,
                               uint32_t first, uint32_t n)
{
    const struct vector *gamma = &layer->vectors[1], *beta = &layer->vectors[2];
    const size_t stride = layer->value->stride, at = first * stride;
    linear_forward(backend, layer, first, n);
    backend->kernels->layer_norm_add(layer->value->width, backend->p + gamma->place,
                                     backend->p + beta->place, n, layer->product + at,
                                     layer->inputs[0]->rows + at, layer->value->rows + at, stride);
}

static void layer_norm_backward(const struct backend *backend, const struct layer *layer,
                                uint32_t first, uint32_t n, float *scratch)
{
    const struct value *value = layer->value;
    const size_t at = first * value->stride;
    backend->train.gradient->layer_norm(value->width, backend->p + layer->vectors[1].place, n,
                                        value->gradient + at, layer->product + at,
                                        layer->delta + at, value->stride);
    cross_backward(backend, layer, first, n, scratch);
}

/* Backward, the product becomes that of which gamma's gradient is the sum. */
static void lay_out_layer_norm(struct layout *layout, struct layer *layer,
                               const struct spec_layer *of)
{
    layout_linear(layout, layer, of->n_in, of->n_out);
    layout_vector(layout, layer, CROSS_NORM_WEIGHT, 0, of->n_out)->rows = layer->product;
    layout_vector(layout, layer, CROSS_NORM_BIAS, 0, of->n_out)->rows = layer->value->gradient;
}

static const struct layer_class layer_norm_class = {.has_product = true,
                                                    .is_possible = is_layer_norm_possible,
                                                    .lay_out = lay_out_layer_norm,
                                                    .forward = layer_norm_forward,
                                                    .backward = layer_norm_backward};

static void full_forward(const struct backend *backend, const struct layer *layer, uint32_t first,
                         uint32_t n)
{
    const size_t stride = layer->value->stride, at = first * stride;
    linear_forward(backend, layer, first, n);
    backend->kernels->multiply_add(layer->value->width, n, layer->x0->rows + at,
                                   layer->product + at, layer->inputs[0]->rows + at,
                                   layer->value->rows + at, stride);
}

static void full_backward(const struct backend *backend, const struct layer *layer, uint32_t first,
                          uint32_t n, float *scratch)
{
    const size_t stride = layer->value->stride, at = first * stride;
    float *dx0 = layer->x0->gradient + at;
    if (!layer->is_x0_added)
        memset(dx0, 0, n * stride * sizeof *dx0);
    backend->train.gradient->multiply(kernel_padded(layer->value->width), n, layer->x0->rows + at,
                                      layer->product + at, layer->value->gradient + at,
                                      layer->delta + at, dx0, stride);
    cross_backward(backend, layer, first, n, scratch);
}

static const struct layer_class full_class = {.has_product = true,
                                              .reads_x0 = true,
                                              .is_possible = is_linear_possible,
                                              .lay_out = lay_out_linear,
                                              .forward = full_forward,
                                              .backward = full_backward};

/* ---- the output ---- */

static bool is_output_possible(const struct network_spec *spec, const struct spec_layer *layer)
{
    return layer == &spec->layers[spec->n_layers - 1] && layer->n_inputs >= 1 &&
           layer->n_inputs <= LAYER_INPUTS_MAX;
}

/* A vector per input, then the bias. */
static void lay_out_output(struct layout *layout, struct layer *layer, const struct spec_layer *of)
{
    size_t first = 0;
    for (uint32_t i = 0; i < of->n_inputs; i++) {
        const struct value *input = layer->inputs[i];
        struct vector *vector = layout_vector(layout, layer, ROLE_WEIGHT, first, input->width);
        vector->rows = input->rows;
        vector->stride = input->stride;
        first += input->width;
    }
    layout_vector(layout, layer, ROLE_BIAS, 0, 1);
    for (uint32_t i = 0; i < layer->n_vectors; i++)
        layer->vectors[i].factors = layout->backend->dz;
}

static void output_forward(const struct backend *backend, const struct layer *layer, uint32_t first,
                           uint32_t n)
{
    const struct vector *weights = layer->vectors, *bias = &layer->vectors[layer->n_inputs];
    const struct value *c = layer->inputs[0], *d = layer->inputs[layer->n_inputs - 1];
    backend->kernels->output(backend->p + weights[0].place, c->width, backend->p + weights[1].place,
                             layer->n_inputs == 2 ? d->width : 0, backend->p[bias->place], n,
                             c->rows + first * c->stride, c->stride, d->rows + first * d->stride,
                             d->stride, backend->scores + first);
}

static void output_backward(const struct backend *backend, const struct layer *layer,
                            uint32_t first, uint32_t n, float *scratch)
{
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        const struct value *input = layer->inputs[i];
        float *to = layer->is_added[i] ? scratch : input->gradient + first * input->stride;
        backend->train.gradient->scale(kernel_padded(input->width), n, backend->dz + first,
                                       backend->p + layer->vectors[i].place, to, input->stride);
        if (layer->is_added[i])
            add_to_gradient(backend, input, first, n, scratch);
    }
}

static const struct layer_class output_class = {.is_possible = is_output_possible,
                                                .lay_out = lay_out_output,
                                                .forward = output_forward,
                                                .backward = output_backward};

const struct layer_class *const layer_classes[LAYER_N_KINDS] = {
    [LAYER_INPUT] = &input_class,
    [LAYER_LINEAR] = &linear_class,
    [LAYER_ACTIVATION] = &activation_class,
    [LAYER_CROSS_FULL] = &full_class,
    [LAYER_CROSS_LAYER_NORM] = &layer_norm_class,
    [LAYER_OUTPUT] = &output_class};
