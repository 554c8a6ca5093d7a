/* SPDX-License-Identifier: Apache-2.0 */
#include "format/numpy_array.h"

static int fail(struct format_error *error, const struct pickle_value *value, const char *what,
                const char *reason)
{
    return format_error_set(error, value->offset, "%s %s", what, reason);
}

/* "f8", "<U12", "O": a letter and a width, with or without a byte order before it. */
static bool parse_type(struct text text, struct numpy_type *type)
{
    size_t i = 0;
    *type = (struct numpy_type){0};
    if (text.length > 0 && strchr("<>|=", text.at[0])) {
        type->big_endian = text.at[0] == '>';
        i = 1;
    }
    if (i == text.length)
        return false;
    type->kind = text.at[i++];
    for (; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || type->width > UINT32_MAX / 64)
            return false;
        type->width = type->width * 10 + (uint32_t)(text.at[i] - '0');
    }
    return true;
}

/* numpy.dtype("f8", align, copy) with the state (version, byte order, ..) */
bool numpy_type_read(const struct pickle_value *dtype, struct numpy_type *ret_type)
{
    if (!pickle_is_record(dtype, PICKLE_DTYPE) || dtype->record.arguments->n < 1 ||
        dtype->record.arguments->items[0]->kind != PICKLE_TEXT ||
        !parse_type(dtype->record.arguments->items[0]->text, ret_type))
        return false;
    const struct pickle_value *state = dtype->record.state;
    if (state == NULL)
        return true;
    if (state->kind != PICKLE_TUPLE || state->n < 2 || state->items[1]->kind != PICKLE_TEXT ||
        state->items[1]->text.length != 1)
        return false;
    ret_type->big_endian = state->items[1]->text.at[0] == '>';
    return true;
}

uint64_t numpy_type_size(const struct numpy_type *type)
{
    if (type->kind == 'O')
        return 0;
    return type->kind == 'U' ? 4 * (uint64_t)type->width : type->width;
}

static int read_shape(const struct pickle_value *shape, const char *what, struct numpy_array *array,
                      struct format_error *error)
{
    if (shape->kind != PICKLE_TUPLE || shape->n != 1 || shape->items[0]->kind != PICKLE_INTEGER ||
        shape->items[0]->integer < 0 || shape->items[0]->integer > INT32_MAX)
        return fail(error, shape, what, "is not an array of one dimension");
    array->n = (uint32_t)shape->items[0]->integer;
    return 0;
}

int numpy_array_read(const struct pickle_value *value, const char *what,
                     struct numpy_array *ret_array, struct format_error *error)
{
    const struct pickle_value *shape, *dtype;
    struct numpy_array array = {0};
    if (pickle_is_record(value, PICKLE_RECONSTRUCT)) {
        /* _reconstruct(ndarray, (0,), b'b') with the state (version, shape, dtype, is_fortran,
         * data) */
        const struct pickle_value *state = value->record.state;
        if (state == NULL || state->kind != PICKLE_TUPLE || state->n != 5)
            return fail(error, value, what, "is an array without contents");
        shape = state->items[1];
        dtype = state->items[2];
        array.data = state->items[4];
    } else if (pickle_is_record(value, PICKLE_FROMBUFFER) && value->record.arguments->n >= 3) {
        /* _frombuffer(data, dtype, shape, order) */
        array.data = value->record.arguments->items[0];
        dtype = value->record.arguments->items[1];
        shape = value->record.arguments->items[2];
    } else {
        return format_error_set(error, value->offset, "%s is %s, not a numpy array", what,
                                pickle_describe(value));
    }
    if (read_shape(shape, what, &array, error) != 0)
        return -1;
    if (!numpy_type_read(dtype, &array.type))
        return fail(error, dtype, what, "has no numpy dtype that is known here");
    *ret_array = array;
    return 0;
}

const uint8_t *numpy_array_bytes(const struct numpy_array *array)
{
    const uint64_t size = array->n * numpy_type_size(&array->type);
    if (array->data->kind != PICKLE_BYTES || array->data->text.length != size)
        return NULL;
    return (const uint8_t *)array->data->text.at;
}

uint64_t numpy_integer_at(const struct numpy_type *type, const uint8_t *at)
{
    uint64_t bits = 0;
    for (unsigned k = 0; k < type->width; k++)
        bits |= (uint64_t)at[type->big_endian ? type->width - 1 - k : k] << 8 * k;
    const unsigned unused = 64 - 8 * type->width;
    return type->kind == 'i' ? (uint64_t)((int64_t)(bits << unused) >> unused) : bits;
}

double numpy_double_at(const struct numpy_type *type, const uint8_t *at)
{
    if (numpy_type_is_integer(type)) {
        const uint64_t bits = numpy_integer_at(type, at);
        return type->kind == 'i' ? (double)(int64_t)bits : (double)bits;
    }
    uint8_t bytes[8] = {0};
    for (unsigned i = 0; i < type->width; i++)
        bytes[i] = at[type->big_endian ? type->width - 1 - i : i];
    if (type->width == 8) {
        double value;
        memcpy(&value, bytes, sizeof value);
        return value;
    }
    float value;
    memcpy(&value, bytes, sizeof value);
    return (double)value;
}

int numpy_array_doubles(const struct pickle_value *value, const char *what, struct arena *arena,
                        double **ret_values, uint32_t *ret_n, struct format_error *error)
{
    struct numpy_array array;
    if (numpy_array_read(value, what, &array, error) != 0)
        return -1;
    if (!numpy_type_is_float(&array.type) && !numpy_type_is_integer(&array.type))
        return fail(error, value, what, "is not an array of numbers");
    const uint8_t *bytes = numpy_array_bytes(&array);
    if (bytes == NULL)
        return fail(error, value, what, "has not as many bytes as its shape says");
    double *values = arena_calloc(arena, (size_t)array.n + 1, sizeof *values);
    if (values == NULL)
        return format_error_memory(error);
    for (uint32_t i = 0; i < array.n; i++)
        values[i] = numpy_double_at(&array.type, bytes + (size_t)i * array.type.width);
    *ret_values = values;
    *ret_n = array.n;
    return 0;
}
