/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels.h: the arithmetic of the forward pass, a table of functions for each instruction set.
 *
 * Every set follows one order of operations, so that a row's result has the same bits on each,
 * alone and in any batch:
 *   - an output of a linear layer is one chain of fused multiply-adds over the inputs in
 *     index order that starts from the bias;
 *   - a sum over a row runs in KERNEL_LANES partial sums (element i belongs to sum
 *     i mod KERNEL_LANES), which are joined in double, in halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
 *     The partial sums are doubles, except those of layer_norm_add, which are floats;
 *   - a number that all elements of a row share (a mean, a factor, a dot product) is computed in
 *     double, and so are the logit and each activation that is not linear in pieces: one rounding
 *     gives the float;
 *   - the exponential is one polynomial.
 *
 * Widths in memory are padded to a multiple of KERNEL_LANES floats and rows start at 64-byte
 * boundaries; what stands in the padding of an activation does not matter, before and after. An
 * array of one value per unit is padded in the same way, with any finite values unless the text
 * says zeros. No kernel allocates, logs or fails. Thread-safe.
 */
#ifndef DCNV2_KERNELS_KERNELS_H
#define DCNV2_KERNELS_KERNELS_H

#include <stddef.h>

enum { KERNEL_LANES = 16, KERNEL_ALIGNMENT = 64 };

static inline size_t kernel_padded(size_t width)
{
    return (width + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
}

/*
 * torch.nn.Linear, transposed and in panels of KERNEL_LANES outputs: weight [out_padded /
 * KERNEL_LANES, n_in, KERNEL_LANES], bias [out_padded], zeros in the padding.
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

enum activation_kind {
    ACTIVATION_NONE,
    ACTIVATION_RELU,             /* max(0, v); a NaN stays one, which linear_relu makes 0 */
    ACTIVATION_LEAKY_RELU,       /* v < 0: slope * v, else v */
    ACTIVATION_PRELU,            /* v < 0: slopes[u] * v, else v */
    ACTIVATION_GELU,             /* v * (1 + erf(v / sqrt(2))) / 2 */
    ACTIVATION_GELU_TANH,        /* v * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 * v^3))) / 2 */
    ACTIVATION_SILU,             /* v * sigmoid(v) */
    ACTIVATION_SIGMOID,          /* 1 / (1 + exp(-v)) */
    ACTIVATION_TANH,             /* tanh(v) */
    ACTIVATION_ELU,              /* v < 0: slope * (exp(v) - 1), else v */
    ACTIVATION_DICE,             /* p * v + slopes[u] * (1 - p) * v, p = sigmoid of AFFINE */
    ACTIVATION_DICE_ROW,         /* p * v + slope * (1 - p) * v, p = sigmoid((v - m) / sqrt(s)):
                                  * m: mean of the row, s: sum of (v - m)^2 + 0.001 over it */
    ACTIVATION_SWISH_LAYER_NORM, /* v * sigmoid of LAYER_NORM */
    ACTIVATION_LAYER_NORM,       /* (v - mean) / sqrt(variance + eps) * gamma[u] + beta[u] */
    ACTIVATION_AFFINE,           /* v * scale[u] + shift[u], one fused multiply-add in double */
};

/*
 * What a layer does with each row in its place. Of the members below `kind` those count that its
 * formula names; arrays have one value per unit u, padded.
 *
 * A batch norm is AFFINE with scale = weight / sqrt(running_var + eps) and shift = bias -
 * running_mean * scale, in double: the mean may be many times the deviation, and a shift that is
 * rounded to float would move every score.
 *
 * A result is rounded once from double arithmetic that is off by 6e-10 of it at most (in both
 * Dices, of the terms that may cancel). NaN stays NaN. Infinities give what the formula gives in
 * floats: GELU, SILU and their like are NaN at -infinity, as in PyTorch.
 */
struct activation {
    enum activation_kind kind;
    float slope;
    double eps;
    const float *slopes;
    const float *gamma, *beta;
    const double *scale, *shift;
};

struct kernels {
    const char *name;

    /* y = x W + b, and max(0, ..) of it.  x: [n_rows, x_stride], y: [n_rows, y_stride], not the
     * same */
    void (*linear)(const struct linear *layer, size_t n_rows, const float *x, size_t x_stride,
                   float *y, size_t y_stride);
    void (*linear_relu)(const struct linear *layer, size_t n_rows, const float *x, size_t x_stride,
                        float *y, size_t y_stride);

    /* y = activation(y).  y: [n_rows, stride] */
    void (*activate)(const struct activation *activation, size_t width, size_t n_rows, float *y,
                     size_t stride);

    /* Each row's exponentials over their sum, in double.  y: [n_rows, stride], n: 1 and more */
    void (*softmax)(size_t n, size_t n_rows, float *y, size_t stride);

    /*
     * Cross layers. In all of them x0, y, c, out: [n_rows, stride]; out may be c, and x0 may be c;
     * out is x0 only if no later layer reads x0.
     */

    /* out = LayerNorm(y) + c with eps 1e-5.  gamma, beta: [width] */
    void (*layer_norm_add)(size_t width, const float *gamma, const float *beta, size_t n_rows,
                           const float *y, const float *c, float *out, size_t stride);

    /* out = x0 * y + c, element by element, one fused multiply-add */
    void (*multiply_add)(size_t width, size_t n_rows, const float *x0, const float *y,
                         const float *c, float *out, size_t stride);

    /* out = x0 * y + (bias + c): a sum, then one fused multiply-add.  bias: [width] */
    void (*multiply_add_bias)(size_t width, size_t n_rows, const float *bias, const float *x0,
                              const float *y, const float *c, float *out, size_t stride);

    /* out = x0 * (w . c) + (bias + c): w . c is a dot product, all of it is computed in double and
     * rounded once.  w, bias: [width], zeros in the padding */
    void (*cross_vector)(size_t width, const float *w, const float *bias, size_t n_rows,
                         const float *x0, const float *c, float *out, size_t stride);

    /* One expert of a mixture: out = gate * (x0 * y) + c: a product, then one fused multiply-add.
     * The gate of row r is gates[r * gate_stride].  With c of the first expert the layer's input,
     * and of each other one the result so far: c + sum over e of gate_e * (x0 * y_e), in order */
    void (*mixture_add)(size_t width, size_t n_rows, const float *gates, size_t gate_stride,
                        const float *x0, const float *y, const float *c, float *out, size_t stride);

    /* out = x0 * y * sigmoid(gates) + c, element by element, in double and rounded once;
     * the sigmoid is off by 6e-10 of itself at most.  gates: [n_rows, stride] */
    void (*cross_gated)(size_t width, size_t n_rows, const float *gates, const float *x0,
                        const float *y, const float *c, float *out, size_t stride);

    /*
     * The output, in parts: `dot` once per input of the output layer, on sums that start as zeros,
     * then `join`, then `sigmoid`. The bits are those of `output`.
     */

    /* Adds the products of w and x to a row's partial sums.  w: [width], zeros in the padding;
     * x: [n_rows, stride]; sums: [n_rows, KERNEL_LANES], at a 64-byte boundary */
    void (*dot)(size_t width, const float *w, size_t n_rows, const float *x, size_t stride,
                double *sums);

    /* logit = the joined sums + bias */
    void (*join)(size_t n_rows, const double *sums, float bias, double *logits);

    /* score = sigmoid(logit) */
    void (*sigmoid)(size_t n, const double *logits, float *scores);

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
