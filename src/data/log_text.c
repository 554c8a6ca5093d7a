/* SPDX-License-Identifier: Apache-2.0 */
#include "data/log_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/log_file.h"
#include "text.h"

enum {
    RAW_BYTES = 1 << 14,             /* of UTF-16, at once */
    READY_BYTES = RAW_BYTES / 2 * 3, /* a unit of two bytes becomes three at most */
    HEAD_BYTES = 264                 /* the signs of the table below lie in them */
};

enum encoding { ENCODING_UTF8, ENCODING_UTF16_LE, ENCODING_UTF16_BE };

struct log_text {
    const char *path;
    struct log_file *file;
    enum encoding encoding;
    size_t n_raw; /* bytes of UTF-16 that are not converted yet */
    unsigned char raw[RAW_BYTES];
    size_t ready_at, ready_end; /* text that is not given yet */
    char ready[READY_BYTES];
};

/* ---- what a file is ---- */

#define SIGN(at, bytes) at, sizeof bytes - 1, bytes

static const struct sign {
    size_t at, length;
    const char *bytes;
    const char *meaning;
} signs[] = {
    {SIGN(0, "\x28\xB5\x2F\xFD"), "packed with zstd: unpack it first (zstd -d)"},
    {SIGN(4, "1AY&SY"), "packed with bzip2: unpack it first (bzip2 -d)"},
    {SIGN(0, "\xFD"
             "7zXZ\0"),
     "packed with xz: unpack it first (xz -d)"},
    {SIGN(0, "\x04\x22\x4D\x18"), "packed with lz4: unpack it first (lz4 -d)"},
    {SIGN(0, "\x1F\x8B"), "packed with gzip twice: unpack it once (gzip -d)"},
    {SIGN(0, "7z\xBC\xAF\x27\x1C"), "a 7-Zip archive: unpack it first (7z x)"},
    {SIGN(0, "PK\x03\x04"), "a zip archive, or an Excel workbook: unpack it first (unzip), or save "
                            "the sheet as CSV UTF-8"},
    {SIGN(0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), "an Excel workbook: save the sheet as CSV UTF-8"},
    {SIGN(257, "ustar"), "a tar archive: unpack it first (tar -x)"},
    {SIGN(0, "PAR1\x15"), "a Parquet file: write it as CSV first: "
                          "pandas.read_parquet(..).to_csv(.., index=False)"},
    {SIGN(0, "ARROW1\0\0"), "an Arrow file: write it as CSV first: "
                            "pandas.read_feather(..).to_csv(.., index=False)"},
    {SIGN(0, "Obj\x01"), "an Avro file: write it as CSV first"},
    {SIGN(0, "\x89HDF\r\n\x1A\n"), "an HDF5 file: write it as CSV first: "
                                   "pandas.read_hdf(..).to_csv(.., index=False)"},
    {SIGN(0, "\xFF\xFE\0\0"), "UTF-32: write it as UTF-8 first (iconv -f UTF-32 -t UTF-8)"},
    {SIGN(0, "\0\0\xFE\xFF"), "UTF-32: write it as UTF-8 first (iconv -f UTF-32 -t UTF-8)"},
};

static bool has_bytes(const struct log_text *text, size_t at, size_t length, const char *bytes)
{
    return text->n_raw >= at + length && memcmp(text->raw + at, bytes, length) == 0;
}

/* UTF-16 without a mark: two characters of ASCII, with their zeros behind (0) or in front (1). */
static bool has_zeros(const struct log_text *text, unsigned in_front)
{
    const unsigned char *raw = text->raw;
    return text->n_raw >= 4 && !raw[1 - in_front] && !raw[3 - in_front] && raw[in_front] &&
           raw[2 + in_front];
}

/* Returns the bytes of the mark. */
static size_t find_encoding(struct log_text *text)
{
    if (has_bytes(text, SIGN(0, "\xEF\xBB\xBF")))
        return 3;
    const bool is_le = has_bytes(text, SIGN(0, "\xFF\xFE")),
               is_be = has_bytes(text, SIGN(0, "\xFE\xFF"));
    if (is_le || has_zeros(text, 0))
        text->encoding = ENCODING_UTF16_LE;
    else if (is_be || has_zeros(text, 1))
        text->encoding = ENCODING_UTF16_BE;
    return is_le || is_be ? 2 : 0;
}

/* A failure that comes this early is told when the bytes before it have been given. */
static void read_head(struct log_text *text)
{
    struct train_error later;
    ssize_t n = 1;
    while (text->n_raw < HEAD_BYTES && n > 0) {
        n = log_file_read(text->file, (char *)text->raw + text->n_raw, HEAD_BYTES - text->n_raw,
                          &later);
        text->n_raw += n > 0 ? (size_t)n : 0;
    }
}

static void take_raw(struct log_text *text, size_t n)
{
    memmove(text->raw, text->raw + n, text->n_raw - n);
    text->n_raw -= n;
}

static int find_form(struct log_text *text, struct train_error *error)
{
    read_head(text);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (has_bytes(text, signs[i].at, signs[i].length, signs[i].bytes))
            return train_error_set(error, "%s: %s", text->path, signs[i].meaning);
    take_raw(text, find_encoding(text));
    if (text->encoding == ENCODING_UTF8) {
        memcpy(text->ready, text->raw, text->n_raw);
        text->ready_end = text->n_raw;
    }
    return 0;
}

int log_text_open(struct log_text **ret_text, const char *path, struct train_error *error)
{
    struct log_text *text = calloc(1, sizeof *text);
    if (text == NULL)
        return train_error_memory(error);
    text->path = path;
    if (log_file_open(&text->file, path, error) != 0 || find_form(text, error) != 0) {
        log_text_close(text);
        return -1;
    }
    *ret_text = text;
    return 0;
}

void log_text_close(struct log_text *text)
{
    if (text == NULL)
        return;
    log_file_close(text->file);
    free(text);
}

/* ---- UTF-16 ---- */

static uint32_t unit_at(const struct log_text *text, size_t i)
{
    const unsigned first = text->encoding == ENCODING_UTF16_BE; /* where the low byte is */
    return text->raw[i + first] | (uint32_t)text->raw[i + 1 - first] << 8;
}

static bool is_high(uint32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* All whole characters of the raw bytes. */
static void convert(struct log_text *text, bool is_at_end)
{
    char *out = text->ready;
    size_t i = 0;
    while (text->n_raw - i >= 2) {
        uint32_t code_point = unit_at(text, i);
        const bool has_next = text->n_raw - i >= 4;
        if (is_high(code_point) && !has_next && !is_at_end)
            break;
        i += 2;
        if (is_high(code_point) && has_next && is_low(unit_at(text, i))) {
            code_point = 0x10000 + ((code_point - 0xD800) << 10) + (unit_at(text, i) - 0xDC00);
            i += 2;
        }
        out = text_put_utf8(out, code_point);
    }
    text->ready_at = 0;
    text->ready_end = (size_t)(out - text->ready);
    take_raw(text, i);
}

/* Until some text is ready, or the file is at its end. */
static int read_utf16(struct log_text *text, struct train_error *error)
{
    ssize_t n = 1;
    while (text->ready_at == text->ready_end && n > 0) {
        n = log_file_read(text->file, (char *)text->raw + text->n_raw, RAW_BYTES - text->n_raw,
                          error);
        text->n_raw += n > 0 ? (size_t)n : 0;
        convert(text, n == 0);
    }
    if (text->ready_at < text->ready_end)
        return 0;
    if (n == 0 && text->n_raw > 0)
        return train_error_set(error, "%s: cut: UTF-16 ends within a character", text->path);
    return n < 0 ? -1 : 0;
}

/* ---- */

ssize_t log_text_read(struct log_text *text, char *at, size_t size, struct train_error *error)
{
    if (text->encoding != ENCODING_UTF8 && read_utf16(text, error) != 0)
        return -1;
    const size_t n_ready = text->ready_end - text->ready_at;
    const size_t n = size < n_ready ? size : n_ready;
    if (n == 0 && text->encoding == ENCODING_UTF8)
        return log_file_read(text->file, at, size, error);
    memcpy(at, text->ready + text->ready_at, n);
    text->ready_at += n;
    return (ssize_t)n;
}

int log_text_check_member(struct log_text *text, struct train_error *error)
{
    return log_file_check_member(text->file, error);
}

uint64_t log_text_offset(const struct log_text *text)
{
    return log_file_offset(text->file);
}
