/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zip_writer.h: a zip archive as PyTorch's own writer (miniz) lays it out: zip.h the other way.
 *
 * Entries are stored. Data starts at multiples of 64 bytes: an extra field "FB" fills the local
 * header up. Checksum and sizes stand in a descriptor behind the data, so that each byte is
 * passed over once; an empty entry has none. Zip64 fields where 32 bits are too few, and its end
 * record always. torch.load(mmap=True) may compute where an entry is from this layout without
 * looking, so it is not free to change (torch/serialization.py, _get_offset()).
 */
#ifndef DCNV2_FORMAT_ZIP_WRITER_H
#define DCNV2_FORMAT_ZIP_WRITER_H

#include "format/output.h"
#include "text.h"

enum { ZIP_WRITER_ALIGNMENT = 64 };

struct zip_writer {
    struct output output;
    uint8_t *directory; /* central headers of the entries so far */
    size_t directory_size, directory_capacity;
    uint64_t n_entries;
    bool is_out_of_memory;
};

/* The archive starts where the stream stands. */
void zip_writer_start(struct zip_writer *writer, FILE *stream);

/* name: UTF-8, distinct, below 32 KiB. Errors show at the end. */
void zip_writer_add(struct zip_writer *writer, struct text name, const void *data, uint64_t size);

/* The directory. Due after every start. -1: *error; the stream is then half written. */
int zip_writer_end(struct zip_writer *writer, struct format_error *error);

#endif
