/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "text.h"

const struct hash_seed hash_seed_fixed = {{0x9E3779B97F4A7C15u, 0xD6E8FEB86659FD93u, 0, 1}};

/* The 16 random bytes that the kernel gives each process as it starts. */
static void fill_from_start(struct hash_seed *seed)
{
    const void *const start = (const void *)getauxval(AT_RANDOM);
    uint64_t words[2];
    memcpy(words, start, sizeof words);
    for (uint64_t i = 0; i < HASH_SEED_WORDS; i++)
        seed->words[i] = hash_pair(&hash_seed_fixed, words[0] + i, words[1]);
}

/* Up to 256 bytes come whole, or not at all: where a sandbox forbids the call. */
struct hash_seed hash_seed_random(void)
{
    struct hash_seed seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        fill_from_start(&seed);
    return seed;
}

bool hash_seed_parse(const char *digits, struct hash_seed *ret_seed)
{
    if (strlen(digits) != HASH_SEED_DIGITS)
        return false;
    *ret_seed = (struct hash_seed){0};
    for (size_t i = 0; i < HASH_SEED_DIGITS; i++) {
        const int digit = text_hex_digit(digits[i]);
        if (digit < 0)
            return false;
        uint64_t *word = &ret_seed->words[i * HASH_SEED_WORDS / HASH_SEED_DIGITS];
        *word = *word << 4 | (uint64_t)digit;
    }
    return true;
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t hash = size, word;
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = hash_multiply(hash ^ seed->words[0], word ^ seed->words[1]);
    }
    word = 0;
    if (size)
        memcpy(&word, at, size);
    return hash_pair(seed, hash, word);
}
