/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of weights. What starts neither as a zip archive nor as a legacy file does is taken for
 * the pickle in an archive, so that the checksums of archives do not keep the pickles from being
 * changed.
 */
#include "format/torch_file.h"

#include "format/build.h"
#include "fuzz.h"

enum { ARENA_BYTES = 16 << 20, COPIED_ELEMENTS = 1 << 16 };

static void check_tensors(const struct tensor_list *list)
{
    for (size_t i = 0; i < list->n_tensors; i++) {
        const struct tensor *tensor = &list->tensors[i];
        REQUIRE(tensor->n_dims <= TENSOR_MAX_DIMS && tensor->dtype < TENSOR_N_DTYPES);
        fuzz_touch(tensor->name.at, tensor->name.length);
        if (tensor->n_elements == 0 || tensor->n_elements > COPIED_ELEMENTS)
            continue;
        float *copy = malloc(tensor->n_elements * sizeof *copy);
        if (copy)
            tensor_copy_f32(tensor, copy);
        free(copy);
    }
}

static void read_as(const struct torch_choice *choice, const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct tensor_list list;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    if (torch_file_read(&list, &arena, bytes, size, choice, &error) == 0) {
        tensor_list_take_off_prefix(&list, NULL);
        check_tensors(&list);
    } else {
        REQUIRE(is_one_line(&error));
    }
    arena_free(&arena);
}

static void read_file(const uint8_t *bytes, size_t size)
{
    static const struct torch_choice whole = {.allow_whole_model = true}, keyed = {.key = "model"};
    read_as(NULL, bytes, size);
    read_as(&whole, bytes, size);
    read_as(&keyed, bytes, size);
}

static void read_in_archive(const uint8_t *pickle, size_t size)
{
    static const char storage[256];
    struct zip_image image;
    zip_image_start(&image, ZIP_SIMPLE);
    zip_image_add(&image, "m/data.pkl", pickle, size);
    zip_image_add(&image, "m/byteorder", "little", 6);
    zip_image_add(&image, "m/data/0", storage, sizeof storage);
    zip_image_add(&image, "m/data/1", storage, 4);
    zip_image_add(&image, "m/version", "3\n", 2);
    zip_image_finish(&image);
    uint8_t *exact = malloc(image.bytes.size);
    if (exact) {
        memcpy(exact, image.bytes.at, image.bytes.size);
        read_file(exact, image.bytes.size);
    }
    free(exact);
    zip_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (torch_file_is(data, size))
        read_file(data, size);
    else
        read_in_archive(data, size);
    return 0;
}
