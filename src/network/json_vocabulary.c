/* SPDX-License-Identifier: Apache-2.0 */
/* json_vocabulary.c: classes that stand in a model.json, in a JSON file beside it, or in a pickled
 * encoder. */
#include <stdio.h>
#include <stdlib.h>

#include "format/file.h"
#include "network/json_reading.h"

/* A class, and the row that an object gives it. */
struct entry {
    struct text text;
    uint32_t row;
};

/* The files that were read: several vocabularies are often in one. */
struct document {
    struct text name, bytes;
};

struct documents {
    struct document *all; /* room for each vocabulary's */
    uint32_t n;
};

static int compare_rows(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return text_compare(x->text, y->text);
}

static int compare_texts(const void *a, const void *b)
{
    return text_compare(((const struct entry *)a)->text, ((const struct entry *)b)->text);
}

/* ---- classes ---- */

static int set_classes(struct json_reading *reading, const struct entry *entries, uint32_t n,
                       struct spec_vocabulary *ret)
{
    struct text *classes = json_room(reading, n, sizeof *classes);
    if (classes == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        classes[i] = entries[i].text;
    ret->classes = classes;
    ret->n = n;
    return 0;
}

/* Rows that follow each other, as most do, need no list. */
static int set_rows(struct json_reading *reading, const struct entry *entries, uint32_t n,
                    struct spec_vocabulary *ret)
{
    uint32_t i = 0;
    ret->first_row = n ? entries[0].row : 0;
    while (i < n && entries[i].row == ret->first_row + i)
        i++;
    if (i == n)
        return 0;
    uint32_t *rows = json_room(reading, n, sizeof *rows);
    for (i = 0; rows && i < n; i++)
        rows[i] = entries[i].row;
    ret->rows = rows;
    return rows ? 0 : -1;
}

/* {"Berlin": 1, "Rome": 2}: the keys are distinct. */
static int classes_of_object(struct json_reading *reading, const struct json_node *node,
                             struct entry *entries, struct spec_vocabulary *ret)
{
    for (const struct json_node *member = node->child; member; member = member->next) {
        entries[member->place].text = member->key;
        if (json_tree_whole(member, 0, INT32_MAX, &entries[member->place].row, reading->error) != 0)
            return -1;
    }
    if (node->n)
        qsort(entries, node->n, sizeof *entries, compare_rows);
    return set_classes(reading, entries, node->n, ret) == 0
               ? set_rows(reading, entries, node->n, ret)
               : -1;
}

/* ["Berlin", "Rome"] */
static int classes_of_list(struct json_reading *reading, const struct json_node *node,
                           struct entry *entries, struct spec_vocabulary *ret)
{
    for (const struct json_node *item = node->child; item; item = item->next) {
        if (item->kind != JSON_STRING)
            return json_tree_unexpected(item, reading->error, "the text of a category");
        entries[item->place].text = item->text;
    }
    if (set_classes(reading, entries, node->n, ret) != 0)
        return -1;
    if (node->n)
        qsort(entries, node->n, sizeof *entries, compare_texts);
    for (uint32_t i = 1; i < node->n; i++)
        if (text_equal(entries[i - 1].text, entries[i].text))
            return json_tree_refuse(node, reading->error, "\"%.*s\" stands twice",
                                    TEXT_SHOWN(entries[i].text));
    return 0;
}

int json_read_classes(struct json_reading *reading, const struct json_node *node,
                      struct spec_vocabulary *ret)
{
    if (node->kind != JSON_ARRAY && node->kind != JSON_OBJECT)
        return json_tree_unexpected(node, reading->error,
                                    "a list of texts, or an object of rows by text");
    struct entry *entries = arena_calloc(&reading->nodes, (size_t)node->n + 1, sizeof *entries);
    if (entries == NULL)
        return format_error_memory(reading->error);
    return node->kind == JSON_ARRAY ? classes_of_list(reading, node, entries, ret)
                                    : classes_of_object(reading, node, entries, ret);
}

/* ---- files ---- */

/* "FOLDER/NAME" in the arena. Files of other folders are not read. */
static const char *path_of(struct json_reading *reading, const struct json_node *name)
{
    struct text text;
    if (json_tree_text(name, &text, reading->error) != 0)
        return NULL;
    if (reading->files == NULL || reading->files->folder == NULL ||
        memchr(text.at, '/', text.length) || memchr(text.at, '\0', text.length)) {
        json_tree_unexpected(name, reading->error, "the name of a file beside this one");
        return NULL;
    }
    const size_t size = strlen(reading->files->folder) + 1 + text.length + 1;
    char *path = json_room(reading, size, 1);
    if (path)
        snprintf(path, size, "%s/%.*s", reading->files->folder, (int)text.length, text.at);
    return path;
}

/* Names the key and the file before a message about the file. Returns -1. */
static int name_file(struct json_reading *reading, const struct json_node *name)
{
    const struct format_error found = *reading->error;
    if (!found.out_of_memory)
        json_tree_refuse(name, reading->error, "%.*s: %s", TEXT_SHOWN(name->text), found.message);
    return -1;
}

static int read_document(struct json_reading *reading, const struct json_node *name,
                         struct documents *documents, struct text *ret)
{
    struct file_bytes file;
    for (uint32_t i = 0; i < documents->n; i++) {
        if (text_equal(documents->all[i].name, name->text)) {
            *ret = documents->all[i].bytes;
            return 0;
        }
    }
    const char *path = path_of(reading, name);
    if (path == NULL)
        return -1;
    if (file_read(path, &file, reading->error) != 0)
        return name_file(reading, name);
    *ret = (struct text){arena_copy_text(reading->arena, (char *)file.at, file.size), file.size};
    file_free(&file);
    const struct spec_json_files *files = reading->files;
    if (ret->at == NULL || (files->note_file && files->note_file(files->context, *ret) != 0))
        return format_error_memory(reading->error);
    documents->all[documents->n++] = (struct document){name->text, *ret};
    return 0;
}

static int read_from_file(struct json_reading *reading, const struct json_node *node,
                          const struct json_node *name, struct documents *documents,
                          struct spec_vocabulary *ret)
{
    struct text bytes, pointer = {"", 0};
    const struct json_node *root, *at = json_tree_find(node, "at");
    if ((at && json_tree_text(at, &pointer, reading->error) != 0) ||
        json_tree_text(name, &(struct text){0}, reading->error) != 0 ||
        read_document(reading, name, documents, &bytes) != 0)
        return -1;
    if (json_tree_read(&root, &reading->nodes, reading->arena, bytes, pointer, reading->error) !=
            0 ||
        json_read_classes(reading, root, ret) != 0)
        return name_file(reading, name);
    return 0;
}

static int read_from_encoder(struct json_reading *reading, const struct json_node *node,
                             const struct json_node *name, struct spec_vocabulary *ret)
{
    const struct json_node *column = json_tree_find(node, "column");
    struct text wanted = node->key;
    if (column && json_tree_text(column, &wanted, reading->error) != 0)
        return -1;
    if (reading->files == NULL || reading->files->read_encoder == NULL)
        return json_tree_refuse(name, reading->error, "no encoder can be read here");
    const char *path = path_of(reading, name);
    if (path == NULL)
        return -1;
    if (reading->files->read_encoder(reading->files->context, path, wanted, reading->arena, ret,
                                     reading->error) != 0)
        return name_file(reading, name);
    return 0;
}

/* ---- vocabularies ---- */

static int read_vocabulary(struct json_reading *reading, const struct json_node *node,
                           struct documents *documents, struct spec_vocabulary *ret)
{
    static const char *const keys[] = {"values", "file", "at", "encoder", "column", "stored", NULL};
    if (json_tree_check_keys(node, keys, reading->error) != 0)
        return -1;
    const struct json_node *values = json_tree_find(node, "values");
    const struct json_node *file = json_tree_find(node, "file");
    const struct json_node *encoder = json_tree_find(node, "encoder");
    const struct json_node *stored = json_tree_find(node, "stored");
    if (!!values + !!file + !!encoder + !!stored != 1 || (!file && json_tree_find(node, "at")) ||
        (!encoder && json_tree_find(node, "column")))
        return json_tree_refuse(node, reading->error,
                                "expected \"values\", or \"file\" with \"at\", or \"encoder\" with "
                                "\"column\"");
    ret->name = node->key;
    if (values)
        return json_read_classes(reading, values, ret);
    if (file)
        return read_from_file(reading, node, file, documents, ret);
    return encoder ? read_from_encoder(reading, node, encoder, ret)
                   : json_tree_whole(stored, 0, INT32_MAX, &ret->n, reading->error);
}

int json_read_vocabularies(struct json_reading *reading)
{
    const struct json_node *all = json_tree_find(reading->root, "vocabularies");
    const uint32_t n = all ? all->n : 0;
    if (all && (all->kind != JSON_OBJECT || n > SPEC_JSON_MAX_ITEMS))
        return json_tree_unexpected(all, reading->error, "an object of up to 4096 vocabularies");
    struct documents documents = {
        .all = arena_calloc(&reading->nodes, (size_t)n + 1, sizeof *documents.all)};
    reading->vocabulary_used = arena_calloc(&reading->nodes, (size_t)n + 1, sizeof(bool));
    reading->vocabularies->all = json_room(reading, n, sizeof *reading->vocabularies->all);
    if (!documents.all || !reading->vocabulary_used || !reading->vocabularies->all)
        return format_error_memory(reading->error);
    for (const struct json_node *node = all ? all->child : NULL; node; node = node->next)
        if (read_vocabulary(reading, node, &documents, &reading->vocabularies->all[node->place]) !=
            0)
            return -1;
    reading->vocabularies->n = reading->spec->n_vocabularies = n;
    return 0;
}
