/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include "fixture.h"
#include "test.h"

static const struct cell one = {.text = "1", .length = 1, .kind = CELL_INTEGER};
static const struct cell missing = {.kind = CELL_MISSING};

TEST(every_name_is_found_whatever_the_hint)
{
    static const char *const names[] = {"userid", "brand",       "", "price", "pric",
                                        "price2", "\xE4\xB8\xAD"};
    enum { N = sizeof names / sizeof *names };
    struct text texts[N];
    struct arena arena;
    struct schema schema;
    uint32_t twice;
    for (size_t i = 0; i < N; i++)
        texts[i] = fixture_copy(names[i], strlen(names[i]));
    arena_init(&arena, 1 << 16);
    CHECK(schema_init(&schema, &arena, texts, 5, 2, &twice) == 0);
    CHECK(schema.n_sparse == 5 && schema.n_dense == 2);
    for (size_t i = 0; i < N; i++)
        fixture_drop(texts[i]); /* the schema has its own copies */
    static const uint32_t hints[] = {0, 1, N - 1, N, N + 1, 1u << 31, SCHEMA_NOT_FOUND};
    for (uint32_t i = 0; i < N; i++) {
        CHECK(text_is(schema.names[i], names[i]));
        for (size_t h = 0; h < sizeof hints / sizeof *hints; h++)
            CHECK(schema_find(&schema, text_of(names[i]), hints[h]) == i);
    }
    static const char *const others[] = {"user", "userid ", "Userid", "x", "pricf", "price3"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t h = 0; h < sizeof hints / sizeof *hints; h++)
            CHECK(schema_find(&schema, text_of(others[i]), hints[h]) == SCHEMA_NOT_FOUND);
    CHECK(schema_find(&schema, (struct text){"price\0", 6}, 3) == SCHEMA_NOT_FOUND);
    arena_free(&arena);
}

TEST(a_name_that_stands_twice_is_reported)
{
    struct text names[] = {text_of("a"), text_of("b"), text_of("c"), text_of("b")};
    struct arena arena;
    struct schema schema;
    arena_init(&arena, 1 << 16);
    for (uint32_t n_sparse = 0; n_sparse <= 4; n_sparse++) {
        uint32_t twice = 77;
        CHECK(schema_init(&schema, &arena, names, n_sparse, 4 - n_sparse, &twice) == -1);
        CHECK_MSG(twice == 1 || twice == 3, "column %u", twice);
    }
    arena_free(&arena);
}

TEST(a_schema_that_does_not_fit_is_reported)
{
    struct text names[] = {text_of("userid"), text_of("price")};
    for (size_t limit = 0; limit < 400; limit++) {
        struct arena arena;
        struct schema schema;
        uint32_t twice = 77;
        arena_init(&arena, limit);
        if (schema_init(&schema, &arena, names, 1, 1, &twice) != 0)
            CHECK(twice == SCHEMA_NOT_FOUND);
        else
            CHECK(schema_find(&schema, names[1], 0) == 1);
        arena_free(&arena);
    }
}

TEST(a_schema_may_be_empty_or_wide)
{
    enum { N = 5000 };
    static char bytes[N][16];
    static struct text names[N];
    struct arena arena;
    struct schema schema;
    uint32_t twice;
    arena_init(&arena, 1 << 22);
    CHECK(schema_init(&schema, &arena, names, 0, 0, &twice) == 0);
    CHECK(schema_find(&schema, text_of("a"), 0) == SCHEMA_NOT_FOUND);
    for (int i = 0; i < N; i++) {
        snprintf(bytes[i], sizeof bytes[i], "c%d", i);
        names[i] = text_of(bytes[i]);
    }
    CHECK(schema_init(&schema, &arena, names, N - 7, 7, &twice) == 0);
    for (uint32_t i = 0; i < N; i++)
        CHECK(schema_find(&schema, names[i], N - i) == i);
    CHECK(schema_find(&schema, text_of("c5000"), 0) == SCHEMA_NOT_FOUND);
    arena_free(&arena);
}

static uint32_t longest_row_of(const struct schema *schema)
{
    uint32_t row = 0, longest = 0;
    for (uint32_t i = 0; i <= schema->slot_mask; i++) {
        row = schema->slots[i] == SCHEMA_NOT_FOUND ? 0 : row + 1;
        longest = row > longest ? row : longest;
    }
    return longest;
}

/* Names whose searches start in the first 64th of the slots if the hash has no seed. */
TEST(names_that_were_made_to_collide_do_not)
{
    enum { N = 2000, MASK = 4095, BY_CHANCE = 200 };
    static char bytes[N][16];
    static struct text names[N];
    struct arena arena;
    struct schema schema;
    uint32_t twice, n = 0;
    for (uint32_t i = 0; n < N && i < 1000 * N; i++) {
        const size_t length = (size_t)snprintf(bytes[n], sizeof bytes[n], "c%u", i);
        names[n] = (struct text){bytes[n], length};
        n += (hash_bytes(&hash_seed_fixed, bytes[n], length) & MASK) < (MASK + 1) / 64;
    }
    arena_init(&arena, 1 << 22);
    CHECK(n == N && schema_init(&schema, &arena, names, N, 0, &twice) == 0);
    CHECK(schema.slot_mask == MASK);
    for (uint32_t i = 0; i < N; i++)
        CHECK(schema_find(&schema, names[i], SCHEMA_NOT_FOUND) == i);
    CHECK_MSG(longest_row_of(&schema) < BY_CHANCE, "%u", longest_row_of(&schema));
    arena_free(&arena);
}

TEST(cells_stay_in_order_while_a_column_grows)
{
    enum { N = 20000 };
    struct fixture f;
    fixture_init(&f, "a,b,c", 2, 1, N);
    for (uint32_t i = 0; i < N; i++) {
        struct cell cell = {.number = i, .kind = CELL_FLOAT};
        CHECK(frame_append(&f.frame, i % 2, cell, &f.error) == 0);
        CHECK(frame_append(&f.frame, 2, cell, &f.error) == 0);
    }
    CHECK(f.frame.columns[0].n == N / 2 && f.frame.columns[1].n == N / 2);
    CHECK(f.frame.columns[2].n == N && f.frame.columns[2].kinds == 1u << CELL_FLOAT);
    for (uint32_t i = 0; i < N; i++) {
        CHECK(f.frame.columns[2].cells[i].number == i);
        CHECK(f.frame.columns[i % 2].cells[i / 2].number == i);
    }
    fixture_free(&f);
}

TEST(a_column_knows_which_kinds_it_holds)
{
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, 10);
    CHECK(f.frame.columns[0].kinds == 0);
    CHECK(frame_append(&f.frame, 0, one, &f.error) == 0);
    CHECK(f.frame.columns[0].kinds == 1u << CELL_INTEGER);
    CHECK(frame_append(&f.frame, 0, missing, &f.error) == 0);
    CHECK(f.frame.columns[0].kinds == (1u << CELL_INTEGER | 1u << CELL_MISSING));
    CHECK(f.frame.columns[1].kinds == 0);
    frame_clear(&f.frame);
    CHECK(f.frame.columns[0].n == 0 && f.frame.columns[0].kinds == 0);
    fixture_free(&f);
}

TEST(a_row_too_many_is_a_413)
{
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, 3);
    for (int i = 0; i < 3; i++)
        CHECK(frame_append(&f.frame, 1, one, &f.error) == 0);
    CHECK(frame_append(&f.frame, 1, one, &f.error) == -1);
    CHECK(f.error.http_status == 413 && error_is_for_clients(&f.error));
    CHECK_MSG(strstr(f.error.message, "3"), "%s", f.error.message);
    CHECK(f.frame.columns[1].n == 3);
    CHECK(frame_append(&f.frame, 0, one, &f.error) == 0); /* another column has its own count */
    fixture_free(&f);
}

TEST(a_frame_that_does_not_fit_is_an_error_and_keeps_what_it_has)
{
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, 1 << 30);
    f.arena.limit_bytes = 20000;
    uint32_t n = 0;
    while (n < 100000 && frame_append(&f.frame, 0, one, &f.error) == 0)
        n++;
    CHECK(n > 100 && n < 100000);
    CHECK(f.error.http_status >= 400 && error_is_for_clients(&f.error));
    CHECK(f.frame.columns[0].n == n);
    for (uint32_t i = 0; i < n; i++)
        CHECK(cell_is(&f.frame.columns[0].cells[i], CELL_INTEGER, "1"));
    fixture_free(&f);
}

TEST(truncating_cuts_and_never_grows)
{
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, 100);
    for (int i = 0; i < 10; i++)
        CHECK(frame_append(&f.frame, 0, one, &f.error) == 0);
    frame_truncate(&f.frame, 0, 20);
    CHECK(f.frame.columns[0].n == 10);
    frame_truncate(&f.frame, 0, 4);
    CHECK(f.frame.columns[0].n == 4);
    CHECK(frame_append(&f.frame, 0, missing, &f.error) == 0);
    CHECK(f.frame.columns[0].n == 5 && f.frame.columns[0].cells[4].kind == CELL_MISSING);
    frame_truncate(&f.frame, 0, 0);
    frame_truncate(&f.frame, 1, 0); /* one that never had a cell */
    CHECK(f.frame.columns[0].n == 0);
    fixture_free(&f);
}

TEST(segments_start_where_the_rows_before_them_end)
{
    enum { N = 3000 };
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, N * 4);
    uint32_t rows = 0;
    for (uint32_t i = 0; i < N; i++) {
        rows += 1 + i % 3;
        CHECK(frame_end_segment(&f.frame, rows, &f.error) == 0);
        CHECK(f.frame.n_rows == rows && f.frame.n_segments == i + 1);
    }
    rows = 0;
    for (uint32_t i = 0; i < N; i++) {
        CHECK(f.frame.segment_starts[i] == rows);
        rows += 1 + i % 3;
    }
    fixture_free(&f);
}

TEST(a_cleared_frame_takes_the_same_again_without_more_memory)
{
    struct fixture f;
    fixture_init(&f, "a,b", 1, 1, 1000);
    size_t used = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 1000; i++)
            CHECK(frame_append(&f.frame, i % 2, one, &f.error) == 0);
        for (uint32_t i = 1; i <= 50; i++)
            CHECK(frame_end_segment(&f.frame, i * 10, &f.error) == 0);
        if (round == 0)
            used = f.arena.used_bytes;
        CHECK(f.arena.used_bytes == used);
        frame_clear(&f.frame);
        CHECK(f.frame.n_rows == 0 && f.frame.n_segments == 0);
        CHECK(f.frame.columns[0].n == 0 && f.frame.columns[1].n == 0);
    }
    fixture_free(&f);
}

TEST(an_error_message_is_cut_at_a_code_point)
{
    struct request_error error;
    for (size_t before = 0; before < 8; before++) {
        struct builder builder = {0};
        builder_repeat(&builder, "a", before);
        builder_repeat(&builder, before % 2 ? "\xE4\xB8\xAD" : "\xF0\x9F\x98\x80", 300);
        builder_add(&builder, "", 1);
        CHECK(request_error_set(&error, 400, "%s", builder.at) == -1);
        CHECK(error.http_status == 400 && error_is_for_clients(&error));
        const size_t length = strlen(error.message);
        CHECK(length > sizeof error.message - 5 && length < sizeof error.message);
        CHECK(strncmp(error.message, builder.at, length) == 0);
        builder_free(&builder);
    }
}

TEST(an_error_message_quotes_what_cannot_be_printed_as_question_marks)
{
    struct request_error error;
    CHECK(request_error_set(&error, 400, "\"%s\" and \"%s\"", "a\tb\x7F\xFF\r\n", "\xE6\xB7\x98") ==
          -1);
    CHECK_MSG(strcmp(error.message, "\"a?b????\" and \"\xE6\xB7\x98\"") == 0, "%s", error.message);
    CHECK(request_error_set(&error, 400, "%s", "cut \xE6\xB7") == -1);
    CHECK_MSG(strcmp(error.message, "cut ??") == 0, "%s", error.message);
}

TEST(an_error_message_that_fits_is_whole)
{
    struct request_error error;
    CHECK(request_error_set(&error, 413, "Column %s, row %d.", "\xE4\xB8\xAD", 7) == -1);
    CHECK(error.http_status == 413);
    CHECK(strcmp(error.message, "Column \xE4\xB8\xAD, row 7.") == 0);
}

int main(void)
{
    RUN(every_name_is_found_whatever_the_hint);
    RUN(a_name_that_stands_twice_is_reported);
    RUN(a_schema_that_does_not_fit_is_reported);
    RUN(a_schema_may_be_empty_or_wide);
    RUN(names_that_were_made_to_collide_do_not);
    RUN(cells_stay_in_order_while_a_column_grows);
    RUN(a_column_knows_which_kinds_it_holds);
    RUN(a_row_too_many_is_a_413);
    RUN(a_frame_that_does_not_fit_is_an_error_and_keeps_what_it_has);
    RUN(truncating_cuts_and_never_grows);
    RUN(segments_start_where_the_rows_before_them_end);
    RUN(a_cleared_frame_takes_the_same_again_without_more_memory);
    RUN(an_error_message_is_cut_at_a_code_point);
    RUN(an_error_message_quotes_what_cannot_be_printed_as_question_marks);
    RUN(an_error_message_that_fits_is_whole);
    return test_report();
}
