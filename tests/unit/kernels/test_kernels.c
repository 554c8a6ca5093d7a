/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kernels.c: every kernel of every set against the scalar one, bit for bit, and the
 * scalar one against the same sums in double.
 *
 * Arrays lie between pages that cannot be touched, in turns at the end of their memory and
 * at its start. Bounds are in units of u = 2^-24, half a unit in a float's last place
 * (N. Higham, Accuracy and Stability of Numerical Algorithms, chapter 3: a chain of n
 * rounded operations is off by at most n u / (1 - n u) of the sum of the magnitudes).
 */
#include "kernels/kernels.h"

#include <math.h>

#include "guarded.h"
#include "test.h"

static const double U = 0x1p-24;

/* ---- random numbers and shapes */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t random_between(size_t least, size_t most)
{
    return least + (size_t)(random_bits() >> 16) % (most - least + 1);
}

/* Near 1 in magnitude, a bell of both signs. */
static float random_value(void)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)(random_bits() >> 11) * 0x1p-53 - 0.5;
    return (float)(sum * 1.7);
}

/* Any float of a few magnitudes, with zeros of both signs, infinities, NaN and subnormals. */
static float random_edge(void)
{
    static const float edges[] = {0.0f,     -0.0f,  INFINITY,  -INFINITY, NAN,    3.4e38f,
                                  -3.4e38f, 1e-45f, -1e-40f,   1e-20f,    1e20f,  -1e20f,
                                  1.0f,     -1.0f,  0x1p-126f, 87.0f,     -88.0f, 1e30f};
    const size_t n = sizeof edges / sizeof edges[0];
    return random_bits() % 3 ? random_value() : edges[random_between(0, n - 1)];
}

/* Widths around the multiples of the lanes more often than others. */
static size_t random_width(void)
{
    switch (random_between(0, 3)) {
    case 0:
        return random_between(1, 40);
    case 1: {
        const size_t middle = KERNEL_LANES * random_between(1, MAX_WIDTH / KERNEL_LANES - 1);
        return middle + random_between(0, 2) - 1;
    }
    default:
        return random_between(1, MAX_WIDTH);
    }
}

static size_t random_stride(size_t width)
{
    return kernel_padded(width) + KERNEL_LANES * random_between(0, 2);
}

/* Floats of an array of rows, of which the last one ends with its padding. */
static size_t rows_length(size_t n_rows, size_t width, size_t stride)
{
    return n_rows == 0 ? 0 : (n_rows - 1) * stride + kernel_padded(width);
}

/* Rows of values, and anything in their padding and between them. */
static void fill_rows(float *rows, size_t n_rows, size_t width, size_t stride, float (*value)(void))
{
    static const float garbage[] = {NAN, INFINITY, -INFINITY, -1e38f, 3e38f, 0.5f};
    const size_t length = rows_length(n_rows, width, stride);
    for (size_t i = 0; i < length; i++)
        rows[i] = i % stride < width ? value() : garbage[random_between(0, 5)];
}

/* Weights as a network has them: zeros in the padding. */
static void fill_weights(float *weights, size_t width, float (*value)(void), float factor)
{
    for (size_t i = 0; i < kernel_padded(width); i++)
        weights[i] = i < width ? factor * value() : 0;
}

/* What lies between a row's padding and the next row is not the kernel's to write. */
static bool gaps_are_as_before(const float *after, const float *before, size_t n_rows, size_t width,
                               size_t stride)
{
    const size_t padded = kernel_padded(width);
    for (size_t r = 0; r + 1 < n_rows; r++)
        if (memcmp(after + r * stride + padded, before + r * stride + padded,
                   (stride - padded) * sizeof *after) != 0)
            return false;
    return true;
}

static bool rows_are_same(const char *what, const float *rows, const float *expected, size_t n_rows,
                          size_t width, size_t stride)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < width; i++) {
            const float a = rows[r * stride + i], b = expected[r * stride + i];
            if (same(a, b))
                continue;
            fprintf(stderr, "    %s: row %zu of %zu, element %zu of %zu: %a, scalar %a\n", what, r,
                    n_rows, i, width, (double)a, (double)b);
            return false;
        }
    }
    return true;
}

/* ---- linear layers */

struct linear_case {
    struct linear layer;
    size_t n_rows, x_stride, y_stride;
    float *x, *y;
    bool relu;
};

static struct linear_case linear_case_make(float (*value)(void), enum place place)
{
    struct linear_case c = {.n_rows = random_between(1, MAX_ROWS), .relu = random_bits() & 1};
    c.layer.n_in = random_width();
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

static void check_linear(const struct kernels *kernels, float (*value)(void), enum place place)
{
    static float expected[MAX_ROWS * MAX_STRIDE], before[MAX_ROWS * MAX_STRIDE];
    const struct linear_case c = linear_case_make(value, place);
    const size_t n_out = c.layer.n_out;
    const size_t length = rows_length(c.n_rows, n_out, c.y_stride);
    run_linear(&kernels_scalar, &c, 0, c.n_rows, expected);
    fill_rows(c.y, c.n_rows, n_out, c.y_stride, random_edge);
    memcpy(before, c.y, length * sizeof *before);
    run_linear(kernels, &c, 0, c.n_rows, c.y);
    CHECK(rows_are_same(kernels->name, c.y, expected, c.n_rows, n_out, c.y_stride));
    CHECK(gaps_are_as_before(c.y, before, c.n_rows, n_out, c.y_stride));

    const size_t alone = random_between(0, c.n_rows - 1);
    float *y = place_array(4, kernel_padded(n_out), place);
    run_linear(kernels, &c, alone, 1, y);
    CHECK(rows_are_same("alone", y, expected + alone * c.y_stride, 1, n_out, c.y_stride));
}

static void check_linear_in_double(enum place place)
{
    const struct linear_case c = linear_case_make(random_value, place);
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

/* y and c of the same shape, gamma and beta; the product has x0 instead of those. */
struct rows_case {
    size_t width, n_rows, stride;
    float *gamma, *beta, *x0, *y, *c;
};

static struct rows_case rows_case_make(float (*value)(void), enum place place)
{
    struct rows_case k = {.width = random_width(), .n_rows = random_between(1, MAX_ROWS)};
    k.stride = random_stride(k.width);
    const size_t length = rows_length(k.n_rows, k.width, k.stride);
    k.gamma = place_array(0, kernel_padded(k.width), place);
    k.beta = place_array(1, kernel_padded(k.width), place);
    k.x0 = place_array(2, length, place);
    k.y = place_array(3, length, place);
    k.c = place_array(4, length, place);
    fill_weights(k.gamma, k.width, value, 1);
    fill_weights(k.beta, k.width, value, 1);
    fill_rows(k.x0, k.n_rows, k.width, k.stride, value);
    fill_rows(k.y, k.n_rows, k.width, k.stride, value);
    fill_rows(k.c, k.n_rows, k.width, k.stride, value);
    /* A row of one value has no variance; a shifted one has little beside its mean. */
    if (random_between(0, 3) == 0)
        for (size_t i = 0; i < k.width; i++)
            k.y[i] = 3.25f;
    if (random_between(0, 3) == 0)
        for (size_t i = 0; i < k.width; i++)
            k.y[i] += 40.0f;
    return k;
}

typedef void rows_kernel(const struct kernels *kernels, const struct rows_case *k, size_t first,
                         size_t n_rows, float *c);

static void run_layer_norm(const struct kernels *kernels, const struct rows_case *k, size_t first,
                           size_t n_rows, float *c)
{
    kernels->layer_norm_add(k->width, k->gamma, k->beta, n_rows, k->y + first * k->stride, c,
                            k->stride);
}

static void run_product(const struct kernels *kernels, const struct rows_case *k, size_t first,
                        size_t n_rows, float *c)
{
    kernels->multiply_add(k->width, n_rows, k->x0 + first * k->stride, k->y + first * k->stride, c,
                          k->stride);
}

static void check_rows_kernel(rows_kernel *run, const struct kernels *kernels, float (*value)(void),
                              enum place place)
{
    static float expected[MAX_ROWS * MAX_STRIDE], before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(value, place);
    const size_t length = rows_length(k.n_rows, k.width, k.stride);
    memcpy(expected, k.c, length * sizeof *expected);
    memcpy(before, k.c, length * sizeof *before);
    run(&kernels_scalar, &k, 0, k.n_rows, expected);
    run(kernels, &k, 0, k.n_rows, k.c);
    CHECK(rows_are_same(kernels->name, k.c, expected, k.n_rows, k.width, k.stride));
    CHECK(gaps_are_as_before(k.c, before, k.n_rows, k.width, k.stride));

    const size_t alone = random_between(0, k.n_rows - 1);
    float *c = place_array(5, kernel_padded(k.width), place);
    memcpy(c, before + alone * k.stride, kernel_padded(k.width) * sizeof *c);
    run(kernels, &k, alone, 1, c);
    CHECK(rows_are_same("alone", c, expected + alone * k.stride, 1, k.width, k.stride));
}

/*
 * With M = max |y|, s = 1 / sqrt(variance + eps) and k = width / 16 + 8 operations in the
 * longest chain: mean off by k u M, each centred value by (k + 2) u M, s by (k + 2) u of it.
 */
static void check_layer_norm_in_double(enum place place)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(random_value, place);
    const double chain = (double)(k.width / KERNEL_LANES) + 8;
    memcpy(before, k.c, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run_layer_norm(&kernels_scalar, &k, 0, k.n_rows, k.c);
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

static void check_product_in_double(enum place place)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct rows_case k = rows_case_make(random_value, place);
    memcpy(before, k.c, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run_product(&kernels_scalar, &k, 0, k.n_rows, k.c);
    for (size_t r = 0; r < k.n_rows; r++) {
        for (size_t i = 0; i < k.width; i++) {
            const size_t at = r * k.stride + i;
            const double result = (double)k.x0[at] * (double)k.y[at] + (double)before[at];
            /* one rounding of the float, one of the double it is compared with */
            CHECK(fabs((double)k.c[at] - result) <= 1.001 * U * fabs(result) + 0x1p-50);
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
static struct output_case output_case_make(float (*value)(void), enum place place)
{
    const size_t sides = random_between(0, 5);
    struct output_case k = {.c_width = sides == 1 ? 0 : random_width(),
                            .d_width = sides == 0 ? 0 : random_width(),
                            .n_rows = random_between(1, MAX_ROWS),
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

static void check_output(const struct kernels *kernels, float (*value)(void), enum place place)
{
    float expected[MAX_ROWS];
    const struct output_case k = output_case_make(value, place);
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
}

/* Of the logit: width / 16 + 8 operations in the longest chain; the sigmoid's slope is 1/4 at
 * most, and 4 u its own. */
static void check_output_in_double(enum place place)
{
    const struct output_case k = output_case_make(random_value, place);
    const double chain = (double)((k.c_width + k.d_width) / KERNEL_LANES) + 8;
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
        CHECK(fabs((double)k.scores[r] - score) <= chain * U * magnitudes / 4 + 4 * U * score);
    }
}

/* ---- all of it */

enum { N_CASES = 400 };

typedef void kernel_check(const struct kernels *kernels, float (*value)(void), enum place place);

static void check_against_scalar(kernel_check *check)
{
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL) {
            printf("%s does not run here\n", set_names[s]);
            continue;
        }
        for (int i = 0; i < N_CASES; i++)
            check(kernels, i % 4 == 3 ? random_edge : random_value, i & 1 ? AT_START : AT_END);
    }
}

static void check_layer_norm(const struct kernels *kernels, float (*value)(void), enum place place)
{
    check_rows_kernel(run_layer_norm, kernels, value, place);
}

static void check_product(const struct kernels *kernels, float (*value)(void), enum place place)
{
    check_rows_kernel(run_product, kernels, value, place);
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

TEST(an_output_is_the_scalar_one_bit_for_bit)
{
    check_against_scalar(check_output);
}

TEST(the_scalar_kernels_are_within_their_bounds_of_double)
{
    for (int i = 0; i < N_CASES / 4; i++) {
        const enum place place = i & 1 ? AT_START : AT_END;
        check_linear_in_double(place);
        check_layer_norm_in_double(place);
        check_product_in_double(place);
        check_output_in_double(place);
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
        k->layer_norm_add(5, u, u, 0, u, u, 16);
        k->multiply_add(5, 0, u, u, u, 16);
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

int main(void)
{
    map_arrays();
    RUN(a_set_is_chosen_by_its_name_or_the_fastest);
    RUN(a_linear_layer_is_the_scalar_one_bit_for_bit);
    RUN(a_layer_norm_is_the_scalar_one_bit_for_bit);
    RUN(a_product_is_the_scalar_one_bit_for_bit);
    RUN(an_output_is_the_scalar_one_bit_for_bit);
    RUN(the_scalar_kernels_are_within_their_bounds_of_double);
    RUN(no_rows_are_no_work);
    RUN(a_relu_makes_nan_and_negative_zero_zero);
    return test_report();
}
