/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum {
    FIRST_BLOCK_BYTES = 64 * 1024,
    LARGEST_STEP_BYTES = 8 * 1024 * 1024,
    LARGE_BLOCK_BYTES = 2 * 1024 * 1024
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* bytes behind this head */
    _Alignas(ARENA_ALIGNMENT) char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

/* Blocks for requests come from the heap, those for reading models from the system. */
static struct arena_block *block_alloc(size_t size)
{
    if (size >= LARGE_BLOCK_BYTES)
        return size < SIZE_MAX / 2 ? memory_alloc(sizeof(struct arena_block) + size) : NULL;
    return malloc(sizeof(struct arena_block) + size);
}

static void block_free(struct arena_block *block)
{
    if (block->size >= LARGE_BLOCK_BYTES)
        memory_free(block, sizeof *block + block->size);
    else
        free(block);
}

/* Appends a block of `size` bytes and makes it the current one. */
static int add_block(struct arena *arena, size_t size)
{
    struct arena_block *block = block_alloc(size);
    if (block == NULL)
        return -1;
    block->next = NULL;
    block->size = size;
    if (arena->last)
        arena->last->next = block;
    else
        arena->first = block;
    arena->last = block;
    arena->at = block->bytes;
    arena->end = block->bytes + size;
    return 0;
}

/* The size of the next block, which is to hold at least `size` bytes. */
static size_t next_step(const struct arena *arena, size_t size)
{
    size_t step = arena->last ? arena->last->size * 2 : FIRST_BLOCK_BYTES;
    if (step > LARGEST_STEP_BYTES)
        step = LARGEST_STEP_BYTES;
    return step < size ? size : step;
}

static bool is_allowed(const struct arena *arena, size_t size)
{
    return size <= arena->limit_bytes - arena->used_bytes && size <= SIZE_MAX - ARENA_ALIGNMENT;
}

static size_t padded(size_t size)
{
    return (size + (ARENA_ALIGNMENT - 1)) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

/* Where `size` bytes do not fit in the current block, one of that size or larger becomes it. */
static int make_room(struct arena *arena, size_t size, bool exact)
{
    if (arena->at && size <= (size_t)(arena->end - arena->at))
        return 0;
    if (add_block(arena, exact ? size : next_step(arena, size)) == 0)
        return 0;
    arena->starved = true;
    return -1;
}

int arena_reserve(struct arena *arena, size_t size)
{
    if (size == 0)
        return 0;
    return is_allowed(arena, size) ? make_room(arena, padded(size), true) : -1;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t taken = padded(size);
    if (!is_allowed(arena, size) || make_room(arena, taken, false) != 0)
        return NULL;
    void *result = arena->at;
    arena->at += taken;
    arena->used_bytes += taken;
    if (arena->used_bytes > arena->limit_bytes)
        arena->used_bytes = arena->limit_bytes;
    return result;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *result = arena_alloc(arena, bytes);
    if (result)
        memset(result, 0, bytes);
    return result;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, length + 1);
    if (copy == NULL)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        block_free(block);
        block = next;
    }
}

void arena_reset(struct arena *arena, size_t keep_bytes)
{
    struct arena_block *first = arena->first;
    size_t used = arena->used_bytes;
    arena->starved = false;
    if (first == NULL)
        return;
    if (first->next || first->size > keep_bytes) {
        free_blocks(first);
        arena->first = arena->last = NULL;
        arena->at = arena->end = NULL;
        /* One block for what this use needed in several, so that the next one like it fits. */
        if (used <= keep_bytes && add_block(arena, next_step(arena, used)) != 0)
            used = 0;
    } else {
        arena->at = first->bytes;
    }
    arena->used_bytes = 0;
}

void arena_free(struct arena *arena)
{
    free_blocks(arena->first);
    arena_init(arena, arena->limit_bytes);
}
