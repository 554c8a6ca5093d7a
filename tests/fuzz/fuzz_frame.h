/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frame.h: what fuzz_v1.c, fuzz_v2.c and fuzz_grpc.c share: a frame, and what must hold of it.
 */
#ifndef DCNV2_TESTS_FUZZ_FRAME_H
#define DCNV2_TESTS_FUZZ_FRAME_H

#include "fixture.h"
#include "fuzz.h"

enum { FUZZ_COLUMNS = 3, FUZZ_MAX_ROWS = 200, FUZZ_ARENA_BYTES = 16 << 20 };

/* The arena's memory is given back between inputs, so that a sanitizer sees what is used behind. */
static inline void fuzz_frame_init(struct fixture *fixture)
{
    fixture_init(fixture, "userid,brand,price", 2, 1, FUZZ_MAX_ROWS);
    fixture->arena.limit_bytes = FUZZ_ARENA_BYTES;
}

/* The second column is one of lists, or none is. */
static inline void fuzz_make_lists(struct fixture *fixture, bool has_lists)
{
    static const bool is_list[FUZZ_COLUMNS] = {false, true, false};
    fixture->schema.is_list = has_lists ? is_list : NULL;
}

static inline void fuzz_check_error(const struct request_error *error)
{
    REQUIRE(error->http_status == 400 || error->http_status == 413);
    const size_t length = strnlen(error->message, sizeof error->message);
    REQUIRE(length > 0 && length < sizeof error->message);
    REQUIRE(text_utf8_valid_length(error->message, length) == length);
}

static inline void fuzz_check_text(const struct cell *cell)
{
    if (cell->kind != CELL_TEXT && cell->kind != CELL_INTEGER)
        return;
    fuzz_touch(cell->text, cell->length);
    REQUIRE(text_utf8_valid_length(cell->text, cell->length) == cell->length);
}

static inline void fuzz_check_frame(const struct frame *frame)
{
    REQUIRE(frame->max_rows == FUZZ_MAX_ROWS);
    REQUIRE(frame->n_rows > 0 && frame->n_rows <= FUZZ_MAX_ROWS);
    REQUIRE(frame->n_segments > 0 && frame->segment_starts[0] == 0);
    for (uint32_t c = 0; c < FUZZ_COLUMNS; c++) {
        const struct column *column = &frame->columns[c];
        REQUIRE(column->n == frame->n_rows);
        for (uint32_t i = 0; i < column->n; i++) {
            const struct cell *cell = &column->cells[i];
            REQUIRE(cell->kind <= CELL_LIST && column->kinds >> cell->kind & 1);
            REQUIRE(cell->kind != CELL_LIST || schema_is_list(frame->schema, c));
            fuzz_check_text(cell);
            for (uint32_t k = 0; cell->kind == CELL_LIST && k < cell->length; k++) {
                REQUIRE(cell->items[k].kind <= CELL_TEXT);
                fuzz_check_text(&cell->items[k]);
            }
        }
    }
}

#endif
