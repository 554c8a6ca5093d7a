/* SPDX-License-Identifier: Apache-2.0 */
/* json_source.c: "lookups" and "values": what is made of a column before a layer sees it. */
#include "network/json_reading.h"

enum { MOST_ROW = INT32_MAX };

const char *const json_hash_names[3] = {
    [HASH_CRC32] = "crc32", [HASH_MURMUR3_32] = "murmur3_32", [HASH_XXHASH64] = "xxhash64"};
const char *const json_end_names[2] = {[LIST_FIRST] = "first", [LIST_LAST] = "last"};
const char *const json_pad_names[2] = {[LIST_FIRST] = "front", [LIST_LAST] = "behind"};

/* ---- columns ---- */

static uint32_t column_called(struct json_reading *reading, struct text name)
{
    for (uint32_t i = 0; i < reading->spec->n_columns; i++) {
        if (text_equal(reading->spec->columns[i].name, name)) {
            reading->column_used[i] = true;
            return i;
        }
    }
    return SPEC_NONE;
}

/* The column that an object names; without the key, that of the object's own name. */
static int read_column(struct json_reading *reading, const struct json_node *node,
                       struct text own_name, uint32_t *ret)
{
    const struct json_node *key = json_tree_find(node, "column");
    struct text name = own_name;
    if (key == NULL && own_name.length == 0)
        return json_tree_need(node, "column", reading->error) ? 0 : -1;
    if (key && json_tree_text(key, &name, reading->error) != 0)
        return -1;
    *ret = column_called(reading, name);
    return *ret != SPEC_NONE ? 0
                             : json_tree_refuse(key ? key : node, reading->error,
                                                "no column is called \"%.*s\"", TEXT_SHOWN(name));
}

/* ---- values ---- */

static int read_value(struct json_reading *reading, const struct json_node *node,
                      struct text own_name, struct spec_value *ret)
{
    static const char *const keys[] = {"column", "steps", NULL};
    if (json_tree_check_keys(node, keys, reading->error) != 0 ||
        read_column(reading, node, own_name, &ret->column) != 0)
        return -1;
    if (!reading->spec->columns[ret->column].is_number)
        return json_tree_refuse(node, reading->error,
                                "the column \"%.*s\" is not of \"type\": \"number\"",
                                TEXT_SHOWN(reading->spec->columns[ret->column].name));
    return json_read_steps(reading, node, ret->column, &ret->steps, &ret->n_steps);
}

/* ---- rows ---- */

/* The row that a lookup gives to a class. */
static int row_of_class(struct json_reading *reading, const struct json_node *node,
                        const struct spec_lookup *lookup, uint32_t *ret)
{
    static const char *const keys[] = {"as", NULL};
    const struct json_node *as = json_tree_find(node, "as");
    if (json_tree_check_keys(node, keys, reading->error) != 0)
        return -1;
    if (as == NULL || as->kind != JSON_STRING || lookup->kind != LOOKUP_VOCABULARY)
        return json_tree_refuse(node, reading->error,
                                "expected a row, \"drop\", \"refuse\", or {\"as\": a text of the "
                                "vocabulary}");
    const struct spec_vocabulary *vocabulary = &reading->vocabularies->all[lookup->vocabulary];
    for (uint32_t i = 0; vocabulary->classes && i < vocabulary->n; i++) {
        if (text_equal(vocabulary->classes[i], as->text)) {
            *ret = lookup->rows ? lookup->rows[i] : lookup->first_row + i;
            return 0;
        }
    }
    return json_tree_refuse(as, reading->error, "\"%.*s\" is not in the vocabulary",
                            TEXT_SHOWN(as->text));
}

/* What becomes of a value that is unseen or missing. */
static int read_row(struct json_reading *reading, const struct json_node *node, const char *key,
                    const struct spec_lookup *lookup, uint32_t *ret)
{
    const struct json_node *row = json_tree_find(node, key);
    *ret = SPEC_REFUSE;
    if (row == NULL || (row->kind == JSON_STRING && text_is(row->text, "refuse")))
        return 0;
    if (row->kind == JSON_STRING && text_is(row->text, "drop")) {
        *ret = SPEC_DROP;
        return 0;
    }
    if (row->kind == JSON_OBJECT)
        return row_of_class(reading, row, lookup, ret);
    if (row->kind != JSON_NUMBER)
        return json_tree_unexpected(row, reading->error, "a row, \"drop\" or \"refuse\"");
    return json_tree_whole(row, 0, MOST_ROW, ret, reading->error);
}

/* ---- lookups ---- */

static int read_vocabulary_name(struct json_reading *reading, const struct json_node *node,
                                struct text own_name, struct spec_lookup *ret)
{
    const struct json_node *key = json_tree_find(node, "vocabulary");
    struct text name = own_name;
    if (key && json_tree_text(key, &name, reading->error) != 0)
        return -1;
    for (uint32_t i = 0; i < reading->vocabularies->n; i++) {
        if (text_equal(reading->vocabularies->all[i].name, name)) {
            reading->vocabulary_used[i] = true;
            ret->vocabulary = i;
            return 0;
        }
    }
    return json_tree_refuse(key ? key : node, reading->error,
                            "\"vocabularies\" has no \"%.*s\"; \"hash\" and \"integer\": true need "
                            "none",
                            TEXT_SHOWN(name));
}

/* "rows": one per class, as they stand. */
static int read_rows(struct json_reading *reading, const struct json_node *list,
                     struct spec_lookup *ret)
{
    const uint32_t n = reading->vocabularies->all[ret->vocabulary].n;
    if (list->kind != JSON_ARRAY || list->n != n)
        return json_tree_unexpected(list, reading->error, "a list of one row per class");
    uint32_t *rows = json_room(reading, n, sizeof *rows);
    if (rows == NULL)
        return -1;
    for (const struct json_node *item = list->child; item; item = item->next)
        if (json_tree_whole(item, 0, MOST_ROW, &rows[item->place], reading->error) != 0)
            return -1;
    ret->rows = rows;
    return 0;
}

/* The rows of the vocabulary, moved by the lookup's "first_row". */
static int move_rows(struct json_reading *reading, const struct json_node *node,
                     struct spec_lookup *ret)
{
    const struct spec_vocabulary *vocabulary = &reading->vocabularies->all[ret->vocabulary];
    uint32_t *rows = NULL;
    if (vocabulary->rows && ret->first_row) {
        rows = json_room(reading, vocabulary->n, sizeof *rows);
        if (rows == NULL)
            return -1;
        for (uint32_t i = 0; i < vocabulary->n; i++)
            rows[i] = vocabulary->rows[i] + ret->first_row;
    }
    uint32_t most = vocabulary->rows ? 0 : vocabulary->n;
    for (uint32_t i = 0; vocabulary->rows && i < vocabulary->n; i++)
        most = vocabulary->rows[i] > most ? vocabulary->rows[i] : most;
    ret->rows = rows ? rows : vocabulary->rows;
    ret->first_row += vocabulary->rows ? 0 : vocabulary->first_row;
    if ((uint64_t)ret->first_row + most > MOST_ROW)
        return json_tree_refuse(node, reading->error, "rows above %d", MOST_ROW);
    return 0;
}

static int read_places(struct json_reading *reading, const struct json_node *node,
                       struct text own_name, struct spec_lookup *ret)
{
    const struct json_node *rows = json_tree_find(node, "rows");
    const struct json_node *first = json_tree_find(node, "first_row");
    if (rows && (first || ret->kind != LOOKUP_VOCABULARY))
        return json_tree_refuse(rows, reading->error,
                                "\"rows\" are for a vocabulary, without \"first_row\"");
    if (first && json_tree_whole(first, 0, MOST_ROW, &ret->first_row, reading->error) != 0)
        return -1;
    if (ret->kind != LOOKUP_VOCABULARY)
        return 0;
    if (read_vocabulary_name(reading, node, own_name, ret) != 0)
        return -1;
    return rows ? read_rows(reading, rows, ret) : move_rows(reading, node, ret);
}

/* Which of the three kinds, and what only a hash has. */
static int read_kind(struct json_reading *reading, const struct json_node *node,
                     struct spec_lookup *ret)
{
    const struct json_node *hash = json_tree_find(node, "hash");
    const struct json_node *integer = json_tree_find(node, "integer");
    const struct json_node *modulus = json_tree_find(node, "modulus");
    const struct json_node *prefix = json_tree_find(node, "prefix");
    const struct json_node *unseen = json_tree_find(node, "unseen");
    unsigned which = 0;
    bool is_integer = false;
    if (integer && json_tree_flag(integer, &is_integer, reading->error) != 0)
        return -1;
    if (!!hash + is_integer + !!json_tree_find(node, "vocabulary") > 1)
        return json_tree_refuse(node, reading->error,
                                "expected one of \"vocabulary\", \"hash\" and \"integer\"");
    ret->kind = hash ? LOOKUP_HASH : is_integer ? LOOKUP_INTEGER : LOOKUP_VOCABULARY;
    if (hash && !json_tree_need(node, "modulus", reading->error))
        return -1;
    if (modulus && ret->kind == LOOKUP_VOCABULARY)
        return json_tree_refuse(modulus, reading->error, "a vocabulary takes no modulus");
    if ((prefix && !hash) || (unseen && hash))
        return json_tree_refuse(prefix && !hash ? prefix : unseen, reading->error,
                                prefix && !hash ? "a prefix is for a \"hash\""
                                                : "no value is unseen by a \"hash\"");
    if (prefix && json_tree_text(prefix, &ret->prefix, reading->error) != 0)
        return -1;
    if (hash && json_tree_choice(hash, json_hash_names, 3, &which, reading->error) != 0)
        return -1;
    ret->hash = (enum hash_kind)which;
    return modulus ? json_tree_whole(modulus, 1, MOST_ROW, &ret->modulus, reading->error) : 0;
}

/* How many of a list, which ones, and what fills the rest. */
static int read_list(struct json_reading *reading, const struct json_node *node,
                     struct spec_lookup *ret)
{
    const struct json_node *most = json_tree_find(node, "max");
    const struct json_node *pad = json_tree_find(node, "pad");
    const struct json_node *pad_row = json_tree_find(node, "pad_row");
    const struct json_node *other = pad ? pad : pad_row ? pad_row : json_tree_find(node, "keep");
    unsigned end;
    if (most == NULL)
        return other ? json_tree_refuse(other, reading->error, "needs \"max\"") : 0;
    if (!reading->spec->columns[ret->column].is_list)
        return json_tree_refuse(most, reading->error, "the column has no \"list\": true");
    const struct json_node *keep = json_tree_need(node, "keep", reading->error);
    if (keep == NULL ||
        json_tree_whole(most, 1, SPEC_JSON_MAX_ITEMS, &ret->max_values, reading->error) != 0 ||
        json_tree_choice(keep, json_end_names, 2, &end, reading->error) != 0)
        return -1;
    ret->keep = (enum list_end)end;
    ret->is_padded = pad != NULL;
    if (!!pad != !!pad_row)
        return json_tree_refuse(node, reading->error, "\"pad\" and \"pad_row\" go together");
    if (pad == NULL)
        return 0;
    if (json_tree_choice(pad, json_pad_names, 2, &end, reading->error) != 0)
        return -1;
    ret->pad = (enum list_end)end;
    return json_tree_whole(pad_row, 0, MOST_ROW, &ret->pad_row, reading->error);
}

static int read_lookup(struct json_reading *reading, const struct json_node *node,
                       struct text own_name, struct spec_lookup *ret)
{
    static const char *const keys[] = {
        "column", "vocabulary", "hash", "integer", "prefix", "modulus", "rows",  "first_row",
        "unseen", "missing",    "max",  "keep",    "pad",    "pad_row", "steps", NULL};
    if (json_tree_check_keys(node, keys, reading->error) != 0 ||
        read_column(reading, node, own_name, &ret->column) != 0)
        return -1;
    return json_read_steps(reading, node, ret->column, &ret->steps, &ret->n_steps) != 0 ||
                   read_kind(reading, node, ret) != 0 ||
                   read_places(reading, node, reading->spec->columns[ret->column].name, ret) != 0 ||
                   read_row(reading, node, "unseen", ret, &ret->unseen_row) != 0 ||
                   read_row(reading, node, "missing", ret, &ret->missing_row) != 0
               ? -1
               : read_list(reading, node, ret);
}

/* ---- named, and in place ---- */

/* A name alone that stands for no named one is that of a column: an object without keys. */
static struct json_node as_object(const struct json_node *node)
{
    return (struct json_node){
        .kind = JSON_OBJECT, .parent = node->parent, .key = node->key, .place = node->place};
}

/* The member of "lookups" or "values" that a node names, or NULL. */
static const struct json_node *find_named(const struct json_reading *reading, const char *where,
                                          const struct json_node *node)
{
    const struct json_node *all = json_tree_find(reading->root, where);
    return all && node->kind == JSON_STRING ? json_tree_find_text(all, node->text) : NULL;
}

static int check_source(struct json_reading *reading, const struct json_node *node,
                        struct json_node *object, struct text *name)
{
    const bool is_text = node->kind == JSON_STRING;
    *name = is_text ? node->text : (struct text){0};
    *object = is_text ? as_object(node) : *node;
    return is_text || node->kind == JSON_OBJECT
               ? 0
               : json_tree_unexpected(node, reading->error, "a name or an object");
}

int json_read_lookup_of(struct json_reading *reading, const struct json_node *node, uint32_t *ret)
{
    const struct json_node *named = find_named(reading, "lookups", node);
    struct json_node object;
    struct text name;
    if (named) {
        *ret = named->place;
        reading->lookup_used[*ret] = true;
        return 0;
    }
    *ret = reading->spec->n_lookups++;
    return check_source(reading, node, &object, &name) == 0
               ? read_lookup(reading, &object, name, &reading->spec->lookups[*ret])
               : -1;
}

int json_read_value_of(struct json_reading *reading, const struct json_node *node, uint32_t *ret)
{
    const struct json_node *named = find_named(reading, "values", node);
    struct json_node object;
    struct text name;
    if (named) {
        *ret = named->place;
        reading->value_used[*ret] = true;
        return 0;
    }
    *ret = reading->spec->n_values++;
    return check_source(reading, node, &object, &name) == 0
               ? read_value(reading, &object, name, &reading->spec->values[*ret])
               : -1;
}

static int count_named(struct json_reading *reading, const char *where, uint32_t *ret)
{
    const struct json_node *all = json_tree_find(reading->root, where);
    *ret = all ? all->n : 0;
    return all && (all->kind != JSON_OBJECT || all->n > SPEC_JSON_MAX_ITEMS)
               ? json_tree_unexpected(all, reading->error, "an object of up to 4096 members")
               : 0;
}

static const struct json_node *first_named(const struct json_reading *reading, const char *where)
{
    const struct json_node *all = json_tree_find(reading->root, where);
    return all ? all->child : NULL;
}

int json_read_sources(struct json_reading *reading, uint32_t n_inline)
{
    struct network_spec *spec = reading->spec;
    if (count_named(reading, "lookups", &spec->n_lookups) != 0 ||
        count_named(reading, "values", &spec->n_values) != 0)
        return -1;
    const size_t n_lookups = (size_t)spec->n_lookups + n_inline,
                 n_values = (size_t)spec->n_values + n_inline;
    spec->lookups = json_room(reading, n_lookups, sizeof *spec->lookups);
    spec->values = json_room(reading, n_values, sizeof *spec->values);
    reading->lookup_used = arena_calloc(&reading->nodes, n_lookups + 1, sizeof(bool));
    reading->value_used = arena_calloc(&reading->nodes, n_values + 1, sizeof(bool));
    if (!spec->lookups || !spec->values || !reading->lookup_used || !reading->value_used)
        return format_error_memory(reading->error);
    for (const struct json_node *node = first_named(reading, "lookups"); node; node = node->next)
        if (read_lookup(reading, node, node->key, &spec->lookups[node->place]) != 0)
            return -1;
    for (const struct json_node *node = first_named(reading, "values"); node; node = node->next)
        if (read_value(reading, node, node->key, &spec->values[node->place]) != 0)
            return -1;
    return 0;
}
