/* SPDX-License-Identifier: Apache-2.0 */
/* test_torch_checkpoint.c: what holds a state dict, or can be made one; lists of tensors. */
#include "format/torch_file.h"

#include "build.h"
#include "build_pickle.h"
#include "format/safetensors.h"
#include "test.h"

#define GOLDEN "tests/golden/format/"
#define FILES  "tests/golden/files/"

static struct arena arena;
static struct bytes bytes;
static struct tensor_list list;
static struct format_error error;

static void close_file(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

static bool open_file(const char *path, const struct torch_choice *choice)
{
    close_file();
    arena_init(&arena, 64 * 1024 * 1024);
    bytes = bytes_of_file(path);
    error.message[0] = '\0';
    const bool opened = torch_file_read(&list, &arena, bytes.at, bytes.size, choice, &error) == 0;
    if (!opened)
        fprintf(stderr, "    %s: %s\n", path, error.message);
    return opened;
}

static bool has_shape(const char *name, enum tensor_dtype dtype, const char *shape)
{
    const struct tensor *tensor = tensor_find(&list, name);
    char found[96];
    if (tensor == NULL)
        return false;
    tensor_print_shape(tensor, found, sizeof found);
    return tensor->dtype == dtype && strcmp(found, shape) == 0;
}

TEST(a_state_dict_among_other_things_is_read)
{
    CHECK(open_file(GOLDEN "nested.pth", NULL) && list.n_tensors == 2);
    CHECK(has_shape("weight", TENSOR_F32, "[2, 3]"));
    CHECK(open_file(GOLDEN "epoch.pth", NULL) && list.n_tensors == 2);
    CHECK(open_file(FILES "checkpoint/model_weights.pth", NULL) && list.n_tensors == 16);
    close_file();
}

TEST(a_legacy_file_is_read)
{
    CHECK(open_file(GOLDEN "legacy.pth", NULL) && list.n_tensors == 1);
    CHECK(has_shape("weight", TENSOR_F32, "[2, 3]"));
    close_file();
}

TEST(whole_numbers_are_tensors)
{
    CHECK(open_file(GOLDEN "int64.pth", NULL) && has_shape("steps", TENSOR_I64, "[2]"));
    CHECK(open_file(GOLDEN "bool.pth", NULL) && has_shape("mask", TENSOR_BOOL, "[2]"));
    close_file();
}

TEST(a_whole_model_is_read_as_its_state_dict_by_whoever_allows_it)
{
    const struct torch_choice whole = {.allow_whole_model = true};
    CHECK(open_file(FILES "whole_model/model_weights.pth", &whole) && list.n_tensors == 16);
    struct arena other_arena;
    arena_init(&other_arena, 64 * 1024 * 1024);
    struct bytes other = bytes_of_file(FILES "ok/model_weights.pth");
    struct tensor_list expected;
    CHECK(torch_file_read(&expected, &other_arena, other.at, other.size, NULL, &error) == 0);
    CHECK(expected.n_tensors == list.n_tensors);
    for (size_t i = 0; i < list.n_tensors && i < expected.n_tensors; i++) {
        const struct tensor *a = &list.tensors[i], *b = &expected.tensors[i];
        CHECK_MSG(text_equal(a->name, b->name) && a->n_elements == b->n_elements &&
                      memcmp(a->data, b->data, a->n_elements * sizeof(float)) == 0,
                  "tensor %zu", i);
    }
    arena_free(&other_arena);
    bytes_free(&other);
    close_file();
}

TEST(damaged_files_of_each_kind_are_refused_or_survived)
{
    static const char *const paths[] = {GOLDEN "legacy.pth", FILES "whole_model/model_weights.pth",
                                        FILES "checkpoint/model_weights.pth"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes content = bytes_of_file(paths[i]);
        CHECK(every_cut_is_refused(read_as_torch_file, &content));
        CHECK(every_flip_is_survived(read_as_torch_file, &content));
        bytes_free(&content);
    }
}

TEST(running_out_of_memory_refuses_a_legacy_file)
{
    struct bytes content = bytes_of_file(GOLDEN "legacy.pth");
    CHECK(running_out_of_memory_is_refused(read_as_torch_file, &content));
    bytes_free(&content);
}

/* ---- what leads back to itself, or is shared without end */

static const uint8_t stored[4];

static bool pickle_refused(struct bytes *pickle, const char *needle, bool whole)
{
    const struct torch_choice choice = {.allow_whole_model = whole};
    struct zip_image image;
    zip_image_torch(&image, pickle, stored, sizeof stored);
    arena_init(&arena, 64 * 1024 * 1024);
    const bool refused =
        torch_file_read(&list, &arena, image.bytes.at, image.bytes.size, &choice, &error) != 0 &&
        strstr(error.message, needle) != NULL;
    if (!refused)
        fprintf(stderr, "    %s\n", error.message);
    zip_image_free(&image);
    bytes_free(pickle);
    arena_free(&arena);
    return refused;
}

TEST(a_checkpoint_within_itself_is_refused)
{
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    bytes_add(&pickle, BYTES("}q\000X\001\0\0\0ah\000s."));
    CHECK(pickle_refused(&pickle, "holds no tensors", false));
}

/* Lists of two, each twice the one below it. */
TEST(shared_lists_are_looked_into_a_bounded_number_of_times)
{
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    bytes_add(&pickle, BYTES("("));
    for (unsigned i = 0; i < 4000; i++)
        bytes_add(&pickle, BYTES("]"));
    bytes_add(&pickle, BYTES("tq\000"));
    for (unsigned i = 0; i < 6; i++) { /* the one below lies in the memo */
        bytes_add(&pickle, BYTES("0("));
        for (unsigned k = 0; k < 200; k++)
            bytes_add(&pickle, BYTES("h\000"));
        bytes_add(&pickle, BYTES("tq\000"));
    }
    pickle_op(&pickle, OP_STOP);
    CHECK(pickle_refused(&pickle, "too many values", false));
}

TEST(modules_that_lead_back_to_themselves_are_refused)
{
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    bytes_add(&pickle, BYTES("cm\nNet\n)\x81q\000}(X\013\0\0\0_parameters}X\010\0\0\0_modules}("
                             "X\001\0\0\0ah\000X\001\0\0\0bh\000uub."));
    CHECK(pickle_refused(&pickle, "lead back to themselves", true));
}

/* ---- names */

static bool stripped(const char *const *names, size_t n, const char *anchor, const char *prefix,
                     const char *first)
{
    struct tensor tensors[8] = {0};
    struct tensor_list of = {tensors, n, NULL};
    for (size_t i = 0; i < n; i++)
        tensors[i].name = text_of(names[i]);
    const struct text taken = tensor_list_take_off_prefix(&of, anchor);
    return text_is(taken, prefix) && text_is(tensors[0].name, first);
}

#define STRIPPED(anchor, prefix, first, ...)                                                       \
    stripped((const char *const[]){__VA_ARGS__},                                                   \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), anchor, prefix, first)

TEST(a_prefix_is_taken_off_up_to_the_anchor)
{
    CHECK(STRIPPED("output.bias", "", "output.weight", "output.weight", "output.bias"));
    CHECK(STRIPPED("output.bias", "m.", "output.weight", "m.output.weight", "m.output.bias"));
    CHECK(STRIPPED("output.bias", "output.m.", "a", "output.m.a", "output.m.output.bias"));
    CHECK(STRIPPED("output.bias", "", "m.a", "m.a", "m.b"));
    CHECK(STRIPPED("output.bias", "", "a.output.bias", "a.output.bias", "b.output.weight"));
    CHECK(STRIPPED(NULL, "a.b.", "c", "a.b.c", "a.b.d.e"));
    CHECK(STRIPPED(NULL, "a.", "b", "a.b"));
    CHECK(STRIPPED(NULL, "", "a", "a", "a.b"));
    CHECK(STRIPPED(NULL, "", "ab.c", "ab.c", "ac.d"));
}

TEST(numbers_of_a_sequential_are_found_with_their_gaps)
{
    static const char *const names[] = {"dnn.10.weight", "dnn.0.bias", "dnn.3.weight",
                                        "dnn.0.weight",  "dnn.03.x",   "dnn.1234567.x",
                                        "dnn.x.y",       "dnn.7"};
    struct tensor tensors[8] = {0};
    const struct tensor_list of = {tensors, 8, NULL};
    const size_t *numbers;
    size_t n;
    for (size_t i = 0; i < 8; i++)
        tensors[i].name = text_of(names[i]);
    arena_init(&arena, 4096);
    CHECK(tensor_list_numbers(&of, "dnn.", &arena, &numbers, &n) == 0);
    CHECK(n == 3 && numbers[0] == 0 && numbers[1] == 3 && numbers[2] == 10);
    arena_free(&arena);
}

/* ---- safetensors of others */

static bool weights_read(const void *header, size_t size, const char *needle)
{
    struct bytes content = {0};
    bytes_u64(&content, size);
    bytes_add(&content, header, size);
    bytes_fill(&content, 0, 12);
    arena_init(&arena, 1 << 20);
    const int status = safetensors_read_weights(&list, &arena, content.at, content.size, &error);
    const bool good = needle ? status != 0 && strstr(error.message, needle) : status == 0;
    if (!good)
        fprintf(stderr, "    %s\n", status ? error.message : "was read");
    bytes_free(&content);
    arena_free(&arena);
    return good;
}

#define WEIGHTS(header, needle) weights_read(header, sizeof(header) - 1, needle)
#define ENTRY(name, dtype, shape, place)                                                           \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" place "}"

TEST(safetensors_of_others_are_read_by_the_formats_rules_alone)
{
    CHECK(WEIGHTS("{" ENTRY("b", "F32", "[2]", "[4,12]") "," ENTRY("a", "I8", "[3]", "[1,4]") "}",
                  NULL));
    CHECK(WEIGHTS("{" ENTRY("b", "F32", "[3]", "[4,16]") "}", "reaches beyond the file"));
    CHECK(WEIGHTS("{" ENTRY("b", "F32", "[3]", "[0,8]") "}", "its size is not"));
    CHECK(WEIGHTS("{" ENTRY("b", "F8_E4M3", "[4]", "[0,4]") "}", "of a dtype"));
    CHECK(WEIGHTS("{" ENTRY("b", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[4,8]") "}",
                  "stands twice"));
    CHECK(WEIGHTS("[]", "is not a JSON object"));
    struct bytes content = bytes_of_file(FILES "safetensors/model_weights.pth");
    arena_init(&arena, 1 << 20);
    CHECK(!safetensors_is_converted(content.at, content.size));
    CHECK(safetensors_read_weights(&list, &arena, content.at, content.size, &error) == 0 &&
          list.n_tensors == 16);
    bytes_free(&content);
    arena_free(&arena);
}

int main(void)
{
    RUN(a_state_dict_among_other_things_is_read);
    RUN(a_legacy_file_is_read);
    RUN(whole_numbers_are_tensors);
    RUN(a_whole_model_is_read_as_its_state_dict_by_whoever_allows_it);
    RUN(damaged_files_of_each_kind_are_refused_or_survived);
    RUN(running_out_of_memory_refuses_a_legacy_file);
    RUN(a_checkpoint_within_itself_is_refused);
    RUN(shared_lists_are_looked_into_a_bounded_number_of_times);
    RUN(modules_that_lead_back_to_themselves_are_refused);
    RUN(a_prefix_is_taken_off_up_to_the_anchor);
    RUN(numbers_of_a_sequential_are_found_with_their_gaps);
    RUN(safetensors_of_others_are_read_by_the_formats_rules_alone);
    return test_report();
}
