/* SPDX-License-Identifier: Apache-2.0 */
#include "format/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

static int read_all(int fd, struct file_bytes *file, struct format_error *error)
{
    size_t done = 0;
    while (done < file->size) {
        const ssize_t n = read(fd, file->at + done, file->size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return format_error_set(error, FORMAT_NO_OFFSET, "cannot be read: %s", strerror(errno));
        if (n == 0)
            return format_error_set(error, (long long)done,
                                    "the file became shorter while it was read");
        done += (size_t)n;
    }
    return 0;
}

/* The bytes in memory of our own. A larger file is refused before any of it is read: the kernel may
 * promise more memory than there is, and end the process as it is filled. */
static int copy_bytes(int fd, struct file_bytes *file, struct format_error *error)
{
    const size_t most = memory_limit_bytes();
    if (file->size > most)
        return format_error_set(error, FORMAT_NO_OFFSET,
                                "has %zu bytes, and the memory here is %zu: too large to be read",
                                file->size, most);
    file->at = memory_alloc(file->size);
    return file->at ? read_all(fd, file, error) : format_error_memory(error);
}

/* The bytes where they lie; copied where the file system has no maps. */
static int map_bytes(int fd, struct file_bytes *file, struct format_error *error)
{
    void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return copy_bytes(fd, file, error);
    file->at = map;
    file->is_mapped = true;
    return 0;
}

/* Opens the file and takes its bytes in one of these ways. */
static int take(const char *path,
                int (*take_bytes)(int, struct file_bytes *, struct format_error *),
                struct file_bytes *ret_file, struct format_error *error)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return format_error_set(error, FORMAT_NO_OFFSET, "cannot be opened: %s", strerror(errno));
    struct stat info;
    struct file_bytes file = {0};
    int status = -1;
    if (fstat(fd, &info) != 0) {
        format_error_set(error, FORMAT_NO_OFFSET, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        format_error_set(error, FORMAT_NO_OFFSET,
                         S_ISDIR(info.st_mode) ? "is a folder; name the file in it"
                                               : "is not a regular file");
    } else if (info.st_size == 0) {
        format_error_set(error, FORMAT_NO_OFFSET, "is empty");
    } else {
        file.size = (size_t)info.st_size;
        status = take_bytes(fd, &file, error);
    }
    close(fd);
    if (status != 0)
        file_free(&file);
    else
        *ret_file = file;
    return status;
}

int file_read(const char *path, struct file_bytes *ret_file, struct format_error *error)
{
    return take(path, copy_bytes, ret_file, error);
}

int file_map(const char *path, struct file_bytes *ret_file, struct format_error *error)
{
    return take(path, map_bytes, ret_file, error);
}

int file_append(struct file_bytes *file, const void *bytes, size_t size)
{
    const size_t longer_size = file->size + size;
    uint8_t *longer = memory_alloc(longer_size);
    if (longer == NULL)
        return -1;
    if (file->size)
        memcpy(longer, file->at, file->size);
    memcpy(longer + file->size, bytes, size);
    file_free(file);
    *file = (struct file_bytes){.at = longer, .size = longer_size};
    return 0;
}

void file_free(struct file_bytes *file)
{
    if (file->is_mapped)
        munmap(file->at, file->size);
    else
        memory_free(file->at, file->size);
    *file = (struct file_bytes){0};
}
