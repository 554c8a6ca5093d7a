/* SPDX-License-Identifier: Apache-2.0 */
/* classes.h: from the distinct cells of a category column to its classes, as fit.h describes. */
#ifndef DCNV2_DATA_CLASSES_H
#define DCNV2_DATA_CLASSES_H

#include "data/fit.h"
#include "data/interner.h"

/*
 * `cells`: the column's, whose numbers are still word 1 + n_dense + `column` of the data set's
 * rows. Fills ret_column but its name, from `arena`, and ret_rows [cells->n]: the embedding row of
 * each number. -1: out of memory.
 */
int classes_fit(const struct interner *cells, const struct dataset *dataset, uint32_t column,
                uint64_t min_count, struct arena *arena, struct fitted_column *ret_column,
                uint32_t *ret_rows);

#endif
