/* SPDX-License-Identifier: Apache-2.0 */
/* avx2.c: the kernels with AVX2 and FMA. Lanes run across outputs, so nothing is summed sideways.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/constants.h"
#include "kernels/kernels.h"

enum { LANES = 8 };

/* Registers for the sums of a tile: with two vectors of weights and an input, 15 of 16. */
enum { PANEL_VECTORS = KERNEL_LANES / LANES, TILE_ROWS_MAX = 6, TILE_PANELS_MAX = 4 };

/*
 * A tile of `n_rows` rows by `n_panels` panels of outputs, its sums in registers over all
 * inputs. Both counts are constants after inlining: 6 x 1 and 3 x 2 fill 12 registers with
 * sums, 1 x 4 has enough independent chains to hide the latency of an FMA.
 */
static inline __attribute__((always_inline)) void tile(const struct linear *layer,
                                                       size_t first_panel, const float *x,
                                                       size_t x_stride, float *y, size_t y_stride,
                                                       int n_rows, int n_panels, bool relu)
{
    const size_t panel_size = layer->n_in * KERNEL_LANES;
    const float *weight = layer->weight + first_panel * panel_size;
    const float *bias = layer->bias + first_panel * KERNEL_LANES;
    __m256 sums[TILE_ROWS_MAX][TILE_PANELS_MAX * PANEL_VECTORS];
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int v = 0; v < n_panels * PANEL_VECTORS; v++)
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
                sums[r][2 * p] = _mm256_fmadd_ps(input, low, sums[r][2 * p]);
                sums[r][2 * p + 1] = _mm256_fmadd_ps(input, high, sums[r][2 * p + 1]);
            }
        }
    }
    y += first_panel * KERNEL_LANES;
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int v = 0; v < n_panels * PANEL_VECTORS; v++) {
            const __m256 sum = relu ? _mm256_max_ps(sums[r][v], _mm256_setzero_ps()) : sums[r][v];
            _mm256_store_ps(y + (size_t)r * y_stride + v * LANES, sum);
        }
    }
}

/* Tiles of `n_rows` rows over all panels, as wide as the registers allow. */
static inline __attribute__((always_inline)) void rows(const struct linear *layer, const float *x,
                                                       size_t x_stride, float *y, size_t y_stride,
                                                       int n_rows, int n_panels, bool relu)
{
    const size_t n = kernel_padded(layer->n_out) / KERNEL_LANES;
    size_t p = 0;
    for (; p + (size_t)n_panels <= n; p += (size_t)n_panels)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, n_panels, relu);
    for (; p < n; p++)
        tile(layer, p, x, x_stride, y, y_stride, n_rows, 1, relu);
}

static inline __attribute__((always_inline)) void linear_rows(const struct linear *layer,
                                                              size_t n_rows, const float *x,
                                                              size_t x_stride, float *y,
                                                              size_t y_stride, bool relu)
{
    size_t r = 0;
    for (; r + 6 <= n_rows; r += 6)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 6, 1, relu);
    for (; r + 3 <= n_rows; r += 3)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 3, 2, relu);
    for (; r < n_rows; r++)
        rows(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, 1, 4, relu);
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

/* The KERNEL_LANES partial sums, in two registers, joined in halves. */
static inline float join(__m256 low, __m256 high)
{
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Ones in the lanes of vector `v` that lie within `width`. */
static inline __m256 mask_of(size_t width, size_t v)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int left = (int)(width - v * LANES < LANES ? width - v * LANES : LANES);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(left), lane));
}

static inline size_t n_vectors_of(size_t width)
{
    return (width + LANES - 1) / LANES;
}

static void f32_layer_norm_add_avx2(size_t width, const float *gamma, const float *beta,
                                    size_t n_rows, const float *y, float *c, size_t stride)
{
    const size_t n_vectors = n_vectors_of(width);
    const __m256 last = mask_of(width, n_vectors - 1);
    for (size_t r = 0; r < n_rows; r++, y += stride, c += stride) {
        __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        __m256 squares[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (size_t v = 0; v < n_vectors; v++) {
            __m256 value = _mm256_load_ps(y + v * LANES);
            if (v + 1 == n_vectors)
                value = _mm256_and_ps(value, last);
            sums[v % 2] = _mm256_add_ps(sums[v % 2], value);
        }
        const __m256 mean = _mm256_set1_ps(join(sums[0], sums[1]) / (float)width);
        for (size_t v = 0; v < n_vectors; v++) {
            __m256 centred = _mm256_sub_ps(_mm256_load_ps(y + v * LANES), mean);
            if (v + 1 == n_vectors)
                centred = _mm256_and_ps(centred, last);
            squares[v % 2] = _mm256_fmadd_ps(centred, centred, squares[v % 2]);
        }
        const float variance = join(squares[0], squares[1]) / (float)width;
        const __m256 inverse = _mm256_set1_ps(1.0f / sqrtf(variance + LAYER_NORM_EPSILON));
        for (size_t v = 0; v < n_vectors; v++) {
            const __m256 centred = _mm256_sub_ps(_mm256_load_ps(y + v * LANES), mean);
            const __m256 normed =
                _mm256_fmadd_ps(_mm256_mul_ps(centred, inverse), _mm256_load_ps(gamma + v * LANES),
                                _mm256_load_ps(beta + v * LANES));
            _mm256_store_ps(c + v * LANES, _mm256_add_ps(_mm256_load_ps(c + v * LANES), normed));
        }
    }
}

static void f32_multiply_add_avx2(size_t width, size_t n_rows, const float *x0, const float *y,
                                  float *c, size_t stride)
{
    const size_t n_vectors = n_vectors_of(width);
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride)
        for (size_t v = 0; v < n_vectors; v++)
            _mm256_store_ps(c + v * LANES, _mm256_fmadd_ps(_mm256_load_ps(x0 + v * LANES),
                                                           _mm256_load_ps(y + v * LANES),
                                                           _mm256_load_ps(c + v * LANES)));
}

static inline void dot(const float *values, const float *weights, size_t width, __m256 sums[2])
{
    const size_t n_vectors = n_vectors_of(width);
    for (size_t v = 0; v < n_vectors; v++) {
        __m256 value = _mm256_load_ps(values + v * LANES);
        if (v + 1 == n_vectors) /* the padding may hold anything, also a NaN */
            value = _mm256_and_ps(value, mask_of(width, v));
        sums[v % 2] = _mm256_fmadd_ps(value, _mm256_load_ps(weights + v * LANES), sums[v % 2]);
    }
}

/* sigmoid of eight logits; scalar.c tells how */
static inline __m256 sigmoid(__m256 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    const __m256 below = _mm256_max_ps(_mm256_or_ps(x, sign), _mm256_set1_ps(EXP_LOWEST));
    const __m256 shifted =
        _mm256_fmadd_ps(below, _mm256_set1_ps(EXP_LOG2E), _mm256_set1_ps(EXP_TO_INT));
    const __m256 n = _mm256_sub_ps(shifted, _mm256_set1_ps(EXP_TO_INT));
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HIGH), below);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LOW), r);
    __m256 p = _mm256_set1_ps(EXP_C7);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_fmadd_ps(p, r, one);
    const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
    const __m256 e = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    const __m256 negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    const __m256 score = _mm256_div_ps(_mm256_blendv_ps(one, e, negative), _mm256_add_ps(one, e));
    return _mm256_blendv_ps(score, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static void f32_output_avx2(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                            float bias, size_t n_rows, const float *c, size_t c_stride,
                            const float *d, size_t d_stride, float *scores)
{
    for (size_t first = 0; first < n_rows; first += LANES) {
        const size_t n = n_rows - first < LANES ? n_rows - first : LANES;
        _Alignas(32) float logits[LANES] = {0};
        for (size_t r = 0; r < n; r++, c += c_stride, d += d_stride) {
            __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
            dot(c, w_c, c_width, sums);
            dot(d, w_d, d_width, sums);
            logits[r] = join(sums[0], sums[1]) + bias;
        }
        _mm256_store_ps(logits, sigmoid(_mm256_load_ps(logits)));
        for (size_t r = 0; r < n; r++)
            scores[first + r] = logits[r];
    }
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .linear = f32_linear_avx2,
    .linear_relu = f32_linear_relu_avx2,
    .layer_norm_add = f32_layer_norm_add_avx2,
    .multiply_add = f32_multiply_add_avx2,
    .output = f32_output_avx2,
};

#endif
