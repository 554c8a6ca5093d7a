/* SPDX-License-Identifier: Apache-2.0 */
#include "data/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* zlib: gzip and nothing else */
    GZIP_FIRST_BYTE = 0x1F,
    GZIP_SECOND_BYTE = 0x8B,
    GZIP_MAGIC_BYTES = 2
};

/* The members of a gzip file. */
struct packed {
    z_stream stream;
    uint64_t n_members;
    uint64_t member_at; /* the byte of the file where the last one starts */
    bool is_inside;     /* its end has not come */
    unsigned char input[LOG_FILE_INPUT_BYTES];
};

struct log_file {
    const char *path;
    int file;
    uint64_t n_read;       /* bytes of the file */
    struct packed *packed; /* NULL: the file is read as it is */
    size_t n_ahead;        /* of the first bytes: read, but not given yet */
    unsigned char ahead[GZIP_MAGIC_BYTES];
    bool has_failed;
    struct train_error failure;
};

static struct packed *packed_create(void)
{
    struct packed *packed = calloc(1, sizeof *packed);
    if (packed && inflateInit2(&packed->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(packed);
        packed = NULL;
    }
    return packed;
}

uint64_t log_file_offset(const struct log_file *log)
{
    return log->n_read - log->n_ahead - (log->packed ? log->packed->stream.avail_in : 0);
}

void log_file_close(struct log_file *log)
{
    if (log == NULL)
        return;
    if (log->packed)
        inflateEnd(&log->packed->stream);
    free(log->packed);
    if (log->file >= 0)
        close(log->file);
    free(log);
}

static ssize_t give_ahead(struct log_file *log, void *at, size_t size)
{
    const size_t n = size < log->n_ahead ? size : log->n_ahead;
    memcpy(at, log->ahead, n);
    memmove(log->ahead, log->ahead + n, log->n_ahead - n);
    log->n_ahead -= n;
    return (ssize_t)n;
}

/* Bytes as they are in the file. */
static ssize_t read_raw(struct log_file *log, void *at, size_t size, struct train_error *error)
{
    if (log->n_ahead > 0)
        return give_ahead(log, at, size);
    ssize_t n;
    do
        n = read(log->file, at, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return train_error_set(error, "%s: %s", log->path, strerror(errno));
    log->n_read += (uint64_t)n;
    return n;
}

/* The file may be a pipe: the bytes that tell what is in it are kept. */
static int read_ahead(struct log_file *log, struct train_error *error)
{
    size_t n = 0;
    ssize_t got = 1;
    while (n < GZIP_MAGIC_BYTES && got > 0) {
        got = read_raw(log, log->ahead + n, GZIP_MAGIC_BYTES - n, error);
        n += got > 0 ? (size_t)got : 0;
    }
    log->n_ahead = n;
    return got < 0 ? -1 : 0;
}

/* Whether its first bytes, or its name, say that it is a gzip file. */
static bool is_packed(const struct log_file *log)
{
    const size_t length = strlen(log->path);
    return (log->n_ahead == GZIP_MAGIC_BYTES && log->ahead[0] == GZIP_FIRST_BYTE &&
            log->ahead[1] == GZIP_SECOND_BYTE) ||
           (length > 3 && strcmp(log->path + length - 3, ".gz") == 0);
}

int log_file_open(struct log_file **ret_log, const char *path, struct train_error *error)
{
    struct log_file *log = calloc(1, sizeof *log);
    if (log == NULL)
        return train_error_memory(error);
    *log = (struct log_file){.path = path, .file = open(path, O_RDONLY | O_CLOEXEC)};
    int status = 0;
    if (log->file < 0)
        status = train_error_set(error, "%s: %s", path, strerror(errno));
    else
        status = read_ahead(log, error);
    if (status == 0 && is_packed(log) && (log->packed = packed_create()) == NULL)
        status = train_error_memory(error);
    if (status != 0) {
        log_file_close(log);
        return -1;
    }
    posix_fadvise(log->file, 0, 0, POSIX_FADV_SEQUENTIAL);
    *ret_log = log;
    return 0;
}

/* ---- members ---- */

static int not_gzip(const struct log_file *log, uint64_t at, struct train_error *error)
{
    if (at == 0)
        return train_error_set(error, "%s: not a gzip file, which its name says", log->path);
    return train_error_set(
        error,
        "%s: what follows the gzip data at byte %llu is not gzip: pack the whole "
        "file anew",
        log->path, (unsigned long long)at);
}

/* The member that inflate() refuses. */
static int damaged(const struct log_file *log, struct train_error *error)
{
    const struct packed *packed = log->packed;
    if (packed->stream.total_in <= GZIP_MAGIC_BYTES)
        return not_gzip(log, packed->member_at, error);
    return train_error_set(error,
                           "%s: cannot be unpacked: the gzip member at byte %llu is damaged: %s at "
                           "byte %llu",
                           log->path, (unsigned long long)packed->member_at,
                           packed->stream.msg ? packed->stream.msg : "unknown data",
                           (unsigned long long)log_file_offset(log));
}

/* 1: input is there; 0: the file is at its end. */
static int fill_input(struct log_file *log, struct train_error *error)
{
    struct packed *packed = log->packed;
    if (packed->stream.avail_in > 0)
        return 1;
    const ssize_t n = read_raw(log, packed->input, LOG_FILE_INPUT_BYTES, error);
    if (n < 0)
        return -1;
    packed->stream.next_in = packed->input;
    packed->stream.avail_in = (unsigned)n;
    return n > 0;
}

/* 1: a member starts at the input; 0: the file is at its end. */
static int find_member(struct log_file *log, struct train_error *error)
{
    struct packed *packed = log->packed;
    z_stream *stream = &packed->stream;
    int status;
    while ((status = fill_input(log, error)) > 0 && *stream->next_in == 0 &&
           packed->n_members > 0) {
        stream->next_in++;
        stream->avail_in--;
    }
    if (status <= 0)
        return status;
    packed->member_at = log_file_offset(log);
    if (*stream->next_in != GZIP_FIRST_BYTE)
        return not_gzip(log, packed->member_at, error);
    inflateReset(stream);
    packed->n_members++;
    packed->is_inside = true;
    return 1;
}

static int cut(const struct log_file *log, struct train_error *error)
{
    return train_error_set(
        error, "%s: cannot be unpacked: the end of the gzip member at byte %llu is missing",
        log->path, (unsigned long long)log->packed->member_at);
}

/* One step, which may put bytes and fail behind them. 1: there may be more; 0: the end; -1. */
static int unpack(struct log_file *log, struct train_error *error)
{
    struct packed *packed = log->packed;
    const int status = packed->is_inside ? fill_input(log, error) : find_member(log, error);
    if (status == 0 && packed->is_inside)
        return cut(log, error);
    if (status <= 0)
        return status;
    const int code = inflate(&packed->stream, Z_NO_FLUSH);
    packed->is_inside = code != Z_STREAM_END;
    if (code == Z_MEM_ERROR)
        return train_error_memory(error);
    return code == Z_OK || code == Z_STREAM_END ? 1 : damaged(log, error);
}

static ssize_t read_packed(struct log_file *log, char *at, size_t size)
{
    const size_t most = (size_t)1 << 30; /* zlib counts in unsigned */
    z_stream *stream = &log->packed->stream;
    const unsigned room = (unsigned)(size < most ? size : most);
    int status = 1;
    stream->next_out = (unsigned char *)at;
    stream->avail_out = room;
    while (status > 0 && stream->avail_out == room)
        status = unpack(log, &log->failure);
    log->has_failed = status < 0;
    return stream->avail_out < room ? (ssize_t)(room - stream->avail_out) : status;
}

ssize_t log_file_read(struct log_file *log, char *at, size_t size, struct train_error *error)
{
    if (!log->has_failed) {
        const ssize_t n =
            log->packed ? read_packed(log, at, size) : read_raw(log, at, size, &log->failure);
        if (n >= 0)
            return n;
        log->has_failed = true;
    }
    *error = log->failure;
    return -1;
}

int log_file_check_member(struct log_file *log, struct train_error *error)
{
    struct packed *packed = log->packed;
    if (packed == NULL)
        return 0;
    const uint64_t member = packed->n_members;
    char scrap[1 << 14];
    size_t left = LOG_FILE_CHECK_BYTES;
    while (left > 0 && packed->is_inside && packed->n_members == member && !log->has_failed) {
        const ssize_t n = log_file_read(log, scrap, sizeof scrap, error);
        left -= n > 0 ? (size_t)n : 0;
    }
    if (!log->has_failed)
        return 0;
    *error = log->failure;
    return -1;
}
