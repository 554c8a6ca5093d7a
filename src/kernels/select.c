/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

/* XCR0: the register state that the operating system saves (Intel SDM vol. 1, 13.3). */
static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Whether the CPU has the features of leaf 7 and the system saves the registers in `state`. */
static bool has(unsigned features, uint64_t state)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA) || !(c & bit_AVX) ||
        (saved_state() & state) != state)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & features) == features;
}

static bool has_avx2(void)
{
    return has(bit_AVX2, 0x6); /* xmm, ymm */
}

static bool has_avx512(void)
{
    return has(bit_AVX2 | bit_AVX512F, 0xE6); /* and the masks, zmm's upper halves, zmm16 to 31 */
}
#endif

static bool always(void)
{
    return true;
}

/* The fastest first. */
static const struct {
    const struct kernels *kernels;
    bool (*runs_here)(void);
} sets[] = {
#if defined(__x86_64__)
    {&kernels_avx512, has_avx512},
    {&kernels_avx2, has_avx2},
#endif
    {&kernels_scalar, always},
};

const struct kernels *kernels_select(const char *wanted)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if ((wanted == NULL || strcmp(wanted, sets[i].kernels->name) == 0) && sets[i].runs_here())
            return sets[i].kernels;
    return NULL;
}
