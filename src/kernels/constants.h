/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constants.h: the numbers of the exponential and the layer norm, and how loops over registers are
 * unrolled: one place for every path.
 *
 * exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln(2) / 2, with ln 2 in two parts
 * (W. Cody, W. Waite, 1980) and exp's Taylor polynomial of degree 7, whose remainder is
 * below 6e-9 there, a tenth of half a unit in a float's last place.
 */
#ifndef DCNV2_KERNELS_CONSTANTS_H
#define DCNV2_KERNELS_CONSTANTS_H

/* Before a loop with a constant count whose body works on registers. The emulation in the tests
 * defines it away. */
#ifndef UNROLL
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define LAYER_NORM_EPSILON 1e-5f

/* Below this exp(x) is no longer a normal float; the sigmoid of it is 0 within 1.2e-38. */
#define EXP_LOWEST   -87.0f
#define EXP_LOG2E    0x1.715476p+0f
#define EXP_LN2_HIGH 0x1.62e400p-1f
#define EXP_LN2_LOW  0x1.7f7d1cp-20f
#define EXP_TO_INT   0x1.8p23f /* adding it leaves a float's integer part in its low bits */
#define EXP_C2       0x1.000000p-1f
#define EXP_C3       0x1.555556p-3f
#define EXP_C4       0x1.555556p-5f
#define EXP_C5       0x1.111112p-7f
#define EXP_C6       0x1.6c16c2p-10f
#define EXP_C7       0x1.a01a02p-13f

#endif
