/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checks.c: every kernel of every set against the scalar one, bit for bit, and the scalar one
 * against the same sums in double.
 *
 * Each case is run twice, with all arrays right behind and with all right before a page that
 * cannot be touched. Rows start at any 64-byte boundary of a page that way, scores at any float.
 * Bounds are in units of u = 2^-24, half a unit in a float's last place
 * (N. Higham, Accuracy and Stability of Numerical Algorithms, chapter 3: a chain of n
 * rounded operations is off by at most n u / (1 - n u) of the sum of the magnitudes).
 */
#include "checks.h"

#include <math.h>

#include "cases.h"
#include "test.h"

static const double U = 0x1p-24;

/* ---- linear layers */

struct linear_case {
    struct linear layer;
    size_t n_rows, x_stride, y_stride;
    float *x, *y;
    bool relu;
};

static struct linear_case linear_case_make(size_t number, value_source *value, enum place place)
{
    random_seed(number);
    struct linear_case c = {.n_rows = n_rows_of(number), .relu = random_bits() & 1};
    c.layer.n_in = width_of(number);
    c.layer.n_out = random_width();
    c.x_stride = random_stride(c.layer.n_in);
    c.y_stride = random_stride(c.layer.n_out);
    const size_t padded = kernel_padded(c.layer.n_out);
    float *weight = place_array(0, c.layer.n_in * padded, place);
    float *bias = place_array(1, padded, place);
    c.x = place_array(2, rows_length(c.n_rows, c.layer.n_in, c.x_stride), place);
    c.y = place_array(3, rows_length(c.n_rows, c.layer.n_out, c.y_stride), place);
    memset(weight, 0, c.layer.n_in * padded * sizeof *weight);
    for (size_t i = 0; i < c.layer.n_in; i++)
        for (size_t o = 0; o < c.layer.n_out; o++)
            weight[linear_place(&c.layer, i, o)] = value();
    fill_weights(bias, c.layer.n_out, value, 1);
    fill_rows(c.x, c.n_rows, c.layer.n_in, c.x_stride, value);
    c.layer.weight = weight;
    c.layer.bias = bias;
    return c;
}

static void run_linear(const struct kernels *kernels, const struct linear_case *c, size_t first,
                       size_t n_rows, float *y)
{
    (c->relu ? kernels->linear_relu : kernels->linear)(
        &c->layer, n_rows, c->x + first * c->x_stride, c->x_stride, y, c->y_stride);
}

static void check_linear(const struct kernels *kernels, size_t number, enum place place)
{
    static float expected[MAX_ROWS * MAX_STRIDE], before[MAX_ROWS * MAX_STRIDE];
    const struct linear_case c = linear_case_make(number, values_of(number), place);
    const size_t n_out = c.layer.n_out;
    const size_t length = rows_length(c.n_rows, n_out, c.y_stride);
    run_linear(&kernels_scalar, &c, 0, c.n_rows, expected);
    fill_rows(c.y, c.n_rows, n_out, c.y_stride, random_edge);
    memcpy(before, c.y, length * sizeof *before);
    run_linear(kernels, &c, 0, c.n_rows, c.y);
    CHECK(rows_are_same(kernels->name, c.y, expected, c.n_rows, n_out, c.y_stride));
    CHECK(gaps_are_as_before(c.y, before, c.n_rows, n_out, c.y_stride));

    if (c.n_rows == 0)
        return;
    const size_t alone = random_between(0, c.n_rows - 1);
    float *y = place_array(4, kernel_padded(n_out), place);
    run_linear(kernels, &c, alone, 1, y);
    CHECK(rows_are_same("alone", y, expected + alone * c.y_stride, 1, n_out, c.y_stride));
}

static void check_linear_in_double(size_t number, enum place place)
{
    const struct linear_case c = linear_case_make(number, random_value, place);
    const size_t n = c.layer.n_in;
    run_linear(&kernels_scalar, &c, 0, c.n_rows, c.y);
    for (size_t r = 0; r < c.n_rows; r++) {
        for (size_t o = 0; o < c.layer.n_out; o++) {
            double sum = c.layer.bias[o], magnitudes = fabs(sum);
            for (size_t i = 0; i < n; i++) {
                const double term = (double)c.x[r * c.x_stride + i] *
                                    (double)c.layer.weight[linear_place(&c.layer, i, o)];
                sum += term;
                magnitudes += fabs(term);
            }
            if (c.relu && sum < 0)
                sum = 0;
            const double bound = (double)n * U / (1 - (double)n * U) * magnitudes;
            const float found = c.y[r * c.y_stride + o];
            CHECK_MSG(fabs((double)found - sum) <= bound, "%zu inputs: %a, in double %a", n,
                      (double)found, sum);
        }
    }
}

/* ---- layer norm and product */

/* x0, y, c and z of the same shape; gamma and beta, which others take as weights and bias; a gate
 * per row. */
struct rows_case {
    size_t width, n_rows, stride;
    float *gamma, *beta, *x0, *y, *c, *z, *gates;
};

enum { GATE_STRIDE = 3 };

static struct rows_case rows_case_make(size_t number, value_source *value, enum place place)
{
    random_seed(number);
    struct rows_case k = {.width = width_of(number), .n_rows = n_rows_of(number)};
    k.stride = random_stride(k.width);
    const size_t length = rows_length(k.n_rows, k.width, k.stride);
    k.gamma = place_array(0, kernel_padded(k.width), place);
    k.beta = place_array(1, kernel_padded(k.width), place);
    k.x0 = place_array(2, length, place);
    k.y = place_array(3, length, place);
    k.c = place_array(4, length, place);
    k.z = place_array(8, length, place);
    k.gates = place_array(7, k.n_rows * GATE_STRIDE, place);
    fill_weights(k.gamma, k.width, value, 1);
    fill_weights(k.beta, k.width, value, 1);
    fill_rows(k.x0, k.n_rows, k.width, k.stride, value);
    fill_rows(k.y, k.n_rows, k.width, k.stride, value);
    fill_rows(k.c, k.n_rows, k.width, k.stride, value);
    for (size_t i = 0; i < k.n_rows * GATE_STRIDE; i++)
        k.gates[i] = value();
    fill_rows(k.z, k.n_rows, k.width, k.stride, value);
    /* A row of one value has no variance; a shifted one has little beside its mean. */
    if (k.n_rows && random_between(0, 3) == 0)
        for (size_t i = 0; i < k.width; i++)
            k.y[i] = 3.25f;
    if (k.n_rows && random_between(0, 3) == 0)
        for (size_t i = 0; i < k.width; i++)
            k.y[i] += 40.0f;
    return k;
}

/* Of `n_rows` rows from row `first`, whose c is given apart. */
typedef void rows_kernel(const struct kernels *kernels, const struct rows_case *k, size_t first,
                         size_t n_rows, const float *c, float *out);

static void run_layer_norm(const struct kernels *kernels, const struct rows_case *k, size_t first,
                           size_t n_rows, const float *c, float *out)
{
    kernels->layer_norm_add(k->width, k->gamma, k->beta, n_rows, k->y + first * k->stride, c, out,
                            k->stride);
}

static void run_product(const struct kernels *kernels, const struct rows_case *k, size_t first,
                        size_t n_rows, const float *c, float *out)
{
    kernels->multiply_add(k->width, n_rows, k->x0 + first * k->stride, k->y + first * k->stride, c,
                          out, k->stride);
}

static void run_product_bias(const struct kernels *kernels, const struct rows_case *k, size_t first,
                             size_t n_rows, const float *c, float *out)
{
    kernels->multiply_add_bias(k->width, n_rows, k->beta, k->x0 + first * k->stride,
                               k->y + first * k->stride, c, out, k->stride);
}

static void run_vector(const struct kernels *kernels, const struct rows_case *k, size_t first,
                       size_t n_rows, const float *c, float *out)
{
    kernels->cross_vector(k->width, k->gamma, k->beta, n_rows, k->x0 + first * k->stride, c, out,
                          k->stride);
}

static void run_mixture(const struct kernels *kernels, const struct rows_case *k, size_t first,
                        size_t n_rows, const float *c, float *out)
{
    kernels->mixture_add(k->width, n_rows, k->gates + first * GATE_STRIDE, GATE_STRIDE,
                         k->x0 + first * k->stride, k->y + first * k->stride, c, out, k->stride);
}

static void run_gated(const struct kernels *kernels, const struct rows_case *k, size_t first,
                      size_t n_rows, const float *c, float *out)
{
    kernels->cross_gated(k->width, n_rows, k->z + first * k->stride, k->x0 + first * k->stride,
                         k->y + first * k->stride, c, out, k->stride);
}

/* Every other case writes over c, as all layers but the first do. */
static void check_rows_kernel(rows_kernel *run, const struct kernels *kernels, size_t number,
                              enum place place)
{
    static float expected[MAX_ROWS * MAX_STRIDE], before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(number, values_of(number), place);
    const size_t length = rows_length(k.n_rows, k.width, k.stride);
    float *out = number & 1 ? k.c : place_array(5, length, place);
    if (out != k.c)
        fill_rows(out, k.n_rows, k.width, k.stride, random_edge);
    memcpy(before, out, length * sizeof *before);
    run(&kernels_scalar, &k, 0, k.n_rows, k.c, expected);

    const size_t alone = k.n_rows ? random_between(0, k.n_rows - 1) : 0;
    if (k.n_rows) {
        const float *c = k.c + alone * k.stride;
        float *one = place_array(6, kernel_padded(k.width), place);
        run(kernels, &k, alone, 1, c, one);
        CHECK(rows_are_same("alone", one, expected + alone * k.stride, 1, k.width, k.stride));
    }
    run(kernels, &k, 0, k.n_rows, k.c, out);
    CHECK(rows_are_same(kernels->name, out, expected, k.n_rows, k.width, k.stride));
    CHECK(gaps_are_as_before(out, before, k.n_rows, k.width, k.stride));
}

/*
 * With M = max |y|, s = 1 / sqrt(variance + eps) and k = width / 16 + 8 operations in the
 * longest chain: mean off by k u M, each centred value by (k + 2) u M, s by (k + 2) u of it.
 */
static void check_layer_norm_in_double(size_t number, enum place place)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(number, random_value, place);
    const double chain = (double)(k.width / KERNEL_LANES) + 8;
    memcpy(before, k.c, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run_layer_norm(&kernels_scalar, &k, 0, k.n_rows, before, k.c);
    for (size_t r = 0; r < k.n_rows; r++) {
        const float *y = k.y + r * k.stride;
        double mean = 0, variance = 0, most = 0;
        for (size_t i = 0; i < k.width; i++) {
            mean += y[i] / (double)k.width;
            most = fmax(most, fabs((double)y[i]));
        }
        for (size_t i = 0; i < k.width; i++)
            variance += (y[i] - mean) * (y[i] - mean) / (double)k.width;
        const double inverse = 1 / sqrt(variance + 1e-5);
        for (size_t i = 0; i < k.width; i++) {
            const double normed = (y[i] - mean) * inverse * k.gamma[i];
            const double old = before[r * k.stride + i], result = normed + k.beta[i] + old;
            const double bound = 4 * (chain + 2) * U * most * inverse * fabs((double)k.gamma[i]) +
                                 2 * U * (fabs(normed) + fabs((double)k.beta[i]) + fabs(old));
            const float found = k.c[r * k.stride + i];
            CHECK_MSG(fabs((double)found - result) <= bound, "width %zu: %a, in double %a", k.width,
                      (double)found, result);
        }
    }
}

/* An element of a cross layer in double: the product, and what is added to it. */
struct cross_element {
    double product, rest;
};

typedef struct cross_element cross_layer(const struct rows_case *k, size_t r, size_t i,
                                         const float *c);

static struct cross_element product_in_double(const struct rows_case *k, size_t r, size_t i,
                                              const float *c)
{
    const size_t at = r * k->stride + i;
    return (struct cross_element){(double)k->x0[at] * (double)k->y[at], c[at]};
}

static struct cross_element product_bias_in_double(const struct rows_case *k, size_t r, size_t i,
                                                   const float *c)
{
    const size_t at = r * k->stride + i;
    return (struct cross_element){(double)k->x0[at] * (double)k->y[at],
                                  (double)k->beta[i] + (double)c[at]};
}

static struct cross_element vector_in_double(const struct rows_case *k, size_t r, size_t i,
                                             const float *c)
{
    double sum = 0;
    for (size_t j = 0; j < k->width; j++)
        sum += (double)k->gamma[j] * (double)c[r * k->stride + j];
    const size_t at = r * k->stride + i;
    return (struct cross_element){(double)k->x0[at] * sum, (double)k->beta[i] + (double)c[at]};
}

static struct cross_element mixture_in_double(const struct rows_case *k, size_t r, size_t i,
                                              const float *c)
{
    const size_t at = r * k->stride + i;
    return (struct cross_element){
        (double)k->gates[r * GATE_STRIDE] * (double)k->x0[at] * (double)k->y[at], c[at]};
}

static struct cross_element gated_in_double(const struct rows_case *k, size_t r, size_t i,
                                            const float *c)
{
    const size_t at = r * k->stride + i;
    return (struct cross_element){
        (double)k->x0[at] * (double)k->y[at] / (1 + exp(-(double)k->z[at])), c[at]};
}

/* `of_product` and `of_rest`: by how many U of themselves these are off before the result is
 * rounded: 1 if they are rounded to float. */
static void check_cross_in_double(size_t number, enum place place, rows_kernel *run,
                                  cross_layer *in_double, double of_product, double of_rest)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(number, random_value, place);
    memcpy(before, k.c, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run(&kernels_scalar, &k, 0, k.n_rows, before, k.c);
    for (size_t r = 0; r < k.n_rows; r++) {
        for (size_t i = 0; i < k.width; i++) {
            const struct cross_element e = in_double(&k, r, i, before);
            const double result = e.product + e.rest, found = (double)k.c[r * k.stride + i];
            const double bound =
                fabs(result) + of_product * fabs(e.product) + of_rest * fabs(e.rest);
            /* the last are roundings of what is compared with */
            CHECK_MSG(fabs(found - result) <= 1.001 * U * bound + 0x1p-44, "%a, in double %a",
                      found, result);
        }
    }
}

/* ---- output */

struct output_case {
    size_t c_width, d_width, n_rows, c_stride, d_stride;
    float bias;
    float *w_c, *w_d, *c, *d, *scores;
};

/* One case in three leaves one of the two sides out. */
static struct output_case output_case_make(size_t number, value_source *value, enum place place)
{
    random_seed(number);
    const size_t sides = random_between(0, 5);
    struct output_case k = {.c_width = sides == 1 ? 0 : width_of(number),
                            .d_width = sides == 0 ? 0 : random_width(),
                            .n_rows = n_rows_of(number),
                            .bias = value(),
                            .w_c = untouchable,
                            .w_d = untouchable,
                            .c = untouchable,
                            .d = untouchable,
                            .c_stride = KERNEL_LANES,
                            .d_stride = KERNEL_LANES};
    const float factor = 1 / sqrtf((float)(k.c_width + k.d_width));
    if (k.c_width) {
        k.c_stride = random_stride(k.c_width);
        k.w_c = place_array(0, kernel_padded(k.c_width), place);
        k.c = place_array(1, rows_length(k.n_rows, k.c_width, k.c_stride), place);
        fill_weights(k.w_c, k.c_width, value, 2 * factor);
        fill_rows(k.c, k.n_rows, k.c_width, k.c_stride, value);
    }
    if (k.d_width) {
        k.d_stride = random_stride(k.d_width);
        k.w_d = place_array(2, kernel_padded(k.d_width), place);
        k.d = place_array(3, rows_length(k.n_rows, k.d_width, k.d_stride), place);
        fill_weights(k.w_d, k.d_width, value, 2 * factor);
        fill_rows(k.d, k.n_rows, k.d_width, k.d_stride, value);
    }
    k.scores = place_array(4, k.n_rows, place);
    return k;
}

static void run_output(const struct kernels *kernels, const struct output_case *k, size_t first,
                       size_t n_rows, float *scores)
{
    const float *c = k->c_width ? k->c + first * k->c_stride : k->c;
    const float *d = k->d_width ? k->d + first * k->d_stride : k->d;
    kernels->output(k->w_c, k->c_width, k->w_d, k->d_width, k->bias, n_rows, c, k->c_stride, d,
                    k->d_stride, scores);
}

/* The same scores by dot, join and sigmoid, over all rows and from each row on. */
static void check_parts_of_output(const struct kernels *kernels, const struct output_case *k,
                                  const float *expected, enum place place)
{
    const size_t n_sums = k->n_rows * KERNEL_LANES;
    double *sums = place_doubles(5, n_sums, place), *logits = place_doubles(6, k->n_rows, place);
    float *scores = place_array(7, k->n_rows, place);
    memset(sums, 0, n_sums * sizeof *sums);
    if (k->c_width)
        kernels->dot(k->c_width, k->w_c, k->n_rows, k->c, k->c_stride, sums);
    if (k->d_width)
        kernels->dot(k->d_width, k->w_d, k->n_rows, k->d, k->d_stride, sums);
    kernels->join(k->n_rows, sums, k->bias, logits);
    kernels->sigmoid(k->n_rows, logits, scores);
    for (size_t r = 0; r < k->n_rows; r++) {
        float alone;
        kernels->sigmoid(1, logits + r, &alone);
        CHECK_MSG(same(scores[r], expected[r]) && same(alone, expected[r]), "%s: row %zu: %a, %a",
                  kernels->name, r, (double)scores[r], (double)expected[r]);
    }
}

static void check_output(const struct kernels *kernels, size_t number, enum place place)
{
    float expected[MAX_ROWS];
    const struct output_case k = output_case_make(number, values_of(number), place);
    run_output(&kernels_scalar, &k, 0, k.n_rows, expected);
    run_output(kernels, &k, 0, k.n_rows, k.scores);
    for (size_t r = 0; r < k.n_rows; r++) {
        CHECK_MSG(same(k.scores[r], expected[r]), "%s: row %zu of %zu, widths %zu, %zu: %a, %a",
                  kernels->name, r, k.n_rows, k.c_width, k.d_width, (double)k.scores[r],
                  (double)expected[r]);
        float *alone = place_array(5, 1, place);
        run_output(kernels, &k, r, 1, alone);
        CHECK(same(*alone, expected[r]));
    }
    check_parts_of_output(kernels, &k, expected, place);
}

/* All in double but the score, which is rounded once; the logit's own error is that of double, and
 * 4 u^2 of the sigmoid's polynomial. */
static void check_output_in_double(size_t number, enum place place)
{
    const struct output_case k = output_case_make(number, random_value, place);
    run_output(&kernels_scalar, &k, 0, k.n_rows, k.scores);
    for (size_t r = 0; r < k.n_rows; r++) {
        double logit = k.bias, magnitudes = fabs(logit);
        for (size_t i = 0; i < k.c_width; i++) {
            const double term = (double)k.c[r * k.c_stride + i] * (double)k.w_c[i];
            logit += term;
            magnitudes += fabs(term);
        }
        for (size_t i = 0; i < k.d_width; i++) {
            const double term = (double)k.d[r * k.d_stride + i] * (double)k.w_d[i];
            logit += term;
            magnitudes += fabs(term);
        }
        const double score = 1 / (1 + exp(-logit));
        CHECK(fabs((double)k.scores[r] - score) <= 1.01 * U * score + 0x1p-48 * magnitudes);
    }
}

/* ---- all of it */

static void check_layer_norm(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_layer_norm, kernels, number, place);
}

static void check_product(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_product, kernels, number, place);
}

static void check_product_bias(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_product_bias, kernels, number, place);
}

static void check_vector(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_vector, kernels, number, place);
}

static void check_mixture(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_mixture, kernels, number, place);
}

static void check_gated(const struct kernels *kernels, size_t number, enum place place)
{
    check_rows_kernel(run_gated, kernels, number, place);
}

TEST(a_linear_layer_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_linear);
}

TEST(a_layer_norm_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_layer_norm);
}

TEST(a_product_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_product);
}

TEST(each_other_cross_layer_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_product_bias);
    check_against_scalar(check_vector);
    check_against_scalar(check_mixture);
    check_against_scalar(check_gated);
}

TEST(an_output_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_output);
}

TEST(the_scalar_kernels_are_within_their_bounds_of_double)
{
    for (size_t number = 0; number < N_CASES; number += 3) {
        const enum place place = number & 1 ? AT_START : AT_END;
        check_linear_in_double(number, place);
        check_layer_norm_in_double(number, place);
        check_cross_in_double(number, place, run_product, product_in_double, 0, 0);
        check_cross_in_double(number, place, run_product_bias, product_bias_in_double, 0, 1);
        check_cross_in_double(number, place, run_vector, vector_in_double, 0, 0);
        check_cross_in_double(number, place, run_mixture, mixture_in_double, 1, 0);
        check_cross_in_double(number, place, run_gated, gated_in_double, 6e-10 / U, 0);
        check_output_in_double(number, place);
    }
}

TEST(no_rows_are_no_work)
{
    const struct linear layer = {.n_in = 3, .n_out = 5, .weight = untouchable, .bias = untouchable};
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *k = set_of(s);
        if (k == NULL)
            continue;
        float *const u = untouchable;
        k->linear(&layer, 0, u, 16, u, 16);
        k->linear_relu(&layer, 0, u, 16, u, 16);
        k->layer_norm_add(5, u, u, 0, u, u, u, 16);
        k->multiply_add(5, 0, u, u, u, u, 16);
        k->multiply_add_bias(5, 0, u, u, u, u, u, 16);
        k->cross_vector(5, u, u, 0, u, u, u, 16);
        k->mixture_add(5, 0, u, 1, u, u, u, u, 16);
        k->cross_gated(5, 0, u, u, u, u, u, 16);
        k->softmax(5, 0, u, 16);
        k->dot(5, u, 0, u, 16, (double *)(void *)u);
        k->join(0, (double *)(void *)u, 0, (double *)(void *)u);
        k->sigmoid(0, (double *)(void *)u, u);
        k->output(u, 3, u, 2, 0.5f, 0, u, 16, u, 16, u);
    }
}

TEST(a_relu_makes_nan_and_negative_zero_zero)
{
    float *weight = place_array(0, KERNEL_LANES, AT_END);
    float *bias = place_array(1, KERNEL_LANES, AT_END);
    float *x = place_array(2, KERNEL_LANES, AT_END), *y = place_array(3, KERNEL_LANES, AT_END);
    const struct linear layer = {.n_in = 1, .n_out = 2, .weight = weight, .bias = bias};
    fill_weights(weight, 2, random_value, 0);
    fill_weights(bias, 2, random_value, 0);
    weight[linear_place(&layer, 0, 0)] = weight[linear_place(&layer, 0, 1)] = 1;
    bias[0] = bias[1] = -0.0f;
    static const float inputs[] = {-0.0f, NAN, -1.0f, -INFINITY};
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        for (size_t i = 0; kernels && i < 4; i++) {
            x[0] = inputs[i];
            kernels->linear_relu(&layer, 1, x, KERNEL_LANES, y, KERNEL_LANES);
            CHECK(y[0] == 0 && !signbit(y[0]) && y[1] == 0 && !signbit(y[1]));
        }
    }
}

/* ---- which set */

TEST(a_set_is_chosen_by_its_name_or_the_fastest)
{
    const struct kernels *fastest = kernels_select(NULL);
    CHECK(fastest != NULL);
    CHECK(kernels_select("scalar") == &kernels_scalar);
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        CHECK(kernels == NULL || strncmp(kernels->name, set_names[s], strlen(kernels->name)) == 0);
    }
#if defined(__x86_64__)
    CHECK(kernels_select("avx512") == NULL || fastest == &kernels_avx512);
    CHECK(kernels_select("avx512") || kernels_select("avx2") == NULL || fastest == &kernels_avx2);
#endif
    CHECK(kernels_select("AVX2") == NULL && kernels_select("avx2 ") == NULL);
    CHECK(kernels_select("no such set") == NULL);
}

void run_checks(void)
{
    RUN(a_set_is_chosen_by_its_name_or_the_fastest);
    RUN(a_linear_layer_is_the_scalar_one_bit_for_bit);
    RUN(a_layer_norm_is_the_scalar_one_bit_for_bit);
    RUN(a_product_is_the_scalar_one_bit_for_bit);
    RUN(each_other_cross_layer_is_the_scalar_one_bit_for_bit);
    RUN(an_output_is_the_scalar_one_bit_for_bit);
    RUN(the_scalar_kernels_are_within_their_bounds_of_double);
    RUN(no_rows_are_no_work);
    RUN(a_relu_makes_nan_and_negative_zero_zero);
}
