/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c: the tensors of a plan, checked for finite values and packed into one block. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/plan.h"
#include "network/kinds.h"

/* Room for `n` floats from the next aligned place; NULL while they are counted. */
static float *reserve(struct plan *plan, size_t n)
{
    const size_t padded = kernel_padded(n);
    float *place = plan->at;
    plan->n_floats += padded;
    if (plan->at)
        plan->at += padded;
    return place;
}

void plan_fail_memory(struct plan *plan)
{
    if (!plan->failed)
        format_error_memory(plan->error);
    plan->failed = true;
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

static void check_finite(struct plan *plan, struct text name, const float *values, size_t n)
{
    enum { BLOCK = 1024 }; /* a number known to the compiler, which then takes several at once */
    size_t i = 0;
    uint32_t found = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        found |= not_finite(values + i, BLOCK);
    found |= not_finite(values + i, n - i);
    if (found && !plan->failed) {
        format_error_set(plan->error, FORMAT_NO_OFFSET,
                         "tensor \"%.*s\" holds a value that is not a finite float",
                         TEXT_SHOWN(name));
        plan->failed = true;
    }
}

/* The view of a part; the spec was resolved, so that it is there. */
static bool view_of(struct plan *plan, const struct tensor_part *part, struct tensor *ret_view)
{
    if (!plan->failed && tensor_part_view(part, plan->list, ret_view, plan->error) == 0)
        return true;
    plan->failed = true;
    return false;
}

/* No resolved spec comes here; a value that is made up in place of another is a wrong score. */
static void refuse_count(struct plan *plan, const struct tensor_part *part, size_t n, size_t wanted)
{
    if (!plan->failed)
        format_error_set(plan->error, FORMAT_NO_OFFSET,
                         "tensor \"%.*s\" has %zu values here; %zu are expected",
                         TEXT_SHOWN(part->name), n, wanted);
    plan->failed = true;
}

/* Up to n_most values of a part, to `out`; returns how many, 0 if plan->failed. */
static size_t copy_part(struct plan *plan, const struct tensor_part *part, size_t n_most,
                        float *out)
{
    struct tensor view;
    if (!view_of(plan, part, &view))
        return 0;
    if (view.n_elements > n_most) {
        refuse_count(plan, part, view.n_elements, n_most);
        return 0;
    }
    tensor_copy_f32(&view, out);
    check_finite(plan, part->name, out, view.n_elements);
    return view.n_elements;
}

const float *plan_vector(struct plan *plan, const struct tensor_stack *stack, size_t width,
                         float otherwise)
{
    float *values = reserve(plan, width);
    size_t n = 0;
    if (values == NULL)
        return NULL;
    for (uint32_t p = 0; stack && p < stack->n_parts; p++)
        n += copy_part(plan, &stack->parts[p], width - n, values + n);
    if (stack && stack->n_parts && n != 1 && n != width)
        refuse_count(plan, &stack->parts[0], n, width);
    /* one for all units, or none */
    const float rest = n == 1 && width > 1 ? values[0] : otherwise;
    for (; n < width; n++)
        values[n] = rest;
    return values;
}

float plan_number(struct plan *plan, const struct tensor_stack *stack)
{
    float value = 0;
    if (plan->at && copy_part(plan, &stack->parts[0], 1, &value) != 1)
        refuse_count(plan, &stack->parts[0], 0, 1);
    return value;
}

/* Without a copy if the tensor stays and is as the network needs it. */
const float *plan_table(struct plan *plan, const struct tensor_part *part)
{
    struct tensor view;
    if (!view_of(plan, part, &view))
        return NULL;
    if (plan->memory->in_place && view.dtype == TENSOR_F32 && tensor_is_contiguous(&view) &&
        (uintptr_t)view.data % sizeof(float) == 0) {
        const float *values = (const float *)(const void *)view.data;
        if (plan->at)
            check_finite(plan, part->name, values, view.n_elements);
        return values;
    }
    float *values = reserve(plan, view.n_elements);
    if (values)
        copy_part(plan, part, view.n_elements, values);
    return values;
}

/* ---- matrices ---- */

/* Rows [n_out, n_in] of a stack: one tensor, one of several, or a row of each. */
static bool copy_matrix(struct plan *plan, const struct tensor_stack *stack, uint32_t index,
                        bool is_stacked, size_t n_elements, float *rows)
{
    if (is_stacked && stack->n_parts > 1)
        return copy_part(plan, &stack->parts[index], n_elements, rows) == n_elements;
    if (!is_stacked) {
        size_t n = 0;
        for (uint32_t p = 0; p < stack->n_parts; p++)
            n += copy_part(plan, &stack->parts[p], n_elements - n, rows + n);
        return n == n_elements;
    }
    struct tensor view;
    if (!view_of(plan, &stack->parts[0], &view))
        return false;
    if (view.n_elements > n_elements) { /* all experts, of which this one is a part */
        unsigned d = 0;
        while (view.sizes[d] == 1) /* such dimensions do not count */
            d++;
        view.data += index * view.strides[d] * tensor_element_size(view.dtype);
        view.n_elements /= view.sizes[d];
        view.sizes[d] = 1;
    }
    if (view.n_elements != n_elements)
        return false;
    tensor_copy_f32(&view, rows);
    check_finite(plan, stack->parts[0].name, rows, n_elements);
    return true;
}

struct linear plan_linear(struct plan *plan, const struct tensor_stack *weight, uint32_t index,
                          bool is_stacked, const float *bias, size_t n_in, size_t n_out)
{
    float *packed = reserve(plan, n_in * kernel_padded(n_out));
    const struct linear linear = {.n_in = n_in, .n_out = n_out, .weight = packed, .bias = bias};
    if (packed == NULL || plan->failed)
        return linear;
    float *rows = malloc(n_in * n_out * sizeof *rows + 1);
    if (rows == NULL) {
        plan_fail_memory(plan);
        return linear;
    }
    if (!copy_matrix(plan, weight, index, is_stacked, n_in * n_out, rows)) {
        if (!plan->failed)
            format_error_set(plan->error, FORMAT_NO_OFFSET,
                             "tensor \"%.*s\" is not [%zu, %zu] here",
                             TEXT_SHOWN(weight->parts[0].name), n_out, n_in);
        plan->failed = true;
    }
    for (size_t o = 0; o < n_out; o++)
        for (size_t i = 0; i < n_in; i++)
            packed[linear_place(&linear, i, o)] = rows[o * n_in + i];
    free(rows);
    return linear;
}

/* ---- batch norm ---- */

/* Room for doubles in the block. */
static double *reserve_doubles(struct plan *plan, size_t n)
{
    return (double *)(void *)reserve(plan, 2 * kernel_padded(n));
}

void plan_affine(struct plan *plan, const struct spec_layer *layer, const double **ret_scale,
                 const double **ret_shift)
{
    const size_t width = layer->n_out;
    const bool has_weight = layer->kind == LAYER_BATCH_NORM; /* dice has none */
    const float *mean = plan_vector(plan, &layer->tensors[NORM_MEAN], width, 0);
    const float *variance = plan_vector(plan, &layer->tensors[NORM_VARIANCE], width, 1);
    const float *weight =
        plan_vector(plan, has_weight ? &layer->tensors[ROLE_WEIGHT] : NULL, width, 1);
    const float *bias = plan_vector(plan, has_weight ? &layer->tensors[ROLE_BIAS] : NULL, width, 0);
    double *scale = reserve_doubles(plan, width), *shift = reserve_doubles(plan, width);
    *ret_scale = scale;
    *ret_shift = shift;
    if (plan->at == NULL)
        return;
    for (size_t u = 0; u < width; u++) {
        scale[u] = (double)weight[u] / sqrt((double)variance[u] + (double)layer->epsilon);
        shift[u] = (double)bias[u] - (double)mean[u] * scale[u];
        if (isfinite(scale[u]) && isfinite(shift[u]))
            continue;
        if (!plan->failed)
            format_error_set(plan->error, FORMAT_NO_OFFSET,
                             "tensor \"%.*s\" holds the variance %g, which is no variance",
                             TEXT_SHOWN(layer->tensors[NORM_VARIANCE].parts[0].name),
                             (double)variance[u]);
        plan->failed = true;
        return;
    }
}
