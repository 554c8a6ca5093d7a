/* SPDX-License-Identifier: Apache-2.0 */
/* test_pickle_records.c: names, records and what the libraries write. */
#include "format/pickle.h"

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

/* ---- names and records */

static const struct {
    const char *module, *name;
    enum pickle_name expected;
} allowed[] = {
    {"collections", "OrderedDict", PICKLE_ORDERED_DICT},
    {"_codecs", "encode", PICKLE_CODECS_ENCODE},
    {"builtins", "bytearray", PICKLE_BYTEARRAY},
    {"torch._utils", "_rebuild_tensor_v2", PICKLE_REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", PICKLE_REBUILD_PARAMETER},
    {"torch", "FloatStorage", PICKLE_STORAGE_F32},
    {"torch", "DoubleStorage", PICKLE_STORAGE_F64},
    {"torch", "HalfStorage", PICKLE_STORAGE_F16},
    {"torch", "BFloat16Storage", PICKLE_STORAGE_BF16},
    {"numpy", "ndarray", PICKLE_NDARRAY},
    {"numpy", "dtype", PICKLE_DTYPE},
    {"numpy.core.multiarray", "_reconstruct", PICKLE_RECONSTRUCT},
    {"numpy._core.multiarray", "_reconstruct", PICKLE_RECONSTRUCT},
    {"numpy.core.multiarray", "scalar", PICKLE_SCALAR},
    {"numpy._core.multiarray", "scalar", PICKLE_SCALAR},
    {"numpy.core.numeric", "_frombuffer", PICKLE_FROMBUFFER},
    {"numpy._core.numeric", "_frombuffer", PICKLE_FROMBUFFER},
    {"sklearn.preprocessing._data", "StandardScaler", PICKLE_STANDARD_SCALER},
    {"sklearn.preprocessing._label", "LabelEncoder", PICKLE_LABEL_ENCODER},
};

TEST(every_allowed_name_is_read_in_either_spelling)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        for (unsigned spelling = 0; spelling < 2; spelling++) {
            struct bytes bytes = {0};
            pickle_proto(&bytes, 4);
            if (spelling == 0)
                pickle_global(&bytes, allowed[i].module, allowed[i].name);
            else
                pickle_stack_global(&bytes, allowed[i].module, allowed[i].name);
            pickle_op(&bytes, OP_STOP);
            struct pickle_value *value = pickle_load(&bytes);
            CHECK_MSG(value && value->kind == PICKLE_NAME && value->name == allowed[i].expected,
                      "%s.%s", allowed[i].module, allowed[i].name);
        }
    }
    pickle_unload();
}

TEST(a_name_applied_to_arguments_is_a_record_of_them)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_global(&bytes, "numpy", "dtype");
    pickle_text(&bytes, "f8");
    pickle_op(&bytes, OP_TUPLE1);
    pickle_op(&bytes, OP_REDUCE);
    pickle_int(&bytes, 3);
    pickle_op(&bytes, OP_TUPLE1);
    pickle_op(&bytes, OP_BUILD);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->kind == PICKLE_RECORD && value->name == PICKLE_DTYPE);
    CHECK(value->record.arguments && value->record.arguments->kind == PICKLE_TUPLE);
    CHECK(value->record.arguments->n == 1);
    CHECK(is_text(value->record.arguments->items[0], "f8"));
    CHECK(value->record.state && value->record.state->kind == PICKLE_TUPLE);
    pickle_unload();
}

TEST(an_object_made_by_newobj_has_the_state_that_build_gives)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 4);
    pickle_stack_global(&bytes, "sklearn.preprocessing._label", "LabelEncoder");
    pickle_op(&bytes, OP_EMPTY_TUPLE);
    pickle_op(&bytes, OP_NEWOBJ);
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_text(&bytes, "classes_");
    pickle_op(&bytes, OP_NONE);
    pickle_op(&bytes, OP_SETITEM);
    pickle_op(&bytes, OP_BUILD);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->kind == PICKLE_RECORD && value->name == PICKLE_LABEL_ENCODER);
    CHECK(value->record.arguments && value->record.arguments->n == 0);
    CHECK(value->record.state && pickle_get(value->record.state, "classes_"));
    pickle_unload();
}

TEST(a_record_without_build_has_no_state)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_empty_ordered_dict(&bytes);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_RECORD && value->record.state == NULL);
    pickle_unload();
}

TEST(a_persistent_id_keeps_its_tuple)
{
    static const struct tensor_spec tensor = {
        .storage_type = "FloatStorage", .key = "7", .storage_elements = 12};
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_storage(&bytes, &tensor);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    CHECK(value->kind == PICKLE_PERSISTENT);
    CHECK(value->id->kind == PICKLE_TUPLE && value->id->n == 5);
    CHECK(is_text(value->id->items[0], "storage"));
    CHECK(value->id->items[1]->kind == PICKLE_NAME &&
          value->id->items[1]->name == PICKLE_STORAGE_F32);
    CHECK(is_text(value->id->items[2], "7") && is_integer(value->id->items[4], 12));
    pickle_unload();
}

TEST(values_describe_themselves)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_op(&bytes, OP_MARK);
    pickle_op(&bytes, OP_NONE);
    pickle_op(&bytes, OP_NEWTRUE);
    pickle_int(&bytes, 1);
    pickle_op(&bytes, OP_BINFLOAT);
    bytes_fill(&bytes, 0, 8);
    pickle_text(&bytes, "x");
    pickle_bytes(&bytes, "x", 1);
    pickle_op(&bytes, OP_EMPTY_TUPLE);
    pickle_op(&bytes, OP_EMPTY_LIST);
    pickle_op(&bytes, OP_EMPTY_DICT);
    pickle_global(&bytes, "numpy", "ndarray");
    pickle_empty_ordered_dict(&bytes);
    pickle_text(&bytes, "id");
    pickle_op(&bytes, OP_BINPERSID);
    pickle_op(&bytes, OP_TUPLE);
    pickle_op(&bytes, OP_STOP);
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value != NULL);
    if (value == NULL)
        return;
    static const char *const expected[] = {"",
                                           "",
                                           "",
                                           "",
                                           "text",
                                           "bytes",
                                           "tuple",
                                           "list",
                                           "dict",
                                           "numpy.ndarray",
                                           "collections.OrderedDict",
                                           ""};
    CHECK(value->n == sizeof expected / sizeof expected[0]);
    for (uint32_t i = 0; i < value->n; i++) {
        const char *found = pickle_describe(value->items[i]);
        CHECK_MSG(found && found[0] && strstr(found, expected[i]), "'%s' for '%s'", found,
                  expected[i]);
    }
    pickle_unload();
}

/* ---- what the libraries write */

TEST(the_pickles_of_scikit_learn_are_read_in_every_protocol)
{
    for (unsigned protocol = 2; protocol <= 5; protocol++) {
        for (unsigned numpy = 1; numpy <= 2; numpy++) {
            char path[96];
            snprintf(path, sizeof path, "tests/golden/format/%s_p%u.pkl",
                     numpy == 1 ? "numpy1" : "encoder", protocol);
            struct bytes bytes = bytes_of_file(path);
            struct pickle_value *value = pickle_load(&bytes);
            CHECK(value != NULL);
            if (value == NULL)
                continue;
            CHECK(value->kind == PICKLE_TUPLE && value->n == 2);
            CHECK(value->items[0]->kind == PICKLE_RECORD &&
                  value->items[0]->name == PICKLE_STANDARD_SCALER);
            CHECK(value->items[0]->record.state &&
                  pickle_get(value->items[0]->record.state, "scale_"));
            CHECK(value->items[1]->kind == PICKLE_DICT && value->items[1]->n == 4);
            CHECK(pickle_get(value->items[1], "brand \xC3\xBC") != NULL);
        }
    }
    pickle_unload();
}

TEST(the_demo_encoder_is_read_in_memory_of_its_own_size)
{
    struct bytes bytes = bytes_of_file("model/preprocess_metadata.pkl");
    struct pickle_value *value = pickle_load(&bytes);
    CHECK(value && value->kind == PICKLE_TUPLE && value->n == 2 && value->items[1]->n == 16);
    CHECK_MSG(pickle_loaded_bytes() < 1024 * 1024, "%zu bytes", pickle_loaded_bytes());
    pickle_unload();
}

int main(void)
{
    RUN(every_allowed_name_is_read_in_either_spelling);
    RUN(a_name_applied_to_arguments_is_a_record_of_them);
    RUN(an_object_made_by_newobj_has_the_state_that_build_gives);
    RUN(a_record_without_build_has_no_state);
    RUN(a_persistent_id_keeps_its_tuple);
    RUN(values_describe_themselves);
    RUN(the_pickles_of_scikit_learn_are_read_in_every_protocol);
    RUN(the_demo_encoder_is_read_in_memory_of_its_own_size);
    return test_report();
}
