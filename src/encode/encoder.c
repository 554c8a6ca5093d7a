/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/encoder.h"

#include <math.h>

#include "number.h"

/* ---- the encoder ---- */

static int init_schema(struct encoder *encoder, struct arena *arena,
                       const struct network_spec *spec, struct format_error *error)
{
    const uint32_t n = spec->n_columns;
    struct text *names = arena_calloc(arena, (size_t)n + 1, sizeof *names);
    bool *is_list = arena_calloc(arena, (size_t)n + 1, sizeof *is_list);
    bool has_lists = false;
    uint32_t twice;
    if (names == NULL || is_list == NULL)
        return format_error_memory(error);
    for (uint32_t c = 0; c < n; c++) {
        names[c] = spec->columns[c].name;
        is_list[c] = spec->columns[c].is_list;
        has_lists |= is_list[c];
        if (spec->columns[c].is_number != (c >= spec->n_categories))
            return format_error_set(error, FORMAT_NO_OFFSET,
                                    "column \"%.*s\" stands among those of the other kind",
                                    TEXT_SHOWN(names[c]));
    }
    if (schema_init(&encoder->schema, arena, names, spec->n_categories, n - spec->n_categories,
                    &twice) != 0)
        return twice == SCHEMA_NOT_FOUND
                   ? format_error_memory(error)
                   : format_error_set(error, FORMAT_NO_OFFSET, "column \"%.*s\" is named twice",
                                      TEXT_SHOWN(names[twice]));
    encoder->schema.is_list = has_lists ? is_list : NULL;
    return 0;
}

static int init_value(struct value *value, const struct network_spec *network,
                      const struct spec_value *spec, struct format_error *error)
{
    static const enum step_kind standard[] = {STEP_FILL, STEP_SUBTRACT, STEP_DIVIDE};
    enum { N_STANDARD = sizeof standard / sizeof standard[0] };
    const struct spec_column *column =
        spec->column < network->n_columns ? &network->columns[spec->column] : NULL;
    if (column == NULL || !column->is_number || column->is_list)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "value %td is not of a column of single numbers",
                                spec - network->values);
    *value = (struct value){.spec = spec, .is_standard = spec->n_steps == N_STANDARD};
    for (uint32_t i = 0; i < N_STANDARD && value->is_standard; i++)
        value->is_standard = spec->steps[i].kind == standard[i];
    if (value->is_standard) {
        value->fill = spec->steps[0].a;
        value->mean = spec->steps[1].a;
        value->scale = spec->steps[2].a;
    }
    return 0;
}

/* Each column of categories is counted by the first look-up of it. */
static bool is_first_of_category(const struct network_spec *spec, uint32_t i)
{
    const uint32_t column = spec->lookups[i].column;
    for (uint32_t k = 0; k < i; k++)
        if (spec->lookups[k].column == column)
            return false;
    return column < spec->n_categories;
}

int encoder_init(struct encoder *encoder, struct arena *arena, const struct network_spec *spec,
                 const struct vocabulary *vocabularies, enum cell_rules rules,
                 struct format_error *error)
{
    *encoder = (struct encoder){.rules = rules,
                                .n_values = spec->n_values,
                                .n_lookups = spec->n_lookups,
                                .vocabularies = vocabularies};
    encoder->values = arena_calloc(arena, (size_t)spec->n_values + 1, sizeof *encoder->values);
    encoder->lookups = arena_calloc(arena, (size_t)spec->n_lookups + 1, sizeof *encoder->lookups);
    if (encoder->values == NULL || encoder->lookups == NULL)
        return format_error_memory(error);
    if (init_schema(encoder, arena, spec, error) != 0)
        return -1;
    for (uint32_t i = 0; i < spec->n_values; i++)
        if (init_value(&encoder->values[i], spec, &spec->values[i], error) != 0)
            return -1;
    for (uint32_t i = 0; i < spec->n_lookups; i++) {
        struct lookup *lookup = &encoder->lookups[i];
        const char *reason = lookup_init(lookup, spec, &spec->lookups[i], vocabularies, rules);
        if (reason)
            return format_error_set(error, FORMAT_NO_OFFSET, "look-up %u: %s", i, reason);
        lookup->is_counted = is_first_of_category(spec, i);
    }
    return 0;
}

/* ---- numbers ---- */

static double standard_value(const struct value *value, double number)
{
    return ((isnan(number) ? value->fill : number) - value->mean) / value->scale;
}

static inline float value_of(const struct value *value, double number)
{
    return (float)(value->is_standard
                       ? standard_value(value, number)
                       : steps_run(value->spec->steps, value->spec->n_steps, number));
}

float encoder_value(const struct encoder *encoder, uint32_t i, double number)
{
    return value_of(&encoder->values[i], number);
}

/* Long enough to know a value again, short enough for a message. */
static int shown_length(const struct cell *cell)
{
    const size_t length = cell->length < 40 ? cell->length : 40;
    return (int)text_utf8_valid_length(cell->text, length);
}

/* The value of a row is not a finite float. */
static int refuse_value(struct text name, uint32_t row, double number, struct request_error *error)
{
    if (isnan(number))
        return request_error_set(error, 400,
                                 "Column \"%.*s\", row %u: the value is missing; the model has "
                                 "none to take instead.",
                                 TEXT_SHOWN(name), row + 1);
    return request_error_set(error, 400,
                             "Column \"%.*s\", row %u: %g is out of range for the model.",
                             TEXT_SHOWN(name), row + 1, number);
}

static int encode_values(const struct encoder *encoder, uint32_t i, const struct frame *frame,
                         float *ret_values, struct request_error *error)
{
    const struct value *value = &encoder->values[i];
    const uint32_t c = value->spec->column;
    const struct text name = encoder->schema.names[c];
    const struct cell *cells = frame->columns[c].cells;
    for (uint32_t row = 0; row < frame->n_rows; row++) {
        double number = cells[row].number;
        if (cells[row].kind != CELL_FLOAT && !number_of_cell(&cells[row], encoder->rules, &number))
            return request_error_set(
                error, 400, "Column \"%.*s\", row %u: \"%.*s\" is not a number.", TEXT_SHOWN(name),
                row + 1, shown_length(&cells[row]), cells[row].text);
        ret_values[row] = value_of(value, number);
        if (!isfinite(ret_values[row]))
            return refuse_value(name, row, number, error);
    }
    return 0;
}

/* ---- a batch ---- */

/* Room for dense values and the rows of flat look-ups; of bags all is empty. -1: out of memory. */
static int make_room(const struct encoder *encoder, struct arena *arena, uint32_t n_rows,
                     struct encoded *ret, uint32_t **ret_rows)
{
    const size_t n_columns = (size_t)encoder->n_values + encoder->n_lookups;
    float *words = arena_alloc(arena, n_columns * n_rows * sizeof *words);
    ret->n_rows = n_rows;
    ret->dense = words;
    ret->lookups = arena_calloc(arena, (size_t)encoder->n_lookups + 1, sizeof *ret->lookups);
    *ret_rows = words ? (uint32_t *)(void *)(words + (size_t)encoder->n_values * n_rows) : NULL;
    return words && ret->lookups ? 0 : -1;
}

int encoder_encode(const struct encoder *encoder, const struct frame *frame,
                   const struct encode_options *options, struct encoded *ret,
                   struct category_counts *counts, struct request_error *error)
{
    const size_t n_rows = frame->n_rows;
    struct category_counts uncounted = {0};
    uint32_t *rows;
    if (make_room(encoder, frame->arena, frame->n_rows, ret, &rows) != 0)
        return request_error_out_of_memory(error);
    for (uint32_t i = 0; i < encoder->n_values; i++)
        if (encode_values(encoder, i, frame, ret->dense + i * n_rows, error) != 0)
            return -1;
    for (uint32_t i = 0; i < encoder->n_lookups; i++) {
        const struct lookup *lookup = &encoder->lookups[i];
        const uint32_t c = lookup->spec->column;
        const struct lookup_pass pass = {.lookup = lookup,
                                         .frame = frame,
                                         .column = &frame->columns[c],
                                         .options = options,
                                         .counts = lookup->is_counted ? &counts[c] : &uncounted,
                                         .error = error};
        ret->lookups[i].rows = rows + i * n_rows;
        const int status = lookup->is_bag ? lookup_bag(&pass, &ret->lookups[i])
                                          : lookup_flat(&pass, rows + i * n_rows);
        if (status != 0)
            return -1;
    }
    return 0;
}

/* ---- batches together ---- */

static int join_bag(struct arena *arena, uint32_t i, const struct encoded *const *parts,
                    uint32_t n_parts, uint32_t n_rows, struct dcnv2_rows *ret)
{
    size_t n = 0;
    for (uint32_t p = 0; p < n_parts; p++)
        n += parts[p]->lookups[i].offsets[parts[p]->n_rows];
    uint32_t *rows = arena_alloc(arena, n * sizeof *rows);
    uint32_t *offsets = arena_alloc(arena, (n_rows + (size_t)1) * sizeof *offsets);
    if (rows == NULL || offsets == NULL || n > UINT32_MAX)
        return -1;
    *ret = (struct dcnv2_rows){rows, offsets};
    uint32_t at = 0;
    *offsets++ = 0;
    for (uint32_t p = 0; p < n_parts; p++) {
        const struct dcnv2_rows *part = &parts[p]->lookups[i];
        const uint32_t size = part->offsets[parts[p]->n_rows];
        memcpy(rows + at, part->rows, size * sizeof *rows);
        for (uint32_t r = 0; r < parts[p]->n_rows; r++)
            *offsets++ = at + part->offsets[r + 1];
        at += size;
    }
    return 0;
}

int encoder_join(const struct encoder *encoder, struct arena *arena,
                 const struct encoded *const *parts, uint32_t n_parts, struct encoded *ret)
{
    uint32_t n_rows = 0;
    uint32_t *rows;
    for (uint32_t p = 0; p < n_parts; p++)
        n_rows += parts[p]->n_rows;
    if (make_room(encoder, arena, n_rows, ret, &rows) != 0)
        return -1;
    for (uint32_t i = 0; i < encoder->n_values; i++) {
        float *to = ret->dense + (size_t)i * n_rows;
        for (uint32_t p = 0; p < n_parts; to += parts[p++]->n_rows)
            memcpy(to, parts[p]->dense + (size_t)i * parts[p]->n_rows,
                   parts[p]->n_rows * sizeof *to);
    }
    for (uint32_t i = 0; i < encoder->n_lookups; i++) {
        uint32_t *to = rows + (size_t)i * n_rows;
        ret->lookups[i].rows = to;
        if (encoder->lookups[i].is_bag) {
            if (join_bag(arena, i, parts, n_parts, n_rows, &ret->lookups[i]) != 0)
                return -1;
            continue;
        }
        for (uint32_t p = 0; p < n_parts; to += parts[p++]->n_rows)
            memcpy(to, parts[p]->lookups[i].rows, parts[p]->n_rows * sizeof *to);
    }
    return 0;
}
