/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h: a run of bytes that somebody else owns, usually UTF-8, never NUL-terminated,
 * and what the whole program asks of such runs.
 */
#ifndef DCNV2_TEXT_H
#define DCNV2_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *at;
    size_t length;
};

static inline struct text text_of(const char *nul_terminated)
{
    return (struct text){nul_terminated, strlen(nul_terminated)};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

/* With a literal its length is known to the compiler, and the comparison is one of a word or two.
 */
static inline bool text_is(struct text a, const char *nul_terminated)
{
    const size_t length = strlen(nul_terminated);
    return a.length == length && (length == 0 || memcmp(a.at, nul_terminated, length) == 0);
}

/* The same without regard to case. */
static inline bool text_is_word(struct text a, const char *nul_terminated)
{
    const size_t length = strlen(nul_terminated);
    return a.length == length && strncasecmp(a.at, nul_terminated, length) == 0;
}

static inline bool text_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks around it. */
static inline struct text text_trimmed(struct text text)
{
    while (text.length > 0 && text_is_blank(text.at[text.length - 1]))
        text.length--;
    while (text.length > 0 && text_is_blank(*text.at)) {
        text.at++;
        text.length--;
    }
    return text;
}

/* The part of a comma list before the next comma, trimmed; moves behind the comma. */
struct text text_next_element(struct text *list);

/* The two arguments of "%.*s" in a message; a long text is cut. */
#define TEXT_SHOWN(text) text_shown_length(text), (text).at

int text_shown_length(struct text text);

/* '-' and '_' are the same: some spell a name of two words with one, some with the other. */
static inline bool text_is_same_byte(char a, char b)
{
    return (a == '_' ? '-' : a) == (b == '_' ? '-' : b);
}

enum { TEXT_NOT_NEAR = UINT16_MAX };

/*
 * Whether a misspelt name, in any case of letters, is nearer to `candidate` than *edits, which is
 * TEXT_NOT_NEAR at first, and then becomes their distance: how many bytes have to be put, taken or
 * changed to make one of the other (Levenshtein's). No name of which more than a third is another's
 * is near.
 */
bool text_is_nearer(struct text misspelt, const char *candidate, unsigned *edits);

/* The value of a hexadecimal digit, or -1. */
static inline int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Byte order, which for UTF-8 is code point order: Python's order of str. <0, 0, >0. */
int text_compare(struct text a, struct text b);

/* A code point as UTF-8, 1 to 4 bytes; returns the byte behind them. */
char *text_put_utf8(char *out, uint32_t code_point);

/*
 * Each byte that is not UTF-8 becomes '?'. `cut`: what follows was cut off, so an incomplete
 * character at the end goes. Returns the new length; no NUL is written.
 */
size_t text_make_utf8(char *text, size_t length, bool cut);

/*
 * Bytes of the character at `at`, of `left` >= 1 bytes of UTF-8, if a terminal obeys it instead of
 * showing it: a control character (C0, DEL, C1), a line or paragraph separator, or one that turns
 * the direction of what follows (bidirectional embeddings, overrides and isolates). Else 0.
 */
size_t text_control_bytes(const char *at, size_t left);

/* text_make_utf8(), and each byte of such a character becomes '?' as well. */
size_t text_make_printable(char *text, size_t length, bool cut);

/* Offset of the first byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7), or
 * `length`. */
size_t text_utf8_valid_length(const char *at, size_t length);

#endif
