/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_columns.c: the features as columns, vocabularies, look-ups and values of the spec. */
#include "network/fuxictr_reading.h"

/* ---- columns ---- */

static int refuse_column(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                         const char *what)
{
    return FUXICTR_FAIL(reading, "%s: column \"%.*s\": %s", FUXICTR_PROCESSOR,
                        TEXT_SHOWN(feature->name), what);
}

/* A missing list is the text `fill_na`, which the splitter divides as any other. */
static int check_filling(struct fuxictr_reading *reading, const struct fuxictr_feature *feature)
{
    const struct fuxictr_column *column = feature->column;
    const struct text fill = column->fill_text, separator = column->tokenizer.separator;
    if (!text_equal(fill, column->tokenizer.na_value))
        return refuse_column(reading, feature,
                             "fill_na is another text than _na_value of its Tokenizer: fit the "
                             "columns again");
    if (fill.length && memmem(fill.at, fill.length, separator.at, separator.length))
        return refuse_column(reading, feature,
                             "a fill_na that the splitter divides is not read: train with a "
                             "fill_na of one word");
    return 0;
}

static int check_category(struct fuxictr_reading *reading, const struct fuxictr_feature *feature)
{
    const struct fuxictr_column *column = feature->column;
    const bool is_list = feature->type == FUXICTR_SEQUENCE;
    if (!column->has_tokenizer)
        return refuse_column(reading, feature, "processor_dict has no tokenizer of it");
    if ((column->dtype == FUXICTR_FLOAT && !fuxictr_has_buckets(feature)) ||
        (is_list && column->dtype != FUXICTR_TEXT))
        return refuse_column(reading, feature,
                             is_list ? "a sequence of another dtype than str is not read"
                                     : "a category of dtype float is not read: make it a str");
    if (!is_list)
        return 0;
    if (column->tokenizer.separator.length == 0 || column->tokenizer.max_values == 0)
        return refuse_column(reading, feature, "a sequence needs a splitter and a max_len");
    return check_filling(reading, feature);
}

static void set_list(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                     struct spec_column *column, struct spec_lookup *lookup)
{
    const struct fuxictr_tokenizer *tokenizer = &feature->column->tokenizer;
    column->is_list = true;
    column->separator = maker_copy(&reading->maker, tokenizer->separator);
    lookup->max_values = tokenizer->max_values;
    lookup->keep = tokenizer->pads_in_front ? LIST_LAST : LIST_FIRST;
    lookup->pad = tokenizer->pads_in_front ? LIST_FIRST : LIST_LAST;
    lookup->is_padded = !fuxictr_are_rows_zero(reading, feature, 0, 1);
}

static int add_category(struct fuxictr_reading *reading, struct fuxictr_feature *feature,
                        const struct json_node *root)
{
    struct network_spec *spec = reading->maker.spec;
    struct spec_column *column = &spec->columns[spec->n_columns];
    struct spec_lookup *lookup = &spec->lookups[spec->n_lookups];
    if (check_category(reading, feature) != 0)
        return -1;
    *column =
        (struct spec_column){.name = feature->name, .is_number = fuxictr_has_buckets(feature)};
    *lookup = (struct spec_lookup){.column = spec->n_columns++,
                                   .kind = LOOKUP_VOCABULARY,
                                   .vocabulary = spec->n_vocabularies++};
    feature->source = spec->n_lookups++;
    if (feature->type == FUXICTR_SEQUENCE)
        set_list(reading, feature, column, lookup);
    return fuxictr_read_vocabulary(reading, feature, root, lookup);
}

static int add_number(struct fuxictr_reading *reading, struct fuxictr_feature *feature)
{
    struct network_spec *spec = reading->maker.spec;
    struct spec_step *steps = maker_room(&reading->maker, 1 + MAKER_SCALING_STEPS, sizeof *steps);
    if (steps == NULL)
        return format_error_memory(reading->error);
    if (feature->column->dtype == FUXICTR_TEXT)
        return refuse_column(reading, feature, "a number of dtype str is not read");
    steps[0] = (struct spec_step){.kind = STEP_FILL, .a = feature->column->fill_number};
    uint32_t n = 1;
    if (feature->column->is_scaled)
        n += maker_scaling_steps(steps + 1, &feature->column->scaling);
    spec->columns[spec->n_columns] = (struct spec_column){.name = feature->name, .is_number = true};
    spec->values[spec->n_values] = (struct spec_value){spec->n_columns++, steps, n};
    feature->source = spec->n_values++;
    return 0;
}

/* Columns of numbers, or those of texts. */
static int add_columns(struct fuxictr_reading *reading, const struct json_node *words,
                       bool are_numbers)
{
    for (uint32_t i = 0; i < reading->n_features; i++) {
        struct fuxictr_feature *feature = &reading->features[i];
        const bool is_numeric = feature->type == FUXICTR_NUMERIC;
        if ((is_numeric || fuxictr_has_buckets(feature)) != are_numbers)
            continue;
        if ((is_numeric ? add_number(reading, feature) : add_category(reading, feature, words)) !=
            0)
            return -1;
    }
    return 0;
}

int fuxictr_add_columns(struct fuxictr_reading *reading)
{
    struct network_spec *spec = reading->maker.spec;
    struct maker *maker = &reading->maker;
    const uint32_t n = reading->n_features;
    const struct json_node *root;
    spec->columns = maker_room(maker, n, sizeof *spec->columns);
    spec->values = maker_room(maker, n, sizeof *spec->values);
    spec->lookups = maker_room(maker, n, sizeof *spec->lookups);
    reading->vocabularies->all =
        arena_calloc(reading->classes, (size_t)n + 1, sizeof *reading->vocabularies->all);
    if (maker->is_short || reading->vocabularies->all == NULL)
        return format_error_memory(reading->error);
    if (json_tree_read(&root, &reading->nodes, reading->classes, reading->source->vocabulary,
                       (struct text){"", 0}, reading->error) != 0)
        return fuxictr_name_file(reading, FUXICTR_VOCABULARY);
    if (add_columns(reading, root, false) != 0)
        return -1;
    spec->n_categories = spec->n_columns;
    if (add_columns(reading, root, true) != 0)
        return -1;
    reading->vocabularies->n = spec->n_vocabularies;
    return 0;
}
