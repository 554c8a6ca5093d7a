#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/number_pow10.h: the powers of ten that number.c needs to print shortest decimals.

usage: python3 tests/golden/make_pow10_table.py > src/number_pow10.h
"""
FIRST, LAST = -292, 324  # -k for every exponent of a double

print("""/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number_pow10.h: made by tests/golden/make_pow10_table.py; do not edit.
 *
 * Entry k - POW10_FIRST is ceil(10^k * 2^-r), r chosen so that it has 128 bits: {high, low}.
 */
#ifndef DCNV2_NUMBER_POW10_H
#define DCNV2_NUMBER_POW10_H

#include <stdint.h>

enum { POW10_FIRST = %d, POW10_LAST = %d };

/* clang-format off */
static const uint64_t pow10_table[POW10_LAST - POW10_FIRST + 1][2] = {""" % (FIRST, LAST))
for k in range(FIRST, LAST + 1):
    numerator, denominator = (10 ** k, 1) if k >= 0 else (1, 10 ** -k)
    shift = 128 - (numerator.bit_length() - denominator.bit_length())
    while True:
        value = -((-(numerator << max(shift, 0))) // (denominator << max(-shift, 0)))
        if value.bit_length() == 128:
            break
        shift += 1 if value.bit_length() < 128 else -1
    print("    {0x%016X, 0x%016X}," % (value >> 64, value & (2 ** 64 - 1)))
print("""};
/* clang-format on */

#endif""")
