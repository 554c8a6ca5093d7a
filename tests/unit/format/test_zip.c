/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zip.h"

#include <stdlib.h>
#include <time.h>

#include "build.h"
#include "test.h"

enum { N_STYLES = 16, ARENA_BYTES = 64 * 1024 * 1024 };

static const struct member {
    const char *name;
    const char *data;
} members[] = {
    {"m/data.pkl", "not read here"},
    {"m/b", ""},
    {"m/a", "the bytes of the third entry, which has more of them than the others have"},
    {"m/byteorder", "little"},
};

enum { N_MEMBERS = sizeof members / sizeof members[0], LAST = N_MEMBERS - 1 };

static void build(struct zip_image *image, unsigned style)
{
    zip_image_start(image, style);
    for (size_t i = 0; i < N_MEMBERS; i++)
        zip_image_add(image, members[i].name, members[i].data, strlen(members[i].data));
    zip_image_finish(image);
}

/* Every member is found in the archive with its own bytes. */
static bool holds_the_members(const struct zip *zip)
{
    struct format_error error;
    for (size_t i = 0; i < N_MEMBERS; i++) {
        const struct zip_entry *entry = zip_find(zip, text_of(members[i].name));
        if (entry == NULL || zip_check(zip, entry, &error) != 0 ||
            entry->size != strlen(members[i].data) ||
            memcmp(entry->data, members[i].data, entry->size) != 0)
            return false;
    }
    return zip->n_entries == N_MEMBERS;
}

/* Refused, or read as the members and nothing else. */
static bool is_refused_or_the_same(const struct bytes *bytes)
{
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    uint8_t *copy = malloc(bytes->size + 1);
    memcpy(copy, bytes->at, bytes->size);
    struct zip zip;
    struct format_error error;
    bool good = true;
    if (zip_open(&zip, &arena, copy, bytes->size, &error) == 0) {
        for (size_t i = 0; i < N_MEMBERS; i++) {
            const struct zip_entry *entry = zip_find(&zip, text_of(members[i].name));
            if (entry == NULL) {
                good = false;
            } else if (zip_check(&zip, entry, &error) == 0) {
                good = good && entry->size == strlen(members[i].data) &&
                       memcmp(entry->data, members[i].data, entry->size) == 0;
            }
        }
        good = good && zip.n_entries == N_MEMBERS;
    } else {
        good = is_one_line(&error);
    }
    free(copy);
    arena_free(&arena);
    return good;
}

/* ---- what is read */

TEST(the_entries_of_every_kind_of_archive_are_found)
{
    for (unsigned style = 0; style < N_STYLES; style++) {
        struct zip_image image;
        build(&image, style);
        struct arena arena;
        arena_init(&arena, ARENA_BYTES);
        struct zip zip;
        struct format_error error;
        int result = zip_open(&zip, &arena, image.bytes.at, image.bytes.size, &error);
        CHECK_MSG(result == 0, "style %u: %s", style, error.message);
        CHECK(result == 0 && holds_the_members(&zip));
        arena_free(&arena);
        zip_image_free(&image);
    }
}

TEST(entries_are_sorted_by_name_and_say_where_they_lie)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct zip zip;
    struct format_error error;
    CHECK(zip_open(&zip, &arena, image.bytes.at, image.bytes.size, &error) == 0);
    for (size_t i = 1; i < zip.n_entries; i++)
        CHECK(text_compare(zip.entries[i - 1].name, zip.entries[i].name) < 0);
    const struct zip_entry *third = zip_find(&zip, text_of("m/a"));
    CHECK(third && third->header_offset == image.entries[2].local);
    CHECK(third && third->data == image.bytes.at + image.entries[2].data);
    CHECK(third && third->crc32 == image.entries[2].crc);
    CHECK(zip.start == image.bytes.at);
    arena_free(&arena);
    zip_image_free(&image);
}

TEST(a_name_that_is_not_there_is_not_found)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct zip zip;
    struct format_error error;
    CHECK(zip_open(&zip, &arena, image.bytes.at, image.bytes.size, &error) == 0);
    static const char *const names[] = {"", "m", "m/", "m/aa", "m/c", "a", "z", "m/data.pkl\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_MSG(zip_find(&zip, text_of(names[i])) == NULL, "'%s'", names[i]);
    CHECK(zip_find(&zip, (struct text){"m/a", 2}) == NULL);
    arena_free(&arena);
    zip_image_free(&image);
}

TEST(the_central_directory_may_list_the_entries_in_another_order)
{
    struct zip_image image;
    build(&image, ZIP_SIMPLE);
    uint8_t b[CENTRAL_NAME + 3]; /* "m/b" and "m/a" have records of one length */
    uint8_t *first = image.bytes.at + image.entries[1].central;
    uint8_t *second = image.bytes.at + image.entries[2].central;
    memcpy(b, first, sizeof b);
    memcpy(first, second, sizeof b);
    memcpy(second, b, sizeof b);
    CHECK(is_read(read_as_zip, &image.bytes));
    CHECK(is_refused_or_the_same(&image.bytes));
    zip_image_free(&image);
}

TEST(the_files_of_torch_save_are_read)
{
    static const char *const paths[] = {"model/model_weights.pth",
                                        "tests/golden/paper/model_weights.pth",
                                        "tests/golden/format/small.pth"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bytes bytes = bytes_of_file(paths[i]);
        struct arena arena;
        arena_init(&arena, ARENA_BYTES);
        struct zip zip;
        struct format_error error;
        int result = zip_open(&zip, &arena, bytes.at, bytes.size, &error);
        CHECK_MSG(result == 0, "%s: %s", paths[i], error.message);
        for (size_t k = 0; result == 0 && k < zip.n_entries; k++)
            CHECK(zip_check(&zip, &zip.entries[k], &error) == 0);
        if (i == 0)
            CHECK(result == 0 && zip.n_entries == 36);
        arena_free(&arena);
        bytes_free(&bytes);
    }
}

TEST(a_changed_byte_of_the_contents_fails_the_checksum)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    image.bytes.at[image.entries[2].data + 7] ^= 0x20;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct zip zip;
    struct format_error error;
    CHECK(zip_open(&zip, &arena, image.bytes.at, image.bytes.size, &error) == 0);
    const struct zip_entry *changed = zip_find(&zip, text_of("m/a"));
    CHECK(changed && zip_check(&zip, changed, &error) == -1);
    CHECK(is_one_line(&error));
    CHECK_MSG(strstr(error.message, "m/a"), "%s", error.message);
    const struct zip_entry *other = zip_find(&zip, text_of("m/byteorder"));
    CHECK(other && zip_check(&zip, other, &error) == 0);
    arena_free(&arena);
    zip_image_free(&image);
}

/* ---- damage of any kind */

TEST(a_cut_archive_is_refused_at_every_length)
{
    for (unsigned style = 0; style < N_STYLES; style++) {
        struct zip_image image;
        build(&image, style);
        CHECK(every_cut_is_refused(read_as_zip, &image.bytes));
        zip_image_free(&image);
    }
}

TEST(any_flipped_byte_is_refused_or_harmless)
{
    for (unsigned style = 0; style < N_STYLES; style++) {
        struct zip_image image;
        build(&image, style);
        unsigned n_wrong = 0;
        for (size_t i = 0; i < image.bytes.size; i++) {
            for (unsigned mask = 1; mask < 256; mask = mask * 2 + (mask == 128 ? 255 : 0)) {
                image.bytes.at[i] ^= (uint8_t)mask;
                if (!is_refused_or_the_same(&image.bytes) && n_wrong++ == 0)
                    fprintf(stderr, "    style %u, byte %zu, mask %02x\n", style, i, mask);
                image.bytes.at[i] ^= (uint8_t)mask;
            }
        }
        CHECK(n_wrong == 0);
        zip_image_free(&image);
    }
}

TEST(running_out_of_memory_refuses_the_archive)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    CHECK(running_out_of_memory_is_refused(read_as_zip, &image.bytes));
    zip_image_free(&image);
}

TEST(what_is_not_an_archive_is_refused)
{
    static const char *const texts[] = {
        "",
        "P",
        "PK",
        "PK\x05\x06",
        "<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 10375969\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bytes bytes = {0};
        bytes_text(&bytes, texts[i]);
        CHECK(is_refused(read_as_zip, &bytes, NULL));
        bytes_free(&bytes);
    }
    struct bytes zeros = {0};
    bytes_fill(&zeros, 0, 4096);
    CHECK(is_refused(read_as_zip, &zeros, NULL));
    bytes_free(&zeros);
}

TEST(a_comment_is_refused_or_harmless)
{
    static const size_t lengths[] = {1, 22, 65513, 65535};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct zip_image image;
        build(&image, ZIP_TORCH);
        put_u16(image.bytes.at + image.end + END_COMMENT_LENGTH, (unsigned)lengths[i]);
        bytes_fill(&image.bytes, 'c', lengths[i]);
        CHECK(is_refused_or_the_same(&image.bytes));
        zip_image_free(&image);
    }
}

TEST(all_ones_in_the_end_record_are_filled_in_by_the_zip64_record)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    uint8_t *end = image.bytes.at + image.end;
    put_u16(end + END_COUNT, 0xFFFF);
    put_u16(end + END_COUNT_HERE, 0xFFFF);
    put_u32(end + END_SIZE, UINT32_MAX);
    put_u32(end + END_OFFSET, UINT32_MAX);
    CHECK(is_read(read_as_zip, &image.bytes));
    CHECK(is_refused_or_the_same(&image.bytes));
    zip_image_free(&image);
}

/* ---- names and numbers of entries */

static bool name_is_refused(const char *name, size_t length)
{
    struct zip_image image;
    zip_image_start(&image, ZIP_TORCH);
    zip_image_add(&image, "m/data.pkl", "1", 1);
    zip_image_add_named(&image, name, length, "2", 1);
    zip_image_finish(&image);
    bool refused = is_refused(read_as_zip, &image.bytes, NULL);
    zip_image_free(&image);
    return refused;
}

TEST(a_name_twice_is_refused)
{
    CHECK(name_is_refused("m/data.pkl", 10));
}

TEST(a_name_that_is_not_plain_is_refused)
{
    CHECK(name_is_refused("", 0));
    CHECK(name_is_refused("/etc/passwd", 11));
    CHECK(name_is_refused("../x", 4));
    CHECK(name_is_refused("m/../x", 6));
    CHECK(name_is_refused("m/..", 4));
    CHECK(name_is_refused("..", 2));
    CHECK(name_is_refused("m/a\0b", 5));
    CHECK(name_is_refused("\0", 1));
}

TEST(a_name_with_dots_is_plain)
{
    struct zip_image image;
    zip_image_start(&image, ZIP_TORCH);
    zip_image_add(&image, "model.v1..2/.data/serialization_id", "0", 1);
    zip_image_finish(&image);
    CHECK(is_read(read_as_zip, &image.bytes));
    zip_image_free(&image);
}

TEST(a_name_cannot_break_the_message)
{
    static const char *const names[] = {"m/a\nFILE: all is well", "m/\033[2J\x7f", "m/%s%n%d",
                                        "m/\xFF\xFE", "m/\xC3\xA9"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zip_image image;
        zip_image_start(&image, ZIP_SIMPLE);
        zip_image_add(&image, names[i], "1", 1);
        zip_image_finish(&image);
        CHECK_MSG(is_survived(read_as_zip, &image.bytes), "name %zu", i);
        put_u16(image.bytes.at + image.entries[0].local + LOCAL_METHOD, 8);
        put_u16(image.bytes.at + image.entries[0].central + CENTRAL_METHOD, 8);
        CHECK_MSG(is_refused(read_as_zip, &image.bytes, NULL), "name %zu", i);
        zip_image_free(&image);
    }
}

TEST(a_name_of_64_kilobytes_is_survived)
{
    char *name = malloc(65535);
    memset(name, 'n', 65535);
    struct zip_image image;
    zip_image_start(&image, ZIP_SIMPLE);
    zip_image_add_named(&image, name, 65535, "1", 1);
    zip_image_finish(&image);
    CHECK(is_survived(read_as_zip, &image.bytes));
    zip_image_free(&image);
    zip_image_start(&image, ZIP_SIMPLE);
    zip_image_add_named(&image, name, 65535, "1", 1);
    zip_image_add_named(&image, name, 65535, "2", 1);
    zip_image_finish(&image);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
    free(name);
}

/* An archive of very many entries, all with one name or each with its own. */
static struct bytes crowd(unsigned n, bool one_name, bool one_place)
{
    struct bytes out = {0}, directory = {0};
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "m/%06u", one_name ? 0 : n - i);
        uint32_t offset = one_place ? 0 : (uint32_t)out.size;
        if (!one_place || i == 0) {
            bytes_u32(&out, 0x04034b50);
            bytes_fill(&out, 0, 22);
            bytes_u16(&out, 8);
            bytes_u16(&out, 0);
            bytes_text(&out, name);
        }
        bytes_u32(&directory, 0x02014b50);
        bytes_fill(&directory, 0, 24);
        bytes_u16(&directory, 8);
        bytes_fill(&directory, 0, 12);
        bytes_u32(&directory, offset);
        bytes_text(&directory, name);
    }
    uint32_t start = (uint32_t)out.size;
    bytes_add(&out, directory.at, directory.size);
    bytes_u32(&out, 0x06054b50);
    bytes_u32(&out, 0);
    bytes_u16(&out, n);
    bytes_u16(&out, n);
    bytes_u32(&out, (uint32_t)directory.size);
    bytes_u32(&out, start);
    bytes_u16(&out, 0);
    bytes_free(&directory);
    return out;
}

TEST(very_many_entries_take_no_quadratic_time)
{
    enum { N = 65000, N_KINDS = 3 };
    for (unsigned kind = 0; kind < N_KINDS; kind++) {
        struct bytes bytes = crowd(N, kind == 1, kind == 2);
        clock_t start = clock();
        if (kind == 0)
            CHECK(is_survived(read_as_zip, &bytes));
        else
            CHECK(is_refused(read_as_zip, &bytes, NULL));
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        CHECK_MSG(seconds < 5, "%.1f s", seconds);
        bytes_free(&bytes);
    }
}

int main(void)
{
    RUN(the_entries_of_every_kind_of_archive_are_found);
    RUN(entries_are_sorted_by_name_and_say_where_they_lie);
    RUN(a_name_that_is_not_there_is_not_found);
    RUN(the_central_directory_may_list_the_entries_in_another_order);
    RUN(the_files_of_torch_save_are_read);
    RUN(a_changed_byte_of_the_contents_fails_the_checksum);
    RUN(a_cut_archive_is_refused_at_every_length);
    RUN(any_flipped_byte_is_refused_or_harmless);
    RUN(running_out_of_memory_refuses_the_archive);
    RUN(what_is_not_an_archive_is_refused);
    RUN(a_comment_is_refused_or_harmless);
    RUN(all_ones_in_the_end_record_are_filled_in_by_the_zip64_record);
    RUN(a_name_twice_is_refused);
    RUN(a_name_that_is_not_plain_is_refused);
    RUN(a_name_with_dots_is_plain);
    RUN(a_name_cannot_break_the_message);
    RUN(a_name_of_64_kilobytes_is_survived);
    RUN(very_many_entries_take_no_quadratic_time);
    return test_report();
}
