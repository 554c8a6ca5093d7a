/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/routes.h"

#include <strings.h>

#include "serve/codec.h"
#include "serve/handlers.h"

enum { MAX_SEGMENTS = 7 };

/* GET stands for HEAD too. */
static const struct route_row table[] = {
    {ROUTE_ROOT, "GET", "/", 1, handle_root, NULL},
    {ROUTE_METRICS, "GET", "/metrics", 1, handle_metrics, NULL},
    {ROUTE_V1_MODELS, "GET", "/v1/models", 2, handle_models, NULL},
    {ROUTE_V1_MODEL, "GET", "/v1/models/{m}", 3, handle_model_ready, NULL},
    {ROUTE_V1_PREDICT, "POST", "/v1/models/{m}:predict", 3, NULL, &codec_v1},
    {ROUTE_V1_EXPLAIN, "POST", "/v1/models/{m}:explain", 3, handle_explain, NULL},
    {ROUTE_V2_SERVER, "GET", "/v2", 1, handle_server, NULL},
    {ROUTE_V2_LIVE, "GET", "/v2/health/live", 3, handle_live, NULL},
    {ROUTE_V2_READY, "GET", "/v2/health/ready", 3, handle_ready, NULL},
    {ROUTE_V2_MODELS, "GET", "/v2/models", 2, handle_models, NULL},
    {ROUTE_V2_MODEL, "GET", "/v2/models/{m}", 3, handle_metadata, NULL},
    {ROUTE_V2_MODEL_READY, "GET", "/v2/models/{m}/ready", 4, handle_model_ready, NULL},
    {ROUTE_V2_INFER, "POST", "/v2/models/{m}/infer", 4, NULL, &codec_v2},
    {ROUTE_V2_VERSION, "GET", "/v2/models/{m}/versions/{*}", 5, handle_version, NULL},
    {ROUTE_V2_VERSION, "GET", "/v2/models/{m}/versions/{*}/ready", 6, handle_version, NULL},
    {ROUTE_V2_VERSION, "POST", "/v2/models/{m}/versions/{*}/infer", 6, handle_version, NULL},
    {ROUTE_V2_LOAD, "POST", "/v2/repository/models/{m}/load", 5, handle_load, NULL},
    {ROUTE_V2_UNLOAD, "POST", "/v2/repository/models/{m}/unload", 5, handle_unload, NULL},
};

const char *const route_names[N_ROUTES] = {
    [ROUTE_NONE] = "none",
    [ROUTE_ROOT] = "root",
    [ROUTE_METRICS] = "metrics",
    [ROUTE_V1_MODELS] = "v1_models",
    [ROUTE_V1_MODEL] = "v1_model",
    [ROUTE_V1_PREDICT] = "v1_predict",
    [ROUTE_V1_EXPLAIN] = "v1_explain",
    [ROUTE_V2_SERVER] = "v2_server",
    [ROUTE_V2_LIVE] = "v2_live",
    [ROUTE_V2_READY] = "v2_ready",
    [ROUTE_V2_MODELS] = "v2_models",
    [ROUTE_V2_MODEL] = "v2_model",
    [ROUTE_V2_MODEL_READY] = "v2_model_ready",
    [ROUTE_V2_INFER] = "v2_infer",
    [ROUTE_V2_VERSION] = "v2_version",
    [ROUTE_V2_LOAD] = "v2_load",
    [ROUTE_V2_UNLOAD] = "v2_unload",
};

bool route_is_probe(enum route route)
{
    return route == ROUTE_ROOT || route == ROUTE_METRICS || route == ROUTE_V1_MODEL ||
           route == ROUTE_V2_LIVE || route == ROUTE_V2_READY || route == ROUTE_V2_MODEL_READY;
}

/* Decodes %XX. false: a bad escape, a NUL, bytes that are not UTF-8, or no memory. */
static bool decode(struct arena *arena, struct text raw, struct text *ret_text)
{
    *ret_text = raw;
    if (raw.length == 0)
        return true;
    if (memchr(raw.at, '%', raw.length)) {
        char *out = arena_alloc(arena, raw.length);
        if (out == NULL)
            return false;
        size_t n = 0;
        for (size_t i = 0; i < raw.length; i++) {
            if (raw.at[i] != '%') {
                out[n++] = raw.at[i];
                continue;
            }
            const bool whole = raw.length - i > 2;
            const int high = whole ? text_hex_digit(raw.at[i + 1]) : -1;
            const int low = whole ? text_hex_digit(raw.at[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0)
                return false;
            out[n++] = (char)(high << 4 | low);
            i += 2;
        }
        *ret_text = (struct text){out, n};
    }
    return text_utf8_valid_length(ret_text->at, ret_text->length) == ret_text->length;
}

/* The path of a target: without a query, and without the scheme and host of the absolute form. */
static struct text path_of(struct text target)
{
    const char *at = target.at, *end = at + target.length;
    const char *query = memchr(at, '?', target.length);
    if (query)
        end = query;
    const char *fragment = memchr(at, '#', (size_t)(end - at));
    if (fragment)
        end = fragment;
    const size_t length = (size_t)(end - at);
    const size_t scheme = length >= 7 && strncasecmp(at, "http://", 7) == 0    ? 7
                          : length >= 8 && strncasecmp(at, "https://", 8) == 0 ? 8
                                                                               : 0;
    if (scheme == 0) /* RFC 9112 section 3.2.2 */
        return (struct text){at, length};
    const char *slash = memchr(at + scheme, '/', length - scheme);
    return slash ? (struct text){slash, (size_t)(end - slash)} : text_of("/");
}

/* The path's segments, decoded, without the empty one behind a last slash; their number, or 0 where
 * it cannot be one of ours. */
static size_t split(struct arena *arena, struct text path, struct text segments[MAX_SEGMENTS])
{
    const char *at = path.at, *end = at + path.length;
    if (path.length == 0 || *at != '/')
        return 0;
    size_t n = 0;
    while (at < end) {
        const char *start = at + 1;
        const char *slash = memchr(start, '/', (size_t)(end - start));
        at = slash ? slash : end;
        if (n == MAX_SEGMENTS ||
            !decode(arena, (struct text){start, (size_t)(at - start)}, &segments[n++]))
            return 0;
    }
    return n > 1 && segments[n - 1].length == 0 && segments[n - 2].length > 0 ? n - 1 : n;
}

/* A segment against its pattern: a literal, or "{..}" and a literal end. */
static bool segment_matches(struct text pattern, struct text segment, struct text *ret_model)
{
    if (pattern.length == 0 || pattern.at[0] != '{')
        return text_equal(pattern, segment);
    const char *close = memchr(pattern.at, '}', pattern.length);
    const struct text end = {close + 1, (size_t)(pattern.at + pattern.length - close - 1)};
    if (segment.length <= end.length ||
        !text_equal((struct text){segment.at + segment.length - end.length, end.length}, end))
        return false;
    if (pattern.at[1] == 'm')
        *ret_model = (struct text){segment.at, segment.length - end.length};
    return true;
}

static bool path_matches(const char *pattern, const struct text *segments, size_t n,
                         struct text *ret_model)
{
    for (size_t i = 0; i < n; i++) {
        if (*pattern != '/')
            return false;
        size_t length = 0; /* short: a call would take longer */
        for (pattern++; pattern[length] != '/' && pattern[length] != '\0';)
            length++;
        if (!segment_matches((struct text){pattern, length}, segments[i], ret_model))
            return false;
        pattern += length;
    }
    return *pattern == '\0';
}

static const char *allow_of(bool get_exists, bool post_exists)
{
    if (get_exists)
        return post_exists ? "GET, HEAD, OPTIONS, POST" : "GET, HEAD, OPTIONS";
    return post_exists ? "OPTIONS, POST" : NULL;
}

struct route_match route_find(struct arena *arena, struct text method, struct text target)
{
    struct text segments[MAX_SEGMENTS];
    const size_t n = split(arena, path_of(target), segments);
    const bool post = text_is(method, "POST");
    const bool get = text_is(method, "GET") || text_is(method, "HEAD");
    const bool options = text_is(method, "OPTIONS");
    const bool all = options && text_is(target, "*"); /* RFC 9110 section 9.3.7 */
    bool get_exists = all, post_exists = all;
    struct route_match asked = {.route = ROUTE_NONE};
    for (size_t i = 0; n > 0 && i < sizeof table / sizeof table[0]; i++) {
        const bool takes_post = table[i].method[0] == 'P';
        struct route_match match = {.route = table[i].route, .row = &table[i]};
        if (table[i].n_segments != n || !path_matches(table[i].path, segments, n, &match.model))
            continue;
        if (takes_post ? post : get)
            return match;
        if (takes_post)
            post_exists = true;
        else
            get_exists = true;
        if (options)
            asked = match;
    }
    asked.allow = allow_of(get_exists, post_exists);
    asked.is_options = options && asked.allow;
    return asked;
}
