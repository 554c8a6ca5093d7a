/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <strings.h>

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

static enum head_size malformed(struct request_error *error, int http_status, const char *what)
{
    request_error_set(error, http_status, "%s", what);
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
        !(head_kind_of_byte[(unsigned char)at[start]] & HEAD_TOKEN))
        return malformed(error, 400, "This is not an HTTP/1.1 request.");
    while (i < end) {
        const char *feed = memchr(at + i, '\n', end - i);
        if (feed == NULL)
            break;
        const size_t line = (size_t)(feed - at);
        if (line == start || at[line - 1] != '\r')
            return malformed(error, 400, "A line of the header does not end in CRLF.");
        i = line + 1;
        if (line >= start + 3 && at[line - 2] == '\n') {
            *ret_bytes = i;
            return HEAD_COMPLETE;
        }
    }
    *scanned = end;
    if (end == length)
        return HEAD_INCOMPLETE;
    return memchr(at + start, '\n', end - start)
               ? malformed(error, 431, "The header is too large.")
               : malformed(error, 414, "The request line is too long.");
}

/* ---- fields ---- */

/* Counts while the fields pass by. */
struct scan {
    struct head *head;
    unsigned n_hosts, n_lengths, n_transfer_codings, n_codings;
    bool close, keep_alive; /* tokens of Connection */
    const char *wrong;      /* the first thing found wrong, or NULL */
    int status;
};

static void set_wrong(struct scan *scan, int status, const char *what)
{
    if (scan->wrong == NULL) {
        scan->wrong = what;
        scan->status = status;
    }
}

/* Without regard to case. `wanted` is a literal, whose length the compiler knows. */
static inline bool equals(struct text text, const char *wanted)
{
    const size_t length = strlen(wanted);
    return text.length == length && strncasecmp(text.at, wanted, length) == 0;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline struct text trimmed(const char *value, size_t length)
{
    while (length > 0 && is_blank(value[length - 1]))
        length--;
    while (length > 0 && is_blank(*value)) {
        value++;
        length--;
    }
    return (struct text){value, length};
}

static bool starts_with(struct text text, const char *wanted)
{
    const size_t length = strlen(wanted);
    return text.length >= length && strncasecmp(text.at, wanted, length) == 0;
}

/* The part of a comma list before the next comma; moves behind it. */
static struct text next_element(struct text *list)
{
    const char *comma = memchr(list->at, ',', list->length);
    const size_t length = comma ? (size_t)(comma - list->at) : list->length;
    const struct text element = trimmed(list->at, length);
    const size_t used = comma ? length + 1 : length;
    list->at += used;
    list->length -= used;
    return element;
}

/* 1*DIGIT that fits; a larger number counts as the largest. */
static bool read_length(struct text value, uint64_t *ret_length)
{
    uint64_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(value.at[i] - '0'), &length))
            length = UINT64_MAX / 16;
    }
    *ret_length = length;
    return value.length > 0;
}

static void read_coding(struct scan *scan, struct text value)
{
    struct text list = value;
    do {
        const struct text coding = next_element(&list);
        if (coding.length == 0 || equals(coding, "identity"))
            continue;
        const bool gzip = equals(coding, "gzip") || equals(coding, "x-gzip");
        scan->head->coding = gzip && scan->n_codings == 0 ? CODING_GZIP : CODING_UNSUPPORTED;
        scan->n_codings++;
    } while (list.length > 0);
}

/* Whether gzip, or anything, is accepted with a weight above 0 (RFC 9110 section 12.5.3). */
static bool accepts_gzip(struct text value)
{
    struct text list = value;
    bool any = false;
    while (list.length > 0) {
        const struct text element = next_element(&list);
        const char *semicolon = memchr(element.at, ';', element.length);
        const struct text coding =
            trimmed(element.at, semicolon ? (size_t)(semicolon - element.at) : element.length);
        bool refused = false;
        if (semicolon) {
            const struct text weight =
                trimmed(semicolon + 1, (size_t)(element.at + element.length - semicolon - 1));
            refused = weight.length > 2 && strncasecmp(weight.at, "q=0", 3) == 0;
            for (size_t i = 3; refused && i < weight.length; i++)
                refused = weight.at[i] == '.' || weight.at[i] == '0';
        }
        if (equals(coding, "gzip") || equals(coding, "x-gzip"))
            return !refused;
        if (equals(coding, "*"))
            any = !refused;
    }
    return any;
}

static void read_connection(struct scan *scan, struct text value)
{
    struct text list = value;
    while (list.length > 0) {
        const struct text option = next_element(&list);
        scan->close |= equals(option, "close");
        scan->keep_alive |= equals(option, "keep-alive");
    }
}

static void read_content_field(struct scan *scan, struct text name, struct text value)
{
    struct head *head = scan->head;
    if (equals(name, "Content-Length")) {
        scan->n_lengths++;
        if (!read_length(value, &head->content_length))
            set_wrong(scan, 400, "Content-Length is not a number.");
    } else if (equals(name, "Content-Encoding")) {
        read_coding(scan, value);
    } else if (equals(name, "Content-Type")) {
        head->type = starts_with(value, "multipart/")                     ? CONTENT_MULTIPART
                     : starts_with(value, "application/cloudevents+json") ? CONTENT_CLOUD_EVENT
                                                                          : CONTENT_ANY;
    } else if (equals(name, "Connection")) {
        read_connection(scan, value);
    }
}

static void keep_request_id(struct head *head, struct text value)
{
    head->request_id_length =
        value.length < REQUEST_ID_MAX_BYTES ? value.length : REQUEST_ID_MAX_BYTES;
    memcpy(head->request_id, value.at, head->request_id_length);
}

static void read_field(struct scan *scan, struct text name, struct text value)
{
    struct head *head = scan->head;
    switch (name.at[0] | 0x20) {
    case 'h':
        scan->n_hosts += equals(name, "Host");
        break;
    case 't':
        if (equals(name, "Transfer-Encoding")) {
            scan->n_transfer_codings++;
            head->is_chunked = equals(value, "chunked");
            if (!head->is_chunked)
                set_wrong(scan, 501, "Transfer-Encoding other than chunked is not supported.");
        }
        break;
    case 'c':
        read_content_field(scan, name, value);
        break;
    case 'a':
        if (equals(name, "Accept-Encoding"))
            head->accepts_gzip = accepts_gzip(value);
        break;
    case 'e':
        if (equals(name, "Expect")) {
            head->expects_continue = equals(value, "100-continue");
            if (!head->expects_continue)
                set_wrong(scan, 417, "Expect other than 100-continue is not supported.");
        }
        break;
    case 'i':
        if (equals(name, "Inference-Header-Content-Length")) {
            head->n_inference_header_lengths++;
            head->inference_header_length_is_number =
                read_length(value, &head->inference_header_length);
        }
        break;
    case 'x':
        if (head->request_id_length == 0 && equals(name, "X-Request-Id"))
            keep_request_id(head, value);
        break;
    default:
        break;
    }
}

/* The field line at `at`; behind it. NULL: it is none, and that is noted. */
static const char *read_field_line(struct scan *scan, const char *at, const char *end)
{
    const char *colon = skip(at, end, HEAD_TOKEN);
    if (colon == at || *colon != ':') {
        set_wrong(scan, 400,
                  is_blank(*at) ? "A header field is folded over two lines."
                                : "A header field has a malformed name.");
        return NULL;
    }
    const char *line_end = skip(colon + 1, end, HEAD_VALUE);
    if (*line_end != '\r' || line_end[1] != '\n') {
        set_wrong(scan, 400, "A header field holds a control character.");
        return NULL;
    }
    read_field(scan, (struct text){at, (size_t)(colon - at)},
               trimmed(colon + 1, (size_t)(line_end - colon - 1)));
    return line_end + 2;
}

/* ---- the request line ---- */

/* METHOD SP TARGET SP HTTP/1.x CRLF at `at`; behind it. NULL: it is none, and that is noted. */
static const char *read_request_line(struct scan *scan, const char *at, const char *end)
{
    struct head *head = scan->head;
    const char *space = skip(at, end, HEAD_TOKEN);
    head->method = (struct text){at, (size_t)(space - at)};
    if (space == at || *space != ' ') {
        set_wrong(scan, 400, "The request line has no method.");
        return NULL;
    }
    head->is_head = text_is(head->method, "HEAD");
    const char *target = space + 1;
    const char *line_end = target;
    while (line_end < end && head_kind_of_byte[(unsigned char)*line_end] && !is_blank(*line_end))
        line_end++;
    head->target = (struct text){target, (size_t)(line_end - target)};
    const char *version = line_end + 1;
    if (head->target.length == 0 || *line_end != ' ' || end - version < 10 ||
        memcmp(version, "HTTP/", 5) != 0 || version[6] != '.' || version[8] != '\r' ||
        version[9] != '\n') {
        set_wrong(scan, 400, "The request line is not METHOD TARGET HTTP/1.1.");
        return NULL;
    }
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
        set_wrong(scan, 505, "The HTTP version is not 1.0 or 1.1.");
        return NULL;
    }
    head->is_1_0 = version[7] == '0';
    if (head->target.length > TARGET_MAX_BYTES)
        set_wrong(scan, 414, "The path is too long.");
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

int head_read(struct head *head, const char *at, size_t length, struct request_error *error)
{
    *head = (struct head){0};
    struct scan scan = {.head = head};
    const char *end = at + length;
    at = read_request_line(&scan, at + skip_empty_lines(at, length), end);
    while (at && end - at > 2) /* the empty line is left */
        at = read_field_line(&scan, at, end);
    if (at)
        check_framing(&scan);
    head->keep_alive = !scan.close && (!head->is_1_0 || scan.keep_alive);
    head->expects_continue &= !head->is_1_0; /* RFC 9110 section 10.1.1: it knows no 100 */
    return scan.wrong ? request_error_set(error, scan.status, "%s", scan.wrong) : 0;
}
