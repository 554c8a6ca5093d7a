/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zip_writer.h"

#include <stdlib.h>
#include <zlib.h>

#include "format/little_endian.h"
#include "format/zip_records.h"

/* A field of 32 bits whose value stands in a zip64 field; miniz makes it so from this value on. */
#define FIELD_FULL 0xFFFFFFFFu

enum {
    EXTRA_FILL = 'F' | 'B' << 8,
    EXTRA64_MAX = 4 + 3 * 8,
    VERSION_PLAIN = 10,
    VERSION_64 = 45,
    DATE_1980 = 1 << 5 | 1, /* the first of January: equal contents, equal bytes */
    CHUNK_BYTES = 1 << 18   /* is still in cache when it is written after its checksum */
};

/* An entry as both of its headers tell of it. */
struct entry {
    struct text name;
    uint64_t size, header_offset;
    uint32_t crc32;
    uint16_t version, flags;
};

static bool is_full(uint64_t value)
{
    return value >= FIELD_FULL;
}

static uint64_t cut(uint64_t value)
{
    return is_full(value) ? FIELD_FULL : value;
}

/* The extra field of what 32 bits are too few for; nothing where there is no such value. */
static uint8_t *put_extra64(uint8_t *at, const struct entry *entry)
{
    const uint64_t n = (is_full(entry->size) ? 2 : 0) + (is_full(entry->header_offset) ? 1 : 0);
    if (n == 0)
        return at;
    at = put_le16(put_le16(at, ZIP_EXTRA_64), n * 8);
    if (is_full(entry->size))
        at = put_le64(put_le64(at, entry->size), entry->size);
    return is_full(entry->header_offset) ? put_le64(at, entry->header_offset) : at;
}

/* What both headers have in common, from the version on. */
static uint8_t *put_common(uint8_t *at, const struct entry *entry, uint32_t crc32, uint64_t size,
                           uint64_t extra_length)
{
    at = put_le16(put_le16(put_le16(at, entry->version), entry->flags), 0);
    at = put_le32(put_le16(put_le16(at, 0), DATE_1980), crc32);
    at = put_le32(put_le32(at, size), size);
    return put_le16(put_le16(at, entry->name.length), extra_length);
}

static void put_local(struct zip_writer *writer, const struct entry *entry)
{
    uint8_t extra[EXTRA64_MAX + 4 + ZIP_WRITER_ALIGNMENT], header[ZIP_LOCAL_SIZE];
    uint8_t *at = put_extra64(extra, entry);
    const uint64_t start =
        entry->header_offset + ZIP_LOCAL_SIZE + entry->name.length + (uint64_t)(at - extra) + 4;
    const size_t fill = (size_t)(-start % ZIP_WRITER_ALIGNMENT);
    at = put_le16(put_le16(at, EXTRA_FILL), fill);
    memset(at, 'Z', fill);
    const size_t extra_length = (size_t)(at - extra) + fill;
    put_common(put_le32(header, ZIP_LOCAL_SIGNATURE), entry, 0, 0, extra_length);
    output_put(&writer->output, header, sizeof header);
    output_put(&writer->output, entry->name.at, entry->name.length);
    output_put(&writer->output, extra, extra_length);
}

static uint32_t put_data(struct zip_writer *writer, const uint8_t *data, uint64_t size)
{
    uLong crc = crc32_z(0, NULL, 0);
    while (size) {
        const size_t n = size < CHUNK_BYTES ? (size_t)size : CHUNK_BYTES;
        crc = crc32_z(crc, data, n);
        output_put(&writer->output, data, n);
        data += n;
        size -= n;
    }
    return (uint32_t)crc;
}

static void put_descriptor(struct zip_writer *writer, const struct entry *entry)
{
    uint8_t bytes[24];
    uint8_t *at = put_le32(put_le32(bytes, ZIP_DESCRIPTOR_SIGNATURE), entry->crc32);
    if (is_full(entry->size) || is_full(entry->header_offset))
        at = put_le64(put_le64(at, entry->size), entry->size);
    else
        at = put_le32(put_le32(at, entry->size), entry->size);
    output_put(&writer->output, bytes, (size_t)(at - bytes));
}

/* Room for `size` more bytes of the directory; NULL: out of memory, which is remembered. */
static uint8_t *directory_room(struct zip_writer *writer, size_t size)
{
    if (writer->directory_capacity - writer->directory_size < size) {
        const size_t capacity = 2 * (writer->directory_size + size);
        uint8_t *grown = realloc(writer->directory, capacity);
        if (grown == NULL) {
            writer->is_out_of_memory = true;
            return NULL;
        }
        writer->directory = grown;
        writer->directory_capacity = capacity;
    }
    writer->directory_size += size;
    return writer->directory + writer->directory_size - size;
}

static void add_central(struct zip_writer *writer, const struct entry *entry)
{
    uint8_t extra[EXTRA64_MAX];
    const size_t extra_length = (size_t)(put_extra64(extra, entry) - extra);
    uint8_t *at = directory_room(writer, ZIP_CENTRAL_SIZE + entry->name.length + extra_length);
    if (at == NULL)
        return;
    at = put_le16(put_le32(at, ZIP_CENTRAL_SIGNATURE), 0);
    at = put_common(at, entry, entry->crc32, cut(entry->size), extra_length);
    at = put_le32(put_le16(put_le16(put_le16(at, 0), 0), 0), 0); /* comment, disk, attributes */
    at = put_le32(at, cut(entry->header_offset));
    memcpy(at, entry->name.at, entry->name.length);
    memcpy(at + entry->name.length, extra, extra_length);
}

void zip_writer_start(struct zip_writer *writer, FILE *stream)
{
    *writer = (struct zip_writer){.output = {.stream = stream}};
}

void zip_writer_add(struct zip_writer *writer, struct text name, const void *data, uint64_t size)
{
    struct entry entry = {.name = name, .size = size, .header_offset = writer->output.offset};
    const bool is_wide = is_full(size) || is_full(entry.header_offset);
    entry.version = is_wide ? VERSION_64 : VERSION_PLAIN;
    entry.flags = ZIP_FLAG_UTF8 | (size ? ZIP_FLAG_DESCRIPTOR : 0);
    put_local(writer, &entry);
    entry.crc32 = put_data(writer, data, size);
    if (size)
        put_descriptor(writer, &entry);
    add_central(writer, &entry);
    writer->n_entries++;
}

/* The three records behind the directory. */
static void put_end(struct zip_writer *writer, uint64_t directory)
{
    uint8_t bytes[ZIP_END64_SIZE + ZIP_LOCATOR64_SIZE + ZIP_END_SIZE];
    const uint64_t end64 = writer->output.offset, n = writer->n_entries;
    const uint64_t short_n = n < 0xFFFF ? n : 0xFFFF;
    uint8_t *at = put_le64(put_le32(bytes, ZIP_END64_SIGNATURE), ZIP_END64_SIZE - 12);
    at = put_le16(put_le16(at, VERSION_64), VERSION_64);
    at = put_le64(put_le64(put_le32(put_le32(at, 0), 0), n), n);
    at = put_le64(put_le64(at, writer->directory_size), directory);
    at = put_le32(put_le32(at, ZIP_LOCATOR64_SIGNATURE), 0);
    at = put_le32(put_le64(at, end64), 1);
    at = put_le16(put_le16(put_le32(at, ZIP_END_SIGNATURE), 0), 0);
    at = put_le16(put_le16(at, short_n), short_n);
    at = put_le32(put_le32(at, cut(writer->directory_size)), cut(directory));
    put_le16(at, 0);
    output_put(&writer->output, bytes, sizeof bytes);
}

int zip_writer_end(struct zip_writer *writer, struct format_error *error)
{
    const uint64_t directory = writer->output.offset;
    output_put(&writer->output, writer->directory, writer->directory_size);
    put_end(writer, directory);
    free(writer->directory);
    writer->directory = NULL;
    if (writer->is_out_of_memory)
        return format_error_memory(error);
    return output_flush(&writer->output, error);
}
