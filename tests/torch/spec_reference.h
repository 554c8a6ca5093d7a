/* SPDX-License-Identifier: Apache-2.0 */
/* spec_reference.h: what libtorch makes of a network, by the formulas of network/kinds.h. */
#ifndef DCNV2_TESTS_TORCH_SPEC_REFERENCE_H
#define DCNV2_TESTS_TORCH_SPEC_REFERENCE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "model/network.h"

enum { SPEC_REFERENCE_MESSAGE_SIZE = 512 };

/*
 * The logits of a batch in float64, and in float32: [n_rows] each. The spec need not be resolved.
 * -1: `message`, of SPEC_REFERENCE_MESSAGE_SIZE bytes, says why.
 */
typedef int spec_reference_fn(const struct network_spec *spec, const struct tensor_list *list,
                              const struct network_batch *batch, double *float64, double *float32,
                              char *message);

#ifdef __cplusplus
}
#endif
#endif
