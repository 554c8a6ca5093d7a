/* SPDX-License-Identifier: Apache-2.0 */
/* draw.c: a network as a drawing in plain text, and what its layers cost. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "network/kinds.h"

enum { NAME_SHOWN = 48, SHAPE_MAX_LENGTH = 96, TEXT_AT = 12 };

/* ---- the tensors of a layer, in order ---- */

struct visit {
    void (*tensor)(void *context, const char *key, const struct tensor_part *part);
    void *context;
};

static void visit_stack(const struct visit *visit, const char *key,
                        const struct tensor_stack *stack)
{
    for (uint32_t p = 0; p < stack->n_parts; p++)
        visit->tensor(visit->context, key, &stack->parts[p]);
}

static void visit_layer(const struct visit *visit, const struct spec_layer *layer)
{
    const struct role *roles = layer_kinds[layer->kind].roles;
    for (uint32_t i = 0; i < layer->n_parts; i++)
        if (layer->parts[i].kind != INPUT_VALUE)
            visit->tensor(visit->context, layer->parts[i].kind == INPUT_TABLE ? "table" : "times",
                          &layer->parts[i].tensor);
    for (uint32_t i = 0; layer->weights && i < layer->n_inputs; i++)
        visit_stack(visit, "weight", &layer->weights[i]);
    for (unsigned r = 0; r < SPEC_MAX_ROLES; r++)
        visit_stack(visit, roles[r].key ? roles[r].key : "bias", &layer->tensors[r]);
}

/* ---- counts ---- */

static bool is_same(const struct tensor_part *a, const struct tensor_part *b)
{
    bool same = text_equal(a->name, b->name) && a->n_indices == b->n_indices &&
                a->first_row == b->first_row && a->n_rows == b->n_rows;
    for (uint32_t i = 0; same && i < a->n_indices; i++)
        same = a->index[i] == b->index[i];
    return same;
}

/* Looks for a part among those that come before it. */
struct search {
    const struct tensor_part *wanted;
    bool is_at_it, is_before;
};

static void look_at(void *context, const char *key, const struct tensor_part *part)
{
    struct search *search = context;
    (void)key;
    search->is_at_it |= part == search->wanted;
    search->is_before |= !search->is_at_it && is_same(part, search->wanted);
}

static bool is_shared(const struct network_spec *spec, uint32_t number,
                      const struct tensor_part *part)
{
    struct search search = {.wanted = part};
    for (uint32_t i = 0; i <= number; i++)
        visit_layer(&(struct visit){look_at, &search}, &spec->layers[i]);
    return search.is_before;
}

struct counting {
    const struct network_spec *spec;
    const struct tensor_list *list;
    uint32_t number;
    struct layer_count count;
};

static void count_tensor(void *context, const char *key, const struct tensor_part *part)
{
    struct counting *counting = context;
    struct tensor view;
    struct format_error error;
    (void)key;
    if (is_shared(counting->spec, counting->number, part) ||
        tensor_part_view(part, counting->list, &view, &error) != 0)
        return;
    counting->count.parameters += view.n_elements;
    counting->count.bytes += view.n_elements * tensor_element_size(view.dtype);
}

struct layer_count spec_count_layer(const struct network_spec *spec, uint32_t number,
                                    const struct tensor_list *list)
{
    const struct spec_layer *layer = &spec->layers[number];
    struct counting counting = {.spec = spec, .list = list, .number = number};
    visit_layer(&(struct visit){count_tensor, &counting}, layer);
    counting.count.multiply_adds = layer_kinds[layer->kind].multiply_adds(layer);
    return counting.count;
}

/* ---- lines from values to their readers ---- */

struct drawing {
    const struct network_spec *spec;
    const struct tensor_list *list;
    FILE *out;
    uint32_t *last_readers; /* [n_layers]: the last layer that reads the value */
    uint32_t *lanes;        /* [n_layers]: the layer whose value runs there; SPEC_NONE: free */
    uint32_t n_lanes;
};

static bool reads(const struct spec_layer *layer, uint32_t value)
{
    if (layer_kinds[layer->kind].is_cross && layer->x0 == value)
        return true;
    for (uint32_t i = 0; i < layer->n_inputs; i++)
        if (layer->inputs[i] == value)
            return true;
    return false;
}

static bool is_read(const struct drawing *drawing, uint32_t lane, uint32_t number)
{
    return drawing->lanes[lane] != SPEC_NONE &&
           reads(&drawing->spec->layers[number], drawing->lanes[lane]);
}

/* The lane of a layer: that of a value that nobody reads behind it, else a free one. */
static uint32_t lane_for(struct drawing *drawing, uint32_t number)
{
    uint32_t lane;
    for (lane = 0; lane < drawing->n_lanes; lane++)
        if (is_read(drawing, lane, number) && drawing->last_readers[drawing->lanes[lane]] == number)
            return lane;
    for (lane = 0; lane < drawing->n_lanes && drawing->lanes[lane] != SPEC_NONE; lane++)
        ;
    if (lane == drawing->n_lanes)
        drawing->lanes[drawing->n_lanes++] = SPEC_NONE;
    return lane;
}

/* "|-+-o ": the layer at its lane, and the lines to it. number SPEC_NONE: no layer. */
static void print_lanes(const struct drawing *drawing, uint32_t number, uint32_t lane)
{
    uint32_t first = lane, last = lane, n = 0;
    for (uint32_t i = 0; number != SPEC_NONE && i < drawing->n_lanes; i++) {
        if (!is_read(drawing, i, number))
            continue;
        first = i < first ? i : first;
        last = i > last ? i : last;
    }
    for (uint32_t i = 0; i < drawing->n_lanes; i++) {
        const bool is_on_the_way = number != SPEC_NONE && i >= first && i < last;
        const bool is_used = drawing->lanes[i] != SPEC_NONE;
        const bool is_joined = number != SPEC_NONE && is_read(drawing, i, number);
        const char mark = number != SPEC_NONE && i == lane ? 'o'
                          : is_joined                      ? '+'
                          : is_used                        ? '|'
                          : is_on_the_way                  ? '-'
                                                           : ' ';
        n += (uint32_t)fprintf(drawing->out, "%c%c", mark, is_on_the_way ? '-' : ' ');
    }
    fprintf(drawing->out, "%*s", n < TEXT_AT ? (int)(TEXT_AT - n) : 1, "");
}

static void end_lanes(struct drawing *drawing, uint32_t number, uint32_t lane)
{
    for (uint32_t i = 0; i < drawing->n_lanes; i++)
        if (drawing->lanes[i] != SPEC_NONE && drawing->last_readers[drawing->lanes[i]] <= number)
            drawing->lanes[i] = SPEC_NONE;
    drawing->lanes[lane] = number + 1 < drawing->spec->n_layers ? number : SPEC_NONE;
}

/* ---- text ---- */

/* The end of a long name: tensors differ there. */
static void print_name(FILE *out, struct text name, int width)
{
    char shown[NAME_SHOWN + 8] = "";
    size_t cut = name.length > NAME_SHOWN ? name.length - NAME_SHOWN : 0;
    while (cut > 0 && cut < name.length && ((unsigned char)name.at[cut] & 0xc0) == 0x80)
        cut++;
    const size_t length = name.length - cut;
    if (length)
        memcpy(shown, name.at + cut, length);
    const int n = (int)text_make_printable(shown, length, false);
    fprintf(out, "%s%-*.*s", cut > 0 ? ".." : "", width, n, shown);
}

static void print_tensor(void *context, const char *key, const struct tensor_part *part)
{
    const struct drawing *drawing = context;
    struct tensor view;
    struct format_error error;
    char shape[SHAPE_MAX_LENGTH] = "";
    if (tensor_part_view(part, drawing->list, &view, &error) == 0)
        tensor_print_shape(&view, shape, sizeof shape);
    print_lanes(drawing, SPEC_NONE, 0);
    fprintf(drawing->out, "  %-11s ", key);
    print_name(drawing->out, part->name, 0);
    fprintf(drawing->out, " %s\n", shape);
}

static void print_layer(struct drawing *drawing, uint32_t number)
{
    const struct spec_layer *layer = &drawing->spec->layers[number];
    const struct layer_count count = spec_count_layer(drawing->spec, number, drawing->list);
    const uint32_t lane = lane_for(drawing, number);
    char widths[32], kind[64];
    print_lanes(drawing, number, lane);
    end_lanes(drawing, number, lane);
    print_name(drawing->out, layer->name, 18);
    snprintf(widths, sizeof widths, "%u -> %u", layer->n_in, layer->n_out);
    snprintf(kind, sizeof kind, "%s %s", layer_kinds[layer->kind].name,
             layer->activation != ACTIVATE_NONE ? activation_names[layer->activation] : "");
    fprintf(drawing->out, " %-27s %14s %10" PRIu64 " %10" PRIu64 "\n", kind,
            layer->n_in ? widths : widths + strlen("0 -> "), count.parameters, count.multiply_adds);
    visit_layer(&(struct visit){print_tensor, drawing}, layer);
}

static void print_totals(const struct drawing *drawing)
{
    struct layer_count tables = {0}, layers = {0};
    for (uint32_t i = 0; i < drawing->spec->n_layers; i++) {
        const struct layer_count count = spec_count_layer(drawing->spec, i, drawing->list);
        struct layer_count *sum = drawing->spec->layers[i].n_parts ? &tables : &layers;
        sum->parameters += count.parameters;
        sum->bytes += count.bytes;
        layers.multiply_adds += count.multiply_adds;
    }
    fprintf(drawing->out,
            "in all: %" PRIu64 " parameters, %" PRIu64 " bytes, in tables; %" PRIu64
            " parameters, %" PRIu64 " bytes, in layers;\n        %" PRIu64
            " multiply-adds per row (functions and the pooling of lists are not counted)\n",
            tables.parameters, tables.bytes, layers.parameters, layers.bytes, layers.multiply_adds);
}

int spec_draw(const struct network_spec *spec, const struct tensor_list *list, FILE *out)
{
    struct drawing drawing = {.spec = spec, .list = list, .out = out};
    drawing.last_readers = calloc(spec->n_layers, sizeof *drawing.last_readers);
    drawing.lanes = calloc((size_t)spec->n_layers + 1, sizeof *drawing.lanes);
    const int status = drawing.last_readers && drawing.lanes ? 0 : -1;
    for (uint32_t i = 0; status == 0 && i < spec->n_layers; i++)
        for (uint32_t value = 0; value < i; value++)
            if (reads(&spec->layers[i], value))
                drawing.last_readers[value] = i;
    if (status == 0)
        fprintf(out, "%*s%-18s %-27s %14s %10s %10s\n", TEXT_AT, "", "layer", "kind", "width",
                "parameters", "mul-adds");
    for (uint32_t i = 0; status == 0 && i < spec->n_layers; i++)
        print_layer(&drawing, i);
    if (status == 0)
        print_totals(&drawing);
    free(drawing.last_readers);
    free(drawing.lanes);
    return status;
}
