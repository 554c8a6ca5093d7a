/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle_stack.h"

#include <stdlib.h>

int pickle_fail(struct pickle_reader *r, const char *reason)
{
    return format_error_set(r->error, r->opcode - r->start, "pickle: %s", reason);
}

/* Each word took a byte of the pickle at least, so that neither the stack nor the memo ever takes
 * more than eight times the pickle. */
static int reserve(struct pickle_reader *r, struct pickle_words *words, size_t n)
{
    const size_t most = (size_t)(r->end - r->start);
    size_t capacity = words->capacity ? 2 * words->capacity : 1024;
    if (capacity > most)
        capacity = most;
    if (capacity < n)
        capacity = n;
    pickle_word *grown = realloc(words->at, capacity * sizeof *grown);
    if (grown == NULL)
        return format_error_memory(r->error);
    words->at = grown;
    words->capacity = capacity;
    return 0;
}

int pickle_stack_grow(struct pickle_reader *r)
{
    return reserve(r, &r->stack, r->stack.n + 1);
}

/* Only a RECORD has all of the union. */
static struct pickle_value *new_value(struct pickle_reader *r, enum pickle_kind kind,
                                      uint32_t offset)
{
    struct pickle_value *value;
    const size_t size = kind == PICKLE_RECORD
                            ? sizeof *value
                            : offsetof(struct pickle_value, text) + sizeof(struct text);
    value = arena_alloc(r->arena, size);
    if (value == NULL) {
        format_error_memory(r->error);
        return NULL;
    }
    memset(value, 0, size);
    value->kind = (uint8_t)kind;
    value->offset = offset;
    return value;
}

struct pickle_value *pickle_push_new(struct pickle_reader *r, enum pickle_kind kind)
{
    struct pickle_value *value = new_value(r, kind, (uint32_t)(r->opcode - r->start));
    return value && pickle_push(r, (uintptr_t)value) == 0 ? value : NULL;
}

struct pickle_value *pickle_word_value(struct pickle_reader *r, pickle_word word)
{
    if (!pickle_word_is_text(word))
        return (struct pickle_value *)(uintptr_t)word;
    const uint32_t offset = pickle_word_offset(word);
    struct pickle_value *value = new_value(r, PICKLE_TEXT, offset);
    if (value)
        value->text = pickle_text_at(r->start + offset);
    return value;
}

bool pickle_has(struct pickle_reader *r, size_t n)
{
    for (size_t i = 1; i <= n; i++) {
        if (i > r->stack.n || r->stack.at[r->stack.n - i] == PICKLE_MARK) {
            pickle_fail(r, "the stack is too short");
            return false;
        }
    }
    return true;
}

struct pickle_value *pickle_peek(struct pickle_reader *r, size_t depth)
{
    return pickle_has(r, depth + 1) ? pickle_word_value(r, r->stack.at[r->stack.n - 1 - depth])
                                    : NULL;
}

long long pickle_find_mark(struct pickle_reader *r)
{
    for (size_t i = r->stack.n; i > 0; i--)
        if (r->stack.at[i - 1] == PICKLE_MARK)
            return (long long)i - 1;
    return pickle_fail(r, "there is no mark");
}

int pickle_pop(struct pickle_reader *r, bool to_mark)
{
    const long long n = to_mark ? pickle_find_mark(r) : (long long)r->stack.n - 1;
    if (n < 0)
        return to_mark ? -1 : pickle_fail(r, "the stack is too short");
    r->stack.n = (size_t)n;
    return 0;
}

int pickle_memo_put(struct pickle_reader *r, uint64_t index)
{
    if (!pickle_has(r, 1))
        return -1;
    /* Every entry took at least a byte of the file to write. */
    if (index >= (uint64_t)(r->end - r->start))
        return pickle_fail(r, "a memo number is out of range");
    struct pickle_words *memo = &r->memo;
    if (index >= memo->capacity && reserve(r, memo, (size_t)index + 1) != 0)
        return -1;
    while (memo->n <= index)
        memo->at[memo->n++] = PICKLE_MARK;
    memo->at[index] = r->stack.at[r->stack.n - 1];
    return 0;
}

int pickle_memo_get(struct pickle_reader *r, uint64_t index)
{
    if (index >= r->memo.n || r->memo.at[index] == PICKLE_MARK)
        return pickle_fail(r, "a memo entry that was never made");
    return pickle_push(r, r->memo.at[index]);
}

void pickle_stack_free(struct pickle_reader *r)
{
    free(r->stack.at);
    free(r->memo.at);
}
