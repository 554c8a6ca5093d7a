/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    FIRST_BYTES = 4096,
    GZIP_WINDOW_BITS = 15 + 16, /* zlib: gzip and nothing else */
    ZLIB_WINDOW_BITS = 15,
    RAW_WINDOW_BITS = -15,
    DEFLATE_LEVEL = 1, /* scores hardly compress further, and a core has better to do */
    DEFLATE_MEM_LEVEL = 8
};

bool body_budget_is_tight(const struct body_budget *budget)
{
    const size_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    return used > (budget->total_max_bytes - budget->reserve_bytes) / 4 * 3;
}

/* Takes `n` bytes of the budget for a body that then has `size`, or says that there are not so
 * many. */
static bool budget_take(struct body_budget *budget, size_t n, size_t size)
{
    const size_t before = atomic_fetch_add_explicit(&budget->used_bytes, n, memory_order_relaxed);
    const size_t reserved = size > BODY_SMALL_BYTES ? budget->reserve_bytes : 0;
    if (before + n <= budget->total_max_bytes - reserved)
        return true;
    atomic_fetch_sub_explicit(&budget->used_bytes, n, memory_order_relaxed);
    return false;
}

static void budget_give(struct body_budget *budget, size_t n)
{
    atomic_fetch_sub_explicit(&budget->used_bytes, n, memory_order_relaxed);
}

static bool reserve(struct body *body, struct body_budget *budget, size_t length)
{
    if (length <= body->capacity)
        return true;
    size_t capacity = body->capacity ? 2 * body->capacity : FIRST_BYTES;
    while (capacity < length)
        capacity *= 2;
    const size_t most = body->expected >= length ? body->expected : budget->body_max_bytes;
    if (capacity > most)
        capacity = most;
    const size_t more = capacity - body->capacity;
    if (!budget_take(budget, more, capacity))
        return false;
    char *grown = realloc(body->at, capacity);
    if (grown == NULL) {
        budget_give(budget, more);
        return false;
    }
    body->at = grown;
    body->capacity = capacity;
    return true;
}

void body_append(struct body *body, struct body_budget *budget, const char *data, size_t n)
{
    body->n_received += n;
    if (body->state != BODY_WHOLE)
        return;
    if (body->n_received > budget->body_max_bytes)
        body->state = BODY_TOO_LARGE;
    else if (!body->discard && !reserve(body, budget, body->length + n))
        body->state = BODY_OVER_BUDGET;
    if (body->state != BODY_WHOLE || body->discard || n == 0)
        return;
    memcpy(body->at + body->length, data, n);
    body->length += n;
}

bool body_make_room(struct body *body, struct body_budget *budget, size_t n)
{
    if (!budget_take(budget, n, n))
        return false;
    body->at = malloc(n);
    body->capacity = body->at ? n : 0; /* what it has is given back once more when it ends */
    if (body->at == NULL)
        budget_give(budget, n);
    return body->at != NULL;
}

void body_reset(struct body *body, struct body_budget *budget, size_t keep_bytes)
{
    struct body kept = {.at = body->at, .capacity = body->capacity};
    /* What is kept counts: kept by many it would leave no room for those to come. */
    const size_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    if (body->capacity > keep_bytes || used > budget->total_max_bytes / 4) {
        free(body->at);
        budget_give(budget, body->capacity);
        kept = (struct body){0};
    }
    *body = kept;
}

int body_error(enum body_state state, const struct body_budget *budget, struct request_error *error)
{
    if (state == BODY_TOO_LARGE)
        return request_error_set(error, 413, "Request body is larger than %zu bytes.",
                                 budget->body_max_bytes);
    return request_error_set(error, 503, "Too many request bodies at once; try again.");
}

/* ---- gzip ---- */

struct inflater {
    z_stream stream;
};

struct deflater {
    z_stream stream;
};

struct inflater *inflater_create(void)
{
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (inflater && inflateInit2(&inflater->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(inflater);
        inflater = NULL;
    }
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (inflater)
        inflateEnd(&inflater->stream);
    free(inflater);
}

/* RFC 1950 section 2.2. A stream of RFC 1951 can begin so only if its first block is stored, with
 * bits set that are padding: no packer writes that. */
static bool has_zlib_header(struct text packed)
{
    const unsigned char *at = (const unsigned char *)packed.at;
    return packed.length >= 2 && (at[0] & 0x0F) == Z_DEFLATED && at[0] >> 4 <= 7 &&
           (at[0] << 8 | at[1]) % 31 == 0;
}

/* What zlib says of a stream that ended with `status`. */
static int inflate_error(const z_stream *stream, int status, enum content_coding coding,
                         struct text packed, struct request_error *error)
{
    const char *reason = status == Z_STREAM_END  ? "more follows its end"
                         : status == Z_NEED_DICT ? "it needs a dictionary"
                         : stream->msg           ? stream->msg
                                                 : "its end is missing";
    return request_error_set(
        error, 400, "The request body is not a valid %s body: %s (behind byte %zu).",
        coding == CODING_GZIP ? "gzip" : "deflate", reason, packed.length - stream->avail_in);
}

int body_inflate(struct text packed, enum content_coding coding, struct body *inflated,
                 struct body_budget *budget, struct inflater *inflater, struct request_error *error)
{
    z_stream *stream = &inflater->stream;
    char chunk[16 * 1024];
    inflateReset2(stream, coding == CODING_GZIP     ? GZIP_WINDOW_BITS
                          : has_zlib_header(packed) ? ZLIB_WINDOW_BITS
                                                    : RAW_WINDOW_BITS);
    stream->next_in = (Bytef *)packed.at;
    stream->avail_in = (uInt)packed.length;
    int status = Z_OK;
    while (inflated->state == BODY_WHOLE) {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = sizeof chunk;
        status = inflate(stream, Z_NO_FLUSH);
        body_append(inflated, budget, chunk, sizeof chunk - stream->avail_out);
        if (status == Z_STREAM_END) {
            if (stream->avail_in == 0 || coding != CODING_GZIP)
                break;
            inflateReset(stream); /* another member */
        } else if (status != Z_OK) {
            break;
        }
    }
    if (inflated->state != BODY_WHOLE)
        return body_error(inflated->state, budget, error);
    if (status == Z_MEM_ERROR)
        return request_error_no_memory_now(error);
    if (status != Z_STREAM_END || stream->avail_in > 0)
        return inflate_error(stream, status, coding, packed, error);
    return 0;
}

struct deflater *deflater_create(void)
{
    struct deflater *deflater = calloc(1, sizeof *deflater);
    if (deflater && deflateInit2(&deflater->stream, DEFLATE_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS,
                                 DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(deflater);
        deflater = NULL;
    }
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (deflater)
        deflateEnd(&deflater->stream);
    free(deflater);
}

struct text deflater_run(struct deflater *deflater, struct arena *arena, struct text text)
{
    z_stream *stream = &deflater->stream;
    const struct text none = {NULL, 0};
    if (text.length > UINT32_MAX / 2)
        return none;
    const size_t most = deflateBound(stream, (uLong)text.length);
    char *out = arena_alloc(arena, most);
    if (out == NULL || deflateReset(stream) != Z_OK)
        return none;
    stream->next_in = (Bytef *)text.at;
    stream->avail_in = (uInt)text.length;
    stream->next_out = (Bytef *)out;
    stream->avail_out = (uInt)most;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return none;
    return (struct text){out, most - stream->avail_out};
}
