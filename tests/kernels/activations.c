/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activations.c: every activation and the softmax of every set against the scalar ones, bit for
 * bit, and the scalar ones against libm's long double.
 *
 * A result is rounded once from double arithmetic that is off by 6e-10 of it at most, 0.01 u.
 */
#include "checks.h"

#include <math.h>

#include "cases.h"
#include "test.h"

static const double U = 0x1p-24, BOUND = 1.01 * 0x1p-24; /* of the result */

static const char *const kind_names[] = {
    "none",      "relu",     "leaky relu",       "prelu",      "gelu",
    "gelu tanh", "silu",     "sigmoid",          "tanh",       "elu",
    "dice",      "dice row", "swish layer norm", "layer norm", "affine"};
enum { N_KINDS = sizeof kind_names / sizeof kind_names[0] };

/* ---- any rows, in guarded memory */

struct activation_case {
    struct activation activation;
    size_t width, n_rows, stride;
    float *y;
};

static float *unit_floats(size_t array, size_t width, value_source *value, enum place place)
{
    float *all = place_array(array, kernel_padded(width), place);
    fill_weights(all, width, value, 1);
    return all;
}

static double *unit_doubles(size_t array, size_t width, value_source *value, enum place place)
{
    double *all = place_doubles(array, kernel_padded(width), place);
    for (size_t u = 0; u < kernel_padded(width); u++)
        all[u] = u < width ? (double)value() : 0;
    return all;
}

/* Values up to one, ten, a hundred: of an exponential that is all there is. */
static struct activation_case activation_case_make(size_t number, value_source *value,
                                                   enum place place)
{
    static const float factors[] = {1, 1, 10, 100};
    random_seed(number);
    struct activation_case k = {.width = width_of(number), .n_rows = n_rows_of(number)};
    k.stride = random_stride(k.width);
    k.activation = (struct activation){.kind = (enum activation_kind)(number % N_KINDS),
                                       .slope = value(),
                                       .eps = number & 1 ? 1e-5 : 1e-3,
                                       .slopes = unit_floats(0, k.width, value, place),
                                       .gamma = unit_floats(1, k.width, value, place),
                                       .beta = unit_floats(2, k.width, value, place),
                                       .scale = unit_doubles(3, k.width, value, place),
                                       .shift = unit_doubles(4, k.width, value, place)};
    k.y = place_array(5, rows_length(k.n_rows, k.width, k.stride), place);
    fill_rows(k.y, k.n_rows, k.width, k.stride, value);
    const float factor = factors[random_between(0, 3)];
    for (size_t i = 0; i < rows_length(k.n_rows, k.width, k.stride); i++)
        k.y[i] *= factor;
    return k;
}

/* On rows in their place: the activation of the case, or the softmax. */
typedef void in_place(const struct kernels *kernels, const struct activation_case *k, size_t n_rows,
                      float *y);

static void run_activation(const struct kernels *kernels, const struct activation_case *k,
                           size_t n_rows, float *y)
{
    kernels->activate(&k->activation, k->width, n_rows, y, k->stride);
}

static void run_softmax(const struct kernels *kernels, const struct activation_case *k,
                        size_t n_rows, float *y)
{
    kernels->softmax(k->width, n_rows, y, k->stride);
}

static void check_in_place(in_place *run, const struct kernels *kernels, size_t number,
                           enum place place)
{
    static float expected[MAX_ROWS * MAX_STRIDE], before[MAX_ROWS * MAX_STRIDE];
    const struct activation_case k = activation_case_make(number, values_of(number), place);
    const size_t length = rows_length(k.n_rows, k.width, k.stride);
    memcpy(before, k.y, length * sizeof *before);
    memcpy(expected, k.y, length * sizeof *before);
    run(&kernels_scalar, &k, k.n_rows, expected);
    run(kernels, &k, k.n_rows, k.y);
    CHECK_MSG(rows_are_same(kernels->name, k.y, expected, k.n_rows, k.width, k.stride), "%s",
              kind_names[k.activation.kind]);
    CHECK(gaps_are_as_before(k.y, before, k.n_rows, k.width, k.stride));
    if (k.n_rows == 0)
        return;
    const size_t alone = random_between(0, k.n_rows - 1);
    float *y = place_array(6, kernel_padded(k.width), place);
    memcpy(y, before + alone * k.stride, kernel_padded(k.width) * sizeof *y);
    run(kernels, &k, 1, y);
    CHECK(rows_are_same("alone", y, expected + alone * k.stride, 1, k.width, k.stride));
}

static void check_activation(const struct kernels *kernels, size_t number, enum place place)
{
    check_in_place(run_activation, kernels, number, place);
}

static void check_softmax(const struct kernels *kernels, size_t number, enum place place)
{
    check_in_place(run_softmax, kernels, number, place);
}

/* ---- what they are in long double */

static long double logistic(long double x)
{
    return 1 / (1 + expl(-x));
}

/* What a row's activation needs of all of its elements. */
struct row_numbers {
    long double mean, squares; /* squares of the distances from the mean, summed */
};

static struct row_numbers numbers_of(size_t width, const float *y)
{
    struct row_numbers n = {0, 0};
    for (size_t i = 0; i < width; i++)
        n.mean += (long double)y[i] / (long double)width;
    for (size_t i = 0; i < width; i++)
        n.squares += ((long double)y[i] - n.mean) * ((long double)y[i] - n.mean);
    return n;
}

static long double dice_of(long double p, long double alpha, long double v)
{
    return p * v + alpha * (1 - p) * v;
}

static long double activation_of(const struct activation_case *k, size_t u, float value,
                                 struct row_numbers row)
{
    const struct activation *a = &k->activation;
    const long double v = value, slope = a->slope, width = (long double)k->width;
    const long double affine = v * a->scale[u] + a->shift[u];
    const long double norm =
        (v - row.mean) / sqrtl(row.squares / width + a->eps) * a->gamma[u] + a->beta[u];
    switch (a->kind) {
    case ACTIVATION_NONE:
        return v;
    case ACTIVATION_RELU:
        return v < 0 ? 0 : v;
    case ACTIVATION_LEAKY_RELU:
        return v < 0 ? slope * v : v;
    case ACTIVATION_PRELU:
        return v < 0 ? a->slopes[u] * v : v;
    case ACTIVATION_GELU:
        return v * erfcl(-v / sqrtl(2)) / 2;
    case ACTIVATION_GELU_TANH: /* (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)), exact where it is small
                                */
        return v * logistic(2 * sqrtl(2 / acosl(-1)) * (v + 0.044715L * v * v * v));
    case ACTIVATION_SILU:
        return v * logistic(v);
    case ACTIVATION_SIGMOID:
        return logistic(v);
    case ACTIVATION_TANH:
        return tanhl(v);
    case ACTIVATION_ELU:
        return v < 0 ? slope * expm1l(v) : v;
    case ACTIVATION_DICE:
        return dice_of(logistic(affine), a->slopes[u], v);
    case ACTIVATION_DICE_ROW:
        return dice_of(logistic((v - row.mean) / sqrtl(row.squares + 0.001L * width)), slope, v);
    case ACTIVATION_SWISH_LAYER_NORM:
        return v * logistic(norm);
    case ACTIVATION_LAYER_NORM:
        return norm;
    case ACTIVATION_AFFINE:
        return affine;
    }
    return NAN;
}

/* What is lost where terms cancel: double's own error, and in both Dices the exponential's. */
static double lost(const struct activation_case *k, size_t u, float v, struct row_numbers row)
{
    const struct activation *a = &k->activation;
    const double size = fabs((double)v),
                 deviation = sqrt((double)row.squares / (double)k->width + a->eps);
    switch (a->kind) {
    case ACTIVATION_DICE:
        return 4e-10 * size * (1 + fabs((double)a->slopes[u])) + 1e-15 * size * fabs(a->shift[u]);
    case ACTIVATION_DICE_ROW:
        return 4e-10 * size * (1 + fabs((double)a->slope));
    case ACTIVATION_SWISH_LAYER_NORM:
    case ACTIVATION_LAYER_NORM:
        return 1e-13 * (fabs((double)a->beta[u]) +
                        (size + fabs((double)row.mean)) * fabs((double)a->gamma[u]) / deviation);
    case ACTIVATION_AFFINE:
        return 1e-15 * (size * fabs(a->scale[u]) + fabs(a->shift[u]));
    default:
        return 0;
    }
}

static void check_activation_in_long_double(size_t number)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct activation_case k = activation_case_make(number, random_value, AT_END);
    memcpy(before, k.y, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run_activation(&kernels_scalar, &k, k.n_rows, k.y);
    for (size_t r = 0; r < k.n_rows; r++) {
        const float *row = before + r * k.stride;
        const struct row_numbers numbers = numbers_of(k.width, row);
        for (size_t u = 0; u < k.width; u++) {
            const long double exact = activation_of(&k, u, row[u], numbers);
            const double found = k.y[r * k.stride + u], distance = (double)fabsl(found - exact);
            CHECK_MSG(distance <=
                          BOUND * (double)fabsl(exact) + 0x1p-150 + lost(&k, u, row[u], numbers),
                      "%s of %a: %a, in long double %La", kind_names[k.activation.kind],
                      (double)row[u], found, exact);
        }
    }
}

static void check_softmax_in_long_double(size_t number)
{
    static float before[MAX_ROWS * MAX_STRIDE];
    const struct activation_case k = activation_case_make(number, random_value, AT_END);
    memcpy(before, k.y, rows_length(k.n_rows, k.width, k.stride) * sizeof *before);
    run_softmax(&kernels_scalar, &k, k.n_rows, k.y);
    for (size_t r = 0; r < k.n_rows; r++) {
        long double sum = 0;
        for (size_t u = 0; u < k.width; u++)
            sum += expl(before[r * k.stride + u]);
        for (size_t u = 0; u < k.width; u++) {
            const long double exact = expl(before[r * k.stride + u]) / sum;
            const double found = k.y[r * k.stride + u];
            CHECK(fabs(found - (double)exact) <= BOUND * (double)exact + 0x1p-150);
        }
    }
}

/* ---- those of one number alone, over the whole range of floats */

enum { BATCH = 256 };

static bool is_of_one_number(enum activation_kind kind)
{
    return kind != ACTIVATION_DICE_ROW && kind != ACTIVATION_SWISH_LAYER_NORM &&
           kind != ACTIVATION_LAYER_NORM;
}

/* One slope for all units, and a batch norm with a mean of many deviation. */
static struct activation_case range_case(enum activation_kind kind)
{
    static float slopes[BATCH];
    static double scale[BATCH], shift[BATCH];
    for (size_t u = 0; u < BATCH; u++) {
        slopes[u] = -0.3f;
        scale[u] = 1.7;
        shift[u] = -20;
    }
    const struct activation a = {.kind = kind,
                                 .slope = 0.2f,
                                 .eps = 1,
                                 .slopes = slopes,
                                 .gamma = slopes,
                                 .beta = slopes,
                                 .scale = scale,
                                 .shift = shift};
    return (struct activation_case){.activation = a, .width = BATCH, .n_rows = 1, .stride = BATCH};
}

/* Infinities: what the formula gives in floats, where PyTorch has NaN for -inf * 0. */
static bool is_right(const struct activation_case *k, float value, float found, double *worst)
{
    const long double exact = activation_of(k, 0, value, (struct row_numbers){0, 0});
    if (isnan(exact))
        return isnan(found);
    if (isinf(exact) || (double)fabsl(exact) > (double)3.4028235e38f)
        return isinf(found) && (found < 0) == (exact < 0);
    const double size = (double)fabsl(exact), distance = (double)fabsl((long double)found - exact);
    const double terms = lost(k, 0, value, (struct row_numbers){0, 0});
    if (size >= 0x1p-126 && distance - terms > *worst * size)
        *worst = (distance - terms) / size;
    return distance <= BOUND * size + 0x1p-149 + terms;
}

static void check_range(const struct activation_case *k, const float *values, double *worst)
{
    static float expected[BATCH] __attribute__((aligned(KERNEL_ALIGNMENT)));
    static float found[BATCH] __attribute__((aligned(KERNEL_ALIGNMENT)));
    memcpy(expected, values, sizeof expected);
    run_activation(&kernels_scalar, k, 1, expected);
    for (size_t i = 0; i < BATCH; i++)
        CHECK_MSG(is_right(k, values[i], expected[i], worst), "%s of %a: %a",
                  kind_names[k->activation.kind], (double)values[i], (double)expected[i]);
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL || kernels == &kernels_scalar)
            continue;
        memcpy(found, values, sizeof found);
        run_activation(kernels, k, 1, found);
        CHECK(rows_are_same(kernels->name, found, expected, 1, BATCH, BATCH));
    }
}

/* Bits of floats far apart, and numbers close together where a network's values are. */
static float range_value(size_t i)
{
    enum { APART = 65521 };
    const size_t n_apart = ((size_t)1 << 32) / APART;
    const uint32_t bits = (uint32_t)(i * APART);
    float value;
    if (i >= n_apart)
        return (float)(i - n_apart) / 1024 - 32;
    memcpy(&value, &bits, sizeof value);
    return value;
}

TEST(an_activation_is_right_over_the_whole_range_of_floats)
{
    enum { N_BATCHES = 512 };
    float values[BATCH];
    for (int kind = 0; kind < N_KINDS; kind++) {
        if (!is_of_one_number(kind))
            continue;
        const struct activation_case k = range_case(kind);
        double worst = 0;
        for (size_t b = 0; b < N_BATCHES; b++) {
            for (size_t i = 0; i < BATCH; i++)
                values[i] = range_value(b * BATCH + i);
            check_range(&k, values, &worst);
        }
        printf("%s: largest relative distance to long double %.3f u\n", kind_names[kind],
               worst / U);
    }
}

static const float edges[] = {
    0.0f,      -0.0f,   INFINITY, -INFINITY, NAN,     3.4028235e38f, -3.4e38f, 1e-45f,
    -1e-45f,   -1e-40f, 1e-38f,   0x1p-126f, 88.0f,   -88.0f,        88.8f,    -87.4f,
    -103.9f,   -104.1f, -708.0f,  -708.1f,   -745.0f, 1e-20f,        -1e-20f,  0x1p-24f,
    -0x1p-13f, -13.1f,  -14.0f,   -37.5f,    1.0f,    -1.0f,         0.17329f, -0.346574f};

TEST(an_activation_of_edges_is_what_its_formula_gives)
{
    float values[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        values[i] = edges[i % (sizeof edges / sizeof edges[0])];
    for (int kind = 0; kind < N_KINDS; kind++) {
        const struct activation_case k = range_case(kind);
        double worst = 0;
        if (is_of_one_number(kind))
            check_range(&k, values, &worst);
    }
}

TEST(a_nan_in_a_row_makes_all_of_what_is_shared_nan)
{
    static float y[BATCH] __attribute__((aligned(KERNEL_ALIGNMENT)));
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        for (int kind = 0; kernels && kind <= N_KINDS; kind++) {
            for (size_t i = 0; i < BATCH; i++)
                y[i] = i == 77 ? NAN : 1;
            const struct activation_case k = range_case(kind);
            if (kind < N_KINDS)
                run_activation(kernels, &k, 1, y);
            else
                run_softmax(kernels, &k, 1, y);
            for (size_t i = 0; i < BATCH; i++)
                CHECK(!isnan(y[i]) == (i != 77 && kind < N_KINDS && is_of_one_number(kind)));
        }
    }
}

TEST(gates_far_apart_are_zero_and_one)
{
    float y[KERNEL_LANES] __attribute__((aligned(KERNEL_ALIGNMENT)));
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL)
            continue;
        for (size_t i = 0; i < KERNEL_LANES; i++)
            y[i] = NAN; /* the padding */
        y[0] = -3e38f, y[1] = 3e38f, y[2] = -INFINITY;
        kernels->softmax(3, 1, y, KERNEL_LANES);
        CHECK(y[0] == 0 && y[1] == 1 && y[2] == 0);
        y[0] = -1e30f;
        kernels->softmax(1, 1, y, KERNEL_LANES);
        CHECK(y[0] == 1);
    }
}

TEST(activations_and_softmax_are_the_scalar_ones_bit_for_bit)
{
    check_against_scalar(check_activation);
    check_against_scalar(check_softmax);
}

TEST(activations_and_softmax_are_within_their_bounds_of_long_double)
{
    for (size_t number = 0; number < N_CASES; number += 7)
        check_activation_in_long_double(number);
    for (size_t number = 0; number < N_CASES; number += 7)
        check_softmax_in_long_double(number);
}

void run_activation_checks(void)
{
    RUN(activations_and_softmax_are_the_scalar_ones_bit_for_bit);
    RUN(activations_and_softmax_are_within_their_bounds_of_long_double);
    RUN(an_activation_is_right_over_the_whole_range_of_floats);
    RUN(an_activation_of_edges_is_what_its_formula_gives);
    RUN(a_nan_in_a_row_makes_all_of_what_is_shared_nan);
    RUN(gates_far_apart_are_zero_and_one);
}
