/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sha256.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, N_ROUNDS = 64, N_WORDS = 8 };

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

static uint32_t rotated(uint32_t word, int n)
{
    return word >> n | word << (32 - n);
}

static void add_block(uint32_t hash[N_WORDS], const uint8_t *at)
{
    uint32_t w[N_ROUNDS], s[N_WORDS]; /* s: a to h of the standard */
    for (int i = 0; i < 16; i++, at += 4)
        w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    for (int i = 16; i < N_ROUNDS; i++) {
        const uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
        const uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(s, hash, sizeof s);
    for (int i = 0; i < N_ROUNDS; i++) {
        const uint32_t s1 = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25);
        const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        const uint32_t first = s[7] + s1 + choice + constants[i] + w[i];
        const uint32_t s0 = rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22);
        const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += first;
        s[0] = first + s0 + majority;
    }
    for (int i = 0; i < N_WORDS; i++)
        hash[i] += s[i];
}

void sha256_print(const void *bytes, size_t size, char out[SHA256_DIGITS + 1])
{
    /* Fractions of the square roots of the first 8 primes. */
    uint32_t hash[N_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *at = bytes;
    size_t left = size;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES)
        add_block(hash, at);
    /* A one bit, zeros, and the length in bits at the end of the last block. */
    uint8_t last[2 * BLOCK_BYTES] = {0};
    if (left)
        memcpy(last, at, left);
    last[left] = 0x80;
    const size_t end = left + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    const uint64_t n_bits = (uint64_t)size * 8;
    for (int i = 0; i < LENGTH_BYTES; i++)
        last[end - 1 - (size_t)i] = (uint8_t)(n_bits >> 8 * i);
    for (size_t i = 0; i < end; i += BLOCK_BYTES)
        add_block(hash, last + i);
    for (int i = 0; i < N_WORDS; i++)
        snprintf(out + 8 * i, 9, "%08x", hash[i]);
}
