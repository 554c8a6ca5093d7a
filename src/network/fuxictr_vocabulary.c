/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_vocabulary.c: the words of a feature, and the rows of its table that they stand for. */
#include "network/fuxictr_reading.h"
#include "network/json_reading.h"

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
    const struct tensor *table = tensor_find_text(reading->source->tensors, feature->table);
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
        return FUXICTR_FAIL(reading, "%s: %s: vocab_size is %u; tensor \"%s\" has the shape %s",
                            FUXICTR_MAP, feature->name.at, n_rows, feature->table.at, shape);
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

/* The text of a missing value has a place in a list, and the padding's row, if the vocabulary of
 * another feature that shares the table gives it one or not. */
static int set_filling_word(struct fuxictr_reading *reading, struct text word,
                            struct spec_vocabulary *vocabulary, uint32_t row)
{
    uint32_t n = vocabulary->n, which = n;
    struct text *classes = arena_calloc(reading->classes, (size_t)n + 1, sizeof *classes);
    uint32_t *rows = arena_calloc(reading->classes, (size_t)n + 1, sizeof *rows);
    if (classes == NULL || rows == NULL)
        return format_error_memory(reading->error);
    for (uint32_t i = 0; i < n; i++) {
        classes[i] = vocabulary->classes[i];
        rows[i] = vocabulary->rows ? vocabulary->rows[i] : vocabulary->first_row + i;
        if (text_equal(classes[i], word))
            which = i;
        else if (classes[i].length == 0)
            return FUXICTR_FAIL(reading,
                                "%s: %.*s: the empty text is a word beside the fill_na \"%.*s\", "
                                "and a request cannot tell an empty list from a list of an empty "
                                "text; train with fill_na: \"\"",
                                FUXICTR_VOCABULARY, TEXT_SHOWN(vocabulary->name), TEXT_SHOWN(word));
    }
    classes[which] = word;
    rows[which] = row;
    *vocabulary = (struct spec_vocabulary){vocabulary->name, classes, n + (which == n), rows, 0};
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

int fuxictr_read_vocabulary(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
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
        (ret->max_values && set_filling_word(reading, feature->column->fill_text, vocabulary,
                                             ret->missing_row) != 0) ||
        (fuxictr_has_buckets(feature) &&
         fuxictr_set_buckets(reading, feature, vocabulary, ret) != 0))
        return -1;
    return keep_rows(reading, vocabulary, ret);
}
