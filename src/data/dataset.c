/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include <stdlib.h>

#include "memory.h"

enum { FIRST_CAPACITY = 64 };

static size_t block_bytes(const struct dataset *dataset)
{
    return DATASET_BLOCK_ROWS * dataset_words(dataset) * sizeof(uint32_t);
}

void dataset_init(struct dataset *dataset, uint32_t n_dense, uint32_t n_sparse)
{
    *dataset = (struct dataset){.n_dense = n_dense, .n_sparse = n_sparse};
}

static int add_block(struct dataset *dataset)
{
    if (dataset->n_blocks == dataset->block_capacity) {
        const size_t capacity =
            dataset->block_capacity ? dataset->block_capacity * 2 : FIRST_CAPACITY;
        uint32_t **larger = realloc(dataset->blocks, capacity * sizeof *larger);
        if (larger == NULL)
            return -1;
        dataset->blocks = larger;
        dataset->block_capacity = capacity;
    }
    uint32_t *block = memory_alloc(block_bytes(dataset));
    if (block == NULL)
        return -1;
    dataset->blocks[dataset->n_blocks++] = block;
    return 0;
}

uint32_t *dataset_append(struct dataset *dataset)
{
    if (dataset->n_rows == dataset->n_blocks * (uint64_t)DATASET_BLOCK_ROWS &&
        add_block(dataset) != 0)
        return NULL;
    return dataset_row(dataset, dataset->n_rows++);
}

int dataset_set_group(struct dataset *dataset, uint32_t group)
{
    if (dataset->n_rows > dataset->group_capacity) {
        const size_t capacity =
            dataset->group_capacity ? dataset->group_capacity * 2 : DATASET_BLOCK_ROWS;
        uint32_t *larger = realloc(dataset->groups, capacity * sizeof *larger);
        if (larger == NULL)
            return -1;
        dataset->groups = larger;
        dataset->group_capacity = capacity;
    }
    dataset->groups[dataset->n_rows - 1] = group;
    return 0;
}

void dataset_free(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->n_blocks; i++)
        memory_free(dataset->blocks[i], block_bytes(dataset));
    free(dataset->blocks);
    free(dataset->groups);
    dataset_init(dataset, dataset->n_dense, dataset->n_sparse);
}
