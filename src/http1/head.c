/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/head.h"

enum { EMPTY_LINES_MAX_BYTES = 8 }; /* before a request line, RFC 9112 section 2.2 lets them pass */

/* A target holds the same bytes as a value, but for blanks. */
#define T (HEAD_TOKEN | HEAD_VALUE)
#define V HEAD_VALUE
const unsigned char head_kind_of_byte[256] = {
    /* 0x00 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    /* 0x10 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 0x20 */ V, T, V, T, T, T, T, T, V, V, T, T, V, T, T, V,
    /* 0x30 */ T, T, T, T, T, T, T, T, T, T, V, V, V, V, V, V,
    /* 0x40 */ V, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T,
    /* 0x50 */ T, T, T, T, T, T, T, T, T, T, T, V, V, V, T, T,
    /* 0x60 */ T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T,
    /* 0x70 */ T, T, T, T, T, T, T, T, T, T, T, V, T, V, T, 0,
    /* 0x80 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0x90 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xA0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xB0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xC0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xD0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xE0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 0xF0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V};
#undef T
#undef V

/* Behind the bytes of that kind. */
static inline const char *skip(const char *at, const char *end, unsigned char kind)
{
    while (at < end && head_kind_of_byte[(unsigned char)*at] & kind)
        at++;
    return at;
}

/* ---- the end of the head ---- */

/* Behind the empty lines before a request line. */
static size_t skip_empty_lines(const char *at, size_t length)
{
    size_t n = 0;
    while (n + 2 <= length && n < EMPTY_LINES_MAX_BYTES && at[n] == '\r' && at[n + 1] == '\n')
        n += 2;
    return n;
}

/* The line at `at`, for a message. */
static struct text line_at(const char *at, const char *end)
{
    const char *line_end = at;
    while (line_end < end && *line_end != '\r' && *line_end != '\n')
        line_end++;
    return (struct text){at, (size_t)(line_end - at)};
}

/* The byte at `feed` is a LF without its CR. */
static enum head_size bare_feed(const char *start, const char *feed, struct request_error *error)
{
    const char *line = feed;
    while (line > start && line[-1] != '\n')
        line--;
    request_error_set(error, 400, "A line of the header does not end in CRLF: \"%.*s\".",
                      TEXT_SHOWN(line_at(line, feed)));
    return HEAD_MALFORMED;
}

static enum head_size too_large(bool has_lines, struct request_error *error)
{
    if (has_lines)
        request_error_set(error, 431, "The header is too large, more than %d bytes.",
                          HEAD_MAX_BYTES);
    else
        request_error_set(error, 414, "The request line is too long, more than %d bytes.",
                          HEAD_MAX_BYTES);
    return HEAD_MALFORMED;
}

enum head_size head_find_end(const char *at, size_t length, size_t *scanned, size_t *ret_bytes,
                             struct request_error *error)
{
    const size_t start = skip_empty_lines(at, length);
    /* What lies beyond is not looked at, so that the answer does not depend on how much of it has
     * come. */
    const size_t end = length - start > HEAD_MAX_BYTES ? start + HEAD_MAX_BYTES : length;
    size_t i = *scanned > start ? *scanned : start;
    if (i == start && length > start && at[start] != '\r' &&
        !(head_kind_of_byte[(unsigned char)at[start]] & HEAD_TOKEN)) {
        request_error_set(error, 400, "This is not an HTTP/1.1 request: its first byte is %u.",
                          (unsigned char)at[start]);
        return HEAD_MALFORMED;
    }
    while (i < end) {
        const char *feed = memchr(at + i, '\n', end - i);
        if (feed == NULL)
            break;
        const size_t line = (size_t)(feed - at);
        if (line == start || at[line - 1] != '\r')
            return bare_feed(at + start, feed, error);
        i = line + 1;
        if (line >= start + 3 && at[line - 2] == '\n') {
            *ret_bytes = i;
            return HEAD_COMPLETE;
        }
    }
    *scanned = end;
    if (end == length)
        return HEAD_INCOMPLETE;
    return too_large(memchr(at + start, '\n', end - start) != NULL, error);
}

/* ---- fields ---- */

/* Counts while the fields pass by. */
struct scan {
    struct head *head;
    struct request_head *request;
    unsigned n_hosts, n_lengths, n_transfer_codings;
    bool close, keep_alive;      /* tokens of Connection */
    struct request_error *error; /* the first thing found wrong; http_status 0: nothing was */
};

static void set_wrong(struct scan *scan, int http_status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set_wrong(struct scan *scan, int http_status, const char *format, ...)
{
    va_list arguments;
    if (scan->error->http_status)
        return;
    va_start(arguments, format);
    request_error_set_list(scan->error, http_status, format, arguments);
    va_end(arguments);
}

static void read_connection(struct scan *scan, struct text value)
{
    struct text list = value;
    while (list.length > 0) {
        const struct text option = text_next_element(&list);
        scan->close |= text_is_word(option, "close");
        scan->keep_alive |= text_is_word(option, "keep-alive");
    }
}

static void read_transfer_coding(struct scan *scan, struct text value)
{
    scan->n_transfer_codings++;
    scan->head->is_chunked = text_is_word(value, "chunked");
    if (!scan->head->is_chunked)
        set_wrong(scan, 501, "Transfer-Encoding other than chunked is not supported: \"%.*s\".",
                  TEXT_SHOWN(value));
}

/* Other expectations are passed over: a proxy forwards what a client's library adds. */
static void read_expectation(struct head *head, struct text value)
{
    struct text list = value;
    while (list.length > 0)
        head->expects_continue |= text_is_word(text_next_element(&list), "100-continue");
}

static void read_content_length(struct scan *scan, struct text value)
{
    scan->n_lengths++;
    if (!request_head_read_length(value, &scan->request->content_length))
        set_wrong(scan, 400, "Content-Length is not a number: \"%.*s\".", TEXT_SHOWN(value));
}

/* The fields of framing are this room's, the others are the request's. */
static void read_field(struct scan *scan, struct text name, struct text value)
{
    switch (name.at[0] | 0x20) {
    case 'h':
        scan->n_hosts += text_is_word(name, "Host");
        return;
    case 't':
        if (text_is_word(name, "Transfer-Encoding"))
            read_transfer_coding(scan, value);
        return;
    case 'e':
        if (text_is_word(name, "Expect"))
            read_expectation(scan->head, value);
        return;
    case 'c':
        if (text_is_word(name, "Content-Length")) {
            read_content_length(scan, value);
            return;
        }
        if (text_is_word(name, "Connection")) {
            read_connection(scan, value);
            return;
        }
        break;
    default:
        break;
    }
    request_head_field(scan->request, name, value);
}

/* The field line at `at`; behind it. NULL: it is none, and that is noted. */
static const char *read_field_line(struct scan *scan, const char *at, const char *end)
{
    const char *colon = skip(at, end, HEAD_TOKEN);
    if (colon == at || *colon != ':') {
        set_wrong(scan, 400,
                  text_is_blank(*at) ? "A header field is folded over two lines: \"%.*s\"."
                                     : "A header field has a malformed name: \"%.*s\".",
                  TEXT_SHOWN(line_at(at, end)));
        return NULL;
    }
    const char *line_end = skip(colon + 1, end, HEAD_VALUE);
    if (*line_end != '\r' || line_end[1] != '\n') {
        set_wrong(scan, 400, "A header field holds a control character: \"%.*s\", byte %u.",
                  TEXT_SHOWN(((struct text){at, (size_t)(colon - at)})), (unsigned char)*line_end);
        return NULL;
    }
    read_field(scan, (struct text){at, (size_t)(colon - at)},
               text_trimmed((struct text){colon + 1, (size_t)(line_end - colon - 1)}));
    return line_end + 2;
}

/* ---- the request line ---- */

/* METHOD SP TARGET SP HTTP/1.x CRLF at `at`; behind it. NULL: it is none, and that is noted. */
static const char *read_request_line(struct scan *scan, const char *at, const char *end)
{
    struct head *head = scan->head;
    struct request_head *request = scan->request;
    const char *space = skip(at, end, HEAD_TOKEN);
    request->method = (struct text){at, (size_t)(space - at)};
    if (space == at || *space != ' ') {
        set_wrong(scan, 400, "The request line has no method: \"%.*s\".",
                  TEXT_SHOWN(line_at(at, end)));
        return NULL;
    }
    request->is_head = text_is(request->method, "HEAD");
    const char *target = space + 1;
    const char *line_end = target;
    while (line_end < end && head_kind_of_byte[(unsigned char)*line_end] &&
           !text_is_blank(*line_end))
        line_end++;
    request->target = (struct text){target, (size_t)(line_end - target)};
    const char *version = line_end + 1;
    if (request->target.length == 0 || *line_end != ' ' || end - version < 10 ||
        memcmp(version, "HTTP/", 5) != 0 || version[6] != '.' || version[8] != '\r' ||
        version[9] != '\n') {
        set_wrong(scan, 400, "The request line is not METHOD TARGET HTTP/1.1: \"%.*s\".",
                  TEXT_SHOWN(line_at(at, end)));
        return NULL;
    }
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
        set_wrong(scan, 505, "The HTTP version is not 1.0 or 1.1: \"%.8s\".", version);
        return NULL;
    }
    head->is_1_0 = version[7] == '0';
    if (request->target.length > TARGET_MAX_BYTES)
        set_wrong(scan, 414, "The path is too long, more than %d bytes.", TARGET_MAX_BYTES);
    return version + 10;
}

/* What the fields say together. */
static void check_framing(struct scan *scan)
{
    const struct head *head = scan->head;
    if (scan->n_transfer_codings > 0 && scan->n_lengths > 0)
        set_wrong(scan, 400, "Both Content-Length and Transfer-Encoding are given.");
    if (scan->n_lengths > 1)
        set_wrong(scan, 400, "Content-Length is given twice.");
    if (scan->n_transfer_codings > 1)
        set_wrong(scan, 501, "Transfer-Encoding is given twice.");
    if (scan->n_transfer_codings > 0 && head->is_1_0)
        set_wrong(scan, 400, "Transfer-Encoding in HTTP/1.0.");
    if (scan->n_hosts > 1 || (scan->n_hosts == 0 && !head->is_1_0))
        set_wrong(scan, 400, scan->n_hosts ? "Host is given twice." : "Host is missing.");
}

int head_read(struct head *head, struct request_head *request, const char *at, size_t length,
              struct request_error *error)
{
    *head = (struct head){0};
    *request = (struct request_head){0};
    error->http_status = 0;
    struct scan scan = {.head = head, .request = request, .error = error};
    const char *end = at + length;
    at = read_request_line(&scan, at + skip_empty_lines(at, length), end);
    while (at && end - at > 2) /* the empty line is left */
        at = read_field_line(&scan, at, end);
    if (at)
        check_framing(&scan);
    head->keep_alive = !scan.close && (!head->is_1_0 || scan.keep_alive);
    head->expects_continue &= !head->is_1_0; /* RFC 9110 section 10.1.1: it knows no 100 */
    return error->http_status ? -1 : 0;
}
