/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"

#include "format/little_endian.h"
#include "format/pickle_names.h"
#include "format/pickle_opcodes.h"
#include "format/pickle_stack.h"

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
    if (length > 8)
        return pickle_fail(r, "an integer is out of range");
    if (need(r, length) != 0)
        return -1;
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

/* ---- names and records ---- */

static int push_name(struct pickle_reader *r, struct text module, struct text name)
{
    const struct pickle_name_entry *entry = pickle_name_find(module, name);
    if (entry == NULL) {
        return format_error_set(r->error, r->opcode - r->start,
                                "pickle: the name %.*s.%.*s has no place in a model file",
                                TEXT_SHOWN(module), TEXT_SHOWN(name));
    }
    struct pickle_value *value = pickle_push_new(r, PICKLE_NAME);
    if (value == NULL)
        return -1;
    value->name = (uint8_t)entry->value;
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

static int read_global(struct pickle_reader *r)
{
    struct text module, name;
    if (read_line(r, &module) != 0 || read_line(r, &name) != 0)
        return -1;
    return push_name(r, module, name);
}

static int stack_global(struct pickle_reader *r)
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

/* REDUCE and NEWOBJ: a name and a tuple become a record. */
static int make_record(struct pickle_reader *r, enum pickle_use use)
{
    struct pickle_value *arguments = pickle_peek(r, 0);
    const struct pickle_value *callable = arguments ? pickle_peek(r, 1) : NULL;
    if (callable == NULL)
        return -1;
    if (callable->kind != PICKLE_NAME || arguments->kind != PICKLE_TUPLE)
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s is applied to %s",
                                pickle_describe(callable), pickle_describe(arguments));
    if (!(pickle_name_entry((enum pickle_name)callable->name)->uses & (unsigned)use))
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s cannot be applied here",
                                pickle_describe(callable));
    r->stack.n -= 2;
    struct pickle_value *record = pickle_push_new(r, PICKLE_RECORD);
    if (record == NULL)
        return -1;
    record->name = callable->name;
    switch ((enum pickle_name)callable->name) {
    case PICKLE_CODECS_ENCODE:
        return latin1_bytes(r, arguments, record);
    case PICKLE_BYTEARRAY:
        return make_bytearray(r, arguments, record);
    case PICKLE_ORDERED_DICT:
        if (arguments->n != 0)
            return pickle_fail(r, "an OrderedDict with arguments");
        break;
    default:
        break;
    }
    record->record.arguments = arguments;
    return 0;
}

static int build(struct pickle_reader *r)
{
    struct pickle_value *state = pickle_peek(r, 0);
    struct pickle_value *record = state ? pickle_peek(r, 1) : NULL;
    if (record == NULL)
        return -1;
    if (record->kind != PICKLE_RECORD ||
        !(pickle_name_entry((enum pickle_name)record->name)->uses & PICKLE_USE_BUILD) ||
        record->record.state)
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s takes no state",
                                pickle_describe(record));
    record->record.state = state;
    r->stack.n--;
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
    const bool ordered = dict && dict->kind == PICKLE_RECORD && dict->name == PICKLE_ORDERED_DICT;
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

/* APPEND, APPENDS, SETITEM, SETITEMS: `n` values, or all above the mark where n is 0. */
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
        return make_marked_tuple(r);
    case OP_APPEND:
        return add_to_container(r, 1, append);
    case OP_APPENDS:
        return add_to_container(r, 0, append);
    case OP_SETITEM:
        return add_to_container(r, 2, set_items);
    case OP_SETITEMS:
        return add_to_container(r, 0, set_items);
    case OP_GLOBAL:
        return read_global(r);
    case OP_STACK_GLOBAL:
        return stack_global(r);
    case OP_REDUCE:
        return make_record(r, PICKLE_USE_REDUCE);
    case OP_NEWOBJ:
        return make_record(r, PICKLE_USE_NEWOBJ);
    case OP_BUILD:
        return build(r);
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
    if (r->at != r->end)
        return format_error_set(r->error, r->at - r->start,
                                "pickle: there is something behind STOP");
    return 0;
}

int pickle_read(struct arena *arena, const uint8_t *bytes, size_t size,
                struct pickle_value **ret_value, struct format_error *error)
{
    struct pickle_reader r = {.arena = arena,
                              .start = bytes,
                              .at = bytes,
                              .end = bytes + size,
                              .opcode = bytes,
                              .error = error};
    if (size > UINT32_MAX)
        return pickle_fail(&r, "larger than 4 GiB");
    if (size < 2 || bytes[0] != OP_PROTO)
        return pickle_fail(&r, "not a Python pickle of protocol 2 to 5");
    if (bytes[1] < 2 || bytes[1] > 5)
        return format_error_set(error, 1, "pickle: protocol %u is not one of 2 to 5", bytes[1]);
    r.at += 2;
    struct pickle_value *value = read_all(&r) == 0 ? pickle_word_value(&r, r.stack.at[0]) : NULL;
    pickle_stack_free(&r);
    if (value == NULL)
        return -1;
    *ret_value = value;
    return 0;
}
