/* SPDX-License-Identifier: Apache-2.0 */
/* gradient_kernels.c: compiled once for each instruction set, TRAIN_SET being its name. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/constants.h"
#include "native/train_kernels.h"

#ifndef TRAIN_SET
#define TRAIN_SET plain
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

/* TILE_IN x PANEL_VECTORS sums, a line of dy and an input fill the registers. */
#if defined(__AVX512F__) || defined(TRAIN_WIDE)
enum { LANES = 16, TILE_IN = 14 };
#elif defined(__AVX__)
enum { LANES = 8, TILE_IN = 6 };
#elif defined(__aarch64__)
enum { LANES = 4, TILE_IN = 6 };
#else
enum { LANES = 4, TILE_IN = 3 };
#endif
enum { PANEL_VECTORS = KERNEL_LANES / LANES };

#define INLINE static inline __attribute__((always_inline))

/* Vectors at their alignment and at that of a float. Both may alias floats. */
typedef float vec __attribute__((vector_size(LANES * 4), may_alias));
typedef int32_t bits __attribute__((vector_size(LANES * 4), may_alias));
typedef float four_vec __attribute__((vector_size(16), may_alias));
typedef float row_vec __attribute__((vector_size(ROW_LANES * 4), may_alias));
typedef float loose_row_vec __attribute__((vector_size(ROW_LANES * 4), may_alias, aligned(4)));

INLINE vec load(const float *from)
{
    return *(const vec *)from;
}

INLINE void store(float *to, vec values)
{
    *(vec *)to = values;
}

/* ---- products ---- */

enum { TILE_SUMS = TILE_IN * PANEL_VECTORS };

/* `n_in` and `n_vectors` are constants after inlining. */
INLINE void weight_tile(size_t n_rows, const float *x, size_t x_stride, const float *dy,
                        size_t dy_stride, float *gradient, bool is_first, int n_in, int n_vectors)
{
    vec sums[TILE_SUMS];
    UNROLL
    for (int i = 0; i < n_in; i++) {
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sums[i * n_vectors + v] =
                is_first ? (vec){0} : load(gradient + i * KERNEL_LANES + v * LANES);
    }
    for (size_t r = 0; r < n_rows; r++, x += x_stride, dy += dy_stride) {
        UNROLL
        for (int i = 0; i < n_in; i++) {
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                sums[i * n_vectors + v] += x[i] * load(dy + v * LANES);
        }
    }
    UNROLL
    for (int i = 0; i < n_in; i++) {
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(gradient + i * KERNEL_LANES + v * LANES, sums[i * n_vectors + v]);
    }
}

INLINE void weight_tiles(size_t n_rows, size_t n_in, const float *x, size_t x_stride,
                         const float *dy, size_t dy_stride, float *gradient, bool is_first,
                         int n_vectors)
{
    const size_t most = (size_t)(TILE_SUMS / n_vectors);
    size_t i = 0;
#define TILES(n)                                                                                   \
    for (; (n) <= most && i + (n) <= n_in; i += (n))                                               \
    weight_tile(n_rows, x + i, x_stride, dy, dy_stride, gradient + i * KERNEL_LANES, is_first,     \
                (n) <= most ? (int)(n) : 1, n_vectors)
    TILES(most);
    TILES(6);
    TILES(5);
    TILES(4);
    TILES(3);
    TILES(2);
    TILES(1);
#undef TILES
}

static void weight(size_t n_rows, size_t n_in, size_t n_out, const float *x, size_t x_stride,
                   const float *dy, size_t dy_stride, float *gradient, bool is_first)
{
    if (n_out <= LANES)
        weight_tiles(n_rows, n_in, x, x_stride, dy, dy_stride, gradient, is_first, 1);
    else
        weight_tiles(n_rows, n_in, x, x_stride, dy, dy_stride, gradient, is_first, PANEL_VECTORS);
}

INLINE void sum_columns(size_t n_rows, const float *factors, const float *rows, size_t stride,
                        float *sums, int n_vectors)
{
    enum { MOST = 8 };
    vec all[MOST];
    UNROLL
    for (int v = 0; v < n_vectors; v++)
        all[v] = load(sums + v * LANES);
    for (size_t r = 0; r < n_rows; r++, rows += stride) {
        const float factor = factors ? factors[r] : 1;
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            all[v] += factor * load(rows + v * LANES);
    }
    UNROLL
    for (int v = 0; v < n_vectors; v++)
        store(sums + v * LANES, all[v]);
}

INLINE void sum_all_columns(size_t n_rows, size_t width, const float *factors, const float *rows,
                            size_t stride, float *sums)
{
    size_t i = 0;
    for (; i + 8 * LANES <= width; i += 8 * LANES)
        sum_columns(n_rows, factors, rows + i, stride, sums + i, 8);
    for (; i < width; i += LANES)
        sum_columns(n_rows, factors, rows + i, stride, sums + i, 1);
}

static void sum_rows(size_t n_rows, size_t width, const float *factors, const float *rows,
                     size_t stride, float *sums)
{
    if (factors)
        sum_all_columns(n_rows, width, factors, rows, stride, sums);
    else
        sum_all_columns(n_rows, width, NULL, rows, stride, sums);
}

/* ---- layer norm ---- */

/* KERNEL_LANES floats: a sum runs in as many partial sums on every machine. */
struct line {
    vec v[PANEL_VECTORS];
};

/* Joined in halves. */
INLINE float sum_of(struct line line)
{
    union {
        struct line line;
        row_vec eights[2];
    } all = {line};
    const row_vec eight = all.eights[0] + all.eights[1];
    const four_vec four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                          __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Zeros in the lanes of the line from `first` that lie beyond `width`. */
INLINE vec within(vec values, size_t first, size_t width)
{
    static const int32_t mask[2 * KERNEL_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                   -1, -1, -1, -1, -1, -1, -1, -1};
    const size_t left = first >= width ? 0 : width - first;
    bits lanes;
    if (left >= LANES)
        return values;
    memcpy(&lanes, mask + KERNEL_LANES - left, sizeof lanes);
    return (vec)((bits)values & lanes);
}

INLINE void layer_norm_row(size_t width, const float *gamma, const float *d, float *y, float *dy)
{
    struct line sums = {0}, squares = {0}, inner = {0}, along = {0};
    for (size_t i = 0; i < width; i += KERNEL_LANES)
        for (int v = 0; v < PANEL_VECTORS; v++)
            sums.v[v] += load(y + i + v * LANES);
    const float mean = sum_of(sums) / (float)width;
    for (size_t i = 0; i < width; i += KERNEL_LANES)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            const size_t at = i + v * LANES;
            const vec centred = within(load(y + at) - mean, at, width);
            squares.v[v] += centred * centred;
            store(y + at, centred);
        }
    const float inverse = (float)(1 / sqrt(sum_of(squares) / (double)width + LAYER_NORM_EPSILON));
    for (size_t i = 0; i < width; i += KERNEL_LANES)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            const size_t at = i + v * LANES;
            const vec normed = load(y + at) * inverse, scaled = load(d + at) * load(gamma + at);
            inner.v[v] += scaled;
            along.v[v] += scaled * normed;
            store(y + at, normed);
        }
    const float mean_inner = sum_of(inner) / (float)width;
    const float mean_along = sum_of(along) / (float)width;
    for (size_t i = 0; i < width; i += KERNEL_LANES)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            const size_t at = i + v * LANES;
            const vec normed = load(y + at), scaled = load(d + at) * load(gamma + at);
            const vec value = (scaled - mean_inner - normed * mean_along) * inverse;
            store(dy + at, within(value, at, width));
            store(y + at, load(d + at) * normed);
        }
}

static void layer_norm(size_t width, const float *gamma, size_t n_rows, const float *d, float *y,
                       float *dy, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++)
        layer_norm_row(width, gamma, d + r * stride, y + r * stride, dy + r * stride);
}

/* ---- element by element ---- */

/* For each vector of each row, whose place is `at`. */
#define FOR_EACH_VECTOR                                                                            \
    for (size_t r = 0; r < n_rows; r++)                                                            \
        for (size_t at = r * stride; at < r * stride + width; at += LANES)

static void multiply(size_t width, size_t n_rows, const float *x0, const float *y, const float *d,
                     float *dy, float *dx0, size_t stride)
{
    FOR_EACH_VECTOR
    {
        const vec from = load(d + at);
        store(dx0 + at, load(dx0 + at) + from * load(y + at));
        store(dy + at, from * load(x0 + at));
    }
}

static void relu(size_t width, size_t n_rows, const float *output, float *d, size_t stride)
{
    FOR_EACH_VECTOR
    store(d + at, (vec)((bits)load(d + at) & (bits)(load(output + at) > 0)));
}

static void add(size_t width, size_t n_rows, const float *a, const float *b, float *sum,
                size_t stride)
{
    FOR_EACH_VECTOR store(sum + at, load(a + at) + load(b + at));
}

static void scale(size_t width, size_t n_rows, const float *factors, const float *values,
                  float *rows, size_t stride)
{
    FOR_EACH_VECTOR store(rows + at, factors[r] * load(values + at - r * stride));
}

/* ---- rows of tables, and packing ---- */

static void sum_by_slot(size_t n_rows, size_t width, const uint32_t *slots, const float *rows,
                        size_t stride, float *sums)
{
    const size_t padded = row_padded(width);
    const size_t whole = width / ROW_LANES * ROW_LANES;
    for (size_t r = 0; r < n_rows; r++, rows += stride) {
        float *sum = sums + slots[r] * padded;
        for (size_t i = 0; i < whole; i += ROW_LANES)
            *(row_vec *)(sum + i) += *(const loose_row_vec *)(rows + i);
        for (size_t i = whole; i < width; i++)
            sum[i] += rows[i];
    }
}

#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

INLINE void transpose_square(const float *in, float *out)
{
    row_vec r[8], s[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = *(const row_vec *)(in + i * KERNEL_LANES);
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        s[i] = SHUFFLE(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[i + 1] = SHUFFLE(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = SHUFFLE(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 1] = SHUFFLE(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        r[i + 2] = SHUFFLE(s[i + 1], s[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 3] = SHUFFLE(s[i + 1], s[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        *(row_vec *)(out + i * KERNEL_LANES) = SHUFFLE(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(row_vec *)(out + (i + 4) * KERNEL_LANES) =
            SHUFFLE(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static void transpose(size_t n_in, size_t n_out, const float *panel, float *out, size_t panel_size)
{
    enum { SQUARE = 8 };
    for (size_t i = 0; i < n_in; i += SQUARE) {
        float *to = out + i / KERNEL_LANES * panel_size + i % KERNEL_LANES;
        const float *from = panel + i * KERNEL_LANES;
        const size_t n = n_in - i < SQUARE ? n_in - i : SQUARE;
        size_t o = 0;
        for (; n == SQUARE && o + SQUARE <= n_out; o += SQUARE)
            transpose_square(from + o, to + o * KERNEL_LANES);
        for (; o < n_out; o++)
            for (size_t lane = 0; lane < n; lane++)
                to[o * KERNEL_LANES + lane] = from[lane * KERNEL_LANES + o];
    }
}

const struct gradient_kernels JOIN(gradient_kernels_, TRAIN_SET) = {
    .weight = weight,
    .sum_rows = sum_rows,
    .layer_norm = layer_norm,
    .multiply = multiply,
    .relu = relu,
    .add = add,
    .scale = scale,
    .sum_by_slot = sum_by_slot,
    .transpose = transpose,
};
