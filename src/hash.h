/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h: the one hash function of all tables, and of fingerprints.
 *
 * Ids come from outside, so where a table puts them must not be known to whoever chooses them: with
 * a known hash, 200,000 ids can be made that all start their search in one place, and a look-up
 * walks past each of them. A seed of 256 bits that nobody outside knows takes that away.
 *
 * Two pairs of words give one first product only under a few seeds in 2^64: no two inputs meet
 * under every seed, and since both factors hold secret bits, no input makes one of them 0. But one
 * product keeps order: words at equal distances land at equal distances, and under a few seeds in a
 * hundred the longest row of full slots is ten times as long as by chance. The second product, of
 * what is secret by then, ends that: made sets look as random ones do (tests/unit/test_hash.c).
 *
 * The time of an answer says little of the seed, and a table does not change while it is asked:
 * whoever knows the seed can at best ask for the longest row, which is bounded
 * (encode/vocabulary.h).
 */
#ifndef DCNV2_HASH_H
#define DCNV2_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_SEED_WORDS = 4, HASH_SEED_DIGITS = 64 };

struct hash_seed {
    uint64_t words[HASH_SEED_WORDS];
};

/* The same in each run: for fingerprints, and for tables in files from before there were seeds. The
 * last two words make the second product change nothing. */
extern const struct hash_seed hash_seed_fixed;

/* A new one, from the kernel. */
struct hash_seed hash_seed_random(void);

/* A seed of HASH_SEED_DIGITS hexadecimal digits. false: `digits`, NUL-terminated, are not that. */
bool hash_seed_parse(const char *digits, struct hash_seed *ret_seed);

/* The halves of a product, joined: every bit of either word is in it. */
static inline uint64_t hash_multiply(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two words to one. */
static inline uint64_t hash_pair(const struct hash_seed *seed, uint64_t a, uint64_t b)
{
    const uint64_t *const s = seed->words;
    return hash_multiply(hash_multiply(a ^ s[0], b ^ s[1]) ^ s[2], s[3]);
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *bytes, size_t size);

#endif
