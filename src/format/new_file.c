/* SPDX-License-Identifier: Apache-2.0 */
#include "format/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct format_error *error)
{
    return format_error_set(error, FORMAT_NO_OFFSET, "cannot be written: %s", strerror(errno));
}

/* mkostemp() gives the owner alone the file. */
static bool give_rights(int fd)
{
    const mode_t mask = umask(0);
    umask(mask);
    return fchmod(fd, 0666 & ~mask) == 0;
}

/* rename() would put the file in the place of a device or a pipe, and root may even replace
 * /dev/null. */
static int check_place(const char *path, enum new_file_links links, struct format_error *error)
{
    struct stat info;
    const int status = links == NEW_FILE_MINDS_LINKS ? stat(path, &info) : lstat(path, &info);
    if (status != 0 || S_ISREG(info.st_mode) || S_ISLNK(info.st_mode))
        return 0;
    errno = EISDIR;
    return S_ISDIR(info.st_mode)
               ? fail(error)
               : format_error_set(
                     error, FORMAT_NO_OFFSET,
                     "cannot be written: a device, pipe or socket is there, and a file "
                     "would take its place");
}

static void drop(struct new_file *file)
{
    free(file->path);
    free(file->temporary);
    *file = (struct new_file){0};
}

int new_file_open(struct new_file *file, const char *path, enum new_file_links links,
                  struct format_error *error)
{
    static const char suffix[] = ".XXXXXX";
    const size_t length = strlen(path);
    *file = (struct new_file){0};
    if (check_place(path, links, error) != 0)
        return -1;
    *file = (struct new_file){.path = strdup(path), .temporary = malloc(length + sizeof suffix)};
    if (file->path == NULL || file->temporary == NULL) {
        drop(file);
        return format_error_memory(error);
    }
    memcpy(file->temporary, path, length);
    memcpy(file->temporary + length, suffix, sizeof suffix);
    const int fd = mkostemp(file->temporary, O_CLOEXEC);
    if (fd < 0) {
        fail(error);
        drop(file);
        return -1;
    }
    file->stream = give_rights(fd) ? fdopen(fd, "wb") : NULL;
    if (file->stream)
        return 0;
    fail(error);
    close(fd);
    new_file_close(file);
    return -1;
}

int new_file_finish(struct new_file *file, struct format_error *error)
{
    FILE *stream = file->stream;
    file->stream = NULL;
    errno = 0;
    bool good = !ferror(stream) && fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    if (!good && errno == 0)
        errno = EIO; /* of a write long ago */
    const int reason = errno;
    if (fclose(stream) != 0 && good)
        good = false;
    else
        errno = reason;
    return good ? 0 : fail(error);
}

/* That the new name is not on the disk is no reason to fail. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    const int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

int new_file_keep(struct new_file *file, struct format_error *error)
{
    if (rename(file->temporary, file->path) != 0)
        return fail(error);
    file->is_kept = true;
    sync_folder(file->path);
    return 0;
}

void new_file_close(struct new_file *file)
{
    if (file->stream)
        fclose(file->stream);
    if (file->temporary && !file->is_kept)
        unlink(file->temporary);
    drop(file);
}
