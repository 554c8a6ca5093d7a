/* SPDX-License-Identifier: Apache-2.0 */
/* torch_network.h: a spec as the plugin takes it. */
#ifndef DCNV2_TORCH_TORCH_NETWORK_H
#define DCNV2_TORCH_TORCH_NETWORK_H

#include "data/train_error.h"
#include "network/spec.h"
#include "torch/torch_plugin.h"

/*
 * The tensors and the layers of a spec whose widths are set, in the arena; Adam's settings are left
 * at 0. -1: *error names the layer that the plugin cannot compute.
 */
int torch_network_make(const struct network_spec *spec, struct arena *arena,
                       struct torch_network *ret_network, struct train_error *error);

#endif
