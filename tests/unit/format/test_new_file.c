/* SPDX-License-Identifier: Apache-2.0 */
#include "format/new_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/test_new_file_XXXXXX";

static const char *path_in_folder(const char *name)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static mode_t kind_of(const char *name)
{
    struct stat info;
    return lstat(path_in_folder(name), &info) == 0 ? info.st_mode & S_IFMT : 0;
}

static unsigned n_in_folder(void)
{
    DIR *directory = opendir(folder);
    unsigned n = 0;
    while (directory && readdir(directory))
        n++;
    closedir(directory);
    return n;
}

static int write_at(const char *name, enum new_file_links links, struct format_error *error)
{
    struct new_file file;
    if (new_file_open(&file, path_in_folder(name), links, error) != 0)
        return -1;
    fputs("new", file.stream);
    const int status = new_file_finish(&file, error) == 0 ? new_file_keep(&file, error) : -1;
    new_file_close(&file);
    return status;
}

static int write_new(const char *name, struct format_error *error)
{
    return write_at(name, NEW_FILE_MINDS_LINKS, error);
}

/* Nothing takes its place, and nothing is left beside it. */
static void check_refused(const char *name, mode_t kind, const char *words)
{
    struct format_error error = {0};
    const unsigned n = n_in_folder();
    CHECK(write_new(name, &error) == -1);
    CHECK(strstr(error.message, words) != NULL);
    CHECK(kind_of(name) == kind);
    CHECK(n_in_folder() == n);
}

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.40s/%.20s", folder, name);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
}

TEST(a_pipe_a_socket_or_a_device_is_not_replaced)
{
    static const char words[] = "cannot be written: a device, pipe or socket is there";
    CHECK(mkfifo(path_in_folder("pipe"), 0600) == 0);
    make_socket("socket");
    CHECK(symlink("pipe", path_in_folder("link-to-pipe")) == 0); /* as /dev/stdout is a link */
    CHECK(symlink("/dev/null", path_in_folder("link-to-device")) == 0);
    check_refused("pipe", S_IFIFO, words);
    check_refused("socket", S_IFSOCK, words);
    check_refused("link-to-pipe", S_IFLNK, words);
    check_refused("link-to-device", S_IFLNK, words);
}

TEST(a_folder_is_not_replaced)
{
    CHECK(mkdir(path_in_folder("folder"), 0700) == 0);
    check_refused("folder", S_IFDIR, "cannot be written: Is a directory");
}

TEST(a_file_and_a_link_to_nothing_are_replaced)
{
    struct format_error error = {0};
    CHECK(write_new("file", &error) == 0);
    CHECK(write_new("file", &error) == 0);
    CHECK(kind_of("file") == S_IFREG);
    CHECK(symlink("nothing", path_in_folder("link")) == 0);
    CHECK(write_new("link", &error) == 0);
    CHECK(kind_of("link") == S_IFREG);
    CHECK(kind_of("nothing") == 0);
}

TEST(a_link_to_a_device_is_replaced_in_a_folder_of_the_programs_own)
{
    struct format_error error = {0};
    CHECK(write_at("link-to-device", NEW_FILE_REPLACES_LINKS, &error) == 0);
    CHECK(kind_of("link-to-device") == S_IFREG);
    CHECK(write_at("pipe", NEW_FILE_REPLACES_LINKS, &error) == -1);
}

static void remove_folder(void)
{
    static const char *const names[] = {"pipe", "socket", "link-to-pipe", "link-to-device",
                                        "file", "link",   "nothing"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_in_folder(names[i]));
    rmdir(path_in_folder("folder"));
    CHECK(rmdir(folder) == 0);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    RUN(a_pipe_a_socket_or_a_device_is_not_replaced);
    RUN(a_link_to_a_device_is_replaced_in_a_folder_of_the_programs_own);
    RUN(a_folder_is_not_replaced);
    RUN(a_file_and_a_link_to_nothing_are_replaced);
    remove_folder();
    return test_report();
}
