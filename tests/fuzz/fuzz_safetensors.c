/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safetensors file: as another program's; and a converted one as it is, and with the checksum of
 * its header made right, so that this does not keep headers from being changed.
 */
#include "format/safetensors.h"

#include "format/build.h"
#include "format/checksum.h"
#include "fuzz.h"

enum { ARENA_BYTES = 16 << 20, LENGTH_BYTES = 8 };

static const char header_start[] = "{\"__metadata__\":{\"checksum\":\"";

static void check_metadata(const struct safetensors_metadata *metadata, struct arena *arena)
{
    struct format_error error;
    uint32_t n;
    for (size_t i = 0; i < metadata->n_entries; i++) {
        const char *key = metadata->entries[i].key;
        struct text *texts;
        double *numbers;
        REQUIRE(i == 0 || strcmp(metadata->entries[i - 1].key, key) < 0);
        REQUIRE(safetensors_find(metadata, key) == metadata->entries[i].value);
        if (safetensors_texts(metadata, key, arena, &texts, &n, &error) == 0)
            for (uint32_t k = 0; k < n; k++)
                fuzz_touch(texts[k].at, texts[k].length);
        if (safetensors_numbers(metadata, key, arena, &numbers, &n, &error) == 0)
            fuzz_touch(numbers, n * sizeof *numbers);
    }
}

static void read_file(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct safetensors file;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    if (safetensors_read(&file, &arena, bytes, size, &error) == 0) {
        for (size_t i = 0; i < file.list.n_tensors; i++) {
            const struct tensor *tensor = &file.list.tensors[i];
            REQUIRE((uintptr_t)tensor->data % tensor_element_size(tensor->dtype) == 0);
            fuzz_touch(tensor->data, safetensors_bytes(tensor));
        }
        check_metadata(&file.metadata, &arena);
    } else {
        REQUIRE(is_one_line(&error));
    }
    arena_free(&arena);
}

static void read_weights(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct tensor_list list;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    if (safetensors_read_weights(&list, &arena, bytes, size, &error) == 0)
        for (size_t i = 0; i < list.n_tensors; i++)
            fuzz_touch(list.tensors[i].data, safetensors_bytes(&list.tensors[i]));
    else
        REQUIRE(is_one_line(&error));
    arena_free(&arena);
}

/* false: there is no checksum to be made right. */
static bool mend_header(uint8_t *bytes, size_t size)
{
    char digits[CHECKSUM_DIGITS + 1];
    const size_t place = sizeof header_start - 1;
    if (size < LENGTH_BYTES + place + CHECKSUM_DIGITS)
        return false;
    const uint64_t header_size = get_u64(bytes);
    char *header = (char *)bytes + LENGTH_BYTES;
    if (header_size > size - LENGTH_BYTES || header_size < place + CHECKSUM_DIGITS ||
        memcmp(header, header_start, place) != 0)
        return false;
    memset(header + place, '0', CHECKSUM_DIGITS);
    checksum_print(checksum_of(header, header_size), digits);
    memcpy(header + place, digits, CHECKSUM_DIGITS);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *aligned;
    if (size == 0 || posix_memalign(&aligned, SAFETENSORS_ALIGNMENT, size) != 0)
        return 0;
    memcpy(aligned, data, size);
    read_weights(aligned, size);
    read_file(aligned, size);
    if (mend_header(aligned, size))
        read_file(aligned, size);
    free(aligned);
    return 0;
}
