/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: memory that is released all at once.
 *
 * A request, or the reading of a file, allocates from one arena and gives it all
 * back at one point. A reset arena keeps its first block, so a warm one allocates
 * nothing from the heap. One thread at a time.
 */
#ifndef DCNV2_ARENA_H
#define DCNV2_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 16 };

struct arena_block;

struct arena {
    struct arena_block *first; /* kept over arena_reset() */
    struct arena_block *last;
    char *at;  /* the next free byte of `last` */
    char *end; /* one past its last byte */
    size_t used_bytes;
    size_t limit_bytes; /* arena_alloc() fails beyond */
    bool starved;       /* since the last reset it failed below the limit, for want of memory */
};

/* No allocation happens before the first arena_alloc() or arena_reserve(). */
void arena_init(struct arena *arena, size_t limit_bytes);

/* What is allocated next lies together, up to `size` bytes, each allocation rounded up to
 * ARENA_ALIGNMENT; on huge pages where they are many. -1: out of memory, or over the limit. */
int arena_reserve(struct arena *arena, size_t size);

/* Aligned to ARENA_ALIGNMENT, not cleared. NULL: out of memory, or over the limit. */
void *arena_alloc(struct arena *arena, size_t size);

/* `count` times `size` bytes, cleared; NULL also when the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A NUL-terminated copy of `length` bytes. */
char *arena_copy_text(struct arena *arena, const char *text, size_t length);

/* Everything allocated becomes invalid; up to `keep_bytes` stay for the next use. */
void arena_reset(struct arena *arena, size_t keep_bytes);

/* Gives all memory back. The arena may be used again. */
void arena_free(struct arena *arena);

#endif
