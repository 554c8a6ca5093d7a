/* SPDX-License-Identifier: Apache-2.0 */
/* pickle_value.c: looking into values that pickle.c has read. */
#include "format/pickle.h"
#include "format/pickle_names.h"
#include "format/pickle_stack.h"

const char *pickle_describe(const struct pickle_value *value)
{
    static const char *const kinds[] = {
        [PICKLE_NONE] = "None",          [PICKLE_BOOL] = "a bool",
        [PICKLE_INTEGER] = "an integer", [PICKLE_LARGE] = "an integer",
        [PICKLE_FLOAT] = "a float",      [PICKLE_TEXT] = "a text",
        [PICKLE_BYTES] = "bytes",        [PICKLE_TUPLE] = "a tuple",
        [PICKLE_LIST] = "a list",        [PICKLE_TEXTS] = "a list",
        [PICKLE_DICT] = "a dict",        [PICKLE_NAME] = NULL,
        [PICKLE_RECORD] = NULL,          [PICKLE_PERSISTENT] = "a storage"};
    if (value->kind == PICKLE_NAME && value->name == PICKLE_UNKNOWN)
        return value->text.at;
    if (pickle_is_unknown_record(value))
        return value->record.label;
    if (value->kind == PICKLE_NAME || value->kind == PICKLE_RECORD)
        return pickle_name_entry((enum pickle_name)value->name)->full;
    return kinds[value->kind];
}

struct text pickle_text_of(const struct pickle_value *list, uint32_t i)
{
    return list->kind == PICKLE_TEXTS ? pickle_text_at(list->texts.start + list->texts.offsets[i])
                                      : list->items[i]->text;
}

void pickle_texts(const struct pickle_value *list, struct text *ret_texts)
{
    for (uint32_t i = 0; i < list->n; i++)
        ret_texts[i] = pickle_text_of(list, i);
}

struct pickle_value **pickle_pairs(const struct pickle_value *dict, uint32_t *ret_n)
{
    static struct pickle_value *empty[1];
    struct pickle_value **pairs;
    if (dict->kind == PICKLE_DICT)
        pairs = dict->items;
    else if (pickle_is_record(dict, PICKLE_ORDERED_DICT) ||
             (pickle_is_unknown_record(dict) && dict->record.pairs))
        pairs = dict->record.pairs;
    else
        return NULL;
    *ret_n = dict->n;
    return pairs ? pairs : empty;
}

struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(dict, &n);
    for (uint32_t i = pairs ? n : 0; i > 0; i--)
        if (pairs[2 * i - 2]->kind == PICKLE_TEXT && text_is(pairs[2 * i - 2]->text, key))
            return pairs[2 * i - 1];
    return NULL;
}

long long pickle_latin1(struct text text, char *out)
{
    long long n = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned c = (unsigned char)text.at[i];
        if (c >= 0x80) { /* U+0080..U+00FF are C2 xx and C3 xx */
            if ((c != 0xC2 && c != 0xC3) || i + 1 == text.length ||
                ((unsigned char)text.at[i + 1] & 0xC0) != 0x80)
                return -1;
            c = (c & 3) << 6 | ((unsigned char)text.at[++i] & 0x3F);
        }
        out[n++] = (char)c;
    }
    return n;
}

bool pickle_text_is_valid(struct text text)
{
    size_t i = 0;
    for (;;) {
        i += text_utf8_valid_length(text.at + i, text.length - i);
        if (i == text.length)
            return true;
        const unsigned char *at = (const unsigned char *)text.at + i;
        const bool surrogate = text.length - i >= 3 && at[0] == 0xED && (at[1] & 0xE0) == 0xA0 &&
                               (at[2] & 0xC0) == 0x80;
        if (!surrogate)
            return false;
        i += 3;
    }
}
