/* SPDX-License-Identifier: Apache-2.0 */
/*
 * four_rows.h: what is one number a row, of four rows at once, in double: for the sets that have
 * AVX2. scalar.c tells what is computed.
 */
#ifndef DCNV2_KERNELS_FOUR_ROWS_H
#define DCNV2_KERNELS_FOUR_ROWS_H

#include <immintrin.h>

#include "kernels/constants.h"

enum { FOUR_ROWS = 4 };

/* A row's KERNEL_LANES partial sums, lanes 0 to 7 and 8 to 15, joined to four. */
static inline __m256d join_to_four(__m256 low, __m256 high)
{
    const __m256d first = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(low)),
                                        _mm256_cvtps_pd(_mm256_castps256_ps128(high)));
    const __m256d second = _mm256_add_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(low, 1)),
                                         _mm256_cvtps_pd(_mm256_extractf128_ps(high, 1)));
    return _mm256_add_pd(first, second);
}

/* The sums of four rows, of which each is joined to four: one a lane. */
static inline __m256d join_rows(const __m256d rows[FOUR_ROWS])
{
    const __m256d even = _mm256_add_pd(_mm256_permute2f128_pd(rows[0], rows[2], 0x20),
                                       _mm256_permute2f128_pd(rows[0], rows[2], 0x31));
    const __m256d odd = _mm256_add_pd(_mm256_permute2f128_pd(rows[1], rows[3], 0x20),
                                      _mm256_permute2f128_pd(rows[1], rows[3], 0x31));
    return _mm256_hadd_pd(even, odd);
}

/* Of four rows' squared distances from their means: 1 / sqrt(variance + eps). */
static inline __m128 norm_factor(__m256d squares, double share)
{
    const __m256d variance = _mm256_mul_pd(squares, _mm256_set1_pd(share));
    const __m256d deviation =
        _mm256_sqrt_pd(_mm256_add_pd(variance, _mm256_set1_pd(LAYER_NORM_EPSILON)));
    return _mm256_cvtpd_ps(_mm256_div_pd(_mm256_set1_pd(1.0), deviation));
}

/* What rounding the mean to `centre` took from a row, in units of its deviation. */
static inline __m128 norm_shift(__m256d mean, __m128 centre, __m128 factor)
{
    const __m256d rest = _mm256_sub_pd(_mm256_cvtps_pd(centre), mean);
    return _mm256_cvtpd_ps(_mm256_mul_pd(rest, _mm256_cvtps_pd(factor)));
}

static inline __m128 sigmoid(__m256d x)
{
    const __m256d one = _mm256_set1_pd(1.0), to_int = _mm256_set1_pd(EXP_TO_INT);
    const __m256d below =
        _mm256_max_pd(_mm256_or_pd(x, _mm256_set1_pd(-0.0)), _mm256_set1_pd(EXP_LOWEST));
    const __m256d shifted = _mm256_fmadd_pd(below, _mm256_set1_pd(EXP_LOG2E), to_int);
    const __m256d r =
        _mm256_fmadd_pd(_mm256_sub_pd(shifted, to_int), _mm256_set1_pd(-EXP_LN2), below);
    __m256d p = _mm256_set1_pd(EXP_C8);
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C7));
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C6));
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C5));
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C4));
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C3));
    p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(EXP_C2));
    p = _mm256_fmadd_pd(p, r, one);
    p = _mm256_fmadd_pd(p, r, one);
    const __m256i exponent =
        _mm256_add_epi64(_mm256_castpd_si256(shifted), _mm256_set1_epi64x(EXP_BIAS));
    const __m256d e = _mm256_mul_pd(p, _mm256_castsi256_pd(_mm256_slli_epi64(exponent, EXP_SHIFT)));
    const __m256d negative = _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ);
    const __m256d score = _mm256_div_pd(_mm256_blendv_pd(one, e, negative), _mm256_add_pd(one, e));
    return _mm256_cvtpd_ps(_mm256_blendv_pd(score, x, _mm256_cmp_pd(x, x, _CMP_UNORD_Q)));
}

#endif
