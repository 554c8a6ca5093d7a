/* SPDX-License-Identifier: Apache-2.0 */
#include "format/inflate.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

enum { ANY_HEADER = 32 + MAX_WBITS, PIECE_BYTES = 64 * 1024, PIECE_IN_BYTES = 1 << 30 };

/* Two bytes of which the first names the method and the window, and which 31 divides (RFC 1950). */
static bool is_zlib(const uint8_t *bytes, size_t size)
{
    return size > 2 && (bytes[0] & 0x0F) == 8 && bytes[0] >> 4 <= 7 &&
           (bytes[0] << 8 | bytes[1]) % 31 == 0;
}

const char *compression_name(const uint8_t *bytes, size_t size)
{
    static const struct {
        const char *name, *start;
        size_t n;
    } others[] = {
        {"gzip", "\x1F\x8B", 2},
        {"bz2", "BZh", 3},
        {"xz",
         "\xFD"
         "7zXZ",
         5},
        {"lzma", "\x5D\0\0", 3},
        {"lz4", "\x04\x22\x4D\x18", 4},
        {"zstd", "\x28\xB5\x2F\xFD", 4},
        {"an old joblib's zlib", "ZF", 2},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (size > others[i].n && memcmp(bytes, others[i].start, others[i].n) == 0)
            return others[i].name;
    return is_zlib(bytes, size) ? "zlib" : NULL;
}

/* One pass over the stream: into `out`, [most + 1], or to count if it is NULL. Returns the inflated
 * bytes; above `most`: at least so many; -1: the stream is damaged or does not fill the bytes. */
static long long run(const uint8_t *bytes, size_t size, uint8_t *out, size_t most)
{
    uint8_t piece[PIECE_BYTES];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes};
    size_t left = size, n = 0;
    if (inflateInit2(&stream, ANY_HEADER) != Z_OK)
        return -1;
    int status = Z_OK;
    while (status == Z_OK && n <= most) {
        if (stream.avail_in == 0) {
            stream.avail_in = (uInt)(left < PIECE_IN_BYTES ? left : PIECE_IN_BYTES);
            left -= stream.avail_in;
        }
        stream.next_out = out ? out + n : piece;
        const size_t room = out ? most + 1 - n : sizeof piece;
        stream.avail_out = (uInt)(room < PIECE_IN_BYTES ? room : PIECE_IN_BYTES);
        const uInt given = stream.avail_out;
        status = inflate(&stream, Z_NO_FLUSH);
        n += given - stream.avail_out;
        if (status == Z_BUF_ERROR && stream.avail_in == 0 && left > 0)
            status = Z_OK;
    }
    const bool is_whole = status == Z_STREAM_END && left == 0 && stream.avail_in == 0;
    inflateEnd(&stream);
    return is_whole || (status == Z_OK && n > most) ? (long long)n : -1;
}

int inflate_whole(struct arena *arena, const uint8_t *bytes, size_t size, const uint8_t **ret_bytes,
                  size_t *ret_size, struct format_error *error)
{
    const char *name = compression_name(bytes, size);
    const size_t most = INFLATE_MOST_BYTES + INFLATE_MOST_RATIO * size;
    if (strcmp(name, "zlib") != 0 && strcmp(name, "gzip") != 0)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "is compressed with %s, which is not read here; write the file "
                                "again: joblib.dump(object, file, compress=(\"zlib\", 3))",
                                name);
    const long long n = run(bytes, size, NULL, most);
    if (n < 0)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "is compressed with %s, and damaged, cut or followed by something "
                                "else",
                                name);
    if ((size_t)n > most)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "is compressed with %s to less than a %dth of its contents, as no "
                                "encoder is; write the file again without compression",
                                name, INFLATE_MOST_RATIO);
    uint8_t *out = arena_alloc(arena, (size_t)n + 1);
    if (out == NULL)
        return format_error_memory(error);
    if (run(bytes, size, out, (size_t)n) != n)
        return format_error_set(error, FORMAT_NO_OFFSET, "its contents changed while read");
    *ret_bytes = out;
    *ret_size = (size_t)n;
    return 0;
}
