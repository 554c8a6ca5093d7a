/* SPDX-License-Identifier: Apache-2.0 */
#include "half.h"

#include <math.h>

#include "test.h"

/* (-1)^s (fraction / 2^n_fraction) 2^(exponent - bias), IEEE 754. */
static float value_of(unsigned bits, int n_exponent, int n_fraction)
{
    const int bias = (1 << (n_exponent - 1)) - 1;
    const int exponent = (int)(bits >> n_fraction) & ((1 << n_exponent) - 1);
    const unsigned fraction = bits & ((1u << n_fraction) - 1);
    float value;
    if (exponent == (1 << n_exponent) - 1)
        value = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)fraction, 1 - bias - n_fraction);
    else
        value = ldexpf((float)(fraction + (1u << n_fraction)), exponent - bias - n_fraction);
    return bits & 0x8000 ? -value : value;
}

static int is_same(float a, float b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

TEST(every_half_has_its_value)
{
    unsigned n_wrong = 0;
    for (unsigned bits = 0; bits < 0x10000; bits++)
        n_wrong += !is_same(half_to_float((uint16_t)bits), value_of(bits, 5, 10));
    CHECK_MSG(n_wrong == 0, "%u of 65536", n_wrong);
    CHECK(half_to_float(0x3C00) == 1.0f && half_to_float(0x0001) == 0x1p-24f);
    CHECK(half_to_float(0x7BFF) == 65504.0f && half_to_float(0xC000) == -2.0f);
}

TEST(every_bfloat16_has_its_value)
{
    unsigned n_wrong = 0;
    for (unsigned bits = 0; bits < 0x10000; bits++)
        n_wrong += !is_same(bfloat16_to_float((uint16_t)bits), value_of(bits, 8, 7));
    CHECK_MSG(n_wrong == 0, "%u of 65536", n_wrong);
    CHECK(bfloat16_to_float(0x3F80) == 1.0f && bfloat16_to_float(0xC0A0) == -5.0f);
}

int main(void)
{
    RUN(every_half_has_its_value);
    RUN(every_bfloat16_has_its_value);
    return test_report();
}
