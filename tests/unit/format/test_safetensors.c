/* SPDX-License-Identifier: Apache-2.0 */
/* test_safetensors.c: converted files: written, read, and damaged in any way. */
#include "format/safetensors.h"

#include <stdlib.h>

#include "build.h"
#include "format/checksum.h"
#include "test.h"

enum { ARENA_BYTES = 64 << 20, LENGTH_BYTES = 8 };

static int read_as_safetensors(struct arena *arena, const uint8_t *bytes, size_t size,
                               struct format_error *error)
{
    struct safetensors file;
    return safetensors_read(&file, arena, bytes, size, error);
}

/* ---- the fixture: a file of our own writer */

static const float floats[6] = {0, 1, -2.5f, 3, 4, 5};
static const uint32_t words[3] = {0, 2, 3};
static const uint64_t slots[8] = {1, 2, 3, 4, 5, 6, 7, 8};

/* In the order that the writer gives them. */
static const struct tensor tensors[] = {
    {{"b.slots", 7}, TENSOR_U64, 2, {4, 2}, {2, 1}, 8, (const uint8_t *)slots},
    {{"none", 4}, TENSOR_F32, 1, {0}, {1}, 0, (const uint8_t *)floats},
    {{"a.weight", 8}, TENSOR_F32, 2, {2, 3}, {3, 1}, 6, (const uint8_t *)floats},
    {{"b.offsets", 9}, TENSOR_U32, 1, {3}, {1}, 3, (const uint8_t *)words},
    {{"scalar", 6}, TENSOR_F32, 0, {0}, {0}, 1, (const uint8_t *)(floats + 2)},
    {{"b.text", 6}, TENSOR_U8, 1, {3}, {1}, 3, (const uint8_t *)"xyz"},
};

enum { N_TENSORS = sizeof tensors / sizeof tensors[0] };

static struct safetensors_entry entries[] = {{"columns", "[\"a\",\"\xC3\xA9\\n\"]"},
                                             {"mean", "[0.1, -0.0, 1e-05]"}};

/* The file of these tensors, in the order of `order`. */
static struct bytes write_tensors(const unsigned order[N_TENSORS])
{
    struct tensor moved[N_TENSORS];
    for (size_t i = 0; i < N_TENSORS; i++)
        moved[i] = tensors[order[i]];
    struct tensor_list list = {.tensors = moved, .n_tensors = N_TENSORS};
    const struct safetensors_metadata metadata = {.entries = entries, .n_entries = 2};
    struct arena arena;
    struct text header;
    struct format_error error;
    struct bytes file = {0};
    arena_init(&arena, ARENA_BYTES);
    const int status = safetensors_header(&list, &metadata, &arena, &header, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    if (status == 0)
        bytes_add(&file, header.at, header.length);
    for (size_t i = 0; i < N_TENSORS && status == 0; i++)
        bytes_add(&file, moved[i].data, safetensors_bytes(&moved[i]));
    arena_free(&arena);
    return file;
}

static const unsigned as_they_are[N_TENSORS] = {0, 1, 2, 3, 4, 5};

/* ---- what is read */

TEST(what_was_written_is_read)
{
    struct bytes bytes = write_tensors(as_they_are);
    struct arena arena;
    struct safetensors file;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    const int status = safetensors_read(&file, &arena, bytes.at, bytes.size, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    CHECK(safetensors_is(bytes.at, bytes.size));
    CHECK(status == 0 && file.list.n_tensors == N_TENSORS);
    for (size_t i = 0; status == 0 && i < N_TENSORS; i++) {
        const struct tensor *found = &file.list.tensors[i], *expected = &tensors[i];
        CHECK(text_equal(found->name, expected->name) && found->dtype == expected->dtype);
        CHECK(found->n_dims == expected->n_dims && found->n_elements == expected->n_elements);
        for (unsigned d = 0; d < found->n_dims; d++)
            CHECK(found->sizes[d] == expected->sizes[d] &&
                  found->strides[d] == expected->strides[d]);
        CHECK(memcmp(found->data, expected->data, safetensors_bytes(expected)) == 0);
        CHECK((size_t)(found->data - bytes.at) % tensor_element_size(found->dtype) == 0);
    }
    CHECK(status == 0 && (file.list.tensors[0].data - bytes.at) % SAFETENSORS_ALIGNMENT == 0);
    CHECK(status == 0 && safetensors_find(&file.metadata, "mean") &&
          strcmp(safetensors_find(&file.metadata, "mean"), entries[1].value) == 0);
    CHECK(status == 0 && safetensors_find(&file.metadata, "means") == NULL);
    arena_free(&arena);
    bytes_free(&bytes);
}

TEST(equal_contents_give_equal_bytes_in_any_order)
{
    static const unsigned orders[][N_TENSORS] = {{5, 4, 3, 2, 1, 0}, {2, 0, 5, 3, 1, 4}};
    struct bytes expected = write_tensors(as_they_are);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct bytes other = write_tensors(orders[i]);
        CHECK(other.size == expected.size && memcmp(other.at, expected.at, expected.size) == 0);
        bytes_free(&other);
    }
    bytes_free(&expected);
}

/* ---- damage of any kind */

TEST(a_cut_file_is_refused_at_every_length)
{
    struct bytes bytes = write_tensors(as_they_are);
    CHECK(every_cut_is_refused(read_as_safetensors, &bytes));
    bytes_free(&bytes);
}

TEST(any_flipped_byte_is_refused)
{
    static const uint8_t changes[] = {0x01, 0x02, 0x10, 0x20, 0x80, 0xFF};
    struct bytes bytes = write_tensors(as_they_are);
    for (size_t i = 0; i < bytes.size; i++)
        for (size_t k = 0; k < sizeof changes; k++) {
            bytes.at[i] ^= changes[k];
            CHECK_MSG(is_refused(read_as_safetensors, &bytes, NULL), "byte %zu ^ %#x", i,
                      changes[k]);
            bytes.at[i] ^= changes[k];
        }
    CHECK(is_read(read_as_safetensors, &bytes));
    bytes_free(&bytes);
}

TEST(bytes_behind_the_end_are_refused)
{
    struct bytes bytes = write_tensors(as_they_are);
    bytes_u8(&bytes, 0);
    CHECK(is_refused(read_as_safetensors, &bytes, "1 bytes behind the last tensor"));
    bytes_fill(&bytes, 0, 63);
    CHECK(is_refused(read_as_safetensors, &bytes, "64 bytes behind the last tensor"));
    bytes_free(&bytes);
}

TEST(running_out_of_memory_is_refused_in_one_line)
{
    struct bytes bytes = write_tensors(as_they_are);
    CHECK(running_out_of_memory_is_refused(read_as_safetensors, &bytes));
    bytes_free(&bytes);
}

TEST(a_length_that_no_header_has_is_refused)
{
    struct bytes bytes = write_tensors(as_they_are);
    const uint64_t length = get_u64(bytes.at);
    static const uint64_t longer[] = {UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 32,
                                      SAFETENSORS_HEADER_MAX + 1};
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        put_u64(bytes.at, longer[i]);
        CHECK(is_refused(read_as_safetensors, &bytes, "is longer than that of any"));
    }
    put_u64(bytes.at, bytes.size);
    CHECK(is_refused(read_as_safetensors, &bytes, "is cut"));
    put_u64(bytes.at, length - 1);
    CHECK(is_refused(read_as_safetensors, &bytes, "multiple of 64"));
    put_u64(bytes.at, 0);
    CHECK(is_refused(read_as_safetensors, &bytes, NULL));
    bytes_free(&bytes);
}

/* ---- headers that lie, with checksums that are right */

/* A file with this header, `*` standing for the header's checksum, and `n` bytes 0 of data. */
static struct bytes file_of(const char *json, size_t n)
{
    struct bytes header = {0}, file = {0};
    const char *star = strchr(json, '*');
    if (star) {
        bytes_add(&header, json, (size_t)(star - json));
        bytes_text(&header, "0000000000000000");
        bytes_text(&header, star + 1);
    } else {
        bytes_text(&header, json);
    }
    while ((header.size + LENGTH_BYTES) % SAFETENSORS_ALIGNMENT)
        bytes_u8(&header, ' ');
    if (star) {
        char digits[CHECKSUM_DIGITS + 1];
        checksum_print(checksum_of(header.at, header.size), digits);
        memcpy(header.at + (star - json), digits, CHECKSUM_DIGITS);
    }
    bytes_u64(&file, header.size);
    bytes_add(&file, header.at, header.size);
    bytes_fill(&file, 0, n);
    bytes_free(&header);
    return file;
}

static bool is_header_refused(const char *json, size_t n, const char *needle)
{
    struct bytes bytes = file_of(json, n);
    const bool good = is_refused(read_as_safetensors, &bytes, needle);
    bytes_free(&bytes);
    if (!good)
        fprintf(stderr, "    %.300s\n", json);
    return good;
}

#define FORMAT "{\"__metadata__\":{\"checksum\":\"*\",\"format\":\"dcnv2\",\"version\":\"1\""
#define ZEROS4 "fbec64ee526771fe" /* of 4 bytes 0; see the test below */
#define START  FORMAT ",\"checksum.a\":\"" ZEROS4 "\",\"checksum.b\":\"" ZEROS4 "\"}"

static const char good_a[] =
    START ",\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";

TEST(a_header_of_no_lies_is_read)
{
    char digits[CHECKSUM_DIGITS + 1];
    checksum_print(checksum_of("\0\0\0", 4), digits);
    CHECK_MSG(strcmp(digits, ZEROS4) == 0, "%s", digits);
    static const char *const good[] = {
        START "}",
        START ",\"a\":{\"data_offsets\":[0,4],\"dtype\":\"U8\",\"shape\":[2,2]}}  ",
    };
    for (size_t i = 0; i < 2; i++) {
        struct bytes bytes = file_of(good[i], i ? 4 : 0);
        CHECK(is_read(read_as_safetensors, &bytes));
        bytes_free(&bytes);
    }
}

TEST(tensors_that_lie_are_refused)
{
    static const struct {
        const char *tensor, *needle; /* the second one, of data of 8 bytes */
    } cases[] = {
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "before the end"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", "before the end"},
        {"{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[5,8]}", "behind the end"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}", "beyond the file"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,9007199254740991]}", "beyond"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,9007199254740992]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,1e300]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,1e999]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,8]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8.5]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\"4\",8]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8,8]}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{\"a\":4,\"b\":8}}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4}", "two whole"},
        {"{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,2]}", "its size"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,8]}", "its size"},
        {"{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,8]}", "its size"},
        {"{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":[2147483648,2147483649],\"data_offsets\":[4,8]}", "size"},
        {"{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"F32\",\"shape\":{\"x\":1},\"data_offsets\":[4,8]}", "shape"},
        {"{\"dtype\":\"U64\",\"shape\":[0],\"data_offsets\":[4,4]}", "multiple of its elements"},
        {"{\"dtype\":\"F128\",\"shape\":[1],\"data_offsets\":[4,8]}", "dtype"},
        {"{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[4,8]}", "dtype"},
        {"{\"dtype\":32,\"shape\":[1],\"data_offsets\":[4,8]}", "dtype"},
        {"{\"shape\":[1],\"data_offsets\":[4,8]}", "once each"},
        {"{\"dtype\":\"F32\",\"data_offsets\":[4,8]}", "once each"},
        {"{\"dtype\":\"F32\",\"shape\":[1]}", "once each"},
        {"{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}", "once each"},
        {"{\"Dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}", "once each"},
        {"[\"F32\",[1],[4,8]]", "once each"},
        {"null", "once each"},
        {"{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}", "behind the last tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        snprintf(json, sizeof json, "%s,\"b\":%s}", good_a, cases[i].tensor);
        CHECK(is_header_refused(json, 8, cases[i].needle));
    }
}

TEST(a_name_that_stands_twice_is_refused)
{
    char json[1024];
    snprintf(json, sizeof json,
             "%s,\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", good_a);
    CHECK(is_header_refused(json, 8, "tensor \"a\" stands twice"));
    snprintf(json, sizeof json,
             "%s,\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"
             "[4,8]}}",
             good_a);
    CHECK(is_header_refused(json, 8, "tensor \"a\" stands twice"));
    CHECK(is_header_refused(FORMAT ",\"x\":\"1\",\"x\":\"1\"}}", 0, "metadata \"x\" stands twice"));
    CHECK(is_header_refused(FORMAT ",\"version\":\"1\"}}", 0, "\"version\" stands twice"));
}

TEST(a_tensor_without_its_checksum_is_refused)
{
    char json[1024];
    snprintf(json, sizeof json, "%s}", good_a);
    struct bytes bytes = file_of(json, 4);
    CHECK(is_read(read_as_safetensors, &bytes));
    bytes.at[bytes.size - 1] = 1;
    CHECK(is_refused(read_as_safetensors, &bytes, "checksum of tensor \"a\" is wrong"));
    bytes_free(&bytes);
    CHECK(is_header_refused(START
                            ",\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                            4, "checksum of tensor \"c\" is wrong"));
}

TEST(other_safetensors_files_and_versions_are_refused_as_such)
{
    static const char other[] = "not one that dcnv2-convert wrote";
    CHECK(is_header_refused("{}", 0, other));
    CHECK(is_header_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
                            other));
    CHECK(is_header_refused("{\"__metadata__\":{\"format\":\"pt\"}}", 0, other));
    CHECK(is_header_refused("{\"__metadata__\":{\"format\":\"dcnv2\"}}", 0, other));
    CHECK(is_header_refused("{\"__metadata__\":\"dcnv2\"}", 0, other));
    CHECK(is_header_refused("[]", 0, other));
    CHECK(
        is_header_refused("{\"__metadata__\":{\"checksum\":\"*\",\"format\":\"dcnv2\",\"version\":"
                          "\"4\"}}",
                          0, "is of format version \"4\"; this program reads versions 1 to 3"));
    CHECK(
        is_header_refused("{\"__metadata__\":{\"checksum\":\"*\",\"format\":\"dcnv2\",\"version\":"
                          "\"\"}}",
                          0, "is of format version"));
    CHECK(is_header_refused("{\"__metadata__\":{\"format\":\"dcnv2\",\"version\":\"1\"}}", 0,
                            "does not start with its checksum"));
    CHECK(
        is_header_refused("{ \"__metadata__\":{\"checksum\":\"*\",\"format\":\"dcnv2\",\"version\":"
                          "\"1\"}}",
                          0, "does not start with its checksum"));
    CHECK(
        is_header_refused("{\"__metadata__\":{\"checksum\":\"0\",\"format\":\"dcnv2\",\"version\":"
                          "\"1\"}}",
                          0, "checksum of the header is wrong"));
    CHECK(is_header_refused(FORMAT ",\"x\":1}}", 0, "metadata \"x\" is not a text"));
    CHECK(is_header_refused(FORMAT ",\"x\":null}}", 0, "metadata \"x\" is not a text"));
}

TEST(headers_that_are_not_json_are_refused)
{
    static const char *const bad[] = {"",    "{",   "{\"",      "{]",     "{}}",   "{} {}",
                                      "{}x", "{,}", "{\"a\":}", "{\"a\"", "nulll", "{}\n\t"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(is_header_refused(bad[i], 0, "is not JSON"));
    CHECK(is_header_refused("{\"\xFF\":1}", 0, "is not UTF-8"));
    CHECK(is_header_refused("{\"\xED\xA0\x80\":1}", 0, "is not UTF-8"));
    struct bytes bytes = file_of("{}", 0);
    bytes.at[bytes.size - 1] = 0;
    CHECK(is_refused(read_as_safetensors, &bytes, "is not UTF-8"));
    bytes_free(&bytes);
}

TEST(deep_and_long_json_is_refused_in_time)
{
    enum { N = 1 << 20 };
    static const char *const repeated[] = {"[", "{\"a\":", "[0,", "{\"\":0,", "\"", "1"};
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++) {
        struct bytes json = {0};
        bytes_text(&json, "{\"a\":");
        while (json.size < N)
            bytes_text(&json, repeated[i]);
        bytes_u8(&json, 0);
        CHECK(is_header_refused((const char *)json.at, 0, NULL));
        bytes_free(&json);
    }
    struct bytes json = {0};
    bytes_text(&json, "{\"__metadata__\":{");
    for (int i = 0; i < 50000; i++) {
        char item[32];
        snprintf(item, sizeof item, "%s\"k%d\":\"\"", i ? "," : "", i);
        bytes_text(&json, item);
    }
    bytes_text(&json, "}}");
    bytes_u8(&json, 0);
    CHECK(is_header_refused((const char *)json.at, 0, "not one that dcnv2-convert wrote"));
    bytes_free(&json);
}

/* ---- metadata that are arrays */

TEST(arrays_of_texts_and_numbers_are_read_back)
{
    const struct safetensors_metadata metadata = {.entries = entries, .n_entries = 2};
    struct arena arena;
    struct format_error error;
    struct text *texts;
    double *numbers;
    uint32_t n;
    arena_init(&arena, ARENA_BYTES);
    CHECK(safetensors_texts(&metadata, "columns", &arena, &texts, &n, &error) == 0 && n == 2);
    CHECK(text_is(texts[0], "a") && text_is(texts[1], "\xC3\xA9\n"));
    const char *printed = safetensors_print_texts(&arena, texts, n);
    CHECK(printed && strcmp(printed, entries[0].value) == 0);
    CHECK(safetensors_numbers(&metadata, "mean", &arena, &numbers, &n, &error) == 0 && n == 3);
    CHECK(numbers[0] == 0.1 && numbers[1] == 0 && __builtin_signbit(numbers[1]) &&
          numbers[2] == 1e-05);
    static const struct text bad[] = {{"\xFF", 1}, {"a\0b", 3}, {"\xED\xA0\x80", 3}};
    for (size_t i = 0; i < 3; i++)
        CHECK(safetensors_print_texts(&arena, &bad[i], 1) == NULL);
    arena_free(&arena);
}

TEST(other_values_are_no_arrays)
{
    static const char *const bad[] = {"",        "[",         "[1],",   "{}",
                                      "1",       "[[1]]",     "[null]", "[1,\"a\"]",
                                      "[1e999]", "[\"a\",1]", "[nan]"};
    struct arena arena;
    struct format_error error;
    struct text *texts;
    double *numbers;
    uint32_t n;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct safetensors_entry entry = {"key", bad[i]};
        const struct safetensors_metadata metadata = {.entries = &entry, .n_entries = 1};
        CHECK(safetensors_texts(&metadata, "key", &arena, &texts, &n, &error) == -1);
        CHECK(safetensors_numbers(&metadata, "key", &arena, &numbers, &n, &error) == -1);
        CHECK(safetensors_texts(&metadata, "other", &arena, &texts, &n, &error) == -1);
        CHECK(is_one_line(&error));
    }
    arena_free(&arena);
}

int main(void)
{
    RUN(what_was_written_is_read);
    RUN(equal_contents_give_equal_bytes_in_any_order);
    RUN(a_cut_file_is_refused_at_every_length);
    RUN(any_flipped_byte_is_refused);
    RUN(bytes_behind_the_end_are_refused);
    RUN(running_out_of_memory_is_refused_in_one_line);
    RUN(a_length_that_no_header_has_is_refused);
    RUN(a_header_of_no_lies_is_read);
    RUN(tensors_that_lie_are_refused);
    RUN(a_name_that_stands_twice_is_refused);
    RUN(a_tensor_without_its_checksum_is_refused);
    RUN(other_safetensors_files_and_versions_are_refused_as_such);
    RUN(headers_that_are_not_json_are_refused);
    RUN(deep_and_long_json_is_refused_in_time);
    RUN(arrays_of_texts_and_numbers_are_read_back);
    RUN(other_values_are_no_arrays);
    return test_report();
}
