/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_text.h: the text of a cell as pandas' astype(str) writes it.
 *
 * pandas gives a column one type before it writes its values. Within one DataFrame (a
 * segment of the frame) integers beside a float or a missing value become floats ("1.0",
 * "nan"); beside a bool or text every value stays as it is ("1", "True", "None").
 * pandas.concat then joins segments of different types (2.3's rules, which
 * tests/golden/ pins).
 */
#ifndef DCNV2_ENCODE_CELL_TEXT_H
#define DCNV2_ENCODE_CELL_TEXT_H

#include "frame.h"
#include "number.h"

/* How the values of a column, or of one segment of it, are written. */
enum column_type {
    COLUMN_AS_WRITTEN, /* each value by itself */
    COLUMN_FLOAT,      /* float64: integers, bools and missing values are floats */
    COLUMN_INTEGER,    /* int64: bools are integers */
    COLUMN_BY_SEGMENT  /* each segment by its own type */
};

/* Of one segment. `kinds`: bit k set for each enum cell_kind k among its cells. */
enum column_type column_type_of(uint32_t kinds);

/* Of segments joined. `segment_kinds`: the kinds of each, [n_segments]. */
enum column_type column_type_join(const uint32_t *segment_kinds, uint32_t n_segments);

/* The text points into the cell's own bytes or into `scratch`. `type`: not COLUMN_BY_SEGMENT. */
struct text cell_text(const struct cell *cell, enum column_type type,
                      char scratch[NUMBER_REPR_MAX]);

#endif
