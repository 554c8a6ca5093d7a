/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels.h: the arithmetic of the forward pass, a table of functions for each instruction set.
 *
 * Every set follows one order of operations, so a row's result has the same bits on each,
 * alone and in any batch:
 *   - an output of a linear layer is one chain of fused multiply-adds over the inputs in
 *     index order that starts from the bias;
 *   - a sum over a row runs in KERNEL_LANES partial sums (element i belongs to sum
 *     i mod KERNEL_LANES), which are joined in double, in halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1;
 *   - what is one number a row is computed in double: a layer norm's mean and factor, whose errors
 *     all elements would share, and all of the output, with one rounding to the score;
 *   - the exponential is one polynomial.
 *
 * Widths in memory are padded to a multiple of KERNEL_LANES floats and rows start at 64-byte
 * boundaries; what stands in the padding of an activation does not matter. No kernel
 * allocates, logs or fails. Thread-safe.
 */
#ifndef DCNV2_KERNELS_KERNELS_H
#define DCNV2_KERNELS_KERNELS_H

#include <stddef.h>

enum { KERNEL_LANES = 16, KERNEL_ALIGNMENT = 64 };

static inline size_t kernel_padded(size_t width)
{
    return (width + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
}

/* torch.nn.Linear, transposed: weight [n_in, out_padded], bias [out_padded], zeros in the padding.
 */
struct linear {
    size_t n_in;
    size_t n_out;
    const float *weight;
    const float *bias;
};

/* Where the weight from input `in` to output `out` is. */
static inline size_t linear_place(const struct linear *layer, size_t in, size_t out)
{
    return (out / KERNEL_LANES * layer->n_in + in) * KERNEL_LANES + out % KERNEL_LANES;
}

struct kernels {
    const char *name;

    /* y = x W + b, and max(0, ..) of it.  x: [n_rows, x_stride], y: [n_rows, y_stride], not the
     * same */
    void (*linear)(const struct linear *layer, size_t n_rows, const float *x, size_t x_stride,
                   float *y, size_t y_stride);
    void (*linear_relu)(const struct linear *layer, size_t n_rows, const float *x, size_t x_stride,
                        float *y, size_t y_stride);

    /* out = LayerNorm(y) + c with eps 1e-5.  y, c, out: [n_rows, stride], out may be c;
     * gamma, beta: [width] */
    void (*layer_norm_add)(size_t width, const float *gamma, const float *beta, size_t n_rows,
                           const float *y, const float *c, float *out, size_t stride);

    /* out = x0 * y + c, element by element.  all: [n_rows, stride]; out and x0 may be c */
    void (*multiply_add)(size_t width, size_t n_rows, const float *x0, const float *y,
                         const float *c, float *out, size_t stride);

    /* score = sigmoid(w_c . c + w_d . d + bias).  c: [n_rows, c_stride], d: [n_rows, d_stride];
     * w_c: [c_width], w_d: [d_width]; a width of 0 leaves its side out. */
    void (*output)(const float *w_c, size_t c_width, const float *w_d, size_t d_width, float bias,
                   size_t n_rows, const float *c, size_t c_stride, const float *d, size_t d_stride,
                   float *scores);
};

extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#endif

/*
 * The fastest set that this CPU and operating system run, or the one that `wanted` names
 * ("scalar", "avx2", "avx512"; NULL: no wish). NULL: that set is unknown, or cannot run here.
 */
const struct kernels *kernels_select(const char *wanted);

#endif
