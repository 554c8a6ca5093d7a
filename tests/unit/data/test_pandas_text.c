/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned examples; tests/client/test_fit.py compares random columns with pandas itself. */
#include "data/pandas_text.h"

#include <math.h>

#include "fixture.h"
#include "test.h"

/* The type of a column of these cells, by commas; "NA" is missing. */
static enum pandas_type type_of(const char *cells)
{
    struct pandas_inference inference = {0};
    for (;;) {
        const size_t length = strcspn(cells, ",");
        const struct text cell = fixture_copy(cells, length);
        if (text_is(cell, "NA"))
            inference.has_missing = true;
        else
            pandas_inference_add(&inference, cell);
        fixture_drop(cell);
        if (cells[length] == '\0')
            return pandas_inference_type(&inference);
        cells += length + 1;
    }
}

static bool writes(enum pandas_type type, const char *cell, const char *expected)
{
    char scratch[NUMBER_REPR_MAX];
    const struct text exact = fixture_copy(cell, strlen(cell));
    const struct text text = pandas_text(type, exact, scratch);
    const bool is_equal = text_is(text, expected);
    if (!is_equal)
        fprintf(stderr, "    %s is %.*s\n", cell, TEXT_SHOWN(text));
    fixture_drop(exact);
    return is_equal;
}

TEST(a_columns_type_comes_from_all_its_values)
{
    CHECK(type_of("1,2,-3") == PANDAS_INTEGER);
    CHECK(type_of("007,+5, 6 ") == PANDAS_INTEGER);
    CHECK(type_of("1,NA") == PANDAS_FLOAT_FROM_INTEGER);
    CHECK(type_of("1,2.5") == PANDAS_FLOAT);
    CHECK(type_of("1,inf,1e5,.5,5.") == PANDAS_FLOAT);
    CHECK(type_of("1.5,NA") == PANDAS_FLOAT);
    CHECK(type_of("True,false,TRUE") == PANDAS_BOOL);
    CHECK(type_of("True,NA") == PANDAS_BOOL);
    CHECK(type_of("True,1") == PANDAS_OBJECT);
    CHECK(type_of("a,1,2.5") == PANDAS_OBJECT);
    CHECK(type_of("1,1_000") == PANDAS_OBJECT);
    CHECK(type_of("1,1e400") == PANDAS_OBJECT);
    CHECK(type_of("1,0x10") == PANDAS_OBJECT);
    CHECK(type_of("1,1e") == PANDAS_OBJECT);
}

TEST(integers_beyond_int64_are_uint64_or_text)
{
    CHECK(type_of("9223372036854775807,-9223372036854775808") == PANDAS_INTEGER);
    CHECK(type_of("18446744073709551615,1") == PANDAS_INTEGER);
    CHECK(type_of("18446744073709551616") == PANDAS_OBJECT);
    CHECK(type_of("9223372036854775808,-1") == PANDAS_AS_WRITTEN);
    CHECK(type_of("9223372036854775808,NA") == PANDAS_AS_WRITTEN);
    CHECK(type_of("-9223372036854775809") == PANDAS_OBJECT);
    /* What fails first decides. */
    CHECK(type_of("1.5,99999999999999999999") == PANDAS_FLOAT);
    CHECK(type_of("99999999999999999999,1.5") == PANDAS_OBJECT);
    CHECK(type_of("9223372036854775808,1.5") == PANDAS_FLOAT);
}

TEST(texts_are_those_of_astype_str)
{
    CHECK(writes(PANDAS_INTEGER, "007", "7"));
    CHECK(writes(PANDAS_INTEGER, " +5 ", "5"));
    CHECK(writes(PANDAS_INTEGER, "-007", "-7"));
    CHECK(writes(PANDAS_INTEGER, "-0", "0"));
    CHECK(writes(PANDAS_INTEGER, "18446744073709551615", "18446744073709551615"));
    CHECK(writes(PANDAS_INTEGER, "abc", "abc"));
    CHECK(writes(PANDAS_FLOAT, "7", "7.0"));
    CHECK(writes(PANDAS_FLOAT, "0.10", "0.1"));
    CHECK(writes(PANDAS_FLOAT, "1e5", "100000.0"));
    CHECK(writes(PANDAS_FLOAT, "1e16", "1e+16"));
    CHECK(writes(PANDAS_FLOAT, "-0", "-0.0"));
    CHECK(writes(PANDAS_FLOAT_FROM_INTEGER, "-0", "0.0"));
    CHECK(writes(PANDAS_FLOAT, "-INFINITY", "-inf"));
    CHECK(writes(PANDAS_FLOAT, "abc", "abc"));
    CHECK(writes(PANDAS_BOOL, "tRUE", "True"));
    CHECK(writes(PANDAS_BOOL, "FALSE", "False"));
    CHECK(writes(PANDAS_OBJECT, "007", "007"));
    CHECK(writes(PANDAS_AS_WRITTEN, " 1 ", " 1 "));
}

TEST(floats_are_read_as_read_csv_reads_them)
{
    double value = 3;
    static const char *const none[] = {"",    "+",   ".",   "e5",  "1e",  "1e+",   "--1",  "1.2.3",
                                       "1 2", "nan", "NaN", "0x1", "1_0", "1e309", " inf", "infi"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK_MSG(!pandas_float(text_of(none[i]), &value) && value == 3, "%s", none[i]);
    CHECK(pandas_float(text_of("\t+1.50e+1 "), &value) && value == 15);
    CHECK(pandas_float(text_of("1e-400"), &value) && value == 0);
    CHECK(pandas_float(text_of("iNF"), &value) && isinf(value));
    /* The nearest double, which read_csv's default misses by one bit. */
    CHECK(pandas_float(text_of("0.14740000000000003"), &value) && value == 0.14740000000000003);
}

static enum pandas_type type_of_classes(const char *const *classes, uint32_t n)
{
    struct text texts[8];
    for (uint32_t i = 0; i < n; i++)
        texts[i] = text_of(classes[i]);
    return pandas_type_of_classes(texts, n);
}

TEST(classes_tell_the_type_of_their_column)
{
    CHECK(type_of_classes((const char *[]){"-1", "10", "7"}, 3) == PANDAS_INTEGER);
    CHECK(type_of_classes((const char *[]){"007", "10"}, 2) == PANDAS_OBJECT);
    CHECK(type_of_classes((const char *[]){"10", "nan"}, 2) == PANDAS_OBJECT);
    CHECK(type_of_classes((const char *[]){"1.0", "nan"}, 2) == PANDAS_FLOAT_FROM_INTEGER);
    CHECK(type_of_classes((const char *[]){"-0.0", "2.5"}, 2) == PANDAS_FLOAT);
    CHECK(type_of_classes((const char *[]){"1.0", "2.50"}, 2) == PANDAS_OBJECT);
    CHECK(type_of_classes((const char *[]){"1e+20", "inf"}, 2) == PANDAS_FLOAT_FROM_INTEGER);
    CHECK(type_of_classes((const char *[]){"nan"}, 1) == PANDAS_FLOAT_FROM_INTEGER);
    CHECK(type_of_classes((const char *[]){"False", "True", "nan"}, 3) == PANDAS_BOOL);
    CHECK(type_of_classes((const char *[]){"False", "true"}, 2) == PANDAS_OBJECT);
    CHECK(type_of_classes((const char *[]){"1", "a"}, 2) == PANDAS_OBJECT);
    CHECK(type_of_classes((const char *[]){"99999999999999999999"}, 1) == PANDAS_OBJECT);
}

int main(void)
{
    RUN(a_columns_type_comes_from_all_its_values);
    RUN(integers_beyond_int64_are_uint64_or_text);
    RUN(texts_are_those_of_astype_str);
    RUN(floats_are_read_as_read_csv_reads_them);
    RUN(classes_tell_the_type_of_their_column);
    return test_report();
}
