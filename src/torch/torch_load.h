/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_load.h: finds and loads the libtorch plugin, which stays loaded until the process ends.
 *
 * DCNV2_TORCH_PLUGIN names the file; otherwise it is dcnv2_torch.so in ../lib of the program's
 * folder, or in that folder.
 */
#ifndef DCNV2_TORCH_TORCH_LOAD_H
#define DCNV2_TORCH_TORCH_LOAD_H

#include "data/train_error.h"
#include "torch/torch_plugin.h"

/* NULL: *error says what is missing and how to get it. One thread calls it; later calls give the
 * same plugin. Fork before it, not after: libtorch starts threads. */
const struct torch_plugin *torch_load(struct train_error *error);

#endif
