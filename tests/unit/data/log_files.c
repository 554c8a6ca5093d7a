/* SPDX-License-Identifier: Apache-2.0 */
#include "log_files.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[LOG_PATH_MAX / 2];

static void remove_all(void)
{
    DIR *files = opendir(folder);
    for (const struct dirent *entry; files && (entry = readdir(files)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(log_path(entry->d_name));
    if (files)
        closedir(files);
    rmdir(folder);
}

const char *log_folder(void)
{
    if (*folder)
        return folder;
    const char *place = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/dcnv2-log-XXXXXX", place && *place ? place : "/tmp");
    if (mkdtemp(folder) == NULL || atexit(remove_all) != 0)
        abort();
    return folder;
}

const char *log_path(const char *name)
{
    static char paths[8][LOG_PATH_MAX * 2];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", log_folder(), name);
    return path;
}

/* `mode`: of gzopen(); "wbT" writes the bytes as they are. */
static const char *write_file(const char *name, const void *bytes, size_t size, const char *mode)
{
    const char *path = log_path(name);
    gzFile file = gzopen(path, mode);
    if (file == NULL || gzfwrite(bytes, 1, size, file) != size || gzclose(file) != Z_OK)
        abort();
    return path;
}

const char *log_write_bytes(const char *name, const void *bytes, size_t size)
{
    const size_t length = strlen(name);
    const bool is_packed = length > 3 && strcmp(name + length - 3, ".gz") == 0;
    return write_file(name, bytes, size, is_packed ? "wb1" : "wbT");
}

const char *log_write_raw(const char *name, const void *bytes, size_t size)
{
    return write_file(name, bytes, size, "wbT");
}

const char *log_write(const char *name, const char *text)
{
    return log_write_bytes(name, text, strlen(text));
}
