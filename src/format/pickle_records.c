/* SPDX-License-Identifier: Apache-2.0 */
/* pickle_records.c: the opcodes that name a class or a function, and apply it. */
#include "format/pickle_records.h"

#include <stdio.h>

enum { NAME_SHOWN_MAX = 160 };

/* "module.name", cut: of names whose text nobody may choose to have copied often. */
static char *full_name(struct pickle_reader *r, struct text module, struct text name)
{
    char full[NAME_SHOWN_MAX];
    const int length =
        snprintf(full, sizeof full, "%.*s.%.*s", TEXT_SHOWN(module), TEXT_SHOWN(name));
    char *copy = arena_copy_text(r->arena, full, (size_t)length);
    if (copy == NULL)
        format_error_memory(r->error);
    return copy;
}

static int push_name(struct pickle_reader *r, struct text module, struct text name)
{
    struct pickle_value *value = pickle_push_new(r, PICKLE_NAME);
    if (value == NULL)
        return -1;
    const struct pickle_name_entry *entry = pickle_name_find(module, name);
    value->name = (uint8_t)(entry ? entry->value : PICKLE_UNKNOWN);
    if (entry)
        return 0;
    value->text.at = full_name(r, module, name);
    if (value->text.at == NULL)
        return -1;
    value->text.length = strlen(value->text.at);
    return 0;
}

static int read_line(struct pickle_reader *r, struct text *ret_line)
{
    const uint8_t *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (newline == NULL)
        return pickle_fail(r, "it ends in the middle of a name");
    *ret_line = (struct text){(const char *)r->at, (size_t)(newline - r->at)};
    r->at = newline + 1;
    return 0;
}

int pickle_push_global(struct pickle_reader *r)
{
    struct text module, name;
    if (read_line(r, &module) != 0 || read_line(r, &name) != 0)
        return -1;
    return push_name(r, module, name);
}

int pickle_push_stack_global(struct pickle_reader *r)
{
    const struct pickle_value *name = pickle_peek(r, 0);
    const struct pickle_value *module = name ? pickle_peek(r, 1) : NULL;
    if (module == NULL)
        return -1;
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return pickle_fail(r, "a name that is not text");
    r->stack.n -= 2;
    return push_name(r, module->text, name->text);
}

/* _codecs.encode(text, "latin1"): how protocol 2 writes bytes. */
static int latin1_bytes(struct pickle_reader *r, const struct pickle_value *arguments,
                        struct pickle_value *bytes)
{
    if (arguments->n != 2 || arguments->items[0]->kind != PICKLE_TEXT ||
        arguments->items[1]->kind != PICKLE_TEXT ||
        !(text_is(arguments->items[1]->text, "latin1") ||
          text_is(arguments->items[1]->text, "latin-1")))
        return pickle_fail(r, "bytes that are not in Latin-1");
    const struct text text = arguments->items[0]->text;
    char *out = arena_alloc(r->arena, text.length);
    if (out == NULL)
        return format_error_memory(r->error);
    const long long n = pickle_latin1(text, out);
    if (n < 0)
        return pickle_fail(r, "bytes that are not in Latin-1");
    bytes->kind = PICKLE_BYTES;
    bytes->text = (struct text){out, (size_t)n};
    return 0;
}

static int make_bytearray(struct pickle_reader *r, const struct pickle_value *arguments,
                          struct pickle_value *bytes)
{
    if (arguments->n == 2)
        return latin1_bytes(r, arguments, bytes);
    if (arguments->n > 1 || (arguments->n == 1 && arguments->items[0]->kind != PICKLE_BYTES))
        return pickle_fail(r, "a bytearray made of something else than bytes");
    bytes->kind = PICKLE_BYTES;
    bytes->text = arguments->n ? arguments->items[0]->text : (struct text){"", 0};
    return 0;
}

/* What a record of an allowed name is made of. */
static int fill_record(struct pickle_reader *r, struct pickle_value *record,
                       struct pickle_value *arguments)
{
    switch ((enum pickle_name)record->name) {
    case PICKLE_CODECS_ENCODE:
        return latin1_bytes(r, arguments, record);
    case PICKLE_BYTEARRAY:
        return make_bytearray(r, arguments, record);
    case PICKLE_ORDERED_DICT:
        if (arguments->n != 0) { /* its items are among them: nothing that PyTorch writes */
            record->record.label = pickle_describe(record);
            record->name = PICKLE_UNKNOWN;
        }
        break;
    default:
        break;
    }
    record->record.arguments = arguments;
    return 0;
}

/* What may be applied to arguments: a name; or what an unknown one gave, or a legacy torch file's
 * class, which are labels of unknown records and nothing else. */
static bool is_callable(const struct pickle_value *value)
{
    return value->kind == PICKLE_NAME || value->kind == PICKLE_PERSISTENT ||
           pickle_is_unknown_record(value);
}

int pickle_make_record(struct pickle_reader *r, enum pickle_use use)
{
    struct pickle_value *arguments = pickle_peek(r, 0);
    const struct pickle_value *callable = arguments ? pickle_peek(r, 1) : NULL;
    if (callable == NULL)
        return -1;
    if (!is_callable(callable) || arguments->kind != PICKLE_TUPLE)
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s is applied to %s",
                                pickle_describe(callable), pickle_describe(arguments));
    const bool is_known = callable->kind == PICKLE_NAME && callable->name != PICKLE_UNKNOWN;
    if (is_known && !(pickle_name_entry((enum pickle_name)callable->name)->uses & (unsigned)use))
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s cannot be applied here",
                                pickle_describe(callable));
    r->stack.n -= 2;
    struct pickle_value *record = pickle_push_new(r, PICKLE_RECORD);
    if (record == NULL)
        return -1;
    record->name = (uint8_t)(is_known ? callable->name : PICKLE_UNKNOWN);
    if (is_known)
        return fill_record(r, record, arguments);
    record->record.arguments = arguments;
    record->record.label = pickle_describe(callable);
    return 0;
}

static bool takes_state(const struct pickle_value *record)
{
    return record->name == PICKLE_UNKNOWN ||
           pickle_name_entry((enum pickle_name)record->name)->uses & PICKLE_USE_BUILD;
}

int pickle_build(struct pickle_reader *r)
{
    struct pickle_value *state = pickle_peek(r, 0);
    struct pickle_value *record = state ? pickle_peek(r, 1) : NULL;
    if (record == NULL)
        return -1;
    if (record->kind != PICKLE_RECORD || !takes_state(record) || record->record.state)
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s takes no state",
                                pickle_describe(record));
    record->record.state = state;
    r->stack.n--;
    return record->name == PICKLE_JOBLIB_ARRAY ? pickle_joblib_array(r, record) : 0;
}
