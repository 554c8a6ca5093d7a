/* SPDX-License-Identifier: Apache-2.0 */
/* scalar.c: the kernels in plain C, the reference of the others. Runs on any CPU. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/constants.h"
#include "kernels/kernels.h"

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

static float join(float sums[KERNEL_LANES])
{
    for (size_t half = KERNEL_LANES / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; lane++)
            sums[lane] += sums[lane + half];
    return sums[0];
}

static void f32_layer_norm_add_scalar(size_t width, const float *gamma, const float *beta,
                                      size_t n_rows, const float *y, float *c, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, y += stride, c += stride) {
        float sums[KERNEL_LANES] = {0}, squares[KERNEL_LANES] = {0};
        for (size_t i = 0; i < width; i++)
            sums[i % KERNEL_LANES] += y[i];
        const float mean = join(sums) / (float)width;
        for (size_t i = 0; i < width; i++) {
            const float centred = y[i] - mean;
            squares[i % KERNEL_LANES] = fmaf(centred, centred, squares[i % KERNEL_LANES]);
        }
        const float variance = join(squares) / (float)width;
        const float inverse = 1.0f / sqrtf(variance + LAYER_NORM_EPSILON);
        for (size_t i = 0; i < width; i++)
            c[i] += fmaf((y[i] - mean) * inverse, gamma[i], beta[i]);
    }
}

static void f32_multiply_add_scalar(size_t width, size_t n_rows, const float *x0, const float *y,
                                    float *c, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride)
        for (size_t i = 0; i < width; i++)
            c[i] = fmaf(x0[i], y[i], c[i]);
}

/* exp(x) of EXP_LOWEST <= x <= 0 */
static float exponential(float x)
{
    const float shifted = fmaf(x, EXP_LOG2E, EXP_TO_INT);
    const float n = shifted - EXP_TO_INT;
    float r = fmaf(n, -EXP_LN2_HIGH, x);
    r = fmaf(n, -EXP_LN2_LOW, r);
    float p = EXP_C7;
    p = fmaf(p, r, EXP_C6);
    p = fmaf(p, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static float sigmoid(float x)
{
    if (isnan(x))
        return x;
    const float below = -fabsf(x);
    const float e = exponential(below < EXP_LOWEST ? EXP_LOWEST : below);
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static void f32_output_scalar(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                              float bias, size_t n_rows, const float *c, size_t c_stride,
                              const float *d, size_t d_stride, float *scores)
{
    for (size_t r = 0; r < n_rows; r++, c += c_stride, d += d_stride) {
        float sums[KERNEL_LANES] = {0};
        for (size_t i = 0; i < c_width; i++)
            sums[i % KERNEL_LANES] = fmaf(c[i], w_c[i], sums[i % KERNEL_LANES]);
        for (size_t i = 0; i < d_width; i++)
            sums[i % KERNEL_LANES] = fmaf(d[i], w_d[i], sums[i % KERNEL_LANES]);
        scores[r] = sigmoid(join(sums) + bias);
    }
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .linear = f32_linear_scalar,
    .linear_relu = f32_linear_relu_scalar,
    .layer_norm_add = f32_layer_norm_add_scalar,
    .multiply_add = f32_multiply_add_scalar,
    .output = f32_output_scalar,
};
