/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h: the speed of the forward pass beside the core's peak of fused multiply-adds.
 *
 * One core, the one it is started on; DCNV2_CPU leaves only that set. Rates count the linear
 * layers' 2 * n_in * n_out a row and nothing else, though gather, layer norm and output are in the
 * time.
 */
#ifndef DCNV2_TESTS_KERNELS_BENCH_H
#define DCNV2_TESTS_KERNELS_BENCH_H

#include <stdbool.h>

#include "kernels/kernels.h"

/*
 * `directory` holds a model.json, or model_weights.pth and preprocess_metadata.pkl; NULL: the full
 * model if ../shared/taobao-full lies beside the project, else the demo model. Batches of up to
 * most_rows. Returns the exit code.
 */
int bench_run(const char *directory, bool as_json, size_t most_rows);

/* Prints a line per kernel that is not a linear layer. 0, or -1 without memory. */
int bench_kernels(const struct kernels *const *sets, size_t n_sets);

/* The thread's own time: what runs beside it on a shared core is not counted. */
double bench_now(void);

/* Sorts them. */
double bench_median(double *values, size_t n);

#endif
