/* SPDX-License-Identifier: Apache-2.0 */
/* avx512.c: the kernels with AVX-512 F. A vector is a panel: its lanes are a panel's outputs. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/constants.h"
#include "kernels/kernels.h"

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

/* The KERNEL_LANES partial sums joined in halves. */
static inline float join(__m512 sums)
{
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sums), 1));
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sums), high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* The lanes of vector `v` that lie within `width`. */
static inline __mmask16 mask_of(size_t width, size_t v)
{
    const size_t left = width - v * LANES;
    return left >= LANES ? (__mmask16)0xFFFF : (__mmask16)((1u << left) - 1);
}

static inline size_t n_vectors_of(size_t width)
{
    return (width + LANES - 1) / LANES;
}

static void f32_layer_norm_add_avx512(size_t width, const float *gamma, const float *beta,
                                      size_t n_rows, const float *y, float *c, size_t stride)
{
    const size_t n_vectors = n_vectors_of(width);
    for (size_t r = 0; r < n_rows; r++, y += stride, c += stride) {
        __m512 sums = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
        for (size_t v = 0; v < n_vectors; v++)
            sums = _mm512_add_ps(sums, _mm512_maskz_load_ps(mask_of(width, v), y + v * LANES));
        const __m512 mean = _mm512_set1_ps(join(sums) / (float)width);
        for (size_t v = 0; v < n_vectors; v++) {
            const __m512 centred =
                _mm512_maskz_sub_ps(mask_of(width, v), _mm512_load_ps(y + v * LANES), mean);
            squares = _mm512_fmadd_ps(centred, centred, squares);
        }
        const float variance = join(squares) / (float)width;
        const __m512 inverse = _mm512_set1_ps(1.0f / sqrtf(variance + LAYER_NORM_EPSILON));
        for (size_t v = 0; v < n_vectors; v++) {
            const __m512 centred = _mm512_sub_ps(_mm512_load_ps(y + v * LANES), mean);
            const __m512 normed =
                _mm512_fmadd_ps(_mm512_mul_ps(centred, inverse), _mm512_load_ps(gamma + v * LANES),
                                _mm512_load_ps(beta + v * LANES));
            _mm512_store_ps(c + v * LANES, _mm512_add_ps(_mm512_load_ps(c + v * LANES), normed));
        }
    }
}

static void f32_multiply_add_avx512(size_t width, size_t n_rows, const float *x0, const float *y,
                                    float *c, size_t stride)
{
    const size_t n_vectors = n_vectors_of(width);
    for (size_t r = 0; r < n_rows; r++, x0 += stride, y += stride, c += stride)
        for (size_t v = 0; v < n_vectors; v++)
            _mm512_store_ps(c + v * LANES, _mm512_fmadd_ps(_mm512_load_ps(x0 + v * LANES),
                                                           _mm512_load_ps(y + v * LANES),
                                                           _mm512_load_ps(c + v * LANES)));
}

/* The padding of `values` may hold anything, also a NaN. */
static inline __m512 dot(const float *values, const float *weights, size_t width, __m512 sums)
{
    const size_t n_vectors = n_vectors_of(width);
    for (size_t v = 0; v < n_vectors; v++)
        sums = _mm512_fmadd_ps(_mm512_maskz_load_ps(mask_of(width, v), values + v * LANES),
                               _mm512_load_ps(weights + v * LANES), sums);
    return sums;
}

/* sigmoid of sixteen logits; scalar.c tells how */
static inline __m512 sigmoid(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    const __m512 negated =
        _mm512_castsi512_ps(_mm512_or_epi32(_mm512_castps_si512(x), sign)); /* -|x| */
    const __m512 below = _mm512_max_ps(negated, _mm512_set1_ps(EXP_LOWEST));
    const __m512 shifted =
        _mm512_fmadd_ps(below, _mm512_set1_ps(EXP_LOG2E), _mm512_set1_ps(EXP_TO_INT));
    const __m512 n = _mm512_sub_ps(shifted, _mm512_set1_ps(EXP_TO_INT));
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HIGH), below);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LOW), r);
    __m512 p = _mm512_set1_ps(EXP_C7);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, one);
    p = _mm512_fmadd_ps(p, r, one);
    const __m512i exponent = _mm512_add_epi32(_mm512_cvttps_epi32(n), _mm512_set1_epi32(127));
    const __m512 e = _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
    const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512 score =
        _mm512_div_ps(_mm512_mask_blend_ps(negative, one, e), _mm512_add_ps(one, e));
    return _mm512_mask_blend_ps(nan, score, x);
}

static void f32_output_avx512(const float *w_c, size_t c_width, const float *w_d, size_t d_width,
                              float bias, size_t n_rows, const float *c, size_t c_stride,
                              const float *d, size_t d_stride, float *scores)
{
    for (size_t first = 0; first < n_rows; first += LANES) {
        const size_t n = n_rows - first < LANES ? n_rows - first : LANES;
        _Alignas(KERNEL_ALIGNMENT) float logits[LANES] = {0};
        for (size_t r = 0; r < n; r++, c += c_stride, d += d_stride)
            logits[r] =
                join(dot(d, w_d, d_width, dot(c, w_c, c_width, _mm512_setzero_ps()))) + bias;
        _mm512_store_ps(logits, sigmoid(_mm512_load_ps(logits)));
        for (size_t r = 0; r < n; r++)
            scores[first + r] = logits[r];
    }
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .linear = f32_linear_avx512,
    .linear_relu = f32_linear_relu_avx512,
    .layer_norm_add = f32_layer_norm_add_avx512,
    .multiply_add = f32_multiply_add_avx512,
    .output = f32_output_avx512,
};

#endif
