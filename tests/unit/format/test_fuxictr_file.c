/* SPDX-License-Identifier: Apache-2.0 */
/* test_fuxictr_file.c: feature processors that FuxiCTR wrote, and some that lie. */
#include "format/fuxictr_file.h"

#include <math.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

static struct arena arena;
static struct bytes bytes;
static struct fuxictr_file file;
static struct format_error error;

static int read_as_fuxictr_file(struct arena *into, const uint8_t *at, size_t size,
                                struct format_error *ret_error)
{
    struct fuxictr_file ignored;
    return fuxictr_file_read(&ignored, into, at, size, ret_error);
}

static const struct fuxictr_column *column(const char *name)
{
    return fuxictr_file_find(&file, text_of(name));
}

static void close_file(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

TEST(what_the_library_wrote_is_read)
{
    bytes = bytes_of_file("tests/golden/fuxictr/features/feature_processor.pkl");
    arena_init(&arena, 1 << 20);
    CHECK_MSG(fuxictr_file_read(&file, &arena, bytes.at, bytes.size, &error) == 0, "%s",
              error.message);
    CHECK(file.n_columns == 7 && column("nobody") == NULL);
    const struct fuxictr_tokenizer *tags = &column("tags")->tokenizer;
    CHECK(column("tags")->has_tokenizer && tags->n_words == 7 && tags->max_values == 4);
    CHECK(text_is(tags->separator, "^") && !tags->pads_in_front && tags->na_value.length == 0);
    CHECK(column("seen")->tokenizer.pads_in_front);
    CHECK(text_is(column("seen")->tokenizer.separator, "|"));
    CHECK(column("user")->tokenizer.separator.at == NULL && column("user")->dtype == FUXICTR_TEXT);
    CHECK(column("code")->dtype == FUXICTR_INTEGER && text_is(column("code")->fill_text, "0"));
    const struct fuxictr_column *price = column("price"), *age = column("age");
    CHECK(price->is_scaled && scaling_is_standard(&price->scaling) && price->fill_number == 2.5);
    CHECK(age->is_scaled && !scaling_is_standard(&age->scaling) && age->fill_number == 0);
    CHECK(age->preprocess.length == 0 && !age->has_tokenizer);
    close_file();
}

TEST(a_file_cut_or_changed_at_any_byte_is_survived)
{
    bytes = bytes_of_file("tests/golden/fuxictr/encoders/feature_processor.pkl");
    const size_t size = bytes.size;
    for (bytes.size = 0; bytes.size < size; bytes.size++)
        CHECK_MSG(is_refused(read_as_fuxictr_file, &bytes, NULL), "cut at %zu", bytes.size);
    for (size_t i = 0; i < size; i++) {
        static const uint8_t flips[] = {0x01, 0x20, 0x80, 0xFF};
        for (size_t k = 0; k < sizeof flips; k++) {
            bytes.at[i] ^= flips[k];
            CHECK_MSG(is_survived(read_as_fuxictr_file, &bytes), "byte %zu", i);
            bytes.at[i] ^= flips[k];
        }
    }
    bytes_free(&bytes);
}

/* ---- processors put together */

/* The members of a dict: keys, and values as opcodes. */
struct member {
    const char *key, *value;
    size_t size; /* of the value */
};

#define MEMBER(key, value)                                                                         \
    {                                                                                              \
        key, value, sizeof(value) - 1                                                              \
    }
#define TEXT1(letter) "X\1\0\0\0" letter
#define STR           "X\3\0\0\0str"
#define INT           "X\3\0\0\0int"
#define FLOAT         "X\5\0\0\0float"

static void put_dict(const struct member *members, size_t n)
{
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_op(&bytes, OP_MARK);
    for (size_t i = 0; i < n; i++) {
        pickle_text(&bytes, members[i].key);
        bytes_add(&bytes, members[i].value, members[i].size);
    }
    pickle_op(&bytes, OP_SETITEMS);
}

static void begin_object(const char *module, const char *name)
{
    pickle_global(&bytes, module, name);
    pickle_op(&bytes, OP_EMPTY_TUPLE);
    pickle_op(&bytes, OP_NEWOBJ);
}

/* A processor of columns "a", `n_columns` times the same, and of what is under "a::tokenizer". */
static void put_processor(unsigned n_columns, const struct member *members, size_t n,
                          const struct member *tokenizer, size_t n_tokenizer)
{
    pickle_proto(&bytes, 2);
    begin_object("fuxictr.preprocess.feature_processor", "FeatureProcessor");
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_op(&bytes, OP_MARK);
    pickle_text(&bytes, "feature_cols");
    pickle_op(&bytes, OP_EMPTY_LIST);
    pickle_op(&bytes, OP_MARK);
    for (unsigned i = 0; i < n_columns; i++)
        put_dict(members, n);
    pickle_op(&bytes, OP_APPENDS);
    pickle_text(&bytes, "processor_dict");
    pickle_op(&bytes, OP_EMPTY_DICT);
    if (tokenizer) {
        pickle_text(&bytes, "a::tokenizer");
        begin_object("fuxictr.preprocess.tokenizer", "Tokenizer");
        put_dict(tokenizer, n_tokenizer);
        pickle_op(&bytes, OP_BUILD);
        pickle_op(&bytes, OP_SETITEM);
    }
    pickle_op(&bytes, OP_SETITEMS);
    pickle_op(&bytes, OP_BUILD);
    pickle_op(&bytes, OP_STOP);
}

#define REFUSED(needle)                                                                            \
    do {                                                                                           \
        CHECK_MSG(is_refused(read_as_fuxictr_file, &bytes, needle), "%s", needle);                 \
        bytes_free(&bytes);                                                                        \
    } while (0)

#define COLUMN(needle, ...)                                                                        \
    do {                                                                                           \
        const struct member members[] = {MEMBER("name", TEXT1("a")), __VA_ARGS__};                 \
        put_processor(1, members, sizeof members / sizeof *members, NULL, 0);                      \
        REFUSED(needle);                                                                           \
    } while (0)

TEST(a_column_that_is_not_understood_is_refused)
{
    COLUMN("column \"a\": feature_cols.dtype: expected", MEMBER("active", "\x88"));
    COLUMN("found nothing", MEMBER("active", "\x88"));
    COLUMN("feature_cols.dtype: expected \"str\", \"int\" or \"float\", found \"b\"",
           MEMBER("dtype", TEXT1("b")));
    COLUMN("found None", MEMBER("dtype", "N"));
    COLUMN("found builtins.bool", MEMBER("dtype", "cbuiltins\nbool\n"));
    COLUMN("found numpy.str", MEMBER("dtype", "cnumpy\nstr\n"));
    COLUMN("feature_cols.fill_na: expected a number, found a text", MEMBER("dtype", INT),
           MEMBER("fill_na", TEXT1("0")));
    COLUMN("feature_cols.fill_na: expected a text, found an integer", MEMBER("dtype", STR),
           MEMBER("fill_na", "K\1"));
    COLUMN("found None", MEMBER("dtype", FLOAT), MEMBER("fill_na", "N"));
    COLUMN("expected a number, found a float", MEMBER("dtype", FLOAT),
           MEMBER("fill_na", "G\x7F\xF0\0\0\0\0\0\0")); /* infinity */
    COLUMN("feature_cols.na_value", MEMBER("dtype", STR), MEMBER("na_value", TEXT1("x")));
    COLUMN("feature_cols.preprocess: expected a text, found an integer", MEMBER("dtype", STR),
           MEMBER("preprocess", "K\1"));
}

TEST(columns_that_are_none_or_two_of_a_name_are_refused)
{
    const struct member good[] = {MEMBER("name", TEXT1("a")), MEMBER("dtype", STR)};
    const struct member unnamed[] = {MEMBER("name", "]"), MEMBER("dtype", STR)};
    put_processor(2, good, 2, NULL, 0);
    REFUSED("\"a\" stands twice");
    put_processor(0, good, 2, NULL, 0);
    REFUSED("expected 1 to 4096 columns, found 0");
    put_processor(1, unnamed, 2, NULL, 0);
    REFUSED("feature_cols.name: expected a text, found a list");
    put_processor(1, good, 2, NULL, 0);
    CHECK(is_read(read_as_fuxictr_file, &bytes));
    bytes_free(&bytes);
}

/* {"dtype": str} in a script is the type itself. */
TEST(a_type_of_python_is_as_good_as_its_name)
{
    static const struct member types[] = {MEMBER("dtype", "cbuiltins\nstr\n"),
                                          MEMBER("dtype", "cbuiltins\nint\n"),
                                          MEMBER("dtype", "cbuiltins\nfloat\n")};
    static const enum fuxictr_dtype expected[] = {FUXICTR_TEXT, FUXICTR_INTEGER, FUXICTR_FLOAT};
    for (int i = 0; i < 3; i++) {
        const struct member members[] = {MEMBER("name", TEXT1("a")), types[i]};
        put_processor(1, members, 2, NULL, 0);
        arena_init(&arena, 1 << 20);
        CHECK_MSG(fuxictr_file_read(&file, &arena, bytes.at, bytes.size, &error) == 0, "%s",
                  error.message);
        CHECK(column("a") && column("a")->dtype == expected[i]);
        close_file();
    }
}

#define TOKENIZER(needle, ...)                                                                     \
    do {                                                                                           \
        const struct member good[] = {MEMBER("name", TEXT1("a")), MEMBER("dtype", STR)};           \
        const struct member members[] = {__VA_ARGS__};                                             \
        put_processor(1, good, 2, members, sizeof members / sizeof *members);                      \
        REFUSED(needle);                                                                           \
    } while (0)

TEST(a_tokenizer_that_is_not_understood_is_refused)
{
    TOKENIZER("column \"a\": Tokenizer.vocab: expected a dict, found a list", MEMBER("vocab", "]"));
    TOKENIZER("Tokenizer.vocab: expected a dict, found nothing", MEMBER("max_len", "K\1"));
    TOKENIZER("Tokenizer._splitter: expected a text, found an integer", MEMBER("vocab", "}"),
              MEMBER("_splitter", "K\1"));
    TOKENIZER("Tokenizer.padding: expected \"pre\" or \"post\", found \"m\"", MEMBER("vocab", "}"),
              MEMBER("_splitter", TEXT1("|")), MEMBER("padding", TEXT1("m")),
              MEMBER("max_len", "K\1"));
    TOKENIZER("Tokenizer.max_len: expected a whole number up to 4096, found an integer",
              MEMBER("vocab", "}"), MEMBER("_splitter", TEXT1("|")),
              MEMBER("padding", "X\3\0\0\0pre"), MEMBER("max_len", "J\xFF\xFF\xFF\x7F"));
    TOKENIZER("Tokenizer.max_len: expected a whole number up to 4096, found nothing",
              MEMBER("vocab", "}"), MEMBER("_splitter", TEXT1("|")),
              MEMBER("padding", "X\3\0\0\0pre"));
}

int main(void)
{
    RUN(what_the_library_wrote_is_read);
    RUN(a_file_cut_or_changed_at_any_byte_is_survived);
    RUN(a_column_that_is_not_understood_is_refused);
    RUN(a_type_of_python_is_as_good_as_its_name);
    RUN(columns_that_are_none_or_two_of_a_name_are_refused);
    RUN(a_tokenizer_that_is_not_understood_is_refused);
    return test_report();
}
