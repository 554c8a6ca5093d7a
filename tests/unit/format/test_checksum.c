/* SPDX-License-Identifier: Apache-2.0 */
/* test_checksum.c: the checksum of converted files, and SHA-256. */
#include "format/checksum.h"
#include "format/sha256.h"

#include <stdbool.h>
#include <stdlib.h>

#include "test.h"

/* The bytes 0, 1, .. 255, 0, .. in memory of exactly their number. */
static uint8_t *counting(size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);
    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)i;
    return bytes;
}

static bool is_checksum(size_t size, const char *expected)
{
    char digits[CHECKSUM_DIGITS + 1];
    uint8_t *bytes = counting(size);
    checksum_print(checksum_of(bytes, size), digits);
    free(bytes);
    if (strcmp(digits, expected) != 0)
        fprintf(stderr, "    %zu bytes: %s\n", size, digits);
    return strcmp(digits, expected) == 0;
}

/* By the description in checksum.h, in Python. Files depend on them: they never change. */
TEST(checksums_are_those_of_the_description)
{
    CHECK(is_checksum(0, "b72c18f2e5f37f8e"));
    CHECK(is_checksum(1, "eb7af27b754a1e12"));
    CHECK(is_checksum(7, "c98348450ff44be6"));
    CHECK(is_checksum(8, "7a4638f2f4c8788d"));
    CHECK(is_checksum(63, "64ce3c984eedd118"));
    CHECK(is_checksum(64, "aee0d75e88d3a38a"));
    CHECK(is_checksum(65, "a20bffdb391cd4f3"));
    CHECK(is_checksum(127, "15662453c463da79"));
    CHECK(is_checksum(128, "a40ea3cb476bdec4"));
    CHECK(is_checksum(1000, "dcdbc06a2f4048fe"));
    CHECK(is_checksum(100003, "93007d6b322ef8b0"));
}

TEST(any_changed_byte_changes_the_checksum)
{
    enum { SIZE = 200 };
    uint8_t *bytes = counting(SIZE);
    const uint64_t before = checksum_of(bytes, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        for (unsigned change = 1; change < 256; change++) {
            bytes[i] ^= (uint8_t)change;
            CHECK_MSG(checksum_of(bytes, SIZE) != before, "byte %zu, change %u", i, change);
            bytes[i] ^= (uint8_t)change;
        }
    free(bytes);
}

TEST(zeros_more_or_less_and_words_in_another_order_change_it)
{
    uint8_t bytes[256] = {0};
    for (size_t a = 0; a <= sizeof bytes; a++)
        for (size_t b = 0; b < a; b++)
            CHECK_MSG(checksum_of(bytes, a) != checksum_of(bytes, b), "%zu and %zu zeros", a, b);
    bytes[0] = 1;
    const uint64_t first = checksum_of(bytes, sizeof bytes);
    for (size_t i = 1; i < sizeof bytes; i++) {
        uint8_t moved[256] = {0};
        moved[i] = 1;
        CHECK_MSG(checksum_of(moved, sizeof moved) != first, "the 1 at byte %zu", i);
    }
}

/* FIPS 180-4's examples, and lengths around the padding's ends. */
TEST(sha256_is_that_of_the_standard)
{
    static const struct {
        const char *text;
        size_t times;
        const char *digits;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {"a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {"a", 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {"a", 119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
        {"a", 120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t length = strlen(cases[i].text);
        char *bytes = malloc(length * cases[i].times + 1), digits[SHA256_DIGITS + 1];
        for (size_t k = 0; k < cases[i].times; k++)
            memcpy(bytes + k * length, cases[i].text, length);
        sha256_print(bytes, length * cases[i].times, digits);
        CHECK_MSG(strcmp(digits, cases[i].digits) == 0, "case %zu: %s", i, digits);
        free(bytes);
    }
}

TEST(sha256_of_pieces_is_that_of_the_whole)
{
    uint8_t bytes[20 * SHA256_BLOCK_BYTES];
    char whole[SHA256_DIGITS + 1], pieces[SHA256_DIGITS + 1];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 7);
    for (size_t size = 0; size <= sizeof bytes; size += 37) {
        sha256_print(bytes, size, whole);
        for (size_t step = SHA256_BLOCK_BYTES; step < size; step += 3 * SHA256_BLOCK_BYTES) {
            struct sha256 sha256;
            size_t done = 0;
            sha256_start(&sha256);
            for (; size - done > step; done += step)
                sha256_add_blocks(&sha256, bytes + done, step);
            sha256_end(&sha256, bytes + done, size - done, pieces);
            CHECK_MSG(strcmp(whole, pieces) == 0, "%zu bytes by %zu: %s", size, step, pieces);
        }
    }
}

int main(void)
{
    RUN(checksums_are_those_of_the_description);
    RUN(any_changed_byte_changes_the_checksum);
    RUN(zeros_more_or_less_and_words_in_another_order_change_it);
    RUN(sha256_is_that_of_the_standard);
    RUN(sha256_of_pieces_is_that_of_the_whole);
    return test_report();
}
