/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.h: which rows a rank trains on, and in which order.
 *
 * As torch.utils.data.DistributedSampler(shuffle=True) with set_epoch() called: a new permutation
 * of all rows each epoch, of which rank r takes elements r, r + n_ranks, ..; where the rows cannot
 * be split evenly, the first ones come twice. So batch k of n ranks with batch / n rows each is
 * batch k of one rank. The permutation depends on seed and epoch only.
 */
#ifndef DCNV2_TRAIN_SAMPLER_H
#define DCNV2_TRAIN_SAMPLER_H

#include <stdint.h>

#include "data/train_error.h"

struct sampler {
    uint32_t *order; /* [n_rows] */
    uint32_t n_rows;
    uint32_t n_own_rows; /* of this rank in an epoch */
    unsigned rank, n_ranks;
};

/* 1 to 2^32 - 1 rows. -1: out of memory, or too many, *error. */
int sampler_create(struct sampler *ret_sampler, uint64_t n_rows, unsigned rank, unsigned n_ranks,
                   struct train_error *error);
void sampler_free(struct sampler *sampler);

void sampler_shuffle(struct sampler *sampler, uint64_t seed, unsigned epoch);

/* Row i of this rank's in this epoch, i below n_own_rows. */
static inline uint32_t sampler_row(const struct sampler *sampler, uint32_t i)
{
    const uint64_t at = (uint64_t)i * sampler->n_ranks + sampler->rank;
    return sampler->order[at < sampler->n_rows ? at : at % sampler->n_rows];
}

#endif
