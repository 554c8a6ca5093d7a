/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.h: the rows of a click log, encoded: what training reads in any order.
 *
 * A row is one record of 4-byte words: [label, n_dense floats, n_sparse embedding rows], so a
 * shuffled read touches one or two cache lines. Rows stand in blocks that never move: 25 million
 * rows of 16 category columns and a dense one take 1.8 GB and no copy while they grow.
 */
#ifndef DCNV2_DATA_DATASET_H
#define DCNV2_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

enum { DATASET_BLOCK_ROWS = 1 << 16 };

struct dataset {
    uint64_t n_rows;
    uint32_t n_dense, n_sparse;
    uint32_t **blocks; /* [(n_rows + BLOCK - 1) / BLOCK][DATASET_BLOCK_ROWS * words] */
    size_t n_blocks, block_capacity;
    uint32_t *groups; /* [n_rows]: a number for each value of the group column; NULL: none */
    size_t group_capacity;
};

static inline size_t dataset_words(const struct dataset *dataset)
{
    return 1 + (size_t)dataset->n_dense + dataset->n_sparse;
}

void dataset_init(struct dataset *dataset, uint32_t n_dense, uint32_t n_sparse);

/* Room for one more row at the end, uninitialised. NULL: out of memory. */
uint32_t *dataset_append(struct dataset *dataset);

/* Sets the group of the row that was appended last. -1: out of memory. */
int dataset_set_group(struct dataset *dataset, uint32_t group);

/* Row i: word 0 is the label as a float, then the scaled dense values as floats, then rows. */
static inline uint32_t *dataset_row(const struct dataset *dataset, uint64_t i)
{
    return dataset->blocks[i / DATASET_BLOCK_ROWS] +
           i % DATASET_BLOCK_ROWS * dataset_words(dataset);
}

void dataset_free(struct dataset *dataset);

#endif
