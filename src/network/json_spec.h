/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_spec.h: model.json, the description of a network that people and exporters write, to and
 * from a spec. docs/model-json.md is its reference, docs/model.schema.json its schema.
 */
#ifndef DCNV2_NETWORK_JSON_SPEC_H
#define DCNV2_NETWORK_JSON_SPEC_H

#include "network/spec.h"

enum {
    SPEC_JSON_VERSION = 1,
    SPEC_JSON_MAX_ITEMS = 4096, /* columns, lookups, values, parts of an input, inputs of a layer */
    SPEC_JSON_MAX_PARTS = 65536, /* of tensors, repetitions counted */
    SPEC_JSON_MAX_NAME = 255     /* bytes of a tensor's name */
};

/* The classes of a vocabulary, in the order of their positions, distinct. */
struct spec_vocabulary {
    struct text name;
    const struct text *classes; /* [n], or NULL: whoever holds the description holds them */
    uint32_t n;
    const uint32_t *rows; /* [n]; or NULL: first_row and those behind */
    uint32_t first_row;
};

struct spec_vocabularies {
    struct spec_vocabulary *all; /* [n] */
    uint32_t n;
};

/* The files that a model.json names. */
struct spec_json_files {
    const char *folder; /* NULL: no file may be named */
    /* The classes of a column in a pickled encoder, into *ret, in the arena. -1: *error. NULL:
     * encoders may not be named. */
    int (*read_encoder)(void *context, const char *path, struct text column, struct arena *arena,
                        struct spec_vocabulary *ret, struct format_error *error);
    /* Told of the bytes of each file of classes that is read. -1: out of memory. NULL: nobody asks.
     */
    int (*note_file)(void *context, struct text bytes);
    void *context;
    struct text weights; /* set by the reader: the file of the tensors; empty: not told */
};

/*
 * Reads a model.json. Everything is in the arena, no more than a multiple of the text's size and of
 * the sizes of the files that the text names. -1: *error says where: "layers[2].weight: ..".
 */
int spec_json_read(struct network_spec *spec, struct spec_vocabularies *vocabularies,
                   struct arena *arena, struct text json, struct spec_json_files *files,
                   struct format_error *error);

/*
 * The text of a model.json that gives an equal spec, and vocabularies of which the number of
 * classes stands there alone. *ret is in the arena. -1: no memory.
 */
int spec_json_write(const struct network_spec *spec, const struct spec_vocabularies *vocabularies,
                    struct arena *arena, struct text *ret);

#endif
