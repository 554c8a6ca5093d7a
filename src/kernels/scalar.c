/* SPDX-License-Identifier: Apache-2.0 */
/* scalar.c: the kernels in plain C, the reference of the others. Runs on any CPU. */
#include <math.h>
#include <string.h>

#include "kernels/constants.h"
#include "kernels/functions.h"
#include "kernels/kernels.h"
#include "kernels/vectorised.h"

static void linear_row(const struct linear *layer, const float *x, float *y)
{
    memcpy(y, layer->bias, layer->n_out * sizeof *y);
    for (size_t first = 0; first < layer->n_out; first += KERNEL_LANES) {
        const float *weight = layer->weight + linear_place(layer, 0, first);
        const size_t left = layer->n_out - first, n = left < KERNEL_LANES ? left : KERNEL_LANES;
        for (size_t i = 0; i < layer->n_in; i++, weight += KERNEL_LANES)
            for (size_t lane = 0; lane < n; lane++)
                y[first + lane] = fmaf(x[i], weight[lane], y[first + lane]);
    }
}

static void f32_linear_scalar(const struct linear *layer, size_t n_rows, const float *x,
                              size_t x_stride, float *y, size_t y_stride)
{
    for (size_t r = 0; r < n_rows; r++)
        linear_row(layer, x + r * x_stride, y + r * y_stride);
}

static void f32_linear_relu_scalar(const struct linear *layer, size_t n_rows, const float *x,
                                   size_t x_stride, float *y, size_t y_stride)
{
    for (size_t r = 0; r < n_rows; r++) {
        float *row = y + r * y_stride;
        linear_row(layer, x + r * x_stride, row);
        for (size_t o = 0; o < layer->n_out; o++)
            row[o] = row[o] > 0 ? row[o] : 0;
    }
}

static double join(double sums[KERNEL_LANES])
{
    for (size_t half = KERNEL_LANES / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; lane++)
            sums[lane] += sums[lane + half];
    return sums[0];
}

static double join_floats(const float sums[KERNEL_LANES])
{
    double wide[KERNEL_LANES];
    for (size_t lane = 0; lane < KERNEL_LANES; lane++)
        wide[lane] = sums[lane];
    return join(wide);
}

static void f32_layer_norm_add_scalar(size_t width, const float *gamma, const float *beta,
                                      size_t n_rows, const float *y, const float *c, float *out,
                                      size_t stride)
{
    const double share = 1.0 / (double)width;
    for (size_t r = 0; r < n_rows; r++, y += stride, c += stride, out += stride) {
        float sums[KERNEL_LANES] = {0}, squares[KERNEL_LANES] = {0};
        for (size_t i = 0; i < width; i++)
            sums[i % KERNEL_LANES] += y[i];
        const double mean = join_floats(sums) * share;
        const float centre = (float)mean;
        for (size_t i = 0; i < width; i++) {
            const float centred = y[i] - centre;
            squares[i % KERNEL_LANES] = fmaf(centred, centred, squares[i % KERNEL_LANES]);
        }
        const double variance = join_floats(squares) * share;
        const float factor = (float)(1.0 / sqrt(variance + LAYER_NORM_EPSILON));
        const float shift = (float)(((double)centre - mean) * (double)factor);
        for (size_t i = 0; i < width; i++)
            out[i] = c[i] + fmaf(fmaf(y[i] - centre, factor, shift), gamma[i], beta[i]);
    }
}

static void f32_multiply_add_scalar(size_t width, size_t n_rows, const float *x0, const float *y,
                                    const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride, out += stride)
        for (size_t i = 0; i < width; i++)
            out[i] = fmaf(x0[i], y[i], c[i]);
}

static void f32_output_scalar(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                              float bias, size_t n_rows, const float *c, size_t c_stride,
                              const float *d, size_t d_stride, float *scores)
{
    for (size_t r = 0; r < n_rows; r++, c += c_stride, d += d_stride) {
        double sums[KERNEL_LANES] = {0};
        for (size_t i = 0; i < c_width; i++)
            sums[i % KERNEL_LANES] += (double)c[i] * (double)w_c[i]; /* exact products */
        for (size_t i = 0; i < d_width; i++)
            sums[i % KERNEL_LANES] += (double)d[i] * (double)w_d[i];
        scores[r] = sigmoid_of(join(sums) + (double)bias);
    }
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .linear = f32_linear_scalar,
    .linear_relu = f32_linear_relu_scalar,
    .layer_norm_add = f32_layer_norm_add_scalar,
    .multiply_add = f32_multiply_add_scalar,
    .output = f32_output_scalar,
    VECTORISED_MEMBERS,
};
