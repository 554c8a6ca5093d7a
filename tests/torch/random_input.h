/* SPDX-License-Identifier: Apache-2.0 */
/* random_input.h: the columns, lookups and rows of a random network. */
#ifndef DCNV2_TESTS_TORCH_RANDOM_INPUT_H
#define DCNV2_TESTS_TORCH_RANDOM_INPUT_H

#include "model/network.h"
#include "random_tensor.h"

/* Room for the sources of `spec`, which random_input() makes as its parts need them; each lookup
 * has rows below its modulus. */
void random_sources(struct random_tensors *tensors, struct network_spec *spec);

/* The parts of an input layer that is `width` wide, of any sources. */
void random_input(struct random_tensors *tensors, struct network_spec *spec,
                  struct spec_layer *layer, uint32_t width);

/* The columns of all sources: once they are made. */
void random_columns(struct random_tensors *tensors, struct network_spec *spec);

/* A batch; lists are padded as their lookup says, and may be empty. */
struct network_batch random_batch(struct random_tensors *tensors, const struct network_spec *spec);

#endif
