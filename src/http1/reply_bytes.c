/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/reply_bytes.h"

#include "protocol/json_writer.h"
#include "serve/cors.h"
#include "serve/reply.h"

enum {
    HEAD_MOST_BYTES = 1536, /* more than all the fields below take */
    JOINED_MAX_BYTES = 4096 /* a body up to this is sent in one piece with its head */
};

static const char no_memory_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 52\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n"
    "{\"error\":\"The server is out of memory; try again.\"}\n";

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

static char *put_vary(char *out, const struct request *request)
{
    const bool on_origin = cors_depends_on_origin(request->thread->service->config->cors_origin);
    if (request->head.accepts_gzip)
        out = write_raw(out, "\r\nVary: Accept-Encoding");
    if (on_origin)
        out = write_raw(out, request->head.accepts_gzip ? ", Origin" : "\r\nVary: Origin");
    return out;
}

/* Who may read the reply in a browser, and for OPTIONS what may be sent (Fetch standard). */
static char *put_cors(char *out, const struct request *request)
{
    const struct text origin = request->cors_origin;
    out = write_raw(out, "\r\nAccess-Control-Allow-Origin: ");
    memcpy(out, origin.at, origin.length);
    out += origin.length;
    if (!request->match.is_options)
        return write_raw(out, "\r\nAccess-Control-Expose-Headers: Inference-Header-Content-Length");
    out = write_raw(out, "\r\nAccess-Control-Allow-Methods: ");
    out = write_raw(out, request->match.allow);
    /* "*" does not stand for Authorization. */
    return write_raw(out, "\r\nAccess-Control-Allow-Headers: Authorization, Content-Encoding, "
                          "Content-Type, Inference-Header-Content-Length, *"
                          "\r\nAccess-Control-Max-Age: 7200");
}

static char *put_head(char *out, const struct request *request, const struct head *head,
                      bool compressed, bool close)
{
    const struct reply *reply = &request->reply;
    if (reply->http_status == 200) {
        out = write_raw(out, "HTTP/1.1 200 OK\r\nDate: ");
    } else {
        out = write_raw(out, "HTTP/1.1 ");
        out = write_unsigned(out, (unsigned)reply->http_status);
        *out++ = ' ';
        out = write_raw(out, reason_of(reply->http_status));
        out = write_raw(out, "\r\nDate: ");
    }
    out = write_raw(out, service_date(request->thread));
    if (reply->http_status != 204) { /* RFC 9110 section 8.6 */
        out = write_raw(out, "\r\nContent-Type: ");
        out = write_raw(out, reply->content_type);
        out = write_raw(out, "\r\nContent-Length: ");
        out = write_unsigned(out, reply->body.length);
    }
    if (compressed)
        out = write_raw(out, "\r\nContent-Encoding: gzip");
    out = put_vary(out, request);
    if (reply->allow) {
        out = write_raw(out, "\r\nAllow: ");
        out = write_raw(out, reply->allow);
    }
    if (reply->http_status == 415 && request->head.coding == CODING_UNSUPPORTED)
        out = write_raw(out, "\r\nAccept-Encoding: gzip, deflate");
    if (request->cors_origin.at)
        out = put_cors(out, request);
    if (reply->retry_after)
        out = write_raw(out, "\r\nRetry-After: 1");
    if (reply->json_length) {
        out = write_raw(out, "\r\nInference-Header-Content-Length: ");
        out = write_unsigned(out, reply->json_length);
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
