/* SPDX-License-Identifier: Apache-2.0 */
#include "format/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "memory.h"
#include "test.h"

/* The file of impossible size must meet a malloc() that fails, with a sanitizer too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static char folder[] = "/tmp/test_file_XXXXXX";

static const char *path_in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    if (file == NULL)
        return;
    CHECK(fwrite(bytes, 1, size, file) == size);
    CHECK(fclose(file) == 0);
}

static unsigned n_open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;
    while (directory && readdir(directory))
        n++;
    closedir(directory);
    return n;
}

/* Refused with one line, nothing left open, the result untouched. */
static bool is_file_refused(const char *path)
{
    struct format_error error;
    memset(&error, '\n', sizeof error);
    uint8_t other;
    struct file_bytes file = {&other, 12345, false};
    unsigned n_open = n_open_files();
    if (file_read(path, &file, &error) != -1 || !is_one_line(&error))
        return false;
    if (strstr(error.message, folder))
        return false; /* the caller puts the name before the message */
    return n_open_files() == n_open && file.at == &other && file.size == 12345;
}

TEST(a_file_is_read_whole)
{
    struct format_error error;
    unsigned n_open = n_open_files();
    struct file_bytes file;
    CHECK(file_read("model/preprocess_metadata.pkl", &file, &error) == 0);
    struct bytes expected = bytes_of_file("model/preprocess_metadata.pkl");
    CHECK(file.size == expected.size);
    CHECK(memcmp(file.at, expected.at, expected.size) == 0);
    bytes_free(&expected);
    file_free(&file);
    CHECK(n_open_files() == n_open);
}

TEST(a_file_of_one_byte_is_read)
{
    struct format_error error;
    struct file_bytes file;
    write_file(path_in_folder("one"), "x", 1);
    CHECK(file_read(path_in_folder("one"), &file, &error) == 0);
    CHECK(file.size == 1 && file.at[0] == 'x');
    file_free(&file);
}

TEST(a_symbolic_link_is_followed)
{
    struct format_error error;
    struct file_bytes file;
    write_file(path_in_folder("target"), "abc", 3);
    CHECK(symlink("target", path_in_folder("link")) == 0);
    CHECK(file_read(path_in_folder("link"), &file, &error) == 0);
    CHECK(file.size == 3 && memcmp(file.at, "abc", 3) == 0);
    file_free(&file);
}

TEST(replacing_the_file_afterwards_changes_nothing)
{
    struct format_error error;
    struct file_bytes file;
    write_file(path_in_folder("replaced"), "before", 6);
    CHECK(file_read(path_in_folder("replaced"), &file, &error) == 0);
    write_file(path_in_folder("replaced"), "", 0); /* would be a SIGBUS with a mapping */
    CHECK(file.size == 6 && memcmp(file.at, "before", 6) == 0);
    CHECK(unlink(path_in_folder("replaced")) == 0);
    CHECK(file.size == 6 && memcmp(file.at, "before", 6) == 0);
    file_free(&file);
}

TEST(a_freed_file_is_empty_and_may_be_freed_again)
{
    struct format_error error;
    struct file_bytes file;
    CHECK(file_read("model/input.json", &file, &error) == 0);
    file_free(&file);
    CHECK(file.at == NULL && file.size == 0);
    file_free(&file);
    struct file_bytes empty = {0};
    file_free(&empty);
}

TEST(a_missing_file_is_refused)
{
    CHECK(is_file_refused(path_in_folder("missing")));
    CHECK(is_file_refused(path_in_folder("one/below")));
    CHECK(is_file_refused(""));
}

TEST(a_link_to_nothing_or_to_itself_is_refused)
{
    CHECK(symlink("nowhere", path_in_folder("dangling")) == 0);
    CHECK(is_file_refused(path_in_folder("dangling")));
    CHECK(symlink("itself", path_in_folder("itself")) == 0);
    CHECK(is_file_refused(path_in_folder("itself")));
}

TEST(a_folder_is_refused)
{
    CHECK(is_file_refused(folder));
}

TEST(a_fifo_is_refused_without_waiting_for_a_writer)
{
    CHECK(mkfifo(path_in_folder("fifo"), 0600) == 0);
    alarm(10);
    CHECK(is_file_refused(path_in_folder("fifo")));
    alarm(0);
}

TEST(a_device_is_refused)
{
    alarm(10);
    CHECK(is_file_refused("/dev/zero"));
    CHECK(is_file_refused("/dev/null"));
    alarm(0);
}

TEST(an_empty_file_is_refused)
{
    write_file(path_in_folder("empty"), "", 0);
    CHECK(is_file_refused(path_in_folder("empty")));
}

TEST(a_file_without_permission_is_refused)
{
    write_file(path_in_folder("secret"), "x", 1);
    CHECK(chmod(path_in_folder("secret"), 0) == 0);
    uid_t user = geteuid();
    if (user == 0)
        CHECK(chmod(folder, 0755) == 0 && seteuid(65534) == 0);
    CHECK(is_file_refused(path_in_folder("secret")));
    if (user == 0)
        CHECK(seteuid(user) == 0);
}

TEST(a_file_larger_than_memory_is_refused)
{
    const off_t sizes[] = {(off_t)memory_limit_bytes() + 1, (off_t)1 << 62};
    for (int i = 0; i < 2; i++) {
        int fd = memfd_create("huge", 0);
        CHECK(fd >= 0);
        CHECK(ftruncate(fd, sizes[i]) == 0);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        alarm(10);
        CHECK(is_file_refused(path));
        alarm(0);
        close(fd);
    }
}

TEST(a_file_larger_than_memory_is_mapped)
{
    struct format_error error;
    struct file_bytes file;
    int fd = memfd_create("huge", 0);
    CHECK(fd >= 0);
    CHECK(ftruncate(fd, (off_t)1 << 40) == 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(file_map(path, &file, &error) == 0);
    CHECK(file.size == (size_t)1 << 40 && file.at[0] == 0);
    file_free(&file);
    close(fd);
}

TEST(the_memory_is_at_most_the_machines)
{
    CHECK(memory_limit_bytes() > 0);
    CHECK(memory_limit_bytes() <= (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE));
}

static void remove_folder(void)
{
    static const char *const names[] = {"one",    "target", "link",  "dangling",
                                        "itself", "fifo",   "empty", "secret"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_in_folder(names[i]));
    rmdir(folder);
}

int main(void)
{
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    RUN(a_file_is_read_whole);
    RUN(a_file_of_one_byte_is_read);
    RUN(a_symbolic_link_is_followed);
    RUN(replacing_the_file_afterwards_changes_nothing);
    RUN(a_freed_file_is_empty_and_may_be_freed_again);
    RUN(a_missing_file_is_refused);
    RUN(a_link_to_nothing_or_to_itself_is_refused);
    RUN(a_folder_is_refused);
    RUN(a_fifo_is_refused_without_waiting_for_a_writer);
    RUN(a_device_is_refused);
    RUN(an_empty_file_is_refused);
    RUN(a_file_without_permission_is_refused);
    RUN(a_file_larger_than_memory_is_refused);
    RUN(a_file_larger_than_memory_is_mapped);
    RUN(the_memory_is_at_most_the_machines);
    remove_folder();
    return test_report();
}
