/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constants.h: the numbers of the exponential and the layer norm, and how loops over registers are
 * unrolled: one place for every path.
 *
 * exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln(2) / 2, in double, with exp's Taylor
 * polynomial of degree 8, whose remainder is below 2.1e-10 there: a score rounded to float is off
 * by little more than that rounding.
 */
#ifndef DCNV2_KERNELS_CONSTANTS_H
#define DCNV2_KERNELS_CONSTANTS_H

/* Before a loop with a constant count whose body works on registers. The emulation in the tests
 * defines it away. */
#ifndef UNROLL
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Before a loop whose arrays are the same or apart: no turn reads what another one writes. */
#define INDEPENDENT _Pragma("GCC ivdep")

#define LAYER_NORM_EPSILON 1e-5

/* Below this exp(x) is no longer a normal float; the sigmoid of it is 0 within 1.7e-38. */
#define EXP_LOWEST -87.0
/* Below this exp(x) is no longer a normal double. */
#define EXP_NORMAL_LOWEST -708.0

#define EXP_LOG2E  0x1.71547652b82fep+0
#define EXP_LN2    0x1.62e42fefa39efp-1
#define EXP_TO_INT 0x1.8p52 /* adding it leaves a double's integer part in its low bits */
#define EXP_BIAS   1023     /* of a double's exponent, which starts at bit EXP_SHIFT */
#define EXP_SHIFT  52
#define EXP_C2     (1.0 / 2)
#define EXP_C3     (1.0 / 6)
#define EXP_C4     (1.0 / 24)
#define EXP_C5     (1.0 / 120)
#define EXP_C6     (1.0 / 720)
#define EXP_C7     (1.0 / 5040)
#define EXP_C8     (1.0 / 40320)

#define GELU_SQRT_2_PI 0x1.9884533d43651p-1 /* sqrt(2 / pi) */
#define GELU_CUBIC     0.044715

#endif
