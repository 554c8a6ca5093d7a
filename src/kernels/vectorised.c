/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectorised.c: the kernels that are plain C for every instruction set. Compiled once per set,
 * the compiler makes the loops over lanes and units vectors of that set; as no product is fused
 * and no sum reordered unless the source says so, the bits do not depend on the set.
 *
 * Loops run over whole panels: what they make of the padding does not matter.
 */
#include "kernels/vectorised.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/constants.h"
#include "kernels/functions.h"

/* ---- sums over a row ---- */

/* One row's KERNEL_LANES partial sums, joined in halves. */
FUNCTION double join(const double sums[KERNEL_LANES])
{
    double eight[8], four[4];
    for (int lane = 0; lane < 8; lane++)
        eight[lane] = sums[lane] + sums[lane + 8];
    for (int lane = 0; lane < 4; lane++)
        four[lane] = eight[lane] + eight[lane + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* All bits for each lane before `left`, none for the others: a comparison per lane would not become
 * vectors. */
FUNCTION const uint64_t *kept_lanes(size_t left)
{
#define ALL ~(uint64_t)0
    static const uint64_t lanes[2 * KERNEL_LANES] = {ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL,
                                                     ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL};
#undef ALL
    return lanes + KERNEL_LANES - left;
}

/* `value`, or zero if its lane is of the padding, where it may be a NaN. */
FUNCTION double kept(double value, uint64_t lane)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= lane;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* A panel's products, exact in double. */
FUNCTION void add_products(double sums[KERNEL_LANES], const float *w, const float *x, size_t left)
{
    const uint64_t *lanes = kept_lanes(left);
    for (size_t lane = 0; lane < KERNEL_LANES; lane++)
        sums[lane] += kept((double)x[lane] * (double)w[lane], lanes[lane]);
}

FUNCTION void add_row(double sums[KERNEL_LANES], size_t width, const float *w, const float *x)
{
    size_t i = 0;
    for (; i + KERNEL_LANES < width; i += KERNEL_LANES)
        add_products(sums, w + i, x + i, KERNEL_LANES);
    for (; i < width; i += KERNEL_LANES)
        add_products(sums, w + i, x + i, width - i);
}

/* What an element adds to a sum, `of_row` being known of its row. */
typedef double term(double value, double of_row);

FUNCTION double value_itself(double value, double of_row)
{
    (void)of_row;
    return value;
}

FUNCTION double square_from(double value, double mean)
{
    return (value - mean) * (value - mean);
}

FUNCTION double decay_from(double value, double largest)
{
    return decay(value - largest);
}

FUNCTION void add_terms(double sums[KERNEL_LANES], const float *x, size_t left, term *term_of,
                        double of_row)
{
    const uint64_t *lanes = kept_lanes(left);
    for (size_t lane = 0; lane < KERNEL_LANES; lane++)
        sums[lane] += kept(term_of((double)x[lane], of_row), lanes[lane]);
}

FUNCTION double sum_of(size_t width, const float *x, term *term_of, double of_row)
{
    double sums[KERNEL_LANES] = {0};
    size_t i = 0;
    for (; i + KERNEL_LANES < width; i += KERNEL_LANES)
        add_terms(sums, x + i, KERNEL_LANES, term_of, of_row);
    for (; i < width; i += KERNEL_LANES)
        add_terms(sums, x + i, width - i, term_of, of_row);
    return join(sums);
}

/* ---- activations ---- */

/* What some activations take of a whole row: centred and scaled it is (v - mean) * factor. */
struct row {
    double mean, factor;
};

typedef struct row statistics(const struct activation *a, size_t width, const float *y);

FUNCTION struct row no_statistics(const struct activation *a, size_t width, const float *y)
{
    (void)a, (void)width, (void)y;
    return (struct row){0, 1};
}

FUNCTION struct row norm_statistics(const struct activation *a, size_t width, const float *y)
{
    const double mean = sum_of(width, y, value_itself, 0) / (double)width;
    const double variance = sum_of(width, y, square_from, mean) / (double)width;
    return (struct row){mean, 1 / sqrt(variance + a->eps)};
}

FUNCTION struct row dice_statistics(const struct activation *a, size_t width, const float *y)
{
    (void)a;
    const double mean = sum_of(width, y, value_itself, 0) / (double)width;
    const double squares = sum_of(width, y, square_from, mean);
    return (struct row){mean, 1 / sqrt(squares + 0.001 * (double)width)};
}

/* Of the value v of unit u. */
typedef float element(const struct activation *a, struct row row, size_t u, float v);

#define ELEMENT(name)                                                                              \
    FUNCTION float name(const struct activation *a, struct row row, size_t u, float v)

/* Which takes from an element's function what it does not use. */
#define UNUSED_ALL (void)a, (void)row, (void)u

ELEMENT(relu)
{
    UNUSED_ALL;
    return v < 0 ? 0 : v;
}

ELEMENT(leaky_relu)
{
    UNUSED_ALL;
    return v < 0 ? a->slope * v : v;
}

ELEMENT(prelu)
{
    UNUSED_ALL;
    return v < 0 ? a->slopes[u] * v : v;
}

ELEMENT(gelu)
{
    UNUSED_ALL;
    return (float)((double)v * normal_share((double)v));
}

/* (1 + tanh(z)) / 2 = logistic(2 z) */
ELEMENT(gelu_tanh)
{
    UNUSED_ALL;
    const double x = v, z = GELU_SQRT_2_PI * fma(GELU_CUBIC * x, x * x, x);
    return (float)(x * logistic(2 * z));
}

ELEMENT(silu)
{
    UNUSED_ALL;
    return (float)((double)v * logistic((double)v));
}

ELEMENT(sigmoid)
{
    UNUSED_ALL;
    return (float)logistic((double)v);
}

ELEMENT(hyperbolic)
{
    UNUSED_ALL;
    return (float)hyperbolic_tangent((double)v);
}

ELEMENT(elu)
{
    UNUSED_ALL;
    const double below = (double)a->slope * decay_less_one(v < 0 ? (double)v : 0);
    return v < 0 ? (float)below : v;
}

FUNCTION double affine_of(const struct activation *a, size_t u, double v)
{
    return fma(v, a->scale[u], a->shift[u]);
}

FUNCTION double norm_of(const struct activation *a, struct row row, size_t u, double v)
{
    return fma((v - row.mean) * row.factor, (double)a->gamma[u], (double)a->beta[u]);
}

ELEMENT(affine)
{
    UNUSED_ALL;
    return (float)affine_of(a, u, (double)v);
}

ELEMENT(layer_norm)
{
    return (float)norm_of(a, row, u, (double)v);
}

ELEMENT(swish_layer_norm)
{
    return (float)((double)v * logistic(norm_of(a, row, u, (double)v)));
}

ELEMENT(dice)
{
    UNUSED_ALL;
    const double p = logistic(affine_of(a, u, (double)v));
    return (float)(p * (double)v + (double)a->slopes[u] * ((1 - p) * (double)v));
}

ELEMENT(dice_row)
{
    UNUSED_ALL;
    const double p = logistic(((double)v - row.mean) * row.factor);
    return (float)(p * (double)v + (double)a->slope * ((1 - p) * (double)v));
}

FUNCTION void each(const struct activation *activation, size_t width, size_t n_rows, float *y,
                   size_t stride, statistics *statistics_of, element *element_of)
{
    const struct activation a = *activation; /* no store to y changes it */
    for (size_t r = 0; r < n_rows; r++, y += stride) {
        const struct row row = statistics_of(&a, width, y);
        INDEPENDENT
        for (size_t u = 0; u < kernel_padded(width); u++)
            y[u] = element_of(&a, row, u, y[u]);
    }
}

void VECTORISED(activate)(const struct activation *activation, size_t width, size_t n_rows,
                          float *y, size_t stride)
{
#define KIND(kind, statistics_of, element_of)                                                      \
    case ACTIVATION_##kind:                                                                        \
        each(activation, width, n_rows, y, stride, statistics_of, element_of);                     \
        break
    switch (activation->kind) {
        KIND(RELU, no_statistics, relu);
        KIND(LEAKY_RELU, no_statistics, leaky_relu);
        KIND(PRELU, no_statistics, prelu);
        KIND(GELU, no_statistics, gelu);
        KIND(GELU_TANH, no_statistics, gelu_tanh);
        KIND(SILU, no_statistics, silu);
        KIND(SIGMOID, no_statistics, sigmoid);
        KIND(TANH, no_statistics, hyperbolic);
        KIND(ELU, no_statistics, elu);
        KIND(DICE, no_statistics, dice);
        KIND(DICE_ROW, dice_statistics, dice_row);
        KIND(SWISH_LAYER_NORM, norm_statistics, swish_layer_norm);
        KIND(LAYER_NORM, norm_statistics, layer_norm);
        KIND(AFFINE, no_statistics, affine);
    case ACTIVATION_NONE:
        break;
    }
#undef KIND
}

/* A NaN in the row is in its sum. */
FUNCTION float largest_of(size_t n, const float *x)
{
    float largest = x[0];
    for (size_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

void VECTORISED(softmax)(size_t n, size_t n_rows, float *y, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, y += stride) {
        const double largest = (double)largest_of(n, y);
        const double sum = sum_of(n, y, decay_from, largest);
        INDEPENDENT
        for (size_t i = 0; i < kernel_padded(n); i++)
            y[i] = (float)(decay((double)y[i] - largest) / sum);
    }
}

/* ---- cross layers ---- */

void VECTORISED(multiply_add_bias)(size_t width, size_t n_rows, const float *bias, const float *x0,
                                   const float *y, const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride, out += stride) {
        INDEPENDENT
        for (size_t i = 0; i < kernel_padded(width); i++)
            out[i] = fmaf(x0[i], y[i], bias[i] + c[i]);
    }
}

void VECTORISED(cross_vector)(size_t width, const float *w, const float *bias, size_t n_rows,
                              const float *x0, const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, c += stride, out += stride) {
        double sums[KERNEL_LANES] = {0};
        add_row(sums, width, w, c);
        const double product = join(sums);
        INDEPENDENT
        for (size_t i = 0; i < kernel_padded(width); i++)
            out[i] = (float)fma((double)x0[i], product, (double)bias[i] + (double)c[i]);
    }
}

void VECTORISED(mixture_add)(size_t width, size_t n_rows, const float *gates, size_t gate_stride,
                             const float *x0, const float *y, const float *c, float *out,
                             size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride, out += stride) {
        const float gate = gates[r * gate_stride];
        INDEPENDENT
        for (size_t i = 0; i < kernel_padded(width); i++)
            out[i] = fmaf(gate, x0[i] * y[i], c[i]);
    }
}

void VECTORISED(cross_gated)(size_t width, size_t n_rows, const float *gates, const float *x0,
                             const float *y, const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows;
         r++, gates += stride, x0 += stride, y += stride, c += stride, out += stride) {
        INDEPENDENT
        for (size_t i = 0; i < kernel_padded(width); i++)
            out[i] =
                (float)fma((double)x0[i] * (double)y[i], logistic((double)gates[i]), (double)c[i]);
    }
}

/* ---- output ---- */

void VECTORISED(dot)(size_t width, const float *w, size_t n_rows, const float *x, size_t stride,
                     double *sums)
{
    for (size_t r = 0; r < n_rows; r++, x += stride, sums += KERNEL_LANES)
        add_row(sums, width, w, x);
}

void VECTORISED(join)(size_t n_rows, const double *sums, float bias, double *logits)
{
    for (size_t r = 0; r < n_rows; r++, sums += KERNEL_LANES)
        logits[r] = join(sums) + (double)bias;
}

void VECTORISED(sigmoid)(size_t n, const double *logits, float *scores)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = sigmoid_of(logits[i]);
}
