/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_legacy.c: files of torch.save() before PyTorch 1.6, and of its
 * _use_new_zipfile_serialization=False: pickles behind each other (a magic number, the protocol's
 * version, the machine, the object, the list of its storages' keys), then for each of these the
 * number of elements in 8 bytes, and the elements.
 */
#include <stdlib.h>

#include "format/little_endian.h"
#include "format/torch_reader.h"

enum { MAGIC_BYTES = 10, MAGIC_WITHIN = 32, VERSION = 1001, COUNT_BYTES = 8 };

/* 0x1950a86a20f9469cfc6c, as an integer lies in a pickle. */
static const uint8_t magic[MAGIC_BYTES] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                           0x20, 0x6a, 0xa8, 0x50, 0x19};

/* Where the reading is. */
struct legacy {
    struct torch_reader *torch;
    const uint8_t *start, *at, *end;
};

/* A storage that a tensor names: its elements are known before its place is. */
struct named {
    struct text key;
    uint64_t n; /* elements */
    unsigned element_size;
};

bool torch_legacy_is(const uint8_t *bytes, size_t size)
{
    return size > MAGIC_WITHIN && bytes[0] == 0x80 &&
           memmem(bytes, MAGIC_WITHIN, magic, MAGIC_BYTES) != NULL;
}

static int fail(const struct legacy *legacy, const char *reason)
{
    return format_error_set(legacy->torch->error, legacy->at - legacy->start,
                            "is a file of PyTorch before 1.6, %s", reason);
}

static int next_pickle(struct legacy *legacy, struct pickle_first *ret_first)
{
    size_t size = (size_t)(legacy->end - legacy->at);
    if (size > UINT32_MAX)
        size = UINT32_MAX;
    if (pickle_read_first(legacy->torch->arena, legacy->at, size, ret_first,
                          legacy->torch->error) != 0)
        return -1;
    legacy->at += ret_first->size;
    return 0;
}

/* The three pickles before the object. */
static int read_head(struct legacy *legacy)
{
    struct pickle_first number, version, machine;
    if (next_pickle(legacy, &number) != 0 || next_pickle(legacy, &version) != 0 ||
        next_pickle(legacy, &machine) != 0)
        return -1;
    if (number.value->kind != PICKLE_LARGE || version.value->kind != PICKLE_INTEGER ||
        version.value->integer != VERSION)
        return fail(legacy, "of another version");
    const struct pickle_value *order = pickle_get(machine.value, "little_endian");
    if (order == NULL || order->kind != PICKLE_BOOL || !order->integer)
        return fail(legacy, "written on a machine whose byte order is not little");
    return 0;
}

static int compare_named(const void *a, const void *b)
{
    return text_compare(((const struct named *)a)->key, ((const struct named *)b)->key);
}

static int compare_storages(const void *a, const void *b)
{
    return text_compare(((const struct torch_storage *)a)->key,
                        ((const struct torch_storage *)b)->key);
}

/* ('storage', class, key, location, n_elements, view). false: another kind of id. */
static bool read_named(const struct pickle_value *id, struct named *named)
{
    enum tensor_dtype dtype;
    if (id->kind != PICKLE_TUPLE || id->n != 6 || id->items[0]->kind != PICKLE_TEXT ||
        !text_is(id->items[0]->text, "storage") || id->items[2]->kind != PICKLE_TEXT ||
        id->items[4]->kind != PICKLE_INTEGER || id->items[4]->integer < 0 ||
        !torch_storage_dtype(id->items[1], &dtype))
        return false;
    *named = (struct named){id->items[2]->text, (uint64_t)id->items[4]->integer,
                            tensor_element_size(dtype)};
    return true;
}

/* All storages that the object names, sorted by key. */
static int list_named(struct legacy *legacy, const struct pickle_value *persistent,
                      struct named **ret_named, size_t *ret_n)
{
    size_t n = 0, n_all = 0;
    for (const struct pickle_value *at = persistent; at; at = at->before)
        n_all++;
    struct named *named = arena_calloc(legacy->torch->arena, n_all + 1, sizeof *named);
    if (named == NULL)
        return format_error_memory(legacy->torch->error);
    for (const struct pickle_value *at = persistent; at; at = at->before)
        n += read_named(at->id, &named[n]);
    qsort(named, n, sizeof *named, compare_named);
    *ret_named = named;
    *ret_n = n;
    return 0;
}

static int read_storage(struct legacy *legacy, const struct named *named, size_t n_named,
                        struct torch_storage *storage)
{
    const struct named key = {.key = storage->key};
    const struct named *found = bsearch(&key, named, n_named, sizeof *named, compare_named);
    if (found == NULL)
        return format_error_set(legacy->torch->error, legacy->at - legacy->start,
                                "is a file of PyTorch before 1.6, with a storage \"%.*s\" of a "
                                "type that is not known here",
                                TEXT_SHOWN(storage->key));
    const uint64_t left = (uint64_t)(legacy->end - legacy->at);
    if (left < COUNT_BYTES || le64(legacy->at) != found->n ||
        found->n > (left - COUNT_BYTES) / found->element_size)
        return fail(legacy, "and cut, or its storages are of other sizes than its tensors say");
    storage->data = legacy->at + COUNT_BYTES;
    storage->size = found->n * found->element_size;
    legacy->at = storage->data + storage->size;
    return 0;
}

/* The keys as texts, [n]; NULL: they are something else, or there is no memory for them. */
static struct text *read_keys(struct legacy *legacy, const struct pickle_value *list)
{
    struct text *keys = arena_calloc(legacy->torch->arena, (size_t)list->n + 1, sizeof *keys);
    if (keys && list->kind == PICKLE_TEXTS)
        pickle_texts(list, keys);
    else if (list->kind != PICKLE_LIST || list->n != 0)
        return NULL;
    return keys;
}

static int read_storages(struct legacy *legacy, const struct pickle_value *persistent)
{
    struct torch_reader *torch = legacy->torch;
    struct pickle_first list;
    struct named *named = NULL;
    size_t n_named = 0;
    if (next_pickle(legacy, &list) != 0 || list_named(legacy, persistent, &named, &n_named) != 0)
        return -1;
    const struct text *keys = read_keys(legacy, list.value);
    if (keys == NULL)
        return fail(legacy, "without a list of its storages");
    torch->n_storages = list.value->n;
    torch->storages = arena_calloc(torch->arena, torch->n_storages + 1, sizeof *torch->storages);
    if (torch->storages == NULL)
        return format_error_memory(torch->error);
    for (size_t i = 0; i < torch->n_storages; i++) {
        torch->storages[i].key = keys[i];
        if (read_storage(legacy, named, n_named, &torch->storages[i]) != 0)
            return -1;
    }
    if (legacy->at != legacy->end)
        return fail(legacy, "with something behind its storages");
    qsort(torch->storages, torch->n_storages, sizeof *torch->storages, compare_storages);
    return 0;
}

int torch_legacy_open(struct torch_reader *torch, const uint8_t *bytes, size_t size,
                      struct pickle_value **ret_value)
{
    struct legacy legacy = {torch, bytes, bytes, bytes + size};
    struct pickle_first object;
    if (read_head(&legacy) != 0 || next_pickle(&legacy, &object) != 0 ||
        read_storages(&legacy, object.persistent) != 0)
        return -1;
    *ret_value = object.value;
    return 0;
}
