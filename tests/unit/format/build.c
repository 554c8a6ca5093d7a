/* SPDX-License-Identifier: Apache-2.0 */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format/pickle.h"
#include "format/sklearn_file.h"
#include "format/torch_file.h"
#include "format/zip.h"
#include "text.h"

/* Enough for any file here; a reader that asks for more has believed a length it read. */
enum { ARENA_LIMIT_BYTES = 256 * 1024 * 1024 };

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

/* ---- bytes */

static void bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->size >= more)
        return;
    size_t capacity = bytes->capacity ? bytes->capacity : 256;
    while (capacity - bytes->size < more)
        capacity *= 2;
    bytes->at = realloc(bytes->at, capacity);
    if (bytes->at == NULL)
        die("tests", "out of memory");
    bytes->capacity = capacity;
}

void bytes_add(struct bytes *bytes, const void *at, size_t size)
{
    bytes_reserve(bytes, size);
    if (size)
        memcpy(bytes->at + bytes->size, at, size);
    bytes->size += size;
}

void bytes_fill(struct bytes *bytes, uint8_t value, size_t n)
{
    bytes_reserve(bytes, n);
    if (n)
        memset(bytes->at + bytes->size, value, n);
    bytes->size += n;
}

void bytes_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_u8(struct bytes *bytes, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    bytes_add(bytes, &byte, 1);
}

void bytes_u16(struct bytes *bytes, unsigned value)
{
    uint8_t out[2];
    put_u16(out, value);
    bytes_add(bytes, out, sizeof out);
}

void bytes_u32(struct bytes *bytes, uint32_t value)
{
    uint8_t out[4];
    put_u32(out, value);
    bytes_add(bytes, out, sizeof out);
}

void bytes_u64(struct bytes *bytes, uint64_t value)
{
    uint8_t out[8];
    put_u64(out, value);
    bytes_add(bytes, out, sizeof out);
}

void bytes_f64(struct bytes *bytes, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bytes_u64(bytes, bits);
}

void bytes_remove(struct bytes *bytes, size_t from, size_t n)
{
    memmove(bytes->at + from, bytes->at + from + n, bytes->size - from - n);
    bytes->size -= n;
}

void bytes_insert(struct bytes *bytes, size_t at, const void *what, size_t n)
{
    bytes_reserve(bytes, n);
    memmove(bytes->at + at + n, bytes->at + at, bytes->size - at);
    memcpy(bytes->at + at, what, n);
    bytes->size += n;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}

void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value & 0xFFFF);
    put_u16(at + 2, value >> 16);
}

void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

uint32_t get_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

struct bytes bytes_of_file(const char *path)
{
    struct bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path, "missing; run the tests from the repository's root");
    for (;;) {
        bytes_reserve(&bytes, 65536);
        size_t n = fread(bytes.at + bytes.size, 1, 65536, file);
        if (n == 0)
            break;
        bytes.size += n;
    }
    fclose(file);
    return bytes;
}

/* ---- asking a reader */

int read_as_zip(struct arena *arena, const uint8_t *bytes, size_t size, struct format_error *error)
{
    struct zip zip;
    return zip_open(&zip, arena, bytes, size, error);
}

int read_as_pickle(struct arena *arena, const uint8_t *bytes, size_t size,
                   struct format_error *error)
{
    struct pickle_value *value;
    return pickle_read(arena, bytes, size, &value, error);
}

int read_as_torch_file(struct arena *arena, const uint8_t *bytes, size_t size,
                       struct format_error *error)
{
    struct tensor_list file;
    return torch_file_read(&file, arena, bytes, size, NULL, error);
}

int read_as_sklearn_file(struct arena *arena, const uint8_t *bytes, size_t size,
                         struct format_error *error)
{
    struct sklearn_file file;
    return sklearn_file_read(&file, arena, bytes, size, error);
}

bool is_one_line(const struct format_error *error)
{
    const char *end = memchr(error->message, '\0', sizeof error->message);
    if (end == NULL || end == error->message)
        return false;
    size_t length = (size_t)(end - error->message);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)error->message[i];
        if (c < 0x20 || c == 0x7F)
            return false;
    }
    return text_utf8_valid_length(error->message, length) == length;
}

enum outcome { READ, REFUSED, MISBEHAVED };

/* With an arena of `limit_bytes` and a copy of the first `size` bytes. */
static enum outcome ask(format_reader *reader, const uint8_t *bytes, size_t size,
                        size_t limit_bytes, struct format_error *ret_error)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        die("tests", "out of memory");
    if (size)
        memcpy(copy, bytes, size);
    struct arena arena;
    arena_init(&arena, limit_bytes);
    memset(ret_error, '\n', sizeof *ret_error);
    int result = reader(&arena, copy, size, ret_error);
    arena_free(&arena);
    free(copy);
    if (result == 0)
        return READ;
    if (result == -1 && is_one_line(ret_error))
        return REFUSED;
    fprintf(stderr, "    returned %d with '%.*s'\n", result, (int)sizeof ret_error->message,
            ret_error->message);
    return MISBEHAVED;
}

bool is_refused(format_reader *reader, const struct bytes *bytes, const char *needle)
{
    struct format_error error;
    enum outcome outcome = ask(reader, bytes->at, bytes->size, ARENA_LIMIT_BYTES, &error);
    if (outcome == READ) {
        fprintf(stderr, "    was read\n");
        return false;
    }
    if (outcome == REFUSED && getenv("SHOW_REFUSALS"))
        fprintf(stderr, "    %s\n", error.message);
    if (outcome == REFUSED && needle && strstr(error.message, needle) == NULL) {
        fprintf(stderr, "    '%s' does not have '%s'\n", error.message, needle);
        return false;
    }
    return outcome == REFUSED;
}

bool is_read(format_reader *reader, const struct bytes *bytes)
{
    struct format_error error;
    enum outcome outcome = ask(reader, bytes->at, bytes->size, ARENA_LIMIT_BYTES, &error);
    if (outcome == REFUSED)
        fprintf(stderr, "    refused: %s\n", error.message);
    return outcome == READ;
}

bool is_survived(format_reader *reader, const struct bytes *bytes)
{
    struct format_error error;
    return ask(reader, bytes->at, bytes->size, ARENA_LIMIT_BYTES, &error) != MISBEHAVED;
}

bool every_cut_is_refused(format_reader *reader, const struct bytes *bytes)
{
    struct format_error error;
    for (size_t size = 0; size < bytes->size; size++) {
        if (ask(reader, bytes->at, size, ARENA_LIMIT_BYTES, &error) != REFUSED) {
            fprintf(stderr, "    cut to %zu of %zu bytes\n", size, bytes->size);
            return false;
        }
    }
    return true;
}

bool every_flip_is_survived(format_reader *reader, const struct bytes *bytes)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0xFF};
    struct format_error error;
    for (size_t i = 0; i < bytes->size; i++) {
        for (size_t k = 0; k < sizeof masks; k++) {
            bytes->at[i] ^= masks[k];
            enum outcome outcome = ask(reader, bytes->at, bytes->size, ARENA_LIMIT_BYTES, &error);
            bytes->at[i] ^= masks[k];
            if (outcome == MISBEHAVED) {
                fprintf(stderr, "    byte %zu with 0x%02x flipped\n", i, masks[k]);
                return false;
            }
        }
    }
    return true;
}

bool running_out_of_memory_is_refused(format_reader *reader, const struct bytes *bytes)
{
    struct format_error error;
    for (size_t limit = 0; limit < ARENA_LIMIT_BYTES; limit += 16) {
        enum outcome outcome = ask(reader, bytes->at, bytes->size, limit, &error);
        if (outcome == READ)
            return limit > 0;
        if (outcome == MISBEHAVED) {
            fprintf(stderr, "    with %zu bytes of memory\n", limit);
            return false;
        }
    }
    return false;
}

/* ---- zip */

void zip_image_start(struct zip_image *image, unsigned style)
{
    *image = (struct zip_image){.style = style};
}

void zip_image_add(struct zip_image *image, const char *name, const void *data, size_t size)
{
    zip_image_add_named(image, name, strlen(name), data, size);
}

/* Sizes as they stand in a header: in place, or as all ones with the true ones elsewhere. */
static uint32_t size_field(const struct zip_image *image, size_t size)
{
    return image->style & ZIP_ENTRIES64 ? UINT32_MAX : (uint32_t)size;
}

static unsigned flags_field(const struct zip_image *image)
{
    return 0x0800 | (image->style & ZIP_DESCRIPTORS ? 0x0008 : 0);
}

void zip_image_add_named(struct zip_image *image, const char *name, size_t name_length,
                         const void *data, size_t size)
{
    struct bytes *out = &image->bytes;
    if (image->n == ZIP_IMAGE_MAX)
        die("tests", "too many zip entries");
    struct zip_image_entry *entry = &image->entries[image->n++];
    bool later = image->style & ZIP_DESCRIPTORS;
    bool wide = (image->style & ZIP_ENTRIES64) && !later;
    entry->local = out->size;
    entry->crc = (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)size);
    entry->size = size;
    entry->name_length = name_length;

    bytes_u32(out, 0x04034b50);
    bytes_u16(out, 0);
    bytes_u16(out, flags_field(image));
    bytes_u16(out, 0); /* stored */
    bytes_u32(out, 0); /* time and date */
    bytes_u32(out, later ? 0 : entry->crc);
    bytes_u32(out, later ? 0 : size_field(image, size));
    bytes_u32(out, later ? 0 : size_field(image, size));
    bytes_u16(out, (unsigned)name_length);
    size_t extra_length_at = out->size;
    bytes_u16(out, 0);
    entry->name = out->size;
    bytes_add(out, name, name_length);
    size_t extra = out->size;
    if (wide) {
        bytes_u16(out, 0x0001);
        bytes_u16(out, 16);
        bytes_u64(out, size);
        bytes_u64(out, size);
    }
    if (image->style & ZIP_ALIGNED) {
        size_t padding = (64 - (out->size + 4) % 64) % 64;
        bytes_text(out, "FB");
        bytes_u16(out, (unsigned)padding);
        bytes_fill(out, 'Z', padding);
    }
    put_u16(out->at + extra_length_at, (unsigned)(out->size - extra));

    entry->data = out->size;
    bytes_add(out, data, size);
    if (later) {
        bytes_u32(out, 0x08074b50);
        bytes_u32(out, entry->crc);
        bytes_u32(out, (uint32_t)size);
        bytes_u32(out, (uint32_t)size);
    }
}

static void add_central(struct zip_image *image, struct zip_image_entry *entry)
{
    struct bytes *out = &image->bytes;
    bool wide = image->style & ZIP_ENTRIES64;
    entry->central = out->size;
    bytes_u32(out, 0x02014b50);
    bytes_u16(out, 0);
    bytes_u16(out, 0);
    bytes_u16(out, flags_field(image));
    bytes_u16(out, 0);
    bytes_u32(out, 0);
    bytes_u32(out, entry->crc);
    bytes_u32(out, size_field(image, entry->size));
    bytes_u32(out, size_field(image, entry->size));
    bytes_u16(out, (unsigned)entry->name_length);
    bytes_u16(out, wide ? 28 : 0);
    bytes_u16(out, 0); /* comment */
    bytes_u16(out, 0); /* disk */
    bytes_u16(out, 0);
    bytes_u32(out, 0);
    bytes_u32(out, size_field(image, entry->local));
    bytes_reserve(out, entry->name_length);
    bytes_add(out, out->at + entry->name, entry->name_length);
    if (wide) {
        bytes_u16(out, 0x0001);
        bytes_u16(out, 24);
        bytes_u64(out, entry->size);
        bytes_u64(out, entry->size);
        bytes_u64(out, entry->local);
    }
}

void zip_image_finish(struct zip_image *image)
{
    struct bytes *out = &image->bytes;
    image->directory = out->size;
    for (size_t i = 0; i < image->n; i++)
        add_central(image, &image->entries[i]);
    size_t directory_size = out->size - image->directory;
    if (image->style & ZIP_END64) {
        image->end64 = out->size;
        bytes_u32(out, 0x06064b50);
        bytes_u64(out, END64_BYTES - 12);
        bytes_u16(out, 0x031e);
        bytes_u16(out, 45);
        bytes_u32(out, 0);
        bytes_u32(out, 0);
        bytes_u64(out, image->n);
        bytes_u64(out, image->n);
        bytes_u64(out, directory_size);
        bytes_u64(out, image->directory);
        image->locator = out->size;
        bytes_u32(out, 0x07064b50);
        bytes_u32(out, 0);
        bytes_u64(out, image->end64);
        bytes_u32(out, 1);
    }
    image->end = out->size;
    bytes_u32(out, 0x06054b50);
    bytes_u16(out, 0);
    bytes_u16(out, 0);
    bytes_u16(out, (unsigned)image->n);
    bytes_u16(out, (unsigned)image->n);
    bytes_u32(out, (uint32_t)directory_size);
    bytes_u32(out, (uint32_t)image->directory);
    bytes_u16(out, 0);
}

void zip_image_free(struct zip_image *image)
{
    bytes_free(&image->bytes);
}
