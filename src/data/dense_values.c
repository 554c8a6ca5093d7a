/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dense_values.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "sum.h"

static size_t block_bytes(const struct dense_values *values)
{
    return (size_t)DATASET_BLOCK_ROWS * values->n_columns * sizeof(double);
}

static int add_block(struct dense_values *values)
{
    if (values->n_blocks == values->block_capacity) {
        const size_t capacity = values->block_capacity ? values->block_capacity * 2 : 64;
        double **larger = realloc(values->blocks, capacity * sizeof *larger);
        if (larger == NULL)
            return -1;
        values->blocks = larger;
        values->block_capacity = capacity;
    }
    double *block = memory_alloc(block_bytes(values));
    if (block == NULL)
        return -1;
    values->blocks[values->n_blocks++] = block;
    return 0;
}

int dense_values_append(struct dense_values *values, const double *row)
{
    if (values->n_columns == 0)
        return 0;
    const uint64_t at = values->n_rows % DATASET_BLOCK_ROWS;
    if (at == 0 && add_block(values) != 0)
        return -1;
    memcpy(values->blocks[values->n_blocks - 1] + at * values->n_columns, row,
           values->n_columns * sizeof *row);
    values->n_rows++;
    return 0;
}

void dense_values_fit(const struct dense_values *values, uint32_t column, double *ret_mean,
                      double *ret_var, double *ret_scale)
{
    const double n = (double)values->n_rows;
    struct sum sum = {0}, deviations = {0}, squares = {0};
    for (uint64_t i = 0; i < values->n_rows; i++)
        sum_add(&sum, dense_values_at(values, i, column));
    const double mean = sum_of(&sum) / n;
    for (uint64_t i = 0; i < values->n_rows; i++) {
        const double deviation = dense_values_at(values, i, column) - mean;
        sum_add(&deviations, deviation);
        sum_add(&squares, deviation * deviation);
    }
    /* The corrected two-pass algorithm (T. Chan, G. Golub, R. LeVeque, 1983), and the bound of its
     * error, below which a variance is that of a constant. */
    const double drift = sum_of(&deviations);
    const double var = (sum_of(&squares) - drift * drift / n) / n;
    const double mean_error = n * mean * DBL_EPSILON;
    const double error = n * DBL_EPSILON * var + mean_error * mean_error;
    *ret_mean = mean;
    *ret_var = var;
    *ret_scale = var <= error ? 1 : sqrt(var);
}

void dense_values_drop_block(struct dense_values *values, size_t block)
{
    memory_free(values->blocks[block], block_bytes(values));
    values->blocks[block] = NULL;
}

void dense_values_free(struct dense_values *values)
{
    for (size_t i = 0; i < values->n_blocks; i++)
        dense_values_drop_block(values, i);
    free(values->blocks);
    *values = (struct dense_values){.n_columns = values->n_columns};
}
