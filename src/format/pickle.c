/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"

#include "format/little_endian.h"
#include "format/pickle_names.h"
#include "format/pickle_opcodes.h"

/* A growing array of pointers in the arena. */
struct pointers {
    struct pickle_value **at;
    size_t n;
    size_t capacity;
};

struct reader {
    struct arena *arena;
    const uint8_t *start, *at, *end;
    const uint8_t *opcode; /* the one at work, for messages */
    struct pointers stack; /* a mark is a NULL */
    struct pointers memo;
    struct format_error *error;
};

static int fail(struct reader *r, const char *reason)
{
    return format_error_set(r->error, r->opcode - r->start, "pickle: %s", reason);
}

static int out_of_memory(struct reader *r)
{
    return format_error_memory(r->error);
}

/* ---- values ---- */

static int reserve(struct reader *r, struct pointers *pointers, size_t n)
{
    if (n <= pointers->capacity)
        return 0;
    size_t capacity = pointers->capacity ? 2 * pointers->capacity : 16;
    if (capacity < n)
        capacity = n;
    struct pickle_value **grown = arena_calloc(r->arena, capacity, sizeof *grown);
    if (grown == NULL)
        return out_of_memory(r);
    if (pointers->n)
        memcpy(grown, pointers->at, pointers->n * sizeof *grown);
    pointers->at = grown;
    pointers->capacity = capacity;
    return 0;
}

static int push(struct reader *r, struct pickle_value *value)
{
    if (r->stack.n == r->stack.capacity && reserve(r, &r->stack, r->stack.n + 1) != 0)
        return -1;
    r->stack.at[r->stack.n++] = value;
    return 0;
}

/* A new value on the stack; NULL: *error is set. */
/* Only a record has all of the union: of hundreds of thousands of texts a third is not needed. */
static struct pickle_value *push_new(struct reader *r, enum pickle_kind kind)
{
    struct pickle_value *value;
    const size_t size = kind == PICKLE_RECORD
                            ? sizeof *value
                            : offsetof(struct pickle_value, text) + sizeof(struct text);
    value = arena_alloc(r->arena, size);
    if (value == NULL) {
        out_of_memory(r);
        return NULL;
    }
    memset(value, 0, size);
    value->kind = (uint8_t)kind;
    value->offset = (uint32_t)(r->opcode - r->start);
    return push(r, value) == 0 ? value : NULL;
}

/* The value `depth` below the top, where no mark lies between; NULL: *error is set. */
static struct pickle_value *peek(struct reader *r, size_t depth)
{
    for (size_t i = 0; i <= depth; i++) {
        if (i >= r->stack.n || r->stack.at[r->stack.n - 1 - i] == NULL) {
            fail(r, "the stack is too short");
            return NULL;
        }
    }
    return r->stack.at[r->stack.n - 1 - depth];
}

/* Position of the topmost mark; -1: *error is set. */
static long long find_mark(struct reader *r)
{
    for (size_t i = r->stack.n; i > 0; i--)
        if (r->stack.at[i - 1] == NULL)
            return (long long)i - 1;
    return fail(r, "there is no mark");
}

static int append_items(struct reader *r, struct pickle_value ***items, uint32_t *n,
                        uint32_t *capacity, struct pickle_value *const *added, size_t n_added)
{
    struct pointers pointers = {*items, *n, *capacity};
    if (n_added > UINT32_MAX / 2 - *n)
        return fail(r, "too many items");
    if (reserve(r, &pointers, *n + n_added) != 0)
        return -1;
    if (n_added)
        memcpy(pointers.at + *n, added, n_added * sizeof *added);
    *items = pointers.at;
    *n += (uint32_t)n_added;
    *capacity = (uint32_t)pointers.capacity;
    return 0;
}

/* ---- opcodes that read bytes ---- */

static int need(struct reader *r, uint64_t n)
{
    if (n > (uint64_t)(r->end - r->at))
        return fail(r, "it ends in the middle of a value");
    return 0;
}

static int read_text(struct reader *r, enum pickle_kind kind, unsigned length_size)
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
    if (kind == PICKLE_TEXT && !pickle_text_is_valid(text))
        return fail(r, "a text that is not UTF-8");
    struct pickle_value *value = push_new(r, kind);
    if (value == NULL)
        return -1;
    value->text = text;
    r->at += length;
    return 0;
}

static int push_integer(struct reader *r, enum pickle_kind kind, int64_t integer)
{
    struct pickle_value *value = push_new(r, kind);
    if (value == NULL)
        return -1;
    value->integer = integer;
    return 0;
}

/* A fixed-width integer of `size` bytes; BININT alone is signed. */
static int read_integer(struct reader *r, unsigned size)
{
    if (need(r, size) != 0)
        return -1;
    const int64_t integer = size == 1 ? r->at[0] : size == 2 ? le16(r->at) : (int32_t)le32(r->at);
    r->at += size;
    return push_integer(r, PICKLE_INTEGER, integer);
}

/* Two's complement, little-endian, of up to 8 bytes. */
static int read_long(struct reader *r, unsigned length_size)
{
    if (need(r, length_size) != 0)
        return -1;
    const uint32_t length = length_size == 1 ? r->at[0] : le32(r->at);
    r->at += length_size;
    if (length > 8)
        return fail(r, "an integer is out of range");
    if (need(r, length) != 0)
        return -1;
    uint64_t bits = length && r->at[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint32_t i = length; i > 0; i--)
        bits = bits << 8 | r->at[i - 1];
    r->at += length;
    return push_integer(r, PICKLE_INTEGER, (int64_t)bits);
}

static int read_float(struct reader *r)
{
    if (need(r, 8) != 0)
        return -1;
    const uint64_t bits = __builtin_bswap64(le64(r->at)); /* big-endian, alone in a pickle */
    r->at += 8;
    struct pickle_value *value = push_new(r, PICKLE_FLOAT);
    if (value == NULL)
        return -1;
    memcpy(&value->number, &bits, sizeof bits);
    return 0;
}

/* ---- names and records ---- */

static int push_name(struct reader *r, struct text module, struct text name)
{
    const struct pickle_name_entry *entry = pickle_name_find(module, name);
    if (entry == NULL) {
        return format_error_set(r->error, r->opcode - r->start,
                                "pickle: the name %.*s.%.*s has no place in a model file",
                                TEXT_SHOWN(module), TEXT_SHOWN(name));
    }
    struct pickle_value *value = push_new(r, PICKLE_NAME);
    if (value == NULL)
        return -1;
    value->name = (uint8_t)entry->value;
    return 0;
}

static int read_line(struct reader *r, struct text *ret_line)
{
    const uint8_t *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (newline == NULL)
        return fail(r, "it ends in the middle of a name");
    *ret_line = (struct text){(const char *)r->at, (size_t)(newline - r->at)};
    r->at = newline + 1;
    return 0;
}

static int read_global(struct reader *r)
{
    struct text module, name;
    if (read_line(r, &module) != 0 || read_line(r, &name) != 0)
        return -1;
    return push_name(r, module, name);
}

static int stack_global(struct reader *r)
{
    const struct pickle_value *name = peek(r, 0);
    const struct pickle_value *module = name ? peek(r, 1) : NULL;
    if (module == NULL)
        return -1;
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return fail(r, "a name that is not text");
    r->stack.n -= 2;
    return push_name(r, module->text, name->text);
}

/* _codecs.encode(text, "latin1"): how protocol 2 writes bytes. */
static int latin1_bytes(struct reader *r, const struct pickle_value *arguments,
                        struct pickle_value *bytes)
{
    if (arguments->n != 2 || arguments->items[0]->kind != PICKLE_TEXT ||
        arguments->items[1]->kind != PICKLE_TEXT ||
        !(text_is(arguments->items[1]->text, "latin1") ||
          text_is(arguments->items[1]->text, "latin-1")))
        return fail(r, "bytes that are not in Latin-1");
    const struct text text = arguments->items[0]->text;
    char *out = arena_alloc(r->arena, text.length);
    if (out == NULL)
        return out_of_memory(r);
    const long long n = pickle_latin1(text, out);
    if (n < 0)
        return fail(r, "bytes that are not in Latin-1");
    bytes->kind = PICKLE_BYTES;
    bytes->text = (struct text){out, (size_t)n};
    return 0;
}

static int make_bytearray(struct reader *r, const struct pickle_value *arguments,
                          struct pickle_value *bytes)
{
    if (arguments->n == 2)
        return latin1_bytes(r, arguments, bytes);
    if (arguments->n > 1 || (arguments->n == 1 && arguments->items[0]->kind != PICKLE_BYTES))
        return fail(r, "a bytearray made of something else than bytes");
    bytes->kind = PICKLE_BYTES;
    bytes->text = arguments->n ? arguments->items[0]->text : (struct text){"", 0};
    return 0;
}

/* REDUCE and NEWOBJ: a name and a tuple become a record. */
static int make_record(struct reader *r, enum pickle_use use)
{
    struct pickle_value *arguments = peek(r, 0);
    const struct pickle_value *callable = arguments ? peek(r, 1) : NULL;
    if (callable == NULL)
        return -1;
    if (callable->kind != PICKLE_NAME || arguments->kind != PICKLE_TUPLE)
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s is applied to %s",
                                pickle_describe(callable), pickle_describe(arguments));
    if (!(pickle_name_entry((enum pickle_name)callable->name)->uses & (unsigned)use))
        return format_error_set(r->error, r->opcode - r->start, "pickle: %s cannot be applied here",
                                pickle_describe(callable));
    r->stack.n -= 2;
    struct pickle_value *record = push_new(r, PICKLE_RECORD);
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
            return fail(r, "an OrderedDict with arguments");
        break;
    default:
        break;
    }
    record->record.arguments = arguments;
    return 0;
}

static int build(struct reader *r)
{
    struct pickle_value *state = peek(r, 0);
    struct pickle_value *record = state ? peek(r, 1) : NULL;
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

static int make_tuple(struct reader *r, size_t n)
{
    struct pickle_value **copy = n ? arena_calloc(r->arena, n, sizeof *copy) : NULL;
    if (n && copy == NULL)
        return out_of_memory(r);
    if (n > UINT32_MAX)
        return fail(r, "too many items");
    r->stack.n -= n;
    if (n) /* without items there may be no stack yet */
        memcpy(copy, r->stack.at + r->stack.n, n * sizeof *copy);
    struct pickle_value *tuple = push_new(r, PICKLE_TUPLE);
    if (tuple == NULL)
        return -1;
    tuple->items = copy;
    tuple->n = (uint32_t)n;
    return 0;
}

static int make_small_tuple(struct reader *r, size_t n)
{
    return peek(r, n - 1) ? make_tuple(r, n) : -1;
}

static int make_marked_tuple(struct reader *r)
{
    const long long mark = find_mark(r);
    if (mark < 0)
        return -1;
    const size_t n = r->stack.n - (size_t)mark - 1;
    if (make_tuple(r, n) != 0)
        return -1;
    r->stack.at[mark] = r->stack.at[r->stack.n - 1];
    r->stack.n = (size_t)mark + 1;
    return 0;
}

/* Appends the topmost `n` values to the list below them. */
static int append(struct reader *r, size_t container, size_t first)
{
    struct pickle_value *list = r->stack.at[container];
    if (list == NULL || list->kind != PICKLE_LIST)
        return fail(r, "items for something that is not a list");
    if (append_items(r, &list->items, &list->n, &list->capacity, r->stack.at + first,
                     r->stack.n - first) != 0)
        return -1;
    r->stack.n = container + 1;
    return 0;
}

static int set_items(struct reader *r, size_t container, size_t first)
{
    struct pickle_value *dict = r->stack.at[container];
    const bool ordered = dict && dict->kind == PICKLE_RECORD && dict->name == PICKLE_ORDERED_DICT;
    if (dict == NULL || (dict->kind != PICKLE_DICT && !ordered))
        return fail(r, "items for something that is not a dict");
    const size_t n = r->stack.n - first;
    if (n % 2)
        return fail(r, "a key without a value");
    struct pickle_value ***pairs = ordered ? &dict->record.pairs : &dict->items;
    uint32_t n_items = 2 * dict->n;
    if (append_items(r, pairs, &n_items, &dict->capacity, r->stack.at + first, n) != 0)
        return -1;
    dict->n = n_items / 2;
    r->stack.n = container + 1;
    return 0;
}

/* APPEND, APPENDS, SETITEM, SETITEMS: `n` values, or all above the mark where n is 0. */
static int add_to_container(struct reader *r, size_t n, int (*add)(struct reader *, size_t, size_t))
{
    if (n > 0)
        return peek(r, n) ? add(r, r->stack.n - n - 1, r->stack.n - n) : -1;
    const long long mark = find_mark(r);
    if (mark < 0)
        return -1;
    if (mark == 0)
        return fail(r, "the stack is too short");
    return add(r, (size_t)mark - 1, (size_t)mark + 1);
}

/* ---- memo ---- */

static int put(struct reader *r, uint64_t index)
{
    struct pickle_value *value = peek(r, 0);
    if (value == NULL)
        return -1;
    /* Every entry took at least a byte of the file to write. */
    if (index >= (uint64_t)(r->end - r->start))
        return fail(r, "a memo number is out of range");
    if (reserve(r, &r->memo, (size_t)index + 1) != 0)
        return -1;
    if (index >= r->memo.n)
        r->memo.n = (size_t)index + 1;
    r->memo.at[index] = value;
    return 0;
}

static int get(struct reader *r, uint64_t index)
{
    if (index >= r->memo.n || r->memo.at[index] == NULL)
        return fail(r, "a memo entry that was never made");
    return push(r, r->memo.at[index]);
}

static int memo_index(struct reader *r, unsigned size, uint64_t *ret_index)
{
    if (need(r, size) != 0)
        return -1;
    *ret_index = size == 1 ? r->at[0] : le32(r->at);
    r->at += size;
    return 0;
}

static int pop(struct reader *r, bool to_mark)
{
    const long long n = to_mark ? find_mark(r) : (long long)r->stack.n - 1;
    if (n < 0)
        return to_mark ? -1 : fail(r, "the stack is too short");
    r->stack.n = (size_t)n;
    return 0;
}

static int persistent(struct reader *r)
{
    struct pickle_value *id = peek(r, 0);
    if (id == NULL)
        return -1;
    r->stack.n--;
    struct pickle_value *value = push_new(r, PICKLE_PERSISTENT);
    if (value == NULL)
        return -1;
    value->id = id;
    return 0;
}

static int skip_frame(struct reader *r)
{
    if (need(r, 8) != 0)
        return -1;
    const uint64_t length = le64(r->at);
    r->at += 8;
    return need(r, length);
}

static int step(struct reader *r, uint8_t opcode)
{
    uint64_t index;
    switch (opcode) {
    case OP_FRAME:
        return skip_frame(r);
    case OP_MARK:
        return push(r, NULL);
    case OP_POP:
        return pop(r, false);
    case OP_POP_MARK:
        return pop(r, true);
    case OP_NONE:
        return push_new(r, PICKLE_NONE) ? 0 : -1;
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
        return push_new(r, PICKLE_LIST) ? 0 : -1;
    case OP_EMPTY_DICT:
        return push_new(r, PICKLE_DICT) ? 0 : -1;
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
        return memo_index(r, 1, &index) == 0 ? put(r, index) : -1;
    case OP_LONG_BINPUT:
        return memo_index(r, 4, &index) == 0 ? put(r, index) : -1;
    case OP_MEMOIZE:
        return put(r, r->memo.n);
    case OP_BINGET:
        return memo_index(r, 1, &index) == 0 ? get(r, index) : -1;
    case OP_LONG_BINGET:
        return memo_index(r, 4, &index) == 0 ? get(r, index) : -1;
    default:
        return format_error_set(r->error, r->opcode - r->start,
                                "pickle: opcode 0x%02x has no place in a model file", opcode);
    }
}

int pickle_read(struct arena *arena, const uint8_t *bytes, size_t size,
                struct pickle_value **ret_value, struct format_error *error)
{
    struct reader r = {.arena = arena,
                       .start = bytes,
                       .at = bytes,
                       .end = bytes + size,
                       .opcode = bytes,
                       .error = error};
    if (size > UINT32_MAX)
        return fail(&r, "larger than 4 GiB");
    if (size < 2 || bytes[0] != OP_PROTO)
        return fail(&r, "not a Python pickle of protocol 2 to 5");
    if (bytes[1] < 2 || bytes[1] > 5)
        return format_error_set(error, 1, "pickle: protocol %u is not one of 2 to 5", bytes[1]);
    r.at += 2;
    for (;;) {
        r.opcode = r.at;
        if (r.at == r.end)
            return fail(&r, "it ends without STOP");
        const uint8_t opcode = *r.at++;
        if (opcode == OP_STOP)
            break;
        if (step(&r, opcode) != 0)
            return -1;
    }
    if (r.stack.n != 1 || r.stack.at[0] == NULL)
        return fail(&r, "STOP with other than one value");
    if (r.at != r.end)
        return format_error_set(error, r.at - r.start, "pickle: there is something behind STOP");
    *ret_value = r.stack.at[0];
    return 0;
}
