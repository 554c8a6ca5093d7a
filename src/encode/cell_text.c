/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/cell_text.h"

enum {
    MISSING = 1u << CELL_MISSING,
    BOOL = 1u << CELL_BOOL,
    INTEGER = 1u << CELL_INTEGER,
    FLOAT = 1u << CELL_FLOAT
};

enum column_type column_type_of(uint32_t kinds)
{
    if (kinds & ~(uint32_t)(MISSING | INTEGER | FLOAT))
        return COLUMN_AS_WRITTEN; /* a bool or a text among them */
    if (kinds & FLOAT)
        return COLUMN_FLOAT;
    return kinds == (MISSING | INTEGER) ? COLUMN_FLOAT : COLUMN_AS_WRITTEN;
}

enum column_type column_type_join(const uint32_t *segment_kinds, uint32_t n_segments)
{
    uint32_t types = 0; /* each segment's type as the kind that stands for it */
    for (uint32_t s = 0; s < n_segments; s++) {
        const uint32_t kinds = segment_kinds[s];
        if (column_type_of(kinds) == COLUMN_FLOAT)
            types |= FLOAT;
        else if (kinds == INTEGER || kinds == BOOL || kinds == MISSING)
            types |= kinds;
        else
            return COLUMN_BY_SEGMENT; /* an object beside anything */
    }
    if ((types & BOOL) && (types & MISSING))
        return COLUMN_BY_SEGMENT; /* no type but object holds both */
    if (types & FLOAT)
        return COLUMN_FLOAT;
    return types == (INTEGER | BOOL) ? COLUMN_INTEGER : COLUMN_AS_WRITTEN;
}

struct text cell_text(const struct cell *cell, enum column_type type, char scratch[NUMBER_REPR_MAX])
{
    switch ((enum cell_kind)cell->kind) {
    case CELL_MISSING:
        return text_of(type == COLUMN_FLOAT ? "nan" : "None");
    case CELL_BOOL:
        if (type == COLUMN_FLOAT)
            return text_of(cell->boolean ? "1.0" : "0.0");
        if (type == COLUMN_INTEGER)
            return text_of(cell->boolean ? "1" : "0");
        return text_of(cell->boolean ? "True" : "False");
    case CELL_INTEGER:
        if (type != COLUMN_FLOAT)
            return (struct text){cell->text, cell->length};
        return (struct text){scratch,
                             number_print_repr(number_parse(cell->text, cell->length), scratch)};
    case CELL_FLOAT:
        return (struct text){scratch, number_print_repr(cell->number, scratch)};
    case CELL_TEXT:
    case CELL_LIST: /* has no text */
        break;
    }
    return (struct text){cell->text, cell->length};
}
