/* SPDX-License-Identifier: Apache-2.0 */
#include "build_pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opcodes and values */

void pickle_op(struct bytes *bytes, enum pickle_opcode opcode)
{
    bytes_u8(bytes, opcode);
}

void pickle_proto(struct bytes *bytes, unsigned protocol)
{
    pickle_op(bytes, OP_PROTO);
    bytes_u8(bytes, protocol);
}

void pickle_text(struct bytes *bytes, const char *text)
{
    pickle_op(bytes, OP_BINUNICODE);
    bytes_u32(bytes, (uint32_t)strlen(text));
    bytes_text(bytes, text);
}

void pickle_bytes(struct bytes *bytes, const void *at, size_t size)
{
    pickle_op(bytes, OP_BINBYTES);
    bytes_u32(bytes, (uint32_t)size);
    bytes_add(bytes, at, size);
}

void pickle_int(struct bytes *bytes, long long value)
{
    if (value >= INT32_MIN && value <= INT32_MAX) {
        pickle_op(bytes, OP_BININT);
        bytes_u32(bytes, (uint32_t)value);
    } else {
        pickle_op(bytes, OP_LONG1);
        bytes_u8(bytes, 8);
        bytes_u64(bytes, (uint64_t)value);
    }
}

void pickle_global(struct bytes *bytes, const char *module, const char *name)
{
    pickle_op(bytes, OP_GLOBAL);
    bytes_text(bytes, module);
    bytes_u8(bytes, '\n');
    bytes_text(bytes, name);
    bytes_u8(bytes, '\n');
}

void pickle_stack_global(struct bytes *bytes, const char *module, const char *name)
{
    pickle_text(bytes, module);
    pickle_text(bytes, name);
    pickle_op(bytes, OP_STACK_GLOBAL);
}

void pickle_put(struct bytes *bytes, unsigned slot)
{
    pickle_op(bytes, OP_BINPUT);
    bytes_u8(bytes, slot);
}

void pickle_get_slot(struct bytes *bytes, unsigned slot)
{
    pickle_op(bytes, OP_BINGET);
    bytes_u8(bytes, slot);
}

void pickle_int_tuple(struct bytes *bytes, const long long *values, unsigned n)
{
    pickle_op(bytes, OP_MARK);
    for (unsigned i = 0; i < n; i++)
        pickle_int(bytes, values[i]);
    pickle_op(bytes, OP_TUPLE);
}

void pickle_empty_ordered_dict(struct bytes *bytes)
{
    pickle_global(bytes, "collections", "OrderedDict");
    pickle_op(bytes, OP_EMPTY_TUPLE);
    pickle_op(bytes, OP_REDUCE);
}

void pickle_storage(struct bytes *bytes, const struct tensor_spec *tensor)
{
    pickle_op(bytes, OP_MARK);
    pickle_text(bytes, "storage");
    pickle_global(bytes, "torch", tensor->storage_type);
    pickle_text(bytes, tensor->key);
    pickle_text(bytes, tensor->location ? tensor->location : "cpu");
    pickle_int(bytes, tensor->storage_elements);
    pickle_op(bytes, OP_TUPLE);
    pickle_op(bytes, OP_BINPERSID);
}

void pickle_tensor(struct bytes *bytes, const struct tensor_spec *tensor)
{
    pickle_global(bytes, "torch._utils", "_rebuild_tensor_v2");
    pickle_op(bytes, OP_MARK);
    pickle_storage(bytes, tensor);
    pickle_int(bytes, tensor->offset);
    pickle_int_tuple(bytes, tensor->sizes, tensor->n_dims);
    pickle_int_tuple(bytes, tensor->strides, tensor->n_dims);
    pickle_op(bytes, OP_NEWFALSE);
    pickle_empty_ordered_dict(bytes);
    pickle_op(bytes, OP_TUPLE);
    pickle_op(bytes, OP_REDUCE);
}

void pickle_state_dict(struct bytes *bytes, const struct tensor_spec *tensors, size_t n)
{
    pickle_proto(bytes, 2);
    pickle_empty_ordered_dict(bytes);
    pickle_op(bytes, OP_MARK);
    for (size_t i = 0; i < n; i++) {
        pickle_text(bytes, tensors[i].name);
        pickle_tensor(bytes, &tensors[i]);
    }
    pickle_op(bytes, OP_SETITEMS);
    pickle_op(bytes, OP_STOP);
}

static struct arena loaded;
static uint8_t *loaded_copy; /* what the values point into */

void pickle_unload(void)
{
    arena_free(&loaded);
    free(loaded_copy);
    loaded_copy = NULL;
}

struct pickle_value *pickle_load(struct bytes *bytes)
{
    pickle_unload();
    arena_init(&loaded, (size_t)256 * 1024 * 1024);
    size_t size = bytes->size;
    loaded_copy = malloc(size);
    if (loaded_copy == NULL)
        abort();
    memcpy(loaded_copy, bytes->at, size);
    bytes_free(bytes);
    struct pickle_value *value = NULL;
    struct format_error error;
    if (pickle_read(&loaded, loaded_copy, size, &value, &error) == 0)
        return value;
    fprintf(stderr, "    refused: %s\n", error.message);
    return NULL;
}

size_t pickle_loaded_bytes(void)
{
    return loaded.used_bytes;
}

void zip_image_torch(struct zip_image *image, const struct bytes *pickle, const void *storage,
                     size_t size)
{
    zip_image_start(image, ZIP_TORCH);
    zip_image_add(image, "m/data.pkl", pickle->at, pickle->size);
    zip_image_add(image, "m/byteorder", "little", 6);
    zip_image_add(image, "m/data/0", storage, size);
    zip_image_add(image, "m/version", "3\n", 2);
    zip_image_finish(image);
}

/* ---- numpy arrays */

const struct array_spec array_doubles = {
    .dtype = "f8", .shape = 2, .data = TWO_DOUBLES, .size = 16};
const struct array_spec array_objects = {.dtype = "O8",
                                         .order = "|",
                                         .shape = 2,
                                         .data = TWO_TEXTS,
                                         .size = sizeof TWO_TEXTS - 1,
                                         .objects = true};
const struct array_spec array_wide = {.dtype = "U3", .shape = 2, .data = TWO_WIDE, .size = 24};

static void add_dtype(struct bytes *out, const struct array_spec *array)
{
    pickle_global(out, "numpy", "dtype");
    pickle_text(out, array->dtype);
    pickle_op(out, OP_NEWFALSE);
    pickle_op(out, OP_NEWTRUE);
    pickle_op(out, OP_TUPLE3);
    pickle_op(out, OP_REDUCE);
    if (array->state_size == NO_STATE)
        return;
    if (array->state) {
        bytes_add(out, array->state, array->state_size);
    } else {
        pickle_op(out, OP_MARK);
        pickle_int(out, 3);
        pickle_text(out, array->order ? array->order : "<");
        for (unsigned i = 0; i < 3; i++)
            pickle_op(out, OP_NONE);
        pickle_int(out, -1);
        pickle_int(out, -1);
        pickle_int(out, 0);
        pickle_op(out, OP_TUPLE);
    }
    pickle_op(out, OP_BUILD);
}

static void add_shape(struct bytes *out, const struct array_spec *array)
{
    if (array->shape_as) {
        bytes_add(out, array->shape_as, array->shape_size);
    } else {
        pickle_int(out, array->shape);
        pickle_op(out, OP_TUPLE1);
    }
}

static void add_data(struct bytes *out, const struct array_spec *array)
{
    if (array->objects)
        bytes_add(out, array->data, array->size);
    else
        pickle_bytes(out, array->data, array->size);
}

void pickle_array(struct bytes *out, const struct array_spec *array)
{
    if (array->buffer) {
        pickle_global(out, "numpy._core.numeric", "_frombuffer");
        pickle_op(out, OP_MARK);
        add_data(out, array);
        add_dtype(out, array);
        add_shape(out, array);
        pickle_text(out, array->fortran ? "F" : "C");
        pickle_op(out, OP_TUPLE);
        pickle_op(out, OP_REDUCE);
        return;
    }
    pickle_global(out, "numpy.core.multiarray", "_reconstruct");
    pickle_global(out, "numpy", "ndarray");
    pickle_int(out, 0);
    pickle_op(out, OP_TUPLE1);
    pickle_bytes(out, "b", 1);
    pickle_op(out, OP_TUPLE3);
    pickle_op(out, OP_REDUCE);
    pickle_op(out, OP_MARK);
    pickle_int(out, 1);
    add_shape(out, array);
    add_dtype(out, array);
    pickle_op(out, array->fortran ? OP_NEWTRUE : OP_NEWFALSE);
    add_data(out, array);
    pickle_op(out, OP_TUPLE);
    pickle_op(out, OP_BUILD);
}

/* ---- pairs of a StandardScaler and encoders */

void part_set_array(struct bytes *part, const struct array_spec *array)
{
    bytes_free(part);
    pickle_array(part, array);
}

void part_set(struct bytes *part, const void *at, size_t size)
{
    bytes_free(part);
    bytes_add(part, at, size);
}

/* Column and LabelEncoder on the stack, its classes the opcodes in `classes`. */
void pickle_encoder(struct bytes *out, const char *column, const struct bytes *classes)
{
    pickle_text(out, column);
    pickle_global(out, "sklearn.preprocessing._label", "LabelEncoder");
    pickle_op(out, OP_EMPTY_TUPLE);
    pickle_op(out, OP_NEWOBJ);
    pickle_op(out, OP_EMPTY_DICT);
    pickle_text(out, "classes_");
    bytes_add(out, classes->at, classes->size);
    pickle_op(out, OP_SETITEM);
    pickle_op(out, OP_BUILD);
}

void pair_set_classes(struct pair *pair, const struct array_spec *array)
{
    struct bytes classes = {0};
    pickle_array(&classes, array);
    bytes_free(&pair->encoders);
    pickle_encoder(&pair->encoders, "cate", &classes);
    bytes_free(&classes);
}

struct pair pair_good(void)
{
    struct pair pair = {0};
    part_set_array(&pair.mean, &array_doubles);
    part_set_array(&pair.scale, &array_doubles);
    part_set_array(&pair.names, &array_objects);
    pickle_int(&pair.width, 2);
    pair_set_classes(&pair, &array_wide);
    return pair;
}

void pair_share_classes(struct pair *pair, const struct array_spec *array, unsigned n_columns)
{
    struct bytes classes = {0}, again = {0};
    pickle_array(&classes, array);
    pickle_put(&classes, 0);
    pickle_get_slot(&again, 0);
    bytes_free(&pair->encoders);
    for (unsigned i = 0; i < n_columns; i++) {
        char column[16];
        snprintf(column, sizeof column, "c%u", i);
        pickle_encoder(&pair->encoders, column, i == 0 ? &classes : &again);
    }
    bytes_free(&classes);
    bytes_free(&again);
}

static void add_attribute(struct bytes *out, const char *name, const struct bytes *value)
{
    if (value->size == 0)
        return;
    pickle_text(out, name);
    bytes_add(out, value->at, value->size);
}

/* The pickle of the pair; empties the pair. */
struct bytes pair_pickle(struct pair *pair)
{
    struct bytes out = {0};
    pickle_proto(&out, 4);
    pickle_global(&out, "sklearn.preprocessing._data", "StandardScaler");
    pickle_op(&out, OP_EMPTY_TUPLE);
    pickle_op(&out, OP_NEWOBJ);
    pickle_op(&out, OP_EMPTY_DICT);
    pickle_op(&out, OP_MARK);
    add_attribute(&out, "mean_", &pair->mean);
    add_attribute(&out, "scale_", &pair->scale);
    add_attribute(&out, "feature_names_in_", &pair->names);
    add_attribute(&out, "n_features_in_", &pair->width);
    pickle_op(&out, OP_SETITEMS);
    pickle_op(&out, OP_BUILD);
    pickle_op(&out, OP_EMPTY_DICT);
    pickle_op(&out, OP_MARK);
    bytes_add(&out, pair->encoders.at, pair->encoders.size);
    pickle_op(&out, OP_SETITEMS);
    pickle_op(&out, OP_TUPLE2);
    pickle_op(&out, OP_STOP);
    bytes_free(&pair->mean);
    bytes_free(&pair->scale);
    bytes_free(&pair->names);
    bytes_free(&pair->width);
    bytes_free(&pair->encoders);
    return out;
}
