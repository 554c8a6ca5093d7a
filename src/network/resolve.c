/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c: the widths of a network, from the shapes of its tensors, and whether all of it fits.
 */
#include <inttypes.h>
#include <stdio.h>

#include "network/kinds.h"

enum { SHAPE_MAX_LENGTH = 96, PLACE_MAX_LENGTH = 160 };

struct resolver {
    struct network_spec *spec;
    struct arena *arena;
    const struct tensor_list *list;
    bool *used; /* [n_tensors] */
    struct format_error *error;
};

/* What a message is about: "layer "cross", weight". */
struct place {
    char text[PLACE_MAX_LENGTH];
};

static struct place place_of(const struct spec_layer *layer, const char *role)
{
    struct place place;
    snprintf(place.text, sizeof place.text, "layer \"%.*s\" (%s)%s%s", TEXT_SHOWN(layer->name),
             layer_kinds[layer->kind].name, role ? ", " : "", role ? role : "");
    return place;
}

#define FAIL(resolver, ...) format_error_set((resolver)->error, FORMAT_NO_OFFSET, __VA_ARGS__)

static void mark_used(struct resolver *resolver, struct text name)
{
    for (size_t low = 0, high = resolver->list->n_tensors; low < high;) {
        const size_t middle = (low + high) / 2;
        const struct tensor *tensor = resolver->list->by_name[middle];
        const int order = text_compare(tensor->name, name);
        if (order == 0) {
            resolver->used[tensor - resolver->list->tensors] = true;
            return;
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
}

static int view_of(struct resolver *resolver, const struct tensor_part *part, const char *place,
                   struct tensor *ret_view)
{
    struct format_error reason;
    if (tensor_part_view(part, resolver->list, ret_view, &reason) != 0)
        return FAIL(resolver, "%s: %s", place, reason.message);
    mark_used(resolver, part->name);
    return 0;
}

/* ---- dimensions ---- */

/* The sizes of one layer, 0: not known yet. */
struct sizes {
    uint64_t of[DIM_ONE + 1];
};

static const char *dimension_name(enum dimension dimension)
{
    static const char *const names[] = {
        [DIM_IN] = "n_in",           [DIM_OUT] = "n_out",        [DIM_RANK] = "rank",
        [DIM_EXPERTS] = "n_experts", [DIM_ONE_OR_OUT] = "n_out", [DIM_ONE] = "1"};
    return names[dimension];
}

static void print_expected(const struct role *role, const struct sizes *sizes, char *out,
                           size_t out_size)
{
    size_t n = (size_t)snprintf(out, out_size, "[");
    for (int d = 0; d < 3 && role->dims[d] != DIM_NONE && n < out_size; d++) {
        const enum dimension dimension = role->dims[d] == DIM_ONE_OR_OUT ? DIM_OUT : role->dims[d];
        n += (size_t)snprintf(out + n, out_size - n, d ? ", " : "");
        if (sizes->of[dimension])
            n += (size_t)snprintf(out + n, out_size - n, "%" PRIu64, sizes->of[dimension]);
        else
            n += (size_t)snprintf(out + n, out_size - n, "%s", dimension_name(dimension));
    }
    if (n < out_size)
        snprintf(out + n, out_size - n, "]");
}

/*
 * Whether a view has the role's dimensions. Those of size 1 are left out of a view, so where the
 * sizes that are known do not tell, a dimension may be one of them.
 */
static bool fits(const struct role *role, const struct tensor *view, struct sizes *sizes)
{
    struct sizes found = *sizes;
    unsigned n_wanted = 0, at = 0;
    while (n_wanted < 3 && role->dims[n_wanted] != DIM_NONE)
        n_wanted++;
    if (n_wanted == 1 && role->dims[0] == DIM_ONE_OR_OUT && view->n_dims == 0)
        return true;
    for (unsigned d = 0; d < n_wanted; d++) {
        const enum dimension dimension = role->dims[d] == DIM_ONE_OR_OUT ? DIM_OUT : role->dims[d];
        uint64_t *size = &found.of[dimension];
        const unsigned left_wanted = n_wanted - d, left = view->n_dims - at;
        const bool is_one = *size == 1 || (*size == 0 && left < left_wanted);
        const uint64_t here = is_one || left == 0 ? 1 : view->sizes[at++];
        if (*size == 0)
            *size = here;
        else if (*size != here)
            return false;
    }
    if (at != view->n_dims)
        return false;
    *sizes = found;
    return true;
}

static int check_stack(struct resolver *resolver, const struct spec_layer *layer,
                       const struct role *role, const struct tensor_stack *stack,
                       struct sizes *sizes)
{
    const struct place place = place_of(layer, role->key);
    struct role of_part = *role;
    if (stack->n_parts > 1) { /* each part is one of the first dimension */
        uint64_t *first = &sizes->of[role->dims[0]];
        if (*first == 0)
            *first = stack->n_parts;
        if (*first != stack->n_parts)
            return FAIL(resolver, "%s: %u tensors are named; %" PRIu64 " are expected", place.text,
                        stack->n_parts, *first);
        of_part.dims[0] = role->dims[1];
        of_part.dims[1] = role->dims[2];
        of_part.dims[2] = DIM_NONE;
        if (of_part.dims[0] == DIM_NONE)
            of_part.dims[0] = DIM_ONE;
    }
    for (uint32_t p = 0; p < stack->n_parts; p++) {
        struct tensor view;
        if (view_of(resolver, &stack->parts[p], place.text, &view) != 0)
            return -1;
        if (fits(&of_part, &view, sizes))
            continue;
        char found[SHAPE_MAX_LENGTH], expected[SHAPE_MAX_LENGTH];
        tensor_print_shape(&view, found, sizeof found);
        print_expected(&of_part, sizes, expected, sizeof expected);
        return FAIL(resolver, "%s: tensor \"%.*s\" has the shape %s here; %s is expected",
                    place.text, TEXT_SHOWN(stack->parts[p].name), found, expected);
    }
    return 0;
}

static int check_roles(struct resolver *resolver, struct spec_layer *layer, struct sizes *sizes)
{
    const struct role *roles = layer_kinds[layer->kind].roles;
    const unsigned needed =
        layer->kind == LAYER_ACTIVATION ? activation_roles[layer->activation] : 0;
    for (unsigned r = 0; r < SPEC_MAX_ROLES; r++) {
        const struct tensor_stack *stack = &layer->tensors[r];
        const struct role *role = &roles[r];
        if (stack->n_parts == 0) {
            if (role->key && (!role->is_optional || (needed & 1u << r)))
                return FAIL(resolver, "%s is missing", place_of(layer, role->key).text);
            continue;
        }
        if (role->key == NULL || (layer->kind == LAYER_ACTIVATION && !(needed & 1u << r)))
            return FAIL(resolver, "%s has no use for tensor \"%.*s\"", place_of(layer, NULL).text,
                        TEXT_SHOWN(stack->parts[0].name));
        if (check_stack(resolver, layer, role, stack, sizes) != 0)
            return -1;
    }
    return 0;
}

/* ---- layers ---- */

static int resolve_part(struct resolver *resolver, const struct spec_layer *layer,
                        struct spec_input *part, uint32_t number)
{
    const struct network_spec *spec = resolver->spec;
    struct place place = place_of(layer, NULL);
    snprintf(place.text, sizeof place.text, "layer \"%.*s\" (input), part %u",
             TEXT_SHOWN(layer->name), number + 1);
    const bool is_table = part->kind == INPUT_TABLE;
    if (part->source >= (is_table ? spec->n_lookups : spec->n_values))
        return FAIL(resolver, "%s: there is no such %s", place.text, is_table ? "lookup" : "value");
    part->width = 1;
    if (part->kind == INPUT_VALUE)
        return 0;
    struct tensor view;
    if (view_of(resolver, &part->tensor, place.text, &view) != 0)
        return -1;
    if (view.n_dims > (is_table ? 2 : 1) || view.n_elements == 0 ||
        view.n_elements > UINT64_C(1) << 40)
        goto misshapen;
    if (!is_table) {
        part->width = (uint32_t)view.n_elements;
    } else { /* [n_rows, 1] has lost a dimension, [1, width] too: the tensor itself tells */
        const bool is_row = view.n_dims == 1 && part->n_rows == 1;
        part->n_rows = is_row || view.n_dims == 0 ? 1 : (uint32_t)view.sizes[0];
        part->width = (uint32_t)(view.n_elements / part->n_rows);
        if (view.n_dims == 2 && view.sizes[0] > UINT32_MAX / 2)
            goto misshapen;
    }
    if (part->width <= SPEC_MAX_WIDTH)
        return 0;
misshapen:;
    char found[SHAPE_MAX_LENGTH];
    tensor_print_shape(&view, found, sizeof found);
    return FAIL(resolver, "%s: tensor \"%.*s\" has the shape %s here; %s is expected", place.text,
                TEXT_SHOWN(part->tensor.name), found, is_table ? "[rows, width]" : "[width]");
}

static int resolve_input(struct resolver *resolver, struct spec_layer *layer)
{
    uint64_t width = 0;
    struct spec_input *parts =
        arena_calloc(resolver->arena, (size_t)layer->n_parts + 1, sizeof *parts);
    if (parts == NULL)
        return format_error_memory(resolver->error);
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        parts[i] = layer->parts[i];
        if (resolve_part(resolver, layer, &parts[i], i) != 0)
            return -1;
        width += parts[i].width;
    }
    if (width == 0 || width > SPEC_MAX_WIDTH)
        return FAIL(resolver, "%s is %" PRIu64 " wide; 1 to %d is expected",
                    place_of(layer, NULL).text, width, SPEC_MAX_WIDTH);
    layer->parts = parts;
    layer->n_out = (uint32_t)width;
    return 0;
}

/* One weight over all inputs behind each other becomes one per input. */
static int cut_weight(struct resolver *resolver, struct spec_layer *layer)
{
    const struct tensor_stack *whole = &layer->tensors[ROLE_WEIGHT];
    struct tensor_stack *weights = arena_calloc(resolver->arena, layer->n_inputs, sizeof *weights);
    struct tensor_part *parts = arena_calloc(resolver->arena, layer->n_inputs, sizeof *parts);
    if (weights == NULL || parts == NULL)
        return format_error_memory(resolver->error);
    struct tensor view;
    const struct place place = place_of(layer, "weight");
    if (view_of(resolver, &whole->parts[0], place.text, &view) != 0)
        return -1;
    if (whole->n_parts != 1 || view.n_dims > 1 || view.n_elements != layer->n_in) {
        char found[SHAPE_MAX_LENGTH];
        tensor_print_shape(&view, found, sizeof found);
        return FAIL(resolver, "%s: tensor \"%.*s\" has the shape %s here; [%u] is expected",
                    place.text, TEXT_SHOWN(whole->parts[0].name), found, layer->n_in);
    }
    uint64_t first = whole->parts[0].first_row;
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        parts[i] = whole->parts[0];
        parts[i].first_row = first;
        parts[i].n_rows = layer->n_in == 1 ? 0 : resolver->spec->layers[layer->inputs[i]].n_out;
        weights[i] = (struct tensor_stack){&parts[i], 1};
        first += parts[i].n_rows;
    }
    layer->weights = weights;
    layer->tensors[ROLE_WEIGHT] = (struct tensor_stack){0};
    return 0;
}

static int resolve_output(struct resolver *resolver, struct spec_layer *layer)
{
    static const struct role bias = {.key = "bias", .dims = {DIM_ONE}};
    struct sizes sizes = {.of = {[DIM_ONE] = 1}};
    if (layer->tensors[ROLE_WEIGHT].n_parts && cut_weight(resolver, layer) != 0)
        return -1;
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        const struct role weight = {.key = "weight", .dims = {DIM_IN}};
        sizes.of[DIM_IN] = resolver->spec->layers[layer->inputs[i]].n_out;
        if (layer->weights && layer->weights[i].n_parts &&
            check_stack(resolver, layer, &weight, &layer->weights[i], &sizes) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < layer->tensors[ROLE_BIAS].n_parts; i++) {
        const struct tensor_stack one = {&layer->tensors[ROLE_BIAS].parts[i], 1};
        if (check_stack(resolver, layer, &bias, &one, &sizes) != 0)
            return -1;
    }
    layer->n_out = 1;
    return 0;
}

static int resolve_plain(struct resolver *resolver, struct spec_layer *layer)
{
    const struct kind *kind = &layer_kinds[layer->kind];
    struct sizes sizes = {.of = {[DIM_IN] = layer->n_in, [DIM_ONE] = 1}};
    if (kind->keeps_width)
        sizes.of[DIM_OUT] = layer->n_in;
    if (check_roles(resolver, layer, &sizes) != 0)
        return -1;
    for (int d = 0; d <= DIM_ONE; d++)
        if (sizes.of[d] > SPEC_MAX_WIDTH)
            return FAIL(resolver, "%s: %s is %" PRIu64 "; up to %d is possible",
                        place_of(layer, NULL).text, dimension_name((enum dimension)d), sizes.of[d],
                        SPEC_MAX_WIDTH);
    layer->n_out = (uint32_t)sizes.of[DIM_OUT];
    layer->rank = (uint32_t)sizes.of[DIM_RANK];
    layer->n_experts = (uint32_t)sizes.of[DIM_EXPERTS];
    if (layer->n_out == 0)
        return FAIL(resolver, "%s makes nothing", place_of(layer, NULL).text);
    if (layer->kind == LAYER_CROSS_MIXTURE && layer->n_experts > 1 &&
        layer->tensors[CROSS_GATE].n_parts == 0)
        return FAIL(resolver, "%s is missing: there are %u experts", place_of(layer, "gate").text,
                    layer->n_experts);
    return 0;
}

static int resolve_layer(struct resolver *resolver, uint32_t number)
{
    struct spec_layer *layer = &resolver->spec->layers[number];
    if (layer->kind == LAYER_INPUT)
        return resolve_input(resolver, layer);
    uint64_t width = 0;
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        if (layer->inputs[i] >= number)
            return FAIL(resolver, "%s: its inputs are not layers before it",
                        place_of(layer, NULL).text);
        width += resolver->spec->layers[layer->inputs[i]].n_out;
    }
    if (width == 0 || width > SPEC_MAX_WIDTH)
        return FAIL(resolver, "%s: its inputs are %" PRIu64 " wide; 1 to %d is expected",
                    place_of(layer, NULL).text, width, SPEC_MAX_WIDTH);
    layer->n_in = (uint32_t)width;
    if (layer_kinds[layer->kind].is_cross &&
        (layer->x0 >= number || resolver->spec->layers[layer->x0].n_out != layer->n_in))
        return FAIL(resolver, "%s: its x0 is not a layer before it, as wide as its input",
                    place_of(layer, NULL).text);
    return layer->kind == LAYER_OUTPUT ? resolve_output(resolver, layer)
                                       : resolve_plain(resolver, layer);
}

/* ---- the whole ---- */

static int check_all_used(struct resolver *resolver)
{
    const struct tensor_list *list = resolver->list;
    for (size_t i = 0; i < list->n_tensors; i++) {
        if (resolver->used[i])
            continue;
        char shape[SHAPE_MAX_LENGTH], network[256];
        tensor_print_shape(&list->tensors[i], shape, sizeof shape);
        spec_describe(resolver->spec, network, sizeof network);
        return FAIL(
            resolver, "tensor \"%.*s\" of shape %s is not part of the network that %.*s tells (%s)",
            TEXT_SHOWN(list->tensors[i].name), shape, TEXT_SHOWN(resolver->spec->source), network);
    }
    return 0;
}

static bool is_ignored(const struct network_spec *spec, struct text name)
{
    for (uint32_t i = 0; i < spec->n_ignored; i++) {
        const struct text ignored = spec->ignored[i];
        const bool is_start = ignored.length && ignored.at[ignored.length - 1] == '*';
        if (is_start ? name.length >= ignored.length - 1 &&
                           memcmp(name.at, ignored.at, ignored.length - 1) == 0
                     : text_equal(name, ignored))
            return true;
    }
    return false;
}

int spec_resolve(struct network_spec *spec, struct arena *arena, const struct tensor_list *list,
                 struct format_error *error)
{
    struct resolver resolver = {.spec = spec, .arena = arena, .list = list, .error = error};
    resolver.used = arena_calloc(arena, list->n_tensors + 1, sizeof *resolver.used);
    if (resolver.used == NULL)
        return format_error_memory(error);
    if (spec->n_layers == 0 || spec->layers[spec->n_layers - 1].kind != LAYER_OUTPUT)
        return FAIL(&resolver, "the last layer is not the output");
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (resolve_layer(&resolver, i) != 0)
            return -1;
    for (size_t i = 0; i < list->n_tensors; i++)
        resolver.used[i] |= is_ignored(spec, list->tensors[i].name);
    return check_all_used(&resolver);
}
