/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/reply_fields.h"

#include "protocol/json_writer.h"
#include "serve/cors.h"

/* `name` and `value` are literals, whose lengths the compiler knows. */
static inline void add(struct reply_fields *fields, const char *name, struct text value)
{
    fields->at[fields->n++] = (struct reply_field){{name, strlen(name)}, value};
}

static inline void add_literal(struct reply_fields *fields, const char *name, const char *value)
{
    add(fields, name, (struct text){value, strlen(value)});
}

static void add_number(struct reply_fields *fields, const char *name, size_t value, char *digits)
{
    add(fields, name, (struct text){digits, (size_t)(write_unsigned(digits, value) - digits)});
}

static void add_vary(struct reply_fields *fields, const struct request *request)
{
    const bool on_origin = cors_depends_on_origin(request->thread->service->config->cors_origin);
    if (request->head.accepts_gzip)
        add_literal(fields, "Vary", on_origin ? "Accept-Encoding, Origin" : "Accept-Encoding");
    else if (on_origin)
        add_literal(fields, "Vary", "Origin");
}

/* Who may read the reply in a browser, and for OPTIONS what may be sent (Fetch standard). */
static void add_cors(struct reply_fields *fields, const struct request *request)
{
    add(fields, "Access-Control-Allow-Origin", request->cors_origin);
    if (!request->match.is_options) {
        add_literal(fields, "Access-Control-Expose-Headers", "Inference-Header-Content-Length");
        return;
    }
    add(fields, "Access-Control-Allow-Methods", text_of(request->match.allow));
    /* "*" does not stand for Authorization. */
    add_literal(
        fields, "Access-Control-Allow-Headers",
        "Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, *");
    add_literal(fields, "Access-Control-Max-Age", "7200");
}

void reply_fields(struct reply_fields *fields, struct request *request, bool packed)
{
    const struct reply *reply = &request->reply;
    add(fields, "Date", text_of(service_date(request->thread)));
    if (reply->http_status != 204) { /* RFC 9110 section 8.6 */
        add(fields, "Content-Type", text_of(reply->content_type));
        add_number(fields, "Content-Length", reply->body.length, fields->digits[0]);
    }
    if (packed)
        add_literal(fields, "Content-Encoding", "gzip");
    add_vary(fields, request);
    if (reply->allow)
        add(fields, "Allow", text_of(reply->allow));
    if (reply->http_status == 415 && request->head.coding == CODING_UNSUPPORTED)
        add_literal(fields, "Accept-Encoding", "gzip, deflate");
    if (request->cors_origin.at)
        add_cors(fields, request);
    if (reply->retry_after)
        add_literal(fields, "Retry-After", "1");
    if (reply->json_length)
        add_number(fields, "Inference-Header-Content-Length", reply->json_length,
                   fields->digits[1]);
}
