/* SPDX-License-Identifier: Apache-2.0 */
#include "network/yaml_tree.h"

#include <math.h>
#include <yaml.h>

#include "number.h"

struct building {
    yaml_parser_t parser;
    struct arena *nodes;
    struct format_error *error;
};

/* The next event, which is to be deleted. -1: *error. */
static int next_event(struct building *b, yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&b->parser, ret_event))
        return 0;
    if (b->parser.error == YAML_MEMORY_ERROR)
        return format_error_memory(b->error);
    return format_error_set(b->error, FORMAT_NO_OFFSET, "line %zu: %s",
                            b->parser.problem_mark.line + 1,
                            b->parser.problem ? b->parser.problem : "is no YAML");
}

static int refuse(struct building *b, const yaml_event_t *event, const char *what)
{
    return format_error_set(b->error, FORMAT_NO_OFFSET, "line %zu: %s", event->start_mark.line + 1,
                            what);
}

/* ---- scalars ---- */

static bool is_one_of(struct text text, const char *const *names)
{
    for (; *names; names++)
        if (text_is(text, *names))
            return true;
    return false;
}

/* Digits, a point, an exponent: what is a number in YAML and in Python. */
static bool is_number(struct text text, double *ret_number)
{
    for (size_t i = 0; i < text.length; i++)
        if (memchr("+-.0123456789eE", text.at[i], 15) == NULL)
            return false;
    return number_parse_python(text.at, text.length, ret_number) && isfinite(*ret_number);
}

static void read_plain(struct json_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes",
                                        "YES",  "on",   "On",   "ON",  NULL};
    static const char *const falses[] = {"false", "False", "FALSE", "no",  "No",
                                         "NO",    "off",   "Off",   "OFF", NULL};
    double number;
    if (is_one_of(node->text, nulls)) {
        node->kind = JSON_NULL;
    } else if (is_one_of(node->text, trues)) {
        node->kind = JSON_TRUE;
    } else if (is_one_of(node->text, falses)) {
        node->kind = JSON_FALSE;
    } else if (is_number(node->text, &number)) {
        node->kind = JSON_NUMBER;
        node->number = number;
    }
}

static int copy_scalar(struct building *b, const yaml_event_t *event, struct text *ret)
{
    const char *at = (const char *)event->data.scalar.value;
    ret->length = event->data.scalar.length;
    ret->at = arena_copy_text(b->nodes, at, ret->length);
    if (ret->at == NULL)
        return format_error_memory(b->error);
    return event->data.scalar.tag ? refuse(b, event, "tags are not read") : 0;
}

static int read_scalar(struct building *b, const yaml_event_t *event, struct json_node *node)
{
    if (copy_scalar(b, event, &node->text) != 0)
        return -1;
    node->kind = JSON_STRING;
    if (event->data.scalar.plain_implicit)
        read_plain(node);
    return 0;
}

/* ---- collections ---- */

static int read_value(struct building *b, const yaml_event_t *event, struct json_node *node,
                      unsigned depth);

/* The key of the member that comes. */
static int read_key(struct building *b, const yaml_event_t *event, const struct json_node *object,
                    struct text *ret)
{
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(b, event, "a key that is no text");
    if (copy_scalar(b, event, ret) != 0)
        return -1;
    if (json_tree_find_text(object, *ret))
        return json_tree_refuse(object, b->error, "the key \"%.*s\" stands twice",
                                TEXT_SHOWN(*ret));
    return object->n < YAML_TREE_MAX_KEYS ? 0 : refuse(b, event, "more than 4096 keys");
}

/* The value of a member whose key `event` is, or the element that `event` starts. */
static int read_member(struct building *b, const yaml_event_t *event, struct json_node *parent,
                       struct json_node *member, unsigned depth)
{
    yaml_event_t value;
    *member = (struct json_node){.parent = parent, .place = parent->n};
    if (parent->kind == JSON_ARRAY)
        return read_value(b, event, member, depth);
    if (read_key(b, event, parent, &member->key) != 0 || next_event(b, &value) != 0)
        return -1;
    const int status = read_value(b, &value, member, depth);
    yaml_event_delete(&value);
    return status;
}

static int read_members(struct building *b, struct json_node *node, unsigned depth)
{
    const yaml_event_type_t end =
        node->kind == JSON_OBJECT ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    const struct json_node **link = &node->child;
    if (depth == JSON_TREE_MAX_DEPTH)
        return json_tree_refuse(node, b->error, "nested deeper than %d", JSON_TREE_MAX_DEPTH);
    for (;;) { /* ends with the document's bytes */
        yaml_event_t event;
        if (next_event(b, &event) != 0)
            return -1;
        const bool is_end = event.type == end;
        struct json_node *member = is_end ? NULL : arena_alloc(b->nodes, sizeof *member);
        int status = 0;
        if (member)
            status = read_member(b, &event, node, member, depth + 1);
        else if (!is_end)
            status = format_error_memory(b->error);
        yaml_event_delete(&event);
        if (is_end || status != 0)
            return status;
        node->n++;
        *link = member; /* once it is read: a key is looked for among those before */
        link = &member->next;
    }
}

static int read_value(struct building *b, const yaml_event_t *event, struct json_node *node,
                      unsigned depth)
{
    const bool is_object = event->type == YAML_MAPPING_START_EVENT;
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(b, event, node);
    if (!is_object && event->type != YAML_SEQUENCE_START_EVENT)
        return refuse(b, event, "aliases are not read: write the value out");
    if (is_object ? event->data.mapping_start.tag : event->data.sequence_start.tag)
        return refuse(b, event, "tags are not read");
    node->kind = is_object ? JSON_OBJECT : JSON_ARRAY;
    return read_members(b, node, depth);
}

/* ---- the document ---- */

static int expect(struct building *b, yaml_event_type_t type, const char *what)
{
    yaml_event_t event;
    if (next_event(b, &event) != 0)
        return -1;
    const int status = event.type == type ? 0 : refuse(b, &event, what);
    yaml_event_delete(&event);
    return status;
}

static int read_document(struct building *b, struct json_node *root)
{
    yaml_event_t event;
    if (expect(b, YAML_STREAM_START_EVENT, "is no YAML") != 0 ||
        expect(b, YAML_DOCUMENT_START_EVENT, "holds no document") != 0 ||
        next_event(b, &event) != 0)
        return -1;
    const int status = read_value(b, &event, root, 0);
    yaml_event_delete(&event);
    if (status != 0)
        return -1;
    return expect(b, YAML_DOCUMENT_END_EVENT, "goes on behind its document") != 0
               ? -1
               : expect(b, YAML_STREAM_END_EVENT, "holds a second document");
}

int yaml_tree_read(const struct json_node **ret_root, struct arena *nodes, struct text document,
                   struct format_error *error)
{
    struct building b = {.nodes = nodes, .error = error};
    struct json_node *root = arena_calloc(nodes, 1, sizeof *root);
    if (document.length > YAML_TREE_MAX_BYTES)
        return format_error_set(error, FORMAT_NO_OFFSET, "is larger than %d bytes",
                                YAML_TREE_MAX_BYTES);
    if (root == NULL || !yaml_parser_initialize(&b.parser))
        return format_error_memory(error);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)document.at, document.length);
    const int status = read_document(&b, root);
    yaml_parser_delete(&b.parser);
    *ret_root = root;
    return status;
}
