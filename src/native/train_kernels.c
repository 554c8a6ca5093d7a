/* SPDX-License-Identifier: Apache-2.0 */
#include "native/train_kernels.h"

#include <string.h>

/* The Makefile compiles gradient_kernels.c and adam_kernels.c for each of these. */
extern const struct gradient_kernels gradient_kernels_plain;
extern const struct adam_kernels adam_kernels_plain;
#if defined(__x86_64__)
extern const struct gradient_kernels gradient_kernels_avx2, gradient_kernels_avx512;
extern const struct adam_kernels adam_kernels_avx2, adam_kernels_avx512;
#endif

struct train_kernels train_kernels_select(const struct kernels *kernels)
{
#if defined(__x86_64__)
    if (strcmp(kernels->name, "avx512") == 0)
        return (struct train_kernels){&gradient_kernels_avx512, &adam_kernels_avx512};
    if (strcmp(kernels->name, "avx2") == 0)
        return (struct train_kernels){&gradient_kernels_avx2, &adam_kernels_avx2};
#else
    (void)kernels;
#endif
    return (struct train_kernels){&gradient_kernels_plain, &adam_kernels_plain};
}
