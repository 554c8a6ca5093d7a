/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gradient kernels against plain loops in double precision: those that this CPU runs, and those
 * of 16 lanes, which the compiler puts together from what it has.
 */
#define TRAIN_SET  wide
#define TRAIN_WIDE 1
#pragma GCC diagnostic ignored "-Wpsabi"
#include "native/gradient_kernels.c"

#include <stdlib.h>

#include "backend/random.h"
#include "test.h"

enum { ROWS = 70, STRIDE = 208, SIZE = ROWS * STRIDE };

static struct random dice;
static const struct gradient_kernels *kernels;

static float *random_floats(void)
{
    float *values = aligned_alloc(KERNEL_ALIGNMENT, SIZE * sizeof *values);
    for (size_t i = 0; values && i < SIZE; i++)
        values[i] = (float)(2 * random_unit(&dice) - 1);
    return values;
}

/* As activations are: zeros in the padding. */
static float *random_rows(size_t width)
{
    float *values = random_floats();
    for (size_t i = 0; values && i < SIZE; i++)
        if (i % STRIDE >= width)
            values[i] = 0;
    return values;
}

static void check_near(float found, double expected, const char *what, size_t i, size_t k)
{
    CHECK_MSG(fabs((double)found - expected) <= 2e-5 * (1 + fabs(expected)),
              "%s [%zu][%zu]: %.9g, expected %.9g", what, i, k, (double)found, expected);
}

static void check_weight(size_t n_rows, size_t n_in, size_t n_out, bool is_first)
{
    float *x = random_rows(n_in), *dy = random_rows(n_out);
    float *found = random_rows(KERNEL_LANES), *before = random_floats();
    for (size_t i = 0; i < n_in * KERNEL_LANES; i++)
        found[i] = before[i] = i % KERNEL_LANES < n_out ? before[i] : 0;
    kernels->weight(n_rows, n_in, n_out, x, STRIDE, dy, STRIDE, found, is_first);
    for (size_t i = 0; i < n_in; i++)
        for (size_t o = 0; o < KERNEL_LANES; o++) {
            double sum = is_first ? 0 : (double)before[i * KERNEL_LANES + o];
            for (size_t r = 0; r < n_rows; r++)
                sum += (double)x[r * STRIDE + i] * (double)dy[r * STRIDE + o];
            check_near(found[i * KERNEL_LANES + o], sum, "weight", i, o);
        }
    free(x);
    free(dy);
    free(found);
    free(before);
}

static void check_sum_rows(size_t n_rows, size_t width, bool has_factors)
{
    float *rows = random_rows(width), *factors = random_floats(), *sums = random_floats();
    memset(sums, 0, SIZE * sizeof *sums);
    kernels->sum_rows(n_rows, kernel_padded(width), has_factors ? factors : NULL, rows, STRIDE,
                      sums);
    for (size_t i = 0; i < kernel_padded(width); i++) {
        double sum = 0;
        for (size_t r = 0; r < n_rows; r++)
            sum += (has_factors ? (double)factors[r] : 1) * (double)rows[r * STRIDE + i];
        check_near(sums[i], sum, "sum_rows", 0, i);
    }
    free(rows);
    free(factors);
    free(sums);
}

/* dy by the formula, from the y before. */
static void check_norm_row(size_t width, const float *gamma, const float *d, const float *y,
                           const float *along_found, const float *dy_found, size_t r)
{
    double mean = 0, variance = 0, inner = 0, along = 0;
    for (size_t i = 0; i < width; i++)
        mean += (double)y[i] / (double)width;
    for (size_t i = 0; i < width; i++)
        variance += pow((double)y[i] - mean, 2) / (double)width;
    const double deviation = sqrt(variance + 1e-5);
    for (size_t i = 0; i < width; i++) {
        inner += (double)d[i] * (double)gamma[i] / (double)width;
        along +=
            (double)d[i] * (double)gamma[i] * ((double)y[i] - mean) / deviation / (double)width;
    }
    for (size_t i = 0; i < kernel_padded(width); i++) {
        const double normed = ((double)y[i] - mean) / deviation;
        const double dy = ((double)d[i] * (double)gamma[i] - inner - normed * along) / deviation;
        check_near(along_found[i], i < width ? (double)d[i] * normed : 0, "along", r, i);
        check_near(dy_found[i] / (float)(1 / deviation), i < width ? dy * deviation : 0, "dy", r,
                   i);
    }
}

static void check_layer_norm(size_t n_rows, size_t width)
{
    float *gamma = random_rows(width), *d = random_rows(width), *y = random_rows(width);
    float *dy = random_floats(), *before = random_floats();
    memcpy(before, y, SIZE * sizeof *y);
    kernels->layer_norm(width, gamma, n_rows, d, y, dy, STRIDE);
    for (size_t r = 0; r < n_rows; r++)
        check_norm_row(width, gamma, d + r * STRIDE, before + r * STRIDE, y + r * STRIDE,
                       dy + r * STRIDE, r);
    free(gamma);
    free(d);
    free(y);
    free(dy);
    free(before);
}

static void check_elements(size_t n_rows, size_t width)
{
    float *a = random_rows(width), *b = random_rows(width), *d = random_rows(width);
    float *dy = random_floats(), *dx = random_rows(width), *before = random_floats();
    float *sum = random_floats(), *scaled = random_floats(), *cut = random_floats();
    memcpy(before, dx, SIZE * sizeof *dx);
    memcpy(cut, d, SIZE * sizeof *d);
    const size_t padded = kernel_padded(width);
    kernels->multiply(padded, n_rows, a, b, d, dy, dx, STRIDE);
    kernels->relu(padded, n_rows, a, cut, STRIDE);
    kernels->add(padded, n_rows, a, b, sum, STRIDE);
    kernels->scale(padded, n_rows, d, b, scaled, STRIDE);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0, at = r * STRIDE; i < padded; i++, at++) {
            check_near(dy[at], (double)d[at] * (double)a[at], "multiply", r, i);
            check_near(dx[at], (double)before[at] + (double)d[at] * (double)b[at], "multiply x0", r,
                       i);
            CHECK(cut[at] == (a[at] > 0 ? d[at] : 0));
            CHECK(sum[at] == a[at] + b[at]);
            CHECK(scaled[at] == d[r] * b[i]);
        }
    float *const all[] = {a, b, d, dy, dx, before, sum, scaled, cut};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_transpose(size_t n_in, size_t n_out)
{
    enum { PANEL = 3 * KERNEL_LANES };
    float *panel = random_floats(), *out = random_floats();
    memset(out, 0, SIZE * sizeof *out);
    kernels->transpose(n_in, n_out, panel, out, PANEL * KERNEL_LANES);
    size_t n_set = 0;
    for (size_t i = 0; i < n_in; i++)
        for (size_t o = 0; o < n_out; o++, n_set++)
            CHECK(out[i / KERNEL_LANES * PANEL * KERNEL_LANES + o * KERNEL_LANES +
                      i % KERNEL_LANES] == panel[i * KERNEL_LANES + o]);
    for (size_t i = 0; i < SIZE; i++)
        n_set -= out[i] != 0;
    CHECK_MSG(n_set == 0, "%zu by %zu: written elsewhere", n_in, n_out);
    free(panel);
    free(out);
}

static void check_sum_by_slot(size_t n_rows, size_t width)
{
    enum { SLOTS = 5 };
    uint32_t slots[ROWS];
    float *rows = random_floats(), *sums = random_floats();
    const size_t padded = row_padded(width);
    memset(sums, 0, SIZE * sizeof *sums);
    for (size_t r = 0; r < n_rows; r++)
        slots[r] = (uint32_t)random_below(&dice, SLOTS);
    kernels->sum_by_slot(n_rows, width, slots, rows + 1, STRIDE, sums);
    for (size_t s = 0; s < SLOTS; s++)
        for (size_t i = 0; i < padded; i++) {
            float sum = 0;
            for (size_t r = 0; r < n_rows && i < width; r++)
                sum += slots[r] == s ? rows[1 + r * STRIDE + i] : 0;
            CHECK(sums[s * padded + i] == sum);
        }
    free(rows);
    free(sums);
}

static void check_all(const struct gradient_kernels *which)
{
    static const size_t widths[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 129, 144, 190};
    static const size_t n_rows[] = {0, 1, 5, ROWS};
    kernels = which;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t n = 0; n < sizeof n_rows / sizeof *n_rows; n++) {
            const size_t n_out = 1 + (w * 5 + n) % KERNEL_LANES;
            check_weight(n_rows[n], widths[w], n_out, n % 2);
            check_sum_rows(n_rows[n], widths[w], n % 2);
            check_elements(n_rows[n], widths[w]);
            check_sum_by_slot(n_rows[n], widths[w]);
            if (widths[w] > 1) /* one element is its own mean */
                check_layer_norm(n_rows[n], widths[w]);
            check_transpose(widths[w], n_out);
        }
}

TEST(kernels_of_this_cpu_compute_the_formulas)
{
    check_all(train_kernels_select(kernels_select(NULL)).gradient);
}

TEST(plain_kernels_compute_the_formulas)
{
    check_all(train_kernels_select(kernels_select("scalar")).gradient);
}

TEST(kernels_of_16_lanes_compute_the_formulas)
{
    check_all(&gradient_kernels_wide);
}

int main(void)
{
    random_start(&dice, 1, 0);
    RUN(kernels_of_this_cpu_compute_the_formulas);
    RUN(plain_kernels_compute_the_formulas);
    RUN(kernels_of_16_lanes_compute_the_formulas);
    return test_report();
}
