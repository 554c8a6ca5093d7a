/* SPDX-License-Identifier: Apache-2.0 */
/* bench_kernels.c: the time of each kernel that works on elements, per element. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cases.h"

enum { WIDTH = 256, ROWS = 64, N_ELEMENTS = WIDTH * ROWS, GATES = 4, N_TIMES = 9, N_CALLS = 20 };

/* Per-unit arrays and rows, all of ordinary values; sums and logits in double. */
static struct {
    float *x0, *y, *c, *out, *w, *bias, *scores;
    double *sums, *scale;
} data;

/* On all rows, of `kernels` or of an activation of that kind. */
typedef void subject_kernel(const struct kernels *kernels, enum activation_kind kind);

static void activate(const struct kernels *kernels, enum activation_kind kind)
{
    const struct activation a = {.kind = kind,
                                 .slope = 0.5f,
                                 .eps = 1e-5,
                                 .slopes = data.w,
                                 .gamma = data.w,
                                 .beta = data.bias,
                                 .scale = data.scale,
                                 .shift = data.scale};
    memcpy(data.out, data.y, N_ELEMENTS * sizeof *data.out); /* else it settles, in time */
    kernels->activate(&a, WIDTH, ROWS, data.out, WIDTH);
}

static void layer_norm_add(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->layer_norm_add(WIDTH, data.w, data.bias, ROWS, data.y, data.c, data.out, WIDTH);
}

static void multiply_add(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->multiply_add(WIDTH, ROWS, data.x0, data.y, data.c, data.out, WIDTH);
}

static void multiply_add_bias(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->multiply_add_bias(WIDTH, ROWS, data.bias, data.x0, data.y, data.c, data.out, WIDTH);
}

static void cross_vector(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->cross_vector(WIDTH, data.w, data.bias, ROWS, data.x0, data.c, data.out, WIDTH);
}

static void mixture_add(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->mixture_add(WIDTH, ROWS, data.w, 1, data.x0, data.y, data.c, data.out, WIDTH);
}

static void cross_gated(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->cross_gated(WIDTH, ROWS, data.y, data.x0, data.y, data.c, data.out, WIDTH);
}

static void softmax(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    memcpy(data.out, data.y, N_ELEMENTS * sizeof *data.out);
    kernels->softmax(GATES, ROWS, data.out, WIDTH);
}

static void output(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    kernels->output(data.w, WIDTH, data.bias, WIDTH, 0.5f, ROWS, data.c, WIDTH, data.y, WIDTH,
                    data.scores);
}

static void output_in_parts(const struct kernels *kernels, enum activation_kind kind)
{
    (void)kind;
    double logits[ROWS];
    memset(data.sums, 0, ROWS * KERNEL_LANES * sizeof *data.sums);
    kernels->dot(WIDTH, data.w, ROWS, data.c, WIDTH, data.sums);
    kernels->dot(WIDTH, data.bias, ROWS, data.y, WIDTH, data.sums);
    kernels->join(ROWS, data.sums, 0.5f, logits);
    kernels->sigmoid(ROWS, logits, data.scores);
}

static const struct {
    const char *name;
    subject_kernel *run;
    enum activation_kind kind;
} subjects[] = {
    {"layer_norm_add", layer_norm_add, 0},
    {"multiply_add", multiply_add, 0},
    {"multiply_add_bias", multiply_add_bias, 0},
    {"cross_vector", cross_vector, 0},
    {"mixture_add", mixture_add, 0},
    {"cross_gated", cross_gated, 0},
    {"softmax of 4", softmax, 0},
    {"output of two sides", output, 0},
    {"dot, dot, join, sigmoid", output_in_parts, 0},
    {"none (a copy)", activate, ACTIVATION_NONE},
    {"relu", activate, ACTIVATION_RELU},
    {"leaky relu", activate, ACTIVATION_LEAKY_RELU},
    {"prelu", activate, ACTIVATION_PRELU},
    {"gelu", activate, ACTIVATION_GELU},
    {"gelu tanh", activate, ACTIVATION_GELU_TANH},
    {"silu", activate, ACTIVATION_SILU},
    {"sigmoid", activate, ACTIVATION_SIGMOID},
    {"tanh", activate, ACTIVATION_TANH},
    {"elu", activate, ACTIVATION_ELU},
    {"dice", activate, ACTIVATION_DICE},
    {"dice row", activate, ACTIVATION_DICE_ROW},
    {"swish layer norm", activate, ACTIVATION_SWISH_LAYER_NORM},
    {"layer norm", activate, ACTIVATION_LAYER_NORM},
    {"affine", activate, ACTIVATION_AFFINE},
};
enum { N_SUBJECTS = sizeof subjects / sizeof subjects[0] };

static float *some_values(size_t n)
{
    float *all = aligned_alloc(KERNEL_ALIGNMENT, n * sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        all[i] = random_value();
    return all;
}

static int fill_data(void)
{
    random_seed(2);
    float **const rows[] = {&data.x0, &data.y, &data.c, &data.out};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        *rows[i] = some_values(N_ELEMENTS);
    data.w = some_values(WIDTH);
    data.bias = some_values(WIDTH);
    data.scores = some_values(ROWS);
    data.sums = aligned_alloc(KERNEL_ALIGNMENT, ROWS * KERNEL_LANES * sizeof *data.sums);
    data.scale = aligned_alloc(KERNEL_ALIGNMENT, WIDTH * sizeof *data.scale);
    for (size_t i = 0; data.scale && i < WIDTH; i++)
        data.scale[i] = (double)random_value();
    return data.x0 && data.y && data.c && data.out && data.w && data.bias && data.scores &&
                   data.sums && data.scale
               ? 0
               : -1;
}

static void free_data(void)
{
    free(data.x0), free(data.y), free(data.c), free(data.out), free(data.w), free(data.bias);
    free(data.scores), free(data.sums), free(data.scale);
}

static double nanoseconds_per_element(const struct kernels *kernels, size_t subject)
{
    double times[N_TIMES];
    for (size_t t = 0; t < N_TIMES; t++) {
        const double start = bench_now();
        for (size_t call = 0; call < N_CALLS; call++)
            subjects[subject].run(kernels, subjects[subject].kind);
        times[t] = (bench_now() - start) * 1e9 / N_CALLS / N_ELEMENTS;
    }
    return bench_median(times, N_TIMES);
}

int bench_kernels(const struct kernels *const *sets, size_t n_sets)
{
    const int status = fill_data();
    if (status != 0)
        fprintf(stderr, "kernels: out of memory\n");
    printf("\nns per element, %d rows of %d", ROWS, WIDTH);
    for (size_t s = 0; s < n_sets; s++)
        printf("  %10s", sets[s]->name);
    for (size_t i = 0; status == 0 && i < N_SUBJECTS; i++) {
        printf("\n  %-30s", subjects[i].name);
        for (size_t s = 0; s < n_sets; s++)
            printf("  %10.3f", nanoseconds_per_element(sets[s], i));
    }
    printf("\n");
    free_data();
    return status;
}
