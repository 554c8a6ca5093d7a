/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "http/cors.h"
#include "log.h"
#include "protocol/json_writer.h"

enum {
    HEAD_MOST_BYTES = 1536,        /* more than all the fields below take */
    JOINED_MAX_BYTES = 4096,       /* a body up to this is sent in one piece with its head */
    COMPRESSED_LEAST_BYTES = 16384 /* below this it does not pay */
};

static const char no_memory_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 52\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n"
    "{\"error\":\"The server is out of memory; try again.\"}\n";

/* ---- what is refused, for the log ---- */

/* A 5xx is for whoever runs the server, anything else for whoever looks into a client's trouble. */
static void log_refusal(const struct exchange *exchange, int http_status, const char *message)
{
    static struct log_limit failures; /* a client can cause a 5xx at will */
    static const struct log_rate rate = {.interval_ns = UINT64_C(1000000000), .most = 10};
    const char *route = route_names[exchange->match.route];
    const struct text id = head_request_id(&exchange->head);
    uint64_t n_held_back;
    if (http_status < 500)
        log_request(LOG_LEVEL_DEBUG, id, "%s %d: %s", route, http_status, message);
    else if (!log_limit_allows(&failures, clock_ns(), rate, 1, &n_held_back))
        return;
    else if (n_held_back == 0)
        log_request(LOG_LEVEL_WARNING, id, "%s %d: %s", route, http_status, message);
    else
        log_request(LOG_LEVEL_WARNING, id, "%s %d: %s (%llu more since the last such line)", route,
                    http_status, message, (unsigned long long)n_held_back);
}

/* ---- what it says ---- */

void reply_text(struct exchange *exchange, int http_status, struct text body)
{
    exchange->reply = (struct reply){
        .http_status = http_status, .body = body, .content_type = "application/json"};
}

void reply_no_memory(struct exchange *exchange)
{
    exchange->reply = (struct reply){.http_status = 503};
}

void reply_error(struct exchange *exchange, const struct request_error *error)
{
    char *body = arena_alloc(&exchange->arena, json_string_max(strlen(error->message)) + 16);
    /* Whatever is wrong was found without the memory that it needed: it may not be so. */
    if (body == NULL || exchange->arena.starved) {
        reply_no_memory(exchange);
        return;
    }
    reply_text(exchange, error->http_status,
               (struct text){body, write_json_error(body, error->message)});
    exchange->reply.retry_after = error->http_status == 503;
    log_refusal(exchange, error->http_status, error->message);
}

void reply_failure(struct exchange *exchange, int http_status, const char *format, ...)
{
    struct request_error error;
    va_list arguments;
    va_start(arguments, format);
    request_error_set_list(&error, http_status, format, arguments);
    va_end(arguments);
    reply_error(exchange, &error);
}

void reply_no_model(struct exchange *exchange)
{
    reply_failure(exchange, 404, "Model with name %.*s does not exist.",
                  TEXT_SHOWN(exchange->match.model));
}

/* ---- how it is sent ---- */

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

/* IMF-fixdate, RFC 9110 section 5.6.7: made anew once a second. */
static const char *date_of(struct worker *worker)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != worker->date_s) {
        struct tm t;
        gmtime_r(&now.tv_sec, &t);
        snprintf(worker->date, sizeof worker->date, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                 days[t.tm_wday], t.tm_mday % 100, months[t.tm_mon], (t.tm_year + 1900) % 10000,
                 t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100);
        worker->date_s = now.tv_sec;
    }
    return worker->date;
}

/* The body as gzip where the client takes it and it pays; true: it is. */
static bool compress(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct reply *reply = &exchange->reply;
    if (!exchange->head.accepts_gzip || reply->body.length < COMPRESSED_LEAST_BYTES ||
        reply->free_body)
        return false;
    if (worker->deflater == NULL)
        worker->deflater = deflater_create();
    if (worker->deflater == NULL)
        return false;
    const struct text packed = deflater_run(worker->deflater, &exchange->arena, reply->body);
    if (packed.at == NULL || packed.length >= reply->body.length)
        return false;
    reply->body = packed;
    return true;
}

static char *put_vary(char *out, const struct exchange *exchange)
{
    const bool on_origin = cors_depends_on_origin(exchange->worker->server->config->cors_origin);
    if (exchange->head.accepts_gzip)
        out = write_raw(out, "\r\nVary: Accept-Encoding");
    if (on_origin)
        out = write_raw(out, exchange->head.accepts_gzip ? ", Origin" : "\r\nVary: Origin");
    return out;
}

/* Who may read the reply in a browser, and for OPTIONS what may be sent (Fetch standard). */
static char *put_cors(char *out, const struct exchange *exchange)
{
    const struct text origin = exchange->cors_origin;
    out = write_raw(out, "\r\nAccess-Control-Allow-Origin: ");
    memcpy(out, origin.at, origin.length);
    out += origin.length;
    if (!exchange->match.is_options)
        return write_raw(out, "\r\nAccess-Control-Expose-Headers: Inference-Header-Content-Length");
    out = write_raw(out, "\r\nAccess-Control-Allow-Methods: ");
    out = write_raw(out, exchange->match.allow);
    /* "*" does not stand for Authorization. */
    return write_raw(out, "\r\nAccess-Control-Allow-Headers: Authorization, Content-Encoding, "
                          "Content-Type, Inference-Header-Content-Length, *"
                          "\r\nAccess-Control-Max-Age: 7200");
}

static char *put_head(char *out, struct exchange *exchange, bool compressed, bool close)
{
    const struct reply *reply = &exchange->reply;
    if (reply->http_status == 200) {
        out = write_raw(out, "HTTP/1.1 200 OK\r\nDate: ");
    } else {
        out = write_raw(out, "HTTP/1.1 ");
        out = write_unsigned(out, (unsigned)reply->http_status);
        *out++ = ' ';
        out = write_raw(out, reason_of(reply->http_status));
        out = write_raw(out, "\r\nDate: ");
    }
    out = write_raw(out, date_of(exchange->worker));
    if (reply->http_status != 204) { /* RFC 9110 section 8.6 */
        out = write_raw(out, "\r\nContent-Type: ");
        out = write_raw(out, reply->content_type);
        out = write_raw(out, "\r\nContent-Length: ");
        out = write_unsigned(out, reply->body.length);
    }
    if (compressed)
        out = write_raw(out, "\r\nContent-Encoding: gzip");
    out = put_vary(out, exchange);
    if (reply->allow) {
        out = write_raw(out, "\r\nAllow: ");
        out = write_raw(out, reply->allow);
    }
    if (reply->http_status == 415 && exchange->head.coding == CODING_UNSUPPORTED)
        out = write_raw(out, "\r\nAccept-Encoding: gzip, deflate");
    if (exchange->cors_origin.at)
        out = put_cors(out, exchange);
    if (reply->retry_after)
        out = write_raw(out, "\r\nRetry-After: 1");
    if (reply->json_length) {
        out = write_raw(out, "\r\nInference-Header-Content-Length: ");
        out = write_unsigned(out, reply->json_length);
    }
    if (close)
        out = write_raw(out, "\r\nConnection: close");
    else if (exchange->head.is_1_0)
        out = write_raw(out, "\r\nConnection: keep-alive");
    return write_raw(out, "\r\n\r\n");
}

bool reply_lay_out(struct exchange *exchange, bool close)
{
    struct reply *reply = &exchange->reply;
    const bool compressed = reply->content_type && compress(exchange);
    char *head = reply->content_type
                     ? arena_alloc(&exchange->arena, HEAD_MOST_BYTES + JOINED_MAX_BYTES)
                     : NULL;
    exchange->out[1] = (struct text){"", 0};
    if (head == NULL) {
        reply->http_status = 503;
        log_refusal(exchange, 503, "The server is out of memory; try again.");
        exchange->out[0] = (struct text){no_memory_reply, sizeof no_memory_reply - 1};
        return false;
    }
    char *end = put_head(head, exchange, compressed, close);
    const bool has_body = !exchange->head.is_head && reply->http_status != 204;
    if (has_body && reply->body.length <= JOINED_MAX_BYTES) {
        memcpy(end, reply->body.at, reply->body.length);
        end += reply->body.length;
    } else if (has_body) {
        exchange->out[1] = reply->body;
    }
    exchange->out[0] = (struct text){head, (size_t)(end - head)};
    return true;
}
