/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/content_coding.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* zlib: gzip and nothing else */
    ZLIB_WINDOW_BITS = 15,
    RAW_WINDOW_BITS = -15,
    DEFLATE_LEVEL = 1, /* scores hardly compress further, and a core has better to do */
    DEFLATE_MEM_LEVEL = 8,
    DEFLATE_FACTOR = 8 /* of a deflate body, which does not say how long its content is */
};

/* A gzip member ends with the number of bytes that it holds (RFC 1952 section 2.3.1); a client that
 * lies there gains a place in the queue and nothing else. */
uint64_t content_bytes(struct text content, enum content_coding coding)
{
    if (coding == CODING_IDENTITY)
        return content.length;
    if (coding == CODING_DEFLATE)
        return DEFLATE_FACTOR * (uint64_t)content.length;
    uint32_t inflated = 0;
    if (content.length >= sizeof inflated)
        memcpy(&inflated, content.at + content.length - sizeof inflated, sizeof inflated);
    return inflated > content.length ? inflated : content.length;
}

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
