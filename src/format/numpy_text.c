/* SPDX-License-Identifier: Apache-2.0 */
/* numpy_text.c: elements of numpy arrays as the texts that pandas' astype(str) gives them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/little_endian.h"
#include "format/numpy_array.h"
#include "number.h"

enum { FLOAT_DIGITS = 9 }; /* that tell all float32 apart */

/* scalar(dtype, bytes); the bytes are an element. */
static const uint8_t *scalar_bytes(const struct pickle_value *value, struct numpy_type *ret_type)
{
    const struct pickle_value *arguments =
        pickle_is_record(value, PICKLE_SCALAR) ? value->record.arguments : NULL;
    if (arguments == NULL || arguments->n != 2 || !numpy_type_read(arguments->items[0], ret_type) ||
        arguments->items[1]->kind != PICKLE_BYTES || ret_type->kind == 'O' ||
        arguments->items[1]->text.length != numpy_type_size(ret_type))
        return NULL;
    return (const uint8_t *)arguments->items[1]->text.at;
}

/* What texts are made of, and where they go. */
struct texts {
    const char *what;
    struct arena *arena;
    struct text *at;    /* [n] */
    uint32_t nan, none; /* the element that is the missing value, or NUMPY_NONE_MISSING */
    struct format_error *error;
};

static int refuse(const struct texts *texts, uint32_t offset, const char *reason)
{
    return format_error_set(texts->error, offset, "%s %s", texts->what, reason);
}

static int set_text(struct texts *texts, uint32_t i, const char *at, size_t length)
{
    char *copy = arena_copy_text(texts->arena, at, length);
    if (copy == NULL)
        return format_error_memory(texts->error);
    texts->at[i] = (struct text){copy, length};
    return 0;
}

/* str(float), of a float32 the shortest digits that are it. */
static int set_float(struct texts *texts, uint32_t i, double number, bool is_narrow)
{
    char out[NUMBER_REPR_MAX];
    if (isnan(number))
        texts->nan = i;
    for (int digits = 1; is_narrow && digits <= FLOAT_DIGITS; digits++) {
        snprintf(out, sizeof out, "%.*g", digits, number);
        if (strtof(out, NULL) == (float)number) {
            number = strtod(out, NULL);
            break;
        }
    }
    return set_text(texts, i, out, number_print_repr(number, out));
}

static int set_integer(struct texts *texts, uint32_t i, uint64_t bits, bool is_signed)
{
    char out[NUMBER_REPR_MAX];
    const int length = is_signed ? snprintf(out, sizeof out, "%" PRId64, (int64_t)bits)
                                 : snprintf(out, sizeof out, "%" PRIu64, bits);
    return set_text(texts, i, out, (size_t)length);
}

static int set_bool(struct texts *texts, uint32_t i, bool value)
{
    texts->at[i] = text_of(value ? "True" : "False");
    return 0;
}

/* `type->width` code points of 4 bytes, filled up with zeros. */
static int set_wide(struct texts *texts, uint32_t i, const struct numpy_type *type,
                    const uint8_t *at, uint32_t offset)
{
    uint32_t n = type->width;
    while (n > 0 && le32(at + 4 * (size_t)(n - 1)) == 0)
        n--;
    char *const start = arena_alloc(texts->arena, 4 * (size_t)n);
    char *out = start;
    if (start == NULL)
        return format_error_memory(texts->error);
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t raw = le32(at + 4 * (size_t)k);
        const uint32_t c = type->big_endian ? __builtin_bswap32(raw) : raw;
        if (c > 0x10FFFF)
            return refuse(texts, offset, "holds something that is not Unicode");
        out = text_put_utf8(out, c);
    }
    texts->at[i] = (struct text){start, (size_t)(out - start)};
    return 0;
}

/* Whether elements of the type have a text. */
static bool has_text(const struct numpy_type *type)
{
    return type->kind == 'U' || numpy_type_is_float(type) || numpy_type_is_integer(type) ||
           (type->kind == 'b' && type->width == 1);
}

/* An element in memory, of a type that has_text(). */
static int set_element(struct texts *texts, uint32_t i, const struct numpy_type *type,
                       const uint8_t *at, uint32_t offset)
{
    switch (type->kind) {
    case 'U':
        return set_wide(texts, i, type, at, offset);
    case 'f':
        return set_float(texts, i, numpy_double_at(type, at), type->width == 4);
    case 'b':
        return set_bool(texts, i, *at != 0);
    default:
        return set_integer(texts, i, numpy_integer_at(type, at), type->kind == 'i');
    }
}

static int set_object(struct texts *texts, uint32_t i, const struct pickle_value *item)
{
    struct numpy_type type;
    switch ((enum pickle_kind)item->kind) {
    case PICKLE_TEXT:
        texts->at[i] = item->text;
        return 0;
    case PICKLE_INTEGER:
        return set_integer(texts, i, (uint64_t)item->integer, true);
    case PICKLE_FLOAT:
        return set_float(texts, i, item->number, false);
    case PICKLE_BOOL:
        return set_bool(texts, i, item->integer);
    case PICKLE_NONE:
        texts->none = i;
        texts->at[i] = text_of("None");
        return 0;
    default:
        break;
    }
    const uint8_t *bytes = scalar_bytes(item, &type);
    if (bytes && has_text(&type))
        return set_element(texts, i, &type, bytes, item->offset);
    return format_error_set(texts->error, item->offset,
                            "%s holds %s where a text or a number is expected", texts->what,
                            pickle_describe(item));
}

static int set_objects(struct texts *texts, const struct numpy_array *array)
{
    const struct pickle_value *list = array->data;
    if (list->kind == PICKLE_TEXTS) {
        pickle_texts(list, texts->at);
        return 0;
    }
    for (uint32_t i = 0; i < list->n; i++)
        if (set_object(texts, i, list->items[i]) != 0)
            return -1;
    return 0;
}

static int set_elements(struct texts *texts, const struct numpy_array *array, uint32_t offset)
{
    const uint8_t *bytes = (const uint8_t *)array->data->text.at;
    const size_t size = (size_t)numpy_type_size(&array->type);
    for (uint32_t i = 0; i < array->n; i++)
        if (set_element(texts, i, &array->type, bytes + i * size, offset) != 0)
            return -1;
    return 0;
}

/* Whether as many elements are there as the shape says: a count beyond them would be a lie. */
static bool is_complete(const struct numpy_array *array)
{
    if (array->type.kind != 'O')
        return numpy_array_bytes(array) && (array->n == 0 || array->type.width > 0);
    return (array->data->kind == PICKLE_LIST || array->data->kind == PICKLE_TEXTS) &&
           array->data->n == array->n;
}

int numpy_array_texts(const struct pickle_value *value, const char *what, struct arena *arena,
                      struct text **ret_texts, uint32_t *ret_n, uint32_t *ret_missing,
                      struct format_error *error)
{
    struct numpy_array array;
    struct texts texts = {.what = what,
                          .arena = arena,
                          .nan = NUMPY_NONE_MISSING,
                          .none = NUMPY_NONE_MISSING,
                          .error = error};
    if (numpy_array_read(value, what, &array, error) != 0)
        return -1;
    if (array.type.kind != 'O' && !has_text(&array.type))
        return format_error_set(error, value->offset,
                                "%s is an array of numpy's type %c%u; text, integers, floats or "
                                "bools are expected",
                                what, array.type.kind, array.type.width);
    if (!is_complete(&array))
        return refuse(&texts, value->offset, "has not as many items as its shape says");
    texts.at = arena_calloc(arena, (size_t)array.n + 1, sizeof *texts.at);
    if (texts.at == NULL)
        return format_error_memory(error);
    const int status = array.type.kind == 'O' ? set_objects(&texts, &array)
                                              : set_elements(&texts, &array, value->offset);
    if (status != 0)
        return -1;
    *ret_texts = texts.at;
    *ret_n = array.n;
    *ret_missing = texts.nan != NUMPY_NONE_MISSING ? texts.nan : texts.none;
    return 0;
}

bool numpy_scalar_double(const struct pickle_value *value, double *ret_number)
{
    struct numpy_type type;
    const uint8_t *bytes;
    if (value->kind == PICKLE_INTEGER || value->kind == PICKLE_BOOL)
        *ret_number = (double)value->integer;
    else if (value->kind == PICKLE_FLOAT)
        *ret_number = value->number;
    else if ((bytes = scalar_bytes(value, &type)) == NULL || !has_text(&type) || type.kind == 'U')
        return false;
    else
        *ret_number = type.kind == 'b' ? *bytes != 0 : numpy_double_at(&type, bytes);
    return true;
}
