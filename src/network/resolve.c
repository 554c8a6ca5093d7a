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

static int view_of(struct resolver *resolver, const struct tensor_part *part, const char *place,
                   const char *expected, struct tensor *ret_view)
{
    struct format_error reason;
    if (tensor_part_view(part, resolver->list, ret_view, &reason) != 0)
        return FAIL(resolver, "%s: %s; %s is expected", place, reason.message, expected);
    resolver->used[tensor_find_text(resolver->list, part->name) - resolver->list->tensors] = true;
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

static enum dimension plain(enum dimension dimension)
{
    return dimension == DIM_ONE_OR_OUT ? DIM_OUT : dimension;
}

/* A size that is not known may be that of the tensor found, if there is one. */
static void print_expected(const struct role *role, const struct sizes *sizes,
                           const struct tensor *found, char *out, size_t out_size)
{
    size_t n = (size_t)snprintf(out, out_size, "[");
    for (int d = 0; d < 3 && role->dims[d] != DIM_NONE && n < out_size; d++) {
        const enum dimension dimension = role->dims[d] == DIM_ONE_OR_OUT ? DIM_OUT : role->dims[d];
        n += (size_t)snprintf(out + n, out_size - n, d ? ", " : "");
        const uint64_t size = sizes->of[dimension]              ? sizes->of[dimension]
                              : found && d < (int)found->n_dims ? found->sizes[d]
                                                                : 0;
        if (size)
            n += (size_t)snprintf(out + n, out_size - n, "%" PRIu64, size);
        else
            n += (size_t)snprintf(out + n, out_size - n, "%s", dimension_name(dimension));
    }
    if (n < out_size)
        snprintf(out + n, out_size - n, "]");
}

/* Whether a view has the role's dimensions; those that were not known are then. */
static bool fits(const struct resolver *resolver, const struct role *role, struct tensor *view,
                 struct sizes *sizes)
{
    uint64_t wanted[3];
    unsigned n = 0;
    for (; n < 3 && role->dims[n] != DIM_NONE; n++)
        wanted[n] = sizes->of[plain(role->dims[n])];
    if (role->dims[0] == DIM_ONE_OR_OUT && view->n_elements == 1)
        return true;
    if (!tensor_part_fit(view, wanted, n, resolver->spec->is_exact) || view->n_elements == 0)
        return false;
    for (unsigned d = 0; d < n; d++) {
        uint64_t *size = &sizes->of[plain(role->dims[d])];
        if (*size && *size != view->sizes[d])
            return false;
        *size = view->sizes[d];
    }
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
        char found[SHAPE_MAX_LENGTH], expected[SHAPE_MAX_LENGTH];
        print_expected(&of_part, sizes, NULL, expected, sizeof expected);
        if (view_of(resolver, &stack->parts[p], place.text, expected, &view) != 0)
            return -1;
        if (fits(resolver, &of_part, &view, sizes))
            continue;
        tensor_print_shape(&view, found, sizeof found);
        print_expected(&of_part, sizes, &view, expected, sizeof expected);
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
    static const char *const expected[] = {
        [INPUT_TIMES] = "[width]", [INPUT_TABLE] = "[rows, width]"};
    const uint64_t wanted[2] = {is_table ? part->n_rows : 0, 0};
    struct tensor view;
    if (view_of(resolver, &part->tensor, place.text, expected[part->kind], &view) != 0)
        return -1;
    if (tensor_part_fit(&view, wanted, is_table ? 2 : 1, spec->is_exact) && view.n_elements > 0 &&
        view.sizes[0] < UINT32_MAX / 2 && view.sizes[is_table] <= SPEC_MAX_WIDTH) {
        part->n_rows = is_table ? (uint32_t)view.sizes[0] : 0;
        part->width = (uint32_t)view.sizes[is_table];
        if (part->mask == MASK_ROW && part->masked_row >= part->n_rows)
            return FAIL(resolver, "%s: its mask is row %u; tensor \"%.*s\" has %u rows", place.text,
                        part->masked_row, TEXT_SHOWN(part->tensor.name), part->n_rows);
        return 0;
    }
    char found[SHAPE_MAX_LENGTH];
    tensor_print_shape(&view, found, sizeof found);
    return FAIL(resolver, "%s: tensor \"%.*s\" has the shape %s here; %s is expected", place.text,
                TEXT_SHOWN(part->tensor.name), found, expected[part->kind]);
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
    static const struct role role = {.key = "weight", .dims = {DIM_ONE, DIM_IN}};
    struct sizes sizes = {.of = {[DIM_ONE] = 1, [DIM_IN] = layer->n_in}};
    if (whole->n_parts > 1)
        return FAIL(resolver, "%s: one tensor over all inputs is expected, or one per input",
                    place_of(layer, "weight").text);
    if (check_stack(resolver, layer, &role, whole, &sizes) != 0)
        return -1;
    if (whole->parts[0].n_rows && whole->parts[0].n_rows != layer->n_in)
        return FAIL(
            resolver,
            "%s: \"rows\" of a weight over all inputs are %u, one per number of the inputs; "
            "name one row by \"index\", or give \"weights\", one per input",
            place_of(layer, "weight").text, layer->n_in);
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
    const bool is_whole = layer->tensors[ROLE_WEIGHT].n_parts > 0;
    if (is_whole && cut_weight(resolver, layer) != 0)
        return -1;
    for (uint32_t i = 0; !is_whole && layer->weights && i < layer->n_inputs; i++) {
        const struct role weight = {.key = "weight", .dims = {DIM_ONE, DIM_IN}};
        sizes.of[DIM_IN] = resolver->spec->layers[layer->inputs[i]].n_out;
        if (check_stack(resolver, layer, &weight, &layer->weights[i], &sizes) != 0)
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
    if (layer->kind == LAYER_CROSS_LAYER_NORM && layer->epsilon != 1e-5f)
        return FAIL(resolver, "%s: epsilon is %g; 1e-05 alone is possible here",
                    place_of(layer, NULL).text, (double)layer->epsilon);
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

uint32_t spec_count_readers(const struct network_spec *spec, uint32_t number)
{
    uint32_t n = 0;
    for (uint32_t i = number + 1; i < spec->n_layers; i++) {
        const struct spec_layer *layer = &spec->layers[i];
        n += layer_kinds[layer->kind].is_cross && layer->x0 == number;
        for (uint32_t k = 0; k < layer->n_inputs; k++)
            n += layer->inputs[k] == number;
    }
    return n;
}

/* A connection that was forgotten would change scores. */
static int check_all_read(struct resolver *resolver)
{
    for (uint32_t i = 0; i + 1 < resolver->spec->n_layers; i++)
        if (spec_count_readers(resolver->spec, i) == 0)
            return FAIL(resolver,
                        "%s: nothing reads it; name it in another layer's inputs, or leave "
                        "it out",
                        place_of(&resolver->spec->layers[i], NULL).text);
    return 0;
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
        resolver.used[i] |= is_ignored(spec, list->tensors[i].name) ||
                            (!spec->is_exact && !tensor_is_float(&list->tensors[i]));
    return check_all_used(&resolver) != 0 ? -1 : check_all_read(&resolver);
}

/* ---- rows ---- */

static uint64_t most(uint64_t a, uint32_t row)
{
    return row < SPEC_REFUSE && row > a ? row : a;
}

/* The largest row that a look-up may give. */
static uint64_t largest_row(const struct spec_lookup *lookup, const uint32_t *n_classes)
{
    const uint32_t n =
        lookup->kind == LOOKUP_VOCABULARY ? n_classes[lookup->vocabulary] : lookup->modulus;
    uint64_t largest = 0;
    if (lookup->kind == LOOKUP_VOCABULARY && lookup->rows)
        for (uint32_t i = 0; i < n; i++)
            largest = lookup->rows[i] > largest ? lookup->rows[i] : largest;
    else if (n > 0)
        largest = (uint64_t)lookup->first_row + n - 1;
    largest = most(largest, lookup->unseen_row);
    largest = most(largest, lookup->missing_row);
    return lookup->is_padded ? most(largest, lookup->pad_row) : largest;
}

int spec_check_rows(const struct network_spec *spec, const uint32_t *n_classes,
                    struct format_error *error)
{
    for (uint32_t i = 0; i < spec->n_layers; i++)
        for (uint32_t p = 0; p < spec->layers[i].n_parts; p++) {
            const struct spec_input *part = &spec->layers[i].parts[p];
            if (part->kind != INPUT_TABLE)
                continue;
            const struct spec_lookup *lookup = &spec->lookups[part->source];
            const uint64_t largest = largest_row(lookup, n_classes);
            if (largest >= part->n_rows)
                return format_error_set(
                    error, FORMAT_NO_OFFSET,
                    "tensor \"%.*s\" has %u rows; values of column \"%.*s\" may lead to row "
                    "%" PRIu64,
                    TEXT_SHOWN(part->tensor.name), part->n_rows,
                    TEXT_SHOWN(spec->columns[lookup->column].name), largest);
        }
    return 0;
}
