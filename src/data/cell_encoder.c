/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "data/fit.h"
#include "data/pandas_text.h"
#include "encode/vocabulary_key.h"

enum { BATCH = 32 };

struct cell_encoder {
    const struct fitted_encoder *encoder;
    struct arena arena; /* of the vocabularies */
    struct encoded_column {
        struct vocabulary vocabulary;
        enum pandas_type type;
        uint32_t missing; /* row of missing values; vocabulary.n: they are unknown */
        uint32_t unknown; /* row of all others that are no class */
    } columns[];          /* [n_sparse] */
};

struct cell_encoder *cell_encoder_create(const struct fitted_encoder *encoder)
{
    struct cell_encoder *cells =
        calloc(1, sizeof *cells + encoder->n_sparse * sizeof *cells->columns);
    if (cells == NULL)
        return NULL;
    const struct hash_seed seed = hash_seed_random();
    cells->encoder = encoder;
    arena_init(&cells->arena, SIZE_MAX);
    for (uint32_t c = 0; c < encoder->n_sparse; c++) {
        const struct fitted_column *fitted = &encoder->sparse[c];
        struct encoded_column *column = &cells->columns[c];
        if (vocabulary_init(&column->vocabulary, &seed, &cells->arena, fitted->classes,
                            fitted->n_classes) != 0) {
            cell_encoder_free(cells);
            return NULL;
        }
        column->type = pandas_type_of_classes(fitted->classes, fitted->n_classes);
        column->missing = vocabulary_find(&column->vocabulary, "nan", 3);
        column->unknown = fitted->special ? fitted->special->unknown : fitted->n_classes;
        if (fitted->special && fitted->special->missing != SPECIAL_ROW_NONE)
            column->missing = fitted->special->missing;
    }
    return cells;
}

static uint32_t find_as_pandas(const struct encoded_column *column, struct text cell)
{
    char scratch[NUMBER_REPR_MAX];
    if (click_is_missing(cell))
        return column->missing;
    const struct text text = pandas_text(column->type, cell, scratch);
    return vocabulary_find(&column->vocabulary, text.at, text.length);
}

/* Up to BATCH columns from `first`. All slots are prefetched before the first look-up, so that
 * cache misses overlap. */
static void find_cells(const struct cell_encoder *encoder, uint32_t first, uint32_t n,
                       const struct text *cells, uint32_t *row)
{
    struct vocabulary_key keys[BATCH];
    for (uint32_t c = 0; c < n; c++) {
        const struct vocabulary *vocabulary = &encoder->columns[first + c].vocabulary;
        keys[c] = key_of(&vocabulary->seed, cells[c]);
        prefetch_slot(vocabulary->slots, vocabulary->n_slots, &keys[c]);
    }
    for (uint32_t c = 0; c < n; c++) {
        const struct encoded_column *column = &encoder->columns[first + c];
        row[c] = vocabulary_find_key(&column->vocabulary, &keys[c], cells[c]);
        if (row[c] == column->vocabulary.n)
            row[c] = find_as_pandas(column, cells[c]);
    }
}

void cell_encoder_encode(const struct cell_encoder *cells, const struct click_record *record,
                         uint32_t *row, uint64_t *n_unknown)
{
    const struct fitted_encoder *encoder = cells->encoder;
    for (uint32_t c = 0; c < encoder->n_dense; c++)
        row[c] = fitted_encoder_scale(encoder, c, record->dense[c]);
    row += encoder->n_dense;
    for (uint32_t first = 0; first < encoder->n_sparse; first += BATCH) {
        const uint32_t left = encoder->n_sparse - first;
        find_cells(cells, first, left < BATCH ? left : BATCH, record->sparse + first, row + first);
    }
    for (uint32_t c = 0; c < encoder->n_sparse; c++) {
        const struct encoded_column *column = &cells->columns[c];
        if (row[c] != column->vocabulary.n)
            continue;
        row[c] = column->unknown;
        if (n_unknown)
            n_unknown[c]++;
    }
}

void cell_encoder_free(struct cell_encoder *cells)
{
    if (cells == NULL)
        return;
    arena_free(&cells->arena);
    free(cells);
}
