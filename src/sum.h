/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum.h: sums of many doubles that keep the part which rounding takes from each addition
 * (A. Neumaier, 1974): the error does not grow with the number of terms.
 */
#ifndef DCNV2_SUM_H
#define DCNV2_SUM_H

#include <math.h>

/* Starts as {0}. */
struct sum {
    double total, lost;
};

static inline void sum_add(struct sum *sum, double term)
{
    const double total = sum->total + term;
    sum->lost +=
        fabs(sum->total) >= fabs(term) ? (sum->total - total) + term : (term - total) + sum->total;
    sum->total = total;
}

static inline double sum_of(const struct sum *sum)
{
    return sum->total + sum->lost;
}

#endif
