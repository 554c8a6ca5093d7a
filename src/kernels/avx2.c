/* SPDX-License-Identifier: Apache-2.0 */
/* avx2.c: the kernels with AVX2 and FMA. Lanes run across outputs, so nothing is summed sideways.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/constants.h"
#include "kernels/four_rows.h"
#include "kernels/kernels.h"
#include "kernels/vectorised.h"

enum { LANES = 8 };

/* A tile's sums fill up to 12 of the 16 registers, beside them two of weights and an input. */
enum { PANEL_VECTORS = KERNEL_LANES / LANES, TILE_ROWS_MAX = 12, TILE_VECTORS_MAX = 8 };

/*
 * A tile of `n_rows` rows by `n_panels` panels of outputs, of each panel its first `n_halves`
 * vectors, with its sums in registers over all inputs. The counts are constants after inlining.
 * Eight sums or more are as many independent chains as hide the latency of an FMA.
 */
static inline __attribute__((always_inline)) void
tile(const struct linear *layer, size_t first_panel, const float *x, size_t x_stride, float *y,
     size_t y_stride, int n_rows, int n_panels, int n_halves, bool relu)
{
    const size_t panel_size = layer->n_in * KERNEL_LANES;
    const float *weight = layer->weight + first_panel * panel_size;
    const float *bias = layer->bias + first_panel * KERNEL_LANES;
    const int n_vectors = n_panels * n_halves;
    __m256 sums[TILE_ROWS_MAX][TILE_VECTORS_MAX];
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sums[r][v] = _mm256_load_ps(bias + v * LANES);
    }
    for (size_t i = 0; i < layer->n_in; i++, weight += KERNEL_LANES) {
        UNROLL
        for (int p = 0; p < n_panels; p++) {
            const float *line = weight + (size_t)p * panel_size;
            const __m256 low = _mm256_load_ps(line), high = _mm256_load_ps(line + LANES);
            UNROLL
            for (int r = 0; r < n_rows; r++) {
                const __m256 input = _mm256_broadcast_ss(x + (size_t)r * x_stride + i);
                __m256 *sum = &sums[r][p * n_halves];
                sum[0] = _mm256_fmadd_ps(input, low, sum[0]);
                if (n_halves == PANEL_VECTORS)
                    sum[1] = _mm256_fmadd_ps(input, high, sum[1]);
            }
        }
    }
    y += first_panel * KERNEL_LANES;
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int v = 0; v < n_vectors; v++) {
            const __m256 sum = relu ? _mm256_max_ps(sums[r][v], _mm256_setzero_ps()) : sums[r][v];
            _mm256_store_ps(y + (size_t)r * y_stride + v * LANES, sum);
        }
    }
}

/* All panels of `n_rows` rows, `n_panels` at once. */
static inline __attribute__((always_inline)) void few_rows(const struct linear *layer,
                                                           const float *x, size_t x_stride,
                                                           float *y, size_t y_stride, int n_rows,
                                                           int n_panels, bool relu)
{
    const size_t n = kernel_padded(layer->n_out) / KERNEL_LANES;
    size_t p = 0;
    for (; p + (size_t)n_panels <= n; p += (size_t)n_panels)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, n_panels, 2, relu);
    for (; p < n; p++)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, 1, 2, relu);
}

/*
 * Rows by sixes, all of them through one panel before the next, whose weights so stay in the
 * first cache. A last panel with half of its outputs or fewer takes half the work.
 */
static inline __attribute__((always_inline)) void many_rows(const struct linear *layer,
                                                            size_t n_rows, const float *x,
                                                            size_t x_stride, float *y,
                                                            size_t y_stride, bool relu)
{
    const size_t n_panels = (layer->n_out + LANES - 1) / KERNEL_LANES;
    for (size_t p = 0; p < n_panels; p++)
        for (size_t r = 0; r < n_rows; r += 6)
            tile(layer, p, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 6, 1, 2, relu);
    if (n_panels == kernel_padded(layer->n_out) / KERNEL_LANES)
        return;
    size_t r = 0;
    for (; r + 12 <= n_rows; r += 12)
        tile(layer, n_panels, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 12, 1, 1,
             relu);
    if (r < n_rows)
        tile(layer, n_panels, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 6, 1, 1,
             relu);
}

static inline __attribute__((always_inline)) void linear_rows(const struct linear *layer,
                                                              size_t n_rows, const float *x,
                                                              size_t x_stride, float *y,
                                                              size_t y_stride, bool relu)
{
    const size_t n_left = n_rows % 6;
    if (n_rows >= 6)
        many_rows(layer, n_rows - n_left, x, x_stride, y, y_stride, relu);
    x += (n_rows - n_left) * x_stride;
    y += (n_rows - n_left) * y_stride;
    switch (n_left) {
    case 1: /* by threes where that comes out even: a single panel would wait for itself */
        if (kernel_padded(layer->n_out) / KERNEL_LANES % 3 == 0)
            few_rows(layer, x, x_stride, y, y_stride, 1, 3, relu);
        else
            few_rows(layer, x, x_stride, y, y_stride, 1, 4, relu);
        break;
    case 2:
        few_rows(layer, x, x_stride, y, y_stride, 2, 3, relu);
        break;
    case 3:
        few_rows(layer, x, x_stride, y, y_stride, 3, 2, relu);
        break;
    case 4:
        few_rows(layer, x, x_stride, y, y_stride, 4, 1, relu);
        break;
    case 5:
        few_rows(layer, x, x_stride, y, y_stride, 5, 1, relu);
        break;
    default:
        break;
    }
}

static void f32_linear_avx2(const struct linear *layer, size_t n_rows, const float *x,
                            size_t x_stride, float *y, size_t y_stride)
{
    linear_rows(layer, n_rows, x, x_stride, y, y_stride, false);
}

static void f32_linear_relu_avx2(const struct linear *layer, size_t n_rows, const float *x,
                                 size_t x_stride, float *y, size_t y_stride)
{
    linear_rows(layer, n_rows, x, x_stride, y, y_stride, true);
}

/* Ones in the lanes of the last panel that lie within `width`. */
static inline void masks_of(size_t width, __m256 masks[PANEL_VECTORS])
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int left = (int)((width - 1) % KERNEL_LANES) + 1;
    masks[0] = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(left), lane));
    masks[1] = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(left - LANES), lane));
}

/* A panel of `n_rows` rows added to their sums: the values, or the squares of what they are off
 * `centre`. */
static inline __attribute__((always_inline)) void add_panel(__m256 sums[FOUR_ROWS][PANEL_VECTORS],
                                                            const float *y, size_t stride,
                                                            int n_rows, const float *centre,
                                                            const __m256 *masks)
{
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++) {
            __m256 value = _mm256_load_ps(y + (size_t)r * stride + v * LANES);
            if (centre)
                value = _mm256_sub_ps(value, _mm256_broadcast_ss(centre + r));
            if (masks)
                value = _mm256_and_ps(value, masks[v]);
            sums[r][v] = centre ? _mm256_fmadd_ps(value, value, sums[r][v])
                                : _mm256_add_ps(sums[r][v], value);
        }
    }
}

static inline __attribute__((always_inline)) __m256d sum_rows(size_t width, const float *y,
                                                              size_t stride, int n_rows,
                                                              const float *centre,
                                                              const __m256 *masks)
{
    __m256 sums[FOUR_ROWS][PANEL_VECTORS];
    __m256d joined[FOUR_ROWS];
    UNROLL
    for (int r = 0; r < FOUR_ROWS; r++)
        sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + KERNEL_LANES < width; i += KERNEL_LANES)
        add_panel(sums, y + i, stride, n_rows, centre, NULL);
    add_panel(sums, y + i, stride, n_rows, centre, masks);
    UNROLL
    for (int r = 0; r < FOUR_ROWS; r++)
        joined[r] = r < n_rows ? join_to_four(sums[r][0], sums[r][1]) : _mm256_setzero_pd();
    return join_rows(joined);
}

static inline __attribute__((always_inline)) void
norm_rows(size_t width, const float *gamma, const float *beta, const float *y, const float *c,
          float *out, size_t stride, int n_rows, const __m256 *masks)
{
    const double share = 1.0 / (double)width;
    float centre[FOUR_ROWS], factor[FOUR_ROWS], shift[FOUR_ROWS];
    const __m256d mean =
        _mm256_mul_pd(sum_rows(width, y, stride, n_rows, NULL, masks), _mm256_set1_pd(share));
    const __m128 centres = _mm256_cvtpd_ps(mean);
    _mm_storeu_ps(centre, centres);
    const __m128 factors = norm_factor(sum_rows(width, y, stride, n_rows, centre, masks), share);
    _mm_storeu_ps(factor, factors);
    _mm_storeu_ps(shift, norm_shift(mean, centres, factors));
    for (size_t i = 0; i < width; i += LANES) {
        const __m256 g = _mm256_load_ps(gamma + i), b = _mm256_load_ps(beta + i);
        UNROLL
        for (int r = 0; r < n_rows; r++) {
            const size_t at = (size_t)r * stride + i;
            const __m256 normed = _mm256_fmadd_ps(
                _mm256_sub_ps(_mm256_load_ps(y + at), _mm256_broadcast_ss(centre + r)),
                _mm256_broadcast_ss(factor + r), _mm256_broadcast_ss(shift + r));
            _mm256_store_ps(out + at,
                            _mm256_add_ps(_mm256_load_ps(c + at), _mm256_fmadd_ps(normed, g, b)));
        }
    }
}

static void f32_layer_norm_add_avx2(size_t width, const float *gamma, const float *beta,
                                    size_t n_rows, const float *y, const float *c, float *out,
                                    size_t stride)
{
    __m256 masks[PANEL_VECTORS];
    masks_of(width, masks);
    size_t r = 0;
    for (; r + FOUR_ROWS <= n_rows; r += FOUR_ROWS)
        norm_rows(width, gamma, beta, y + r * stride, c + r * stride, out + r * stride, stride,
                  FOUR_ROWS, masks);
    for (; r < n_rows; r++)
        norm_rows(width, gamma, beta, y + r * stride, c + r * stride, out + r * stride, stride, 1,
                  masks);
}

static void f32_multiply_add_avx2(size_t width, size_t n_rows, const float *x0, const float *y,
                                  const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride, out += stride)
        for (size_t i = 0; i < width; i += LANES)
            _mm256_store_ps(out + i, _mm256_fmadd_ps(_mm256_load_ps(x0 + i), _mm256_load_ps(y + i),
                                                     _mm256_load_ps(c + i)));
}

/* sums[q] are lanes 4 q to 4 q + 3 of the KERNEL_LANES partial sums */
static inline __attribute__((always_inline)) void
dot_panel(__m256d sums[4], const float *values, const float *weights, const __m256 *masks)
{
    UNROLL
    for (int v = 0; v < PANEL_VECTORS; v++) {
        __m256 value = _mm256_load_ps(values + v * LANES);
        if (masks) /* the padding may hold anything, also a NaN */
            value = _mm256_and_ps(value, masks[v]);
        UNROLL
        for (int h = 0; h < 2; h++) {
            const __m128 half = h ? _mm256_extractf128_ps(value, 1) : _mm256_castps256_ps128(value);
            const __m128 weight = _mm_load_ps(weights + v * LANES + 4 * h);
            sums[2 * v + h] =
                _mm256_fmadd_pd(_mm256_cvtps_pd(half), _mm256_cvtps_pd(weight), sums[2 * v + h]);
        }
    }
}

static inline __attribute__((always_inline)) void dot(__m256d sums[4], const float *values,
                                                      const float *weights, size_t width,
                                                      const __m256 masks[PANEL_VECTORS])
{
    if (width == 0)
        return;
    size_t i = 0;
    for (; i + KERNEL_LANES < width; i += KERNEL_LANES)
        dot_panel(sums, values + i, weights + i, NULL);
    dot_panel(sums, values + i, weights + i, masks);
}

static void f32_output_avx2(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                            float bias, size_t n_rows, const float *c, size_t c_stride,
                            const float *d, size_t d_stride, float *scores)
{
    __m256 c_masks[PANEL_VECTORS], d_masks[PANEL_VECTORS];
    masks_of(c_width, c_masks);
    masks_of(d_width, d_masks);
    for (size_t first = 0; first < n_rows; first += FOUR_ROWS) {
        const size_t n = n_rows - first < FOUR_ROWS ? n_rows - first : FOUR_ROWS;
        __m256d joined[FOUR_ROWS] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                                     _mm256_setzero_pd()};
        for (size_t r = 0; r < n; r++, c += c_stride, d += d_stride) {
            __m256d sums[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                               _mm256_setzero_pd()};
            dot(sums, c, w_c, c_width, c_masks);
            dot(sums, d, w_d, d_width, d_masks);
            joined[r] =
                _mm256_add_pd(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[1], sums[3]));
        }
        float few[FOUR_ROWS];
        _mm_storeu_ps(few, sigmoid(_mm256_add_pd(join_rows(joined), _mm256_set1_pd((double)bias))));
        for (size_t r = 0; r < n; r++)
            scores[first + r] = few[r];
    }
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .linear = f32_linear_avx2,
    .linear_relu = f32_linear_relu_avx2,
    .layer_norm_add = f32_layer_norm_add_avx2,
    .multiply_add = f32_multiply_add_avx2,
    .output = f32_output_avx2,
    VECTORISED_MEMBERS,
};

#endif
