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
BINARY(emulated_max,
       a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]) /* the second, where one is NaN */

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

EMULATED __m256 emulated_low(emulated_ps a)
{
    return _mm256_loadu_ps(a.lane);
}

/* Eight doubles; sixteen floats that are only passed on are the same bits. */
typedef struct {
    double lane[8];
} emulated_pd;

EMULATED emulated_pd emulated_as_doubles(emulated_ps a)
{
    emulated_pd out;
    memcpy(&out, &a, sizeof out);
    return out;
}

/* The only use of this one is for the upper half. */
EMULATED __m256d emulated_half(emulated_pd a, int half)
{
    return _mm256_loadu_pd(a.lane + 4 * half);
}

EMULATED emulated_pd emulated_to_doubles(__m256 a)
{
    emulated_pd out;
    float lane[8];
    _mm256_storeu_ps(lane, a);
    for (int l = 0; l < 8; l++)
        out.lane[l] = lane[l];
    return out;
}

EMULATED emulated_pd emulated_add_doubles(emulated_pd a, emulated_pd b)
{
    for (int l = 0; l < 8; l++)
        a.lane[l] += b.lane[l];
    return a;
}

EMULATED emulated_pd emulated_fmadd_doubles(emulated_pd a, emulated_pd b, emulated_pd c)
{
    for (int l = 0; l < 8; l++)
        c.lane[l] = fma(a.lane[l], b.lane[l], c.lane[l]);
    return c;
}

#define __m512                    emulated_ps
#define __m512d                   emulated_pd
#define _mm512_add_ps             emulated_add
#define _mm512_sub_ps             emulated_sub
#define _mm512_max_ps             emulated_max
#define _mm512_fmadd_ps           emulated_fmadd
#define _mm512_set1_ps            emulated_set1
#define _mm512_setzero_ps()       emulated_set1(0)
#define _mm512_load_ps            emulated_load
#define _mm512_store_ps           emulated_store
#define _mm512_maskz_load_ps      emulated_maskz_load
#define _mm512_maskz_sub_ps       emulated_maskz_sub
#define _mm512_castps_pd          emulated_as_doubles
#define _mm512_castps512_ps256    emulated_low
#define _mm512_extractf64x4_pd    emulated_half
#define _mm512_castpd512_pd256(a) emulated_half(a, 0)
#define _mm512_setzero_pd()       ((emulated_pd){{0}})
#define _mm512_cvtps_pd           emulated_to_doubles
#define _mm512_add_pd             emulated_add_doubles
#define _mm512_fmadd_pd           emulated_fmadd_doubles
/* One copy of each tile, not one for each of its sizes: this takes long enough to compile. */
#define UNROLL
#define always_inline  unused
#define kernels_avx512 kernels_avx512_emulated
#define KERNEL_SET     avx2 /* plain C needs no emulation: for AVX2, of this machine */

#include "../../src/kernels/avx512.c"

#endif
