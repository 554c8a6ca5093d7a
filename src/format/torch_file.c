/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_file.h"

#include <stdbool.h>
#include <stdio.h>

#include "format/little_endian.h"
#include "format/pickle.h"
#include "format/zip.h"

/* A tensor may repeat the elements of its storage (stride 0), but not without end. */
enum { REPEATED_ELEMENTS_MAX = 1 << 24 };

struct torch_reader {
    struct arena *arena;
    struct zip zip;
    struct text prefix; /* "model_weights/": what stands before "data.pkl" in every name */
    uint8_t *checked;   /* [n_entries]: the checksum was found right */
    struct format_error *error;
};

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

static bool storage_dtype(const struct pickle_value *name, enum tensor_dtype *ret_dtype)
{
    switch ((enum pickle_name)name->name) {
    case PICKLE_STORAGE_F32:
        *ret_dtype = TENSOR_F32;
        return true;
    case PICKLE_STORAGE_F64:
        *ret_dtype = TENSOR_F64;
        return true;
    case PICKLE_STORAGE_F16:
        *ret_dtype = TENSOR_F16;
        return true;
    case PICKLE_STORAGE_BF16:
        *ret_dtype = TENSOR_BF16;
        return true;
    default:
        return false;
    }
}

/* The persistent id ('storage', torch.FloatStorage, key, location, n_elements). */
static int open_storage(struct torch_reader *torch, struct tensor *tensor,
                        const struct pickle_value *storage, const struct zip_entry **ret_entry,
                        uint64_t *ret_n_stored)
{
    const struct pickle_value *id = storage->kind == PICKLE_PERSISTENT ? storage->id : NULL;
    if (id == NULL || id->kind != PICKLE_TUPLE || id->n != 5 || id->items[0]->kind != PICKLE_TEXT ||
        !text_is(id->items[0]->text, "storage") || id->items[1]->kind != PICKLE_NAME ||
        id->items[2]->kind != PICKLE_TEXT || id->items[4]->kind != PICKLE_INTEGER)
        return fail(torch, tensor, "its storage is not described as PyTorch does");
    if (!storage_dtype(id->items[1], &tensor->dtype))
        return fail(torch, tensor, "is not a tensor of FP32, FP64, FP16 or BF16");
    const struct zip_entry *entry = find_entry(torch, "data/", id->items[2]->text);
    if (entry == NULL)
        return fail(torch, tensor, "its storage is missing in the file");
    const uint64_t n_stored = (uint64_t)id->items[4]->integer;
    if (id->items[4]->integer < 0 || n_stored > UINT64_MAX / 8 ||
        n_stored * tensor_element_size(tensor->dtype) != entry->size)
        return fail(torch, tensor, "its storage has another size than the tensor says");
    *ret_entry = entry;
    *ret_n_stored = n_stored;
    return check_once(torch, entry);
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ..) */
static int read_tensor(struct torch_reader *torch, struct tensor *tensor,
                       const struct pickle_value *value)
{
    if (value->kind == PICKLE_RECORD && value->name == PICKLE_REBUILD_PARAMETER &&
        value->record.arguments->n >= 1)
        value = value->record.arguments->items[0];
    if (value->kind != PICKLE_RECORD || value->name != PICKLE_REBUILD_TENSOR)
        return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                "\"%.*s\" is %s, not a tensor; the file must hold the state dict "
                                "itself: torch.save(model.state_dict(), ..)",
                                TEXT_SHOWN(tensor->name), pickle_describe(value));
    const struct pickle_value *arguments = value->record.arguments;
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
    const struct zip_entry *entry = NULL;
    uint64_t n_stored = 0;
    if (open_storage(torch, tensor, arguments->items[0], &entry, &n_stored) != 0)
        return -1;
    if (!fits(tensor, offset, n_stored))
        return fail(torch, tensor, "reaches beyond its storage");
    tensor->data = entry->data + offset * tensor_element_size(tensor->dtype);
    return 0;
}

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

static int read_state_dict(struct torch_reader *torch, struct tensor_list *list,
                           const struct pickle_value *dict)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(dict, &n);
    if (pairs == NULL)
        return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                "holds %s, not a state dict: torch.save(model.state_dict(), ..)",
                                pickle_describe(dict));
    list->n_tensors = n;
    list->tensors = arena_calloc(torch->arena, (size_t)n + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return format_error_memory(torch->error);
    for (uint32_t i = 0; i < n; i++) {
        if (pairs[2 * i]->kind != PICKLE_TEXT)
            return format_error_set(torch->error, FORMAT_NO_OFFSET,
                                    "a key of the state dict is %s, not a name",
                                    pickle_describe(pairs[2 * i]));
        list->tensors[i].name = pairs[2 * i]->text;
        if (read_tensor(torch, &list->tensors[i], pairs[2 * i + 1]) != 0)
            return -1;
    }
    return check_names(torch, list);
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

bool torch_file_is(const uint8_t *bytes, size_t size)
{
    return size >= 2 && memcmp(bytes, "PK", 2) == 0;
}

int torch_file_read(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                    size_t size, struct format_error *error)
{
    struct torch_reader torch = {.arena = arena, .error = error};
    if (zip_open(&torch.zip, arena, bytes, size, error) != 0)
        return -1;
    torch.checked = arena_calloc(arena, torch.zip.n_entries + 1, 1);
    if (torch.checked == NULL)
        return format_error_memory(error);
    const struct zip_entry *pickle = find_pickle(&torch);
    struct pickle_value *value;
    if (pickle == NULL || check_archive(&torch) != 0 || check_once(&torch, pickle) != 0)
        return -1;
    struct format_error inner;
    if (pickle_read(arena, pickle->data, pickle->size, &value, &inner) != 0)
        return inner.out_of_memory
                   ? format_error_memory(error)
                   : format_error_set(error, FORMAT_NO_OFFSET, "data.pkl: %s", inner.message);
    return read_state_dict(&torch, list, value);
}
