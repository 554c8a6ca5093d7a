/* SPDX-License-Identifier: Apache-2.0 */
/* peak.h: how many fused multiply-adds a core does, registers alone, in a set's instructions. */
#ifndef DCNV2_TESTS_KERNELS_PEAK_H
#define DCNV2_TESTS_KERNELS_PEAK_H

#include <stddef.h>

enum { PEAK_CHAINS = 12 }; /* two units of four or five steps each need ten to be busy */

struct peak {
    const char *set;
    double flop_a_step;
    void (*run)(size_t n_steps);
};

/* Of the set of that name, which must run here; NULL: it cannot be measured here. */
const struct peak *peak_of(const char *set);

#endif
