/* SPDX-License-Identifier: Apache-2.0 */
/* part.c: the view of a part of a tensor. */
#include <inttypes.h>

#include "network/spec.h"

enum { SHAPE_MAX_LENGTH = 96 };

static void drop_dimension(struct tensor *view, unsigned d)
{
    view->n_dims--;
    for (; d < view->n_dims; d++) {
        view->sizes[d] = view->sizes[d + 1];
        view->strides[d] = view->strides[d + 1];
    }
}

static void move_to(struct tensor *view, unsigned d, uint64_t i)
{
    view->data += i * view->strides[d] * tensor_element_size(view->dtype);
}

static int refuse(const struct tensor_part *part, const struct tensor *tensor, const char *what,
                  uint64_t number, struct format_error *error)
{
    char shape[SHAPE_MAX_LENGTH];
    tensor_print_shape(tensor, shape, sizeof shape);
    return format_error_set(error, FORMAT_NO_OFFSET,
                            "tensor \"%.*s\" has the shape %s and no %s %" PRIu64,
                            TEXT_SHOWN(part->name), shape, what, number);
}

int tensor_part_view(const struct tensor_part *part, const struct tensor_list *list,
                     struct tensor *ret_view, struct format_error *error)
{
    const struct tensor *tensor = tensor_find_text(list, part->name);
    if (tensor == NULL)
        return format_error_set(error, FORMAT_NO_OFFSET, "tensor \"%.*s\" is missing",
                                TEXT_SHOWN(part->name));
    if (!tensor_is_float(tensor))
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "tensor \"%.*s\" holds %s; floating-point numbers are expected",
                                TEXT_SHOWN(part->name), tensor_dtype_name(tensor->dtype));
    struct tensor view = *tensor;
    for (uint32_t i = 0; i < part->n_indices; i++) {
        if (view.n_dims == 0 || part->index[i] >= view.sizes[0])
            return refuse(part, tensor, "index", part->index[i], error);
        move_to(&view, 0, part->index[i]);
        drop_dimension(&view, 0);
    }
    if (part->n_rows) {
        unsigned d = 0;
        while (d + 1 < view.n_dims && view.sizes[d] == 1)
            d++;
        const uint64_t there = view.n_dims ? view.sizes[d] : 0;
        if (part->first_row > there || part->n_rows > there - part->first_row)
            return refuse(part, tensor, "row", part->first_row + part->n_rows - 1, error);
        move_to(&view, d, part->first_row);
        view.sizes[d] = part->n_rows;
    }
    if (part->is_transposed && view.n_dims >= 2) {
        const unsigned last = view.n_dims - 1;
        const uint64_t size = view.sizes[last], stride = view.strides[last];
        view.sizes[last] = view.sizes[last - 1];
        view.strides[last] = view.strides[last - 1];
        view.sizes[last - 1] = size;
        view.strides[last - 1] = stride;
    }
    view.n_elements = 1;
    for (unsigned d = 0; d < view.n_dims; d++)
        view.n_elements *= view.sizes[d];
    *ret_view = view;
    return 0;
}

bool tensor_part_fit(struct tensor *view, const uint64_t *wanted, unsigned n_wanted, bool is_exact)
{
    struct tensor fitted = *view;
    unsigned at = 0; /* of the view's dimensions */
    fitted.n_dims = n_wanted;
    if (is_exact && view->n_dims != n_wanted)
        return false;
    for (unsigned d = 0; d < n_wanted; d++) {
        const unsigned left_wanted = n_wanted - d;
        while (at < view->n_dims && view->sizes[at] == 1 && wanted[d] != 1 &&
               view->n_dims - at > left_wanted)
            at++;
        const bool is_there =
            at < view->n_dims && (view->n_dims - at >= left_wanted || wanted[d] != 1);
        fitted.sizes[d] = is_there ? view->sizes[at] : 1;
        fitted.strides[d] = is_there ? view->strides[at] : 1;
        at += is_there;
        if (wanted[d] != 0 && fitted.sizes[d] != wanted[d])
            return false;
    }
    for (; at < view->n_dims; at++)
        if (view->sizes[at] != 1)
            return false;
    *view = fitted;
    return true;
}
