/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense_values.h: the dense values of a data set in double, until mean and scale are known.
 *
 * 8 bytes a value beside the data set's 4, given back block by block as they are scaled.
 */
#ifndef DCNV2_DATA_DENSE_VALUES_H
#define DCNV2_DATA_DENSE_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "data/dataset.h"

struct dense_values {
    uint32_t n_columns;
    uint64_t n_rows;
    double **blocks; /* [n_blocks][DATASET_BLOCK_ROWS, n_columns] */
    size_t n_blocks, block_capacity;
};

/* Copies a row: [n_columns]. -1: out of memory. */
int dense_values_append(struct dense_values *values, const double *row);

/*
 * What scikit-learn's StandardScaler.fit finds: the population's variance, and 1 for the scale of
 * a column that is constant but for rounding (its _is_constant_feature). Sums are compensated: the
 * mean is right to the last bits, where numpy's sums drift with the number of rows.
 */
void dense_values_fit(const struct dense_values *values, uint32_t column, double *ret_mean,
                      double *ret_var, double *ret_scale);

static inline double dense_values_at(const struct dense_values *values, uint64_t row,
                                     uint32_t column)
{
    return values
        ->blocks[row / DATASET_BLOCK_ROWS][row % DATASET_BLOCK_ROWS * values->n_columns + column];
}

/* Gives the memory of rows block * DATASET_BLOCK_ROWS .. back. */
void dense_values_drop_block(struct dense_values *values, size_t block);

void dense_values_free(struct dense_values *values);

#endif
