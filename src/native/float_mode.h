/* SPDX-License-Identifier: Apache-2.0 */
/*
 * float_mode.h: subnormal floats are taken for zero and become zero, in the thread that asks.
 *
 * Adam's moments fall for ever where no gradient comes (rows that are not read, units that never
 * fire). As subnormals they would not reach zero but stay at the smallest few, and many CPUs
 * take a hundred cycles and more for each operation on one.
 */
#ifndef DCNV2_NATIVE_FLOAT_MODE_H
#define DCNV2_NATIVE_FLOAT_MODE_H

#include <stdint.h>

/* Returns the mode before, for float_mode_restore(). */
static inline uint64_t float_mode_flush(void)
{
#if defined(__x86_64__)
    const uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040); /* FTZ and DAZ: Intel SDM vol. 1, 10.2.3 */
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | UINT64_C(1) << 24)); /* FZ */
    return before;
#else
    return 0;
#endif
}

static inline void float_mode_restore(uint64_t before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

#endif
