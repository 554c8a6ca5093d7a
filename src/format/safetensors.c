/* SPDX-License-Identifier: Apache-2.0 */
#include "format/safetensors.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/checksum.h"
#include "format/little_endian.h"

enum { LENGTH_BYTES = 8, KEY_MAX = 256 };

#define FORMAT_NAME "dcnv2"
#define METADATA    "__metadata__"
#define CHECKSUM    "checksum"

static const char *const versions[] = {
    [SAFETENSORS_OLDEST] = "1", [SAFETENSORS_PLAIN] = "2", [SAFETENSORS_NEWEST] = "3"};

/* Where the header's own checksum stands: everything before its digits. */
static const char header_start[] = "{\"" METADATA "\":{\"" CHECKSUM "\":\"";
static const char zeros[] = "0000000000000000";

enum { CHECKSUM_PLACE = sizeof header_start - 1 };
_Static_assert(sizeof zeros == CHECKSUM_DIGITS + 1, "a digit each");

struct reader {
    struct safetensors *file;
    struct arena *arena;
    const uint8_t *bytes; /* the file */
    uint64_t header_size, data_size;
    bool is_foreign; /* written by another program, by the rules of safetensors alone */
    struct format_error *error;
};

#define FAIL(reader, ...) format_error_set((reader)->error, FORMAT_NO_OFFSET, __VA_ARGS__)

bool safetensors_is(const uint8_t *bytes, size_t size)
{
    return size > LENGTH_BYTES && bytes[LENGTH_BYTES] == '{';
}

bool safetensors_is_converted(const uint8_t *bytes, size_t size)
{
    static const char format[] = "\"format\":\"" FORMAT_NAME "\"";
    if (!safetensors_is(bytes, size))
        return false;
    const char *header = (const char *)bytes + LENGTH_BYTES;
    size -= LENGTH_BYTES;
    if (size > SAFETENSORS_HEADER_MAX)
        size = SAFETENSORS_HEADER_MAX;
    return (size >= CHECKSUM_PLACE && memcmp(header, header_start, CHECKSUM_PLACE) == 0) ||
           memmem(header, size, format, sizeof format - 1) != NULL;
}

/* ---- metadata ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_entry *)a)->key,
                  ((const struct safetensors_entry *)b)->key);
}

const char *safetensors_find(const struct safetensors_metadata *metadata, const char *key)
{
    const struct safetensors_entry wanted = {key, NULL};
    const struct safetensors_entry *found =
        metadata->n_entries
            ? bsearch(&wanted, metadata->entries, metadata->n_entries, sizeof wanted, by_key)
            : NULL;
    return found ? found->value : NULL;
}

static int read_metadata(struct reader *reader, const cJSON *object)
{
    struct safetensors_metadata *metadata = &reader->file->metadata;
    const size_t n = (size_t)cJSON_GetArraySize(object);
    metadata->entries = arena_calloc(reader->arena, n + 1, sizeof *metadata->entries);
    if (metadata->entries == NULL)
        return format_error_memory(reader->error);
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        struct safetensors_entry *entry = &metadata->entries[metadata->n_entries++];
        if (!cJSON_IsString(item))
            return FAIL(reader, "metadata \"%.64s\" is not a text", item->string);
        entry->key = arena_copy_text(reader->arena, item->string, strlen(item->string));
        entry->value = arena_copy_text(reader->arena, item->valuestring, strlen(item->valuestring));
        if (!entry->key || !entry->value)
            return format_error_memory(reader->error);
    }
    qsort(metadata->entries, n, sizeof *metadata->entries, by_key);
    for (size_t i = 1; i < n; i++)
        if (by_key(&metadata->entries[i - 1], &metadata->entries[i]) == 0)
            return FAIL(reader, "metadata \"%.64s\" stands twice", metadata->entries[i].key);
    return 0;
}

static int check_format(struct reader *reader)
{
    const char *format = safetensors_find(&reader->file->metadata, "format");
    const char *version = safetensors_find(&reader->file->metadata, "version");
    if (format == NULL || version == NULL || strcmp(format, FORMAT_NAME) != 0)
        return FAIL(reader, "is a safetensors file, but not one that dcnv2-convert wrote");
    for (int i = SAFETENSORS_OLDEST; i <= SAFETENSORS_NEWEST; i++)
        if (strcmp(version, versions[i]) == 0) {
            reader->file->version = i;
            return 0;
        }
    return FAIL(reader,
                "is of format version \"%.32s\"; this program reads versions %s to %s: convert the "
                "model again",
                version, versions[SAFETENSORS_OLDEST], versions[SAFETENSORS_NEWEST]);
}

static int check_header_sum(struct reader *reader, const char *header)
{
    char *copy = arena_copy_text(reader->arena, header, reader->header_size);
    char digits[CHECKSUM_DIGITS + 1];
    if (copy == NULL)
        return format_error_memory(reader->error);
    if (reader->header_size < CHECKSUM_PLACE + CHECKSUM_DIGITS ||
        memcmp(header, header_start, CHECKSUM_PLACE) != 0)
        return FAIL(reader, "its header does not start with its checksum");
    memcpy(copy + CHECKSUM_PLACE, zeros, CHECKSUM_DIGITS);
    checksum_print(checksum_of(copy, reader->header_size), digits);
    if (memcmp(header + CHECKSUM_PLACE, digits, CHECKSUM_DIGITS) != 0)
        return FAIL(reader, "checksum of the header is wrong: the file is damaged");
    return 0;
}

/* ---- tensors ---- */

static bool read_whole(const cJSON *item, uint64_t *ret_number)
{
    const double most = 9007199254740992; /* from here on a double leaves whole numbers out */
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble >= most)
        return false;
    *ret_number = (uint64_t)item->valuedouble;
    return (double)*ret_number == item->valuedouble;
}

static bool read_dtype(const cJSON *item, enum tensor_dtype *ret_dtype)
{
    for (int i = 0; cJSON_IsString(item) && i < TENSOR_N_DTYPES; i++)
        if (strcmp(item->valuestring, tensor_dtype_name((enum tensor_dtype)i)) == 0) {
            *ret_dtype = (enum tensor_dtype)i;
            return true;
        }
    return false;
}

/* Sizes, strides and the number of elements. */
static bool read_shape(const cJSON *item, struct tensor *tensor)
{
    const int n_dims = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : -1;
    if (n_dims < 0 || n_dims > TENSOR_MAX_DIMS)
        return false;
    tensor->n_dims = (unsigned)n_dims;
    const cJSON *size = item->child;
    for (unsigned i = 0; i < tensor->n_dims; i++, size = size->next)
        if (!read_whole(size, &tensor->sizes[i]))
            return false;
    tensor->n_elements = 1;
    for (unsigned i = tensor->n_dims; i > 0; i--) {
        tensor->strides[i - 1] = tensor->n_elements;
        if (__builtin_mul_overflow(tensor->n_elements, tensor->sizes[i - 1], &tensor->n_elements))
            return false;
    }
    return true;
}

/* Its place among the data: right behind the tensor before it, which ends at *end. */
static int read_place(struct reader *reader, struct tensor *tensor, const cJSON *offsets,
                      uint64_t *end)
{
    uint64_t from, to, size;
    const unsigned element_size = tensor_element_size(tensor->dtype);
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !read_whole(offsets->child, &from) || !read_whole(offsets->child->next, &to))
        return FAIL(reader, "tensor \"%.*s\": its data_offsets are not two whole numbers",
                    TEXT_SHOWN(tensor->name));
    if (from != *end && !reader->is_foreign)
        return FAIL(reader, "tensor \"%.*s\" starts at %llu, %s the end of the one before it, %llu",
                    TEXT_SHOWN(tensor->name), (unsigned long long)from,
                    from < *end ? "before" : "behind", (unsigned long long)*end);
    if (to > reader->data_size)
        return FAIL(reader, "tensor \"%.*s\" reaches beyond the file: it is cut",
                    TEXT_SHOWN(tensor->name));
    if (to < from || __builtin_mul_overflow(tensor->n_elements, element_size, &size) ||
        size != to - from)
        return FAIL(reader, "tensor \"%.*s\": its size is not that of its shape and dtype",
                    TEXT_SHOWN(tensor->name));
    if (from % element_size != 0 && !reader->is_foreign)
        return FAIL(reader, "tensor \"%.*s\" does not start at a multiple of its elements",
                    TEXT_SHOWN(tensor->name));
    tensor->data = reader->bytes + LENGTH_BYTES + reader->header_size + from;
    *end = to;
    return 0;
}

static int read_tensor(struct reader *reader, struct tensor *tensor, const cJSON *item,
                       uint64_t *end)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    const size_t length = strlen(item->string);
    tensor->name = (struct text){arena_copy_text(reader->arena, item->string, length), length};
    if (tensor->name.at == NULL)
        return format_error_memory(reader->error);
    if (!cJSON_IsObject(item) || !dtype || !shape || !offsets || cJSON_GetArraySize(item) != 3)
        return FAIL(reader, "tensor \"%.*s\" has not a dtype, a shape and data_offsets, once each",
                    TEXT_SHOWN(tensor->name));
    if (!read_dtype(dtype, &tensor->dtype))
        return FAIL(reader, "tensor \"%.*s\" is of a dtype that no model has here",
                    TEXT_SHOWN(tensor->name));
    if (!read_shape(shape, tensor))
        return FAIL(reader, "tensor \"%.*s\": its shape is not up to 4 whole numbers",
                    TEXT_SHOWN(tensor->name));
    return read_place(reader, tensor, offsets, end);
}

static int check_names(struct reader *reader)
{
    const struct tensor *twice;
    if (tensor_list_sort(&reader->file->list, reader->arena, &twice) == 0)
        return 0;
    return twice ? FAIL(reader, "tensor \"%.*s\" stands twice", TEXT_SHOWN(twice->name))
                 : format_error_memory(reader->error);
}

/* The key of a tensor's checksum; false: its name is too long. */
static bool checksum_key(char out[KEY_MAX], struct text name)
{
    const int n = snprintf(out, KEY_MAX, SAFETENSORS_CHECKSUM "%.*s", (int)name.length, name.at);
    return n > 0 && n < KEY_MAX;
}

static int check_data(struct reader *reader)
{
    for (size_t i = 0; i < reader->file->list.n_tensors; i++) {
        const struct tensor *tensor = &reader->file->list.tensors[i];
        char key[KEY_MAX], digits[CHECKSUM_DIGITS + 1];
        const char *written =
            checksum_key(key, tensor->name) ? safetensors_find(&reader->file->metadata, key) : NULL;
        checksum_print(checksum_of(tensor->data, safetensors_bytes(tensor)), digits);
        if (written == NULL || strcmp(written, digits) != 0)
            return FAIL(reader, "checksum of tensor \"%.*s\" is wrong: the file is damaged",
                        TEXT_SHOWN(tensor->name));
    }
    return 0;
}

/* ---- the file ---- */

static int read_items(struct reader *reader, const cJSON *root, const char *header)
{
    struct tensor_list *list = &reader->file->list;
    const cJSON *item = cJSON_IsObject(root) ? root->child : NULL;
    if (item == NULL || strcmp(item->string, METADATA) != 0 || !cJSON_IsObject(item))
        return FAIL(reader, "is a safetensors file, but not one that dcnv2-convert wrote");
    if (read_metadata(reader, item) != 0 || check_format(reader) != 0 ||
        check_header_sum(reader, header) != 0)
        return -1;
    const size_t n = (size_t)cJSON_GetArraySize(root) - 1;
    list->tensors = arena_calloc(reader->arena, n + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return format_error_memory(reader->error);
    uint64_t end = 0;
    for (item = item->next; item; item = item->next)
        if (read_tensor(reader, &list->tensors[list->n_tensors++], item, &end) != 0)
            return -1;
    if (end != reader->data_size)
        return FAIL(reader, "there are %llu bytes behind the last tensor",
                    (unsigned long long)(reader->data_size - end));
    return check_names(reader) != 0 || check_data(reader) != 0 ? -1 : 0;
}

/* The tensors of another program's file, in any order; counters are left out. */
static int read_foreign_items(struct reader *reader, const cJSON *root)
{
    struct tensor_list *list = &reader->file->list;
    if (!cJSON_IsObject(root))
        return FAIL(reader, "its header is not a JSON object");
    const size_t n = (size_t)cJSON_GetArraySize(root);
    list->tensors = arena_calloc(reader->arena, n + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return format_error_memory(reader->error);
    uint64_t end = 0;
    for (const cJSON *item = root->child; item; item = item->next) {
        if (strcmp(item->string, METADATA) == 0 || tensor_name_is_counter(text_of(item->string)))
            continue;
        if (read_tensor(reader, &list->tensors[list->n_tensors++], item, &end) != 0)
            return -1;
    }
    return check_names(reader);
}

static int parse_header(struct reader *reader)
{
    const size_t size = reader->header_size;
    const char *header =
        arena_copy_text(reader->arena, (const char *)reader->bytes + LENGTH_BYTES, size);
    if (header == NULL)
        return format_error_memory(reader->error);
    if (memchr(header, '\0', size) || text_utf8_valid_length(header, size) != size)
        return FAIL(reader, "its header is not UTF-8");
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(header, size + 1, &end, false);
    int status = -1;
    if (root == NULL || end + strspn(end, " ") != header + size)
        FAIL(reader, "its header is not JSON");
    else
        status = reader->is_foreign ? read_foreign_items(reader, root)
                                    : read_items(reader, root, header);
    cJSON_Delete(root);
    return status;
}

static int read_file(struct reader *reader, size_t size)
{
    if (size < LENGTH_BYTES + 2)
        return FAIL(reader, "is shorter than any safetensors file");
    reader->header_size = le64(reader->bytes);
    if (reader->header_size > SAFETENSORS_HEADER_MAX)
        return FAIL(reader, "its header of %llu bytes is longer than that of any model",
                    (unsigned long long)reader->header_size);
    if (reader->header_size > size - LENGTH_BYTES)
        return FAIL(reader, "its header reaches beyond the file: it is cut");
    if (!reader->is_foreign && (LENGTH_BYTES + reader->header_size) % SAFETENSORS_ALIGNMENT != 0)
        return FAIL(reader, "its data do not start at a multiple of 64 bytes");
    reader->data_size = size - LENGTH_BYTES - reader->header_size;
    return parse_header(reader);
}

int safetensors_read(struct safetensors *file, struct arena *arena, const uint8_t *bytes,
                     size_t size, struct format_error *error)
{
    struct reader reader = {.file = file, .arena = arena, .bytes = bytes, .error = error};
    *file = (struct safetensors){0};
    return read_file(&reader, size);
}

int safetensors_read_weights(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                             size_t size, struct format_error *error)
{
    struct safetensors file = {0};
    struct reader reader = {
        .file = &file, .arena = arena, .bytes = bytes, .is_foreign = true, .error = error};
    const int status = read_file(&reader, size);
    *list = file.list;
    return status;
}

/* ---- values that are JSON ---- */

/* The array of the key, to be deleted. NULL: *error. */
static cJSON *parse_array(const struct safetensors_metadata *metadata, const char *key,
                          struct format_error *error)
{
    const char *value = safetensors_find(metadata, key);
    cJSON *array = value ? cJSON_ParseWithOpts(value, NULL, true) : NULL;
    if (cJSON_IsArray(array))
        return array;
    cJSON_Delete(array);
    format_error_set(error, FORMAT_NO_OFFSET, "metadata \"%s\" is not a JSON array", key);
    return NULL;
}

int safetensors_texts(const struct safetensors_metadata *metadata, const char *key,
                      struct arena *arena, struct text **ret_texts, uint32_t *ret_n,
                      struct format_error *error)
{
    cJSON *array = parse_array(metadata, key, error);
    if (array == NULL)
        return -1;
    struct text *texts = arena_calloc(arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *texts);
    uint32_t n = 0;
    int status = texts ? 0 : format_error_memory(error);
    for (const cJSON *item = array->child; item && status == 0; item = item->next) {
        if (!cJSON_IsString(item)) {
            status =
                format_error_set(error, FORMAT_NO_OFFSET, "metadata \"%s\" is not of texts", key);
            break;
        }
        const size_t length = strlen(item->valuestring);
        texts[n] = (struct text){arena_copy_text(arena, item->valuestring, length), length};
        if (texts[n++].at == NULL)
            status = format_error_memory(error);
    }
    cJSON_Delete(array);
    *ret_texts = texts;
    *ret_n = n;
    return status;
}

int safetensors_numbers(const struct safetensors_metadata *metadata, const char *key,
                        struct arena *arena, double **ret_numbers, uint32_t *ret_n,
                        struct format_error *error)
{
    cJSON *array = parse_array(metadata, key, error);
    if (array == NULL)
        return -1;
    double *numbers = arena_calloc(arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *numbers);
    uint32_t n = 0;
    int status = numbers ? 0 : format_error_memory(error);
    for (const cJSON *item = array->child; item && status == 0; item = item->next) {
        if (cJSON_IsNumber(item) && __builtin_isfinite(item->valuedouble))
            numbers[n++] = item->valuedouble;
        else
            status = format_error_set(error, FORMAT_NO_OFFSET,
                                      "metadata \"%s\" is not of finite numbers", key);
    }
    cJSON_Delete(array);
    *ret_numbers = numbers;
    *ret_n = n;
    return status;
}

const char *safetensors_print_texts(struct arena *arena, const struct text *texts, uint32_t n)
{
    cJSON *array = cJSON_CreateArray();
    bool good = array != NULL;
    for (uint32_t i = 0; i < n && good; i++) {
        const struct text text = texts[i];
        const char *copy = arena_copy_text(arena, text.at, text.length);
        good = copy && memchr(copy, '\0', text.length) == NULL &&
               text_utf8_valid_length(copy, text.length) == text.length &&
               cJSON_AddItemToArray(array, cJSON_CreateString(copy));
    }
    char *printed = good ? cJSON_PrintUnformatted(array) : NULL;
    const char *result = printed ? arena_copy_text(arena, printed, strlen(printed)) : NULL;
    cJSON_free(printed);
    cJSON_Delete(array);
    return result;
}

/* ---- writing ---- */

/* The largest power of two up to SAFETENSORS_ALIGNMENT that divides the tensor's bytes. */
static size_t alignment_of(const struct tensor *tensor)
{
    const size_t bits = safetensors_bytes(tensor) | SAFETENSORS_ALIGNMENT;
    return bits & -bits;
}

static int by_place(const void *a, const void *b)
{
    const size_t of_a = alignment_of(a), of_b = alignment_of(b);
    if (of_a != of_b)
        return of_a > of_b ? -1 : 1;
    return text_compare(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* Everything but the checksum of the header itself. */
static bool add_metadata(cJSON *root, const struct tensor_list *list,
                         const struct safetensors_metadata *metadata)
{
    cJSON *object = cJSON_AddObjectToObject(root, METADATA);
    bool good = object && cJSON_AddStringToObject(object, CHECKSUM, zeros) &&
                cJSON_AddStringToObject(object, "format", FORMAT_NAME) &&
                cJSON_AddStringToObject(
                    object, "version",
                    versions[metadata->needs_newest ? SAFETENSORS_NEWEST : SAFETENSORS_PLAIN]);
    for (size_t i = 0; i < metadata->n_entries && good; i++)
        good =
            cJSON_AddStringToObject(object, metadata->entries[i].key, metadata->entries[i].value);
    for (size_t i = 0; i < list->n_tensors && good; i++) {
        const struct tensor *tensor = &list->tensors[i];
        char key[KEY_MAX], digits[CHECKSUM_DIGITS + 1];
        checksum_print(checksum_of(tensor->data, safetensors_bytes(tensor)), digits);
        good = checksum_key(key, tensor->name) && cJSON_AddStringToObject(object, key, digits);
    }
    return good;
}

static bool add_number(cJSON *array, uint64_t number)
{
    return array && cJSON_AddItemToArray(array, cJSON_CreateNumber((double)number));
}

static bool add_tensor(cJSON *root, const struct tensor *tensor, uint64_t from)
{
    char name[KEY_MAX];
    snprintf(name, sizeof name, "%.*s", (int)tensor->name.length, tensor->name.at);
    cJSON *object = cJSON_AddObjectToObject(root, name);
    bool good = object &&
                cJSON_AddStringToObject(object, "dtype", tensor_dtype_name(tensor->dtype)) != NULL;
    cJSON *shape = good ? cJSON_AddArrayToObject(object, "shape") : NULL;
    for (unsigned i = 0; i < tensor->n_dims && good; i++)
        good = add_number(shape, tensor->sizes[i]);
    cJSON *offsets = good ? cJSON_AddArrayToObject(object, "data_offsets") : NULL;
    return good && add_number(offsets, from) &&
           add_number(offsets, from + safetensors_bytes(tensor));
}

/* Length, header, spaces, and the header's checksum in its place. */
static int finish_header(const char *json, struct arena *arena, struct text *ret_header,
                         struct format_error *error)
{
    const size_t length = strlen(json), unit = SAFETENSORS_ALIGNMENT;
    const size_t total = (LENGTH_BYTES + length + unit - 1) / unit * unit;
    const uint64_t header_size = total - LENGTH_BYTES;
    char *out = arena_alloc(arena, total), digits[CHECKSUM_DIGITS + 1];
    if (out == NULL)
        return format_error_memory(error);
    if (header_size > SAFETENSORS_HEADER_MAX)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "the header would have %zu bytes: too many columns or layers",
                                length);
    memcpy(out, &header_size, LENGTH_BYTES);
    memcpy(out + LENGTH_BYTES, json, length);
    memset(out + LENGTH_BYTES + length, ' ', total - LENGTH_BYTES - length);
    checksum_print(checksum_of(out + LENGTH_BYTES, header_size), digits);
    memcpy(out + LENGTH_BYTES + CHECKSUM_PLACE, digits, CHECKSUM_DIGITS);
    *ret_header = (struct text){out, total};
    return 0;
}

int safetensors_header(struct tensor_list *list, const struct safetensors_metadata *metadata,
                       struct arena *arena, struct text *ret_header, struct format_error *error)
{
    if (list->n_tensors)
        qsort(list->tensors, list->n_tensors, sizeof *list->tensors, by_place);
    cJSON *root = cJSON_CreateObject();
    bool good = root && add_metadata(root, list, metadata);
    uint64_t from = 0;
    for (size_t i = 0; i < list->n_tensors && good; i++) {
        good = add_tensor(root, &list->tensors[i], from);
        from += safetensors_bytes(&list->tensors[i]);
    }
    char *json = good ? cJSON_PrintUnformatted(root) : NULL;
    const int status =
        json ? finish_header(json, arena, ret_header, error) : format_error_memory(error);
    cJSON_free(json);
    cJSON_Delete(root);
    return status;
}
