/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joblib.c: arrays in files of joblib.dump(), which stand in the middle of the pickle.
 *
 * joblib pickles a NumpyArrayWrapper (shape, order, dtype, ..) for an array; where its unpickler
 * has given that its state, it reads the array from the file: one byte with the length of the
 * padding, the padding, and the elements; before 1.3 no padding; of an array of objects a pickle.
 */
#include "format/numpy_array.h"
#include "format/pickle_records.h"

/* The state of an array as numpy pickles it: (version, shape, dtype, is_fortran, data). */
enum { STATE_SHAPE = 1, STATE_DTYPE, STATE_FORTRAN, STATE_DATA, STATE_N };

static struct pickle_value *new_value(struct pickle_reader *r, enum pickle_kind kind)
{
    struct pickle_value *value = pickle_push_new(r, kind);
    if (value)
        r->stack.n--; /* not the stack's: part of another one */
    return value;
}

/* Passes over the padding, if the array has some. */
static int skip_padding(struct pickle_reader *r, const struct pickle_value *state)
{
    const struct pickle_value *alignment = pickle_get(state, "numpy_array_alignment_bytes");
    if (alignment == NULL || alignment->kind == PICKLE_NONE)
        return 0;
    if (r->at == r->end || *r->at >= r->end - r->at)
        return pickle_fail(r, "it ends in the middle of an array");
    r->at += 1 + *r->at;
    return 0;
}

/* The number of elements times their size; the product of an array's sizes may overflow. */
static bool count_bytes(const struct pickle_value *shape, uint64_t size, uint64_t *ret_bytes)
{
    *ret_bytes = size;
    for (uint32_t i = 0; i < shape->n; i++)
        if (shape->items[i]->kind != PICKLE_INTEGER || shape->items[i]->integer < 0 ||
            __builtin_mul_overflow(*ret_bytes, (uint64_t)shape->items[i]->integer, ret_bytes))
            return false;
    return true;
}

/* The elements of an array of numbers, or of texts of one width. */
static int read_elements(struct pickle_reader *r, const struct pickle_value *state,
                         const struct pickle_value *shape, uint64_t size,
                         struct pickle_value **ret_data)
{
    uint64_t n_bytes;
    if (skip_padding(r, state) != 0)
        return -1;
    if (!count_bytes(shape, size, &n_bytes) || n_bytes > (uint64_t)(r->end - r->at))
        return pickle_fail(r, "it ends in the middle of an array");
    *ret_data = new_value(r, PICKLE_BYTES);
    if (*ret_data == NULL)
        return -1;
    (*ret_data)->text = (struct text){(const char *)r->at, (size_t)n_bytes};
    r->at += n_bytes;
    return 0;
}

/* Puts an array as numpy pickles it in the wrapper's place. */
static int become_array(struct pickle_reader *r, struct pickle_value *record,
                        const struct pickle_value *shape, const struct pickle_value *dtype,
                        const struct pickle_value *data)
{
    struct pickle_value *state = new_value(r, PICKLE_TUPLE);
    struct pickle_value *none = new_value(r, PICKLE_NONE);
    const struct pickle_value **items = arena_calloc(r->arena, STATE_N, sizeof *items);
    if (state == NULL || none == NULL || items == NULL)
        return format_error_memory(r->error);
    items[0] = items[STATE_FORTRAN] = none;
    items[STATE_SHAPE] = shape;
    items[STATE_DTYPE] = dtype;
    items[STATE_DATA] = data;
    state->items = (struct pickle_value **)items;
    state->n = STATE_N;
    record->name = PICKLE_RECONSTRUCT;
    record->record.state = state;
    return 0;
}

/* The array of objects: a pickle in the pickle, which cannot hold another one. */
static int read_objects(struct pickle_reader *r, struct pickle_value *record)
{
    struct pickle_first inner;
    if (r->is_nested)
        return pickle_fail(r, "an array within an array");
    if (pickle_read_nested(r, &inner) != 0)
        return -1;
    if (!pickle_is_record(inner.value, PICKLE_RECONSTRUCT))
        return pickle_fail(r, "an array of objects is none");
    r->at += inner.size;
    record->name = PICKLE_RECONSTRUCT;
    record->record = inner.value->record;
    return 0;
}

int pickle_joblib_array(struct pickle_reader *r, struct pickle_value *record)
{
    const struct pickle_value *state = record->record.state;
    struct pickle_value *shape, *dtype, *data = NULL;
    struct numpy_type type;
    if (state->kind != PICKLE_DICT || (shape = pickle_get(state, "shape")) == NULL ||
        shape->kind != PICKLE_TUPLE || (dtype = pickle_get(state, "dtype")) == NULL ||
        !numpy_type_read(dtype, &type))
        return pickle_fail(r, "an array that is not described as joblib does");
    if (type.kind == 'O')
        return read_objects(r, record);
    if (read_elements(r, state, shape, numpy_type_size(&type), &data) != 0)
        return -1;
    return become_array(r, record, shape, dtype, data);
}
