/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/request_head.h"

#include <strings.h>

static bool starts_with(struct text text, const char *wanted)
{
    const size_t length = strlen(wanted);
    return text.length >= length && strncasecmp(text.at, wanted, length) == 0;
}

bool request_head_read_length(struct text value, uint64_t *ret_length)
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

/* A charset and the word for nothing are no codings, but clients send them, and KServe's server
 * reads the body as it is. */
static enum content_coding coding_of(struct text name)
{
    if (name.length == 0 || text_is_word(name, "identity") || text_is_word(name, "none") ||
        text_is_word(name, "utf-8"))
        return CODING_IDENTITY;
    if (text_is_word(name, "gzip") || text_is_word(name, "x-gzip"))
        return CODING_GZIP;
    return text_is_word(name, "deflate") ? CODING_DEFLATE : CODING_UNSUPPORTED;
}

static void read_coding(struct request_head *head, struct text value)
{
    struct text list = value;
    while (list.length > 0) {
        const enum content_coding coding = coding_of(text_next_element(&list));
        if (coding == CODING_IDENTITY || head->coding == CODING_UNSUPPORTED)
            continue;
        head->coding = head->coding == CODING_IDENTITY ? coding : CODING_UNSUPPORTED;
        if (head->coding == CODING_UNSUPPORTED)
            head->coding_value = value;
    }
}

/* Whether gzip, or anything, is accepted with a weight above 0 (RFC 9110 section 12.5.3). */
static bool accepts_gzip(struct text value)
{
    struct text list = value;
    bool any = false;
    while (list.length > 0) {
        const struct text element = text_next_element(&list);
        const char *semicolon = memchr(element.at, ';', element.length);
        const struct text coding = text_trimmed((struct text){
            element.at, semicolon ? (size_t)(semicolon - element.at) : element.length});
        bool refused = false;
        if (semicolon) {
            const struct text weight = text_trimmed((struct text){
                semicolon + 1, (size_t)(element.at + element.length - semicolon - 1)});
            refused = weight.length > 2 && strncasecmp(weight.at, "q=0", 3) == 0;
            for (size_t i = 3; refused && i < weight.length; i++)
                refused = weight.at[i] == '.' || weight.at[i] == '0';
        }
        if (text_is_word(coding, "gzip") || text_is_word(coding, "x-gzip"))
            return !refused;
        if (text_is_word(coding, "*"))
            any = !refused;
    }
    return any;
}

/* application/grpc and application/grpc+proto, with parameters or not; not application/grpc-web. */
static bool is_grpc(struct text type)
{
    static const char *const names[] = {"application/grpc", "application/grpc+proto"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        if (starts_with(type, names[i]) &&
            (type.length == n || type.at[n] == ';' || text_is_blank(type.at[n])))
            return true;
    }
    return false;
}

static void read_content_type(struct request_head *head, struct text value)
{
    head->type_value = value;
    head->type = starts_with(value, "multipart/")                     ? CONTENT_MULTIPART
                 : starts_with(value, "application/cloudevents+json") ? CONTENT_CLOUD_EVENT
                 : is_grpc(value)                                     ? CONTENT_GRPC
                                                                      : CONTENT_ANY;
}

/* The fields of gRPC (gRPC over HTTP/2, "Requests"). */
static void read_grpc_field(struct request_head *head, struct text name, struct text value)
{
    if (text_is_word(name, "grpc-timeout")) {
        head->grpc_timeout = value;
    } else if (text_is_word(name, "grpc-accept-encoding")) {
        head->accepts_gzip_messages = accepts_gzip(value);
    } else if (text_is_word(name, "grpc-encoding")) {
        head->message_coding = text_is_word(value, "identity")  ? CODING_IDENTITY
                               : text_is_word(value, "gzip")    ? CODING_GZIP
                               : text_is_word(value, "deflate") ? CODING_DEFLATE
                                                                : CODING_UNSUPPORTED;
        head->message_coding_value = value;
    }
}

static void read_inference_header_length(struct request_head *head, struct text value)
{
    head->n_inference_header_lengths++;
    head->inference_header_length_is_number =
        request_head_read_length(value, &head->inference_header_length);
    head->inference_header_value =
        head->inference_header_length_is_number ? (struct text){NULL, 0} : value;
}

static void keep_request_id(struct request_head *head, struct text value)
{
    head->request_id_length =
        value.length < REQUEST_ID_MAX_BYTES ? value.length : REQUEST_ID_MAX_BYTES;
    memcpy(head->request_id, value.at, head->request_id_length);
}

void request_head_field(struct request_head *head, struct text name, struct text value)
{
    switch (name.at[0] | 0x20) {
    case 'c':
        if (text_is_word(name, "Content-Encoding"))
            read_coding(head, value);
        else if (text_is_word(name, "Content-Type"))
            read_content_type(head, value);
        break;
    case 'a':
        if (text_is_word(name, "Accept-Encoding"))
            head->accepts_gzip = accepts_gzip(value);
        break;
    case 'g':
        read_grpc_field(head, name, value);
        break;
    case 'o':
        if (text_is_word(name, "Origin"))
            head->origin = value;
        break;
    case 'i':
        if (text_is_word(name, "Inference-Header-Content-Length"))
            read_inference_header_length(head, value);
        break;
    case 'x':
        if (head->request_id_length == 0 && text_is_word(name, "X-Request-Id"))
            keep_request_id(head, value);
        break;
    default:
        break;
    }
}
