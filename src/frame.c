/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <stdio.h>

int request_error_set_list(struct request_error *error, int http_status, const char *format,
                           va_list arguments)
{
    enum { ROOM = sizeof error->message };
    error->http_status = http_status;
    const int n = vsnprintf(error->message, ROOM, format, arguments);
    const bool cut = n >= ROOM; /* perhaps in the middle of a code point */
    const size_t length = text_make_printable(error->message, strlen(error->message), cut);
    error->message[length] = '\0';
    return -1;
}

int request_error_set(struct request_error *error, int http_status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    request_error_set_list(error, http_status, format, arguments);
    va_end(arguments);
    return -1;
}

int request_error_out_of_memory(struct request_error *error)
{
    return request_error_set(error, 413, "The request needs more memory than one may have.");
}

int request_error_no_memory_now(struct request_error *error)
{
    return request_error_set(error, 503, REQUEST_NO_MEMORY);
}

/* Where the search for a name starts. */
static uint32_t start_of(const struct schema *schema, struct text name)
{
    return (uint32_t)hash_bytes(&schema->seed, name.at, name.length) & schema->slot_mask;
}

int schema_init(struct schema *schema, struct arena *arena, const struct text *names,
                uint32_t n_sparse, uint32_t n_dense, uint32_t *ret_twice)
{
    const uint32_t n = n_sparse + n_dense;
    uint32_t n_slots = 4;
    while (n_slots < 2 * n)
        n_slots *= 2;
    struct text *copies = arena_calloc(arena, n + 1, sizeof *copies);
    uint32_t *slots = arena_calloc(arena, n_slots, sizeof *slots);
    *ret_twice = SCHEMA_NOT_FOUND;
    if (copies == NULL || slots == NULL)
        return -1;
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i] = SCHEMA_NOT_FOUND;
    *schema = (struct schema){.names = copies,
                              .n_sparse = n_sparse,
                              .n_dense = n_dense,
                              .slots = slots,
                              .slot_mask = n_slots - 1,
                              .seed = hash_seed_random()};
    for (uint32_t i = 0; i < n; i++) {
        copies[i].at = arena_copy_text(arena, names[i].at, names[i].length);
        copies[i].length = names[i].length;
        if (copies[i].at == NULL)
            return -1;
        if (schema_find(schema, names[i], SCHEMA_NOT_FOUND) != SCHEMA_NOT_FOUND) {
            *ret_twice = i;
            return -1;
        }
        uint32_t slot = start_of(schema, names[i]);
        while (slots[slot] != SCHEMA_NOT_FOUND)
            slot = (slot + 1) & schema->slot_mask;
        slots[slot] = i;
    }
    return 0;
}

uint32_t schema_look_up(const struct schema *schema, struct text name)
{
    uint32_t slot = start_of(schema, name);
    while (schema->slots[slot] != SCHEMA_NOT_FOUND) {
        if (text_equal(schema->names[schema->slots[slot]], name))
            return schema->slots[slot];
        slot = (slot + 1) & schema->slot_mask;
    }
    return SCHEMA_NOT_FOUND;
}

int frame_init(struct frame *frame, const struct schema *schema, struct arena *arena,
               uint32_t max_rows)
{
    *frame = (struct frame){.schema = schema, .arena = arena, .max_rows = max_rows};
    frame->columns = arena_calloc(arena, schema_n_columns(schema), sizeof *frame->columns);
    return frame->columns ? 0 : -1;
}

void frame_clear(struct frame *frame)
{
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++) {
        frame->columns[c].n = 0;
        frame->columns[c].kinds = 0;
    }
    frame->n_rows = 0;
    frame->n_segments = 0;
}

/* Doubles an array in the arena, or starts it with `least` elements. NULL: out of memory. */
static void *grow(struct arena *arena, const void *old, uint32_t n, uint32_t *capacity,
                  uint32_t least, size_t size)
{
    const size_t wanted = *capacity ? 2 * (size_t)*capacity : least;
    if (wanted > UINT32_MAX || wanted > SIZE_MAX / size)
        return NULL;
    void *grown = arena_alloc(arena, wanted * size);
    if (grown == NULL)
        return NULL;
    if (n)
        memcpy(grown, old, n * size);
    *capacity = (uint32_t)wanted;
    return grown;
}

int frame_make_room(struct frame *frame, uint32_t c, struct request_error *error)
{
    struct column *column = &frame->columns[c];
    if (column->n == frame->max_rows)
        return request_error_set(error, 413, "The request has more than %u rows.", frame->max_rows);
    if (column->n < column->capacity)
        return 0;
    /* A column is probably as long as the one before it. */
    const uint32_t least = c > 0 && frame->columns[c - 1].n > 0 ? frame->columns[c - 1].n : 4;
    struct cell *cells =
        grow(frame->arena, column->cells, column->n, &column->capacity, least, sizeof *cells);
    if (cells == NULL)
        return request_error_out_of_memory(error);
    column->cells = cells;
    return 0;
}

void frame_truncate(struct frame *frame, uint32_t c, uint32_t n)
{
    if (frame->columns[c].n > n)
        frame->columns[c].n = n;
    if (n == 0)
        frame->columns[c].kinds = 0;
}

int frame_end_segment(struct frame *frame, uint32_t n_rows, struct request_error *error)
{
    if (frame->n_segments == frame->segment_capacity) {
        uint32_t *starts = grow(frame->arena, frame->segment_starts, frame->n_segments,
                                &frame->segment_capacity, 4, sizeof *starts);
        if (starts == NULL)
            return request_error_out_of_memory(error);
        frame->segment_starts = starts;
    }
    frame->segment_starts[frame->n_segments++] = frame->n_rows;
    frame->n_rows = n_rows;
    return 0;
}

int frame_require_rows(const struct frame *frame, struct request_error *error)
{
    if (frame->n_rows == 0)
        return request_error_set(error, 400, "The request has no rows.");
    return 0;
}
