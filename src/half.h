/* SPDX-License-Identifier: Apache-2.0 */
/* half.h: IEEE 754 binary16 and bfloat16 to float, exactly. */
#ifndef DCNV2_HALF_H
#define DCNV2_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float bfloat16_to_float(uint16_t half)
{
    return half_bits_to_float((uint32_t)half << 16);
}

static inline float half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = half >> 10 & 0x1F;
    const uint32_t fraction = half & 0x3FF;
    if (exponent == 0) { /* zero and denormals: fraction * 2^-24 */
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31)
        return half_bits_to_float(sign | 0x7F800000 | fraction << 13);
    return half_bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
}

#endif
