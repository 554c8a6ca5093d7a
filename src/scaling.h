/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaling.h: how a dense column's values are scaled: ((v - mean) / scale) * factor + shift, then
 * clipped, each step in double and in this order, as scikit-learn does it:
 *
 *     StandardScaler, RobustScaler  (v - mean) / scale
 *     MaxAbsScaler                  v / scale
 *     MinMaxScaler                  v * factor + shift
 *
 * Steps that a scaler has not are of 0 and 1, which change no value.
 */
#ifndef DCNV2_SCALING_H
#define DCNV2_SCALING_H

#include <math.h>
#include <stdbool.h>

struct scaling {
    double mean, scale; /* scale is not 0 */
    double factor, shift;
    double low, high; /* -INFINITY and INFINITY: not clipped */
};

#define SCALING_NONE ((struct scaling){0, 1, 1, 0, -INFINITY, INFINITY})

static inline double scaling_apply(const struct scaling *scaling, double value)
{
    const double scaled =
        (value - scaling->mean) / scaling->scale * scaling->factor + scaling->shift;
    return scaled < scaling->low ? scaling->low : scaled > scaling->high ? scaling->high : scaled;
}

/* Whether it is a StandardScaler's: what the trainer fits, and goes on from. */
static inline bool scaling_is_standard(const struct scaling *scaling)
{
    return scaling->factor == 1 && scaling->shift == 0 && scaling->low == -INFINITY &&
           scaling->high == INFINITY;
}

#endif
