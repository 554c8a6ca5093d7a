/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "test.h"

enum { LIMIT = 1 << 20 };

TEST(nothing_is_allocated_before_the_first_alloc)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    CHECK(arena.first == NULL);
    CHECK(arena.used_bytes == 0);
    arena_reset(&arena, LIMIT);
    CHECK(arena.first == NULL);
    arena_free(&arena);
}

TEST(every_size_comes_aligned_to_16_bytes)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    for (size_t size = 0; size < 200; size++) {
        char *at = arena_alloc(&arena, size);
        CHECK_MSG(at != NULL, "size %zu", size);
        CHECK_MSG((uintptr_t)at % 16 == 0, "size %zu at %p", size, (void *)at);
        if (at)
            memset(at, 0xA5, size);
    }
    CHECK((uintptr_t)arena_calloc(&arena, 3, 5) % 16 == 0);
    arena_free(&arena);
}

TEST(blocks_do_not_overlap)
{
    enum { N = 2000 };
    static unsigned char *at[N];
    static size_t size[N];
    struct arena arena;
    arena_init(&arena, (size_t)1 << 28);
    uint32_t random = 7;
    for (size_t i = 0; i < N; i++) {
        random = random * 1664525 + 1013904223;
        size[i] = (random >> 8) % (i % 50 == 0 ? 100000 : 300);
        at[i] = arena_alloc(&arena, size[i]);
        CHECK(at[i] != NULL);
        if (at[i] == NULL)
            break;
        memset(at[i], (int)(i & 0xFF), size[i]);
    }
    for (size_t i = 0; i < N && at[i]; i++)
        for (size_t j = 0; j < size[i]; j++)
            if (at[i][j] != (i & 0xFF)) {
                CHECK_MSG(false, "byte %zu of block %zu was overwritten", j, i);
                break;
            }
    arena_free(&arena);
}

TEST(calloc_clears_memory_that_was_used_before)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    char *used = arena_alloc(&arena, 1000);
    CHECK(used != NULL);
    memset(used, 0xFF, 1000);
    arena_reset(&arena, LIMIT);
    const char *cleared = arena_calloc(&arena, 250, 4);
    CHECK(cleared != NULL);
    for (size_t i = 0; i < 1000; i++)
        CHECK(cleared[i] == 0);
    arena_free(&arena);
}

TEST(a_product_that_overflows_is_refused)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    CHECK(arena_calloc(&arena, SIZE_MAX / 2 + 2, 2) == NULL);
    CHECK(arena_calloc(&arena, 2, SIZE_MAX / 2 + 2) == NULL);
    CHECK(arena_calloc(&arena, (size_t)1 << 32, (size_t)1 << 32) == NULL);
    CHECK(arena_calloc(&arena, SIZE_MAX, SIZE_MAX) == NULL);
    CHECK(arena_calloc(&arena, 16, 16) != NULL);
    arena_free(&arena);
}

TEST(a_size_near_the_largest_is_refused)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    CHECK(arena_alloc(&arena, 100) != NULL);
    for (size_t below = 0; below < 40; below++)
        CHECK(arena_alloc(&arena, SIZE_MAX - below) == NULL);
    CHECK(arena_alloc(&arena, 100) != NULL);
    arena_free(&arena);
    for (size_t below = 0; below < 32; below++) { /* as the first of an arena */
        arena_init(&arena, SIZE_MAX);
        CHECK_MSG(arena_alloc(&arena, SIZE_MAX - below) == NULL, "%zu below", below);
        arena_free(&arena);
    }
}

TEST(the_limit_holds_and_what_was_given_stays)
{
    struct arena arena;
    arena_init(&arena, 10000);
    char *kept = arena_alloc(&arena, 4000);
    CHECK(kept != NULL);
    memset(kept, 'k', 4000);
    CHECK(arena_alloc(&arena, 10001) == NULL);
    CHECK(arena_alloc(&arena, 8000) == NULL);
    CHECK(arena_alloc(&arena, 3000) != NULL); /* a failure does not end it */
    for (int i = 0; i < 4000; i++)
        CHECK(kept[i] == 'k');
    size_t n = 0;
    while (arena_alloc(&arena, 16) && n < 100000)
        n++;
    CHECK_MSG(n * 16 <= 3000, "%zu blocks of 16 bytes beyond 7000", n);
    CHECK(arena.used_bytes <= 10000);
    CHECK(!arena.starved); /* it is the limit's doing */
    arena_free(&arena);
}

TEST(the_limit_counts_again_after_a_reset)
{
    struct arena arena;
    arena_init(&arena, 10000);
    for (int i = 0; i < 50; i++) {
        CHECK(arena_alloc(&arena, 9000) != NULL);
        CHECK(arena_alloc(&arena, 9000) == NULL);
        arena_reset(&arena, i % 2 ? 10000 : 0);
        CHECK(arena.used_bytes == 0);
    }
    arena_free(&arena);
}

TEST(a_copied_text_ends_in_nul)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    const char *copy = arena_copy_text(&arena, "a\0bc", 4);
    CHECK(copy != NULL && memcmp(copy, "a\0bc", 5) == 0);
    copy = arena_copy_text(&arena, "", 0);
    CHECK(copy != NULL && copy[0] == '\0');
    copy = arena_copy_text(&arena, NULL, 0);
    CHECK(copy != NULL && copy[0] == '\0');
    char *exact = malloc(5); /* the source has no NUL */
    CHECK(exact != NULL);
    memcpy(exact, "price", 5);
    copy = arena_copy_text(&arena, exact, 5);
    free(exact);
    CHECK(copy != NULL && strcmp(copy, "price") == 0);
    arena_free(&arena);
}

TEST(a_copied_text_over_the_limit_is_refused)
{
    struct arena arena;
    arena_init(&arena, 100);
    static const char text[200];
    CHECK(arena_copy_text(&arena, text, sizeof text) == NULL);
    arena_free(&arena);
}

TEST(a_warm_arena_takes_no_more_memory)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    CHECK(arena_alloc(&arena, 100) != NULL);
    arena_reset(&arena, LIMIT);
    const struct arena_block *first = arena.first;
    CHECK(first != NULL);
    for (int i = 0; i < 100; i++) {
        CHECK(arena_alloc(&arena, 100) != NULL);
        CHECK(arena.first == first);
        CHECK(arena.last == first);
        arena_reset(&arena, LIMIT);
    }
    arena_free(&arena);
}

TEST(what_took_several_blocks_takes_one_the_next_time)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    for (int round = 0; round < 5; round++) {
        for (size_t size = 1; size < 400000; size = size * 5 / 2 + 3)
            CHECK(arena_alloc(&arena, size) != NULL);
        if (round > 0)
            CHECK(arena.first == arena.last);
        arena_reset(&arena, LIMIT);
    }
    arena_free(&arena);
}

TEST(a_reset_arena_serves_again_whatever_it_keeps)
{
    static const size_t keep[] = {0, 1, 1000, 65536, LIMIT, SIZE_MAX};
    for (size_t k = 0; k < sizeof keep / sizeof *keep; k++) {
        struct arena arena;
        arena_init(&arena, LIMIT);
        for (int round = 0; round < 5; round++) {
            for (size_t size = 1; size < 200000; size *= 3) {
                char *at = arena_alloc(&arena, size);
                CHECK(at != NULL);
                if (at)
                    memset(at, round, size);
            }
            arena_reset(&arena, keep[k]);
            CHECK(arena.used_bytes == 0);
        }
        arena_free(&arena);
    }
}

TEST(what_was_reserved_lies_together)
{
    static const size_t sizes[] = {100, 1 << 10, (1 << 18) + 2, 3 << 20}; /* heap and maps */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        CHECK(arena_alloc(&arena, 100) != NULL);
        CHECK(arena_reserve(&arena, sizes[i]) == 0);
        struct arena_block *const block = arena.last;
        char *const first = arena_alloc(&arena, sizes[i]);
        CHECK(first && arena.last == block);
        memset(first, 1, sizes[i]);
        arena_free(&arena);
    }
}

TEST(what_cannot_be_reserved_is_refused)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    CHECK(arena_reserve(&arena, 0) == 0);
    CHECK(arena_reserve(&arena, SIZE_MAX / 2) == -1);
    CHECK(arena.starved);
    CHECK(arena_reserve(&arena, SIZE_MAX) == -1);
    arena.limit_bytes = 1000;
    CHECK(arena_reserve(&arena, 1001) == -1);
    CHECK(arena_reserve(&arena, 1000) == 0);
    CHECK(arena_alloc(&arena, 100) != NULL);
    arena_free(&arena);
}

TEST(a_freed_arena_may_be_used_and_freed_again)
{
    struct arena arena;
    arena_init(&arena, LIMIT);
    arena_free(&arena);
    CHECK(arena_alloc(&arena, 500) != NULL);
    arena_free(&arena);
    CHECK(arena.used_bytes == 0);
    CHECK(arena_alloc(&arena, 500) != NULL);
    CHECK(arena_alloc(&arena, (size_t)LIMIT + 1) == NULL); /* the limit is still there */
    arena_free(&arena);
    arena_free(&arena);
}

int main(void)
{
    RUN(nothing_is_allocated_before_the_first_alloc);
    RUN(every_size_comes_aligned_to_16_bytes);
    RUN(blocks_do_not_overlap);
    RUN(calloc_clears_memory_that_was_used_before);
    RUN(a_product_that_overflows_is_refused);
    RUN(a_size_near_the_largest_is_refused);
    RUN(the_limit_holds_and_what_was_given_stays);
    RUN(the_limit_counts_again_after_a_reset);
    RUN(a_copied_text_ends_in_nul);
    RUN(a_copied_text_over_the_limit_is_refused);
    RUN(a_warm_arena_takes_no_more_memory);
    RUN(what_took_several_blocks_takes_one_the_next_time);
    RUN(a_reset_arena_serves_again_whatever_it_keeps);
    RUN(what_was_reserved_lies_together);
    RUN(what_cannot_be_reserved_is_refused);
    RUN(a_freed_arena_may_be_used_and_freed_again);
    return test_report();
}
