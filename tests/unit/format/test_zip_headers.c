/* SPDX-License-Identifier: Apache-2.0 */
/* test_zip_headers.c: the rules of zip.h, field by field and record by record. */
#include "format/zip.h"

#include "build.h"
#include "test.h"

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

/* The archive with a field overwritten in the header at `at`, of `width` bytes. */
static bool is_refused_with(unsigned style, size_t (*where)(const struct zip_image *), size_t field,
                            unsigned width, uint64_t value, const char *needle)
{
    struct zip_image image;
    build(&image, style);
    uint8_t *at = image.bytes.at + where(&image) + field;
    if (width == 2)
        put_u16(at, (unsigned)value);
    else if (width == 4)
        put_u32(at, (uint32_t)value);
    else
        put_u64(at, value);
    bool refused = is_refused(read_as_zip, &image.bytes, needle);
    zip_image_free(&image);
    return refused;
}

static size_t at_local(const struct zip_image *image)
{
    return image->entries[2].local;
}

static size_t at_central(const struct zip_image *image)
{
    return image->entries[2].central;
}

static size_t at_last_central(const struct zip_image *image)
{
    return image->entries[LAST].central;
}

static size_t at_descriptor(const struct zip_image *image)
{
    return image->entries[2].data + image->entries[2].size;
}

static size_t at_end(const struct zip_image *image)
{
    return image->end;
}

static size_t at_end64(const struct zip_image *image)
{
    return image->end64;
}

static size_t at_locator(const struct zip_image *image)
{
    return image->locator;
}

/* Both headers of the third entry changed in the same way. */
static bool is_refused_with_both(unsigned style, size_t local_field, size_t central_field,
                                 unsigned width, uint32_t value, const char *needle)
{
    struct zip_image image;
    build(&image, style);
    uint8_t *local = image.bytes.at + at_local(&image) + local_field;
    uint8_t *central = image.bytes.at + at_central(&image) + central_field;
    if (width == 2) {
        put_u16(local, value);
        put_u16(central, value);
    } else {
        put_u32(local, value);
        put_u32(central, value);
    }
    bool refused = is_refused(read_as_zip, &image.bytes, needle);
    zip_image_free(&image);
    return refused;
}

/* ---- the end records */

TEST(an_archive_without_its_end_record_is_refused)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    image.bytes.size = image.end;
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    bytes_fill(&image.bytes, 'x', END_BYTES);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(bytes_before_the_first_entry_are_refused)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    bytes_insert(&image.bytes, 0, "#!/bin/sh\n", 10);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(bytes_before_the_first_entry_are_refused_also_with_offsets_to_match)
{
    struct zip_image image;
    zip_image_start(&image, ZIP_SIMPLE);
    bytes_text(&image.bytes, "#!/bin/sh\n");
    zip_image_add(&image, "m/data.pkl", "1", 1);
    zip_image_finish(&image);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(bytes_behind_the_end_record_are_refused)
{
    for (size_t n = 1; n <= 100000; n = n * 7 + 1) {
        struct zip_image image;
        build(&image, ZIP_TORCH);
        bytes_fill(&image.bytes, 0, n);
        CHECK(is_refused(read_as_zip, &image.bytes, NULL));
        zip_image_free(&image);
    }
}

TEST(two_archives_in_a_row_are_refused)
{
    struct zip_image image;
    build(&image, ZIP_TORCH);
    struct bytes twice = {0};
    bytes_add(&twice, image.bytes.at, image.bytes.size);
    bytes_add(&twice, image.bytes.at, image.bytes.size);
    CHECK(is_refused(read_as_zip, &twice, NULL));
    bytes_free(&twice);
    zip_image_free(&image);
}

TEST(a_comment_length_that_does_not_reach_the_end_is_refused)
{
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        struct zip_image image;
        build(&image, ZIP_TORCH);
        put_u16(image.bytes.at + image.end + END_COMMENT_LENGTH, wrong ? 21 : 19);
        bytes_fill(&image.bytes, 'c', 20);
        CHECK(is_refused(read_as_zip, &image.bytes, NULL));
        zip_image_free(&image);
    }
}

TEST(an_end_record_within_the_comment_is_refused)
{
    struct zip_image image;
    build(&image, ZIP_SIMPLE);
    uint8_t end[END_BYTES];
    memcpy(end, image.bytes.at + image.end, END_BYTES);
    put_u16(image.bytes.at + image.end + END_COMMENT_LENGTH, END_BYTES);
    put_u16(end + END_COUNT, 1); /* a shorter list in the same directory */
    put_u16(end + END_COUNT_HERE, 1);
    put_u32(end + END_SIZE, (uint32_t)(image.entries[1].central - image.directory));
    bytes_add(&image.bytes, end, END_BYTES);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(a_wrong_count_size_or_offset_of_the_directory_is_refused)
{
    struct zip_image image;
    build(&image, ZIP_SIMPLE);
    uint32_t size = get_u32(image.bytes.at + image.end + END_SIZE);
    uint32_t offset = (uint32_t)image.directory;
    zip_image_free(&image);
    static const int differences[] = {-1, 1, 30, 46};
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
        int d = differences[i];
        CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_COUNT, 2, (uint64_t)(N_MEMBERS + d), NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_COUNT_HERE, 2, (uint64_t)(N_MEMBERS + d),
                              NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_SIZE, 4, size + (uint32_t)d, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_OFFSET, 4, offset + (uint32_t)d, NULL));
    }
}

TEST(a_directory_with_more_or_fewer_entries_than_counted_is_refused)
{
    static const unsigned styles[] = {ZIP_SIMPLE, ZIP_TORCH};
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        for (int count = 0; count <= N_MEMBERS + 1; count++) {
            if (count == N_MEMBERS)
                continue;
            struct zip_image image;
            build(&image, styles[i]);
            put_u16(image.bytes.at + image.end + END_COUNT, (unsigned)count);
            put_u16(image.bytes.at + image.end + END_COUNT_HERE, (unsigned)count);
            if (styles[i] & ZIP_END64) {
                put_u64(image.bytes.at + image.end64 + END64_COUNT, (uint64_t)count);
                put_u64(image.bytes.at + image.end64 + END64_COUNT_HERE, (uint64_t)count);
            }
            CHECK_MSG(is_refused(read_as_zip, &image.bytes, NULL), "%d entries", count);
            zip_image_free(&image);
        }
    }
}

TEST(an_archive_in_several_volumes_is_refused)
{
    CHECK(is_refused_with(ZIP_TORCH, at_end, END_DISK, 2, 1, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_end, END_DIRECTORY_DISK, 2, 1, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_central, CENTRAL_DISK, 2, 1, NULL));
}

TEST(all_ones_in_the_end_record_need_a_zip64_record)
{
    CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_COUNT, 2, 0xFFFF, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_SIZE, 4, UINT32_MAX, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_end, END_OFFSET, 4, UINT32_MAX, NULL));
}

TEST(impossible_numbers_in_the_zip64_records_are_refused)
{
    static const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63,
                                      (uint64_t)1 << 32, 0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint64_t value = values[i];
        CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_SIZE_OF_RECORD, 8, value, NULL));
        CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_COUNT, 8, value, NULL));
        CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_COUNT_HERE, 8, value, NULL));
        CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_SIZE, 8, value, NULL));
        CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_OFFSET, 8, value, NULL));
        CHECK(is_refused_with(ZIP_TORCH, at_locator, LOCATOR_OFFSET, 8, value, NULL));
    }
    CHECK(is_refused_with(ZIP_TORCH, at_end64, 0, 4, 0, NULL)); /* the signature */
    CHECK(is_refused_with(ZIP_TORCH, at_end64, END64_OFFSET, 8, 1, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_locator, LOCATOR_DISKS, 4, 2, NULL));
}

/* ---- one entry's headers */

TEST(local_and_central_headers_must_agree)
{
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, 0, 4, 0x04034b51, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_central, 0, 4, 0x02014b51, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_FLAGS, 2, 0x0808, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_local, LOCAL_FLAGS, 2, 0x0800, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_central, CENTRAL_FLAGS, 2, 0x0800, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_METHOD, 2, 8, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_METHOD, 2, 8, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_CRC, 4, 1, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_CRC, 4, 1, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_NAME, 2, 0x2F6E, NULL)); /* "n/a" */
    CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_NAME, 2, 0x2F6E, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_NAME_LENGTH, 2, 2, NULL));
    CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_NAME_LENGTH, 2, 4, NULL));
    for (uint32_t size = 72; size <= 74; size++) {
        if (size == strlen(members[2].data))
            continue;
        CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_SIZE, 4, size, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_PACKED, 4, size, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_SIZE, 4, size, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_PACKED, 4, size, NULL));
    }
}

TEST(sizes_before_the_data_must_be_zero_or_right_when_a_descriptor_follows)
{
    CHECK(is_refused_with(ZIP_TORCH, at_local, LOCAL_SIZE, 4, 5, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_local, LOCAL_PACKED, 4, 5, NULL));
}

TEST(a_data_descriptor_must_agree_with_the_central_header)
{
    CHECK(is_refused_with(ZIP_TORCH, at_descriptor, 0, 4, 0x08074b51, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_descriptor, 4, 4, 1, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_descriptor, 8, 4, 1, NULL));
    CHECK(is_refused_with(ZIP_TORCH, at_descriptor, 12, 4, 1, NULL));
}

TEST(a_compressed_entry_is_refused_naming_the_method)
{
    CHECK(is_refused_with_both(ZIP_TORCH, LOCAL_METHOD, CENTRAL_METHOD, 2, 8, "method 8"));
    CHECK(is_refused_with_both(ZIP_TORCH, LOCAL_METHOD, CENTRAL_METHOD, 2, 12, "method 12"));
    CHECK(is_refused_with_both(ZIP_TORCH, LOCAL_METHOD, CENTRAL_METHOD, 2, 14, "method 14"));
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_METHOD, CENTRAL_METHOD, 2, 65535, "method 65535"));
}

TEST(an_encrypted_entry_is_refused)
{
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_FLAGS, CENTRAL_FLAGS, 2, 0x0801, "encrypt"));
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_FLAGS, CENTRAL_FLAGS, 2, 0x0841, NULL));
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_FLAGS, CENTRAL_FLAGS, 2, 0x0840, NULL));
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_FLAGS, CENTRAL_FLAGS, 2, 0x2800, NULL));
}

TEST(an_entry_for_a_later_version_of_the_format_is_refused)
{
    CHECK(is_refused_with_both(ZIP_SIMPLE, LOCAL_VERSION, CENTRAL_VERSION, 2, 255, NULL));
}

TEST(sizes_and_offsets_beyond_the_file_are_refused)
{
    static const uint32_t values[] = {0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct zip_image image;
        build(&image, ZIP_SIMPLE);
        uint8_t *local = image.bytes.at + at_local(&image);
        uint8_t *central = image.bytes.at + at_central(&image);
        put_u32(local + LOCAL_SIZE, values[i]);
        put_u32(local + LOCAL_PACKED, values[i]);
        put_u32(central + CENTRAL_SIZE, values[i]);
        put_u32(central + CENTRAL_PACKED, values[i]);
        CHECK(is_refused(read_as_zip, &image.bytes, NULL));
        zip_image_free(&image);
        CHECK(is_refused_with(ZIP_SIMPLE, at_central, CENTRAL_OFFSET, 4, values[i], NULL));
    }
}

TEST(impossible_numbers_in_the_zip64_extra_field_are_refused)
{
    static const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 29, (uint64_t)1 << 63,
                                      (uint64_t)1 << 32, 100000};
    enum { EXTRA = CENTRAL_NAME + 3 }; /* behind the name "m/a" */
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint64_t value = values[i];
        CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA + 4, 8, value, NULL));
        CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA + 12, 8, value, NULL));
        CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA + 20, 8, value, NULL));
        CHECK(is_refused_with(ZIP_ENTRIES64, at_local, LOCAL_NAME + 3 + 4, 8, value, NULL));

        struct zip_image image; /* all four alike */
        build(&image, ZIP_ENTRIES64);
        put_u64(image.bytes.at + at_central(&image) + EXTRA + 4, value);
        put_u64(image.bytes.at + at_central(&image) + EXTRA + 12, value);
        put_u64(image.bytes.at + at_local(&image) + LOCAL_NAME + 3 + 4, value);
        put_u64(image.bytes.at + at_local(&image) + LOCAL_NAME + 3 + 12, value);
        CHECK(is_refused(read_as_zip, &image.bytes, NULL));
        zip_image_free(&image);
    }
    CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA, 2, 0x0002, NULL)); /* another field */
    CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA + 2, 2, 8, NULL));
    CHECK(is_refused_with(ZIP_ENTRIES64, at_central, EXTRA + 2, 2, 25, NULL));
    CHECK(is_refused_with(ZIP_ENTRIES64, at_last_central, CENTRAL_EXTRA_LENGTH, 2, 0, NULL));
}

TEST(names_and_extra_fields_beyond_their_room_are_refused)
{
    static const unsigned values[] = {60, 1000, 65535};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        unsigned value = values[i];
        CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_EXTRA_LENGTH, 2, value, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_local, LOCAL_NAME_LENGTH, 2, value, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_last_central, CENTRAL_NAME_LENGTH, 2, value, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_last_central, CENTRAL_EXTRA_LENGTH, 2, value, NULL));
        CHECK(is_refused_with(ZIP_SIMPLE, at_last_central, CENTRAL_COMMENT_LENGTH, 2, value, NULL));
    }
}

/* ---- where entries lie */

TEST(an_entry_within_another_one_is_refused)
{
    struct zip_image inner, outer;
    zip_image_start(&inner, ZIP_SIMPLE);
    zip_image_add(&inner, "m/b", "hidden", 6);
    zip_image_start(&outer, ZIP_SIMPLE);
    zip_image_add(&outer, "m/a", inner.bytes.at, inner.bytes.size);
    zip_image_add(&outer, "m/b", "hidden", 6);
    zip_image_finish(&outer);
    CHECK(is_read(read_as_zip, &outer.bytes));
    put_u32(outer.bytes.at + outer.entries[1].central + CENTRAL_OFFSET,
            (uint32_t)outer.entries[0].data);
    CHECK(is_refused(read_as_zip, &outer.bytes, NULL));
    zip_image_free(&inner);
    zip_image_free(&outer);
}

TEST(entries_that_share_their_last_bytes_are_refused)
{
    struct zip_image image; /* the first entry's data reaches over the second entry */
    build(&image, ZIP_SIMPLE);
    uint32_t size = (uint32_t)(image.entries[2].local - image.entries[0].data);
    uint8_t *local = image.bytes.at + image.entries[0].local;
    uint8_t *central = image.bytes.at + image.entries[0].central;
    put_u32(local + LOCAL_SIZE, size);
    put_u32(local + LOCAL_PACKED, size);
    put_u32(central + CENTRAL_SIZE, size);
    put_u32(central + CENTRAL_PACKED, size);
    CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    zip_image_free(&image);
}

TEST(an_entry_over_the_central_directory_is_refused)
{
    struct zip_image image;
    build(&image, ZIP_SIMPLE);
    for (uint32_t more = 1; more <= 100; more += 33) {
        uint32_t size = (uint32_t)image.entries[LAST].size + more;
        uint8_t *local = image.bytes.at + image.entries[LAST].local;
        uint8_t *central = image.bytes.at + image.entries[LAST].central;
        put_u32(local + LOCAL_SIZE, size);
        put_u32(local + LOCAL_PACKED, size);
        put_u32(central + CENTRAL_SIZE, size);
        put_u32(central + CENTRAL_PACKED, size);
        CHECK(is_refused(read_as_zip, &image.bytes, NULL));
    }
    zip_image_free(&image);
}

TEST(a_header_offset_anywhere_else_is_refused)
{
    struct zip_image image;
    build(&image, ZIP_SIMPLE);
    uint8_t *offset = image.bytes.at + image.entries[2].central + CENTRAL_OFFSET;
    unsigned n_read = 0;
    for (uint32_t at = 0; at < image.bytes.size + 100; at++) {
        put_u32(offset, at);
        if (at != image.entries[2].local && !is_refused(read_as_zip, &image.bytes, NULL))
            n_read++;
    }
    CHECK_MSG(n_read == 0, "%u offsets", n_read);
    zip_image_free(&image);
}

int main(void)
{
    RUN(an_archive_without_its_end_record_is_refused);
    RUN(bytes_before_the_first_entry_are_refused);
    RUN(bytes_before_the_first_entry_are_refused_also_with_offsets_to_match);
    RUN(bytes_behind_the_end_record_are_refused);
    RUN(two_archives_in_a_row_are_refused);
    RUN(a_comment_length_that_does_not_reach_the_end_is_refused);
    RUN(an_end_record_within_the_comment_is_refused);
    RUN(a_wrong_count_size_or_offset_of_the_directory_is_refused);
    RUN(a_directory_with_more_or_fewer_entries_than_counted_is_refused);
    RUN(an_archive_in_several_volumes_is_refused);
    RUN(all_ones_in_the_end_record_need_a_zip64_record);
    RUN(impossible_numbers_in_the_zip64_records_are_refused);
    RUN(local_and_central_headers_must_agree);
    RUN(sizes_before_the_data_must_be_zero_or_right_when_a_descriptor_follows);
    RUN(a_data_descriptor_must_agree_with_the_central_header);
    RUN(a_compressed_entry_is_refused_naming_the_method);
    RUN(an_encrypted_entry_is_refused);
    RUN(an_entry_for_a_later_version_of_the_format_is_refused);
    RUN(sizes_and_offsets_beyond_the_file_are_refused);
    RUN(impossible_numbers_in_the_zip64_extra_field_are_refused);
    RUN(names_and_extra_fields_beyond_their_room_are_refused);
    RUN(an_entry_within_another_one_is_refused);
    RUN(entries_that_share_their_last_bytes_are_refused);
    RUN(an_entry_over_the_central_directory_is_refused);
    RUN(a_header_offset_anywhere_else_is_refused);
    return test_report();
}
