/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunks.h"

enum {
    SIZE_MAX_DIGITS = 15, /* so that a size never overflows */
    LINE_MAX_BYTES = 16 * 1024,
    TRAILERS_MAX_BYTES = 64 * 1024
};

enum state {
    SIZE = 0,     /* its hexadecimal digits */
    EXTENSION,    /* behind them, up to CR */
    SIZE_FEED,    /* the LF of that line */
    DATA,         /* `left` bytes */
    DATA_RETURN,  /* CR behind the data */
    DATA_FEED,    /* LF behind it */
    TRAILER,      /* the first byte of a line behind the last chunk */
    TRAILER_LINE, /* the rest of one */
    TRAILER_FEED, /* its LF */
    LAST_FEED,    /* the LF of the empty line that ends it all */
    ENDED
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

static const char *step_size(struct chunks *chunks, char c)
{
    const int digit = hex_digit(c);
    if (digit >= 0) {
        if (chunks->n_digits++ == SIZE_MAX_DIGITS)
            return "A chunk is too large.";
        chunks->left = chunks->left << 4 | (uint64_t)digit;
        return NULL;
    }
    if (chunks->n_digits == 0 || (c != '\r' && c != ';'))
        return "A chunk's size is not a hexadecimal number.";
    chunks->n_line_bytes = 0;
    chunks->state = c == '\r' ? SIZE_FEED : EXTENSION;
    return NULL;
}

/* A byte of a line that is passed over, up to its CR. */
static const char *step_line(struct chunks *chunks, char c, enum state behind)
{
    if (c == '\r')
        chunks->state = behind;
    else if (c == '\n' || c == '\0')
        return "A line between chunks does not end in CRLF.";
    else if (++chunks->n_line_bytes > LINE_MAX_BYTES)
        return "A line between chunks is too long.";
    return NULL;
}

static const char *expect(struct chunks *chunks, char c, char wanted, enum state next)
{
    if (c != wanted)
        return "A chunk does not end in CRLF where its size says.";
    chunks->state = next;
    return NULL;
}

/* One byte of the frame around the data. What is wrong with it, or NULL. */
static const char *step(struct chunks *chunks, char c)
{
    switch ((enum state)chunks->state) {
    case SIZE:
        return step_size(chunks, c);
    case EXTENSION:
        return step_line(chunks, c, SIZE_FEED);
    case SIZE_FEED:
        return expect(chunks, c, '\n', chunks->left ? DATA : TRAILER);
    case DATA_RETURN:
        return expect(chunks, c, '\r', DATA_FEED);
    case DATA_FEED:
        chunks->n_digits = 0;
        return expect(chunks, c, '\n', SIZE);
    case TRAILER:
        chunks->n_line_bytes = 0;
        chunks->state = TRAILER_LINE;
        return step_line(chunks, c, LAST_FEED);
    case TRAILER_LINE:
        return step_line(chunks, c, TRAILER_FEED);
    case TRAILER_FEED:
        return expect(chunks, c, '\n', TRAILER);
    case LAST_FEED:
        return expect(chunks, c, '\n', ENDED);
    case DATA:
    case ENDED:
        break;
    }
    return NULL;
}

enum chunks_result chunks_next(struct chunks *chunks, const char **at, const char *end,
                               struct text *ret_data, struct request_error *error)
{
    while (chunks->state != ENDED && *at < end) {
        if (chunks->state == DATA) {
            const size_t there = (size_t)(end - *at);
            const size_t n = chunks->left < there ? (size_t)chunks->left : there;
            *ret_data = (struct text){*at, n};
            *at += n;
            chunks->left -= n;
            if (chunks->left == 0)
                chunks->state = DATA_RETURN;
            return CHUNKS_DATA;
        }
        const char *wrong = step(chunks, *(*at)++);
        if (wrong == NULL && chunks->state >= TRAILER &&
            ++chunks->n_trailer_bytes > TRAILERS_MAX_BYTES)
            wrong = "The trailers are too large.";
        if (wrong) {
            request_error_set(error, 400, "%s", wrong);
            return CHUNKS_MALFORMED;
        }
    }
    return chunks->state == ENDED ? CHUNKS_END : CHUNKS_MORE;
}
