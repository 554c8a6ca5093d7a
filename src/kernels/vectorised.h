/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectorised.h: the kernels of vectorised.c, which is compiled once per instruction set with
 * KERNEL_SET as its name, for that set's table.
 */
#ifndef DCNV2_KERNELS_VECTORISED_H
#define DCNV2_KERNELS_VECTORISED_H

#include "kernels/kernels.h"

#ifndef KERNEL_SET
#define KERNEL_SET scalar
#endif

/* f32_activate_avx2 and so on */
#define KERNEL_NAME_(kernel, set) f32_##kernel##_##set
#define KERNEL_NAME(kernel, set)  KERNEL_NAME_(kernel, set)
#define VECTORISED(kernel)        KERNEL_NAME(kernel, KERNEL_SET)

void VECTORISED(activate)(const struct activation *activation, size_t width, size_t n_rows,
                          float *y, size_t stride);
void VECTORISED(softmax)(size_t n, size_t n_rows, float *y, size_t stride);
void VECTORISED(multiply_add_bias)(size_t width, size_t n_rows, const float *bias, const float *x0,
                                   const float *y, const float *c, float *out, size_t stride);
void VECTORISED(cross_vector)(size_t width, const float *w, const float *bias, size_t n_rows,
                              const float *x0, const float *c, float *out, size_t stride);
void VECTORISED(mixture_add)(size_t width, size_t n_rows, const float *gates, size_t gate_stride,
                             const float *x0, const float *y, const float *c, float *out,
                             size_t stride);
void VECTORISED(cross_gated)(size_t width, size_t n_rows, const float *gates, const float *x0,
                             const float *y, const float *c, float *out, size_t stride);
void VECTORISED(dot)(size_t width, const float *w, size_t n_rows, const float *x, size_t stride,
                     double *sums);
void VECTORISED(join)(size_t n_rows, const double *sums, float bias, double *logits);
void VECTORISED(sigmoid)(size_t n, const double *logits, float *scores);

/* Of a set's table. */
#define VECTORISED_MEMBERS                                                                         \
    .activate = VECTORISED(activate), .softmax = VECTORISED(softmax),                              \
    .multiply_add_bias = VECTORISED(multiply_add_bias), .cross_vector = VECTORISED(cross_vector),  \
    .mixture_add = VECTORISED(mixture_add), .cross_gated = VECTORISED(cross_gated),                \
    .dot = VECTORISED(dot), .join = VECTORISED(join), .sigmoid = VECTORISED(sigmoid)

#endif
