/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avx512_emulated.c: src/kernels/avx512.c compiled for a machine without AVX-512, so that its order
 * of operations is checked everywhere: each intrinsic that it uses, in plain C over sixteen lanes.
 */
#if defined(__x86_64__)

#pragma GCC target("avx2,fma")

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float lane[16];
} emulated_ps;

typedef struct {
    int32_t lane[16];
} emulated_i32;

/* Calls, as sixteen lanes inlined hundreds of times are a lot to compile. */
#define EMULATED static __attribute__((noinline))

#define FOR_LANES for (int l = 0; l < 16; l++)

#define BINARY(name, expression)                                                                   \
    EMULATED emulated_ps name(emulated_ps a, emulated_ps b)                                        \
    {                                                                                              \
        emulated_ps out;                                                                           \
        FOR_LANES out.lane[l] = (expression);                                                      \
        return out;                                                                                \
    }

BINARY(emulated_add, a.lane[l] + b.lane[l])
BINARY(emulated_sub, a.lane[l] - b.lane[l])
BINARY(emulated_mul, a.lane[l] * b.lane[l])
BINARY(emulated_div, a.lane[l] / b.lane[l])
BINARY(emulated_max,
       a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]) /* the second, where one is NaN */

#define BINARY_I32(name, expression)                                                               \
    EMULATED emulated_i32 name(emulated_i32 a, emulated_i32 b)                                     \
    {                                                                                              \
        emulated_i32 out;                                                                          \
        FOR_LANES out.lane[l] = (int32_t)(expression);                                             \
        return out;                                                                                \
    }

BINARY_I32(emulated_add_i32, (uint32_t)a.lane[l] + (uint32_t)b.lane[l])
BINARY_I32(emulated_or_i32, a.lane[l] | b.lane[l])

EMULATED emulated_ps emulated_fmadd(emulated_ps a, emulated_ps b, emulated_ps c)
{
    emulated_ps out;
    FOR_LANES out.lane[l] = fmaf(a.lane[l], b.lane[l], c.lane[l]);
    return out;
}

EMULATED emulated_ps emulated_set1(float value)
{
    emulated_ps out;
    FOR_LANES out.lane[l] = value;
    return out;
}

EMULATED emulated_i32 emulated_set1_i32(int32_t value)
{
    emulated_i32 out;
    FOR_LANES out.lane[l] = value;
    return out;
}

EMULATED emulated_ps emulated_maskz_load(__mmask16 mask, const float *from)
{
    emulated_ps out = {{0}};
    FOR_LANES if (mask >> l & 1) out.lane[l] = from[l];
    return out;
}

/* As the instruction does, which faults where the address is not aligned. */
EMULATED emulated_ps emulated_load(const float *from)
{
    emulated_ps out;
    if ((uintptr_t)from % sizeof out)
        __builtin_trap();
    memcpy(&out, from, sizeof out);
    return out;
}

EMULATED void emulated_store(float *to, emulated_ps value)
{
    if ((uintptr_t)to % sizeof value)
        __builtin_trap();
    memcpy(to, &value, sizeof value);
}

EMULATED emulated_ps emulated_maskz_sub(__mmask16 mask, emulated_ps a, emulated_ps b)
{
    emulated_ps out = {{0}};
    FOR_LANES if (mask >> l & 1) out.lane[l] = a.lane[l] - b.lane[l];
    return out;
}

EMULATED emulated_ps emulated_blend(__mmask16 mask, emulated_ps a, emulated_ps b)
{
    FOR_LANES if (mask >> l & 1) a.lane[l] = b.lane[l];
    return a;
}

/* _CMP_LT_OQ or _CMP_UNORD_Q */
EMULATED __mmask16 emulated_cmp(emulated_ps a, emulated_ps b, int predicate)
{
    unsigned mask = 0;
    FOR_LANES mask |= (unsigned)(predicate == _CMP_LT_OQ ? a.lane[l] < b.lane[l]
                                                         : isunordered(a.lane[l], b.lane[l]))
                      << l;
    return (__mmask16)mask;
}

EMULATED emulated_i32 emulated_to_i32(emulated_ps a)
{
    emulated_i32 out;
    FOR_LANES out.lane[l] = a.lane[l] == a.lane[l] ? (int32_t)a.lane[l] : INT32_MIN;
    return out;
}

EMULATED emulated_i32 emulated_shift(emulated_i32 a, int n)
{
    FOR_LANES a.lane[l] = (int32_t)((uint32_t)a.lane[l] << n);
    return a;
}

EMULATED emulated_i32 emulated_bits(emulated_ps a)
{
    emulated_i32 out;
    memcpy(&out, &a, sizeof out);
    return out;
}

EMULATED emulated_ps emulated_from_bits(emulated_i32 a)
{
    emulated_ps out;
    memcpy(&out, &a, sizeof out);
    return out;
}

EMULATED __m256 emulated_low(emulated_ps a)
{
    return _mm256_loadu_ps(a.lane);
}

/* The only use of this one is for the upper half. */
EMULATED __m256d emulated_high(emulated_ps a, int half)
{
    return _mm256_castps_pd(_mm256_loadu_ps(a.lane + 8 * half));
}

#define __m512                 emulated_ps
#define __m512i                emulated_i32
#define _mm512_add_ps          emulated_add
#define _mm512_sub_ps          emulated_sub
#define _mm512_mul_ps          emulated_mul
#define _mm512_div_ps          emulated_div
#define _mm512_max_ps          emulated_max
#define _mm512_fmadd_ps        emulated_fmadd
#define _mm512_set1_ps         emulated_set1
#define _mm512_set1_epi32      emulated_set1_i32
#define _mm512_setzero_ps()    emulated_set1(0)
#define _mm512_load_ps         emulated_load
#define _mm512_store_ps        emulated_store
#define _mm512_maskz_load_ps   emulated_maskz_load
#define _mm512_maskz_sub_ps    emulated_maskz_sub
#define _mm512_mask_blend_ps   emulated_blend
#define _mm512_cmp_ps_mask     emulated_cmp
#define _mm512_or_epi32        emulated_or_i32
#define _mm512_add_epi32       emulated_add_i32
#define _mm512_cvttps_epi32    emulated_to_i32
#define _mm512_slli_epi32      emulated_shift
#define _mm512_castps_si512    emulated_bits
#define _mm512_castsi512_ps    emulated_from_bits
#define _mm512_castps_pd(a)    (a)
#define _mm512_castps512_ps256 emulated_low
#define _mm512_extractf64x4_pd emulated_high
/* One copy of each tile, not one for each of its sizes: this takes long enough to compile. */
#define UNROLL
#define always_inline  unused
#define kernels_avx512 kernels_avx512_emulated

#include "../../src/kernels/avx512.c"

#endif
