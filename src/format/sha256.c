/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sha256.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_BYTES = 8, N_ROUNDS = 64, N_WORDS = SHA256_WORDS };

/* Fractions of the cube roots of the first 64 primes. */
static const uint32_t constants[N_ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotated(uint32_t word, int n)
{
    return word >> n | word << (32 - n);
}

static void add_block(uint32_t hash[N_WORDS], const uint8_t *at)
{
    uint32_t w[N_ROUNDS], s[N_WORDS]; /* a to h of the standard: in round i, a is s[-i mod 8] */
    for (int i = 0; i < 16; i++, at += 4)
        w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    for (int i = 16; i < N_ROUNDS; i++) {
        const uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
        const uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(s, hash, sizeof s);
#define WORD(k) s[(unsigned)((k)-i) % N_WORDS]
    /* Eight rounds bring each word back to its place, so that all of them stay in registers. */
#pragma GCC unroll 8
    for (int i = 0; i < N_ROUNDS; i++) {
        const uint32_t a = WORD(0), e = WORD(4);
        const uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
        const uint32_t choice = (e & WORD(5)) ^ (~e & WORD(6));
        const uint32_t first = WORD(7) + s1 + choice + constants[i] + w[i];
        const uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
        const uint32_t majority = (a & WORD(1)) ^ (a & WORD(2)) ^ (WORD(1) & WORD(2));
        WORD(3) += first;
        WORD(7) = first + s0 + majority;
    }
#undef WORD
    for (int i = 0; i < N_WORDS; i++)
        hash[i] += s[i];
}

void sha256_start(struct sha256 *sha256)
{
    /* Fractions of the square roots of the first 8 primes. */
    *sha256 = (struct sha256){{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                               0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                              0};
}

void sha256_add_blocks(struct sha256 *sha256, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i += SHA256_BLOCK_BYTES)
        add_block(sha256->words, at + i);
    sha256->n_bytes += size;
}

void sha256_end(struct sha256 *sha256, const void *bytes, size_t size, char out[SHA256_DIGITS + 1])
{
    const size_t left = size % SHA256_BLOCK_BYTES;
    sha256_add_blocks(sha256, bytes, size - left);
    /* A one bit, zeros, and the length in bits at the end of the last block. */
    uint8_t last[2 * SHA256_BLOCK_BYTES] = {0};
    if (left)
        memcpy(last, (const uint8_t *)bytes + (size - left), left);
    last[left] = 0x80;
    const size_t end =
        left + 1 + LENGTH_BYTES <= SHA256_BLOCK_BYTES ? SHA256_BLOCK_BYTES : sizeof last;
    const uint64_t n_bits = (sha256->n_bytes + left) * 8;
    for (int i = 0; i < LENGTH_BYTES; i++)
        last[end - 1 - (size_t)i] = (uint8_t)(n_bits >> 8 * i);
    sha256_add_blocks(sha256, last, end);
    for (int i = 0; i < N_WORDS; i++)
        snprintf(out + 8 * i, 9, "%08x", sha256->words[i]);
}

void sha256_print(const void *bytes, size_t size, char out[SHA256_DIGITS + 1])
{
    struct sha256 sha256;
    sha256_start(&sha256);
    sha256_end(&sha256, bytes, size, out);
}
