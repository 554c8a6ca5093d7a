/* SPDX-License-Identifier: Apache-2.0 */
/* test_pickle.c: scalars, containers and the memo. */
#include "format/pickle.h"

#include <stdio.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

static bool is_integer(const struct pickle_value *value, int64_t expected)
{
    return value->kind == PICKLE_INTEGER && value->integer == expected;
}

static bool is_text(const struct pickle_value *value, const char *expected)
{
    return value->kind == PICKLE_TEXT && text_is(value->text, expected);
}

/* ---- scalars */

TEST(none_and_booleans_are_read)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_NONE);
    pickle_op(&bytes, OP_NEWTRUE);
    pickle_op(&bytes, OP_NEWFALSE);
    pickle_op(&bytes, OP_TUPLE3);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->kind == PICKLE_TUPLE && value->n == 3);
    CHECK(value->items[0]->kind == PICKLE_NONE);
    CHECK(value->items[1]->kind == PICKLE_BOOL && value->items[1]->integer == 1);
    CHECK(value->items[2]->kind == PICKLE_BOOL && value->items[2]->integer == 0);
    pickle_unload();
}

TEST(integers_of_every_width_are_read)
{
    static const struct {
        const char *bytes;
        size_t size;
        int64_t value;
    } cases[] = {
        {"K\x00", 2, 0},
        {"K\xFF", 2, 255},
        {"M\xFF\xFF", 3, 65535},
        {"M\x00\x01", 3, 256},
        {"J\x00\x00\x00\x80", 5, INT32_MIN},
        {"J\xFF\xFF\xFF\x7F", 5, INT32_MAX},
        {"J\xFF\xFF\xFF\xFF", 5, -1},
        {"\x8A\x00", 2, 0},
        {"\x8A\x01\xFF", 3, -1},
        {"\x8A\x01\x80", 3, -128},
        {"\x8A\x02\xFF\x00", 4, 255},
        {"\x8A\x05\x00\x00\x00\x00\x01", 7, (int64_t)1 << 32},
        {"\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 10, INT64_MAX},
        {"\x8A\x08\x00\x00\x00\x00\x00\x00\x00\x80", 10, INT64_MIN},
        {"\x8B\x02\x00\x00\x00\x00\xFF", 7, -256},
        {"\x8B\x00\x00\x00\x00", 5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 2);
        bytes_add(&bytes, cases[i].bytes, cases[i].size);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK_MSG(value && is_integer(value, cases[i].value), "case %zu", i);
    }
    pickle_unload();
}

TEST(floats_are_big_endian)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_BINFLOAT);
    bytes_add(&bytes, "\xBF\xF8\x00\x00\x00\x00\x00\x01", 8);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_FLOAT && value->number == -0x1.8000000000001p0);
    pickle_unload();
}

TEST(text_with_any_length_prefix_is_read)
{
    static const char text[] = "a\0\xC3\xBC\xE4\xB8\xAD\xF0\x9F\x98\x80";
    enum { N = sizeof text - 1 };
    for (unsigned kind = 0; kind < 3; kind++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 4);
        pickle_op(&bytes, kind == 0   ? OP_SHORT_BINUNICODE
                          : kind == 1 ? OP_BINUNICODE
                                      : OP_BINUNICODE8);
        if (kind == 0)
            bytes_u8(&bytes, N);
        else if (kind == 1)
            bytes_u32(&bytes, N);
        else
            bytes_u64(&bytes, N);
        bytes_add(&bytes, text, N);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && value->kind == PICKLE_TEXT && value->text.length == N);
        CHECK(value && memcmp(value->text.at, text, N) == 0);
    }
    pickle_unload();
}

TEST(empty_text_and_bytes_are_read)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 3);
    pickle_text(&bytes, "");
    pickle_bytes(&bytes, "", 0);
    pickle_op(&bytes, OP_TUPLE2);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->items[0]->kind == PICKLE_TEXT && value->items[0]->text.length == 0);
    CHECK(value->items[1]->kind == PICKLE_BYTES && value->items[1]->text.length == 0);
    pickle_unload();
}

TEST(lone_surrogates_pass_as_python_writes_them)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_text(&bytes, "\xED\xA0\x80");
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && is_text(value, "\xED\xA0\x80"));
    pickle_unload();
}

TEST(bytes_with_any_length_prefix_are_read)
{
    static const enum pickle_opcode opcodes[] = {OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8,
                                                 OP_BYTEARRAY8};
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 5);
        pickle_op(&bytes, opcodes[i]);
        if (i == 0)
            bytes_u8(&bytes, 4);
        else if (i == 1)
            bytes_u32(&bytes, 4);
        else
            bytes_u64(&bytes, 4);
        bytes_add(&bytes, "\x00\xFF\n.", 4);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && value->kind == PICKLE_BYTES && value->text.length == 4);
        CHECK(value && memcmp(value->text.at, "\x00\xFF\n.", 4) == 0);
    }
    pickle_unload();
}

TEST(bytes_that_protocol_2_writes_as_latin_1_text_are_bytes)
{
    static const char *const spellings[] = {"latin1", "latin-1"};
    for (size_t i = 0; i < 2; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 2);
        pickle_global(&bytes, "_codecs", "encode");
        pickle_op(&bytes, OP_BINUNICODE);
        bytes_u32(&bytes, 8);
        bytes_add(&bytes, "a\0\xC2\x80\xC3\xBF\xC3\x80", 8);
        pickle_text(&bytes, spellings[i]);
        pickle_op(&bytes, OP_TUPLE2);
        pickle_op(&bytes, OP_REDUCE);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && value->kind == PICKLE_BYTES && value->text.length == 5);
        CHECK(value && memcmp(value->text.at, "a\0\x80\xFF\xC0", 5) == 0);
    }
    pickle_unload();
}

TEST(a_bytearray_of_protocols_2_to_4_is_bytes)
{
    static const char *const modules[] = {"builtins", "__builtin__"};
    for (unsigned i = 0; i < 2; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 3);
        pickle_global(&bytes, modules[i], "bytearray");
        pickle_bytes(&bytes, "\x01\x02", 2);
        pickle_op(&bytes, OP_TUPLE1);
        pickle_op(&bytes, OP_REDUCE);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && value->kind == PICKLE_BYTES && value->text.length == 2);
        CHECK(value && memcmp(value->text.at, "\x01\x02", 2) == 0);
    }
    pickle_unload();
}

/* ---- containers */

TEST(tuples_of_every_length_are_read)
{
    for (unsigned n = 0; n < 6; n++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 2);
        if (n == 0 || n > 3)
            pickle_op(&bytes, OP_MARK);
        for (unsigned i = 0; i < n; i++)
            pickle_int(&bytes, i);
        pickle_op(&bytes, n == 1 ? OP_TUPLE1 : n == 2 ? OP_TUPLE2 : n == 3 ? OP_TUPLE3 : OP_TUPLE);
        pickle_op(&bytes, OP_EMPTY_TUPLE);
        pickle_op(&bytes, OP_TUPLE2);
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value != NULL);
        if (value == NULL)
            continue;
        CHECK(value->items[0]->kind == PICKLE_TUPLE && value->items[0]->n == n);
        for (unsigned i = 0; i < n; i++)
            CHECK(is_integer(value->items[0]->items[i], i));
        CHECK(value->items[1]->kind == PICKLE_TUPLE && value->items[1]->n == 0);
    }
    pickle_unload();
}

TEST(lists_grow_by_one_and_by_many)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_EMPTY_LIST);
    unsigned next = 0;
    pickle_int(&bytes, next++);
    pickle_op(&bytes, OP_APPEND);
    for (unsigned batch = 0; batch < 5; batch++) { /* as Python writes a long list */
        pickle_op(&bytes, OP_MARK);
        for (unsigned i = 0; i < 1000; i++)
            pickle_int(&bytes, next++);
        pickle_op(&bytes, OP_APPENDS);
    }
    pickle_op(&bytes, OP_MARK);
    pickle_op(&bytes, OP_APPENDS);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->kind == PICKLE_LIST && value->n == next);
    for (unsigned i = 0; i < value->n; i++)
        CHECK(is_integer(value->items[i], i));
    pickle_unload();
}

/* "0", "1", .. by each opcode for texts, memoized, in batches as Python writes them. */
static void put_list_of_texts(struct bytes *bytes, unsigned n)
{
    pickle_op(bytes, OP_EMPTY_LIST);
    for (unsigned i = 0; i < n; i++) {
        char text[12];
        const int length = snprintf(text, sizeof text, "%u", i);
        if (i % 1000 == 0)
            pickle_op(bytes, OP_MARK);
        if (i % 3 == 0) {
            pickle_text(bytes, text);
        } else if (i % 3 == 1) {
            pickle_op(bytes, OP_SHORT_BINUNICODE);
            bytes_u8(bytes, (unsigned)length);
            bytes_add(bytes, text, (size_t)length);
        } else {
            pickle_op(bytes, OP_BINUNICODE8);
            bytes_u64(bytes, (uint64_t)length);
            bytes_add(bytes, text, (size_t)length);
        }
        pickle_op(bytes, OP_MEMOIZE);
        if (i % 1000 == 999 || i + 1 == n)
            pickle_op(bytes, OP_APPENDS);
    }
}

TEST(a_list_of_texts_is_kept_as_one)
{
    enum { N = 2500 };
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    put_list_of_texts(&bytes, N);
    pickle_op(&bytes, OP_LONG_BINGET);
    bytes_u32(&bytes, 7);
    pickle_op(&bytes, OP_APPEND); /* one of them again */
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_TEXTS && value->n == N + 1);
    CHECK(value && strcmp(pickle_describe(value), "a list") == 0);
    static struct text texts[N + 1];
    if (value)
        pickle_texts(value, texts);
    for (unsigned i = 0; i <= N; i++) {
        char expected[12];
        snprintf(expected, sizeof expected, "%u", i < N ? i : 7);
        CHECK(value && text_is(texts[i], expected));
    }
    pickle_unload();
}

TEST(a_list_of_texts_and_something_else_is_a_list)
{
    enum { N = 1500 };
    for (unsigned at = 0; at <= N; at += 500) { /* where the other value stands */
        struct bytes bytes = {0};
        pickle_proto(&bytes, 4);
        pickle_op(&bytes, OP_EMPTY_LIST);
        for (unsigned i = 0; i <= N; i++) {
            if (i == at)
                pickle_int(&bytes, 5);
            else
                pickle_text(&bytes, "text");
            pickle_op(&bytes, OP_APPEND);
        }
        pickle_op(&bytes, OP_STOP);
        struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && value->kind == PICKLE_LIST && value->n == N + 1);
        for (unsigned i = 0; value && i <= N; i++)
            CHECK(i == at ? is_integer(value->items[i], 5) : is_text(value->items[i], "text"));
        pickle_unload();
    }
}

TEST(dicts_keep_their_order_and_find_the_last_of_equal_keys)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_text(&bytes, "b");
    pickle_int(&bytes, 1);
    pickle_op(&bytes, OP_SETITEM);
    pickle_op(&bytes, OP_MARK);
    pickle_text(&bytes, "a");
    pickle_int(&bytes, 2);
    pickle_int(&bytes, 7); /* a key that is not a text */
    pickle_int(&bytes, 3);
    pickle_text(&bytes, "b");
    pickle_int(&bytes, 4);
    pickle_op(&bytes, OP_SETITEMS);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    uint32_t n = 0;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    CHECK(value->kind == PICKLE_DICT && pairs && n == value->n && n >= 3);
    CHECK(pairs && is_text(pairs[0], "b") && is_text(pairs[2], "a") && is_integer(pairs[4], 7));
    CHECK(pickle_get(value, "a") && is_integer(pickle_get(value, "a"), 2));
    CHECK(pickle_get(value, "b") && is_integer(pickle_get(value, "b"), 4));
    CHECK(pickle_get(value, "c") == NULL);
    CHECK(pickle_get(value, "") == NULL);
    pickle_unload();
}

TEST(an_ordered_dict_holds_pairs_and_attributes)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_empty_ordered_dict(&bytes);
    pickle_op(&bytes, OP_MARK);
    pickle_text(&bytes, "weight");
    pickle_int(&bytes, 1);
    pickle_text(&bytes, "bias");
    pickle_int(&bytes, 2);
    pickle_op(&bytes, OP_SETITEMS);
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_text(&bytes, "_metadata");
    pickle_empty_ordered_dict(&bytes);
    pickle_op(&bytes, OP_SETITEM);
    pickle_op(&bytes, OP_BUILD);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    uint32_t n = 0;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    CHECK(value->kind == PICKLE_RECORD && value->name == PICKLE_ORDERED_DICT);
    CHECK(pairs && n == 2 && value->n == 2);
    CHECK(pairs && is_text(pairs[2], "bias") && is_integer(pairs[3], 2));
    CHECK(pickle_get(value, "weight") && is_integer(pickle_get(value, "weight"), 1));
    CHECK(pickle_get(value, "_metadata") == NULL);
    CHECK(value->record.state && pickle_get(value->record.state, "_metadata"));
    pickle_unload();
}

TEST(empty_dicts_have_no_pairs_and_other_values_are_no_dicts)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_empty_ordered_dict(&bytes);
    pickle_op(&bytes, OP_EMPTY_LIST);
    pickle_op(&bytes, OP_TUPLE3);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t n = 77;
        CHECK(pickle_pairs(value->items[i], &n) != NULL && n == 0);
        CHECK(pickle_get(value->items[i], "a") == NULL);
    }
    uint32_t n;
    CHECK(pickle_pairs(value->items[2], &n) == NULL);
    CHECK(pickle_pairs(value, &n) == NULL);
    CHECK(pickle_get(value, "a") == NULL);
    pickle_unload();
}

/* ---- memo, frames, stack */

TEST(texts_come_from_the_memo)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    pickle_op(&bytes, OP_MARK);
    pickle_text(&bytes, "zero");
    pickle_op(&bytes, OP_MEMOIZE);
    pickle_text(&bytes, "one");
    pickle_put(&bytes, 1);
    pickle_text(&bytes, "two");
    pickle_op(&bytes, OP_LONG_BINPUT);
    bytes_u32(&bytes, 2);
    pickle_text(&bytes, "three");
    pickle_op(&bytes, OP_MEMOIZE);
    for (unsigned i = 0; i < 4; i++)
        pickle_get_slot(&bytes, i);
    pickle_op(&bytes, OP_LONG_BINGET);
    bytes_u32(&bytes, 3);
    pickle_op(&bytes, OP_TUPLE);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->n == 9 && is_text(value->items[3], "three"));
    for (unsigned i = 0; i < 4; i++)
        CHECK(text_equal(value->items[4 + i]->text, value->items[i]->text));
    CHECK(is_text(value->items[8], "three"));
    pickle_unload();
}

TEST(a_memo_slot_may_be_written_again)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_int(&bytes, 1);
    pickle_put(&bytes, 0);
    pickle_int(&bytes, 2);
    pickle_put(&bytes, 0);
    pickle_get_slot(&bytes, 0);
    pickle_op(&bytes, OP_TUPLE3);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && is_integer(value->items[2], 2));
    pickle_unload();
}

TEST(a_list_changed_after_memoizing_is_changed_everywhere)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_EMPTY_LIST);
    pickle_put(&bytes, 0);
    pickle_get_slot(&bytes, 0);
    pickle_int(&bytes, 5);
    pickle_op(&bytes, OP_APPEND);
    pickle_op(&bytes, OP_TUPLE2);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->items[0] == value->items[1] && value->items[0]->n == 1);
    pickle_unload();
}

TEST(frames_are_read)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    for (unsigned i = 0; i < 2; i++) {
        pickle_op(&bytes, OP_FRAME);
        bytes_u64(&bytes, i == 0 ? 2 : 4);
        pickle_op(&bytes, OP_BININT1);
        bytes_u8(&bytes, i);
    }
    pickle_op(&bytes, OP_TUPLE2);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->n == 2 && is_integer(value->items[1], 1));
    pickle_unload();
}

TEST(popped_values_are_gone)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_int(&bytes, 1);
    pickle_int(&bytes, 2);
    pickle_op(&bytes, OP_POP);
    pickle_op(&bytes, OP_MARK);
    pickle_int(&bytes, 3);
    pickle_op(&bytes, OP_POP_MARK);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && is_integer(value, 1));
    pickle_unload();
}

int main(void)
{
    RUN(none_and_booleans_are_read);
    RUN(integers_of_every_width_are_read);
    RUN(floats_are_big_endian);
    RUN(text_with_any_length_prefix_is_read);
    RUN(empty_text_and_bytes_are_read);
    RUN(lone_surrogates_pass_as_python_writes_them);
    RUN(bytes_with_any_length_prefix_are_read);
    RUN(bytes_that_protocol_2_writes_as_latin_1_text_are_bytes);
    RUN(a_bytearray_of_protocols_2_to_4_is_bytes);
    RUN(tuples_of_every_length_are_read);
    RUN(lists_grow_by_one_and_by_many);
    RUN(a_list_of_texts_is_kept_as_one);
    RUN(a_list_of_texts_and_something_else_is_a_list);
    RUN(dicts_keep_their_order_and_find_the_last_of_equal_keys);
    RUN(an_ordered_dict_holds_pairs_and_attributes);
    RUN(empty_dicts_have_no_pairs_and_other_values_are_no_dicts);
    RUN(texts_come_from_the_memo);
    RUN(a_memo_slot_may_be_written_again);
    RUN(a_list_changed_after_memoizing_is_changed_everywhere);
    RUN(frames_are_read);
    RUN(popped_values_are_gone);
    return test_report();
}
