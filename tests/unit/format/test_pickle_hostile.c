/* SPDX-License-Identifier: Apache-2.0 */
/* test_pickle_hostile.c: names, opcodes and operands that must be refused. */
#include "format/pickle.h"

#include <stdlib.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

static bool refused(struct bytes *bytes, const char *needle)
{
    bool result = is_refused(read_as_pickle, bytes, needle);
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

/* ---- names */

static const struct {
    const char *module, *name;
} unknown[] = {
    {"os", "system"},
    {"posix", "system"},
    {"nt", "system"},
    {"builtins", "eval"},
    {"builtins", "exec"},
    {"builtins", "getattr"},
    {"__builtin__", "eval"},
    {"builtins", "bytearray.fromhex"},
    {"subprocess", "Popen"},
    {"collections", "OrderedDict.__init__"},
    {"collections", "OrderedDict.fromkeys"},
    {"collections", "defaultdict"},
    {"collections", "ordereddict"},
    {"collections", "OrderedDic"},
    {"collections", "OrderedDictX"},
    {"collections.abc", "OrderedDict"},
    {"collection", "OrderedDict"},
    {"_codecs", "decode"},
    {"codecs", "encode"},
    {"torch", "load"},
    {"torch", "storage.FloatStorage"},
    {"torch", "FloatStorage.from_file"},
    {"torch.storage", "_load_from_bytes"},
    {"torch._utils", "_rebuild_qtensor"},
    {"torch.nn.modules.linear", "Linear"},
    {"__torch__", "Model"},
    {"numpy", "load"},
    {"numpy.core.multiarray", "fromfile"},
    {"numpy._core.multiarray", "ndarray"},
    {"numpy.core._multiarray_umath", "_reconstruct"},
    {"sklearn.preprocessing._encoders", "OneHotEncoder"},
    {"sklearn.preprocessing.data", "StandardScaler"},
};

/* Reads the pickle and empties it: whether it is a name that means nothing, and says so. */
static bool is_unknown_name(struct bytes *bytes, const char *description)
{
    const struct pickle_value *value = pickle_load(bytes);
    const bool result = value && value->kind == PICKLE_NAME && value->name == PICKLE_UNKNOWN &&
                        strcmp(pickle_describe(value), description) == 0;
    if (!result)
        fprintf(stderr, "    %s\n", value ? pickle_describe(value) : "was refused");
    pickle_unload();
    return result;
}

/* Of the same text whichever opcode names it, as a record of whatever it is applied to. */
TEST(any_other_name_means_nothing)
{
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        char full[128];
        snprintf(full, sizeof full, "%s.%s", unknown[i].module, unknown[i].name);
        struct bytes bytes = {0};
        pickle_proto(&bytes, 2);
        pickle_global(&bytes, unknown[i].module, unknown[i].name);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(is_unknown_name(&bytes, full), "%s", full);
        pickle_proto(&bytes, 4);
        pickle_stack_global(&bytes, unknown[i].module, unknown[i].name);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(is_unknown_name(&bytes, full), "%s", full);
    }
}

TEST(a_name_is_compared_to_its_full_length)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"collections", ""},
                                           {"", "OrderedDict"},
                                           {"collections ", "OrderedDict"},
                                           {"collections", "OrderedDict\r"},
                                           {"", "collections.OrderedDict"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char full[64];
        struct bytes bytes = {0};
        snprintf(full, sizeof full, "%s.%s", pairs[i][0], pairs[i][1]);
        pickle_proto(&bytes, 2);
        pickle_global(&bytes, pairs[i][0], pairs[i][1]);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(is_unknown_name(&bytes, full), "%s", full);
    }
}

/* Named in the place of a scaler it is refused, in a message of one line. */
TEST(an_unknown_name_cannot_break_the_message)
{
    static const char *const names[] = {
        "line\r\rFILE: all is well",
        "\033[31mred\a\b\x7f",
        "%s%s%s%n%d%100000d",
        "\xFF\xFE not UTF-8 \xC3",
        "\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80",
        "\xE2\x80\xA8", /* a line separator, in UTF-8 */
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, 2);
        pickle_global(&bytes, "os", names[i]);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(is_refused(read_as_sklearn_file, &bytes, "os."), "name %zu", i);
        bytes_free(&bytes);
    }
}

TEST(an_unknown_name_of_any_length_is_told_on_one_line)
{
    for (size_t length = 1; length < 200000; length = length * 3 / 2 + 1) {
        for (unsigned part = 0; part < 2; part++) {
            char *name = malloc(length + 1);
            for (size_t i = 0; i < length; i++)
                name[i] = "\xC3\xA9"[i % 2]; /* cut anywhere, the message stays UTF-8 */
            name[length] = '\0';
            struct bytes bytes = {0};
            pickle_proto(&bytes, 2);
            pickle_global(&bytes, part == 0 ? name : "os", part == 1 ? name : "system");
            pickle_op(&bytes, OP_STOP);
            CHECK_MSG(is_refused(read_as_sklearn_file, &bytes, "holds "), "%zu bytes, part %u",
                      length, part);
            bytes_free(&bytes);
            free(name);
        }
    }
}

/* Five bytes of a pickle name what it holds once: the name is cut before it is copied. */
TEST(a_long_name_named_often_takes_little_memory)
{
    enum { LONG = 100000, TIMES = 10000 };
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    pickle_op(&bytes, OP_BINUNICODE);
    bytes_u32(&bytes, LONG);
    bytes_fill(&bytes, 'x', LONG);
    bytes_add(&bytes, "q\0000", 3);
    for (unsigned i = 0; i < TIMES; i++)
        bytes_add(&bytes,
                  "h\0h\0\x93"
                  "0",
                  6);
    bytes_add(&bytes, "N.", 2);
    CHECK(pickle_load(&bytes) != NULL);
    CHECK_MSG(pickle_loaded_bytes() < 400 * TIMES, "%zu bytes", pickle_loaded_bytes());
    pickle_unload();
}

TEST(a_name_that_is_not_text_or_not_ended_is_refused)
{
    CHECK_REFUSED("ccollections\nOrderedDict");
    CHECK_REFUSED("ccollections");
    CHECK_REFUSED("c");
    CHECK_REFUSED("K\001K\002\x93.");
    CHECK_REFUSED("X\002\0\0\0osC\006system\x93.");
    CHECK_REFUSED("N\x93.");
    CHECK_REFUSED("(X\002\0\0\0os\x93.");
}

TEST(calls_made_by_hand_are_records_and_nothing_else)
{
    static const char *const paths[] = {"tests/golden/format/refused_os_system_p2.pkl",
                                        "tests/golden/format/refused_os_system_p4.pkl"};
    for (size_t i = 0; i < 2; i++) {
        struct bytes bytes = bytes_of_file(paths[i]);
        const struct pickle_value *value = pickle_load(&bytes);
        CHECK(value && pickle_is_unknown_record(value));
        CHECK(value && strcmp(pickle_describe(value), "os.system") == 0);
        CHECK(value && value->record.arguments->n == 1);
        pickle_unload();
    }
}

TEST(what_an_unknown_object_is_given_is_kept_or_dropped)
{
    struct bytes bytes = RAW("cm\nC\n)\x81}b(X\001\0\0\0kK\001u(NNe)\x85R.");
    const struct pickle_value *value = pickle_load(&bytes); /* its result is applied once more */
    CHECK(value && pickle_is_unknown_record(value) && strcmp(pickle_describe(value), "m.C") == 0);
    pickle_unload();
    bytes = RAW("cm\nC\n)\x81}b(X\001\0\0\0kK\001u(NNe.");
    value = pickle_load(&bytes);
    CHECK(value && value->record.state && pickle_get(value, "k") && pickle_get(value, "x") == NULL);
    pickle_unload();
    bytes = RAW("cm\nC\n)}\x92."); /* NEWOBJ_EX */
    value = pickle_load(&bytes);
    CHECK(value && pickle_is_unknown_record(value) && value->record.arguments->n == 0);
    pickle_unload();
    CHECK_REFUSED("cm\nC\n}b."); /* a state for a name */
    CHECK_REFUSED("cm\nC\n)\x81}b}b.");
    CHECK_REFUSED("cm\nC\nNR.");
    CHECK_REFUSED("N)R.");
}

TEST(sets_are_lists_and_tuples)
{
    struct bytes bytes = RAW("\x8F(K\001X\001\0\0\0a\x90.");
    const struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_LIST && value->n == 2);
    pickle_unload();
    bytes = RAW("(K\001\x91.");
    value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_TUPLE && value->n == 1);
    pickle_unload();
}

/* ---- opcodes and protocols */

TEST(opcodes_that_no_model_file_needs_are_refused)
{
    CHECK_REFUSED("ios\nsystem\n."); /* INST without its mark, and with it */
    CHECK_REFUSED("(ios\nsystem\n.");
    CHECK_REFUSED("(X\004\0\0\0trueios\nsystem\n.");
    CHECK_REFUSED("(icollections\nOrderedDict\n.");
    CHECK_REFUSED("(ccollections\nOrderedDict\no.");          /* OBJ */
    CHECK_REFUSED("\x82\001.");                               /* EXT1 */
    CHECK_REFUSED("\x83\001\0.");                             /* EXT2 */
    CHECK_REFUSED("\x84\001\0\0\0.");                         /* EXT4 */
    CHECK_REFUSED("P0\n.");                                   /* PERSID */
    CHECK_REFUSED("(Vstorage\nctorch\nFloatStorage\ntP0\n."); /* PERSID of another form */
    CHECK_REFUSED("\x97.");                                   /* NEXT_BUFFER: out of band */
    CHECK_REFUSED("C\001x\x98.");                             /* READONLY_BUFFER */
}

TEST(the_text_opcodes_of_protocols_0_and_1_are_refused)
{
    CHECK_REFUSED("I1\n.");
    CHECK_REFUSED("I01\n.");
    CHECK_REFUSED("I99999999999999999999999999\n.");
    CHECK_REFUSED("L1L\n.");
    CHECK_REFUSED("F1.5\n.");
    CHECK_REFUSED("F1,5\n.");
    CHECK_REFUSED("Fnan\n.");
    CHECK_REFUSED("S'text'\n.");
    CHECK_REFUSED("S'\\x\n.");
    CHECK_REFUSED("Vtext\n.");
    CHECK_REFUSED("V\\ud800\\U99999999\n.");
    CHECK_REFUSED("Np0\n.");
    CHECK_REFUSED("Np-1\n.");
    CHECK_REFUSED("Nq\000g0\n.");
}

TEST(unknown_opcodes_are_refused)
{
    static const char known[] = "(.012BCFGIJKLMNPQRSTUVX]abcdeghijloqrstu})";
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        if (opcode >= 0x80 && opcode <= 0x98)
            continue;
        if (opcode && strchr(known, (int)opcode))
            continue;
        struct bytes bytes = {0};
        pickle_proto(&bytes, 5);
        pickle_op(&bytes, OP_NONE);
        bytes_u8(&bytes, opcode);
        bytes_fill(&bytes, '\n', 20);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(refused(&bytes, NULL), "0x%02x", opcode);
    }
}

TEST(any_opcode_on_any_stack_is_survived)
{
    static const struct opcodes stacks[] = {{BYTES("")},
                                            {BYTES("(")},
                                            {BYTES("((")},
                                            {BYTES("N")},
                                            {BYTES("(N")},
                                            {BYTES("N(")},
                                            {BYTES("](")},
                                            {BYTES("]N")},
                                            {BYTES("}(K\001")},
                                            {BYTES("}NN")},
                                            {BYTES("(NNNN")},
                                            {BYTES("ccollections\nOrderedDict\n)")},
                                            {BYTES("X\001\0\0\0aX\001\0\0\0b")}};
    for (size_t i = 0; i < sizeof stacks / sizeof stacks[0]; i++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            for (unsigned filler = 0; filler < 2; filler++) {
                struct bytes bytes = raw(stacks[i].at, stacks[i].size);
                bytes_u8(&bytes, opcode);
                bytes_fill(&bytes, filler ? 0xFF : 0, 12);
                pickle_op(&bytes, OP_STOP);
                CHECK_MSG(is_survived(read_as_pickle, &bytes), "stack %zu, opcode 0x%02x", i,
                          opcode);
                bytes_free(&bytes);
            }
        }
    }
}

TEST(other_protocols_are_refused)
{
    static const unsigned protocols[] = {0, 1, 6, 7, 127, 255};
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        struct bytes bytes = {0};
        pickle_proto(&bytes, protocols[i]);
        pickle_op(&bytes, OP_NONE);
        pickle_op(&bytes, OP_STOP);
        CHECK_MSG(refused(&bytes, NULL), "%u", protocols[i]);
    }
}

TEST(a_pickle_without_its_protocol_is_refused)
{
    static const char *const texts[] = {
        "", ".", "N.", ")", "(dp0\n.", "cos\nsystem\n(S'true'\ntR.", "<html>", "{\"a\": 1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bytes bytes = {0};
        bytes_text(&bytes, texts[i]);
        CHECK_MSG(refused(&bytes, NULL), "%s", texts[i]);
    }
}

/* ---- operands */

/* One value of each kind. */
static const struct operand {
    const char *label;
    const char *at;
    size_t size;
    const char *accepts; /* opcodes: b: BUILD, s: SETITEM, a: APPEND, R: REDUCE, -: STACK_GLOBAL */
} operands[] = {
#define OPERAND(label, literal, accepts)                                                           \
    {                                                                                              \
        label, literal, sizeof(literal) - 1, accepts                                               \
    }
    OPERAND("None", "N", ""),
    OPERAND("a bool", "\x88", ""),
    OPERAND("an integer", "K\001", ""),
    OPERAND("a float", "G\0\0\0\0\0\0\0\0", ""),
    OPERAND("a text", "X\001\0\0\0x", "-"),
    OPERAND("bytes", "C\001x", ""),
    OPERAND("a tuple", ")", ""),
    OPERAND("a tuple of two", "]}\x86", ""),
    OPERAND("a list", "]", "a"),
    OPERAND("a dict", "}", "s"),
    OPERAND("a type", "cnumpy\nndarray\n", ""),
    OPERAND("an OrderedDict", "ccollections\nOrderedDict\n)R", "bs"),
    OPERAND("a tensor", "ctorch._utils\n_rebuild_tensor_v2\n)R", ""),
    OPERAND("a storage", "X\007\0\0\0storageQ", "R"), /* a legacy torch file's class */
    OPERAND("an unknown object", "cm\nC\n)\x81", "abRs"),
    OPERAND("an encoder", "csklearn.preprocessing._label\nLabelEncoder\n)\x81", "b"),
    OPERAND("bytes by encode", "c_codecs\nencode\nX\001\0\0\0aX\006\0\0\0latin1\x86R", ""),
#undef OPERAND
};

/* `operand`, then `rest`, is refused or not as the table says. */
static bool fits(const struct operand *operand, char opcode, const void *rest, size_t size)
{
    struct bytes bytes = raw(operand->at, operand->size);
    bytes_add(&bytes, rest, size);
    pickle_op(&bytes, OP_STOP);
    bool accepted = strchr(operand->accepts, opcode) != NULL;
    bool result =
        accepted ? is_read(read_as_pickle, &bytes) : is_refused(read_as_pickle, &bytes, NULL);
    bytes_free(&bytes);
    return result;
}

TEST(each_opcode_works_on_its_own_kind_of_value_only)
{
    for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++) {
        const struct operand *operand = &operands[i];
        CHECK_MSG(fits(operand, 'b', "}b", 2), "BUILD on %s", operand->label);
        CHECK_MSG(fits(operand, 's', "X\001\0\0\0kNs", 8), "SETITEM on %s", operand->label);
        CHECK_MSG(fits(operand, 's', "(X\001\0\0\0kNu", 9), "SETITEMS on %s", operand->label);
        CHECK_MSG(fits(operand, 'a', "Na", 2), "APPEND on %s", operand->label);
        CHECK_MSG(fits(operand, 'a', "(NNe", 4), "APPENDS on %s", operand->label);
        CHECK_MSG(fits(operand, 'R', ")R", 2), "REDUCE on %s", operand->label);
        CHECK_MSG(fits(operand, 'R', ")\x81", 2), "NEWOBJ on %s", operand->label);
        CHECK_MSG(fits(operand, '-', "X\001\0\0\0x\x93", 7), "STACK_GLOBAL on %s", operand->label);
    }
}

TEST(a_function_is_applied_to_a_tuple_only)
{
    for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++) {
        if (strncmp(operands[i].label, "a tuple", 7) == 0)
            continue;
        for (unsigned kind = 0; kind < 2; kind++) {
            struct bytes bytes = {0};
            pickle_proto(&bytes, 2);
            pickle_global(&bytes, "sklearn.preprocessing._label", "LabelEncoder");
            bytes_add(&bytes, operands[i].at, operands[i].size);
            pickle_op(&bytes, kind == 0 ? OP_REDUCE : OP_NEWOBJ);
            pickle_op(&bytes, OP_STOP);
            CHECK_MSG(refused(&bytes, NULL), "%s", operands[i].label);
        }
    }
}

TEST(bytes_that_are_no_latin_1_text_are_refused)
{
    CHECK_REFUSED("c_codecs\nencode\nX\002\0\0\0\xC4\x80X\006\0\0\0latin1\x86R."); /* U+0100 */
    CHECK_REFUSED("c_codecs\nencode\nX\001\0\0\0aX\005\0\0\0utf-8\x86R.");
    CHECK_REFUSED("c_codecs\nencode\nX\001\0\0\0aX\004\0\0\0zlib\x86R.");
    CHECK_REFUSED("c_codecs\nencode\nK\001X\006\0\0\0latin1\x86R.");
    CHECK_REFUSED("c_codecs\nencode\nX\001\0\0\0aN\x86R.");
    CHECK_REFUSED("c_codecs\nencode\n)R.");
}

TEST(a_key_without_a_value_is_refused)
{
    CHECK_REFUSED("}(X\001\0\0\0ku.");
    CHECK_REFUSED("}(NNNu.");
    CHECK_REFUSED("}Ns.");
}

TEST(text_that_is_not_utf_8_is_refused)
{
    CHECK_REFUSED("X\001\0\0\0\xFF.");
    CHECK_REFUSED("X\002\0\0\0\xC0\x80.");
    CHECK_REFUSED("X\002\0\0\0\xC3(.");
    CHECK_REFUSED("X\002\0\0\0\xE2\x82.");
    CHECK_REFUSED("X\004\0\0\0\xF4\x90\x80\x80.");
    CHECK_REFUSED("\x8C\001\x80.");
    CHECK_REFUSED("\x8D\002\0\0\0\0\0\0\0\xF8\x88.");
}

int main(void)
{
    RUN(any_other_name_means_nothing);
    RUN(a_name_is_compared_to_its_full_length);
    RUN(an_unknown_name_cannot_break_the_message);
    RUN(an_unknown_name_of_any_length_is_told_on_one_line);
    RUN(a_long_name_named_often_takes_little_memory);
    RUN(a_name_that_is_not_text_or_not_ended_is_refused);
    RUN(calls_made_by_hand_are_records_and_nothing_else);
    RUN(what_an_unknown_object_is_given_is_kept_or_dropped);
    RUN(sets_are_lists_and_tuples);
    RUN(opcodes_that_no_model_file_needs_are_refused);
    RUN(the_text_opcodes_of_protocols_0_and_1_are_refused);
    RUN(unknown_opcodes_are_refused);
    RUN(any_opcode_on_any_stack_is_survived);
    RUN(other_protocols_are_refused);
    RUN(a_pickle_without_its_protocol_is_refused);
    RUN(each_opcode_works_on_its_own_kind_of_value_only);
    RUN(a_function_is_applied_to_a_tuple_only);
    RUN(bytes_that_are_no_latin_1_text_are_refused);
    RUN(a_key_without_a_value_is_refused);
    RUN(text_that_is_not_utf_8_is_refused);
    return test_report();
}
