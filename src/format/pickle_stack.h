/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickle_stack.h: what the opcodes of pickle.c work on: the stack with its marks, and the memo.
 *
 * A vocabulary is hundreds of thousands of texts that are pushed, memoized and put into a list.
 * There a text is a word, its place in the pickle; it becomes a value where it goes elsewhere.
 */
#ifndef DCNV2_FORMAT_PICKLE_STACK_H
#define DCNV2_FORMAT_PICKLE_STACK_H

#include "format/little_endian.h"
#include "format/pickle.h"
#include "format/pickle_opcodes.h"

/* The address of a value; or the place of a text's opcode, doubled, and 1; or PICKLE_MARK. */
typedef uint64_t pickle_word;

enum { PICKLE_MARK = 0 };

static inline bool pickle_word_is_text(pickle_word word)
{
    return word & 1;
}

static inline uint32_t pickle_word_offset(pickle_word text)
{
    return (uint32_t)(text >> 1);
}

static inline pickle_word pickle_word_of_text(uint32_t offset)
{
    return (pickle_word)offset << 1 | 1;
}

struct pickle_words {
    pickle_word *at;
    size_t n;
    size_t capacity;
};

struct pickle_reader {
    struct arena *arena; /* of the values */
    const uint8_t *start, *at, *end;
    const uint8_t *opcode; /* the one at work, for messages */
    struct pickle_words stack;
    struct pickle_words memo;        /* PICKLE_MARK: never made */
    bool is_nested;                  /* of a pickle that stands in the middle of another one */
    struct pickle_value *persistent; /* the last one */
    struct format_error *error;
};

/* What can fail returns -1, false or NULL with *error set. */

int pickle_fail(struct pickle_reader *r, const char *reason);

/* Room for one word more on the stack. */
int pickle_stack_grow(struct pickle_reader *r);

static inline int pickle_push(struct pickle_reader *r, pickle_word word)
{
    if (r->stack.n == r->stack.capacity && pickle_stack_grow(r) != 0)
        return -1;
    r->stack.at[r->stack.n++] = word;
    return 0;
}

/* The text that the opcode at work stands for; it was found valid. */
static inline int pickle_push_text(struct pickle_reader *r)
{
    return pickle_push(r, pickle_word_of_text((uint32_t)(r->opcode - r->start)));
}

/* A new value on the stack, all zeros but its kind and offset. */
struct pickle_value *pickle_push_new(struct pickle_reader *r, enum pickle_kind kind);

/* The value of a word that is not a mark. Of the same text each call makes another one. */
struct pickle_value *pickle_word_value(struct pickle_reader *r, pickle_word word);

/* Whether `n` words lie on the stack above its topmost mark. */
bool pickle_has(struct pickle_reader *r, size_t n);

/* The value `depth` below the top, where no mark lies between; of a text a new one. */
struct pickle_value *pickle_peek(struct pickle_reader *r, size_t depth);

/* Position of the topmost mark. */
long long pickle_find_mark(struct pickle_reader *r);

int pickle_pop(struct pickle_reader *r, bool to_mark);

/* The topmost word into the memo, and the other way round. */
int pickle_memo_put(struct pickle_reader *r, uint64_t index);
int pickle_memo_get(struct pickle_reader *r, uint64_t index);

/* The text that an opcode and its operand make. */
static inline struct text pickle_text_at(const uint8_t *opcode)
{
    switch (*opcode) {
    case OP_SHORT_BINUNICODE:
        return (struct text){(const char *)opcode + 2, opcode[1]};
    case OP_BINUNICODE:
        return (struct text){(const char *)opcode + 5, le32(opcode + 1)};
    default: /* OP_BINUNICODE8 */
        return (struct text){(const char *)opcode + 9, (size_t)le64(opcode + 1)};
    }
}

void pickle_stack_free(struct pickle_reader *r);

#endif
