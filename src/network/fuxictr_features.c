/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_features.c: which features the model reads, in which order. */
#include "network/fuxictr_reading.h"

/* ---- feature_map.json ---- */

/* false: the model does not see it, or it cannot be served (*status is -1). */
static bool read_type(struct fuxictr_reading *reading, const struct json_node *node,
                      enum fuxictr_type *ret, int *status)
{
    static const char *const names[] = {"numeric", "categorical", "sequence", "meta"};
    const struct json_node *type = json_tree_need(node, "type", reading->error);
    unsigned which;
    *status = type && json_tree_choice(type, names, 4, &which, reading->error) == 0 ? 0 : -1;
    if (*status != 0 || which == 3)
        return false;
    *ret = (enum fuxictr_type)which;
    const struct json_node *processor = json_tree_find(node, "category_processor");
    if (processor)
        *status = json_tree_refuse(processor, reading->error,
                                   "FuxiCTR fits such buckets and never applies them, so that the "
                                   "model read something else; put the numbers into buckets "
                                   "before, and train with the buckets' names as texts");
    return *status == 0;
}

/* A feature stands in the list as {NAME: {..}}. */
static int read_feature(struct fuxictr_reading *reading, const struct json_node *item)
{
    struct fuxictr_feature *feature = &reading->features[reading->n_features];
    const struct json_node *node = item->kind == JSON_OBJECT && item->n == 1 ? item->child : NULL;
    int status;
    if (node == NULL)
        return json_tree_unexpected(item, reading->error, "an object of one feature");
    if (!read_type(reading, node, &feature->type, &status))
        return status;
    if (node->key.length == 0 || node->key.length > FUXICTR_MAX_NAME ||
        memchr(node->key.at, '\0', node->key.length))
        return json_tree_refuse(node, reading->error, "a name of 1 to %d bytes is expected",
                                FUXICTR_MAX_NAME);
    feature->node = node;
    feature->name = maker_copy(&reading->maker, node->key);
    for (uint32_t i = 0; i < reading->n_features; i++)
        if (text_equal(reading->features[i].name, node->key))
            return json_tree_refuse(node, reading->error, "stands twice");
    reading->n_features++;
    return 0;
}

static int read_map(struct fuxictr_reading *reading, const struct json_node **ret_root)
{
    const struct json_node *root, *list;
    if (json_tree_read(&root, &reading->nodes, &reading->nodes, reading->source->map,
                       (struct text){"", 0}, reading->error) != 0)
        return -1;
    list = json_tree_need(root, "features", reading->error);
    if (list == NULL)
        return -1;
    if (list->kind != JSON_ARRAY || list->n == 0 || list->n > FUXICTR_MAX_FEATURES)
        return json_tree_unexpected(list, reading->error, "a list of 1 to 4096 features");
    reading->features = arena_calloc(&reading->nodes, list->n, sizeof *reading->features);
    reading->assumptions =
        maker_room(&reading->maker, (size_t)list->n + 1, sizeof *reading->assumptions);
    if (reading->features == NULL || reading->assumptions == NULL)
        return format_error_memory(reading->error);
    for (const struct json_node *item = list->child; item; item = item->next)
        if (read_feature(reading, item) != 0)
            return -1;
    *ret_root = root;
    return 0;
}

/* ---- which features, in which order ---- */

static struct fuxictr_feature *find_feature(const struct fuxictr_reading *reading, uint32_t from,
                                            struct text name)
{
    for (uint32_t i = from; i < reading->n_features; i++)
        if (text_equal(reading->features[i].name, name))
            return &reading->features[i];
    return NULL;
}

/* The configuration's use_features, in its order. */
static int choose_features(struct fuxictr_reading *reading)
{
    const struct json_node *list = fuxictr_setting(reading, "use_features");
    if (list == NULL)
        return 0;
    if (list->kind != JSON_ARRAY || list->n == 0)
        return json_tree_unexpected(list, reading->error, "a list of features");
    for (const struct json_node *item = list->child; item; item = item->next) {
        struct fuxictr_feature *found =
            item->kind == JSON_STRING ? find_feature(reading, item->place, item->text) : NULL;
        if (found == NULL)
            return json_tree_unexpected(item, reading->error,
                                        "a feature of " FUXICTR_MAP " that does not stand before");
        const struct fuxictr_feature moved = reading->features[item->place];
        reading->features[item->place] = *found;
        *found = moved;
    }
    reading->n_features = list->n;
    return 0;
}

/* The feature of whose table a tensor is; length 0: it is none. */
static struct text feature_of(struct text name)
{
    const size_t start = sizeof FUXICTR_TABLES - 1;
    if (name.length <= start || memcmp(name.at, FUXICTR_TABLES, start) != 0)
        return (struct text){"", 0};
    const char *end = memchr(name.at + start, '.', name.length - start);
    return (struct text){name.at + start, end ? (size_t)(end - name.at) - start : 0};
}

static int refuse_order(struct fuxictr_reading *reading, uint32_t n, struct text name)
{
    const char *advice = reading->section ? ""
                                          : ": use_features of " FUXICTR_CONFIG
                                            ", which is not there, may tell";
    if (n == reading->n_features)
        return FUXICTR_FAIL(reading,
                            "the weights' feature %u is \"%.*s\"; " FUXICTR_MAP " has %u%s", n + 1,
                            TEXT_SHOWN(name), n, advice);
    return FUXICTR_FAIL(
        reading, "the weights' feature %u is \"%.*s\"; " FUXICTR_MAP " tells \"%.*s\" there%s",
        n + 1, TEXT_SHOWN(name), TEXT_SHOWN(reading->features[n].name), advice);
}

/* The library makes the tables in the order of x0, and writes them so. */
static int check_order(struct fuxictr_reading *reading)
{
    const struct tensor_list *list = reading->source->tensors;
    uint32_t n = 0;
    for (size_t i = 0; i < list->n_tensors; i++) {
        const struct text name = feature_of(list->tensors[i].name);
        const bool is_of_last = n > 0 && text_equal(reading->features[n - 1].name, name);
        if (name.length == 0 || is_of_last)
            continue;
        if (n < reading->n_features && text_equal(reading->features[n].name, name)) {
            n++;
            continue;
        }
        return refuse_order(reading, n, name);
    }
    if (n < reading->n_features)
        return FUXICTR_FAIL(reading,
                            "tensor \"" FUXICTR_TABLES "%.*s.weight\" is missing: " FUXICTR_MAP
                            " has the feature",
                            TEXT_SHOWN(reading->features[n].name));
    return 0;
}

static int check_data_set(struct fuxictr_reading *reading, const struct json_node *root)
{
    const struct json_node *id = json_tree_need(root, "dataset_id", reading->error);
    struct text text;
    if (id == NULL || json_tree_text(id, &text, reading->error) != 0)
        return fuxictr_name_file(reading, FUXICTR_MAP);
    const struct text copy = maker_copy(&reading->maker, text);
    return copy.at ? fuxictr_check_text(reading, "dataset_id", copy.at)
                   : format_error_memory(reading->error);
}

/* What the data set's own code does to values stays with whoever sends them. */
static void assume_preprocessed(struct fuxictr_reading *reading,
                                const struct fuxictr_feature *feature)
{
    if (feature->column->preprocess.length && !fuxictr_has_buckets(feature))
        reading->assumptions[reading->n_assumptions++] =
            maker_text(&reading->maker, "\"%.*s\" comes as %.*s leaves it",
                       TEXT_SHOWN(feature->name), TEXT_SHOWN(feature->column->preprocess));
}

int fuxictr_read_features(struct fuxictr_reading *reading)
{
    const struct json_node *root = NULL;
    if (read_map(reading, &root) != 0)
        return fuxictr_name_file(reading, FUXICTR_MAP);
    if (check_data_set(reading, root) != 0)
        return -1;
    if (choose_features(reading) != 0)
        return fuxictr_name_file(reading, FUXICTR_CONFIG);
    for (uint32_t i = 0; i < reading->n_features; i++) {
        struct fuxictr_feature *feature = &reading->features[i];
        feature->column = fuxictr_file_find(&reading->processor, feature->name);
        if (feature->column == NULL)
            return FUXICTR_FAIL(reading,
                                "%s: feature_cols: has no \"%.*s\", as " FUXICTR_MAP " has",
                                FUXICTR_PROCESSOR, TEXT_SHOWN(feature->name));
        assume_preprocessed(reading, feature);
    }
    if (check_order(reading) != 0)
        return -1;
    for (uint32_t i = 0; i < reading->n_features; i++)
        if (fuxictr_find_tables(reading, &reading->features[i]) != 0)
            return -1;
    return 0;
}
