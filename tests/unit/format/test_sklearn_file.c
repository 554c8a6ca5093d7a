/* SPDX-License-Identifier: Apache-2.0 */
/* test_sklearn_file.c: encoders that scikit-learn wrote, the good ones and the bad ones. */
#include "format/sklearn_file.h"

#include <stdlib.h>

#include "build.h"
#include "test.h"

#define GOLDEN "tests/golden/format/"

static struct arena arena;
static struct bytes bytes;
static struct sklearn_file file;
static struct format_error error;

static void close_file(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

static bool open_file(const char *path)
{
    close_file();
    arena_init(&arena, 64 * 1024 * 1024);
    bytes = bytes_of_file(path);
    error.message[0] = '\0';
    return sklearn_file_read(&file, &arena, bytes.at, bytes.size, &error) == 0;
}

/* ---- .expected files: one word and one value a line */

static FILE *expected;

/* The value of the next line, which starts with `word`; NULL: it is something else. */
static const char *next_value(const char *word)
{
    static char line[512];
    size_t length = strlen(word);
    if (fgets(line, sizeof line, expected) == NULL || strncmp(line, word, length) != 0)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line[length] == ' ' ? line + length + 1 : line + length;
}

static bool is_hex(struct text text, const char *hex)
{
    size_t n = 0;
    for (; *hex && *hex != ' ' && *hex != '-'; hex += 2, n++) {
        unsigned value;
        if (sscanf(hex, "%2x", &value) != 1 || n >= text.length ||
            (unsigned char)text.at[n] != value)
            return false;
    }
    return n == text.length;
}

static bool next_text_is(const char *word, struct text text)
{
    const char *value = next_value(word);
    return value && is_hex(text, value);
}

static bool next_double_is(const char *word, double number)
{
    const char *value = next_value(word);
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return value && strtoull(value, NULL, 16) == bits;
}

static bool scaler_is_as_expected(void)
{
    const char *value = next_value("dense");
    if (value == NULL || strtoul(value, NULL, 10) != file.n_dense)
        return false;
    if (file.dense_names == NULL) {
        if (next_value("unnamed") == NULL)
            return false;
    } else {
        for (uint32_t i = 0; i < file.n_dense; i++)
            if (!next_text_is("name", file.dense_names[i]))
                return false;
    }
    for (uint32_t i = 0; i < file.n_dense; i++)
        if (!next_double_is("mean", file.scaling[i].mean))
            return false;
    for (uint32_t i = 0; i < file.n_dense; i++)
        if (!next_double_is("scale", file.scaling[i].scale))
            return false;
    return true;
}

static bool encoder_is_as_expected(const struct sklearn_encoder *encoder)
{
    const char *value = next_value("encoder");
    const char *count = value ? strchr(value, ' ') : NULL;
    if (count == NULL || strtoul(count, NULL, 10) != encoder->n_classes ||
        !is_hex(encoder->column, value))
        return false;
    for (uint32_t i = 0; i < encoder->n_classes; i++)
        if (!next_text_is("class", encoder->classes[i]))
            return false;
    return true;
}

static bool is_as_expected(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.expected", name);
    expected = fopen(path, "r");
    if (expected == NULL)
        return false;
    bool good = scaler_is_as_expected();
    for (uint32_t i = 0; good && i < file.n_encoders; i++) {
        good = encoder_is_as_expected(&file.encoders[i]);
        if (!good)
            fprintf(stderr, "    %s: encoder %u\n", path, i);
    }
    good = good && fgetc(expected) == EOF;
    fclose(expected);
    return good;
}

static void check_golden(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.pkl", name);
    bool opened = open_file(path);
    CHECK_MSG(opened, "%s: %s", path, error.message);
    if (opened)
        CHECK_MSG(is_as_expected(name), "%s", name);
    close_file();
}

/* Refused naming `needle`, or read with the right values. */
static void check_golden_or_refused(const char *name, const char *needle)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.pkl", name);
    if (open_file(path))
        CHECK_MSG(is_as_expected(name), "%s", name);
    else
        CHECK_MSG(is_one_line(&error) && strstr(error.message, needle), "%s", error.message);
    close_file();
}

static bool refused(const char *name, const char *needle)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "refused_%s.pkl", name);
    struct bytes content = bytes_of_file(path);
    bool result = is_refused(read_as_sklearn_file, &content, needle);
    if (!result)
        fprintf(stderr, "    %s\n", path);
    bytes_free(&content);
    return result;
}

/* In both of the protocols in which it is committed. */
static bool both_refused(const char *name, const char *needle)
{
    char full[64];
    snprintf(full, sizeof full, "%s_p2", name);
    bool result = refused(full, needle);
    snprintf(full, sizeof full, "%s_p5", name);
    return refused(full, needle) && result;
}

/* ---- good ones */

TEST(protocols_2_to_5_of_numpy_2_are_read)
{
    check_golden("encoder_p2");
    check_golden("encoder_p3");
    check_golden("encoder_p4");
    check_golden("encoder_p5");
}

TEST(protocols_2_to_5_of_scikit_learn_1_0_and_numpy_1_are_read)
{
    check_golden("numpy1_p2");
    check_golden("numpy1_p3");
    check_golden("numpy1_p4");
    check_golden("numpy1_p5");
}

TEST(the_demo_encoder_is_read)
{
    bool opened = open_file("model/preprocess_metadata.pkl");
    CHECK_MSG(opened, "%s", error.message);
    CHECK(opened && is_as_expected("demo_encoder"));
    CHECK(opened && file.n_encoders == 16 && file.n_dense == 1);
    CHECK(opened && text_is(file.dense_names[0], "price"));
    close_file();
}

TEST(a_scaler_that_takes_no_mean_has_means_of_zero)
{
    check_golden("with_mean_false");
}

TEST(a_scaler_that_takes_no_deviation_has_scales_of_one)
{
    check_golden("with_std_false");
}

TEST(a_scaler_that_does_neither_is_read)
{
    check_golden("with_neither");
}

TEST(a_scaler_fitted_on_an_array_has_no_names)
{
    check_golden("unnamed");
    CHECK(open_file(GOLDEN "unnamed.pkl") && file.dense_names == NULL && file.n_dense == 3);
    close_file();
}

TEST(a_scaler_never_fitted_is_refused_or_of_no_columns)
{
    check_golden_or_refused("unfitted", "StandardScaler");
}

TEST(an_ordered_dict_of_encoders_is_read)
{
    check_golden("ordered_dict");
}

TEST(other_settings_of_the_scaler_are_passed_over)
{
    check_golden("set_output");
}

TEST(big_endian_arrays_are_refused_or_read_right)
{
    check_golden_or_refused("big_endian_p2", "mean_");
    check_golden_or_refused("big_endian_p5", "mean_");
}

/* Classes of "cate" are the texts that pandas' astype(str) gives the values, in the file's order.
 */
static bool has_classes(const char *name, const char *a, const char *b, const char *c,
                        uint32_t missing_row)
{
    const char *const wanted[] = {a, b, c};
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.pkl", name);
    if (!open_file(path)) {
        fprintf(stderr, "    %s: %s\n", name, error.message);
        return false;
    }
    const struct sklearn_encoder *encoder = NULL;
    for (uint32_t i = 0; i < file.n_encoders; i++)
        if (text_is(file.encoders[i].column, "cate"))
            encoder = &file.encoders[i];
    bool good = encoder && encoder->n_classes == (c ? 3u : 2u) &&
                encoder->missing_row == missing_row && encoder->unknown_row == SKLEARN_NO_ROW;
    for (uint32_t i = 0; good && i < encoder->n_classes; i++)
        good = text_is(encoder->classes[i], wanted[i]);
    close_file();
    return good;
}

TEST(classes_need_not_be_sorted)
{
    CHECK(has_classes("unsorted_p2", "b", "a", "c", SKLEARN_NO_ROW));
    CHECK(has_classes("unsorted_p5", "b", "a", "c", SKLEARN_NO_ROW));
    CHECK(has_classes("unsorted_u_p2", "b", "a", "c", SKLEARN_NO_ROW));
    CHECK(has_classes("unsorted_u_p5", "b", "a", "c", SKLEARN_NO_ROW));
}

TEST(classes_that_are_numbers_have_their_text)
{
    CHECK(has_classes("integer_classes_p2", "1", "2", "3", SKLEARN_NO_ROW));
    CHECK(has_classes("integer_classes_p5", "1", "2", "3", SKLEARN_NO_ROW));
    CHECK(has_classes("integer_objects", "1", "2", "3", SKLEARN_NO_ROW));
    CHECK(has_classes("float_classes", "0.5", "1.5", NULL, SKLEARN_NO_ROW));
    CHECK(has_classes("bool_classes", "False", "True", NULL, SKLEARN_NO_ROW));
    CHECK(has_classes("none_class", "a", "b", "None", 2));
}

TEST(a_pair_is_found_in_other_containers)
{
    static const struct {
        const char *name, *scaler;
        uint32_t n_dense, n_encoders;
    } files[] = {{"one", "StandardScaler", 3, 0},     {"three", "StandardScaler", 3, 4},
                 {"swapped", "StandardScaler", 3, 4}, {"appended_call", "StandardScaler", 3, 4},
                 {"joblib", "StandardScaler", 3, 4},  {"min_max", "MinMaxScaler", 1, 4}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, GOLDEN "%s.pkl", files[i].name);
        const bool opened = open_file(path);
        CHECK_MSG(opened, "%s: %s", path, error.message);
        CHECK_MSG(opened && file.n_dense == files[i].n_dense &&
                      file.n_encoders == files[i].n_encoders &&
                      strcmp(file.scaler, files[i].scaler) == 0,
                  "%s", path);
        close_file();
    }
}

TEST(a_min_max_scaler_multiplies_and_adds)
{
    CHECK(open_file(GOLDEN "min_max.pkl")); /* of 1 and 2 */
    CHECK(file.scaling[0].mean == 0 && file.scaling[0].scale == 1);
    CHECK(file.scaling[0].factor == 1 && file.scaling[0].shift == -1);
    CHECK(scaling_apply(&file.scaling[0], 1.25) == 0.25 && !isfinite(file.scaling[0].high));
    close_file();
    CHECK(open_file("tests/golden/files/min_max_clip/preprocess_metadata.pkl"));
    CHECK(file.scaling[0].low == 0 && file.scaling[0].high == 0.5);
    CHECK(scaling_apply(&file.scaling[0], -1e9) == 0 &&
          scaling_apply(&file.scaling[0], 1e9) == 0.5);
    close_file();
}

TEST(joblibs_compressed_files_are_the_plain_ones)
{
    static const char *const names[] = {"joblib_zlib", "joblib_gzip", "joblib_wide"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/golden/files/%s/preprocess_metadata.pkl", names[i]);
        const bool opened = open_file(path);
        CHECK_MSG(opened, "%s: %s", path, error.message);
        CHECK(opened && file.n_encoders == 2 && text_is(file.encoders[0].classes[5], "9"));
        close_file();
    }
}

/* ---- bad ones */

TEST(a_class_twice_is_refused_naming_the_column)
{
    CHECK(both_refused("duplicate", "cate"));
    CHECK(both_refused("duplicate_u", "cate"));
}

TEST(classes_that_are_no_array_of_texts_or_numbers_are_refused_naming_the_column)
{
    CHECK(refused("bytes_classes", "cate"));
    CHECK(refused("2d_classes", "cate"));
    CHECK(refused("list_classes", "cate"));
    CHECK(refused("no_classes", "cate"));
}

TEST(a_scale_of_zero_is_refused_naming_the_column)
{
    CHECK(both_refused("scale_zero", "age"));
}

TEST(a_mean_or_scale_that_is_no_number_is_refused_naming_the_column)
{
    CHECK(both_refused("mean_nan", "age"));
    CHECK(refused("mean_inf", "age"));
    CHECK(refused("scale_nan", "age"));
    CHECK(refused("scale_inf", "age"));
}

TEST(arrays_of_another_length_than_the_scaler_are_refused)
{
    CHECK(refused("mean_long", "mean_"));
    CHECK(refused("scale_short", "scale_"));
    CHECK(refused("names_short", "names"));
}

TEST(a_scaler_without_its_arrays_is_refused)
{
    CHECK(refused("no_mean", "mean_"));
    CHECK(refused("no_scale", "scale_"));
    CHECK(refused("mean_integers", "mean_"));
}

TEST(a_scaler_with_means_but_no_width_is_refused)
{
    CHECK(refused("no_width", "StandardScaler"));
}

TEST(what_is_no_pair_of_a_scaler_and_encoders_is_refused)
{
    CHECK(refused("no_dict", "list"));
    CHECK(refused("number_column", "column"));
    CHECK(refused("no_encoder", "cate"));
    CHECK(refused("class_not_object", "cate"));
    CHECK(refused("scaler_as_encoder", "cate"));
}

TEST(other_classes_are_refused_naming_them)
{
    CHECK(refused("one_hot", "sklearn.preprocessing._encoders.OneHotEncoder"));
}

TEST(calls_are_refused_naming_them)
{
    CHECK(refused("os_system_p2", "os.system"));
    CHECK(refused("os_system_p4", "os.system"));
}

TEST(a_state_dict_is_refused)
{
    struct bytes weights = bytes_of_file(GOLDEN "small.pth");
    CHECK(is_refused(read_as_sklearn_file, &weights, NULL));
    bytes_free(&weights);
}

/* ---- damage */

TEST(a_cut_file_is_refused_at_every_length)
{
    static const char *const paths[] = {GOLDEN "encoder_p2.pkl",
                                        GOLDEN "encoder_p5.pkl",
                                        "model/preprocess_metadata.pkl",
                                        GOLDEN "joblib.pkl",
                                        "tests/golden/files/joblib_zlib/preprocess_metadata.pkl",
                                        "tests/golden/files/ordinal/preprocess_metadata.pkl"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes content = bytes_of_file(paths[i]);
        CHECK(every_cut_is_refused(read_as_sklearn_file, &content));
        bytes_free(&content);
    }
}

TEST(a_flipped_byte_is_survived)
{
    static const char *const paths[] = {GOLDEN "encoder_p2.pkl",
                                        GOLDEN "encoder_p5.pkl",
                                        GOLDEN "numpy1_p4.pkl",
                                        GOLDEN "joblib.pkl",
                                        "tests/golden/files/joblib_wide/preprocess_metadata.pkl",
                                        "tests/golden/files/joblib_gzip/preprocess_metadata.pkl",
                                        "tests/golden/files/min_max_clip/preprocess_metadata.pkl",
                                        "tests/golden/files/ordinal/preprocess_metadata.pkl"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes content = bytes_of_file(paths[i]);
        CHECK(every_flip_is_survived(read_as_sklearn_file, &content));
        bytes_free(&content);
    }
}

TEST(running_out_of_memory_refuses_the_file)
{
    static const char *const paths[] = {GOLDEN "encoder_p2.pkl", GOLDEN "encoder_p5.pkl",
                                        GOLDEN "joblib.pkl",
                                        "tests/golden/files/joblib_zlib/preprocess_metadata.pkl",
                                        "tests/golden/files/ordinal/preprocess_metadata.pkl"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes content = bytes_of_file(paths[i]);
        CHECK(running_out_of_memory_is_refused(read_as_sklearn_file, &content));
        bytes_free(&content);
    }
}

int main(void)
{
    RUN(protocols_2_to_5_of_numpy_2_are_read);
    RUN(protocols_2_to_5_of_scikit_learn_1_0_and_numpy_1_are_read);
    RUN(the_demo_encoder_is_read);
    RUN(a_scaler_that_takes_no_mean_has_means_of_zero);
    RUN(a_scaler_that_takes_no_deviation_has_scales_of_one);
    RUN(a_scaler_that_does_neither_is_read);
    RUN(a_scaler_fitted_on_an_array_has_no_names);
    RUN(a_scaler_never_fitted_is_refused_or_of_no_columns);
    RUN(an_ordered_dict_of_encoders_is_read);
    RUN(other_settings_of_the_scaler_are_passed_over);
    RUN(big_endian_arrays_are_refused_or_read_right);
    RUN(classes_need_not_be_sorted);
    RUN(classes_that_are_numbers_have_their_text);
    RUN(a_pair_is_found_in_other_containers);
    RUN(a_min_max_scaler_multiplies_and_adds);
    RUN(joblibs_compressed_files_are_the_plain_ones);
    RUN(a_class_twice_is_refused_naming_the_column);
    RUN(classes_that_are_no_array_of_texts_or_numbers_are_refused_naming_the_column);
    RUN(a_scale_of_zero_is_refused_naming_the_column);
    RUN(a_mean_or_scale_that_is_no_number_is_refused_naming_the_column);
    RUN(arrays_of_another_length_than_the_scaler_are_refused);
    RUN(a_scaler_without_its_arrays_is_refused);
    RUN(a_scaler_with_means_but_no_width_is_refused);
    RUN(what_is_no_pair_of_a_scaler_and_encoders_is_refused);
    RUN(other_classes_are_refused_naming_them);
    RUN(calls_are_refused_naming_them);
    RUN(a_state_dict_is_refused);
    RUN(a_cut_file_is_refused_at_every_length);
    RUN(a_flipped_byte_is_survived);
    RUN(running_out_of_memory_refuses_the_file);
    return test_report();
}
