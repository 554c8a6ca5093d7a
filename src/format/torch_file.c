/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/torch_reader.h"

/* A tensor may repeat the elements of its storage (stride 0), but not without end. */
enum { REPEATED_ELEMENTS_MAX = 1 << 24 };

static int fail(struct torch_reader *torch, const struct tensor *tensor, const char *reason)
{
    return format_error_set(torch->error, FORMAT_NO_OFFSET, "tensor \"%.*s\": %s",
                            TEXT_SHOWN(tensor->name), reason);
}

static int check_once(struct torch_reader *torch, const struct zip_entry *entry)
{
    uint8_t *checked = &torch->checked[entry - torch->zip.entries];
    if (!*checked && zip_check(&torch->zip, entry, torch->error) != 0)
        return -1;
    *checked = 1;
    return 0;
}

/* The entry "PREFIX NAME"; NULL: there is none, or no memory for its name. */
static const struct zip_entry *find_entry(struct torch_reader *torch, const char *directory,
                                          struct text name)
{
    const size_t length = torch->prefix.length + strlen(directory) + name.length;
    char *full = arena_alloc(torch->arena, length);
    if (full == NULL)
        return NULL;
    char *at = full;
    memcpy(at, torch->prefix.at, torch->prefix.length);
    at += torch->prefix.length;
    memcpy(at, directory, strlen(directory));
    at += strlen(directory);
    if (name.length)
        memcpy(at, name.at, name.length);
    return zip_find(&torch->zip, (struct text){full, length});
}

/* ---- tensors ---- */

static bool read_sizes(const struct pickle_value *tuple, uint64_t *sizes)
{
    for (uint32_t i = 0; i < tuple->n; i++) {
        if (tuple->items[i]->kind != PICKLE_INTEGER || tuple->items[i]->integer < 0)
            return false;
        sizes[i] = (uint64_t)tuple->items[i]->integer;
    }
    return true;
}

/* Number of elements, and whether the farthest one lies within `n_stored`. */
static bool fits(struct tensor *tensor, uint64_t offset, uint64_t n_stored)
{
    uint64_t n = 1, farthest = offset;
    for (unsigned i = 0; i < tensor->n_dims; i++) {
        uint64_t reach;
        if (__builtin_mul_overflow(n, tensor->sizes[i], &n))
            return false;
        if (tensor->sizes[i] > 0 &&
            (__builtin_mul_overflow(tensor->sizes[i] - 1, tensor->strides[i], &reach) ||
             __builtin_add_overflow(farthest, reach, &farthest)))
            return false;
    }
    tensor->n_elements = n;
    if (n > n_stored && n > REPEATED_ELEMENTS_MAX)
        return false;
    return n == 0 ? offset <= n_stored : farthest < n_stored;
}

bool torch_storage_dtype(const struct pickle_value *name, enum tensor_dtype *ret_dtype)
{
    static const enum tensor_dtype dtypes[] = {
        [PICKLE_STORAGE_F32] = TENSOR_F32, [PICKLE_STORAGE_F64] = TENSOR_F64,
        [PICKLE_STORAGE_F16] = TENSOR_F16, [PICKLE_STORAGE_BF16] = TENSOR_BF16,
        [PICKLE_STORAGE_I64] = TENSOR_I64, [PICKLE_STORAGE_I32] = TENSOR_I32,
        [PICKLE_STORAGE_I16] = TENSOR_I16, [PICKLE_STORAGE_I8] = TENSOR_I8,
        [PICKLE_STORAGE_U8] = TENSOR_U8,   [PICKLE_STORAGE_BOOL] = TENSOR_BOOL};
    if (name->kind != PICKLE_NAME || name->name < PICKLE_STORAGE_F32 ||
        name->name > PICKLE_STORAGE_BOOL)
        return false;
    *ret_dtype = dtypes[name->name];
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return text_compare(((const struct torch_storage *)a)->key,
                        ((const struct torch_storage *)b)->key);
}

/* The storage of a key; data NULL: there is none. -1: its checksum is wrong. */
static int find_storage(struct torch_reader *torch, struct text key,
                        struct torch_storage *ret_storage)
{
    *ret_storage = (struct torch_storage){.key = key};
    if (torch->storages) {
        const struct torch_storage *found = bsearch(ret_storage, torch->storages, torch->n_storages,
                                                    sizeof *torch->storages, compare_keys);
        if (found)
            *ret_storage = *found;
        return 0;
    }
    const struct zip_entry *entry = find_entry(torch, "data/", key);
    if (entry == NULL)
        return 0;
    ret_storage->data = entry->data;
    ret_storage->size = entry->size;
    return check_once(torch, entry);
}

/* The persistent id ('storage', torch.FloatStorage, key, location, n_elements), and in a legacy
 * file what part of another storage it is: None. */
static int open_storage(struct torch_reader *torch, struct tensor *tensor,
                        const struct pickle_value *value, struct torch_storage *ret_storage)
{
    const struct pickle_value *id = value->kind == PICKLE_PERSISTENT ? value->id : NULL;
    const uint32_t n = torch->storages ? 6 : 5;
    if (id == NULL || id->kind != PICKLE_TUPLE || id->n != n || id->items[0]->kind != PICKLE_TEXT ||
        !text_is(id->items[0]->text, "storage") || id->items[1]->kind != PICKLE_NAME ||
        id->items[2]->kind != PICKLE_TEXT || id->items[4]->kind != PICKLE_INTEGER ||
        id->items[n - 1]->kind != (n == 6 ? PICKLE_NONE : PICKLE_INTEGER))
        return fail(torch, tensor, "its storage is not described as PyTorch does");
    if (!torch_storage_dtype(id->items[1], &tensor->dtype))
        return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                "tensor \"%.*s\" is of %s; FP32, FP64, FP16, BF16 and whole "
                                "numbers are read",
                                TEXT_SHOWN(tensor->name), pickle_describe(id->items[1]));
    if (find_storage(torch, id->items[2]->text, ret_storage) != 0)
        return -1;
    if (ret_storage->data == NULL)
        return fail(torch, tensor, "its storage is missing in the file");
    const uint64_t n_stored = (uint64_t)id->items[4]->integer;
    if (id->items[4]->integer < 0 || n_stored > UINT64_MAX / 8 ||
        n_stored * tensor_element_size(tensor->dtype) != ret_storage->size)
        return fail(torch, tensor, "its storage has another size than the tensor says");
    return 0;
}

/* The arguments of _rebuild_tensor_v2 within those of what wraps it; NULL: it wraps another thing.
 */
static const struct pickle_value *rebuild_arguments(const struct pickle_value *value)
{
    if (pickle_is_record(value, PICKLE_REBUILD_PARAMETER) && value->record.arguments->n >= 1)
        value = value->record.arguments->items[0];
    const struct pickle_value *arguments =
        value->kind == PICKLE_RECORD ? value->record.arguments : NULL;
    if (pickle_is_record(value, PICKLE_REBUILD_TENSOR))
        return arguments;
    /* _rebuild_from_type_v2(function, class, its arguments, state) */
    if (!pickle_is_record(value, PICKLE_REBUILD_FROM_TYPE) || arguments->n != 4)
        return NULL;
    const struct pickle_value *function = arguments->items[0], *class = arguments->items[1];
    const bool is_plain =
        class->kind == PICKLE_NAME && class->name == PICKLE_UNKNOWN &&
        (text_is(class->text, "torch.Tensor") || text_is(class->text, "torch._tensor.Tensor") ||
         text_is(class->text, "torch.nn.parameter.Parameter"));
    return is_plain && function->kind == PICKLE_NAME && function->name == PICKLE_REBUILD_TENSOR &&
                   arguments->items[2]->kind == PICKLE_TUPLE
               ? arguments->items[2]
               : NULL;
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ..) */
int torch_read_tensor(struct torch_reader *torch, struct tensor *tensor,
                      const struct pickle_value *value)
{
    const struct pickle_value *arguments = rebuild_arguments(value);
    if (arguments == NULL)
        return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                "\"%.*s\" is %s, not a tensor; the file must hold the state dict "
                                "itself: torch.save(model.state_dict(), ..)",
                                TEXT_SHOWN(tensor->name), pickle_describe(value));
    if (arguments->n < 4 || arguments->items[1]->kind != PICKLE_INTEGER ||
        arguments->items[2]->kind != PICKLE_TUPLE || arguments->items[3]->kind != PICKLE_TUPLE ||
        arguments->items[2]->n != arguments->items[3]->n)
        return fail(torch, tensor, "is not described as PyTorch does");
    if (arguments->items[2]->n > TENSOR_MAX_DIMS)
        return fail(torch, tensor, "has more than 4 dimensions");
    if (arguments->n > 6 && arguments->items[6]->kind != PICKLE_NONE && arguments->items[6]->n > 0)
        return fail(torch, tensor, "is a conjugated or negated view; save a copy of it");
    tensor->n_dims = arguments->items[2]->n;
    if (!read_sizes(arguments->items[2], tensor->sizes) ||
        !read_sizes(arguments->items[3], tensor->strides) || arguments->items[1]->integer < 0)
        return fail(torch, tensor, "has a negative size, stride or offset");
    const uint64_t offset = (uint64_t)arguments->items[1]->integer;
    struct torch_storage storage = {0};
    if (open_storage(torch, tensor, arguments->items[0], &storage) != 0)
        return -1;
    const unsigned size = tensor_element_size(tensor->dtype);
    if (!fits(tensor, offset, storage.size / size))
        return fail(torch, tensor, "reaches beyond its storage");
    tensor->data = storage.data + offset * size;
    return 0;
}

/* ---- the list */

static int check_names(struct torch_reader *torch, struct tensor_list *list)
{
    const struct tensor *twice;
    if (tensor_list_sort(list, torch->arena, &twice) == 0)
        return 0;
    if (twice == NULL)
        return format_error_memory(torch->error);
    return format_error_set(torch->error, FORMAT_NO_OFFSET, "tensor \"%.*s\" stands twice",
                            TEXT_SHOWN(twice->name));
}

/* Whether a value beside tensors may be passed over: a number, a text, .. Objects may not: they may
 * be a tensor that is not known here. */
static bool is_plain(const struct pickle_value *value)
{
    return value->kind != PICKLE_RECORD && value->kind != PICKLE_NAME &&
           value->kind != PICKLE_PERSISTENT;
}

static int read_state_dict(struct torch_reader *torch, struct tensor_list *list,
                           const struct pickle_value *dict)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(dict, &n);
    list->tensors = arena_calloc(torch->arena, (size_t)n + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return format_error_memory(torch->error);
    for (uint32_t i = 0; i < n; i++) {
        const struct pickle_value *name = pairs[2 * i], *value = pairs[2 * i + 1];
        if (name->kind != PICKLE_TEXT)
            return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                    "a key of the state dict is %s, not a name",
                                    pickle_describe(name));
        if (tensor_name_is_counter(name->text) || is_plain(value))
            continue;
        struct tensor *tensor = &list->tensors[list->n_tensors++];
        tensor->name = name->text;
        if (torch_read_tensor(torch, tensor, value) != 0)
            return -1;
    }
    return 0;
}

/* ---- the archive ---- */

/* The one entry "PREFIX/data.pkl" and the prefix, with its slash. */
static const struct zip_entry *find_pickle(struct torch_reader *torch)
{
    static const char name[] = "/data.pkl";
    const struct zip_entry *found = NULL;
    for (size_t i = 0; i < torch->zip.n_entries; i++) {
        const struct text entry = torch->zip.entries[i].name;
        if (entry.length < sizeof name ||
            memcmp(entry.at + entry.length - (sizeof name - 1), name, sizeof name - 1) != 0)
            continue;
        const struct text prefix = {entry.at, entry.length - (sizeof name - 2)};
        if (memchr(prefix.at, '/', prefix.length - 1))
            continue;
        if (found) {
            format_error_set(torch->error, FORMAT_NO_OFFSET, "holds more than one data.pkl");
            return NULL;
        }
        found = &torch->zip.entries[i];
        torch->prefix = prefix;
    }
    if (found == NULL)
        format_error_set(torch->error, FORMAT_NO_OFFSET,
                         "is a zip file, but not a PyTorch one: it has no data.pkl");
    return found;
}

static int check_archive(struct torch_reader *torch)
{
    if (find_entry(torch, "constants.pkl", text_of("")))
        return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                "is a TorchScript archive, not a PyTorch zip file of a state dict");
    const struct zip_entry *order = find_entry(torch, "byteorder", text_of(""));
    if (order == NULL)
        return 0; /* PyTorch before 2.1, little-endian by definition */
    if (check_once(torch, order) != 0)
        return -1;
    if (!text_is((struct text){(const char *)order->data, order->size}, "little"))
        return format_error_set(torch->error, FORMAT_NO_OFFSET, "its byte order is not little");
    return 0;
}

static int open_archive(struct torch_reader *torch, const uint8_t *bytes, size_t size,
                        struct pickle_value **ret_value)
{
    if (zip_open(&torch->zip, torch->arena, bytes, size, torch->error) != 0)
        return -1;
    torch->checked = arena_calloc(torch->arena, torch->zip.n_entries + 1, 1);
    if (torch->checked == NULL)
        return format_error_memory(torch->error);
    const struct zip_entry *pickle = find_pickle(torch);
    if (pickle == NULL || check_archive(torch) != 0 || check_once(torch, pickle) != 0)
        return -1;
    struct format_error inner;
    if (pickle_read(torch->arena, pickle->data, pickle->size, ret_value, &inner) != 0)
        return inner.out_of_memory ? format_error_memory(torch->error)
                                   : format_error_set(torch->error, FORMAT_NO_OFFSET,
                                                      "data.pkl: %s", inner.message);
    return 0;
}

bool torch_file_is(const uint8_t *bytes, size_t size)
{
    return (size >= 2 && memcmp(bytes, "PK", 2) == 0) || torch_legacy_is(bytes, size);
}

int torch_file_read(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                    size_t size, const struct torch_choice *choice, struct format_error *error)
{
    static const struct torch_choice none;
    struct torch_reader torch = {.arena = arena, .choice = choice ? choice : &none, .error = error};
    struct pickle_value *root;
    *list = (struct tensor_list){0};
    if ((torch_legacy_is(bytes, size) ? torch_legacy_open(&torch, bytes, size, &root)
                                      : open_archive(&torch, bytes, size, &root)) != 0)
        return -1;
    const struct pickle_value *found = torch_search(&torch, root);
    if (found == NULL)
        return -1;
    const int status = torch_is_module(found) ? torch_read_module(&torch, list, found)
                                              : read_state_dict(&torch, list, found);
    return status == 0 ? check_names(&torch, list) : -1;
}
