/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <ctype.h>

int text_compare(struct text a, struct text b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    if (order)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

struct text text_next_element(struct text *list)
{
    const char *comma = memchr(list->at, ',', list->length);
    const size_t length = comma ? (size_t)(comma - list->at) : list->length;
    const size_t used = comma ? length + 1 : length;
    const struct text element = text_trimmed((struct text){list->at, length});
    list->at += used;
    list->length -= used;
    return element;
}

/* Length of the well-formed sequence at `at` that starts with a byte >= 0x80, or 0. */
static size_t utf8_sequence_length(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    unsigned char low = 0x80, high = 0xBF; /* range of the second byte */
    size_t length;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        if (first == 0xE0)
            low = 0xA0; /* no overlong forms */
        else if (first == 0xED)
            high = 0x9F; /* no surrogates */
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F; /* nothing above U+10FFFF */
    } else {
        return 0;
    }
    if (length > left || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

int text_shown_length(struct text text)
{
    const size_t most = 64;
    if (text.length <= most)
        return (int)text.length;
    /* Not in the middle of a character. */
    size_t length = most;
    while (length > most - 4 && ((unsigned char)text.at[length] & 0xC0) == 0x80)
        length--;
    return (int)length;
}

/* Whether `n` bytes, 1 to 7, are all below 0x80. */
static inline bool few_are_ascii(const unsigned char *at, size_t n)
{
    if (n < 4)
        return ((at[0] | at[n / 2] | at[n - 1]) & 0x80) == 0;
    uint32_t first, last; /* they overlap */
    memcpy(&first, at, 4);
    memcpy(&last, at + n - 4, 4);
    return ((first | last) & 0x80808080u) == 0;
}

size_t text_utf8_valid_length(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t i = 0;
    while (i < length) {
        if (length - i >= 8) {
            uint64_t word;
            memcpy(&word, at + i, 8);
            if ((word & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        } else if (few_are_ascii(at + i, length - i)) {
            return length;
        }
        if (at[i] < 0x80) {
            i++;
            continue;
        }
        size_t sequence = utf8_sequence_length(at + i, length - i);
        if (sequence == 0)
            return i;
        i += sequence;
    }
    return length;
}

char *text_put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    *out++ = (char)((0xF00u >> (more + 1)) | c >> (6 * more));
    for (int i = more - 1; i >= 0; i--)
        *out++ = (char)(0x80 | (c >> (6 * i) & 0x3F));
    return out;
}

size_t text_make_utf8(char *text, size_t length, bool cut)
{
    for (size_t i = 0; i < length; i++) {
        i += text_utf8_valid_length(text + i, length - i);
        if (i < length && cut && length - i < 4)
            return i;
        if (i < length)
            text[i] = '?';
    }
    return length;
}

size_t text_control_bytes(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80)
        return at[0] < 0x20 || at[0] == 0x7F;
    if (at[0] == 0xC2)
        return left > 1 && at[1] >= 0x80 && at[1] <= 0x9F ? 2 : 0; /* C1 */
    if (at[0] != 0xE2 || left < 3)
        return 0;
    /* U+2028 to U+202E; U+2066 to U+2069 */
    return (at[1] == 0x80 && at[2] >= 0xA8 && at[2] <= 0xAE) ||
                   (at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9)
               ? 3
               : 0;
}

size_t text_make_printable(char *text, size_t length, bool cut)
{
    length = text_make_utf8(text, length, cut);
    for (size_t i = 0; i < length;) {
        const size_t n = text_control_bytes(text + i, length - i);
        memset(text + i, '?', n);
        i += n ? n : 1;
    }
    return length;
}

/* ---- misspelt names ---- */

enum { NAME_MAX_BYTES = 64 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Of a text of up to NAME_MAX_BYTES. */
static unsigned count_edits(struct text text, const char *other)
{
    unsigned row[NAME_MAX_BYTES + 1]; /* of the bytes of `other` so far: to the first j of `text` */
    for (unsigned j = 0; j <= text.length; j++)
        row[j] = j;
    for (unsigned i = 0; other[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= text.length; j++) {
            const char byte = (char)tolower((unsigned char)text.at[j - 1]);
            const unsigned changed = diagonal + !text_is_same_byte(other[i], byte);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[text.length];
}

bool text_is_nearer(struct text misspelt, const char *candidate, unsigned *edits)
{
    if (misspelt.length > NAME_MAX_BYTES)
        return false;
    const size_t length = strlen(candidate);
    const unsigned found = count_edits(misspelt, candidate);
    if (found >= *edits || 3 * found > (length > misspelt.length ? length : misspelt.length))
        return false;
    *edits = found;
    return true;
}
