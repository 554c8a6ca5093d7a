/* SPDX-License-Identifier: Apache-2.0 */
#include "model/network.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"

enum { NAME_MAX_LENGTH = 64, SHAPE_MAX_LENGTH = 96 };

/* The state of one load: which tensors were asked for, and the block that is being filled. */
struct loader {
    const struct tensor_list *list;
    bool *used; /* [n_tensors] */
    struct network *network;
    struct arena *arena;
    const size_t *deep_numbers; /* [n_deep] */
    bool in_place;              /* embedding tables are not copied */
    float *at; /* next free float of the block; NULL while sizes are only counted */
    size_t n_floats;
    struct format_error *error;
};

__attribute__((format(printf, 2, 3))) static const struct tensor *find(struct loader *loader,
                                                                       const char *format, ...)
{
    char name[NAME_MAX_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const struct tensor *tensor = tensor_find(loader->list, name);
    if (tensor)
        loader->used[tensor - loader->list->tensors] = true;
    return tensor;
}

/* Finds the tensor and checks its shape: [rows, columns], or [rows] where columns is 0. */
__attribute__((format(printf, 5, 6))) static int require(struct loader *loader,
                                                         const struct tensor **ret_tensor,
                                                         size_t rows, size_t columns,
                                                         const char *format, ...)
{
    char name[NAME_MAX_LENGTH], expected[SHAPE_MAX_LENGTH], found[SHAPE_MAX_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const struct tensor shape = {.n_dims = columns ? 2 : 1, .sizes = {rows, columns}};
    tensor_print_shape(&shape, expected, sizeof expected);
    const struct tensor *tensor = find(loader, "%s", name);
    if (tensor == NULL)
        return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                "tensor \"%s\" of shape %s is missing", name, expected);
    if (tensor->n_dims != shape.n_dims || tensor->sizes[0] != rows ||
        (columns && tensor->sizes[1] != columns)) {
        tensor_print_shape(tensor, found, sizeof found);
        return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                "tensor \"%s\" has the shape %s; %s is expected", name, found,
                                expected);
    }
    if (!tensor_is_float(tensor))
        return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                "tensor \"%s\" is of dtype %s, not of FP32, FP64, FP16 or BF16",
                                name, tensor_dtype_name(tensor->dtype));
    *ret_tensor = tensor;
    return 0;
}

/* ---- first pass: find and check every tensor; second pass: copy into the block ---- */

/* Room for `n` floats from the next aligned place; NULL while counting. */
static float *reserve(struct loader *loader, size_t n)
{
    const size_t padded = kernel_padded(n);
    float *place = loader->at;
    loader->n_floats += padded;
    if (loader->at)
        loader->at += padded;
    return place;
}

/* Added to the exponent's bits, one in its last place carries into the sign bit of those that are
 * infinite or not a number, and of no other. */
static uint32_t not_finite(const float *values, size_t n)
{
    const uint32_t exponent = 0x7F800000, one = 0x00800000;
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & exponent) + one;
    }
    return found & 0x80000000;
}

static int check_finite(struct loader *loader, const struct tensor *tensor, const float *values)
{
    enum { BLOCK = 1024 }; /* a number known to the compiler, which then takes several at once */
    size_t i = 0;
    uint32_t found = 0;
    for (; i + BLOCK <= tensor->n_elements; i += BLOCK)
        found |= not_finite(values + i, BLOCK);
    found |= not_finite(values + i, tensor->n_elements - i);
    if (found)
        return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                "tensor \"%.*s\" holds a value that is not a finite float",
                                TEXT_SHOWN(tensor->name));
    return 0;
}

static int load_plain(struct loader *loader, const struct tensor *tensor, const float **ret_values)
{
    float *values = reserve(loader, tensor->n_elements);
    *ret_values = values;
    if (values == NULL)
        return 0;
    tensor_copy_f32(tensor, values);
    return check_finite(loader, tensor, values);
}

/* The same without a copy where the tensor stays and is as the network needs it. */
static int load_table(struct loader *loader, const struct tensor *tensor, const float **ret_values)
{
    if (!loader->in_place || tensor->dtype != TENSOR_F32 || !tensor_is_contiguous(tensor) ||
        (uintptr_t)tensor->data % sizeof(float) != 0)
        return load_plain(loader, tensor, ret_values);
    *ret_values = (const float *)(const void *)tensor->data;
    return loader->at ? check_finite(loader, tensor, *ret_values) : 0;
}

/* weight [n_out, n_in] of PyTorch becomes panels. */
static int load_linear(struct loader *loader, const struct tensor *weight,
                       const struct tensor *bias, struct linear *linear)
{
    const size_t n_out = weight->sizes[0], n_in = weight->sizes[1];
    float *packed = reserve(loader, n_in * kernel_padded(n_out));
    *linear = (struct linear){.n_in = n_in, .n_out = n_out, .weight = packed};
    if (packed) {
        float *rows = malloc(weight->n_elements * sizeof *rows + 1);
        if (rows == NULL)
            return format_error_memory(loader->error);
        tensor_copy_f32(weight, rows);
        const int status = check_finite(loader, weight, rows);
        for (size_t o = 0; o < n_out; o++)
            for (size_t i = 0; i < n_in; i++)
                packed[linear_place(linear, i, o)] = rows[o * n_in + i];
        free(rows);
        if (status != 0)
            return -1;
    }
    return load_plain(loader, bias, &linear->bias);
}

bool network_is_table(struct text name)
{
    static const char start[] = "embeddings.";
    return name.length >= sizeof start && memcmp(name.at, start, sizeof start - 1) == 0;
}

static int load_embeddings(struct loader *loader, const struct network_inputs *inputs)
{
    struct network *network = loader->network;
    network->width = inputs->n_dense;
    for (size_t i = 0; i < inputs->n_sparse; i++) {
        struct embedding *embedding = &network->embeddings[i];
        const struct text column = inputs->sparse_names[i];
        const uint64_t n_needed = inputs->rows_needed[i];
        const struct tensor *table = find(loader, "embeddings.%zu.weight", i);
        if (table == NULL)
            return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                    "tensor \"embeddings.%zu.weight\" of shape [%" PRIu64
                                    ", width] is missing: column \"%.*s\" needs it",
                                    i, n_needed, TEXT_SHOWN(column));
        if (!tensor_is_float(table))
            return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                    "tensor \"embeddings.%zu.weight\" is of dtype %s, not of FP32, "
                                    "FP64, FP16 or BF16",
                                    i, tensor_dtype_name(table->dtype));
        if (table->n_dims != 2 || table->sizes[1] == 0 || table->sizes[0] < n_needed ||
            table->sizes[0] > UINT32_MAX || table->sizes[1] > UINT32_MAX) {
            char found[SHAPE_MAX_LENGTH];
            tensor_print_shape(table, found, sizeof found);
            return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                    "tensor \"embeddings.%zu.weight\" has the shape %s; column "
                                    "\"%.*s\" has %u classes and needs [%" PRIu64 ", width]",
                                    i, found, TEXT_SHOWN(column), inputs->vocabulary_sizes[i],
                                    n_needed);
        }
        embedding->n_rows = (uint32_t)table->sizes[0];
        embedding->width = (uint32_t)table->sizes[1];
        network->width += embedding->width;
        if (load_table(loader, table, &embedding->rows) != 0)
            return -1;
    }
    return 0;
}

static int load_cross(struct loader *loader)
{
    struct network *network = loader->network;
    const size_t width = network->width;
    for (size_t l = 0; l < network->n_cross; l++) {
        struct cross_layer *layer = &network->cross[l];
        const char *linear_name = layer->kind == CROSS_FULL ? "" : ".0";
        const struct tensor *weight, *bias, *gamma, *beta;
        if (require(loader, &weight, width, width, "cross_layers.%zu%s.weight", l, linear_name) ||
            require(loader, &bias, width, 0, "cross_layers.%zu%s.bias", l, linear_name) ||
            load_linear(loader, weight, bias, &layer->linear))
            return -1;
        if (layer->kind == CROSS_LAYER_NORM &&
            (require(loader, &gamma, width, 0, "cross_layers.%zu.1.weight", l) ||
             require(loader, &beta, width, 0, "cross_layers.%zu.1.bias", l) ||
             load_plain(loader, gamma, &layer->gamma) || load_plain(loader, beta, &layer->beta)))
            return -1;
    }
    return 0;
}

static int load_deep(struct loader *loader)
{
    struct network *network = loader->network;
    size_t n_in = network->width;
    network->deep_widest = 0;
    for (size_t l = 0; l < network->n_deep; l++) {
        const size_t number = loader->deep_numbers[l];
        const struct tensor *weight = find(loader, "dnn.%zu.weight", number), *bias;
        const size_t n_out = weight && weight->n_dims == 2 ? weight->sizes[0] : 0;
        if (require(loader, &weight, n_out ? n_out : 1, n_in, "dnn.%zu.weight", number) ||
            require(loader, &bias, n_out, 0, "dnn.%zu.bias", number) ||
            load_linear(loader, weight, bias, &network->deep[l]))
            return -1;
        if (n_out > network->deep_widest)
            network->deep_widest = n_out;
        n_in = n_out;
    }
    network->deep_width = network->n_deep ? n_in : 0;
    return 0;
}

static int load_output(struct loader *loader)
{
    struct network *network = loader->network;
    const struct tensor *weight = find(loader, "output.weight"), *bias;
    /* torch.nn.Sequential without layers passes x0 on. */
    if (network->n_deep == 0 && weight && weight->n_dims == 2 &&
        weight->sizes[1] == 2 * network->width)
        network->deep_width = network->width;
    if (require(loader, &weight, 1, network->width + network->deep_width, "output.weight") ||
        require(loader, &bias, 1, 0, "output.bias"))
        return -1;
    const struct tensor cross = tensor_columns(weight, 0, network->width);
    const struct tensor deep = tensor_columns(weight, network->width, network->deep_width);
    const float *output_bias;
    if (load_plain(loader, &cross, &network->output_cross) ||
        load_plain(loader, &deep, &network->output_deep) || load_plain(loader, bias, &output_bias))
        return -1;
    if (output_bias)
        network->output_bias = *output_bias;
    return 0;
}

static int load_all(struct loader *loader, const struct network_inputs *inputs)
{
    return load_embeddings(loader, inputs) || load_cross(loader) || load_deep(loader) ||
                   load_output(loader)
               ? -1
               : 0;
}

/* Whether the layer has a weight or a bias: if one is missing the other tells of it. */
static bool has_layer(struct loader *loader, const char *stem, size_t i, const char *part)
{
    return find(loader, "%s.%zu%s.weight", stem, i, part) ||
           find(loader, "%s.%zu%s.bias", stem, i, part);
}

/* How many layers there are and of which kind, from the names alone. */
static int count_layers(struct loader *loader, const struct network_inputs *inputs)
{
    struct network *network = loader->network;
    while (has_layer(loader, "cross_layers", network->n_cross, ".0") ||
           has_layer(loader, "cross_layers", network->n_cross, ""))
        network->n_cross++;
    if (tensor_list_numbers(loader->list, "dnn.", loader->arena, &loader->deep_numbers,
                            &network->n_deep) != 0)
        return format_error_memory(loader->error);
    for (size_t l = 1; l < network->n_deep; l++)
        if (loader->deep_numbers[l] == loader->deep_numbers[l - 1] + 1)
            return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                    "layer \"dnn.%zu\" follows \"dnn.%zu\" at once: there is no "
                                    "ReLU between them, as the network has one",
                                    loader->deep_numbers[l], loader->deep_numbers[l - 1]);
    network->n_dense = inputs->n_dense;
    network->n_embeddings = inputs->n_sparse;
    network->embeddings =
        arena_calloc(loader->arena, network->n_embeddings + 1, sizeof *network->embeddings);
    network->cross = arena_calloc(loader->arena, network->n_cross + 1, sizeof *network->cross);
    network->deep = arena_calloc(loader->arena, network->n_deep + 1, sizeof *network->deep);
    if (!network->embeddings || !network->cross || !network->deep)
        return format_error_memory(loader->error);
    for (size_t l = 0; l < network->n_cross; l++)
        network->cross[l].kind =
            has_layer(loader, "cross_layers", l, ".0") ? CROSS_LAYER_NORM : CROSS_FULL;
    return 0;
}

static int check_all_used(struct loader *loader)
{
    for (size_t i = 0; i < loader->list->n_tensors; i++) {
        if (loader->used[i])
            continue;
        char shape[SHAPE_MAX_LENGTH];
        tensor_print_shape(&loader->list->tensors[i], shape, sizeof shape);
        return format_error_set(loader->error, FORMAT_NO_OFFSET,
                                "tensor \"%.*s\" of shape %s is not part of a DCNv2 network with "
                                "%zu sparse columns, %zu cross and %zu deep layers",
                                TEXT_SHOWN(loader->list->tensors[i].name), shape,
                                loader->network->n_embeddings, loader->network->n_cross,
                                loader->network->n_deep);
    }
    return 0;
}

int network_load(struct network *network, struct arena *arena, const struct tensor_list *list,
                 const struct network_inputs *inputs, struct format_error *error)
{
    *network = (struct network){0};
    struct loader loader = {.list = list, .network = network, .arena = arena, .error = error};
    loader.in_place = inputs->in_place;
    loader.used = arena_calloc(arena, list->n_tensors + 1, sizeof *loader.used);
    if (loader.used == NULL)
        return format_error_memory(error);
    if (count_layers(&loader, inputs) != 0 || load_all(&loader, inputs) != 0 ||
        check_all_used(&loader) != 0)
        return -1;
    network->n_weights = loader.n_floats + KERNEL_LANES;
    if (network->n_weights > inputs->most_bytes / sizeof(float))
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "its tensors are %zu MB, far more than the file: they repeat its "
                                "values",
                                network->n_weights * sizeof(float) >> 20);
    network->weights = memory_alloc(network->n_weights * sizeof(float)); /* zeros: the padding */
    if (network->weights == NULL)
        return format_error_memory(error);
    loader.at = network->weights;
    if (load_all(&loader, inputs) != 0) {
        network_free(network);
        return -1;
    }
    return 0;
}

void network_free(struct network *network)
{
    memory_free(network->weights, network->n_weights * sizeof(float));
    network->weights = NULL;
}

void network_describe(const struct network *network, char *out, size_t out_size)
{
    size_t n_norm = 0;
    for (size_t l = 0; l < network->n_cross; l++)
        n_norm += network->cross[l].kind == CROSS_LAYER_NORM;
    size_t n = (size_t)snprintf(out, out_size,
                                "x0 %zu wide; cross layers: %zu with layer norm, %zu full; deep "
                                "layers:%s",
                                network->width, n_norm, network->n_cross - n_norm,
                                network->n_deep ? "" : " none");
    for (size_t l = 0; l < network->n_deep && n < out_size; l++)
        n +=
            (size_t)snprintf(out + n, out_size - n, "%s %zu", l ? "," : "", network->deep[l].n_out);
}
