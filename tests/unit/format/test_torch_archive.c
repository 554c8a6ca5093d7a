/* SPDX-License-Identifier: Apache-2.0 */
/* test_torch_archive.c: files that hold no state dict, and what an archive of one must hold. */
#include "format/torch_file.h"

#include <stdlib.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

#define GOLDEN "tests/golden/format/"

enum { STORED_BYTES = 96, N_STORED = 24 }; /* 24 floats */

static uint8_t stored[STORED_BYTES];

/* A tensor [2, 3] of the storage "0". */
static const struct tensor_spec good = {.name = "weight",
                                        .storage_type = "FloatStorage",
                                        .key = "0",
                                        .storage_elements = N_STORED,
                                        .n_dims = 2,
                                        .sizes = {2, 3},
                                        .strides = {3, 1}};

static bool pickle_is(bool (*verdict)(format_reader *, const struct bytes *), struct bytes *pickle)
{
    struct zip_image image;
    zip_image_torch(&image, pickle, stored, STORED_BYTES);
    bool result = verdict(read_as_torch_file, &image.bytes);
    zip_image_free(&image);
    bytes_free(pickle);
    return result;
}

/* The pickle in an archive; empties it. */
static bool pickle_refused(struct bytes *pickle, const char *needle)
{
    struct zip_image image;
    zip_image_torch(&image, pickle, stored, STORED_BYTES);
    bool result = is_refused(read_as_torch_file, &image.bytes, needle);
    zip_image_free(&image);
    bytes_free(pickle);
    return result;
}

static bool tensor_refused(struct tensor_spec tensor, const char *needle)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &tensor, 1);
    return pickle_refused(&pickle, needle);
}

static bool tensor_read(struct tensor_spec tensor)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &tensor, 1);
    return pickle_is(is_read, &pickle);
}

static bool file_refused(const char *name, const char *needle)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.pth", name);
    struct bytes bytes = bytes_of_file(path);
    bool result = is_refused(read_as_torch_file, &bytes, needle);
    if (!result)
        fprintf(stderr, "    %s\n", path);
    bytes_free(&bytes);
    return result;
}

static bool text_refused(const void *at, size_t size)
{
    struct bytes bytes = {0};
    bytes_add(&bytes, at, size);
    bool result = is_refused(read_as_torch_file, &bytes, "not a PyTorch zip file");
    bytes_free(&bytes);
    return result;
}

/* ---- other files */

TEST(files_that_are_no_zip_are_refused_saying_so)
{
    CHECK(text_refused("", 0));
    CHECK(text_refused("\x80\x02.", 3));
    static const char html[] =
        "<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n";
    CHECK(text_refused(html, sizeof html - 1));
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:0000000000000000000000000000000000000000\nsize 1\n";
    CHECK(text_refused(pointer, sizeof pointer - 1));
    static const char safetensors[] = "\x40\0\0\0\0\0\0\0{\"weight\":{\"dtype\":\"F32\",\"shape\":"
                                      "[1],\"data_offsets\":[0,4]}}      \0\0\0\0";
    CHECK(text_refused(safetensors, sizeof safetensors - 1));
    static const uint8_t zeros[10240]; /* an empty tar archive */
    CHECK(text_refused(zeros, sizeof zeros));
    struct bytes pickle = bytes_of_file(GOLDEN "encoder_p4.pkl");
    CHECK(text_refused(pickle.at, pickle.size));
    bytes_free(&pickle);
}

TEST(a_torchscript_file_is_refused)
{
    CHECK(file_refused("refused_torchscript", NULL));
    struct bytes pickle = {0}; /* one whose code is stored */
    pickle_proto(&pickle, 2);
    pickle_global(&pickle, "__torch__", "Model");
    pickle_op(&pickle, OP_EMPTY_TUPLE);
    pickle_op(&pickle, OP_NEWOBJ);
    pickle_op(&pickle, OP_STOP);
    CHECK(pickle_refused(&pickle, "__torch__.Model"));
}

TEST(a_zip_of_other_things_is_refused)
{
    struct zip_image image;
    zip_image_start(&image, ZIP_SIMPLE);
    zip_image_add(&image, "readme.txt", "hello", 5);
    zip_image_add(&image, "m/data/0", stored, STORED_BYTES);
    zip_image_finish(&image);
    CHECK(is_refused(read_as_torch_file, &image.bytes, "data.pkl"));
    zip_image_free(&image);
    zip_image_start(&image, ZIP_SIMPLE); /* without any entry */
    zip_image_finish(&image);
    CHECK(is_refused(read_as_torch_file, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(two_state_dicts_in_one_file_are_refused)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &good, 1);
    struct zip_image image;
    zip_image_start(&image, ZIP_TORCH);
    zip_image_add(&image, "a/data.pkl", pickle.at, pickle.size);
    zip_image_add(&image, "a/data/0", stored, STORED_BYTES);
    zip_image_add(&image, "b/data.pkl", pickle.at, pickle.size);
    zip_image_add(&image, "b/data/0", stored, STORED_BYTES);
    zip_image_finish(&image);
    CHECK(is_refused(read_as_torch_file, &image.bytes, "data.pkl"));
    zip_image_free(&image);
    bytes_free(&pickle);
}

TEST(values_that_are_no_state_dict_are_refused_saying_what_they_are)
{
    CHECK(file_refused("refused_list", "list"));
    CHECK(file_refused("refused_tensor", NULL));
    CHECK(file_refused("refused_number_key", NULL));
    CHECK(file_refused("refused_module", "torch.nn.modules.activation.ReLU"));
    struct bytes pickle = bytes_of_file(GOLDEN "encoder_p4.pkl");
    CHECK(pickle_refused(&pickle, NULL));
    pickle = bytes_of_file(GOLDEN "refused_os_system_p2.pkl");
    CHECK(pickle_refused(&pickle, "os.system"));
}

TEST(tensors_of_other_types_are_refused_naming_them)
{
    CHECK(file_refused("refused_five_dims", "deep"));
    CHECK(file_refused("refused_complex", "torch.ComplexFloatStorage"));
    CHECK(file_refused("refused_sparse", "torch._utils._rebuild_sparse_tensor"));
    CHECK(file_refused("refused_float8", "torch."));
}

/* ---- what an archive must and need not hold */

TEST(a_hand_made_state_dict_is_read)
{
    CHECK(tensor_read(good));
}

TEST(an_archive_of_an_older_torch_without_a_byte_order_is_read)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &good, 1);
    struct zip_image image;
    zip_image_start(&image, ZIP_TORCH);
    zip_image_add(&image, "archive/data.pkl", pickle.at, pickle.size);
    zip_image_add(&image, "archive/data/0", stored, STORED_BYTES);
    zip_image_add(&image, "archive/version", "3\n", 2);
    zip_image_finish(&image);
    CHECK(is_read(read_as_torch_file, &image.bytes));
    zip_image_free(&image);
    bytes_free(&pickle);
}

TEST(a_big_endian_file_is_refused)
{
    static const char *const orders[] = {"big", "", "little\n", "LITTLE", "middle"};
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &good, 1);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct zip_image image;
        zip_image_start(&image, ZIP_TORCH);
        zip_image_add(&image, "m/data.pkl", pickle.at, pickle.size);
        zip_image_add(&image, "m/byteorder", orders[i], strlen(orders[i]));
        zip_image_add(&image, "m/data/0", stored, STORED_BYTES);
        zip_image_finish(&image);
        CHECK_MSG(is_refused(read_as_torch_file, &image.bytes, "byte order"), "%s", orders[i]);
        zip_image_free(&image);
    }
    bytes_free(&pickle);
}

TEST(a_missing_storage_is_refused_naming_the_tensor)
{
    struct tensor_spec tensor = good;
    static const char *const keys[] = {"1", "", "00", "0/", "/0", "../data.pkl", "..", "\n", "%s"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        tensor.key = keys[i];
        CHECK_MSG(tensor_refused(tensor, "weight"), "key '%s'", keys[i]);
    }
    char *key = malloc(70001);
    memset(key, '0', 70000);
    key[70000] = '\0';
    tensor.key = key;
    CHECK(tensor_refused(tensor, "weight"));
    free(key);
}

TEST(a_storage_of_another_length_is_refused_naming_the_tensor)
{
    static const long long lengths[] = {
        0,
        1,
        N_STORED - 1,
        N_STORED + 1,
        1000,
        -1,
        INT64_MIN,
        INT64_MAX,
        (long long)1 << 62,
        ((long long)1 << 62) + N_STORED, /* times four, 96 in 64 bits */
        ((long long)1 << 32) + N_STORED,
    };
    struct tensor_spec tensor = good;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        tensor.storage_elements = lengths[i];
        CHECK_MSG(tensor_refused(tensor, "weight"), "%lld elements", lengths[i]);
    }
    tensor = good;
    tensor.storage_type = "DoubleStorage"; /* 24 of them are 192 bytes */
    CHECK(tensor_refused(tensor, "weight"));
    tensor.storage_type = "HalfStorage";
    CHECK(tensor_refused(tensor, "weight"));
    tensor.storage_elements = 2 * N_STORED;
    CHECK(tensor_read(tensor));
    tensor.storage_type = "DoubleStorage";
    tensor.storage_elements = N_STORED / 2;
    CHECK(tensor_read(tensor));
}

TEST(a_model_trained_on_another_device_is_read)
{
    struct tensor_spec tensor = good;
    tensor.location = "cuda:0";
    CHECK(tensor_read(tensor));
}

TEST(damaged_contents_are_refused)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &good, 1);
    struct zip_image image;
    for (unsigned i = 0; i < 3; i++) { /* the pickle, the byte order, the storage */
        zip_image_torch(&image, &pickle, stored, STORED_BYTES);
        image.bytes.at[image.entries[i].data + image.entries[i].size / 2] ^= 1;
        CHECK(is_refused(read_as_torch_file, &image.bytes, NULL));
        zip_image_free(&image);
    }
    bytes_free(&pickle);
}

int main(void)
{
    RUN(files_that_are_no_zip_are_refused_saying_so);
    RUN(a_torchscript_file_is_refused);
    RUN(a_zip_of_other_things_is_refused);
    RUN(two_state_dicts_in_one_file_are_refused);
    RUN(values_that_are_no_state_dict_are_refused_saying_what_they_are);
    RUN(tensors_of_other_types_are_refused_naming_them);
    RUN(a_hand_made_state_dict_is_read);
    RUN(an_archive_of_an_older_torch_without_a_byte_order_is_read);
    RUN(a_big_endian_file_is_refused);
    RUN(a_missing_storage_is_refused_naming_the_tensor);
    RUN(a_storage_of_another_length_is_refused_naming_the_tensor);
    RUN(a_model_trained_on_another_device_is_read);
    RUN(damaged_contents_are_refused);
    return test_report();
}
