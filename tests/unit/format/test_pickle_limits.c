/* SPDX-License-Identifier: Apache-2.0 */
/* test_pickle_limits.c: short stacks, long lengths, pickles that try to cost too much, and damage.
 */
#include "format/pickle.h"

#include <stdlib.h>
#include <time.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

static bool refused(struct bytes *bytes, const char *needle)
{
    bool result = is_refused(read_as_pickle, bytes, needle);
    bytes_free(bytes);
    return result;
}

static bool survived(struct bytes *bytes)
{
    clock_t start = clock();
    bool result = is_survived(read_as_pickle, bytes);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 5) {
        fprintf(stderr, "    took %.1f s\n", seconds);
        result = false;
    }
    bytes_free(bytes);
    return result;
}

/* A pickle of protocol 4 of these bytes only. */
static struct bytes raw(const void *at, size_t size)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    bytes_add(&bytes, at, size);
    return bytes;
}

#define RAW(literal) raw(literal, sizeof(literal) - 1)

static bool raw_is_refused(const void *at, size_t size)
{
    struct bytes bytes = raw(at, size);
    return refused(&bytes, NULL);
}

#define CHECK_REFUSED(literal) CHECK(raw_is_refused(literal, sizeof(literal) - 1))

/* ---- stack and memo */

TEST(a_stack_that_is_too_short_is_refused)
{
    static const char consuming[] = "abestu012QRoql\x81\x85\x86\x87\x90\x91\x92\x93\x94";
    for (size_t i = 0; i < sizeof consuming - 1; i++) {
        for (unsigned n = 0; n < 2; n++) { /* with nothing, or a mark only */
            if (n == 1 && consuming[i] == '\x91')
                continue; /* an empty frozenset */
            struct bytes bytes = {0};
            pickle_proto(&bytes, 4);
            if (n == 1)
                pickle_op(&bytes, OP_MARK);
            bytes_u8(&bytes, (uint8_t)consuming[i]);
            if (consuming[i] == 'q')
                bytes_u8(&bytes, 0);
            if (n == 1 && strchr("t01l", consuming[i]))
                bytes_u8(&bytes, 'a'); /* these may take the mark */
            pickle_op(&bytes, OP_STOP);
            CHECK_MSG(refused(&bytes, NULL), "opcode 0x%02x, %u", (uint8_t)consuming[i], n);
        }
    }
    CHECK_REFUSED(".");
    CHECK_REFUSED("(.");
    CHECK_REFUSED("N\x86.");
    CHECK_REFUSED("NN\x87.");
    CHECK_REFUSED("N0.");
    CHECK_REFUSED("N00N.");
}

TEST(operands_are_not_taken_from_below_a_mark)
{
    CHECK_REFUSED("N(\x85.");
    CHECK_REFUSED("N(N\x86.");
    CHECK_REFUSED("NN(N\x87.");
    CHECK_REFUSED("](Na.");
    CHECK_REFUSED("}N(Ns.");
    CHECK_REFUSED("}(NNs.");
    CHECK_REFUSED("ccollections\nOrderedDict\n()R.");
    CHECK_REFUSED("ccollections\nOrderedDict\n)R(}b.");
    CHECK_REFUSED("X\002\0\0\0os(Q.");
    CHECK_REFUSED("N(.");
}

TEST(opcodes_that_need_a_mark_are_refused_without)
{
    CHECK_REFUSED("Nt.");
    CHECK_REFUSED("]NNe.");
    CHECK_REFUSED("}NNu.");
    CHECK_REFUSED("N1.");
    CHECK_REFUSED("N(t1.");
}

TEST(a_mark_is_not_a_value)
{
    CHECK_REFUSED("(\x94.");
    CHECK_REFUSED("(q\000N.");
    CHECK_REFUSED("((t(.");
    CHECK_REFUSED("]((NNe.");
}

TEST(an_empty_memo_slot_is_refused)
{
    CHECK_REFUSED("h\000.");
    CHECK_REFUSED("N\x94h\001.");
    CHECK_REFUSED("Nq\005h\004.");
    CHECK_REFUSED("Nj\xFF\xFF\xFF\xFF.");
    CHECK_REFUSED("N\x94j\000\001\000\000.");
}

TEST(the_largest_memo_slot_takes_no_memory)
{
    struct bytes bytes = RAW("Nr\xFF\xFF\xFF\xFF.");
    CHECK(refused(&bytes, "a memo number is out of range"));
}

TEST(stop_needs_one_value_and_the_end_of_the_file)
{
    CHECK_REFUSED("N");
    CHECK_REFUSED("(N");
    CHECK_REFUSED("N..");
    CHECK_REFUSED("N.N.");
    CHECK_REFUSED("N.\n");
    CHECK_REFUSED("N.\0");
    struct bytes bytes = RAW("N.");
    bytes_fill(&bytes, 0, 100000);
    CHECK(refused(&bytes, NULL));
}

/* ---- lengths */

TEST(lengths_beyond_the_file_are_refused)
{
    CHECK_REFUSED("X\xFF\xFF\xFF\xFFx.");
    CHECK_REFUSED("X\x00\x00\x00\x80x.");
    CHECK_REFUSED("X\x03\x00\x00\x00x.");
    CHECK_REFUSED("\x8C\003x.");
    CHECK_REFUSED("\x8C\xFFx.");
    CHECK_REFUSED("\x8D\0\0\0\0\0\0\0\x80x.");
    CHECK_REFUSED("\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx.");
    CHECK_REFUSED("\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7Fx.");
    CHECK_REFUSED("\x8D\0\0\0\0\001\0\0\0x."); /* 4 GiB: 0 in 32 bits */
    CHECK_REFUSED("B\xFF\xFF\xFF\xFFx.");
    CHECK_REFUSED("C\xFFx.");
    CHECK_REFUSED("\x8E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx.");
    CHECK_REFUSED("\x8E\0\0\0\0\001\0\0\0x.");
    CHECK_REFUSED("\x96\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7Fx.");
    CHECK_REFUSED("\x96\0\0\0\0\001\0\0\0x.");
    CHECK_REFUSED("T\xFF\xFF\xFF\xFFx.");
    CHECK_REFUSED("\x8A\xFFx.");
    CHECK_REFUSED("\x8B\xFF\xFF\xFF\xFFx."); /* a negative length */
    CHECK_REFUSED("\x8B\x00\x00\x00\x80x.");
    CHECK_REFUSED("\x8B\xFF\xFF\xFF\x7Fx.");
    CHECK_REFUSED("\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFN.");
    CHECK_REFUSED("\x95\0\0\0\0\0\0\0\x80N.");
    CHECK_REFUSED("\x95\003\0\0\0\0\0\0\0N."); /* one byte more than there is */
    CHECK_REFUSED("\x95\0\0\0");
}

static bool is_large(struct bytes *bytes)
{
    const struct pickle_value *value = pickle_load(bytes);
    const bool result = value && value->kind == PICKLE_LARGE;
    pickle_unload();
    return result;
}

TEST(an_integer_of_more_than_64_bits_is_never_another_number)
{
    struct bytes bytes = RAW("\x8A\011\0\0\0\0\0\0\0\0\001.");
    CHECK(is_large(&bytes));
    bytes = RAW("\x8A\011\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0."); /* 2^64 - 1 */
    CHECK(is_large(&bytes));
    pickle_proto(&bytes, 4);
    pickle_op(&bytes, OP_LONG4);
    bytes_u32(&bytes, 1000000); /* in decimal, quadratic in time */
    bytes_fill(&bytes, 0x55, 1000000);
    pickle_op(&bytes, OP_STOP);
    CHECK(is_large(&bytes));
}

/* ---- cost */

TEST(a_memo_bomb_is_read_in_linear_memory)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    pickle_op(&bytes, OP_NONE);
    pickle_op(&bytes, OP_MEMOIZE);
    for (unsigned level = 0; level < 30; level++) {
        pickle_get_slot(&bytes, level); /* (x, x), ((x, x), (x, x)), .. */
        pickle_op(&bytes, OP_TUPLE2);
        pickle_op(&bytes, OP_MEMOIZE);
    }
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    CHECK_MSG(pickle_loaded_bytes() < 65536, "%zu bytes", pickle_loaded_bytes());
    CHECK(value && pickle_describe(value) != NULL);
    unsigned depth = 0;
    for (; value && value->kind == PICKLE_TUPLE; value = value->items[1], depth++)
        CHECK(value->items[0] == value->items[1]);
    CHECK(depth == 30);
    pickle_unload();
}

TEST(cycles_are_survived)
{
    static const char list[] = "]\x94h\000a.";
    struct bytes bytes = raw(list, sizeof list - 1);
    CHECK(survived(&bytes));
    bytes = RAW("}\x94X\001\0\0\0kh\000s.");
    CHECK(survived(&bytes));
    bytes = RAW("}\x94h\000Ns."); /* itself as a key */
    CHECK(survived(&bytes));
    bytes = RAW("]\x94h\000\x85\x94h\001a0h\001."); /* a tuple of a list of the tuple */
    CHECK(survived(&bytes));
    bytes = RAW("ccollections\nOrderedDict\n)R\x94h\000b."); /* its own state */
    CHECK(survived(&bytes));
    bytes = RAW("]\x94Q\x94"
                "0h\000h\001a."); /* a persistent id that holds itself */
    CHECK(survived(&bytes));
}

TEST(depth_is_survived)
{
    enum { DEPTH = 1000000 };
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_NONE);
    bytes_fill(&bytes, OP_TUPLE1, DEPTH);
    pickle_op(&bytes, OP_STOP);
    CHECK(survived(&bytes));
    pickle_proto(&bytes, 2);
    bytes_fill(&bytes, OP_EMPTY_LIST, DEPTH);
    bytes_fill(&bytes, OP_APPEND, DEPTH - 1);
    pickle_op(&bytes, OP_STOP);
    CHECK(survived(&bytes));
    pickle_proto(&bytes, 2);
    bytes_fill(&bytes, OP_MARK, DEPTH);
    bytes_fill(&bytes, OP_TUPLE, DEPTH);
    pickle_op(&bytes, OP_STOP);
    CHECK(survived(&bytes));
    pickle_proto(&bytes, 2);
    bytes_fill(&bytes, OP_NONE, 1);
    bytes_fill(&bytes, OP_BINPERSID, DEPTH);
    pickle_op(&bytes, OP_STOP);
    CHECK(survived(&bytes));
}

TEST(many_small_opcodes_are_survived)
{
    enum { N = 3000000 };
    static const enum pickle_opcode repeated[] = {
        OP_DUP, OP_MEMOIZE, OP_NONE, OP_MARK, OP_EMPTY_LIST, OP_EMPTY_DICT, OP_EMPTY_TUPLE, OP_POP};
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 4);
        pickle_op(&bytes, OP_NONE);
        bytes_fill(&bytes, (uint8_t)repeated[i], N);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(survived(&bytes), "opcode 0x%02x", repeated[i]);
    }
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    pickle_op(&bytes, OP_NONE);
    for (uint32_t i = 0; i < N / 6; i++) { /* memo slots far apart */
        pickle_op(&bytes, OP_LONG_BINPUT);
        bytes_u32(&bytes, i * 5);
    }
    pickle_op(&bytes, OP_STOP);
    CHECK(survived(&bytes));
}

/* ---- damage of any kind */

TEST(a_cut_pickle_is_refused_at_every_length)
{
    static const char *const paths[] = {
        "tests/golden/format/encoder_p2.pkl", "tests/golden/format/encoder_p4.pkl",
        "tests/golden/format/encoder_p5.pkl", "tests/golden/format/numpy1_p3.pkl"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes bytes = bytes_of_file(paths[i]);
        CHECK(every_cut_is_refused(read_as_pickle, &bytes));
        bytes_free(&bytes);
    }
}

TEST(a_flipped_byte_is_survived)
{
    static const char *const paths[] = {"tests/golden/format/encoder_p2.pkl",
                                        "tests/golden/format/encoder_p5.pkl"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes bytes = bytes_of_file(paths[i]);
        CHECK(every_flip_is_survived(read_as_pickle, &bytes));
        bytes_free(&bytes);
    }
}

TEST(running_out_of_memory_refuses_the_pickle)
{
    struct bytes bytes = bytes_of_file("tests/golden/format/encoder_p2.pkl");
    CHECK(running_out_of_memory_is_refused(read_as_pickle, &bytes));
    bytes_free(&bytes);
}

TEST(a_refused_pickle_leaves_the_result_untouched)
{
    struct bytes bytes = RAW("cos\nsystem");
    struct arena arena;
    arena_init(&arena, 65536);
    struct pickle_value other, *value = &other;
    struct format_error error;
    CHECK(pickle_read(&arena, bytes.at, bytes.size, &value, &error) == -1);
    CHECK(value == &other);
    arena_free(&arena);
    bytes_free(&bytes);
}

int main(void)
{
    RUN(a_stack_that_is_too_short_is_refused);
    RUN(operands_are_not_taken_from_below_a_mark);
    RUN(opcodes_that_need_a_mark_are_refused_without);
    RUN(a_mark_is_not_a_value);
    RUN(an_empty_memo_slot_is_refused);
    RUN(the_largest_memo_slot_takes_no_memory);
    RUN(stop_needs_one_value_and_the_end_of_the_file);
    RUN(lengths_beyond_the_file_are_refused);
    RUN(an_integer_of_more_than_64_bits_is_never_another_number);
    RUN(a_memo_bomb_is_read_in_linear_memory);
    RUN(cycles_are_survived);
    RUN(depth_is_survived);
    RUN(many_small_opcodes_are_survived);
    RUN(a_cut_pickle_is_refused_at_every_length);
    RUN(a_flipped_byte_is_survived);
    RUN(running_out_of_memory_refuses_the_pickle);
    RUN(a_refused_pickle_leaves_the_result_untouched);
    return test_report();
}
