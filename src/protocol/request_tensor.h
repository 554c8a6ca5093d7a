/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_tensor.h: what the two forms of v2, JSON and gRPC, share of a request's tensors: shapes,
 * the columns that tensors fill, the rules that all of them together obey, and the tensors that a
 * model's metadata lists.
 */
#ifndef DCNV2_PROTOCOL_REQUEST_TENSOR_H
#define DCNV2_PROTOCOL_REQUEST_TENSOR_H

#include "frame.h"
#include "protocol/datatype.h"

#define TENSOR_OUTPUT_NAME "output-0"

/* Of a tensor that is being read; zero at first. */
struct input_shape {
    uint64_t n_elements; /* product of the dimensions; 0: there are none */
    uint64_t first_dim, last_dim;
    unsigned n_dims;
};

/* One more dimension. NULL, or a static text that says why it cannot be. */
const char *input_shape_add(struct input_shape *shape, uint64_t size);

/* The inputs of a request on their way into a frame. */
struct tensor_inputs {
    struct frame *frame;
    struct request_error *error;
    const char *values; /* the member of a tensor that holds its values: "data", "contents" */
    uint8_t *seen;      /* [n_columns]: a tensor of that name was read */
    uint32_t max_rows;  /* of the frame; columns of lists are read without it */
    uint32_t n;         /* number of the tensor being read, from 1 */
};

/* `seen` is allocated in the frame's arena. -1: out of memory. */
int tensor_inputs_init(struct tensor_inputs *inputs, struct frame *frame, const char *values,
                       struct request_error *error);

/* The frame is empty, and no tensor was read. */
void tensor_inputs_begin(struct tensor_inputs *inputs);

/* The frame's limit of rows is what it was, whether all was read or not. */
void tensor_inputs_leave(const struct tensor_inputs *inputs);

/* Every column was given, and all have one length: the frame's rows. -1: *error names the column.
 */
int tensor_inputs_finish(struct tensor_inputs *inputs);

/* -1: the tensor that is being read is wrong in a way that leaves it without a name. */
int tensor_wrong(const struct tensor_inputs *inputs, const char *what);

/* -1: no datatype has that name. */
int tensor_unknown_datatype(const struct tensor_inputs *inputs, struct text name,
                            struct text datatype);

/* Cells may be appended to column `c`, or to none if it is SCHEMA_NOT_FOUND. Returns `c`. A column
 * of lists holds more values than rows at first. */
static inline uint32_t tensor_take_column(const struct tensor_inputs *inputs, uint32_t c)
{
    const bool is_list = c != SCHEMA_NOT_FOUND && schema_is_list(inputs->frame->schema, c);
    inputs->frame->max_rows = is_list ? UINT32_MAX : inputs->max_rows;
    return c;
}

/* The column of a tensor's name, taken; most clients send the columns in the model's order. */
static inline uint32_t tensor_find_column(const struct tensor_inputs *inputs, struct text name)
{
    return tensor_take_column(inputs, schema_find(inputs->frame->schema, name, inputs->n - 1));
}

/* Column `c` is given by this tensor. -1: one before it gave it too. */
int tensor_claim_column(const struct tensor_inputs *inputs, uint32_t c);
int tensor_given_twice(const struct tensor_inputs *inputs, struct text name);

int tensor_wrong_count(const struct tensor_inputs *inputs, struct text name,
                       const struct input_shape *shape, uint64_t n);

/* -1: the shape has room for another number of values than the `n` that came. */
static inline int tensor_check_count(const struct tensor_inputs *inputs, struct text name,
                                     const struct input_shape *shape, uint64_t n)
{
    return shape->n_elements == n ? 0 : tensor_wrong_count(inputs, name, shape, n);
}

/*
 * Column `c` of lists holds all values by now, row after row: they become a list per row, or stay
 * the texts of lists if the shape is [N]. `fits`: false if the values were not nested as the shape
 * says. -1 with *error.
 */
int tensor_fold_lists(const struct tensor_inputs *inputs, uint32_t c,
                      const struct input_shape *shape, bool fits);

/* -1: the model has no such output. */
int tensor_check_output(struct text name, const char *model_name, struct request_error *error);

/* A tensor as metadata describes it; -1 stands for any number. */
struct tensor_description {
    struct text name;
    const char *datatype;
    int shape[2];
    unsigned n_dims;
};

/* Of column `c` of the schema: categories are texts, numbers FP64. */
struct tensor_description tensor_describe_input(const struct schema *schema, uint32_t c);
struct tensor_description tensor_describe_output(void);

#endif
