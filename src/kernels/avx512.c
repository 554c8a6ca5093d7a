/* SPDX-License-Identifier: Apache-2.0 */
/* avx512.c: the kernels with AVX-512 F. A vector is a panel: its lanes are a panel's outputs. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/constants.h"
#include "kernels/four_rows.h"
#include "kernels/kernels.h"
#include "kernels/vectorised.h"

enum { LANES = KERNEL_LANES, TILE_ROWS_MAX = 8, TILE_PANELS_MAX = 9 };

/*
 * A tile of `n_rows` rows by `n_panels` panels of outputs, its sums in registers over all
 * inputs. Both counts are constants after inlining: 8 x 3 takes 24 of 32 registers for sums,
 * 1 x 9 covers a row of 129 outputs at once. The loops over them are unrolled by request:
 * only then are the sums registers.
 */
static inline __attribute__((always_inline)) void tile(const struct linear *layer,
                                                       size_t first_panel, const float *x,
                                                       size_t x_stride, float *y, size_t y_stride,
                                                       int n_rows, int n_panels, bool relu)
{
    const size_t panel_size = layer->n_in * KERNEL_LANES;
    const float *weight = layer->weight + first_panel * panel_size;
    const float *bias = layer->bias + first_panel * KERNEL_LANES;
    __m512 sums[TILE_ROWS_MAX][TILE_PANELS_MAX];
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int p = 0; p < n_panels; p++)
            sums[r][p] = _mm512_load_ps(bias + p * LANES);
    }
    for (size_t i = 0; i < layer->n_in; i++, weight += KERNEL_LANES) {
        UNROLL
        for (int p = 0; p < n_panels; p++) {
            const __m512 w = _mm512_load_ps(weight + (size_t)p * panel_size);
            UNROLL
            for (int r = 0; r < n_rows; r++) {
                const __m512 input = _mm512_set1_ps(x[(size_t)r * x_stride + i]);
                sums[r][p] = _mm512_fmadd_ps(input, w, sums[r][p]);
            }
        }
    }
    y += first_panel * KERNEL_LANES;
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int p = 0; p < n_panels; p++) {
            const __m512 sum = relu ? _mm512_max_ps(sums[r][p], _mm512_setzero_ps()) : sums[r][p];
            _mm512_store_ps(y + (size_t)r * y_stride + p * LANES, sum);
        }
    }
}

/* Tiles of `n_rows` rows over all panels: by threes where that comes out even, else by twos. */
static inline __attribute__((always_inline)) void rows(const struct linear *layer, const float *x,
                                                       size_t x_stride, float *y, size_t y_stride,
                                                       int n_rows, bool relu)
{
    const size_t n = kernel_padded(layer->n_out) / KERNEL_LANES;
    size_t p = 0;
    if (n % 3 == 0)
        for (; p < n; p += 3)
            tile(layer, p, x, x_stride, y, y_stride, n_rows, 3, relu);
    for (; p + 2 <= n; p += 2)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, 2, relu);
    for (; p < n; p++)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, 1, relu);
}

/* One row: as many chains at once as hide the latency of an FMA. */
static inline __attribute__((always_inline)) void one_row(const struct linear *layer,
                                                          const float *x, float *y, bool relu)
{
    const size_t n = kernel_padded(layer->n_out) / KERNEL_LANES;
    size_t p = 0;
    for (; p + 9 <= n; p += 9)
        tile(layer, p, x, 0, y, 0, 1, 9, relu);
    for (; p + 8 <= n; p += 8)
        tile(layer, p, x, 0, y, 0, 1, 8, relu);
    for (; p + 4 <= n; p += 4)
        tile(layer, p, x, 0, y, 0, 1, 4, relu);
    for (; p < n; p++)
        tile(layer, p, x, 0, y, 0, 1, 1, relu);
}

static inline __attribute__((always_inline)) void linear_rows(const struct linear *layer,
                                                              size_t n_rows, const float *x,
                                                              size_t x_stride, float *y,
                                                              size_t y_stride, bool relu)
{
    size_t r = 0;
    for (; r + 8 <= n_rows; r += 8)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 8, relu);
    for (; r + 4 <= n_rows; r += 4)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 4, relu);
    for (; r + 2 <= n_rows; r += 2)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 2, relu);
    for (; r < n_rows; r++)
        one_row(layer, x + r * x_stride, y + r * y_stride, relu);
}

static void f32_linear_avx512(const struct linear *layer, size_t n_rows, const float *x,
                              size_t x_stride, float *y, size_t y_stride)
{
    linear_rows(layer, n_rows, x, x_stride, y, y_stride, false);
}

static void f32_linear_relu_avx512(const struct linear *layer, size_t n_rows, const float *x,
                                   size_t x_stride, float *y, size_t y_stride)
{
    linear_rows(layer, n_rows, x, x_stride, y, y_stride, true);
}

static inline __m256 low_half(__m512 all)
{
    return _mm512_castps512_ps256(all);
}

static inline __m256 high_half(__m512 all)
{
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(all), 1));
}

/* The lanes of the last panel that lie within `width`. */
static inline __mmask16 mask_of(size_t width)
{
    return (__mmask16)(0xFFFFu >> (LANES - 1 - (width - 1) % LANES));
}

/* A panel of `n_rows` rows added to their sums: the values, or the squares of what they are off
 * `centre`. Lanes outside the mask add zero. */
static inline __attribute__((always_inline)) void add_panel(__m512 sums[FOUR_ROWS], const float *y,
                                                            size_t stride, int n_rows,
                                                            const float *centre, __mmask16 mask)
{
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        const __m512 value = _mm512_maskz_load_ps(mask, y + (size_t)r * stride);
        if (centre) {
            const __m512 centred = _mm512_maskz_sub_ps(mask, value, _mm512_set1_ps(centre[r]));
            sums[r] = _mm512_fmadd_ps(centred, centred, sums[r]);
        } else {
            sums[r] = _mm512_add_ps(sums[r], value);
        }
    }
}

static inline __attribute__((always_inline)) __m256d
sum_rows(size_t width, const float *y, size_t stride, int n_rows, const float *centre)
{
    __m512 sums[FOUR_ROWS];
    __m256d joined[FOUR_ROWS];
    UNROLL
    for (int r = 0; r < FOUR_ROWS; r++)
        sums[r] = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + LANES < width; i += LANES)
        add_panel(sums, y + i, stride, n_rows, centre, 0xFFFF);
    add_panel(sums, y + i, stride, n_rows, centre, mask_of(width));
    UNROLL
    for (int r = 0; r < FOUR_ROWS; r++)
        joined[r] =
            r < n_rows ? join_to_four(low_half(sums[r]), high_half(sums[r])) : _mm256_setzero_pd();
    return join_rows(joined);
}

static inline __attribute__((always_inline)) void norm_rows(size_t width, const float *gamma,
                                                            const float *beta, const float *y,
                                                            const float *c, float *out,
                                                            size_t stride, int n_rows)
{
    const double share = 1.0 / (double)width;
    float centre[FOUR_ROWS], factor[FOUR_ROWS], shift[FOUR_ROWS];
    const __m256d mean =
        _mm256_mul_pd(sum_rows(width, y, stride, n_rows, NULL), _mm256_set1_pd(share));
    const __m128 centres = _mm256_cvtpd_ps(mean);
    _mm_storeu_ps(centre, centres);
    const __m128 factors = norm_factor(sum_rows(width, y, stride, n_rows, centre), share);
    _mm_storeu_ps(factor, factors);
    _mm_storeu_ps(shift, norm_shift(mean, centres, factors));
    for (size_t i = 0; i < width; i += LANES) {
        const __m512 g = _mm512_load_ps(gamma + i), b = _mm512_load_ps(beta + i);
        UNROLL
        for (int r = 0; r < n_rows; r++) {
            const size_t at = (size_t)r * stride + i;
            const __m512 normed =
                _mm512_fmadd_ps(_mm512_sub_ps(_mm512_load_ps(y + at), _mm512_set1_ps(centre[r])),
                                _mm512_set1_ps(factor[r]), _mm512_set1_ps(shift[r]));
            _mm512_store_ps(out + at,
                            _mm512_add_ps(_mm512_load_ps(c + at), _mm512_fmadd_ps(normed, g, b)));
        }
    }
}

static void f32_layer_norm_add_avx512(size_t width, const float *gamma, const float *beta,
                                      size_t n_rows, const float *y, const float *c, float *out,
                                      size_t stride)
{
    size_t r = 0;
    for (; r + FOUR_ROWS <= n_rows; r += FOUR_ROWS)
        norm_rows(width, gamma, beta, y + r * stride, c + r * stride, out + r * stride, stride,
                  FOUR_ROWS);
    for (; r < n_rows; r++)
        norm_rows(width, gamma, beta, y + r * stride, c + r * stride, out + r * stride, stride, 1);
}

static void f32_multiply_add_avx512(size_t width, size_t n_rows, const float *x0, const float *y,
                                    const float *c, float *out, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride, out += stride)
        for (size_t i = 0; i < width; i += LANES)
            _mm512_store_ps(out + i, _mm512_fmadd_ps(_mm512_load_ps(x0 + i), _mm512_load_ps(y + i),
                                                     _mm512_load_ps(c + i)));
}

/* The KERNEL_LANES partial sums of an output, lanes 0 to 7 and 8 to 15. */
struct double_sums {
    __m512d low, high;
};

static inline struct double_sums dot_panel(struct double_sums sums, const float *values,
                                           const float *weights, __mmask16 mask)
{
    const __m512 value = _mm512_maskz_load_ps(mask, values), weight = _mm512_load_ps(weights);
    sums.low = _mm512_fmadd_pd(_mm512_cvtps_pd(low_half(value)), _mm512_cvtps_pd(low_half(weight)),
                               sums.low);
    sums.high = _mm512_fmadd_pd(_mm512_cvtps_pd(high_half(value)),
                                _mm512_cvtps_pd(high_half(weight)), sums.high);
    return sums;
}

/* The padding of `values` may hold anything, also a NaN. */
static inline struct double_sums dot(struct double_sums sums, const float *values,
                                     const float *weights, size_t width)
{
    if (width == 0)
        return sums;
    size_t i = 0;
    for (; i + LANES < width; i += LANES)
        sums = dot_panel(sums, values + i, weights + i, 0xFFFF);
    return dot_panel(sums, values + i, weights + i, mask_of(width));
}

static void f32_output_avx512(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                              float bias, size_t n_rows, const float *c, size_t c_stride,
                              const float *d, size_t d_stride, float *scores)
{
    for (size_t first = 0; first < n_rows; first += FOUR_ROWS) {
        const size_t n = n_rows - first < FOUR_ROWS ? n_rows - first : FOUR_ROWS;
        __m256d joined[FOUR_ROWS] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                                     _mm256_setzero_pd()};
        for (size_t r = 0; r < n; r++, c += c_stride, d += d_stride) {
            struct double_sums sums = {_mm512_setzero_pd(), _mm512_setzero_pd()};
            sums = dot(dot(sums, c, w_c, c_width), d, w_d, d_width);
            const __m512d eight = _mm512_add_pd(sums.low, sums.high);
            joined[r] =
                _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
        }
        float few[FOUR_ROWS];
        _mm_storeu_ps(few, sigmoid(_mm256_add_pd(join_rows(joined), _mm256_set1_pd((double)bias))));
        for (size_t r = 0; r < n; r++)
            scores[first + r] = few[r];
    }
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .linear = f32_linear_avx512,
    .linear_relu = f32_linear_relu_avx512,
    .layer_norm_add = f32_layer_norm_add_avx512,
    .multiply_add = f32_multiply_add_avx512,
    .output = f32_output_avx512,
    VECTORISED_MEMBERS,
};

#endif
