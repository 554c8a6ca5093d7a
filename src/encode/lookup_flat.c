/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_flat.c: look-ups that give one row per cell. */
#include "encode/cell_text.h"
#include "encode/lookup.h"

static uint32_t kinds_of_rows(const struct column *column, uint32_t first, uint32_t end)
{
    uint32_t kinds = 0;
    for (uint32_t row = first; row < end; row++)
        kinds |= 1u << column->cells[row].kind;
    return kinds;
}

static uint32_t segment_end(const struct frame *frame, uint32_t segment)
{
    return segment + 1 < frame->n_segments ? frame->segment_starts[segment + 1] : frame->n_rows;
}

/* Of texts in a vocabulary. -1: *error. */
static int typed_rows(const struct lookup_pass *pass, uint32_t first, uint32_t end,
                      enum column_type type, uint32_t *rows)
{
    const struct spec_lookup *spec = pass->lookup->spec;
    const struct vocabulary *vocabulary = pass->lookup->vocabulary;
    const struct cell *cells = pass->column->cells;
    const uint32_t n = vocabulary->n, first_row = spec->first_row;
    const uint32_t *row_of_class = spec->rows;
    char scratch[NUMBER_REPR_MAX];
    for (uint32_t row = first; row < end; row++) {
        const struct text text = cell_text(&cells[row], type, scratch);
        const uint32_t index = vocabulary_find(vocabulary, text.at, text.length);
        if (index == n) {
            rows[row] = lookup_no_class(pass, &cells[row], text, row);
            if (rows[row] == SPEC_NONE)
                return -1;
        } else {
            rows[row] = row_of_class ? row_of_class[index] : first_row + index;
        }
    }
    return 0;
}

/* Cells of several kinds. Apart, so that columns of one kind pay nothing for it. */
__attribute__((noinline)) static int mixed_rows(const struct lookup_pass *pass, uint32_t *rows)
{
    const struct frame *frame = pass->frame;
    const struct column *column = pass->column;
    /* `kinds` may still have those of cells that a later equal key replaced. */
    enum column_type type = column_type_of(kinds_of_rows(column, 0, frame->n_rows));
    uint32_t *kinds = NULL; /* of each segment */
    if (frame->n_segments > 1) {
        kinds = arena_calloc(frame->arena, frame->n_segments, sizeof *kinds);
        if (kinds == NULL)
            return request_error_out_of_memory(pass->error);
        for (uint32_t s = 0; s < frame->n_segments; s++)
            kinds[s] = kinds_of_rows(column, frame->segment_starts[s], segment_end(frame, s));
        type = column_type_join(kinds, frame->n_segments);
    }
    if (type != COLUMN_BY_SEGMENT)
        return typed_rows(pass, 0, frame->n_rows, type, rows);
    for (uint32_t s = 0; s < frame->n_segments; s++)
        if (typed_rows(pass, frame->segment_starts[s], segment_end(frame, s),
                       column_type_of(kinds[s]), rows) != 0)
            return -1;
    return 0;
}

/* A column whose texts depend on what stands in it, as pandas has it. */
static inline int flat_as_pandas(const struct lookup_pass *pass, uint32_t *rows)
{
    const uint32_t kinds = pass->column->kinds;
    if (pass->options->match_forms)
        return typed_rows(pass, 0, pass->frame->n_rows, COLUMN_AS_WRITTEN, rows);
    if (kinds & (kinds - 1))
        return mixed_rows(pass, rows);
    return typed_rows(pass, 0, pass->frame->n_rows, column_type_of(kinds), rows);
}

int lookup_flat(const struct lookup_pass *pass, uint32_t *ret_rows)
{
    const struct lookup *lookup = pass->lookup;
    if (lookup->rules == CELLS_AS_PANDAS && lookup->vocabulary && !lookup->column->is_number)
        return flat_as_pandas(pass, ret_rows);
    for (uint32_t row = 0; row < pass->frame->n_rows; row++) {
        ret_rows[row] = lookup_value(pass, &pass->column->cells[row], row);
        if (ret_rows[row] == SPEC_NONE)
            return -1;
    }
    return 0;
}
