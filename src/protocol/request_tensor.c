/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/request_tensor.h"

#include <inttypes.h>

enum { MAX_DIMS = 8 };

const char *input_shape_add(struct input_shape *shape, uint64_t size)
{
    if (size > INT64_MAX)
        return "\"shape\" must be a list of positive integers";
    if (++shape->n_dims > MAX_DIMS)
        return "\"shape\" has more than 8 dimensions";
    if (shape->n_dims == 1)
        shape->first_dim = shape->n_elements = size;
    else if (__builtin_mul_overflow(shape->n_elements, size, &shape->n_elements))
        return "\"shape\" overflows";
    shape->last_dim = size;
    return NULL;
}

/* ---- all tensors ---- */

int tensor_inputs_init(struct tensor_inputs *inputs, struct frame *frame, const char *values,
                       struct request_error *error)
{
    *inputs = (struct tensor_inputs){
        .frame = frame,
        .error = error,
        .values = values,
        .seen = arena_calloc(frame->arena, schema_n_columns(frame->schema), 1),
        .max_rows = frame->max_rows};
    return inputs->seen ? 0 : -1;
}

void tensor_inputs_begin(struct tensor_inputs *inputs)
{
    frame_clear(inputs->frame);
    memset(inputs->seen, 0, schema_n_columns(inputs->frame->schema));
    inputs->n = 0;
}

void tensor_inputs_leave(const struct tensor_inputs *inputs)
{
    inputs->frame->max_rows = inputs->max_rows;
}

int tensor_inputs_finish(struct tensor_inputs *inputs)
{
    struct frame *frame = inputs->frame;
    const struct text *names = frame->schema->names;
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++) {
        if (!inputs->seen[c])
            return request_error_set(inputs->error, 400, "Input \"%.*s\" is missing.",
                                     TEXT_SHOWN(names[c]));
        if (frame->columns[c].n != frame->columns[0].n)
            return request_error_set(inputs->error, 400,
                                     "Input \"%.*s\" has %u values, input \"%.*s\" has %u.",
                                     TEXT_SHOWN(names[c]), frame->columns[c].n,
                                     TEXT_SHOWN(names[0]), frame->columns[0].n);
    }
    return frame_end_segment(frame, frame->columns[0].n, inputs->error);
}

/* ---- one tensor ---- */

int tensor_wrong(const struct tensor_inputs *inputs, const char *what)
{
    return request_error_set(inputs->error, 400, "Input %u: %s.", inputs->n, what);
}

int tensor_unknown_datatype(const struct tensor_inputs *inputs, struct text name,
                            struct text datatype)
{
    return request_error_set(inputs->error, 400, "Input \"%.*s\": unknown datatype \"%.*s\".",
                             TEXT_SHOWN(name), TEXT_SHOWN(datatype));
}

int tensor_given_twice(const struct tensor_inputs *inputs, struct text name)
{
    return request_error_set(inputs->error, 400, "Input \"%.*s\" is given twice.",
                             TEXT_SHOWN(name));
}

int tensor_claim_column(const struct tensor_inputs *inputs, uint32_t c)
{
    if (inputs->seen[c])
        return tensor_given_twice(inputs, inputs->frame->schema->names[c]);
    inputs->seen[c] = true;
    return 0;
}

int tensor_wrong_count(const struct tensor_inputs *inputs, struct text name,
                       const struct input_shape *shape, uint64_t n)
{
    return request_error_set(inputs->error, 400,
                             "Input \"%.*s\": \"shape\" has room for %" PRIu64
                             " values, \"%s\" has %" PRIu64 ".",
                             TEXT_SHOWN(name), shape->n_elements, inputs->values, n);
}

static int wrong_list_shape(const struct tensor_inputs *inputs, uint32_t c,
                            const struct input_shape *shape, uint32_t n)
{
    return request_error_set(
        inputs->error, 400,
        "Input \"%.*s\": a column of lists needs a \"shape\" of [N, L], all values in \"%s\", or "
        "of [N] with a text a row; \"shape\" has %u dimensions and room for %" PRIu64
        " values, \"%s\" has %u.",
        TEXT_SHOWN(inputs->frame->schema->names[c]), inputs->values, shape->n_dims,
        shape->n_elements, inputs->values, n);
}

int tensor_fold_lists(const struct tensor_inputs *inputs, uint32_t c,
                      const struct input_shape *shape, bool fits)
{
    struct frame *frame = inputs->frame;
    struct column *column = &frame->columns[c];
    const uint32_t n = column->n, length = shape->n_dims == 2 ? (uint32_t)shape->last_dim : 1;
    const struct cell *items = column->cells;
    tensor_inputs_leave(inputs);
    if (!fits || shape->n_elements != n || shape->n_dims > 2)
        return wrong_list_shape(inputs, c, shape, n);
    *column = (struct column){0};
    for (uint32_t i = 0; i < n; i += length) {
        const struct cell list = {.items = &items[i], .length = length, .kind = CELL_LIST};
        if (frame_append(frame, c, shape->n_dims == 1 ? items[i] : list, inputs->error) != 0)
            return -1;
    }
    return 0;
}

/* ---- what a model has ---- */

int tensor_check_output(struct text name, const char *model_name, struct request_error *error)
{
    if (text_is(name, TENSOR_OUTPUT_NAME))
        return 0;
    return request_error_set(error, 400, "Unexpected inference output '%.*s' for model '%s'",
                             TEXT_SHOWN(name), model_name);
}

struct tensor_description tensor_describe_input(const struct schema *schema, uint32_t c)
{
    const bool is_category = c < schema->n_sparse;
    return (struct tensor_description){.name = schema->names[c],
                                       .datatype = is_category ? "BYTES" : "FP64",
                                       .shape = {-1, -1},
                                       .n_dims = is_category && schema_is_list(schema, c) ? 2 : 1};
}

struct tensor_description tensor_describe_output(void)
{
    return (struct tensor_description){.name = {TENSOR_OUTPUT_NAME, strlen(TENSOR_OUTPUT_NAME)},
                                       .datatype = "FP32",
                                       .shape = {-1, 1},
                                       .n_dims = 2};
}
