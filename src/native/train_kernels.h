/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_kernels.h: the arithmetic of the backward pass and of Adam, where kernels/kernels.h has
 * that of the forward pass.
 *
 * gradient_kernels.c and adam_kernels.c are written with the compiler's vectors and compiled once
 * for each instruction set. Adam's operations are never fused, so its bits are the same on every
 * machine; products are fused where the machine can.
 *
 * Activations and weights lie as kernels.h has them: rows of `stride` floats that start at 64-byte
 * boundaries, padded to KERNEL_LANES. Padding of what is written here becomes 0. No kernel
 * allocates, logs or fails. Thread-safe.
 */
#ifndef DCNV2_NATIVE_TRAIN_KERNELS_H
#define DCNV2_NATIVE_TRAIN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

struct gradient_kernels {
    /* One panel of dW += X^T dY, from 0 where it is the first of a batch's calls; each element is
     * one chain over the rows in their order.
     * x: [n_rows, n_in] of x_stride, dy: [n_rows, KERNEL_LANES] of dy_stride, gradient: [n_in,
     * KERNEL_LANES], of whose lanes n_out count; whole vectors beyond stay as they are. */
    void (*weight)(size_t n_rows, size_t n_in, size_t n_out, const float *x, size_t x_stride,
                   const float *dy, size_t dy_stride, float *gradient, bool is_first);

    /* sums[i] += factors[r] * rows[r][i], the same chain. factors: [n_rows], NULL: ones */
    void (*sum_rows)(size_t n_rows, size_t width, const float *factors, const float *rows,
                     size_t stride, float *sums);

    /* Of LayerNorm(y): dy from d, and in y's place d * (y - mean) / deviation, of which gamma's
     * gradient is the sum. The padding of y and d is 0. */
    void (*layer_norm)(size_t width, const float *gamma, size_t n_rows, const float *d, float *y,
                       float *dy, size_t stride);

    /* Of x0 * y: dy = d * x0, dx0 += d * y. */
    void (*multiply)(size_t width, size_t n_rows, const float *x0, const float *y, const float *d,
                     float *dy, float *dx0, size_t stride);

    /* d = 0 where the layer's output is 0. */
    void (*relu)(size_t width, size_t n_rows, const float *output, float *d, size_t stride);

    /* sum = a + b; sum may be either. */
    void (*add)(size_t width, size_t n_rows, const float *a, const float *b, float *sum,
                size_t stride);

    /* rows[r] = factors[r] * values */
    void (*scale)(size_t width, size_t n_rows, const float *factors, const float *values,
                  float *rows, size_t stride);

    /* sums[slots[r]] += rows[r], in the order of rows. rows: [n_rows, width] of stride, readable
     * up to a multiple of ROW_LANES, at any alignment; sums: [.., width padded to ROW_LANES] */
    void (*sum_by_slot)(size_t n_rows, size_t width, const uint32_t *slots, const float *rows,
                        size_t stride, float *sums);

    /* A panel [n_in, KERNEL_LANES] of which n_out lanes count, into the packing of the transposed
     * layer: out[q * panel_size + o * KERNEL_LANES + lane] = panel[q * KERNEL_LANES + lane][o] */
    void (*transpose)(size_t n_in, size_t n_out, const float *panel, float *out, size_t panel_size);
};

enum { ROW_LANES = 8 }; /* a table's rows are padded to it */

static inline size_t row_padded(size_t width)
{
    return (width + ROW_LANES - 1) / ROW_LANES * ROW_LANES;
}

struct adam_constants {
    float beta1, beta2;
    float rest1, rest2; /* 1 - beta */
    float eps;
};

/* What changes with the step: learning rate / (1 - beta1^t) and 1 / sqrt(1 - beta2^t). */
struct adam_step {
    float size;
    float root;
};

/* So many rows hide the latency of a multiplication, and fit the registers. */
enum { DECAY_ROWS = 7, DECAY_STEPS = 64 };

/* A parameter of this magnitude is not moved by a step that a subnormal moment makes. */
#define ADAM_STILL_FROM 1e-15f

struct adam_kernels {
    /* m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
     * p = p - (size m) / (root sqrt(v) + eps). n is a multiple of ROW_LANES. */
    void (*update)(const struct adam_constants *constants, struct adam_step step, size_t n,
                   float *p, const float *gradient, float *m, float *v);

    /*
     * n_steps steps with gradients of 0, for a row of a table: p, m and v one after the other,
     * each [width]. Of its steps the first n_growing may be followed by a larger one.
     * Returns how many were taken: fewer when those that are left would not change p.
     */
    size_t (*replay)(const struct adam_constants *constants, size_t width, size_t n_steps,
                     const struct adam_step *steps, size_t n_growing, float *row);

    /* The same of m and v alone. */
    void (*decay_row)(const struct adam_constants *constants, size_t width, size_t n_steps,
                      float *row);

    /* DECAY_STEPS of DECAY_ROWS rows at once; a bit for each row of which m is at rest. */
    unsigned (*decay)(const struct adam_constants *constants, size_t width,
                      float *const rows[DECAY_ROWS]);

    /* The same of v alone, and of v's rest. */
    unsigned (*decay_v)(const struct adam_constants *constants, size_t width,
                        float *const rows[DECAY_ROWS]);
};

struct train_kernels {
    const struct gradient_kernels *gradient;
    const struct adam_kernels *adam;
};

/* Those that go with a set of kernels_select(). */
struct train_kernels train_kernels_select(const struct kernels *kernels);

#endif
