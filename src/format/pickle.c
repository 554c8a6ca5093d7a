/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"

#include "format/little_endian.h"
#include "format/pickle_names.h"
#include "format/pickle_opcodes.h"
#include "format/pickle_records.h"

/* ---- opcodes that read bytes ---- */

static int need(struct pickle_reader *r, uint64_t n)
{
    if (n > (uint64_t)(r->end - r->at))
        return pickle_fail(r, "it ends in the middle of a value");
    return 0;
}

static int read_text(struct pickle_reader *r, enum pickle_kind kind, unsigned length_size)
{
    if (need(r, length_size) != 0)
        return -1;
    const uint64_t length = length_size == 1   ? r->at[0]
                            : length_size == 4 ? le32(r->at)
                                               : le64(r->at);
    r->at += length_size;
    if (need(r, length) != 0)
        return -1;
    const struct text text = {(const char *)r->at, (size_t)length};
    r->at += length;
    if (kind == PICKLE_TEXT)
        return pickle_text_is_valid(text) ? pickle_push_text(r)
                                          : pickle_fail(r, "a text that is not UTF-8");
    struct pickle_value *value = pickle_push_new(r, kind);
    if (value == NULL)
        return -1;
    value->text = text;
    return 0;
}

static int push_integer(struct pickle_reader *r, enum pickle_kind kind, int64_t integer)
{
    struct pickle_value *value = pickle_push_new(r, kind);
    if (value == NULL)
        return -1;
    value->integer = integer;
    return 0;
}

/* A fixed-width integer of `size` bytes; BININT alone is signed. */
static int read_integer(struct pickle_reader *r, unsigned size)
{
    if (need(r, size) != 0)
        return -1;
    const int64_t integer = size == 1 ? r->at[0] : size == 2 ? le16(r->at) : (int32_t)le32(r->at);
    r->at += size;
    return push_integer(r, PICKLE_INTEGER, integer);
}

/* Two's complement, little-endian, of up to 8 bytes. */
static int read_long(struct pickle_reader *r, unsigned length_size)
{
    if (need(r, length_size) != 0)
        return -1;
    const uint32_t length = length_size == 1 ? r->at[0] : le32(r->at);
    r->at += length_size;
    if (need(r, length) != 0)
        return -1;
    if (length > 8) { /* a counter of some generator of random numbers: nothing that is used */
        r->at += length;
        return pickle_push_new(r, PICKLE_LARGE) ? 0 : -1;
    }
    uint64_t bits = length && r->at[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint32_t i = length; i > 0; i--)
        bits = bits << 8 | r->at[i - 1];
    r->at += length;
    return push_integer(r, PICKLE_INTEGER, (int64_t)bits);
}

static int read_float(struct pickle_reader *r)
{
    if (need(r, 8) != 0)
        return -1;
    const uint64_t bits = __builtin_bswap64(le64(r->at)); /* big-endian, alone in a pickle */
    r->at += 8;
    struct pickle_value *value = pickle_push_new(r, PICKLE_FLOAT);
    if (value == NULL)
        return -1;
    memcpy(&value->number, &bits, sizeof bits);
    return 0;
}

/* ---- containers ---- */

static int make_tuple(struct pickle_reader *r, size_t n)
{
    struct pickle_value **items = n ? arena_calloc(r->arena, n, sizeof *items) : NULL;
    if (n && items == NULL)
        return format_error_memory(r->error);
    if (n > UINT32_MAX)
        return pickle_fail(r, "too many items");
    r->stack.n -= n;
    for (size_t i = 0; i < n; i++) {
        items[i] = pickle_word_value(r, r->stack.at[r->stack.n + i]);
        if (items[i] == NULL)
            return -1;
    }
    struct pickle_value *tuple = pickle_push_new(r, PICKLE_TUPLE);
    if (tuple == NULL)
        return -1;
    tuple->items = items;
    tuple->n = (uint32_t)n;
    return 0;
}

static int make_small_tuple(struct pickle_reader *r, size_t n)
{
    return pickle_has(r, n) ? make_tuple(r, n) : -1;
}

static int make_marked_tuple(struct pickle_reader *r)
{
    const long long mark = pickle_find_mark(r);
    if (mark < 0)
        return -1;
    const size_t n = r->stack.n - (size_t)mark - 1;
    if (make_tuple(r, n) != 0)
        return -1;
    r->stack.at[mark] = r->stack.at[r->stack.n - 1];
    r->stack.n = (size_t)mark + 1;
    return 0;
}

/* `items`, or a larger copy with room for `n_added` more. NULL: *error is set. */
static void *grow(struct pickle_reader *r, void *items, size_t item_size, uint32_t n,
                  uint32_t *capacity, size_t n_added)
{
    if (n_added > UINT32_MAX / 2 - n) {
        pickle_fail(r, "too many items");
        return NULL;
    }
    const uint32_t wanted = n + (uint32_t)n_added;
    if (wanted <= *capacity)
        return items;
    const uint32_t larger = wanted < 2 * n ? 2 * n : wanted;
    void *grown = arena_alloc(r->arena, larger * item_size);
    if (grown == NULL) {
        format_error_memory(r->error);
        return NULL;
    }
    if (n)
        memcpy(grown, items, n * item_size);
    *capacity = larger;
    return grown;
}

/* Appends the words from `first` on, at least one. */
static int append_values(struct pickle_reader *r, struct pickle_value ***items, uint32_t *n,
                         uint32_t *capacity, size_t first)
{
    struct pickle_value **grown = grow(r, *items, sizeof *grown, *n, capacity, r->stack.n - first);
    if (grown == NULL)
        return -1;
    *items = grown;
    for (size_t i = first; i < r->stack.n; i++) {
        grown[*n] = pickle_word_value(r, r->stack.at[i]);
        if (grown[*n] == NULL)
            return -1;
        ++*n;
    }
    return 0;
}

/* The same of texts, to a list that has nothing else. */
static int append_texts(struct pickle_reader *r, struct pickle_value *list, size_t first)
{
    uint32_t *grown =
        grow(r, list->texts.offsets, sizeof *grown, list->n, &list->capacity, r->stack.n - first);
    if (grown == NULL)
        return -1;
    list->kind = PICKLE_TEXTS;
    list->texts.start = r->start;
    list->texts.offsets = grown;
    for (size_t i = first; i < r->stack.n; i++)
        grown[list->n++] = pickle_word_offset(r->stack.at[i]);
    return 0;
}

/* A list of texts becomes one of values. */
static int spread_texts(struct pickle_reader *r, struct pickle_value *list)
{
    struct pickle_value **items = arena_calloc(r->arena, list->n, sizeof *items);
    if (items == NULL)
        return format_error_memory(r->error);
    for (uint32_t i = 0; i < list->n; i++) {
        items[i] = pickle_word_value(r, pickle_word_of_text(list->texts.offsets[i]));
        if (items[i] == NULL)
            return -1;
    }
    list->kind = PICKLE_LIST;
    list->items = items;
    list->capacity = list->n;
    return 0;
}

/* The value at a place of the stack; NULL: a mark or a text, which hold nothing. */
static struct pickle_value *container_at(const struct pickle_reader *r, size_t place)
{
    const pickle_word word = r->stack.at[place];
    return pickle_word_is_text(word) ? NULL : (struct pickle_value *)(uintptr_t)word;
}

/* Appends the words from `first` on to the list below them. */
static int append(struct pickle_reader *r, size_t container, size_t first)
{
    struct pickle_value *list = container_at(r, container);
    if (list && pickle_is_unknown_record(list)) { /* of a class that is no list, or a list's: */
        r->stack.n = container + 1;               /* nothing looks into it */
        return 0;
    }
    if (list == NULL || (list->kind != PICKLE_LIST && list->kind != PICKLE_TEXTS))
        return pickle_fail(r, "items for something that is not a list");
    bool are_texts = true;
    for (size_t i = first; i < r->stack.n; i++)
        are_texts &= pickle_word_is_text(r->stack.at[i]);
    if (list->kind == PICKLE_TEXTS && !are_texts && spread_texts(r, list) != 0)
        return -1;
    int status = 0;
    if (first < r->stack.n)
        status = are_texts && (list->n == 0 || list->kind == PICKLE_TEXTS)
                     ? append_texts(r, list, first)
                     : append_values(r, &list->items, &list->n, &list->capacity, first);
    r->stack.n = container + 1;
    return status;
}

static int set_items(struct pickle_reader *r, size_t container, size_t first)
{
    struct pickle_value *dict = container_at(r, container);
    const bool ordered = dict && dict->kind == PICKLE_RECORD &&
                         (dict->name == PICKLE_ORDERED_DICT || dict->name == PICKLE_UNKNOWN);
    if (dict == NULL || (dict->kind != PICKLE_DICT && !ordered))
        return pickle_fail(r, "items for something that is not a dict");
    if ((r->stack.n - first) % 2)
        return pickle_fail(r, "a key without a value");
    struct pickle_value ***pairs = ordered ? &dict->record.pairs : &dict->items;
    uint32_t n_items = 2 * dict->n;
    if (first < r->stack.n && append_values(r, pairs, &n_items, &dict->capacity, first) != 0)
        return -1;
    dict->n = n_items / 2;
    r->stack.n = container + 1;
    return 0;
}

/* APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS: `n` values, or all above the mark where n is 0. */
static int add_to_container(struct pickle_reader *r, size_t n,
                            int (*add)(struct pickle_reader *, size_t, size_t))
{
    if (n > 0)
        return pickle_has(r, n + 1) ? add(r, r->stack.n - n - 1, r->stack.n - n) : -1;
    const long long mark = pickle_find_mark(r);
    if (mark < 0)
        return -1;
    if (mark == 0)
        return pickle_fail(r, "the stack is too short");
    return add(r, (size_t)mark - 1, (size_t)mark + 1);
}

/* ---- memo ---- */

static int memo_index(struct pickle_reader *r, unsigned size, uint64_t *ret_index)
{
    if (need(r, size) != 0)
        return -1;
    *ret_index = size == 1 ? r->at[0] : le32(r->at);
    r->at += size;
    return 0;
}

static int persistent(struct pickle_reader *r)
{
    struct pickle_value *id = pickle_peek(r, 0);
    if (id == NULL)
        return -1;
    r->stack.n--;
    struct pickle_value *value = pickle_push_new(r, PICKLE_PERSISTENT);
    if (value == NULL)
        return -1;
    value->id = id;
    value->before = r->persistent;
    r->persistent = value;
    return 0;
}

static int skip_frame(struct pickle_reader *r)
{
    if (need(r, 8) != 0)
        return -1;
    const uint64_t length = le64(r->at);
    r->at += 8;
    return need(r, length);
}

static int step(struct pickle_reader *r, uint8_t opcode)
{
    uint64_t index;
    switch (opcode) {
    case OP_FRAME:
        return skip_frame(r);
    case OP_MARK:
        return pickle_push(r, PICKLE_MARK);
    case OP_POP:
        return pickle_pop(r, false);
    case OP_POP_MARK:
        return pickle_pop(r, true);
    case OP_NONE:
        return pickle_push_new(r, PICKLE_NONE) ? 0 : -1;
    case OP_NEWTRUE:
        return push_integer(r, PICKLE_BOOL, 1);
    case OP_NEWFALSE:
        return push_integer(r, PICKLE_BOOL, 0);
    case OP_BININT:
        return read_integer(r, 4);
    case OP_BININT1:
        return read_integer(r, 1);
    case OP_BININT2:
        return read_integer(r, 2);
    case OP_LONG1:
        return read_long(r, 1);
    case OP_LONG4:
        return read_long(r, 4);
    case OP_BINFLOAT:
        return read_float(r);
    case OP_SHORT_BINUNICODE:
        return read_text(r, PICKLE_TEXT, 1);
    case OP_BINUNICODE:
        return read_text(r, PICKLE_TEXT, 4);
    case OP_BINUNICODE8:
        return read_text(r, PICKLE_TEXT, 8);
    case OP_SHORT_BINBYTES:
        return read_text(r, PICKLE_BYTES, 1);
    case OP_BINBYTES:
        return read_text(r, PICKLE_BYTES, 4);
    case OP_BINBYTES8:
    case OP_BYTEARRAY8:
        return read_text(r, PICKLE_BYTES, 8);
    case OP_EMPTY_LIST:
    case OP_EMPTY_SET:
        return pickle_push_new(r, PICKLE_LIST) ? 0 : -1;
    case OP_EMPTY_DICT:
        return pickle_push_new(r, PICKLE_DICT) ? 0 : -1;
    case OP_EMPTY_TUPLE:
        return make_tuple(r, 0);
    case OP_TUPLE1:
        return make_small_tuple(r, 1);
    case OP_TUPLE2:
        return make_small_tuple(r, 2);
    case OP_TUPLE3:
        return make_small_tuple(r, 3);
    case OP_TUPLE:
    case OP_FROZENSET:
        return make_marked_tuple(r);
    case OP_APPEND:
        return add_to_container(r, 1, append);
    case OP_APPENDS:
    case OP_ADDITEMS:
        return add_to_container(r, 0, append);
    case OP_SETITEM:
        return add_to_container(r, 2, set_items);
    case OP_SETITEMS:
        return add_to_container(r, 0, set_items);
    case OP_GLOBAL:
        return pickle_push_global(r);
    case OP_STACK_GLOBAL:
        return pickle_push_stack_global(r);
    case OP_REDUCE:
        return pickle_make_record(r, PICKLE_USE_REDUCE);
    case OP_NEWOBJ_EX: /* the arguments with a name are passed over */
        return pickle_pop(r, false) == 0 ? pickle_make_record(r, PICKLE_USE_NEWOBJ) : -1;
    case OP_NEWOBJ:
        return pickle_make_record(r, PICKLE_USE_NEWOBJ);
    case OP_BUILD:
        return pickle_build(r);
    case OP_NEXT_BUFFER:
    case OP_READONLY_BUFFER:
        return pickle_fail(r, "its arrays are not in this file: the pickle was written with "
                              "buffer_callback; write the object without: "
                              "pickle.dump(object, file)");
    case OP_BINPERSID:
        return persistent(r);
    case OP_BINPUT:
        return memo_index(r, 1, &index) == 0 ? pickle_memo_put(r, index) : -1;
    case OP_LONG_BINPUT:
        return memo_index(r, 4, &index) == 0 ? pickle_memo_put(r, index) : -1;
    case OP_MEMOIZE:
        return pickle_memo_put(r, r->memo.n);
    case OP_BINGET:
        return memo_index(r, 1, &index) == 0 ? pickle_memo_get(r, index) : -1;
    case OP_LONG_BINGET:
        return memo_index(r, 4, &index) == 0 ? pickle_memo_get(r, index) : -1;
    default:
        return format_error_set(r->error, r->opcode - r->start,
                                "pickle: opcode 0x%02x has no place in a model file", opcode);
    }
}

static int read_all(struct pickle_reader *r)
{
    for (;;) {
        r->opcode = r->at;
        if (r->at == r->end)
            return pickle_fail(r, "it ends without STOP");
        const uint8_t opcode = *r->at++;
        if (opcode == OP_STOP)
            break;
        if (step(r, opcode) != 0)
            return -1;
    }
    if (r->stack.n != 1 || r->stack.at[0] == PICKLE_MARK)
        return pickle_fail(r, "STOP with other than one value");
    return 0;
}

/* Reads the pickle that starts at r->start. */
static int read_whole(struct pickle_reader *r, struct pickle_first *ret_first)
{
    const uint8_t *bytes = r->start;
    const size_t size = (size_t)(r->end - bytes);
    if (size < 2 || bytes[0] != OP_PROTO)
        return pickle_fail(r, "not a Python pickle of protocol 2 to 5");
    if (bytes[1] < 2 || bytes[1] > 5)
        return format_error_set(r->error, 1, "pickle: protocol %u is not one of 2 to 5", bytes[1]);
    r->at += 2;
    struct pickle_value *value = read_all(r) == 0 ? pickle_word_value(r, r->stack.at[0]) : NULL;
    pickle_stack_free(r);
    if (value == NULL)
        return -1;
    *ret_first = (struct pickle_first){value, r->persistent, (size_t)(r->at - bytes)};
    return 0;
}

static struct pickle_reader reader_of(struct arena *arena, const uint8_t *bytes, size_t size,
                                      struct format_error *error)
{
    return (struct pickle_reader){.arena = arena,
                                  .start = bytes,
                                  .at = bytes,
                                  .end = bytes + size,
                                  .opcode = bytes,
                                  .error = error};
}

int pickle_read_nested(struct pickle_reader *r, struct pickle_first *ret_first)
{
    struct pickle_reader inner = reader_of(r->arena, r->at, (size_t)(r->end - r->at), r->error);
    inner.is_nested = true;
    return read_whole(&inner, ret_first);
}

int pickle_read_first(struct arena *arena, const uint8_t *bytes, size_t size,
                      struct pickle_first *ret_first, struct format_error *error)
{
    struct pickle_reader r = reader_of(arena, bytes, size, error);
    return size > UINT32_MAX ? pickle_fail(&r, "larger than 4 GiB") : read_whole(&r, ret_first);
}

int pickle_read(struct arena *arena, const uint8_t *bytes, size_t size,
                struct pickle_value **ret_value, struct format_error *error)
{
    struct pickle_first first;
    if (pickle_read_first(arena, bytes, size, &first, error) != 0)
        return -1;
    if (first.size != size)
        return format_error_set(error, (long long)first.size,
                                "pickle: there is something behind STOP");
    *ret_value = first.value;
    return 0;
}
