/* SPDX-License-Identifier: Apache-2.0 */
/* steps.h: what becomes of a number (struct spec_step), and the numbers that cells are. */
#ifndef DCNV2_ENCODE_STEPS_H
#define DCNV2_ENCODE_STEPS_H

#include "frame.h"
#include "network/spec.h"

/* How a cell is read. */
enum cell_rules {
    /* As the published predictor, with pandas, does: a category's text depends on what stands
     * beside it in its column (cell_text.h), a missing one is the text "None" or "nan", and an
     * empty text is no number. */
    CELLS_AS_PANDAS,
    /* Each by itself: an empty text is a missing value, as in a CSV file. */
    CELLS_AS_WRITTEN
};

/* Runs the steps, one after the other, each rounded to double. */
double steps_run(const struct spec_step *steps, uint32_t n_steps, double value);

/* The number that a cell is; NaN: it is missing. false: it is none. */
bool number_of_cell(const struct cell *cell, enum cell_rules rules, double *ret_value);

#endif
