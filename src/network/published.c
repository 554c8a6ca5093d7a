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
