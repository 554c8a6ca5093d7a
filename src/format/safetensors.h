/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors.h: the safetensors files that dcnv2-convert writes, read and written.
 *
 * A file is 8 bytes of header length, the header, and the tensors' data without holes:
 *
 *     {"__metadata__":{"checksum":"..","format":"dcnv2","version":"2",..},
 *      "embeddings.0.weight":{"dtype":"F32","shape":[3,8],"data_offsets":[0,96]},..}
 *
 * Any reader of safetensors opens it. More than that format asks for, and what is refused
 * where it does not hold:
 *   - data starts at a multiple of 64 bytes: the header is padded with spaces;
 *   - tensors stand in the order of their data: first those whose size is a multiple of 64
 *     bytes, then of 32, .., of 1, by name among equals; so each lies at a multiple of that
 *     number, and equal contents give equal bytes;
 *   - "checksum.NAME" of the metadata is the checksum (checksum.h) of that tensor's data, and
 *     "checksum", first in the header, that of the header with zeros as its own digits.
 */
#ifndef DCNV2_FORMAT_SAFETENSORS_H
#define DCNV2_FORMAT_SAFETENSORS_H

#include <stdbool.h>

#include "arena.h"
#include "format/format_error.h"
#include "format/tensor.h"

enum {
    SAFETENSORS_ALIGNMENT = 64,
    SAFETENSORS_HEADER_MAX = 4 << 20,
    SAFETENSORS_OLDEST = 1, /* versions that are read */
    SAFETENSORS_PLAIN = 2,  /* and is written, if older programs read the file right */
    SAFETENSORS_NEWEST = 3  /* and else */
};

struct safetensors_entry {
    const char *key, *value; /* NUL-terminated UTF-8 */
};

struct safetensors_metadata {
    struct safetensors_entry *entries; /* sorted by key, keys distinct */
    size_t n_entries;
    bool needs_newest; /* of what is written: some entry is not known to older programs */
};

struct safetensors {
    struct tensor_list list; /* in the order of their data, each aligned to its elements */
    struct safetensors_metadata metadata;
    int version;
};

/* Whether it starts as a safetensors file does: of any kind, perhaps a damaged one. */
bool safetensors_is(const uint8_t *bytes, size_t size);

/* Whether it says that dcnv2-convert wrote it. */
bool safetensors_is_converted(const uint8_t *bytes, size_t size);

/*
 * The tensors of a file that another program wrote, by the rules of safetensors alone: each lies
 * inside the file, at any place. -1: *error. As torch_file_read() leaves a list.
 */
int safetensors_read_weights(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                             size_t size, struct format_error *error);

/*
 * -1: *error. Descriptions are in the arena, tensors point into `bytes`, which start at a
 * multiple of SAFETENSORS_ALIGNMENT. Every byte of the file was found to be the one written.
 */
int safetensors_read(struct safetensors *file, struct arena *arena, const uint8_t *bytes,
                     size_t size, struct format_error *error);

/* Keys of the checksums of tensors start with it. */
#define SAFETENSORS_CHECKSUM "checksum."

/* The value of a key, or NULL. */
const char *safetensors_find(const struct safetensors_metadata *metadata, const char *key);

/* A value that is a JSON array of texts or of finite numbers. -1: it is missing, or another thing.
 */
int safetensors_texts(const struct safetensors_metadata *metadata, const char *key,
                      struct arena *arena, struct text **ret_texts, uint32_t *ret_n,
                      struct format_error *error);
int safetensors_numbers(const struct safetensors_metadata *metadata, const char *key,
                        struct arena *arena, double **ret_numbers, uint32_t *ret_n,
                        struct format_error *error);

/* The text of such an array. NULL: out of memory, or a text is not UTF-8 or has a NUL. */
const char *safetensors_print_texts(struct arena *arena, const struct text *texts, uint32_t n);

/*
 * Sorts the list as its data are to follow and makes what stands before them: length, header
 * and padding. Tensors are contiguous, their names UTF-8; `metadata` is what the caller has to
 * say beside checksum, format and version. -1: out of memory, or over SAFETENSORS_HEADER_MAX.
 */
int safetensors_header(struct tensor_list *list, const struct safetensors_metadata *metadata,
                       struct arena *arena, struct text *ret_header, struct format_error *error);

static inline size_t safetensors_bytes(const struct tensor *tensor)
{
    return tensor->n_elements * tensor_element_size(tensor->dtype);
}

#endif
