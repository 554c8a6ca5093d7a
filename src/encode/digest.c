/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/digest.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are little-endian");

/* The bytes of a prefix and of a text as one run, taken in pieces of any size. */
struct run {
    struct text parts[2];
    size_t left; /* of both */
};

static struct run run_of(struct text prefix, struct text text)
{
    return (struct run){{prefix, text}, prefix.length + text.length};
}

static void take(struct run *run, void *to, size_t n)
{
    for (size_t part = 0, taken = 0; part < 2; part++) {
        struct text *text = &run->parts[part];
        const size_t size = n - taken < text->length ? n - taken : text->length;
        if (size == 0)
            continue;
        memcpy((char *)to + taken, text->at, size);
        text->at += size;
        text->length -= size;
        taken += size;
    }
    run->left -= n;
}

static uint32_t take_32(struct run *run)
{
    uint32_t word;
    take(run, &word, sizeof word);
    return word;
}

static uint64_t take_64(struct run *run)
{
    uint64_t word;
    take(run, &word, sizeof word);
    return word;
}

static uint8_t take_8(struct run *run)
{
    uint8_t byte;
    take(run, &byte, sizeof byte);
    return byte;
}

static uint32_t rotate_32(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint64_t rotate_64(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

/* ---- CRC-32 ---- */

/* Four bits at a time: the remainders of the 16 values of half a byte. */
static uint32_t crc32_add(uint32_t crc, struct text text)
{
    static const uint32_t remainders[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                            0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                            0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                            0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (size_t i = 0; i < text.length; i++) {
        crc ^= (unsigned char)text.at[i];
        crc = crc >> 4 ^ remainders[crc & 15];
        crc = crc >> 4 ^ remainders[crc & 15];
    }
    return crc;
}

uint32_t digest_crc32(struct text prefix, struct text text)
{
    return ~crc32_add(crc32_add(UINT32_MAX, prefix), text);
}

/* ---- MurmurHash3_x86_32 ---- */

static uint32_t murmur_scramble(uint32_t word)
{
    return rotate_32(word * 0xCC9E2D51u, 15) * 0x1B873593u;
}

uint32_t digest_murmur3_32(struct text prefix, struct text text)
{
    struct run run = run_of(prefix, text);
    const uint32_t length = (uint32_t)run.left;
    uint32_t hash = 0;
    while (run.left >= 4)
        hash = rotate_32(hash ^ murmur_scramble(take_32(&run)), 13) * 5 + 0xE6546B64u;
    uint32_t tail = 0;
    take(&run, &tail, run.left);
    hash ^= murmur_scramble(tail);
    hash ^= length;
    hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
    hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
    return hash ^ hash >> 16;
}

/* ---- XXH64 ---- */

static const uint64_t prime_1 = 0x9E3779B185EBCA87u, prime_2 = 0xC2B2AE3D27D4EB4Fu,
                      prime_3 = 0x165667B19E3779F9u, prime_4 = 0x85EBCA77C2B2AE63u,
                      prime_5 = 0x27D4EB2F165667C5u;

static uint64_t xxhash_round(uint64_t sum, uint64_t word)
{
    return rotate_64(sum + word * prime_2, 31) * prime_1;
}

/* The stripes of 32 bytes, four sums side by side. */
static uint64_t xxhash_stripes(struct run *run)
{
    uint64_t sums[4] = {prime_1 + prime_2, prime_2, 0, 0 - prime_1};
    while (run->left >= 32)
        for (size_t i = 0; i < 4; i++)
            sums[i] = xxhash_round(sums[i], take_64(run));
    uint64_t hash = rotate_64(sums[0], 1) + rotate_64(sums[1], 7) + rotate_64(sums[2], 12) +
                    rotate_64(sums[3], 18);
    for (size_t i = 0; i < 4; i++)
        hash = (hash ^ xxhash_round(0, sums[i])) * prime_1 + prime_4;
    return hash;
}

uint64_t digest_xxhash64(struct text prefix, struct text text)
{
    struct run run = run_of(prefix, text);
    const uint64_t length = run.left;
    uint64_t hash = length >= 32 ? xxhash_stripes(&run) : prime_5;
    hash += length;
    while (run.left >= 8)
        hash = rotate_64(hash ^ xxhash_round(0, take_64(&run)), 27) * prime_1 + prime_4;
    if (run.left >= 4)
        hash = rotate_64(hash ^ take_32(&run) * prime_1, 23) * prime_2 + prime_3;
    while (run.left > 0)
        hash = rotate_64(hash ^ take_8(&run) * prime_5, 11) * prime_1;
    hash = (hash ^ hash >> 33) * prime_2;
    hash = (hash ^ hash >> 29) * prime_3;
    return hash ^ hash >> 32;
}
