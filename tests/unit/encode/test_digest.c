/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/digest.h"

#include "test.h"

#define PANGRAM "The quick brown fox jumps over the lazy dog"

static const struct text none = {"", 0};

TEST(crc32_is_that_of_zlib)
{
    CHECK(digest_crc32(none, none) == 0);
    CHECK(digest_crc32(none, text_of("123456789")) == 0xCBF43926);
    CHECK(digest_crc32(none, text_of(PANGRAM)) == 0x414FA339);
    CHECK(digest_crc32(text_of("city="), text_of("12")) == digest_crc32(none, text_of("city=12")));
}

TEST(murmur3_is_that_of_its_author)
{
    CHECK(digest_murmur3_32(none, none) == 0);
    CHECK(digest_murmur3_32(none, text_of("hello")) == 0x248BFA47);
    CHECK(digest_murmur3_32(none, text_of("hello, world")) == 0x149BBB7F);
    CHECK(digest_murmur3_32(none, text_of(PANGRAM)) == 0x2E4FF723);
}

TEST(xxhash64_is_that_of_its_author)
{
    CHECK(digest_xxhash64(none, none) == 0xEF46DB3751D8E999);
    CHECK(digest_xxhash64(none, text_of("a")) == 0xD24EC4F1A98C6E5B);
    CHECK(digest_xxhash64(none, text_of("as")) == 0x1C330FB2D66BE179);
    CHECK(digest_xxhash64(none, text_of("asd")) == 0x631C37CE72A97393);
    CHECK(digest_xxhash64(none, text_of("asdf")) == 0x415872F599CEA71E);
    CHECK(digest_xxhash64(none, text_of("Call me Ishmael. Some years ago--never mind how long "
                                        "precisely-")) == 0x02A2E85470D6FD96);
}

/* However a run of bytes is cut into prefix and text. */
TEST(a_prefix_and_a_text_are_one_run)
{
    const struct text whole = text_of(PANGRAM PANGRAM);
    for (size_t length = 0; length <= whole.length; length++) {
        const struct text all = {whole.at, length};
        for (size_t cut = 0; cut <= length; cut++) {
            const struct text prefix = {whole.at, cut}, text = {whole.at + cut, length - cut};
            CHECK(digest_crc32(prefix, text) == digest_crc32(none, all));
            CHECK(digest_murmur3_32(prefix, text) == digest_murmur3_32(none, all));
            CHECK(digest_xxhash64(prefix, text) == digest_xxhash64(none, all));
        }
    }
}

int main(void)
{
    RUN(crc32_is_that_of_zlib);
    RUN(murmur3_is_that_of_its_author);
    RUN(xxhash64_is_that_of_its_author);
    RUN(a_prefix_and_a_text_are_one_run);
    return test_report();
}
