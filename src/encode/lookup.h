/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h: cells of a column to rows of an embedding table, by a struct spec_lookup.
 *
 * A look-up is flat if each cell gives one row, else a bag: of a column of lists, or where a value
 * may be left out.
 *
 * Missing are null, NaN, and an empty text that is no class. One missing cell gives missing_row,
 * and so does a list of nothing. missing_row SPEC_NONE stands for that of unseen values, and of a
 * hash for that of the empty text. In a list an empty text or null is padding of a rectangular
 * tensor, and left out. Values are looked up before too many are cut off, so a value with SPEC_DROP
 * takes no place.
 */
#ifndef DCNV2_ENCODE_LOOKUP_H
#define DCNV2_ENCODE_LOOKUP_H

#include "dcnv2.h"
#include "encode/steps.h"
#include "encode/vocabulary.h"
#include "frame.h"
#include "network/spec.h"
#include "number.h"

/* Of a category column. Values that are no class as they are written, but in another form: with
 * `match_forms` they have that class, else they are unknown as well. */
struct category_counts {
    uint32_t n_unknown, n_other_form;
    struct text value, class; /* the first of the latter, in the frame's arena; or at == NULL */
};

/* How an encoder is asked. */
struct encode_options {
    bool match_forms; /* other_form.h */
    /* Of cells of a CSV file, for CELLS_AS_PANDAS: the text of a cell that is no class as it is
     * written, as pandas.read_csv and astype(str) would give it in a column of such classes; and
     * whether pandas takes the cell for missing. NULL: cells are JSON's. */
    bool (*reread)(const void *context, uint32_t vocabulary, struct text written,
                   char scratch[NUMBER_REPR_MAX], struct text *ret_text);
    const void *context;
};

struct lookup {
    const struct spec_lookup *spec;
    const struct spec_column *column;
    const struct vocabulary *vocabulary; /* NULL: of another kind than LOOKUP_VOCABULARY */
    enum cell_rules rules;
    bool is_bag;
    bool is_empty_a_class; /* the empty text */
    bool is_end_padding;   /* of a list whose last values are kept: empty texts at its end fill a
                            * rectangular tensor, though the empty text is a class, that of a
                            * missing value */
    bool is_counted;       /* in the category_counts of its column */
};

/* Compiles `spec`. Returns NULL, or what is wrong with the look-up. */
const char *lookup_init(struct lookup *lookup, const struct network_spec *network,
                        const struct spec_lookup *spec, const struct vocabulary *vocabularies,
                        enum cell_rules rules);

/* A look-up on its way through a frame. */
struct lookup_pass {
    const struct lookup *lookup;
    const struct frame *frame;
    const struct column *column; /* of the frame */
    const struct encode_options *options;
    struct category_counts *counts;
    struct request_error *error;
};

/* Rows of a flat look-up: [n_rows]. -1: *error. */
int lookup_flat(const struct lookup_pass *pass, uint32_t *ret_rows);

/* Those of a bag, in the frame's arena. -1: *error. */
int lookup_bag(const struct lookup_pass *pass, struct dcnv2_rows *ret);

/* ---- between lookup.c, lookup_flat.c and lookup_bag.c ---- */

/* The row of a class. */
static inline uint32_t lookup_class(const struct spec_lookup *spec, uint32_t index)
{
    return spec->rows ? spec->rows[index] : spec->first_row + index;
}

/*
 * The row of one value, of one whose text `written` is no class of the vocabulary, and of a missing
 * one; or SPEC_DROP. SPEC_NONE: *error is set. `row`: of the frame, counted from 0.
 */
uint32_t lookup_value(const struct lookup_pass *pass, const struct cell *cell, uint32_t row);
uint32_t lookup_no_class(const struct lookup_pass *pass, const struct cell *cell,
                         struct text written, uint32_t row);
uint32_t lookup_missing(const struct lookup_pass *pass, uint32_t row);

/* Whether the cell holds no value. */
bool lookup_is_missing(const struct lookup *lookup, const struct cell *cell);

#endif
