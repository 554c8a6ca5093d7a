/* SPDX-License-Identifier: Apache-2.0 */
#include "train/received.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/csv.h"
#include "memory.h"

/* More than any network that can be trained; products of two stay below 2^64. */
enum { EMBEDDING_MOST = 1 << 16, LAYER_MOST = 1 << 24 };

/* 0: from `least` to `most`. */
static int check_number(const char *name, uint64_t number, uint64_t least, uint64_t most,
                        unsigned rank, struct train_error *error)
{
    if (number >= least && number <= most)
        return 0;
    return train_error_set(
        error, "rank %u: rank 0 has sent %" PRIu64 " as the %s, not %" PRIu64 " to %" PRIu64, rank,
        number, name, least, most);
}

int received_check_sizes(const struct published_sizes *sizes, unsigned rank,
                         struct train_error *error)
{
    if (check_number("number of dense columns", sizes->n_dense, 0, CSV_MAX_CELLS, rank, error) ||
        check_number("number of category columns", sizes->n_sparse, 0, CSV_MAX_CELLS, rank,
                     error) ||
        check_number("width of the embeddings", sizes->embedding, sizes->n_sparse ? 1 : 0,
                     EMBEDDING_MOST, rank, error) ||
        check_number("width of the network's input",
                     sizes->n_dense + (uint64_t)sizes->n_sparse * sizes->embedding, 1, LAYER_MOST,
                     rank, error) ||
        check_number("kind of cross layers", sizes->cross, 0, PUBLISHED_N_CROSS - 1, rank, error) ||
        check_number("number of cross layers", sizes->n_cross, 0, PUBLISHED_MAX_LAYERS, rank,
                     error) ||
        check_number("number of deep layers", sizes->n_deep, 0, PUBLISHED_MAX_LAYERS, rank, error))
        return -1;
    for (uint32_t i = 0; i < sizes->n_deep; i++)
        if (check_number("width of a deep layer", sizes->deep[i], 1, LAYER_MOST, rank, error) != 0)
            return -1;
    return 0;
}

int received_check_rows_announced(const struct published_sizes *sizes, uint64_t n_train,
                                  uint64_t n_valid, unsigned rank, struct train_error *error)
{
    const uint64_t row_bytes = (1 + (uint64_t)sizes->n_dense + sizes->n_sparse) * sizeof(uint32_t);
    const uint64_t most = memory_limit_bytes() / row_bytes;
    if (check_number("number of training rows", n_train, 0, most, rank, error) != 0)
        return -1;
    return check_number("number of validation rows", n_valid, 0, most - n_train, rank, error);
}

int received_check_tables(const uint32_t *n_rows, uint32_t n_tables, unsigned rank,
                          struct train_error *error)
{
    for (uint32_t i = 0; i < n_tables; i++)
        if (check_number("number of rows of a table", n_rows[i], 1, UINT32_MAX, rank, error) != 0)
            return -1;
    return 0;
}

static float float_of(uint32_t word)
{
    float number;
    memcpy(&number, &word, sizeof number);
    return number;
}

/* Whether something is wrong with a row; `fault`: what it has, and in which column. */
static bool find_fault(const struct dataset *dataset, const uint32_t *row, const uint32_t *n_rows,
                       char *fault, size_t size)
{
    const float label = float_of(row[0]);
    const uint32_t *dense = row + 1, *indices = dense + dataset->n_dense;
    if (label != 0 && label != 1) {
        snprintf(fault, size, "the label %g", (double)label);
        return true;
    }
    for (uint32_t i = 0; i < dataset->n_dense; i++)
        if (!isfinite(float_of(dense[i]))) {
            snprintf(fault, size, "the value %g in dense column %u", (double)float_of(dense[i]),
                     i + 1);
            return true;
        }
    for (uint32_t i = 0; i < dataset->n_sparse; i++)
        if (indices[i] >= n_rows[i]) {
            snprintf(fault, size, "the index %u in category column %u, whose table has %u rows",
                     indices[i], i + 1, n_rows[i]);
            return true;
        }
    return false;
}

int received_check_rows(const struct dataset *dataset, uint64_t first, uint64_t n,
                        const uint32_t *n_rows, const char *what, unsigned rank,
                        struct train_error *error)
{
    char fault[128];
    for (uint64_t i = first; i < first + n; i++)
        if (find_fault(dataset, dataset_row(dataset, i), n_rows, fault, sizeof fault))
            return train_error_set(error, "rank %u: %s row %" PRIu64 " that rank 0 has sent has %s",
                                   rank, what, i + 1, fault);
    return 0;
}
