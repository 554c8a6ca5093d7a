/* SPDX-License-Identifier: Apache-2.0 */
/* random_spec.h: a network of a seed, with its tensors and a batch of rows. */
#ifndef DCNV2_TESTS_TORCH_RANDOM_SPEC_H
#define DCNV2_TESTS_TORCH_RANDOM_SPEC_H

#include "model/network.h"

struct random_spec {
    uint64_t seed;
    struct arena arena;
    struct network_spec spec; /* as a reader leaves it: spec_resolve() has not seen it */
    struct tensor_list list;
    struct network_batch batch;
};

/* Ends the test if there is no memory. */
void random_spec_make(struct random_spec *ret, uint64_t seed);
void random_spec_free(struct random_spec *made);

/* Rows of a batch by their numbers, in any order, in the arena. */
struct network_batch random_spec_pick(const struct network_spec *spec, struct arena *arena,
                                      const struct network_batch *batch, const uint32_t *rows,
                                      size_t n);

#endif
