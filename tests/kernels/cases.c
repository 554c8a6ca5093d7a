/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t random_state;

void random_seed(uint64_t seed)
{
    random_state = 88172645463325252u ^ seed * 0x9E3779B97F4A7C15u;
}

uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

size_t random_between(size_t least, size_t most)
{
    return least + (size_t)(random_bits() >> 16) % (most - least + 1);
}

float random_value(void)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)(random_bits() >> 11) * 0x1p-53 - 0.5;
    return (float)(sum * 1.7);
}

float random_edge(void)
{
    static const float edges[] = {0.0f,     -0.0f,  INFINITY,  -INFINITY, NAN,    3.4e38f,
                                  -3.4e38f, 1e-45f, -1e-40f,   1e-20f,    1e20f,  -1e20f,
                                  1.0f,     -1.0f,  0x1p-126f, 87.0f,     -88.0f, 1e30f};
    const size_t n = sizeof edges / sizeof edges[0];
    return random_bits() % 3 ? random_value() : edges[random_between(0, n - 1)];
}

size_t random_width(void)
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

size_t width_of(size_t number)
{
    return number < WIDTHS_IN_TURN ? number + 1 : random_width();
}

size_t n_rows_of(size_t number)
{
    return number % (MAX_ROWS + 1);
}

value_source *values_of(size_t number)
{
    return number % 4 == 3 ? random_edge : random_value;
}

void check_against_scalar(kernel_check *check)
{
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL) {
            printf("%s does not run here\n", set_names[s]);
            continue;
        }
        for (size_t number = 0; number < N_CASES; number++) {
            check(kernels, number, AT_END);
            check(kernels, number, AT_START);
        }
    }
}

size_t random_stride(size_t width)
{
    return kernel_padded(width) + KERNEL_LANES * random_between(0, 2);
}

size_t rows_length(size_t n_rows, size_t width, size_t stride)
{
    return n_rows == 0 ? 0 : (n_rows - 1) * stride + kernel_padded(width);
}

void fill_rows(float *rows, size_t n_rows, size_t width, size_t stride, float (*value)(void))
{
    static const float garbage[] = {NAN, INFINITY, -INFINITY, -1e38f, 3e38f, 0.5f};
    const size_t length = rows_length(n_rows, width, stride);
    for (size_t i = 0; i < length; i++)
        rows[i] = i % stride < width ? value() : garbage[random_between(0, 5)];
}

void fill_weights(float *weights, size_t width, float (*value)(void), float factor)
{
    for (size_t i = 0; i < kernel_padded(width); i++)
        weights[i] = i < width ? factor * value() : 0;
}

bool gaps_are_as_before(const float *after, const float *before, size_t n_rows, size_t width,
                        size_t stride)
{
    const size_t padded = kernel_padded(width);
    for (size_t r = 0; r + 1 < n_rows; r++)
        if (memcmp(after + r * stride + padded, before + r * stride + padded,
                   (stride - padded) * sizeof *after) != 0)
            return false;
    return true;
}

bool rows_are_same(const char *what, const float *rows, const float *expected, size_t n_rows,
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
