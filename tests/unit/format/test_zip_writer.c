/* SPDX-License-Identifier: Apache-2.0 */
/* test_zip_writer.c: archives that our reader takes, also where 32 bits are too few. */
#include "format/zip_writer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "format/zip.h"
#include "test.h"

static const uint64_t four_gib = UINT64_C(1) << 32;

/* ---- streams */

/* What was written to memory. */
struct memory_stream {
    FILE *stream;
    char *at;
    size_t size;
};

static FILE *memory_open(struct memory_stream *memory)
{
    memory->stream = open_memstream(&memory->at, &memory->size);
    if (memory->stream == NULL)
        exit(1);
    return memory->stream;
}

/* Zeros become holes, so that 4 GiB of them take no room on the disk. */
static ssize_t write_sparse(void *cookie, const char *bytes, size_t size)
{
    static const char zeros[1 << 18];
    const int fd = *(const int *)cookie;
    if (size <= sizeof zeros && memcmp(bytes, zeros, size) == 0)
        return lseek(fd, (off_t)size, SEEK_CUR) < 0 ? 0 : (ssize_t)size;
    return write(fd, bytes, size) == (ssize_t)size ? (ssize_t)size : 0;
}

/* A file without a name, for archives of more than 4 GiB. */
struct sparse_file {
    int fd;
    FILE *stream;
    uint8_t *map;
    size_t size;
};

static void sparse_open(struct sparse_file *file)
{
    char path[] = "/tmp/dcnv2-zip-XXXXXX";
    file->fd = mkostemp(path, O_CLOEXEC);
    unlink(path);
    file->stream = fopencookie(&file->fd, "w", (cookie_io_functions_t){.write = write_sparse});
    if (file->fd < 0 || file->stream == NULL)
        exit(1);
}

static bool sparse_read(struct sparse_file *file, struct zip *zip, struct arena *arena)
{
    struct format_error error = {0};
    fclose(file->stream);
    file->size = (size_t)lseek(file->fd, 0, SEEK_CUR);
    file->map = mmap(NULL, file->size, PROT_READ, MAP_SHARED, file->fd, 0);
    arena_init(arena, 1 << 20);
    if (file->map == MAP_FAILED)
        exit(1);
    const bool good = zip_open(zip, arena, file->map, file->size, &error) == 0;
    CHECK_MSG(good, "%s", error.message);
    return good;
}

static void sparse_close(struct sparse_file *file, struct arena *arena)
{
    arena_free(arena);
    munmap(file->map, file->size);
    close(file->fd);
}

/* ---- entries */

static bool is_entry(const struct zip *zip, const char *name, const void *data, size_t size)
{
    struct format_error error;
    const struct zip_entry *entry = zip_find(zip, text_of(name));
    return entry && entry->size == size && zip_check(zip, entry, &error) == 0 &&
           (size == 0 || memcmp(entry->data, data, size) == 0) &&
           (entry->data - zip->start) % ZIP_WRITER_ALIGNMENT == 0;
}

static void add(struct zip_writer *writer, const char *name, const char *data)
{
    zip_writer_add(writer, text_of(name), data, strlen(data));
}

/* Names and data of every length up to some over the alignment. */
static void write_lengths(FILE *stream)
{
    static const char bytes[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct zip_writer writer;
    struct format_error error;
    zip_writer_start(&writer, stream);
    for (size_t length = 1; length < sizeof bytes; length++)
        zip_writer_add(&writer, (struct text){bytes, length}, bytes, length - 1);
    CHECK(zip_writer_end(&writer, &error) == 0);
}

TEST(entries_of_every_length_are_read_back_and_aligned)
{
    struct memory_stream memory = {0};
    struct zip zip;
    struct arena arena;
    struct format_error error;
    write_lengths(memory_open(&memory));
    fclose(memory.stream);
    arena_init(&arena, 1 << 20);
    CHECK(zip_open(&zip, &arena, (const uint8_t *)memory.at, memory.size, &error) == 0);
    CHECK(zip.n_entries == 68);
    for (size_t i = 0; i < zip.n_entries; i++) {
        char name[80];
        memset(name, 'a', i + 1);
        name[i + 1] = '\0';
        CHECK(is_entry(&zip, name, name, i));
    }
    arena_free(&arena);
    free(memory.at);
}

TEST(a_cut_archive_is_refused)
{
    struct memory_stream memory = {0};
    struct bytes bytes = {0};
    struct zip_writer writer;
    struct format_error error;
    zip_writer_start(&writer, memory_open(&memory));
    add(&writer, "a/version", "3\n");
    add(&writer, "a/empty", "");
    CHECK(zip_writer_end(&writer, &error) == 0);
    fclose(memory.stream);
    bytes_add(&bytes, memory.at, memory.size);
    CHECK(is_read(read_as_zip, &bytes));
    CHECK(every_cut_is_refused(read_as_zip, &bytes));
    bytes_free(&bytes);
    free(memory.at);
}

TEST(more_entries_than_16_bits_count)
{
    enum { N = 66000 };
    struct memory_stream memory = {0};
    struct zip zip;
    struct arena arena;
    struct zip_writer writer;
    struct format_error error;
    char name[16];
    zip_writer_start(&writer, memory_open(&memory));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d", i);
        add(&writer, name, name);
    }
    CHECK(zip_writer_end(&writer, &error) == 0);
    fclose(memory.stream);
    arena_init(&arena, 64 << 20);
    CHECK(zip_open(&zip, &arena, (const uint8_t *)memory.at, memory.size, &error) == 0);
    CHECK(zip.n_entries == N);
    for (int i = 0; i < N; i += 997) {
        snprintf(name, sizeof name, "%d", i);
        CHECK(is_entry(&zip, name, name, strlen(name)));
    }
    arena_free(&arena);
    free(memory.at);
}

/* ---- beyond 4 GiB */

TEST(an_entry_that_starts_beyond_4_gib)
{
    struct sparse_file file;
    struct zip zip;
    struct arena arena;
    struct zip_writer writer;
    struct format_error error;
    sparse_open(&file);
    zip_writer_start(&writer, file.stream);
    add(&writer, "first", "1");
    fflush(file.stream);
    /* A gap, as if another entry stood there. Right at the limit, 32 bits are full. */
    lseek(file.fd, (off_t)four_gib - 1, SEEK_SET);
    writer.output.offset = four_gib - 1;
    add(&writer, "second", "22");
    add(&writer, "third", "");
    CHECK(zip_writer_end(&writer, &error) == 0);
    if (sparse_read(&file, &zip, &arena)) {
        CHECK(zip.n_entries == 3);
        CHECK(is_entry(&zip, "first", "1", 1));
        CHECK(is_entry(&zip, "second", "22", 2));
        CHECK(is_entry(&zip, "third", "", 0));
        CHECK(zip_find(&zip, text_of("second"))->header_offset == four_gib - 1);
    }
    sparse_close(&file, &arena);
}

TEST(an_entry_of_more_than_4_gib)
{
    const size_t size = four_gib + 5;
    uint8_t *zeros =
        mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct sparse_file file;
    struct zip zip;
    struct arena arena;
    struct zip_writer writer;
    struct format_error error;
    sparse_open(&file);
    zip_writer_start(&writer, file.stream);
    add(&writer, "first", "1");
    zip_writer_add(&writer, text_of("large"), zeros, size);
    add(&writer, "third", "333");
    CHECK(zip_writer_end(&writer, &error) == 0);
    if (sparse_read(&file, &zip, &arena)) {
        CHECK(is_entry(&zip, "first", "1", 1));
        CHECK(is_entry(&zip, "third", "333", 3));
        const struct zip_entry *large = zip_find(&zip, text_of("large"));
        CHECK(large && large->size == size);
        CHECK(large && (large->data - zip.start) % ZIP_WRITER_ALIGNMENT == 0);
        CHECK(large && large->crc32 == 0xB1C2A1A3u);
    }
    sparse_close(&file, &arena);
    munmap(zeros, size);
}

/* ---- errors */

TEST(a_full_disk_is_an_error)
{
    struct zip_writer writer;
    struct format_error error = {0};
    FILE *full = fopen("/dev/full", "w");
    zip_writer_start(&writer, full);
    add(&writer, "a", "b");
    CHECK(zip_writer_end(&writer, &error) == -1);
    CHECK_MSG(strcmp(error.message, "cannot be written: No space left on device") == 0, "%s",
              error.message);
    fclose(full);
}

TEST(the_first_error_is_the_one_that_is_told)
{
    static const char data[1 << 20];
    struct zip_writer writer;
    struct format_error error = {0};
    FILE *read_only = fopen("/dev/zero", "r");
    zip_writer_start(&writer, read_only);
    zip_writer_add(&writer, text_of("a"), data, sizeof data);
    add(&writer, "b", "");
    CHECK(zip_writer_end(&writer, &error) == -1);
    CHECK_MSG(strcmp(error.message, "cannot be written: Bad file descriptor") == 0, "%s",
              error.message);
    fclose(read_only);
}

int main(void)
{
    RUN(entries_of_every_length_are_read_back_and_aligned);
    RUN(a_cut_archive_is_refused);
    RUN(more_entries_than_16_bits_count);
    RUN(an_entry_that_starts_beyond_4_gib);
    RUN(an_entry_of_more_than_4_gib);
    RUN(a_full_disk_is_an_error);
    RUN(the_first_error_is_the_one_that_is_told);
    return test_report();
}
