/* SPDX-License-Identifier: Apache-2.0 */
#include "peak.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "kernels/kernels.h"

/* Each chain runs towards 1 and stays there: no number of it is slow. */
#define PEAK(name, instructions, vector, set1, fmadd)                                              \
    __attribute__((target(instructions))) static void name(size_t n_steps)                         \
    {                                                                                              \
        const vector factor = set1(0.75f), term = set1(0.25f);                                     \
        vector sums[PEAK_CHAINS];                                                                  \
        _Pragma("GCC unroll 16") for (int c = 0; c < PEAK_CHAINS; c++) sums[c] = set1((float)c);   \
        for (size_t i = 0; i < n_steps; i++)                                                       \
            _Pragma("GCC unroll 16") for (int c = 0; c < PEAK_CHAINS; c++) sums[c] =               \
                fmadd(sums[c], factor, term);                                                      \
        _Pragma("GCC unroll 16") for (int c = 0; c < PEAK_CHAINS;                                  \
                                      c++) __asm__ volatile("" ::"v"(sums[c]));                    \
    }

PEAK(run_scalar, "fma", __m128, _mm_set_ss, _mm_fmadd_ss)
PEAK(run_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)
PEAK(run_avx512, "avx512f,fma", __m512, _mm512_set1_ps, _mm512_fmadd_ps)

static const struct peak peaks[] = {
    {"scalar", 2 * PEAK_CHAINS, run_scalar},
    {"avx2", 2 * 8 * PEAK_CHAINS, run_avx2},
    {"avx512", 2 * 16 * PEAK_CHAINS, run_avx512},
};

const struct peak *peak_of(const char *set)
{
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++)
        if (strcmp(set, peaks[i].set) == 0 && kernels_select("avx2")) /* which has FMA */
            return &peaks[i];
    return NULL;
}

#else

const struct peak *peak_of(const char *set)
{
    (void)set;
    return NULL;
}

#endif
