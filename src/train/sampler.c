/* SPDX-License-Identifier: Apache-2.0 */
#include "train/sampler.h"

#include <stdlib.h>

#include "backend/random.h"

/* Apart from those of the parameters. */
#define SHUFFLE_STREAMS (UINT64_C(1) << 32)

int sampler_create(struct sampler *ret_sampler, uint64_t n_rows, unsigned rank, unsigned n_ranks,
                   struct train_error *error)
{
    if (n_rows == 0)
        return train_error_set(error, "the training data have no rows");
    if (n_rows > UINT32_MAX)
        return train_error_set(error, "the training data have more than %u rows", UINT32_MAX);
    uint32_t *order = malloc(n_rows * sizeof *order);
    if (order == NULL)
        return train_error_memory(error);
    *ret_sampler = (struct sampler){.order = order,
                                    .n_rows = (uint32_t)n_rows,
                                    .n_own_rows = (uint32_t)((n_rows + n_ranks - 1) / n_ranks),
                                    .rank = rank,
                                    .n_ranks = n_ranks};
    return 0;
}

void sampler_free(struct sampler *sampler)
{
    free(sampler->order);
    sampler->order = NULL;
}

/* R. Durstenfeld's shuffle, "Algorithm 235: Random permutation". */
void sampler_shuffle(struct sampler *sampler, uint64_t seed, unsigned epoch)
{
    struct random random;
    random_start(&random, seed, SHUFFLE_STREAMS + epoch);
    for (uint32_t i = 0; i < sampler->n_rows; i++)
        sampler->order[i] = i;
    for (uint32_t i = sampler->n_rows; i > 1; i--) {
        const uint32_t k = (uint32_t)random_below(&random, i);
        const uint32_t moved = sampler->order[i - 1];
        sampler->order[i - 1] = sampler->order[k];
        sampler->order[k] = moved;
    }
}
