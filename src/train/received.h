/* SPDX-License-Identifier: Apache-2.0 */
/*
 * received.h: what rank 0 sends to the others, checked before anything is allocated or read by it.
 *
 * A rank of another build, or a message out of step, would else be an index outside a table. Each
 * returns -1 with an *error that names the rank that has received, and the value.
 */
#ifndef DCNV2_TRAIN_RECEIVED_H
#define DCNV2_TRAIN_RECEIVED_H

#include "data/dataset.h"
#include "data/train_error.h"
#include "network/published.h"

int received_check_sizes(const struct published_sizes *sizes, unsigned rank,
                         struct train_error *error);

/* Both data sets must fit into memory. */
int received_check_rows_announced(const struct published_sizes *sizes, uint64_t n_train,
                                  uint64_t n_valid, unsigned rank, struct train_error *error);

/* n_rows: [n_tables]; each table has the out-of-vocabulary row at least. */
int received_check_tables(const uint32_t *n_rows, uint32_t n_tables, unsigned rank,
                          struct train_error *error);

/* Rows [first, first + n): labels are 0 or 1, dense values finite, indices inside their tables.
 * n_rows: [n_sparse], of the tables; `what`: "training" or "validation". */
int received_check_rows(const struct dataset *dataset, uint64_t first, uint64_t n,
                        const uint32_t *n_rows, const char *what, unsigned rank,
                        struct train_error *error);

#endif
