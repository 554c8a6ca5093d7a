/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h: zip archives put together byte by byte, good and bad ones, and how the tests
 * ask a reader about a file. build_pickle.h does the same for pickles.
 *
 * A bad file is a good one whose bytes a test has changed: the builders say where
 * everything lies. Readers get a copy of exactly the file's length, so that a sanitizer
 * sees the first byte read beyond it.
 */
#ifndef DCNV2_TESTS_FORMAT_BUILD_H
#define DCNV2_TESTS_FORMAT_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"

/* ---- bytes */

struct bytes {
    uint8_t *at;
    size_t size;
    size_t capacity;
};

void bytes_add(struct bytes *bytes, const void *at, size_t size);
void bytes_fill(struct bytes *bytes, uint8_t value, size_t n);
void bytes_text(struct bytes *bytes, const char *text);
void bytes_u8(struct bytes *bytes, unsigned value);
void bytes_u16(struct bytes *bytes, unsigned value); /* little-endian, as all below */
void bytes_u32(struct bytes *bytes, uint32_t value);
void bytes_u64(struct bytes *bytes, uint64_t value);
void bytes_f64(struct bytes *bytes, double value);
void bytes_remove(struct bytes *bytes, size_t from, size_t n);
void bytes_insert(struct bytes *bytes, size_t at, const void *what, size_t n);
void bytes_free(struct bytes *bytes);

void put_u16(uint8_t *at, unsigned value);
void put_u32(uint8_t *at, uint32_t value);
void put_u64(uint8_t *at, uint64_t value);
uint32_t get_u32(const uint8_t *at);
uint64_t get_u64(const uint8_t *at);

/* The whole of a file of the tests, a path from the repository's root. Ends the test if missing. */
struct bytes bytes_of_file(const char *path);

/* ---- asking a reader */

typedef int format_reader(struct arena *arena, const uint8_t *bytes, size_t size,
                          struct format_error *error);

int read_as_zip(struct arena *, const uint8_t *, size_t, struct format_error *);
int read_as_pickle(struct arena *, const uint8_t *, size_t, struct format_error *);
int read_as_torch_file(struct arena *, const uint8_t *, size_t, struct format_error *);
int read_as_sklearn_file(struct arena *, const uint8_t *, size_t, struct format_error *);

/* One line of printable, well-formed UTF-8, not empty and NUL-terminated. */
bool is_one_line(const struct format_error *error);

/* Refused with one line that has `needle` in it (NULL: any). Says what else happened. */
bool is_refused(format_reader *reader, const struct bytes *bytes, const char *needle);

/* Read; says why not. */
bool is_read(format_reader *reader, const struct bytes *bytes);

/* Neither is asked for, only that a refusal is one line. */
bool is_survived(format_reader *reader, const struct bytes *bytes);

/* Every prefix, the empty one too. */
bool every_cut_is_refused(format_reader *reader, const struct bytes *bytes);

/* Every byte set to each of a few other values: read or refused. */
bool every_flip_is_survived(format_reader *reader, const struct bytes *bytes);

/* With an arena of 0, 16, 32 .. bytes: refused with one line until it is enough. */
bool running_out_of_memory_is_refused(format_reader *reader, const struct bytes *bytes);

/* ---- zip */

enum { ZIP_IMAGE_MAX = 64 };

/* Offsets in a header, for patches. */
enum {
    LOCAL_VERSION = 4,
    LOCAL_FLAGS = 6,
    LOCAL_METHOD = 8,
    LOCAL_CRC = 14,
    LOCAL_PACKED = 18,
    LOCAL_SIZE = 22,
    LOCAL_NAME_LENGTH = 26,
    LOCAL_EXTRA_LENGTH = 28,
    LOCAL_NAME = 30,
    CENTRAL_VERSION = 6,
    CENTRAL_FLAGS = 8,
    CENTRAL_METHOD = 10,
    CENTRAL_CRC = 16,
    CENTRAL_PACKED = 20,
    CENTRAL_SIZE = 24,
    CENTRAL_NAME_LENGTH = 28,
    CENTRAL_EXTRA_LENGTH = 30,
    CENTRAL_COMMENT_LENGTH = 32,
    CENTRAL_DISK = 34,
    CENTRAL_OFFSET = 42,
    CENTRAL_NAME = 46,
    END_DISK = 4,
    END_DIRECTORY_DISK = 6,
    END_COUNT_HERE = 8,
    END_COUNT = 10,
    END_SIZE = 12,
    END_OFFSET = 16,
    END_COMMENT_LENGTH = 20,
    END_BYTES = 22,
    END64_SIZE_OF_RECORD = 4,
    END64_COUNT_HERE = 24,
    END64_COUNT = 32,
    END64_SIZE = 40,
    END64_OFFSET = 48,
    END64_BYTES = 56,
    LOCATOR_OFFSET = 8,
    LOCATOR_DISKS = 16,
    LOCATOR_BYTES = 20
};

enum zip_style {
    ZIP_SIMPLE = 0,
    ZIP_DESCRIPTORS = 1, /* flag bit 3: sizes and checksum behind the data, zeros before */
    ZIP_END64 = 2,       /* with the zip64 end record and its locator */
    ZIP_ALIGNED = 4,     /* data at multiples of 64, by an extra field "FB" */
    ZIP_ENTRIES64 = 8,   /* sizes and offsets in zip64 extra fields */
    ZIP_TORCH = ZIP_DESCRIPTORS | ZIP_END64 | ZIP_ALIGNED
};

struct zip_image {
    struct bytes bytes;
    unsigned style;
    size_t n;
    struct zip_image_entry {
        size_t local, data, central; /* where they start; `central` once finished */
        size_t name, name_length;    /* in the local header */
        uint32_t crc;
        size_t size;
    } entries[ZIP_IMAGE_MAX];
    size_t directory, end64, locator, end; /* once finished */
};

void zip_image_start(struct zip_image *image, unsigned style);
void zip_image_add(struct zip_image *image, const char *name, const void *data, size_t size);
void zip_image_add_named(struct zip_image *image, const char *name, size_t name_length,
                         const void *data, size_t size);
void zip_image_finish(struct zip_image *image);
void zip_image_free(struct zip_image *image);

#endif
