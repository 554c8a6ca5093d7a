/* SPDX-License-Identifier: Apache-2.0 */
/*
 * functions.h: the functions of one number, in double, of which activations are made. Plain C
 * without branches, so that the compiler turns a loop over them into vectors: the bits are the
 * same in any of them.
 */
#ifndef DCNV2_KERNELS_FUNCTIONS_H
#define DCNV2_KERNELS_FUNCTIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/constants.h"

#define FUNCTION static inline __attribute__((always_inline))

/* exp(x) = power * (1 + r * series), |r| <= ln(2) / 2 */
struct exponent {
    double power, r, series;
};

/* Of EXP_NORMAL_LOWEST <= x <= 0. Of a NaN, r is one. */
FUNCTION struct exponent exponent_of(double x)
{
    const double shifted = fma(x, EXP_LOG2E, EXP_TO_INT);
    struct exponent e = {.r = fma(shifted - EXP_TO_INT, -EXP_LN2, x), .series = EXP_C8};
    e.series = fma(e.series, e.r, EXP_C7);
    e.series = fma(e.series, e.r, EXP_C6);
    e.series = fma(e.series, e.r, EXP_C5);
    e.series = fma(e.series, e.r, EXP_C4);
    e.series = fma(e.series, e.r, EXP_C3);
    e.series = fma(e.series, e.r, EXP_C2);
    e.series = fma(e.series, e.r, 1.0);
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + EXP_BIAS) << EXP_SHIFT;
    memcpy(&e.power, &bits, sizeof bits);
    return e;
}

/* exp(x) of EXP_NORMAL_LOWEST <= x <= 0 */
FUNCTION double exponential(double x)
{
    const struct exponent e = exponent_of(x);
    return fma(e.series, e.r, 1.0) * e.power;
}

/* exp(x) of x <= 0, and 0 where that is less than any float, so that its product with an
 * infinity is NaN as it is in floats. */
FUNCTION double decay(double x)
{
    const double e = exponential(x < EXP_NORMAL_LOWEST ? EXP_NORMAL_LOWEST : x);
    return x < EXP_NORMAL_LOWEST ? 0 : e;
}

/* exp(x) - 1 of x <= 0, with all its digits also where x is close to 0 */
FUNCTION double decay_less_one(double x)
{
    const struct exponent e = exponent_of(x < EXP_NORMAL_LOWEST ? EXP_NORMAL_LOWEST : x);
    return fma(e.power, e.series * e.r, e.power - 1);
}

/* 1 / (1 + exp(-x)) */
FUNCTION double logistic(double x)
{
    const double e = decay(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

/* The score of a logit: logistic(x), but never less than that of EXP_LOWEST. */
FUNCTION float sigmoid_of(double x)
{
    const double below = -fabs(x);
    const double e = exponential(below < EXP_LOWEST ? EXP_LOWEST : below);
    return (float)((x < 0 ? e : 1.0) / (1.0 + e));
}

/* tanh(a) = -m / (2 + m), m = exp(-2 a) - 1 */
FUNCTION double hyperbolic_tangent(double x)
{
    const double m = decay_less_one(-2 * fabs(x)), t = -m / (2 + m);
    return x < 0 ? -t : t;
}

/*
 * The share of the normal distribution below x, (1 + erf(x / sqrt(2))) / 2, to 2e-10 of itself
 * where it is a float. Its tail beyond a is exp(-a^2 / 2) * t * Q(t), t = 1 / (1 + a / 4). Q is
 * a polynomial of degree 11, fitted by least squares of the relative distance at 300 Chebyshev
 * points of 0 <= a <= 14, reweighted until the largest distance no longer fell.
 */
FUNCTION double normal_share(double x)
{
    static const double q[] = {0x1.98819a8ec9461p-4,  0x1.98c6a2a0b302bp-4, 0x1.7c37fc2cd3e2fp-4,
                               0x1.5ce551483ca56p-4,  0x1.84a9541fea7aap-5, 0x1.563a942fe496bp-4,
                               -0x1.464fff234eef8p-5, 0x1.ddd7e0a84649cp-5, 0x1.565567eccfe9bp-9,
                               -0x1.f6cec67058fb2p-5, 0x1.44c69fa83cd4ep-5, -0x1.033a8c46f881ap-7};
    enum { DEGREE = sizeof q / sizeof q[0] - 1 };
    const double t = 1 / (1 + fabs(x) / 4);
    double sum = q[DEGREE];
    UNROLL
    for (int i = DEGREE - 1; i >= 0; i--)
        sum = fma(sum, t, q[i]);
    const double tail = decay(x * x * -0.5) * (t * sum);
    return x < 0 ? tail : 1 - tail;
}

#endif
