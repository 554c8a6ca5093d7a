/* SPDX-License-Identifier: Apache-2.0 */
/* cases.h: the shapes and values of which the checks are made, and what is compared after. */
#ifndef DCNV2_TESTS_KERNELS_CASES_H
#define DCNV2_TESTS_KERNELS_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "guarded.h"

/* The numbers that follow are those of this seed. */
void random_seed(uint64_t seed);

uint64_t random_bits(void);
size_t random_between(size_t least, size_t most);

/* Near 1 in magnitude, a bell of both signs. */
float random_value(void);

/* Any float of a few magnitudes, with zeros of both signs, infinities, NaN and subnormals. */
float random_edge(void);

/* 1 to MAX_WIDTH, around the multiples of the lanes more often than others. */
size_t random_width(void);

/* The first WIDTHS_IN_TURN cases take every width up to that once; all of them every number of
 * rows, 0 to MAX_ROWS, several times; one in four has edges among its values. */
enum { N_CASES = 400, WIDTHS_IN_TURN = 200 };

size_t width_of(size_t number);
size_t n_rows_of(size_t number);

typedef float value_source(void);
value_source *values_of(size_t number);

/* All cases, for each set that runs here, at both ends of guarded memory. */
typedef void kernel_check(const struct kernels *kernels, size_t number, enum place place);
void check_against_scalar(kernel_check *check);

/* Of rows that wide: also more than the padding asks for. */
size_t random_stride(size_t width);

/* Floats of an array of rows, of which the last one ends with its padding. */
size_t rows_length(size_t n_rows, size_t width, size_t stride);

/* Rows of values, and anything in their padding and between them. */
void fill_rows(float *rows, size_t n_rows, size_t width, size_t stride, float (*value)(void));

/* Weights as a network has them: zeros in the padding. */
void fill_weights(float *weights, size_t width, float (*value)(void), float factor);

/* What lies between a row's padding and the next row is not the kernel's to write. */
bool gaps_are_as_before(const float *after, const float *before, size_t n_rows, size_t width,
                        size_t stride);

/* Says where not. */
bool rows_are_same(const char *what, const float *rows, const float *expected, size_t n_rows,
                   size_t width, size_t stride);

#endif
