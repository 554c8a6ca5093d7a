/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test.h"

/* In the place of the C library's: a sandbox may forbid the call. */
static bool is_forbidden;
static size_t n_calls;

ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
    n_calls++;
    if (!is_forbidden)
        return syscall(SYS_getrandom, buffer, size, flags);
    errno = EPERM;
    return -1;
}

static bool is_same(struct hash_seed a, struct hash_seed b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Any seed by its number: the same ones in each run. */
static struct hash_seed seed_of(uint64_t number)
{
    struct hash_seed seed;
    for (uint64_t i = 0; i < HASH_SEED_WORDS; i++) {
        uint64_t z = (4 * number + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        seed.words[i] = z ^ (z >> 31);
    }
    return seed;
}

TEST(seeds_are_the_kernels_and_differ)
{
    n_calls = 0;
    const struct hash_seed a = hash_seed_random(), b = hash_seed_random();
    CHECK(n_calls == 2);
    for (size_t i = 0; i < HASH_SEED_WORDS; i++)
        CHECK(a.words[i] != b.words[i]);
    CHECK(!is_same(a, hash_seed_fixed));
}

TEST(a_sandbox_without_random_numbers_leaves_those_of_the_start)
{
    is_forbidden = true;
    const struct hash_seed seed = hash_seed_random();
    is_forbidden = false;
    for (size_t i = 0; i < HASH_SEED_WORDS; i++) {
        CHECK(seed.words[i] != 0 && seed.words[i] != hash_seed_fixed.words[i]);
        for (size_t k = 0; k < i; k++)
            CHECK(seed.words[i] != seed.words[k]);
    }
}

TEST(a_seed_is_read_from_its_digits)
{
    static const char digits[] = "0123456789abcdef00000000000000010000000000000002FEDCBA9876543210";
    struct hash_seed seed;
    CHECK(hash_seed_parse(digits, &seed));
    CHECK(seed.words[0] == 0x0123456789abcdef && seed.words[1] == 1);
    CHECK(seed.words[2] == 2 && seed.words[3] == 0xfedcba9876543210);
    char wrong[sizeof digits + 1] = "";
    memcpy(wrong, digits, sizeof digits);
    wrong[HASH_SEED_DIGITS - 1] = 'g';
    CHECK(!hash_seed_parse(wrong, &seed));
    wrong[HASH_SEED_DIGITS - 1] = '\0';
    CHECK(!hash_seed_parse(wrong, &seed));
    memcpy(wrong + HASH_SEED_DIGITS - 1, "00", 3);
    CHECK(!hash_seed_parse(wrong, &seed));
    CHECK(!hash_seed_parse("", &seed));
}

/* Files hold tables by it, so no version and no machine may compute another one. */
TEST(values_are_those_of_every_version_and_machine)
{
    static const char text[] = "a text of 31 bytes, not aligned";
    const struct hash_seed seed = seed_of(1);
    CHECK_MSG(hash_pair(&seed, 1, 2) == 0xe688ec787cea2a00, "%016llx",
              (unsigned long long)hash_pair(&seed, 1, 2));
    CHECK_MSG(hash_bytes(&seed, text, 31) == 0xcf5b1f9c75309a4e, "%016llx",
              (unsigned long long)hash_bytes(&seed, text, 31));
    CHECK_MSG(hash_bytes(&seed, text + 1, 16) == 0x51c1276daa9ba159, "%016llx",
              (unsigned long long)hash_bytes(&seed, text + 1, 16));
    CHECK_MSG(hash_bytes(&seed, "", 0) == 0x0079e40fcb092ec2, "%016llx",
              (unsigned long long)hash_bytes(&seed, "", 0));
}

/* The hash of files of version 1. */
static uint64_t old_pair(uint64_t a, uint64_t b)
{
    const unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

TEST(the_fixed_seed_gives_the_hash_from_before_there_were_seeds)
{
    static const char text[] = "0123456789abcdefXYZ";
    for (uint64_t i = 0; i < 1000; i++)
        CHECK(hash_pair(&hash_seed_fixed, i * i, ~i) == old_pair(i * i, ~i));
    uint64_t first, second, tail = 0;
    memcpy(&first, text, 8);
    memcpy(&second, text + 8, 8);
    memcpy(&tail, text + 16, 3);
    CHECK(hash_bytes(&hash_seed_fixed, text, 19) ==
          old_pair(old_pair(old_pair(19, first), second), tail));
}

/* ---- what somebody who does not know the seed could try ---- */

/* Words in a pattern: number i of each kind. */
static void pattern(unsigned kind, uint32_t i, uint64_t *low, uint32_t *high)
{
    char digits[16] = "";
    *high = 9u << 24;
    *low = i;
    switch (kind) {
    case 0: /* the first bytes change */
        break;
    case 1: /* the middle ones, at equal distances: one product alone keeps them equal */
        *low = (uint64_t)i << 20;
        break;
    case 2:
        *low = (uint64_t)i << 32;
        break;
    case 3:
        *low = (uint64_t)i << 47;
        break;
    case 4: /* the last three of eleven */
        *low = 0x6161616161616161;
        *high = i | 12u << 24;
        break;
    case 5: /* a bit of each byte */
        *low = 0;
        for (unsigned b = 0; b < 16; b++)
            *low |= (uint64_t)(i >> b & 1) << (4 * b);
        break;
    case 6: /* both words alike */
        *high = i | 12u << 24;
        *low = *high;
        break;
    default: /* digits, as ids are */
        snprintf(digits, sizeof digits, "u%09u", i);
        memcpy(low, digits, 8);
        memcpy(high, digits + 8, 2);
        *high = (*high & 0xFFFF) | 11u << 24;
    }
}

enum { N_KINDS = 8, N_WORDS = 24000, N_SLOTS = 40000 };

/* The longest row of full slots when the pattern's words are put into a table. */
static unsigned longest_row(const struct hash_seed *seed, unsigned kind)
{
    static bool slots[N_SLOTS];
    memset(slots, 0, sizeof slots);
    for (uint32_t i = 0; i < N_WORDS; i++) {
        uint64_t low;
        uint32_t high;
        pattern(kind, i, &low, &high);
        size_t slot = (uint64_t)(uint32_t)hash_pair(seed, low, high) * N_SLOTS >> 32;
        while (slots[slot])
            slot = (slot + 1) % N_SLOTS;
        slots[slot] = true;
    }
    unsigned row = 0, longest = 0;
    for (size_t i = 0; i < N_SLOTS; i++) {
        row = slots[i] ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    return longest;
}

/* By chance a row of 200 comes once in a million tables of this size. */
TEST(no_pattern_makes_long_rows_under_any_seed)
{
    enum { N_SEEDS = 60, MOST = 200 };
    for (unsigned kind = 0; kind < N_KINDS; kind++)
        for (uint64_t s = 0; s < N_SEEDS; s++) {
            const struct hash_seed seed = seed_of(s);
            const unsigned longest = longest_row(&seed, kind);
            CHECK_MSG(longest <= MOST, "pattern %u, seed %llu: a row of %u", kind,
                      (unsigned long long)s, longest);
        }
}

/* Whoever knows a seed can make a factor 0, by either word: then what else there is does not count.
 */
TEST(a_factor_that_is_0_under_one_seed_is_none_under_another)
{
    enum { N = 1000 };
    const struct hash_seed known = seed_of(7), other = seed_of(8);
    const uint64_t first = known.words[0], second = known.words[1];
    unsigned n_equal = 0;
    for (uint64_t i = 1; i <= N; i++) {
        const uint64_t some[] = {i, second, 5}, none[] = {0, second, 5};
        CHECK(hash_pair(&known, first, i) == hash_pair(&known, first, 0));
        CHECK(hash_pair(&known, i, second) == hash_pair(&known, 0, second));
        CHECK(hash_bytes(&known, some, sizeof some) == hash_bytes(&known, none, sizeof none));
        n_equal += hash_pair(&other, first, i) == hash_pair(&other, first, 0);
        n_equal += hash_pair(&other, i, second) == hash_pair(&other, 0, second);
        n_equal += hash_bytes(&other, some, sizeof some) == hash_bytes(&other, none, sizeof none);
    }
    CHECK_MSG(n_equal == 0, "%u", n_equal);
}

int main(void)
{
    RUN(seeds_are_the_kernels_and_differ);
    RUN(a_sandbox_without_random_numbers_leaves_those_of_the_start);
    RUN(a_seed_is_read_from_its_digits);
    RUN(values_are_those_of_every_version_and_machine);
    RUN(the_fixed_seed_gives_the_hash_from_before_there_were_seeds);
    RUN(no_pattern_makes_long_rows_under_any_seed);
    RUN(a_factor_that_is_0_under_one_seed_is_none_under_another);
    return test_report();
}
