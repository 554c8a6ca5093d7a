/* SPDX-License-Identifier: Apache-2.0 */
#include "format/numpy_array.h"

#include "format/little_endian.h"

/* The parts of an array, whichever way numpy pickled it. */
struct array {
    uint32_t n;
    char type;      /* 'f', 'O', 'U', .. */
    uint32_t width; /* bytes of 'f', code points of 'U' */
    bool big_endian;
    const struct pickle_value *data; /* BYTES, or a LIST or TEXTS of objects */
};

static int fail(struct format_error *error, const struct pickle_value *value, const char *what,
                const char *reason)
{
    return format_error_set(error, value->offset, "%s %s", what, reason);
}

/* "f8", "<U12", "O": a letter and a width, with or without a byte order before it. */
static bool parse_type(struct text text, struct array *array)
{
    size_t i = 0;
    if (text.length > 0 && strchr("<>|=", text.at[0])) {
        array->big_endian = text.at[0] == '>';
        i = 1;
    }
    if (i == text.length)
        return false;
    array->type = text.at[i++];
    array->width = 0;
    for (; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || array->width > UINT32_MAX / 64)
            return false;
        array->width = array->width * 10 + (uint32_t)(text.at[i] - '0');
    }
    return true;
}

/* numpy.dtype("f8", align, copy) with the state (version, byte order, ..) */
static int read_dtype(const struct pickle_value *value, const char *what, struct array *array,
                      struct format_error *error)
{
    if (value->kind != PICKLE_RECORD || value->name != PICKLE_DTYPE ||
        value->record.arguments->n < 1 || value->record.arguments->items[0]->kind != PICKLE_TEXT ||
        !parse_type(value->record.arguments->items[0]->text, array))
        return fail(error, value, what, "has no numpy dtype that is known here");
    const struct pickle_value *state = value->record.state;
    if (state && (state->kind != PICKLE_TUPLE || state->n < 2 ||
                  state->items[1]->kind != PICKLE_TEXT || state->items[1]->text.length != 1))
        return fail(error, value, what, "has no numpy dtype that is known here");
    if (state)
        array->big_endian = state->items[1]->text.at[0] == '>';
    return 0;
}

static int read_shape(const struct pickle_value *shape, const char *what, struct array *array,
                      struct format_error *error)
{
    if (shape->kind != PICKLE_TUPLE || shape->n != 1 || shape->items[0]->kind != PICKLE_INTEGER ||
        shape->items[0]->integer < 0 || shape->items[0]->integer > INT32_MAX)
        return fail(error, shape, what, "is not an array of one dimension");
    array->n = (uint32_t)shape->items[0]->integer;
    return 0;
}

static int read_array(const struct pickle_value *value, const char *what, struct array *ret_array,
                      struct format_error *error)
{
    const struct pickle_value *shape, *dtype;
    struct array array = {0};
    if (value->kind == PICKLE_RECORD && value->name == PICKLE_RECONSTRUCT) {
        /* _reconstruct(ndarray, (0,), b'b') with the state (version, shape, dtype, is_fortran,
         * data) */
        const struct pickle_value *state = value->record.state;
        if (state == NULL || state->kind != PICKLE_TUPLE || state->n != 5)
            return fail(error, value, what, "is an array without contents");
        shape = state->items[1];
        dtype = state->items[2];
        array.data = state->items[4];
    } else if (value->kind == PICKLE_RECORD && value->name == PICKLE_FROMBUFFER &&
               value->record.arguments->n >= 3) {
        /* _frombuffer(data, dtype, shape, order) */
        array.data = value->record.arguments->items[0];
        dtype = value->record.arguments->items[1];
        shape = value->record.arguments->items[2];
    } else {
        return format_error_set(error, value->offset, "%s is %s, not a numpy array", what,
                                pickle_describe(value));
    }
    if (read_shape(shape, what, &array, error) != 0 || read_dtype(dtype, what, &array, error) != 0)
        return -1;
    *ret_array = array;
    return 0;
}

/* The bytes of the array; they must be exactly `size` each. */
static int raw_bytes(const struct array *array, const struct pickle_value *value, const char *what,
                     uint64_t size, const uint8_t **ret_bytes, struct format_error *error)
{
    if (array->data->kind != PICKLE_BYTES || array->data->text.length != array->n * size)
        return fail(error, value, what, "has not as many bytes as its shape says");
    *ret_bytes = (const uint8_t *)array->data->text.at;
    return 0;
}

static double double_at(const uint8_t *at, unsigned width, bool big_endian)
{
    uint8_t bytes[8] = {0};
    for (unsigned i = 0; i < width; i++)
        bytes[i] = at[big_endian ? width - 1 - i : i];
    if (width == 8) {
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
    struct array array;
    const uint8_t *bytes = NULL;
    if (read_array(value, what, &array, error) != 0)
        return -1;
    if (array.type != 'f' || (array.width != 8 && array.width != 4))
        return fail(error, value, what, "is not an array of float64");
    if (raw_bytes(&array, value, what, array.width, &bytes, error) != 0)
        return -1;
    double *values = arena_calloc(arena, (size_t)array.n + 1, sizeof *values);
    if (values == NULL)
        return format_error_memory(error);
    for (uint32_t i = 0; i < array.n; i++)
        values[i] = double_at(bytes + (size_t)i * array.width, array.width, array.big_endian);
    *ret_values = values;
    *ret_n = array.n;
    return 0;
}

/* Elements of `width` code points of 4 bytes, filled up with zeros. */
static int wide_texts(const struct array *array, const struct pickle_value *value, const char *what,
                      struct arena *arena, struct text *texts, struct format_error *error)
{
    const uint8_t *bytes = NULL;
    if (raw_bytes(array, value, what, 4 * (uint64_t)array->width, &bytes, error) != 0)
        return -1;
    char *out = arena_alloc(arena, array->data->text.length);
    if (out == NULL)
        return format_error_memory(error);
    for (uint32_t i = 0; i < array->n; i++) {
        const char *start = out;
        uint32_t n = array->width;
        const uint8_t *element = bytes + 4 * (size_t)array->width * i;
        while (n > 0 && le32(element + 4 * (size_t)(n - 1)) == 0)
            n--;
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t raw = le32(element + 4 * (size_t)k);
            const uint32_t c = array->big_endian ? __builtin_bswap32(raw) : raw;
            if (c > 0x10FFFF)
                return fail(error, value, what, "holds something that is not Unicode");
            out = text_put_utf8(out, c);
        }
        texts[i] = (struct text){start, (size_t)(out - start)};
    }
    return 0;
}

static int object_texts(const struct array *array, const struct pickle_value *value,
                        const char *what, struct text *texts, struct format_error *error)
{
    const struct pickle_value *list = array->data;
    if ((list->kind != PICKLE_LIST && list->kind != PICKLE_TEXTS) || list->n != array->n)
        return fail(error, value, what, "has not as many items as its shape says");
    if (list->kind == PICKLE_TEXTS) {
        pickle_texts(list, texts);
        return 0;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        const struct pickle_value *item = list->items[i];
        if (item->kind != PICKLE_TEXT)
            return format_error_set(error, item->offset, "%s holds %s where a text is expected",
                                    what, pickle_describe(item));
        texts[i] = item->text;
    }
    return 0;
}

int numpy_array_texts(const struct pickle_value *value, const char *what, struct arena *arena,
                      struct text **ret_texts, uint32_t *ret_n, struct format_error *error)
{
    struct array array;
    if (read_array(value, what, &array, error) != 0)
        return -1;
    if (array.type != 'O' && array.type != 'U')
        return fail(error, value, what, "is not an array of text: fit it on astype(str)");
    /* Every text took bytes in the pickle, so a count beyond them is a lie. */
    const bool is_bytes = array.data->kind == PICKLE_BYTES;
    if (array.n > (is_bytes ? array.data->text.length : array.data->n))
        return fail(error, value, what, "has not as many items as its shape says");
    struct text *texts = arena_calloc(arena, (size_t)array.n + 1, sizeof *texts);
    if (texts == NULL)
        return format_error_memory(error);
    const int status = array.type == 'U' ? wide_texts(&array, value, what, arena, texts, error)
                                         : object_texts(&array, value, what, texts, error);
    if (status != 0)
        return -1;
    *ret_texts = texts;
    *ret_n = array.n;
    return 0;
}
