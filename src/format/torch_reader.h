/* SPDX-License-Identifier: Apache-2.0 */
/* torch_reader.h: the parts of torch_file.c: where storages lie, and which values are tensors. */
#ifndef DCNV2_FORMAT_TORCH_READER_H
#define DCNV2_FORMAT_TORCH_READER_H

#include "format/pickle.h"
#include "format/torch_file.h"
#include "format/zip.h"

struct torch_storage {
    struct text key;
    const uint8_t *data;
    uint64_t size; /* bytes */
};

struct torch_reader {
    struct arena *arena;
    const struct torch_choice *choice;
    struct format_error *error;
    /* Of a zip: */
    struct zip zip;
    struct text prefix; /* "model_weights/": what stands before "data.pkl" in every name */
    uint8_t *checked;   /* [n_entries]: the checksum was found right */
    /* Of a legacy file: */
    struct torch_storage *storages; /* [n_storages], sorted by key */
    size_t n_storages;
};

/* Bytes of an element by the name of its storage's class, and its type. false: unknown. */
bool torch_storage_dtype(const struct pickle_value *name, enum tensor_dtype *ret_dtype);

static inline bool torch_is_tensor(const struct pickle_value *value)
{
    return pickle_is_record(value, PICKLE_REBUILD_TENSOR) ||
           pickle_is_record(value, PICKLE_REBUILD_PARAMETER) ||
           pickle_is_record(value, PICKLE_REBUILD_FROM_TYPE);
}

/* A tensor of the list by its value; its name is set. -1: *error. */
int torch_read_tensor(struct torch_reader *torch, struct tensor *tensor,
                      const struct pickle_value *value);

/* ---- torch_legacy.c */

bool torch_legacy_is(const uint8_t *bytes, size_t size);

/* The object and its storages. -1: *error. */
int torch_legacy_open(struct torch_reader *torch, const uint8_t *bytes, size_t size,
                      struct pickle_value **ret_value);

/* ---- torch_search.c */

/* The value whose tensors are meant, a dict or a module. NULL: *error says what there is. */
const struct pickle_value *torch_search(struct torch_reader *torch,
                                        const struct pickle_value *root);

/* ---- torch_module.c */

/* Whether it is a torch.nn.Module: an object with _parameters and _modules. */
bool torch_is_module(const struct pickle_value *value);

/* The list as its state_dict() would be, unsorted. -1: *error. */
int torch_read_module(struct torch_reader *torch, struct tensor_list *list,
                      const struct pickle_value *module);

#endif
