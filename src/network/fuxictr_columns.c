/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_columns.c: the features as columns, vocabularies, look-ups and values of the spec. */
#include "network/fuxictr_reading.h"
#include "network/json_reading.h"

/* ---- vocabularies ---- */

static const struct tensor *table_of(const struct fuxictr_reading *reading,
                                     const struct fuxictr_feature *feature)
{
    return fuxictr_tensor(reading, FUXICTR_TABLES "%s.weight", feature->name.at);
}

/* The largest row of a vocabulary, whose rows ascend. */
static uint32_t last_row(const struct spec_vocabulary *vocabulary)
{
    if (vocabulary->n == 0)
        return 0;
    return vocabulary->rows ? vocabulary->rows[vocabulary->n - 1]
                            : vocabulary->first_row + vocabulary->n - 1;
}

/* Three files tell how many rows there are. */
static int check_sizes(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                       const struct spec_vocabulary *vocabulary)
{
    const uint32_t n_words = feature->column->tokenizer.n_words;
    const struct json_node *size = json_tree_need(feature->node, "vocab_size", reading->error);
    const struct tensor *table = table_of(reading, feature);
    uint32_t n_rows;
    char shape[96];
    if (size == NULL || json_tree_whole(size, 1, INT32_MAX, &n_rows, reading->error) != 0)
        return fuxictr_name_file(reading, FUXICTR_MAP);
    if (vocabulary->n != n_words)
        return FUXICTR_FAIL(reading, "%s: %s has %u words; %s has %u", FUXICTR_VOCABULARY,
                            feature->name.at, vocabulary->n, FUXICTR_PROCESSOR, n_words);
    if (last_row(vocabulary) + 1 != n_rows)
        return FUXICTR_FAIL(reading, "%s: %s has rows up to %u; %s tells vocab_size %u",
                            FUXICTR_VOCABULARY, feature->name.at, last_row(vocabulary), FUXICTR_MAP,
                            n_rows);
    tensor_print_shape(table, shape, sizeof shape);
    if (table->n_dims != 2 || table->sizes[0] != n_rows)
        return FUXICTR_FAIL(reading,
                            "%s: %s: vocab_size is %u; tensor \"" FUXICTR_TABLES
                            "%s.weight\" has the shape %s",
                            FUXICTR_MAP, feature->name.at, n_rows, feature->name.at, shape);
    return 0;
}

static int read_row(struct fuxictr_reading *reading, const struct json_node *words,
                    const char *word, uint32_t *ret)
{
    const struct json_node *row = json_tree_need(words, word, reading->error);
    return row ? json_tree_whole(row, 0, INT32_MAX, ret, reading->error) : -1;
}

/* The row of a missing value: that of the text that it becomes, or that of unseen ones. */
static int read_missing(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                        const struct json_node *words, struct spec_lookup *ret)
{
    const struct json_node *row = json_tree_find_text(words, feature->column->fill_text);
    ret->missing_row = ret->unseen_row;
    if (feature->type == FUXICTR_SEQUENCE)
        return read_row(reading, words, "__PAD__", &ret->missing_row);
    return row ? json_tree_whole(row, 0, INT32_MAX, &ret->missing_row, reading->error) : 0;
}

/* An empty text in a list has a place and the padding's row. */
static int add_empty_word(struct fuxictr_reading *reading, struct spec_vocabulary *vocabulary,
                          uint32_t row)
{
    const uint32_t n = vocabulary->n;
    struct text *classes = arena_calloc(reading->classes, (size_t)n + 1, sizeof *classes);
    uint32_t *rows = arena_calloc(reading->classes, (size_t)n + 1, sizeof *rows);
    if (classes == NULL || rows == NULL)
        return format_error_memory(reading->error);
    for (uint32_t i = 0; i < n; i++) {
        classes[i] = vocabulary->classes[i];
        rows[i] = vocabulary->rows ? vocabulary->rows[i] : vocabulary->first_row + i;
        if (classes[i].length == 0)
            return FUXICTR_FAIL(reading,
                                "%s: %.*s: the empty text is a word; in a list it stands "
                                "for padding",
                                FUXICTR_VOCABULARY, TEXT_SHOWN(vocabulary->name));
    }
    classes[n] = (struct text){"", 0};
    rows[n] = row;
    *vocabulary = (struct spec_vocabulary){vocabulary->name, classes, n + 1, rows, 0};
    return 0;
}

/* The rows go with the spec, and stay. */
static int keep_rows(struct fuxictr_reading *reading, const struct spec_vocabulary *vocabulary,
                     struct spec_lookup *ret)
{
    ret->first_row = vocabulary->first_row;
    if (vocabulary->rows == NULL)
        return 0;
    uint32_t *rows = maker_room(&reading->maker, vocabulary->n, sizeof *rows);
    if (rows == NULL)
        return format_error_memory(reading->error);
    memcpy(rows, vocabulary->rows, vocabulary->n * sizeof *rows);
    ret->rows = rows;
    ret->first_row = 0;
    return 0;
}

static int read_words(struct fuxictr_reading *reading, const struct json_node *words,
                      struct spec_vocabulary *ret)
{
    struct json_reading classes = {.arena = reading->classes, .error = reading->error};
    if (words->kind != JSON_OBJECT)
        return json_tree_unexpected(words, reading->error, "an object of rows by word");
    arena_init(&classes.nodes, SIZE_MAX);
    const int status = json_read_classes(&classes, words, ret);
    arena_free(&classes.nodes);
    return status;
}

static int read_vocabulary(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                           const struct json_node *root, struct spec_lookup *ret)
{
    struct spec_vocabulary *vocabulary = &reading->vocabularies->all[ret->vocabulary];
    const struct json_node *words = json_tree_need(root, feature->name.at, reading->error);
    vocabulary->name = feature->name;
    if (words == NULL || read_words(reading, words, vocabulary) != 0 ||
        read_row(reading, words, "__OOV__", &ret->unseen_row) != 0 ||
        read_missing(reading, feature, words, ret) != 0)
        return fuxictr_name_file(reading, FUXICTR_VOCABULARY);
    if (check_sizes(reading, feature, vocabulary) != 0 ||
        (ret->max_values && add_empty_word(reading, vocabulary, ret->missing_row) != 0))
        return -1;
    return keep_rows(reading, vocabulary, ret);
}

/* ---- columns ---- */

static int refuse_column(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                         const char *what)
{
    return FUXICTR_FAIL(reading, "%s: column \"%.*s\": %s", FUXICTR_PROCESSOR,
                        TEXT_SHOWN(feature->name), what);
}

static int check_category(struct fuxictr_reading *reading, const struct fuxictr_feature *feature)
{
    const struct fuxictr_column *column = feature->column;
    const bool is_list = feature->type == FUXICTR_SEQUENCE;
    if (!column->has_tokenizer)
        return refuse_column(reading, feature, "processor_dict has no tokenizer of it");
    if (column->dtype == FUXICTR_FLOAT || (is_list && column->dtype != FUXICTR_TEXT))
        return refuse_column(reading, feature,
                             is_list ? "a sequence of another dtype than str is not read"
                                     : "a category of dtype float is not read: make it a str");
    if (!is_list)
        return 0;
    if (column->tokenizer.separator.length == 0 || column->tokenizer.max_values == 0)
        return refuse_column(reading, feature, "a sequence needs a splitter and a max_len");
    if (column->fill_text.length || column->tokenizer.na_value.length)
        return refuse_column(reading, feature, "a sequence whose fill_na is not empty is not read");
    return 0;
}

/* Padding adds nothing to a sum and counts for nothing in a mean if its row is of zeros. */
static bool is_padding_zero(const struct fuxictr_reading *reading,
                            const struct fuxictr_feature *feature, uint32_t row)
{
    const struct tensor *table = table_of(reading, feature);
    if (table->n_dims != 2 || row >= table->sizes[0] || !tensor_is_float(table))
        return true; /* refused elsewhere */
    const unsigned size = tensor_element_size(table->dtype);
    const uint8_t *at = table->data + row * table->strides[0] * size;
    for (uint64_t i = 0; i < table->sizes[1]; i++)
        for (unsigned b = 0; b < size; b++)
            if (at[i * table->strides[1] * size + b] != 0)
                return false;
    return true;
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
    lookup->is_padded = !is_padding_zero(reading, feature, 0);
}

static int add_category(struct fuxictr_reading *reading, struct fuxictr_feature *feature,
                        const struct json_node *root)
{
    struct network_spec *spec = reading->maker.spec;
    struct spec_column *column = &spec->columns[spec->n_columns];
    struct spec_lookup *lookup = &spec->lookups[spec->n_lookups];
    if (check_category(reading, feature) != 0)
        return -1;
    *column = (struct spec_column){.name = feature->name};
    *lookup = (struct spec_lookup){.column = spec->n_columns++,
                                   .kind = LOOKUP_VOCABULARY,
                                   .vocabulary = spec->n_vocabularies++};
    feature->source = spec->n_lookups++;
    if (feature->type == FUXICTR_SEQUENCE)
        set_list(reading, feature, column, lookup);
    return read_vocabulary(reading, feature, root, lookup);
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
    for (uint32_t i = 0; i < n; i++)
        if (reading->features[i].type != FUXICTR_NUMERIC &&
            add_category(reading, &reading->features[i], root) != 0)
            return -1;
    spec->n_categories = spec->n_columns;
    reading->vocabularies->n = spec->n_vocabularies;
    for (uint32_t i = 0; i < n; i++)
        if (reading->features[i].type == FUXICTR_NUMERIC &&
            add_number(reading, &reading->features[i]) != 0)
            return -1;
    return 0;
}
