/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_bag.c: look-ups that give any number of rows per cell. */
#include "encode/lookup.h"

/* Rows in the making. */
struct bag {
    const struct lookup_pass *pass;
    uint32_t *rows;
    uint32_t n, start; /* in all; where those of the cell start */
    bool is_empty;     /* the cell had no value yet */
};

/* ---- how many rows there may be ---- */

static bool next_part(struct text *list, struct text separator, struct text *ret_part)
{
    if (list->at == NULL)
        return false;
    const char *found = separator.length <= list->length
                            ? memmem(list->at, list->length, separator.at, separator.length)
                            : NULL;
    *ret_part = *list;
    if (found == NULL) {
        list->at = NULL;
        return true;
    }
    ret_part->length = (size_t)(found - list->at);
    list->length -= ret_part->length + separator.length;
    list->at = found + separator.length;
    return true;
}

/* Texts in a list are split as well: a tensor of [N, 1] has one list as one text. */
static uint64_t count_values(const struct lookup *lookup, const struct cell *cell)
{
    uint64_t n = 0;
    if (!lookup->column->is_list)
        return 1;
    if (cell->kind == CELL_LIST) {
        for (uint32_t i = 0; i < cell->length; i++)
            n += count_values(lookup, &cell->items[i]);
        return n;
    }
    if (cell->kind != CELL_TEXT || lookup->column->separator.length == 0)
        return 1;
    struct text list = {cell->text, cell->length}, part;
    while (next_part(&list, lookup->column->separator, &part))
        n++;
    return n;
}

/* No fewer than there will be: a missing one alone, or padding, takes the place of none. */
static uint64_t most_rows(const struct lookup_pass *pass)
{
    const struct lookup *lookup = pass->lookup;
    const uint64_t least = lookup->spec->is_padded ? lookup->spec->max_values : 1;
    uint64_t n = 0;
    for (uint32_t row = 0; row < pass->frame->n_rows; row++) {
        const uint64_t n_values = count_values(lookup, &pass->column->cells[row]);
        n += n_values > least ? n_values : least;
    }
    return n;
}

/* ---- the rows of a cell ---- */

static int put(struct bag *bag, uint32_t found)
{
    if (found == SPEC_NONE)
        return -1;
    if (found != SPEC_DROP)
        bag->rows[bag->n++] = found;
    return 0;
}

/* Padding of a rectangular tensor: an empty text, unless that is a class. */
static bool is_padding(const struct lookup *lookup, const struct cell *cell)
{
    return lookup_is_missing(lookup, cell) ||
           (lookup->vocabulary == NULL && cell->kind == CELL_TEXT && cell->length == 0);
}

static int put_value(struct bag *bag, const struct cell *cell, uint32_t row)
{
    const struct lookup *lookup = bag->pass->lookup;
    if (lookup->column->is_list && is_padding(lookup, cell))
        return 0;
    bag->is_empty = false;
    return put(bag, lookup_value(bag->pass, cell, row));
}

static int refuse_kind(const struct lookup_pass *pass, uint32_t row)
{
    return request_error_set(
        pass->error, 400, "Column \"%.*s\", row %u: a list of values is expected.",
        TEXT_SHOWN(pass->frame->schema->names[pass->lookup->spec->column]), row + 1);
}

static int put_text(struct bag *bag, const struct cell *cell, uint32_t row)
{
    struct text list = {cell->text, cell->length}, part;
    while (next_part(&list, bag->pass->lookup->column->separator, &part)) {
        const struct cell value = {
            .text = part.at, .length = (uint32_t)part.length, .kind = CELL_TEXT};
        if (put_value(bag, &value, row) != 0)
            return -1;
    }
    return 0;
}

static int put_item(struct bag *bag, const struct cell *cell, uint32_t row)
{
    const bool has_separator = bag->pass->lookup->column->separator.length > 0;
    return has_separator && cell->kind == CELL_TEXT ? put_text(bag, cell, row)
                                                    : put_value(bag, cell, row);
}

/* Without the empty texts that fill a rectangular tensor, where they would take the last places. */
static uint32_t count_items(const struct lookup *lookup, const struct cell *list)
{
    uint32_t n = list->length;
    while (lookup->is_end_padding && n > 0 && list->items[n - 1].kind == CELL_TEXT &&
           list->items[n - 1].length == 0)
        n--;
    return n;
}

static int put_list(struct bag *bag, const struct cell *cell, uint32_t row)
{
    if (cell->kind == CELL_MISSING)
        return 0;
    if (cell->kind != CELL_LIST)
        return bag->pass->lookup->column->separator.length > 0 ? put_item(bag, cell, row)
                                                               : refuse_kind(bag->pass, row);
    const uint32_t n = count_items(bag->pass->lookup, cell);
    for (uint32_t i = 0; i < n; i++)
        if (put_item(bag, &cell->items[i], row) != 0)
            return -1;
    return 0;
}

/* Of too many values only some count. */
static void cut(struct bag *bag)
{
    const struct spec_lookup *spec = bag->pass->lookup->spec;
    const uint32_t n = bag->n - bag->start, most = spec->max_values;
    uint32_t *rows = bag->rows + bag->start;
    if (most == 0 || n <= most)
        return;
    if (spec->keep == LIST_LAST)
        memmove(rows, rows + (n - most), most * sizeof *rows);
    bag->n = bag->start + most;
}

static void pad(struct bag *bag)
{
    const struct spec_lookup *spec = bag->pass->lookup->spec;
    const uint32_t n = bag->n - bag->start;
    uint32_t *rows = bag->rows + bag->start;
    if (!spec->is_padded || n >= spec->max_values)
        return;
    const uint32_t n_pads = spec->max_values - n;
    if (spec->pad == LIST_FIRST)
        memmove(rows + n_pads, rows, n * sizeof *rows);
    uint32_t *pads = spec->pad == LIST_FIRST ? rows : rows + n;
    for (uint32_t i = 0; i < n_pads; i++)
        pads[i] = spec->pad_row;
    bag->n += n_pads;
}

static int put_cell(struct bag *bag, uint32_t row)
{
    const struct lookup_pass *pass = bag->pass;
    const struct cell *cell = &pass->column->cells[row];
    bag->start = bag->n;
    bag->is_empty = true;
    const int status =
        pass->lookup->column->is_list ? put_list(bag, cell, row) : put_value(bag, cell, row);
    if (status != 0 || (bag->is_empty && put(bag, lookup_missing(pass, row)) != 0))
        return -1;
    cut(bag);
    pad(bag);
    return 0;
}

int lookup_bag(const struct lookup_pass *pass, struct dcnv2_rows *ret)
{
    const uint32_t n_rows = pass->frame->n_rows;
    const uint64_t most = most_rows(pass);
    if (most > UINT32_MAX)
        return request_error_out_of_memory(pass->error);
    uint32_t *offsets = arena_alloc(pass->frame->arena, (n_rows + 1u) * sizeof *offsets);
    struct bag bag = {.pass = pass,
                      .rows = arena_alloc(pass->frame->arena, most * sizeof(uint32_t))};
    if (offsets == NULL || bag.rows == NULL)
        return request_error_out_of_memory(pass->error);
    offsets[0] = 0;
    for (uint32_t row = 0; row < n_rows; row++) {
        if (put_cell(&bag, row) != 0)
            return -1;
        offsets[row + 1] = bag.n;
    }
    *ret = (struct dcnv2_rows){bag.rows, offsets};
    return 0;
}
