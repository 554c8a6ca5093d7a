/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/chunks.h"

#include "http1/head.h"

enum state {
    SIZE = 0,     /* its hexadecimal digits */
    EXTENSION,    /* behind them, up to CR */
    SIZE_FEED,    /* the LF of that line */
    DATA,         /* `left` bytes */
    DATA_RETURN,  /* CR behind the data */
    DATA_FEED,    /* LF behind it */
    TRAILER,      /* the first byte of a line behind the last chunk */
    TRAILER_NAME, /* the rest of its name */
    TRAILER_VALUE,
    TRAILER_FEED, /* its LF */
    LAST_FEED,    /* the LF of the empty line that ends it all */
    ENDED
};

static const char *step_size(struct chunks *chunks, char c)
{
    const int digit = text_hex_digit(c);
    if (digit >= 0) {
        if (chunks->n_digits++ == CHUNK_SIZE_MAX_DIGITS)
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

static const char *count_line_byte(struct chunks *chunks)
{
    return ++chunks->n_line_bytes > CHUNK_LINE_MAX_BYTES ? "A line between chunks is too long."
                                                         : NULL;
}

static const char not_crlf[] = "A line between chunks does not end in CRLF.";

/* A byte of an extension or of a trailer's value, up to its CR. */
static const char *step_line(struct chunks *chunks, char c, enum state behind)
{
    if (c == '\r')
        chunks->state = behind;
    else if (c == '\n')
        return not_crlf;
    else if (!(head_kind_of_byte[(unsigned char)c] & HEAD_VALUE))
        return "A line between chunks holds a control character.";
    else
        return count_line_byte(chunks);
    return NULL;
}

/* A byte of a trailer's name, the first one or another. */
static const char *step_name(struct chunks *chunks, char c)
{
    if (c == ':' && chunks->state == TRAILER_NAME)
        chunks->state = TRAILER_VALUE;
    else if (head_kind_of_byte[(unsigned char)c] & HEAD_TOKEN)
        chunks->state = TRAILER_NAME;
    else
        return "A trailer has a malformed name.";
    return count_line_byte(chunks);
}

static const char *expect(struct chunks *chunks, char c, char wanted, enum state next,
                          const char *otherwise)
{
    if (c != wanted)
        return otherwise;
    chunks->state = next;
    return NULL;
}

/* One byte of the frame around the data. What is wrong with it, or NULL. */
static const char *step(struct chunks *chunks, char c)
{
    static const char not_at_end[] = "A chunk does not end in CRLF where its size says.";
    switch ((enum state)chunks->state) {
    case SIZE:
        return step_size(chunks, c);
    case EXTENSION:
        return step_line(chunks, c, SIZE_FEED);
    case SIZE_FEED:
        return expect(chunks, c, '\n', chunks->left ? DATA : TRAILER, not_crlf);
    case DATA_RETURN:
        return expect(chunks, c, '\r', DATA_FEED, not_at_end);
    case DATA_FEED:
        chunks->n_digits = 0;
        return expect(chunks, c, '\n', SIZE, not_at_end);
    case TRAILER:
        chunks->n_line_bytes = 0;
        return c == '\r' ? step_line(chunks, c, LAST_FEED) : step_name(chunks, c);
    case TRAILER_NAME:
        return step_name(chunks, c);
    case TRAILER_VALUE:
        return step_line(chunks, c, TRAILER_FEED);
    case TRAILER_FEED:
        return expect(chunks, c, '\n', TRAILER, not_crlf);
    case LAST_FEED:
        return expect(chunks, c, '\n', ENDED, not_crlf);
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
        const bool is_trailer = chunks->state >= TRAILER;
        const char *wrong = step(chunks, *(*at)++);
        if (wrong == NULL && is_trailer && ++chunks->n_trailer_bytes > CHUNK_TRAILERS_MAX_BYTES)
            wrong = "The trailers are too large.";
        if (wrong) {
            request_error_set(error, 400, "%s", wrong);
            return CHUNKS_MALFORMED;
        }
    }
    return chunks->state == ENDED ? CHUNKS_END : CHUNKS_MORE;
}
