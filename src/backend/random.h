/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h: pseudo-random numbers with the same bits on every machine.
 *
 * xoshiro256** (D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators",
 * arXiv:1805.01407), its state filled by splitmix64. Nothing here asks libm, whose last bits
 * differ between machines.
 */
#ifndef DCNV2_BACKEND_RANDOM_H
#define DCNV2_BACKEND_RANDOM_H

#include <stdint.h>

/* Plain data: a copy goes on with the same numbers. */
struct random {
    uint64_t state[4];
};

/* Another stream of numbers for each pair of seed and stream. */
void random_start(struct random *random, uint64_t seed, uint64_t stream);

uint64_t random_next(struct random *random);

/* Below `bound`, which is not 0, without bias (D. Lemire, arXiv:1805.10941). */
uint64_t random_below(struct random *random, uint64_t bound);

/* In [0, 1), a multiple of 2^-53. */
double random_unit(struct random *random);

/* Two independent values of the normal distribution of mean 0 and variance 1. */
void random_normal_pair(struct random *random, double ret_values[2]);

#endif
