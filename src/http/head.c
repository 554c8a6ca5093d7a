/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <strings.h>

/* Counts while the fields pass by. */
struct scan {
    struct head *head;
    unsigned n_hosts, n_lengths, n_codings, n_transfer_codings;
    const char *wrong; /* the first thing found wrong, or NULL */
    int status;
};

static void set_wrong(struct scan *scan, int status, const char *what)
{
    if (scan->wrong == NULL) {
        scan->wrong = what;
        scan->status = status;
    }
}

/* tchar of RFC 9110 section 5.6.2 */
static bool is_token(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const char c = name[i];
        const bool common =
            ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!common && (c == '\0' || strchr("!#$%&'*+.^_`|~", c) == NULL))
            return false;
    }
    return length > 0;
}

static bool name_is(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

static struct text trimmed(const char *value, size_t length)
{
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        length--;
    while (length > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        length--;
    }
    return (struct text){value, length};
}

static bool equals(struct text text, const char *wanted)
{
    return name_is(text.at, text.length, wanted);
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

static enum MHD_Result read_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct scan *scan = cls;
    struct head *head = scan->head;
    const struct text text = trimmed(value ? value : "", value ? value_size : 0);
    if (!is_token(name, name_size)) {
        set_wrong(scan, 400, "A header field has a malformed name.");
        return MHD_YES;
    }
    switch (name[0] | 0x20) {
    case 'h':
        scan->n_hosts += name_is(name, name_size, "Host");
        break;
    case 't':
        if (name_is(name, name_size, "Transfer-Encoding")) {
            scan->n_transfer_codings++;
            head->is_chunked = equals(text, "chunked");
            if (!head->is_chunked)
                set_wrong(scan, 501, "Transfer-Encoding other than chunked is not supported.");
        }
        break;
    case 'c':
        if (name_is(name, name_size, "Content-Length")) {
            scan->n_lengths++;
            if (!read_length(text, &head->content_length))
                set_wrong(scan, 400, "Content-Length is not a number.");
        } else if (name_is(name, name_size, "Content-Encoding")) {
            read_coding(scan, text);
        } else if (name_is(name, name_size, "Content-Type")) {
            head->type = starts_with(text, "multipart/")                     ? CONTENT_MULTIPART
                         : starts_with(text, "application/cloudevents+json") ? CONTENT_CLOUD_EVENT
                                                                             : CONTENT_ANY;
        }
        break;
    case 'a':
        if (name_is(name, name_size, "Accept-Encoding"))
            head->accepts_gzip = accepts_gzip(text);
        break;
    case 'e':
        if (name_is(name, name_size, "Expect")) {
            head->expects_continue = equals(text, "100-continue");
            if (!head->expects_continue)
                set_wrong(scan, 417, "Expect other than 100-continue is not supported.");
        }
        break;
    case 'i':
        if (name_is(name, name_size, "Inference-Header-Content-Length")) {
            head->n_inference_header_lengths++;
            head->inference_header_length_is_number =
                read_length(text, &head->inference_header_length);
        }
        break;
    default:
        break;
    }
    return MHD_YES;
}

int head_read(struct head *head, struct MHD_Connection *connection, const char *version,
              struct request_error *error)
{
    *head = (struct head){0};
    struct scan scan = {.head = head};
    const bool is_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (!is_1_0 && strcmp(version, "HTTP/1.1") != 0)
        return request_error_set(error, 505, "The HTTP version is not 1.0 or 1.1.");
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, read_field, &scan);
    if (scan.n_transfer_codings > 0 && scan.n_lengths > 0)
        set_wrong(&scan, 400, "Both Content-Length and Transfer-Encoding are given.");
    if (scan.n_lengths > 1)
        set_wrong(&scan, 400, "Content-Length is given twice.");
    if (scan.n_transfer_codings > 1)
        set_wrong(&scan, 501, "Transfer-Encoding is given twice.");
    if (scan.n_transfer_codings > 0 && is_1_0)
        set_wrong(&scan, 400, "Transfer-Encoding in HTTP/1.0.");
    if (scan.n_hosts > 1 || (scan.n_hosts == 0 && !is_1_0))
        set_wrong(&scan, 400, scan.n_hosts ? "Host is given twice." : "Host is missing.");
    return scan.wrong ? request_error_set(error, scan.status, "%s", scan.wrong) : 0;
}
