/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "format/little_endian.h"
#include "format/zip_records.h"

enum { COMMENT_MAX = 65535, VERSION_MAX = 63 /* 6.3, in tenths */ };

struct directory {
    uint64_t offset;
    uint64_t size;
    uint64_t n_entries;
    uint64_t end; /* where the directory must end: the first end record */
};

static int out_of_memory(struct format_error *error)
{
    return format_error_memory(error);
}

/* Replaces what the end record has no room for by what the zip64 end record says. */
static int read_end64(const uint8_t *bytes, size_t end, struct directory *directory,
                      struct format_error *error)
{
    const size_t locator = end - ZIP_LOCATOR64_SIZE;
    const uint64_t at = le64(bytes + locator + 8);
    if (le32(bytes + locator + 4) != 0 || le32(bytes + locator + 16) > 1)
        return format_error_set(error, (long long)locator, "zip archive in several parts");
    if (locator < ZIP_END64_SIZE || at > locator - ZIP_END64_SIZE ||
        le32(bytes + at) != ZIP_END64_SIGNATURE || le64(bytes + at + 4) != locator - at - 12)
        return format_error_set(error, (long long)locator, "bad zip64 end record");
    if (le32(bytes + at + 16) != 0 || le32(bytes + at + 20) != 0 ||
        le64(bytes + at + 24) != le64(bytes + at + 32))
        return format_error_set(error, (long long)at, "zip archive in several parts");
    const struct directory wide = {.n_entries = le64(bytes + at + 32),
                                   .size = le64(bytes + at + 40),
                                   .offset = le64(bytes + at + 48),
                                   .end = at};
    /* Where the short fields are not full they must say the same. */
    if ((directory->n_entries != 0xFFFF && directory->n_entries != wide.n_entries) ||
        (directory->size != 0xFFFFFFFF && directory->size != wide.size) ||
        (directory->offset != 0xFFFFFFFF && directory->offset != wide.offset))
        return format_error_set(error, (long long)at, "the two zip end records differ");
    *directory = wide;
    return 0;
}

/* The end record is the last one whose comment reaches exactly to the end of the file. */
static int find_directory(const uint8_t *bytes, size_t size, struct directory *ret_directory,
                          struct format_error *error)
{
    if (size < ZIP_END_SIZE)
        return format_error_set(error, FORMAT_NO_OFFSET, "is not a PyTorch zip file: too short");
    size_t lowest = size - ZIP_END_SIZE > COMMENT_MAX ? size - ZIP_END_SIZE - COMMENT_MAX : 0;
    size_t end = size - ZIP_END_SIZE;
    for (;; end--) {
        if (le32(bytes + end) == ZIP_END_SIGNATURE &&
            le16(bytes + end + 20) == size - ZIP_END_SIZE - end)
            break;
        if (end == lowest)
            return format_error_set(
                error, FORMAT_NO_OFFSET,
                "is not a PyTorch zip file, or is cut: it has no zip end record");
    }
    struct directory directory = {.n_entries = le16(bytes + end + 10),
                                  .size = le32(bytes + end + 12),
                                  .offset = le32(bytes + end + 16),
                                  .end = end};
    if (le16(bytes + end + 4) != 0 || le16(bytes + end + 6) != 0 ||
        le16(bytes + end + 8) != directory.n_entries)
        return format_error_set(error, (long long)end, "zip archive in several parts");
    if (end >= ZIP_LOCATOR64_SIZE &&
        le32(bytes + end - ZIP_LOCATOR64_SIZE) == ZIP_LOCATOR64_SIGNATURE &&
        read_end64(bytes, end, &directory, error) != 0)
        return -1;
    if (directory.offset > directory.end || directory.size != directory.end - directory.offset)
        return format_error_set(error, (long long)end,
                                "zip directory does not end where the end record starts");
    if (directory.n_entries > directory.size / ZIP_CENTRAL_SIZE)
        return format_error_set(error, (long long)end,
                                "zip directory is too small for its entries");
    *ret_directory = directory;
    return 0;
}

/* A name that is one relative path: no NUL, no backslash, no absolute, empty or ".." parts. */
static bool name_is_plain(struct text name)
{
    if (name.length == 0 || memchr(name.at, '\0', name.length) ||
        memchr(name.at, '\\', name.length))
        return false;
    const char *at = name.at, *end = name.at + name.length;
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const size_t part = (size_t)((slash ? slash : end) - at);
        if (part == 0 || (part == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += part + 1;
    }
    return name.at[name.length - 1] != '/';
}

/* Finds the zip64 values that stand in for full 32-bit fields, in the order APPNOTE 4.5.3 gives. */
static bool read_extra64(const uint8_t *extra, size_t length, uint64_t *fields[3])
{
    while (length >= 4) {
        const size_t size = le16(extra + 2);
        if (size > length - 4)
            return false;
        if (le16(extra) == ZIP_EXTRA_64) {
            const uint8_t *at = extra + 4;
            size_t left = size;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != 0xFFFFFFFF)
                    continue;
                if (left < 8)
                    return false;
                *fields[i] = le64(at);
                at += 8;
                left -= 8;
            }
            return true;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return true;
}

/* The sizes behind the data, 4 bytes wide each or 8, with a signature as PyTorch writes it. */
static int check_descriptor(const uint8_t *bytes, uint64_t limit, struct zip_entry *entry,
                            struct format_error *error)
{
    const uint8_t *at = bytes + entry->end;
    const uint64_t left = limit - entry->end;
    const bool starts_well =
        left >= 16 && le32(at) == ZIP_DESCRIPTOR_SIGNATURE && le32(at + 4) == entry->crc32;
    if (starts_well && le32(at + 8) == entry->size && le32(at + 12) == entry->size)
        entry->end += 16;
    else if (starts_well && left >= 24 && le64(at + 8) == entry->size &&
             le64(at + 16) == entry->size)
        entry->end += 24;
    else
        return format_error_set(error, (long long)entry->end,
                                "the data descriptor of zip entry \"%.*s\" differs",
                                TEXT_SHOWN(entry->name));
    return 0;
}

/* The local header must say what the central one says. Sets the entry's data and end. */
static int check_local(const uint8_t *bytes, uint64_t limit, const uint8_t *central,
                       struct zip_entry *entry, struct format_error *error)
{
    const uint64_t at = entry->header_offset;
    const long long where = (long long)at;
    if (at > limit || limit - at < ZIP_LOCAL_SIZE || le32(bytes + at) != ZIP_LOCAL_SIGNATURE)
        return format_error_set(error, where, "bad local zip header");
    const uint8_t *local = bytes + at;
    const uint64_t data = at + ZIP_LOCAL_SIZE + le16(local + 26) + le16(local + 28);
    if (data > limit || entry->size > limit - data)
        return format_error_set(error, where, "zip entry \"%.*s\" runs into the directory",
                                TEXT_SHOWN(entry->name));
    const struct text name = {(const char *)local + ZIP_LOCAL_SIZE, le16(local + 26)};
    const bool later = le16(local + 6) & ZIP_FLAG_DESCRIPTOR;
    uint64_t sizes[3] = {le32(local + 22), le32(local + 18), 0};
    uint64_t *fields[3] = {&sizes[0], &sizes[1], &sizes[2]};
    const bool extra_ok =
        read_extra64(local + ZIP_LOCAL_SIZE + name.length, le16(local + 28), fields);
    const bool sizes_ok =
        (sizes[0] == entry->size && sizes[1] == entry->size && le32(local + 14) == entry->crc32) ||
        (later && sizes[0] == 0 && sizes[1] == 0 && le32(local + 14) == 0);
    if (!extra_ok || !sizes_ok || !text_equal(name, entry->name) ||
        le16(local + 4) != le16(central + 6) || le16(local + 6) != le16(central + 8) ||
        le16(local + 8) != le16(central + 10))
        return format_error_set(error, where, "the two zip headers of \"%.*s\" differ",
                                TEXT_SHOWN(entry->name));
    entry->data = bytes + data;
    entry->end = data + entry->size;
    return later ? check_descriptor(bytes, limit, entry, error) : 0;
}

/* One central header; returns its length, 0 on error. */
static uint64_t read_entry(const uint8_t *bytes, const struct directory *directory, uint64_t at,
                           struct zip_entry *entry, struct format_error *error)
{
    const long long where = (long long)at;
    if (directory->end - at < ZIP_CENTRAL_SIZE || le32(bytes + at) != ZIP_CENTRAL_SIGNATURE) {
        format_error_set(error, where, "bad zip directory entry");
        return 0;
    }
    const uint8_t *central = bytes + at;
    const unsigned flags = le16(central + 8), method = le16(central + 10);
    const uint64_t length =
        ZIP_CENTRAL_SIZE + (uint64_t)le16(central + 28) + le16(central + 30) + le16(central + 32);
    if (length > directory->end - at) {
        format_error_set(error, where, "bad zip directory entry");
        return 0;
    }
    entry->name = (struct text){(const char *)central + ZIP_CENTRAL_SIZE, le16(central + 28)};
    if (!name_is_plain(entry->name)) {
        format_error_set(error, where, "bad name of a zip entry");
        return 0;
    }
    if (flags & ~(unsigned)(ZIP_FLAG_DESCRIPTOR | ZIP_FLAG_UTF8)) {
        format_error_set(error, where, "zip entry \"%.*s\" %s", TEXT_SHOWN(entry->name),
                         flags & ZIP_FLAG_ENCRYPTED ? "is encrypted" : "has unknown flags");
        return 0;
    }
    if ((le16(central + 6) & 0xFF) > VERSION_MAX) {
        format_error_set(error, where, "zip entry \"%.*s\" needs a later version of zip",
                         TEXT_SHOWN(entry->name));
        return 0;
    }
    if (method != 0) {
        format_error_set(error, where,
                         "zip entry \"%.*s\" is compressed (method %u); PyTorch stores entries",
                         TEXT_SHOWN(entry->name), method);
        return 0;
    }
    uint64_t stored = le32(central + 20);
    entry->size = le32(central + 24);
    entry->header_offset = le32(central + 42);
    entry->crc32 = le32(central + 16);
    uint64_t *fields[3] = {&entry->size, &stored, &entry->header_offset};
    if (!read_extra64(central + ZIP_CENTRAL_SIZE + entry->name.length, le16(central + 30),
                      fields) ||
        stored != entry->size || le16(central + 34) != 0) {
        format_error_set(error, where, "bad sizes of zip entry \"%.*s\"", TEXT_SHOWN(entry->name));
        return 0;
    }
    return check_local(bytes, directory->offset, central, entry, error) == 0 ? length : 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct zip_entry *left = a, *right = b;
    return (left->header_offset > right->header_offset) -
           (left->header_offset < right->header_offset);
}

static int by_name(const void *a, const void *b)
{
    return text_compare(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

/* No two entries share a byte or a name; the first one starts the file. Leaves them sorted by name.
 */
static int check_entries(struct zip *zip, struct format_error *error)
{
    struct zip_entry *entries = zip->entries;
    qsort(entries, zip->n_entries, sizeof *entries, by_offset);
    for (size_t i = 0; i < zip->n_entries; i++) {
        const uint64_t start = entries[i].header_offset;
        const uint64_t before = i == 0 ? 0 : entries[i - 1].end;
        if (start < before || (i == 0 && start != 0))
            return format_error_set(error, (long long)start,
                                    i == 0 ? "there is something before the first zip entry"
                                           : "zip entries overlap");
    }
    qsort(entries, zip->n_entries, sizeof *entries, by_name);
    for (size_t i = 1; i < zip->n_entries; i++)
        if (text_equal(entries[i - 1].name, entries[i].name))
            return format_error_set(error, (long long)entries[i].header_offset,
                                    "zip entry \"%.*s\" stands twice", TEXT_SHOWN(entries[i].name));
    return 0;
}

int zip_open(struct zip *zip, struct arena *arena, const uint8_t *bytes, size_t size,
             struct format_error *error)
{
    struct directory directory = {0};
    if (find_directory(bytes, size, &directory, error) != 0)
        return -1;
    *zip = (struct zip){.start = bytes, .n_entries = (size_t)directory.n_entries};
    zip->entries = arena_calloc(arena, zip->n_entries + 1, sizeof *zip->entries);
    if (zip->entries == NULL)
        return out_of_memory(error);
    uint64_t at = directory.offset;
    for (size_t i = 0; i < zip->n_entries; i++) {
        const uint64_t length = read_entry(bytes, &directory, at, &zip->entries[i], error);
        if (length == 0)
            return -1;
        at += length;
    }
    if (at != directory.end)
        return format_error_set(error, (long long)at, "zip directory is longer than its entries");
    return check_entries(zip, error);
}

const struct zip_entry *zip_find(const struct zip *zip, struct text name)
{
    const struct zip_entry key = {.name = name};
    if (zip->n_entries == 0)
        return NULL;
    return bsearch(&key, zip->entries, zip->n_entries, sizeof key, by_name);
}

int zip_check(const struct zip *zip, const struct zip_entry *entry, struct format_error *error)
{
    if (entry->crc32 == 0) /* not computed: torch.serialization.set_crc32_options(False) */
        return 0;
    const uint32_t found = (uint32_t)crc32_z(0, entry->data, (z_size_t)entry->size);
    if (found != entry->crc32)
        return format_error_set(error, (long long)(entry->data - zip->start),
                                "checksum of zip entry \"%.*s\" is wrong: the file is damaged",
                                TEXT_SHOWN(entry->name));
    return 0;
}
