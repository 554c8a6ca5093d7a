/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/lookup.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "encode/cell_text.h"
#include "encode/digest.h"
#include "encode/other_form.h"

enum { SHOWN_BYTES = 40 };

static const double whole_max = 9007199254740992.0; /* 2^53: beyond, a double stands for several */

/* ---- the look-up ---- */

/* Rows that stand for none: the look-up is a bag if one is SPEC_DROP. */
static bool may_drop(const struct lookup *lookup)
{
    const struct spec_lookup *spec = lookup->spec;
    if (spec->unseen_row == SPEC_DROP || spec->missing_row == SPEC_DROP)
        return true;
    for (uint32_t i = 0; spec->rows && i < lookup->vocabulary->n; i++)
        if (spec->rows[i] == SPEC_DROP)
            return true;
    return false;
}

/* A missing value is hashed as the empty text. */
static bool is_hashed_if_missing(const struct spec_lookup *spec)
{
    return spec->kind == LOOKUP_HASH && spec->missing_row == SPEC_NONE;
}

static const char *check(const struct network_spec *network, const struct spec_lookup *spec,
                         const struct vocabulary *vocabularies)
{
    if (spec->column >= network->n_columns)
        return "its column is not there";
    const struct spec_column *column = &network->columns[spec->column];
    const bool is_of_vocabulary = spec->kind == LOOKUP_VOCABULARY;
    if (column->is_number && column->is_list)
        return "a list of numbers is looked up as a list of texts: make the column a category";
    if (!column->is_number && spec->n_steps > 0)
        return "steps are of a column of numbers";
    if (is_of_vocabulary && spec->vocabulary >= network->n_vocabularies)
        return "its vocabulary is not there";
    if (!is_of_vocabulary && spec->rows)
        return "rows are of a vocabulary";
    if (spec->kind == LOOKUP_HASH && spec->modulus == 0)
        return "a hash needs a modulus";
    if (spec->is_padded && spec->max_values == 0)
        return "padding needs a number of values to pad to";
    const uint64_t n = is_of_vocabulary ? vocabularies[spec->vocabulary].n : spec->modulus;
    return spec->first_row + n < SPEC_REFUSE ? NULL : "its rows are too many";
}

const char *lookup_init(struct lookup *lookup, const struct network_spec *network,
                        const struct spec_lookup *spec, const struct vocabulary *vocabularies,
                        enum cell_rules rules)
{
    const char *reason = check(network, spec, vocabularies);
    if (reason)
        return reason;
    const struct vocabulary *vocabulary =
        spec->kind == LOOKUP_VOCABULARY ? &vocabularies[spec->vocabulary] : NULL;
    *lookup = (struct lookup){.spec = spec,
                              .column = &network->columns[spec->column],
                              .vocabulary = vocabulary,
                              .rules = rules};
    lookup->is_bag = lookup->column->is_list || may_drop(lookup);
    const uint32_t empty = vocabulary ? vocabulary_find(vocabulary, "", 0) : 0;
    lookup->is_empty_a_class = vocabulary && empty != vocabulary->n;
    lookup->is_end_padding = lookup->is_empty_a_class && spec->keep == LIST_LAST &&
                             lookup_class(spec, empty) == spec->missing_row;
    return NULL;
}

/* ---- values that are refused ---- */

static struct text name_of(const struct lookup_pass *pass)
{
    return pass->frame->schema->names[pass->lookup->spec->column];
}

static uint32_t refuse(const struct lookup_pass *pass, uint32_t row, struct text shown,
                       const char *what)
{
    const size_t length = shown.length < SHOWN_BYTES ? shown.length : SHOWN_BYTES;
    request_error_set(pass->error, 400, "Column \"%.*s\", row %u: \"%.*s\" %s.",
                      TEXT_SHOWN(name_of(pass)), row + 1,
                      (int)text_utf8_valid_length(shown.at, length), shown.at, what);
    return SPEC_NONE;
}

static uint32_t refuse_missing(const struct lookup_pass *pass, uint32_t row)
{
    request_error_set(pass->error, 400,
                      "Column \"%.*s\", row %u: the value is missing; the model has no row for "
                      "that.",
                      TEXT_SHOWN(name_of(pass)), row + 1);
    return SPEC_NONE;
}

/* ---- values that are no class ---- */

static struct text copy_shown(struct arena *arena, struct text text)
{
    const size_t length = (size_t)text_shown_length(text);
    return (struct text){arena_copy_text(arena, text.at, length), length};
}

bool lookup_is_missing(const struct lookup *lookup, const struct cell *cell)
{
    if (cell->kind == CELL_TEXT)
        return cell->length == 0 && !lookup->is_empty_a_class;
    return cell->kind == CELL_MISSING || (cell->kind == CELL_FLOAT && isnan(cell->number));
}

/* The row of a value that is neither class nor missing. */
static uint32_t row_of_unseen(const struct lookup_pass *pass, struct text written, uint32_t row)
{
    const uint32_t unseen = pass->lookup->spec->unseen_row;
    if (unseen == SPEC_REFUSE || unseen == SPEC_NONE)
        return refuse(pass, row, written, "is unknown to the model, which has no row for such");
    pass->counts->n_unknown++;
    return unseen;
}

static uint32_t row_of_hash(const struct spec_lookup *spec, struct text text)
{
    uint64_t hash = 0;
    switch (spec->hash) {
    case HASH_CRC32:
        hash = digest_crc32(spec->prefix, text);
        break;
    case HASH_MURMUR3_32:
        hash = digest_murmur3_32(spec->prefix, text);
        break;
    case HASH_XXHASH64:
        hash = digest_xxhash64(spec->prefix, text);
        break;
    }
    return spec->first_row + (uint32_t)(hash % spec->modulus);
}

uint32_t lookup_missing(const struct lookup_pass *pass, uint32_t row)
{
    const struct spec_lookup *spec = pass->lookup->spec;
    if (is_hashed_if_missing(spec))
        return row_of_hash(spec, (struct text){"", 0});
    const uint32_t missing = spec->missing_row == SPEC_NONE ? spec->unseen_row : spec->missing_row;
    if (missing == SPEC_REFUSE || missing == SPEC_NONE)
        return refuse_missing(pass, row);
    pass->counts->n_unknown += missing == spec->unseen_row;
    return missing;
}

/* The class of a cell in another form than `written`, or the number of classes. */
static uint32_t find_other_form(const struct lookup_pass *pass, const struct cell *cell,
                                struct text written)
{
    const struct vocabulary *vocabulary = pass->lookup->vocabulary;
    struct category_counts *counts = pass->counts;
    struct other_form form;
    const uint32_t found = other_form_find(vocabulary, cell, written, &form);
    if (found != vocabulary->n && counts->n_other_form++ == 0) {
        counts->value = copy_shown(pass->frame->arena, written);
        counts->class = copy_shown(pass->frame->arena, form.text);
    }
    return pass->options->match_forms ? found : vocabulary->n;
}

/* Whether missing values have a row of their own, which no form of theirs is looked up before. */
static bool has_row_of_missing(const struct spec_lookup *spec)
{
    return spec->missing_row != SPEC_NONE && spec->missing_row != spec->unseen_row;
}

uint32_t lookup_no_class(const struct lookup_pass *pass, const struct cell *cell,
                         struct text written, uint32_t row)
{
    const struct lookup *lookup = pass->lookup;
    const struct vocabulary *vocabulary = lookup->vocabulary;
    const struct encode_options *options = pass->options;
    static const struct cell none = {.kind = CELL_MISSING};
    char scratch[NUMBER_REPR_MAX];
    struct text text = written;
    uint32_t found = vocabulary->n;
    bool is_missing = lookup_is_missing(lookup, cell);
    if (options->reread && lookup->rules == CELLS_AS_PANDAS) {
        is_missing =
            options->reread(options->context, lookup->spec->vocabulary, written, scratch, &text);
        found = vocabulary_find(vocabulary, text.at, text.length);
        if (is_missing)
            cell = &none;
        else
            text = written;
    }
    if (found == vocabulary->n && is_missing && has_row_of_missing(lookup->spec))
        return lookup_missing(pass, row);
    if (found == vocabulary->n)
        found = find_other_form(pass, cell, text);
    if (found != vocabulary->n)
        return lookup_class(lookup->spec, found);
    return is_missing ? lookup_missing(pass, row) : row_of_unseen(pass, written, row);
}

/* ---- one value ---- */

/* [-+]digits modulo `modulus` as Python has it; 0: as it is. SPEC_NONE: no such row. */
static uint32_t row_of_integer(const struct spec_lookup *spec, struct text text)
{
    const uint32_t modulus = spec->modulus;
    const bool is_negative = text.length > 0 && text.at[0] == '-';
    size_t i = text.length > 0 && (text.at[0] == '-' || text.at[0] == '+');
    uint64_t value = 0;
    if (i == text.length)
        return SPEC_NONE;
    for (; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return SPEC_NONE;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
        if (modulus)
            value %= modulus;
        else if (value >= SPEC_REFUSE)
            return SPEC_NONE;
    }
    if (is_negative && value > 0) {
        if (modulus == 0)
            return SPEC_NONE;
        value = modulus - value;
    }
    value += spec->first_row;
    return value < SPEC_REFUSE ? (uint32_t)value : SPEC_NONE;
}

/* Of a cell that is not missing. */
static uint32_t row_of_text(const struct lookup_pass *pass, const struct cell *cell,
                            struct text text, uint32_t row)
{
    const struct lookup *lookup = pass->lookup;
    uint32_t found;
    switch (lookup->spec->kind) {
    case LOOKUP_VOCABULARY:
        found = vocabulary_find(lookup->vocabulary, text.at, text.length);
        return found == lookup->vocabulary->n ? lookup_no_class(pass, cell, text, row)
                                              : lookup_class(lookup->spec, found);
    case LOOKUP_HASH:
        return row_of_hash(lookup->spec, text);
    case LOOKUP_INTEGER:
        break;
    }
    found = row_of_integer(lookup->spec, text);
    return found == SPEC_NONE
               ? refuse(pass, row, text, "is no whole number of those that the model takes")
               : found;
}

/* A cell of a number that is whole, its text in `scratch`. false: it is not whole, or too large. */
static bool whole_cell(double value, char scratch[NUMBER_REPR_MAX], struct cell *ret_cell)
{
    if (!(fabs(value) <= whole_max) || value != trunc(value))
        return false;
    const int length = snprintf(scratch, NUMBER_REPR_MAX, "%" PRId64, (int64_t)value);
    *ret_cell = (struct cell){.text = scratch, .length = (uint32_t)length, .kind = CELL_INTEGER};
    return true;
}

/* Of a column of numbers: what the steps make of the cell. */
static uint32_t row_of_number(const struct lookup_pass *pass, const struct cell *cell, uint32_t row)
{
    const struct spec_lookup *spec = pass->lookup->spec;
    char scratch[NUMBER_REPR_MAX];
    struct cell whole;
    double value;
    if (!number_of_cell(cell, pass->lookup->rules, &value))
        return refuse(pass, row, cell_text(cell, COLUMN_AS_WRITTEN, scratch), "is not a number");
    value = steps_run(spec->steps, spec->n_steps, value);
    if (isnan(value))
        return lookup_missing(pass, row);
    if (!whole_cell(value, scratch, &whole))
        return refuse(pass, row, cell_text(cell, COLUMN_AS_WRITTEN, scratch),
                      "gives no whole number");
    return row_of_text(pass, &whole, (struct text){whole.text, whole.length}, row);
}

uint32_t lookup_value(const struct lookup_pass *pass, const struct cell *cell, uint32_t row)
{
    const struct lookup *lookup = pass->lookup;
    char scratch[NUMBER_REPR_MAX];
    struct cell whole;
    if (lookup->column->is_number)
        return row_of_number(pass, cell, row);
    const bool is_as_pandas = lookup->rules == CELLS_AS_PANDAS && lookup->vocabulary;
    if (!is_as_pandas && lookup_is_missing(lookup, cell))
        return lookup_missing(pass, row);
    if (lookup->spec->kind == LOOKUP_INTEGER &&
        (cell->kind == CELL_FLOAT || cell->kind == CELL_BOOL)) {
        const double value = cell->kind == CELL_FLOAT ? cell->number : cell->boolean;
        if (whole_cell(value, scratch, &whole))
            cell = &whole;
    }
    return row_of_text(pass, cell, cell_text(cell, COLUMN_AS_WRITTEN, scratch), row);
}
