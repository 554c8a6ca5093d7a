/* SPDX-License-Identifier: Apache-2.0 */
#include "format/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

int file_read(const char *path, struct file_bytes *ret_file, struct format_error *error)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return format_error_set(error, FORMAT_NO_OFFSET, "cannot be opened: %s", strerror(errno));
    struct stat info;
    struct file_bytes file = {NULL, 0};
    int status = -1;
    if (fstat(fd, &info) != 0) {
        format_error_set(error, FORMAT_NO_OFFSET, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        format_error_set(error, FORMAT_NO_OFFSET, "is not a regular file");
    } else if (info.st_size == 0) {
        format_error_set(error, FORMAT_NO_OFFSET, "is empty");
    } else {
        file.size = (size_t)info.st_size;
        file.at = memory_alloc(file.size);
        if (file.at == NULL)
            format_error_memory(error);
        else
            status = read_all(fd, &file, error);
    }
    close(fd);
    if (status != 0)
        file_free(&file);
    else
        *ret_file = file;
    return status;
}

void file_free(struct file_bytes *file)
{
    memory_free(file->at, file->size);
    *file = (struct file_bytes){NULL, 0};
}
