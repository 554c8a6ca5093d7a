/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zip.h: the zip archives that PyTorch writes (PKWARE APPNOTE 6.3.9), read only.
 *
 * Stored entries only. The archive must fill the file: nothing before the first
 * entry's header or behind the end record. Central and local headers must agree, entries
 * must not overlap, names must be plain and distinct. Zip64 is read, as PyTorch always
 * writes its end record. Points into the file's bytes.
 */
#ifndef DCNV2_FORMAT_ZIP_H
#define DCNV2_FORMAT_ZIP_H

#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "text.h"

struct zip_entry {
    struct text name;
    const uint8_t *data;
    uint64_t size;
    uint64_t header_offset;
    uint64_t end; /* offset behind its data and data descriptor */
    uint32_t crc32;
};

struct zip {
    const uint8_t *start;
    struct zip_entry *entries; /* sorted by name, in the arena */
    size_t n_entries;
};

/* -1: *error. Entry contents are not looked at. */
int zip_open(struct zip *zip, struct arena *arena, const uint8_t *bytes, size_t size,
             struct format_error *error);

/* NULL: no entry of that name. */
const struct zip_entry *zip_find(const struct zip *zip, struct text name);

/* -1: the entry's bytes do not have its CRC-32. */
int zip_check(const struct zip *zip, const struct zip_entry *entry, struct format_error *error);

#endif
