/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guarded.h: the kernel sets by name, and arrays for them that lie right before or right
 * behind pages that cannot be touched: an access beyond an array ends the test.
 */
#ifndef DCNV2_TESTS_KERNELS_GUARDED_H
#define DCNV2_TESTS_KERNELS_GUARDED_H

#include <stdbool.h>

#include "kernels/kernels.h"

enum { MAX_WIDTH = 300, MAX_ROWS = 70, MAX_STRIDE = MAX_WIDTH + 4 * KERNEL_LANES };

enum { N_SETS = 4 };
extern const char *const set_names[N_SETS];

/* Set `s` of the names above; NULL: it does not run here. */
const struct kernels *set_of(size_t s);

enum place { AT_END, AT_START };

enum { N_ARRAYS = 9 };
extern float *untouchable; /* any access ends the test */

/* Once, before all else. Ends the program where there is no memory. */
void map_arrays(void);

/* `n` floats of array `i`, right before or right behind a guard. */
float *place_array(size_t i, size_t n, enum place place);
double *place_doubles(size_t i, size_t n, enum place place);

/* The same bits, or both not a number. */
bool same(float a, float b);

#endif
