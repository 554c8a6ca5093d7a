/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.c: a whole model.json. */
#include "network/json_reading.h"

void *json_room(struct json_reading *reading, size_t n, size_t size)
{
    void *room = arena_calloc(reading->arena, n ? n : 1, size);
    if (room == NULL)
        format_error_memory(reading->error);
    return room;
}

int json_check_list(struct json_reading *reading, const struct json_node *node, uint32_t most)
{
    if (node->kind != JSON_ARRAY)
        return json_tree_unexpected(node, reading->error, "a list");
    if (node->n == 0 || node->n > most)
        return json_tree_refuse(node, reading->error, "expected a list of 1 to %u, found %u", most,
                                node->n);
    return 0;
}

/* ---- columns ---- */

static int read_column(struct json_reading *reading, const struct json_node *node,
                       struct spec_column *ret)
{
    static const char *const keys[] = {"name", "type", "list", "separator", NULL};
    static const char *const types[] = {"text", "number"};
    const struct json_node *name = json_tree_need(node, "name", reading->error);
    const struct json_node *type = json_tree_find(node, "type");
    const struct json_node *list = json_tree_find(node, "list");
    const struct json_node *separator = json_tree_find(node, "separator");
    unsigned which = 0;
    if (json_tree_check_keys(node, keys, reading->error) != 0 || name == NULL ||
        json_tree_text(name, &ret->name, reading->error) != 0 ||
        (type && json_tree_choice(type, types, 2, &which, reading->error) != 0) ||
        (list && json_tree_flag(list, &ret->is_list, reading->error) != 0) ||
        (separator && json_tree_text(separator, &ret->separator, reading->error) != 0))
        return -1;
    ret->is_number = which == 1;
    if (ret->is_list && ret->is_number)
        return json_tree_refuse(list, reading->error, "a list holds texts, not numbers");
    return separator && !ret->is_list
               ? json_tree_refuse(separator, reading->error, "needs \"list\": true")
               : 0;
}

/* Categories first, then numbers, each in the order of the list. */
static void sort_columns(struct network_spec *spec, const struct spec_column *columns)
{
    uint32_t n = 0;
    for (int is_number = 0; is_number < 2; is_number++) {
        for (uint32_t i = 0; i < spec->n_columns; i++)
            if (columns[i].is_number == is_number)
                spec->columns[n++] = columns[i];
        spec->n_categories = is_number ? spec->n_categories : n;
    }
}

static int read_columns(struct json_reading *reading)
{
    struct network_spec *spec = reading->spec;
    const struct json_node *list = json_tree_need(reading->root, "columns", reading->error);
    if (list == NULL || json_check_list(reading, list, SPEC_JSON_MAX_ITEMS) != 0)
        return -1;
    struct spec_column *columns = arena_calloc(&reading->nodes, list->n, sizeof *columns);
    reading->column_used = arena_calloc(&reading->nodes, list->n, sizeof(bool));
    spec->columns = json_room(reading, list->n, sizeof *spec->columns);
    if (!columns || !reading->column_used || !spec->columns)
        return format_error_memory(reading->error);
    for (const struct json_node *item = list->child; item; item = item->next) {
        if (read_column(reading, item, &columns[item->place]) != 0)
            return -1;
        for (uint32_t i = 0; i < item->place; i++)
            if (text_equal(columns[i].name, columns[item->place].name))
                return json_tree_refuse(item, reading->error, "\"%.*s\" stands twice",
                                        TEXT_SHOWN(columns[i].name));
    }
    spec->n_columns = list->n;
    sort_columns(spec, columns);
    return 0;
}

/* ---- the rest ---- */

static int read_texts(struct json_reading *reading, const char *key, const struct text **ret,
                      uint32_t *ret_n)
{
    const struct json_node *list = json_tree_find(reading->root, key);
    if (list == NULL)
        return 0;
    if (list->kind != JSON_ARRAY)
        return json_tree_unexpected(list, reading->error, "a list of texts");
    struct text *texts = json_room(reading, list->n, sizeof *texts);
    if (texts == NULL)
        return -1;
    for (const struct json_node *item = list->child; item; item = item->next)
        if (json_tree_text(item, &texts[item->place], reading->error) != 0)
            return -1;
    *ret = texts;
    *ret_n = list->n;
    return 0;
}

static int read_head(struct json_reading *reading)
{
    static const char *const keys[] = {"$schema", "dcnv2_model",    "source",      "weights",
                                       "columns", "vocabularies",   "lookups",     "values",
                                       "layers",  "unused_tensors", "assumptions", NULL};
    struct network_spec *spec = reading->spec;
    uint32_t version;
    struct text weights = {0};
    spec->source = text_of("model.json");
    if (json_tree_check_keys(reading->root, keys, reading->error) != 0)
        return -1;
    const struct json_node *number = json_tree_need(reading->root, "dcnv2_model", reading->error);
    const struct json_node *source = json_tree_find(reading->root, "source");
    const struct json_node *file = json_tree_find(reading->root, "weights");
    if (number == NULL ||
        json_tree_whole(number, SPEC_JSON_VERSION, SPEC_JSON_VERSION, &version, reading->error) ||
        (source && json_tree_text(source, &spec->source, reading->error) != 0) ||
        (file && json_tree_text(file, &weights, reading->error) != 0))
        return -1;
    if (memchr(weights.at ? weights.at : "", '/', weights.length))
        return json_tree_unexpected(file, reading->error, "the name of a file beside this one");
    if (reading->files)
        reading->files->weights = weights;
    if (read_texts(reading, "unused_tensors", &spec->ignored, &spec->n_ignored) != 0)
        return -1;
    return read_texts(reading, "assumptions", &spec->assumptions, &spec->n_assumptions);
}

/* Lookups and values that may stand in place: one per part. */
static uint32_t count_parts(const struct json_reading *reading)
{
    const struct json_node *layers = json_tree_find(reading->root, "layers");
    uint32_t n = 0;
    for (const struct json_node *node = layers ? layers->child : NULL; node; node = node->next) {
        const struct json_node *parts = json_tree_find(node, "parts");
        n += parts ? parts->n : 0;
    }
    return n;
}

/* The first of `n` that nobody uses, or `n`. */
static uint32_t first_unused(const bool *used, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && used[i])
        i++;
    return i;
}

/* What nobody uses was meant for something. */
static int check_used(struct json_reading *reading)
{
    const struct {
        const char *key;
        const bool *used;
    } named[] = {{"vocabularies", reading->vocabulary_used},
                 {"lookups", reading->lookup_used},
                 {"values", reading->value_used}};
    for (size_t k = 0; k < sizeof named / sizeof *named; k++) {
        const struct json_node *all = json_tree_find(reading->root, named[k].key);
        const struct json_node *node = all ? all->child : NULL;
        while (node && named[k].used[node->place])
            node = node->next;
        if (node)
            return json_tree_refuse(node, reading->error, "nothing uses it");
    }
    const uint32_t i = first_unused(reading->column_used, reading->spec->n_columns);
    if (i == reading->spec->n_columns)
        return 0;
    return json_tree_refuse(json_tree_find(reading->root, "columns"), reading->error,
                            "nothing uses \"%.*s\"", TEXT_SHOWN(reading->spec->columns[i].name));
}

static int read_all(struct json_reading *reading, struct text json)
{
    /* Texts of the document stay: they are names in the spec. */
    const struct text copy = {arena_copy_text(reading->arena, json.at, json.length), json.length};
    if (copy.at == NULL)
        return format_error_memory(reading->error);
    if (json_tree_read(&reading->root, &reading->nodes, reading->arena, copy, (struct text){"", 0},
                       reading->error) != 0)
        return -1;
    return read_head(reading) != 0 || read_columns(reading) != 0 ||
                   json_read_vocabularies(reading) != 0 ||
                   json_read_sources(reading, count_parts(reading)) != 0 ||
                   json_read_layers(reading) != 0
               ? -1
               : check_used(reading);
}

int spec_json_read(struct network_spec *spec, struct spec_vocabularies *vocabularies,
                   struct arena *arena, struct text json, struct spec_json_files *files,
                   struct format_error *error)
{
    struct json_reading reading = {
        .spec = spec, .vocabularies = vocabularies, .files = files, .arena = arena, .error = error};
    *spec = (struct network_spec){0};
    *vocabularies = (struct spec_vocabularies){0};
    arena_init(&reading.nodes, SIZE_MAX);
    const int status = read_all(&reading, json);
    arena_free(&reading.nodes);
    return status;
}
