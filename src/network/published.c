/* SPDX-License-Identifier: Apache-2.0 */
#include "network/published.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "network/kinds.h"
#include "network/maker.h"

enum { NAME_MAX_LENGTH = 64, SHAPE_MAX_LENGTH = 96 };

/* ---- columns ---- */

static void add_columns(struct maker *maker, const struct published_columns *columns)
{
    struct network_spec *spec = maker->spec;
    const uint32_t n_categories = columns->n_categories, n_numbers = columns->n_numbers;
    spec->columns = maker_room(maker, (size_t)n_categories + n_numbers, sizeof *spec->columns);
    spec->values = maker_room(maker, n_numbers, sizeof *spec->values);
    spec->lookups = maker_room(maker, n_categories, sizeof *spec->lookups);
    if (maker->is_short)
        return;
    for (uint32_t i = 0; i < n_categories; i++) {
        const struct published_category *category = &columns->categories[i];
        spec->columns[i] = (struct spec_column){.name = category->name};
        spec->lookups[i] = (struct spec_lookup){.column = i,
                                                .kind = LOOKUP_VOCABULARY,
                                                .vocabulary = i,
                                                .unseen_row = category->unseen_row,
                                                .missing_row = category->missing_row};
    }
    for (uint32_t i = 0; i < n_numbers; i++) {
        const struct published_number *number = &columns->numbers[i];
        spec->columns[n_categories + i] =
            (struct spec_column){.name = number->name, .is_number = true};
        spec->values[i] = (struct spec_value){n_categories + i, number->steps, number->n_steps};
    }
    spec->n_columns = n_categories + n_numbers;
    spec->n_categories = spec->n_lookups = spec->n_vocabularies = n_categories;
    spec->n_values = n_numbers;
}

/* ---- layers ---- */

static void add_x0(struct maker *maker)
{
    const struct network_spec *spec = maker->spec;
    struct spec_input *parts =
        maker_room(maker, (size_t)spec->n_values + spec->n_lookups, sizeof *parts);
    if (parts == NULL)
        return;
    for (uint32_t i = 0; i < spec->n_values; i++)
        parts[i] = (struct spec_input){.kind = INPUT_VALUE, .source = i, .width = 1};
    for (uint32_t i = 0; i < spec->n_lookups; i++)
        parts[spec->n_values + i] =
            (struct spec_input){.kind = INPUT_TABLE,
                                .source = i,
                                .tensor = {.name = maker_text(maker, "embeddings.%u.weight", i)}};
    struct spec_layer *x0 = maker_layer(maker, LAYER_INPUT, text_of("x0"), 0);
    x0->n_inputs = 0;
    x0->parts = parts;
    x0->n_parts = spec->n_values + spec->n_lookups;
}

static void add_weights(struct maker *maker, struct spec_layer *layer, const char *stem,
                        const char *part, size_t number)
{
    layer->tensors[ROLE_WEIGHT] =
        maker_stack(maker, maker_text(maker, "%s.%zu%s.weight", stem, number, part));
    layer->tensors[ROLE_BIAS] =
        maker_stack(maker, maker_text(maker, "%s.%zu%s.bias", stem, number, part));
}

static void add_cross(struct maker *maker, uint32_t number, enum layer_kind kind)
{
    const uint32_t input = maker->spec->n_layers - 1;
    struct spec_layer *layer =
        maker_layer(maker, kind, maker_text(maker, "cross_layers.%u", number), input);
    add_weights(maker, layer, "cross_layers", kind == LAYER_CROSS_LAYER_NORM ? ".0" : "", number);
    if (kind != LAYER_CROSS_LAYER_NORM)
        return;
    layer->tensors[CROSS_NORM_WEIGHT] =
        maker_stack(maker, maker_text(maker, "cross_layers.%u.1.weight", number));
    layer->tensors[CROSS_NORM_BIAS] =
        maker_stack(maker, maker_text(maker, "cross_layers.%u.1.bias", number));
}

/* A linear layer and its ReLU; returns the layer whose value it is. */
static uint32_t add_deep(struct maker *maker, size_t number, uint32_t input)
{
    struct spec_layer *linear =
        maker_layer(maker, LAYER_LINEAR, maker_text(maker, "dnn.%zu", number), input);
    add_weights(maker, linear, "dnn", "", number);
    struct spec_layer *relu =
        maker_layer(maker, LAYER_ACTIVATION, maker_text(maker, "dnn.%zu", number + 1),
                    maker->spec->n_layers - 1);
    relu->activation = ACTIVATE_RELU;
    return maker->spec->n_layers - 1;
}

static void add_output(struct maker *maker, uint32_t cross, uint32_t deep, bool has_deep)
{
    struct spec_layer *output = maker_layer(maker, LAYER_OUTPUT, text_of("output"), cross);
    maker_set_inputs(maker, output, (uint32_t[]){cross, deep}, has_deep ? 2 : 1);
    output->tensors[ROLE_WEIGHT] = maker_stack(maker, text_of("output.weight"));
    output->tensors[ROLE_BIAS] = maker_stack(maker, text_of("output.bias"));
}

/* Places for x0, the layers and the output. */
static int begin(struct maker *maker, const struct published_columns *columns, size_t n_cross,
                 size_t n_deep)
{
    *maker->spec =
        (struct network_spec){.is_exact = true, .source = text_of("the names of its tensors")};
    if (maker_begin(maker, (uint32_t)(2 + n_cross + 2 * n_deep)) != 0)
        return -1;
    add_columns(maker, columns);
    if (maker->is_short)
        return -1;
    add_x0(maker);
    return 0;
}

/* ---- of a file ---- */

bool published_is_table(struct text name)
{
    static const char start[] = "embeddings.";
    return name.length >= sizeof start && memcmp(name.at, start, sizeof start - 1) == 0;
}

__attribute__((format(printf, 2, 3))) static const struct tensor *
find(const struct tensor_list *list, const char *format, ...)
{
    char name[NAME_MAX_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return tensor_find(list, name);
}

/* Whether the layer has a weight or a bias: if one is missing the other tells of it. */
static bool has_layer(const struct tensor_list *list, const char *stem, size_t number,
                      const char *part)
{
    return find(list, "%s.%zu%s.weight", stem, number, part) ||
           find(list, "%s.%zu%s.bias", stem, number, part);
}

static uint64_t needed(uint64_t n_rows, uint32_t row)
{
    return row < SPEC_REFUSE && row >= n_rows ? (uint64_t)row + 1 : n_rows;
}

/* Each column has a table with a row for each class, and the one of unseen values. */
static int check_tables(const struct tensor_list *list, const struct published_columns *columns,
                        struct format_error *error)
{
    for (uint32_t i = 0; i < columns->n_categories; i++) {
        const struct published_category *column = &columns->categories[i];
        uint64_t n_needed = column->n_classes;
        n_needed = needed(n_needed, column->unseen_row);
        n_needed = needed(n_needed, column->missing_row);
        const struct tensor *table = find(list, "embeddings.%u.weight", i);
        if (table == NULL)
            return format_error_set(error, FORMAT_NO_OFFSET,
                                    "tensor \"embeddings.%u.weight\" of shape [%" PRIu64
                                    ", width] is missing: column \"%.*s\" needs it",
                                    i, n_needed, TEXT_SHOWN(column->name));
        if (table->n_dims == 2 && table->sizes[1] > 0 && table->sizes[0] >= n_needed &&
            table->sizes[0] <= UINT32_MAX && table->sizes[1] <= UINT32_MAX)
            continue;
        char found[SHAPE_MAX_LENGTH];
        tensor_print_shape(table, found, sizeof found);
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "tensor \"embeddings.%u.weight\" has the shape %s; column "
                                "\"%.*s\" has %u classes and needs [%" PRIu64 ", width]",
                                i, found, TEXT_SHOWN(column->name), column->n_classes, n_needed);
    }
    return 0;
}

static uint32_t count_cross(const struct tensor_list *list)
{
    uint32_t n = 0;
    while (n < SPEC_MAX_LAYERS &&
           (has_layer(list, "cross_layers", n, ".0") || has_layer(list, "cross_layers", n, "")))
        n++;
    return n;
}

static int assume(struct maker *maker, bool has_deep)
{
    struct text *assumptions = maker_room(maker, 4, sizeof *assumptions);
    uint32_t n = 0;
    if (assumptions == NULL)
        return -1;
    if (maker->spec->n_values && maker->spec->n_lookups)
        assumptions[n++] = text_of("x0 is the dense columns, then the embeddings in their order");
    if (has_deep) {
        assumptions[n++] = text_of("the activation of the deep layers is ReLU");
        assumptions[n++] = text_of("the output takes the cross layers, then the deep ones");
    }
    maker->spec->assumptions = assumptions;
    maker->spec->n_assumptions = n;
    return 0;
}

/* torch.nn.Sequential without layers passes x0 on: the output is then twice as wide. */
static bool output_takes_x0(const struct tensor_list *list, const struct published_columns *columns)
{
    uint64_t width = columns->n_numbers;
    const struct tensor *output = tensor_find(list, "output.weight");
    for (uint32_t i = 0; i < columns->n_categories; i++)
        width += find(list, "embeddings.%u.weight", i)->sizes[1];
    return output && output->n_dims == 2 && output->sizes[1] == 2 * width;
}

int published_recognise(struct network_spec *spec, struct arena *arena,
                        const struct tensor_list *list, const struct published_columns *columns,
                        struct format_error *error)
{
    struct maker maker = {.spec = spec, .arena = arena};
    const uint32_t n_cross = count_cross(list);
    const size_t *numbers; /* of the deep layers, ascending: those between have no tensors */
    size_t n_deep;
    if (check_tables(list, columns, error) != 0)
        return -1;
    if (tensor_list_numbers(list, "dnn.", arena, &numbers, &n_deep) != 0 ||
        begin(&maker, columns, n_cross, n_deep) != 0)
        return format_error_memory(error);
    for (uint32_t l = 0; l < n_cross; l++)
        add_cross(&maker, l,
                  has_layer(list, "cross_layers", l, ".0") ? LAYER_CROSS_LAYER_NORM
                                                           : LAYER_CROSS_FULL);
    const uint32_t cross = spec->n_layers - 1;
    uint32_t deep = 0;
    for (size_t l = 0; l < n_deep; l++) {
        const size_t number = numbers[l];
        if (!has_layer(list, "dnn", number, ""))
            continue;
        if (number > 0 && has_layer(list, "dnn", number - 1, ""))
            return format_error_set(error, FORMAT_NO_OFFSET,
                                    "layer \"dnn.%zu\" follows \"dnn.%zu\" at once: there is no "
                                    "ReLU between them, as the network has one",
                                    number, number - 1);
        deep = add_deep(&maker, number, deep);
    }
    add_output(&maker, cross, deep, deep != 0 || output_takes_x0(list, columns));
    if (maker.is_short || assume(&maker, deep != 0) != 0)
        return format_error_memory(error);
    return 0;
}

/* ---- to be trained ---- */

const char *const published_cross_names[PUBLISHED_N_CROSS] = {
    [PUBLISHED_LAYER_NORM] = "layernorm", [PUBLISHED_FULL] = "full"};

static const enum layer_kind cross_kinds[PUBLISHED_N_CROSS] = {
    [PUBLISHED_LAYER_NORM] = LAYER_CROSS_LAYER_NORM, [PUBLISHED_FULL] = LAYER_CROSS_FULL};

/* Columns without names. */
static int make_columns(struct maker *maker, const struct published_sizes *sizes,
                        const uint32_t *n_rows)
{
    struct published_category *categories = maker_room(maker, sizes->n_sparse, sizeof *categories);
    const struct published_columns columns = {
        .categories = categories,
        .n_categories = sizes->n_sparse,
        .numbers = maker_room(maker, sizes->n_dense, sizeof *columns.numbers),
        .n_numbers = sizes->n_dense};
    if (maker->is_short)
        return -1;
    for (uint32_t i = 0; i < sizes->n_sparse; i++)
        categories[i] = (struct published_category){
            .n_classes = n_rows[i] - 1, .unseen_row = n_rows[i] - 1, .missing_row = n_rows[i] - 1};
    return begin(maker, &columns, sizes->n_cross, sizes->n_deep);
}

/* As spec_resolve() sets them by the shapes of tensors, which are not there yet. */
static void set_widths(struct network_spec *spec, const struct published_sizes *sizes,
                       const uint32_t *n_rows)
{
    struct spec_layer *layers = spec->layers;
    struct spec_input *tables = (struct spec_input *)layers[0].parts + spec->n_values;
    uint32_t deep = 0;
    for (uint32_t i = 0; i < spec->n_lookups; i++) {
        tables[i].n_rows = n_rows[i];
        tables[i].width = sizes->embedding;
    }
    layers[0].n_out = spec->n_values + spec->n_lookups * sizes->embedding;
    for (uint32_t i = 1; i < spec->n_layers; i++) {
        for (uint32_t k = 0; k < layers[i].n_inputs; k++)
            layers[i].n_in += layers[layers[i].inputs[k]].n_out;
        layers[i].n_out = layers[i].kind == LAYER_LINEAR   ? sizes->deep[deep++]
                          : layers[i].kind == LAYER_OUTPUT ? 1
                                                           : layers[i].n_in;
    }
}

int published_make(struct network_spec *spec, struct arena *arena,
                   const struct published_sizes *sizes, const uint32_t *n_rows)
{
    struct maker maker = {.spec = spec, .arena = arena};
    uint32_t deep = 0;
    if (make_columns(&maker, sizes, n_rows) != 0)
        return -1;
    spec->source = text_of("the settings of a run");
    for (uint32_t l = 0; l < sizes->n_cross; l++)
        add_cross(&maker, l, cross_kinds[sizes->cross]);
    const uint32_t cross = spec->n_layers - 1;
    for (uint32_t l = 0; l < sizes->n_deep; l++)
        deep = add_deep(&maker, 2 * (size_t)l, deep);
    add_output(&maker, cross, deep, sizes->n_deep > 0);
    if (maker.is_short)
        return -1;
    set_widths(spec, sizes, n_rows);
    return 0;
}

/* Adds a layer to the sizes. */
static const char *measure_cross(const struct spec_layer *layer, struct published_sizes *sizes)
{
    const uint32_t cross = layer->kind == LAYER_CROSS_FULL ? PUBLISHED_FULL : PUBLISHED_LAYER_NORM;
    if (sizes->n_cross > 0 && sizes->cross != cross)
        return "it has cross layers of both kinds";
    if (sizes->n_cross == PUBLISHED_MAX_LAYERS)
        return "it has too many layers";
    sizes->cross = cross;
    sizes->n_cross++;
    return NULL;
}

static const char *measure_layer(const struct spec_layer *layer, struct published_sizes *sizes)
{
    switch (layer->kind) {
    case LAYER_CROSS_FULL:
    case LAYER_CROSS_LAYER_NORM:
        return measure_cross(layer, sizes);
    case LAYER_LINEAR:
        if (sizes->n_deep == PUBLISHED_MAX_LAYERS)
            return "it has too many layers";
        sizes->deep[sizes->n_deep++] = layer->n_out;
        return NULL;
    case LAYER_ACTIVATION:
        return layer->activation == ACTIVATE_RELU ? NULL : "an activation is not ReLU";
    case LAYER_INPUT:
    case LAYER_OUTPUT:
        return NULL;
    default:
        return "it has layers of a kind that is not trained";
    }
}

static const char *measure_tables(const struct network_spec *spec, struct published_sizes *sizes)
{
    const struct spec_layer *x0 = &spec->layers[0];
    for (uint32_t i = 0; i < x0->n_parts; i++) {
        const struct spec_input *part = &x0->parts[i];
        if (part->kind != (i < spec->n_values ? INPUT_VALUE : INPUT_TABLE) ||
            part->pooling != POOLING_NONE)
            return "its x0 is not numbers, then one row of a table per category";
        if (part->kind == INPUT_TABLE && sizes->embedding && part->width != sizes->embedding)
            return "its embedding tables are of different width";
        if (part->kind == INPUT_TABLE)
            sizes->embedding = part->width;
    }
    return NULL;
}

/* Each layer reads the one before it, the first deep one x0, and the output the last ones. */
static bool is_wired(const struct network_spec *spec, const struct published_sizes *sizes)
{
    const struct spec_layer *output = &spec->layers[spec->n_layers - 1];
    const uint32_t first_deep = sizes->n_cross + 1;
    for (uint32_t i = 1; i + 1 < spec->n_layers; i++) {
        const struct spec_layer *layer = &spec->layers[i];
        if (layer->n_inputs != 1 || layer->inputs[0] != (i == first_deep ? 0 : i - 1))
            return false;
    }
    return output->inputs[0] == sizes->n_cross &&
           output->n_inputs == (sizes->n_deep > 0 ? 2u : 1u) &&
           output->inputs[output->n_inputs - 1] == spec->n_layers - 2;
}

const char *published_measure(const struct network_spec *spec, struct published_sizes *ret_sizes)
{
    struct published_sizes sizes = {.n_dense = spec->n_values, .n_sparse = spec->n_lookups};
    const char *reason = NULL;
    for (uint32_t i = 0; i < spec->n_layers && reason == NULL; i++)
        reason = measure_layer(&spec->layers[i], &sizes);
    if (reason == NULL)
        reason = measure_tables(spec, &sizes);
    if (reason)
        return reason;
    if (sizes.n_deep == 0 && spec->layers[spec->n_layers - 1].n_inputs > 1)
        return "its output looks at x0 itself";
    if (!is_wired(spec, &sizes))
        return "its layers are connected in another way than the published network's";
    *ret_sizes = sizes;
    return NULL;
}
