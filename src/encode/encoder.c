/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/encoder.h"

#include <math.h>

#include "encode/cell_text.h"
#include "encode/other_form.h"
#include "number.h"

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

/* A category column on its way to embedding rows. */
struct category {
    const struct vocabulary *vocabulary;
    struct special_rows special;
    const struct frame *frame;
    const struct column *column;
    bool match_forms;
    uint32_t *indices; /* [n_rows] */
    struct category_counts *counts;
};

static struct text copy_shown(struct arena *arena, struct text text)
{
    const size_t length = (size_t)text_shown_length(text);
    return (struct text){arena_copy_text(arena, text.at, length), length};
}

static bool is_missing(const struct cell *cell)
{
    return cell->kind == CELL_MISSING || (cell->kind == CELL_FLOAT && isnan(cell->number));
}

/* Apart from encode_rows(), so that values that are classes pay nothing for the others. */
__attribute__((noinline)) static uint32_t
encode_unknown(const struct category *category, const struct cell *cell, struct text written)
{
    const struct vocabulary *vocabulary = category->vocabulary;
    struct category_counts *counts = category->counts;
    struct other_form form;
    if (category->special.missing != SPECIAL_ROW_NONE && is_missing(cell))
        return category->special.missing;
    const uint32_t found = other_form_find(vocabulary, cell, written, &form);
    if (found != vocabulary->n && counts->n_other_form++ == 0) {
        counts->value = copy_shown(category->frame->arena, written);
        counts->class = copy_shown(category->frame->arena, form.text);
    }
    if (found != vocabulary->n && category->match_forms)
        return found;
    counts->n_unknown++;
    return category->special.unknown;
}

static void encode_rows(const struct category *category, uint32_t first, uint32_t end,
                        enum column_type type)
{
    const struct vocabulary *vocabulary = category->vocabulary;
    char scratch[NUMBER_REPR_MAX];
    for (uint32_t row = first; row < end; row++) {
        const struct cell *cell = &category->column->cells[row];
        const struct text text = cell_text(cell, type, scratch);
        uint32_t index = vocabulary_find(vocabulary, text.at, text.length);
        if (index == vocabulary->n)
            index = encode_unknown(category, cell, text);
        category->indices[row] = index;
    }
}

/* -1: out of memory. */
static int encode_sparse(const struct category *category)
{
    const struct frame *frame = category->frame;
    const struct column *column = category->column;
    if (category->match_forms) {
        encode_rows(category, 0, frame->n_rows, COLUMN_AS_WRITTEN);
        return 0;
    }
    /* `kinds` may still have those of cells that a later equal key replaced. */
    const bool one_kind = (column->kinds & (column->kinds - 1)) == 0;
    enum column_type type =
        column_type_of(one_kind ? column->kinds : kinds_of_rows(column, 0, frame->n_rows));
    uint32_t *kinds = NULL; /* of each segment */
    if (!one_kind && frame->n_segments > 1) {
        kinds = arena_calloc(frame->arena, frame->n_segments, sizeof *kinds);
        if (kinds == NULL)
            return -1;
        for (uint32_t s = 0; s < frame->n_segments; s++)
            kinds[s] = kinds_of_rows(column, frame->segment_starts[s], segment_end(frame, s));
        type = column_type_join(kinds, frame->n_segments);
    }
    if (type != COLUMN_BY_SEGMENT) {
        encode_rows(category, 0, frame->n_rows, type);
        return 0;
    }
    for (uint32_t s = 0; s < frame->n_segments; s++)
        encode_rows(category, frame->segment_starts[s], segment_end(frame, s),
                    column_type_of(kinds[s]));
    return 0;
}

float encoder_scale(const struct encoder *encoder, uint32_t dense_column, double value)
{
    return (float)scaling_apply(&encoder->scaling[dense_column], value);
}

/* false: not a number. A missing value is 0, and so is NaN, which is pandas' missing value. */
static bool dense_number(const struct cell *cell, double *ret_value)
{
    switch ((enum cell_kind)cell->kind) {
    case CELL_MISSING:
        *ret_value = 0;
        return true;
    case CELL_BOOL:
        *ret_value = cell->boolean;
        return true;
    case CELL_INTEGER:
        *ret_value = number_parse(cell->text, cell->length);
        return true;
    case CELL_FLOAT:
        *ret_value = isnan(cell->number) ? 0 : cell->number;
        return true;
    case CELL_TEXT:
        return number_parse_python(cell->text, cell->length, ret_value) && isfinite(*ret_value);
    }
    return false;
}

/* Long enough to know a value again, short enough for a message. */
static int shown_length(const struct cell *cell)
{
    const size_t length = cell->length < 40 ? cell->length : 40;
    return (int)text_utf8_valid_length(cell->text, length);
}

static int encode_dense(const struct encoder *encoder, uint32_t dense_column,
                        const struct frame *frame, float *ret_values, struct request_error *error)
{
    const uint32_t c = encoder->schema.n_sparse + dense_column;
    const struct text name = encoder->schema.names[c];
    const struct cell *cells = frame->columns[c].cells;
    for (uint32_t row = 0; row < frame->n_rows; row++) {
        double value;
        if (!dense_number(&cells[row], &value))
            return request_error_set(
                error, 400, "Column \"%.*s\", row %u: \"%.*s\" is not a number.", TEXT_SHOWN(name),
                row + 1, shown_length(&cells[row]), cells[row].text);
        ret_values[row] = encoder_scale(encoder, dense_column, value);
        if (!isfinite(ret_values[row]))
            return request_error_set(error, 400,
                                     "Column \"%.*s\", row %u: %g is out of range for the model.",
                                     TEXT_SHOWN(name), row + 1, value);
    }
    return 0;
}

int encoder_encode(const struct encoder *encoder, const struct frame *frame, bool match_forms,
                   float *ret_dense, uint32_t *ret_indices, struct category_counts *counts,
                   struct request_error *error)
{
    const size_t n_rows = frame->n_rows;
    for (uint32_t c = 0; c < encoder->schema.n_dense; c++)
        if (encode_dense(encoder, c, frame, ret_dense + c * n_rows, error) != 0)
            return -1;
    for (uint32_t c = 0; c < encoder->schema.n_sparse; c++) {
        const struct category category = {.vocabulary = &encoder->vocabularies[c],
                                          .special = encoder->special[c],
                                          .frame = frame,
                                          .column = &frame->columns[c],
                                          .match_forms = match_forms,
                                          .indices = ret_indices + c * n_rows,
                                          .counts = &counts[c]};
        if (encode_sparse(&category) != 0)
            return request_error_out_of_memory(error);
    }
    return 0;
}
