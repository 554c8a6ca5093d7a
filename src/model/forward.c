/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c: a batch through the plan, block by block. */
#include <math.h>

#include "model/plan.h"

static size_t at_most_a_block(size_t n)
{
    return n < NETWORK_BLOCK_ROWS ? n : NETWORK_BLOCK_ROWS;
}

/* The numbers before the first one that is not finite. */
static size_t count_finite(const float *numbers, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(numbers[i]))
        i++;
    return i;
}

/* Rows of a block that were scored. */
static size_t score_block(const struct network *network, struct pass *pass)
{
    for (size_t i = 0; i < network->n_ops; i++)
        network->ops[i].run(&network->ops[i], pass);
    const size_t n = count_finite(pass->scores, pass->n);
    return pass->logits ? count_finite(pass->logits, n) : n;
}

size_t network_score(const struct network *network, const struct kernels *kernels, float *scratch,
                     const struct network_batch *batch, float *scores, float *logits)
{
    struct ahead ahead = {.gather = network->x0, .n_a_turn = network->x0->n_parts};
    struct pass pass = {.kernels = kernels, .scratch = scratch, .batch = batch, .ahead = &ahead};
    ahead.n = at_most_a_block(batch->n_rows);
    gather_prefetch(&ahead, batch);
    ahead.n_a_turn = network->n_ahead;
    for (size_t first = 0; first < batch->n_rows; first += NETWORK_BLOCK_ROWS) {
        const size_t left = batch->n_rows - first, wanted = at_most_a_block(left);
        ahead.first = first + wanted;
        ahead.n = at_most_a_block(left - wanted);
        ahead.part = 0;
        pass.first = first;
        pass.n = wanted;
        pass.scores = scores + first;
        pass.logits = logits ? logits + first : NULL;
        const size_t n = score_block(network, &pass);
        if (n < wanted)
            return first + n;
    }
    return batch->n_rows;
}
