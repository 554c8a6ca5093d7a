/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/reply_bytes.h"

#include "protocol/json_writer.h"
#include "serve/reply.h"
#include "serve/reply_fields.h"

enum {
    HEAD_MOST_BYTES = 1536, /* more than all the fields below take */
    JOINED_MAX_BYTES = 4096 /* a body up to this is sent in one piece with its head */
};

static const char no_memory_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 52\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n"
    "{\"error\":\"" REQUEST_NO_MEMORY "\"}\n";

static const char *reason_of(int http_status)
{
    switch (http_status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static char *put_text(char *out, struct text text)
{
    memcpy(out, text.at, text.length);
    return out + text.length;
}

static char *put_status_line(char *out, int http_status)
{
    if (http_status == 200)
        return write_raw(out, "HTTP/1.1 200 OK");
    out = write_raw(out, "HTTP/1.1 ");
    out = write_unsigned(out, (unsigned)http_status);
    *out++ = ' ';
    return write_raw(out, reason_of(http_status));
}

static char *put_head(char *out, struct request *request, const struct head *head, bool packed,
                      bool close)
{
    struct reply_fields fields;
    fields.n = 0;
    reply_fields(&fields, request, packed);
    out = put_status_line(out, request->reply.http_status);
    for (unsigned i = 0; i < fields.n; i++) {
        out = write_raw(out, "\r\n");
        out = put_text(out, fields.at[i].name);
        out = write_raw(out, ": ");
        out = put_text(out, fields.at[i].value);
    }
    if (close)
        out = write_raw(out, "\r\nConnection: close");
    else if (head->is_1_0)
        out = write_raw(out, "\r\nConnection: keep-alive");
    return write_raw(out, "\r\n\r\n");
}

bool reply_bytes(struct request *request, const struct head *head, bool close, struct text out[2])
{
    struct reply *reply = &request->reply;
    const bool compressed = reply->content_type && reply_compress(request);
    char *at = reply->content_type
                   ? arena_alloc(&request->arena, HEAD_MOST_BYTES + JOINED_MAX_BYTES)
                   : NULL;
    out[1] = (struct text){"", 0};
    if (at == NULL) {
        reply_lost(request);
        out[0] = (struct text){no_memory_reply, sizeof no_memory_reply - 1};
        return false;
    }
    char *end = put_head(at, request, head, compressed, close);
    const bool has_body = !request->head.is_head && reply->http_status != 204;
    if (has_body && reply->body.length <= JOINED_MAX_BYTES) {
        memcpy(end, reply->body.at, reply->body.length);
        end += reply->body.length;
    } else if (has_body) {
        out[1] = reply->body;
    }
    out[0] = (struct text){at, (size_t)(end - at)};
    return true;
}
