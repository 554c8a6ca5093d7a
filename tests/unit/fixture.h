/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture.h: what the tests of the request path share: an arena, a schema and a frame,
 * and texts that end where their memory ends, so that a sanitizer sees a byte too many.
 */
#ifndef DCNV2_TESTS_FIXTURE_H
#define DCNV2_TESTS_FIXTURE_H

#include <stdlib.h>

#include "frame.h"
#include "test.h"

enum { FIXTURE_MAX_COLUMNS = 32 };

struct fixture {
    struct arena schema_arena;
    struct arena arena; /* of one request */
    struct schema schema;
    struct frame frame;
    struct request_error error;
};

/* `names`: sparse columns, then dense ones, separated by commas. */
static inline void fixture_init(struct fixture *fixture, const char *names, uint32_t n_sparse,
                                uint32_t n_dense, uint32_t max_rows)
{
    struct text columns[FIXTURE_MAX_COLUMNS];
    uint32_t twice;
    for (uint32_t i = 0; i < n_sparse + n_dense; i++) {
        size_t length = strcspn(names, ",");
        columns[i] = (struct text){names, length};
        names += length + (names[length] == ',');
    }
    arena_init(&fixture->schema_arena, 1 << 20);
    arena_init(&fixture->arena, (size_t)1 << 30);
    CHECK(schema_init(&fixture->schema, &fixture->schema_arena, columns, n_sparse, n_dense,
                      &twice) == 0);
    CHECK(frame_init(&fixture->frame, &fixture->schema, &fixture->arena, max_rows) == 0);
    memset(&fixture->error, 0, sizeof fixture->error);
}

static inline void fixture_free(struct fixture *fixture)
{
    arena_free(&fixture->arena);
    arena_free(&fixture->schema_arena);
}

/* Ready for another request: the arena is empty, the frame new, the error blank. */
static inline void fixture_reset(struct fixture *fixture)
{
    const uint32_t max_rows = fixture->frame.max_rows;
    arena_reset(&fixture->arena, SIZE_MAX);
    CHECK(frame_init(&fixture->frame, &fixture->schema, &fixture->arena, max_rows) == 0);
    memset(&fixture->error, 0, sizeof fixture->error);
}

static inline struct text fixture_copy(const void *bytes, size_t length)
{
    char *copy = malloc(length ? length : 1);
    if (copy == NULL)
        abort();
    if (length)
        memcpy(copy, bytes, length);
    return (struct text){copy, length};
}

static inline void fixture_drop(struct text copy)
{
    free((char *)copy.at);
}

/* Text that grows; for large requests. */
struct builder {
    char *at;
    size_t length, capacity;
};

static inline void builder_add(struct builder *builder, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    if (builder->length + length > builder->capacity) {
        builder->capacity = 2 * (builder->length + length);
        builder->at = realloc(builder->at, builder->capacity);
        if (builder->at == NULL)
            abort();
    }
    memcpy(builder->at + builder->length, bytes, length);
    builder->length += length;
}

static inline void builder_text(struct builder *builder, const char *text)
{
    builder_add(builder, text, strlen(text));
}

static inline void builder_repeat(struct builder *builder, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        builder_text(builder, text);
}

static inline struct text builder_view(const struct builder *builder)
{
    return (struct text){builder->at, builder->length};
}

static inline void builder_free(struct builder *builder)
{
    free(builder->at);
    *builder = (struct builder){0};
}

/* The cell is of this kind and, where it has a text, of this text. */
static inline bool cell_is(const struct cell *cell, enum cell_kind kind, const char *text)
{
    return cell->kind == (uint32_t)kind && text_is((struct text){cell->text, cell->length}, text);
}

/* A message for a client: there is one, it is UTF-8, and it names nothing of ours. */
static inline bool error_is_for_clients(const struct request_error *error)
{
    size_t length = strnlen(error->message, sizeof error->message);
    if (length == 0 || length == sizeof error->message)
        return false;
    if (text_utf8_valid_length(error->message, length) != length)
        return false;
    static const char *const ours[] = {"src/", ".c:", "0x", "(null)", "Error :", "Traceback"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strstr(error->message, ours[i]))
            return false;
    return true;
}

#endif
