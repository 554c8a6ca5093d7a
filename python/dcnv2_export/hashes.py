# SPDX-License-Identifier: Apache-2.0
"""The hash functions of model.json, of bytes, as unsigned numbers; seed 0."""
import struct
import zlib

MASK_32, MASK_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)  # XXH64's


def _rotate(word, bits, width):
    return (word << bits | word >> (width - bits)) & ((1 << width) - 1)


def _murmur_scramble(word):
    return _rotate(word * 0xCC9E2D51 & MASK_32, 15, 32) * 0x1B873593 & MASK_32


def murmur3_32(data):
    """MurmurHash3_x86_32 by A. Appleby."""
    whole, value = len(data) // 4 * 4, 0
    for word, in struct.iter_unpack("<I", data[:whole]):
        value = (_rotate(value ^ _murmur_scramble(word), 13, 32) * 5 + 0xE6546B64) & MASK_32
    value ^= _murmur_scramble(int.from_bytes(data[whole:], "little")) ^ len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & MASK_32
    value = (value ^ value >> 13) * 0xC2B2AE35 & MASK_32
    return value ^ value >> 16


def _xxhash_round(value, word):
    return _rotate((value + word * PRIMES[1]) & MASK_64, 31, 64) * PRIMES[0] & MASK_64


def _xxhash_stripes(data):
    """Of whole stripes of 32 bytes, four sums side by side."""
    sums = [(PRIMES[0] + PRIMES[1]) & MASK_64, PRIMES[1], 0, -PRIMES[0] & MASK_64]
    for words in struct.iter_unpack("<4Q", data):
        sums = [_xxhash_round(value, word) for value, word in zip(sums, words)]
    value = sum(_rotate(part, bits, 64) for part, bits in zip(sums, (1, 7, 12, 18))) & MASK_64
    for part in sums:
        value = ((value ^ _xxhash_round(0, part)) * PRIMES[0] + PRIMES[3]) & MASK_64
    return value


def xxhash64(data):
    """XXH64 by Y. Collet."""
    stripes = len(data) // 32 * 32
    words = stripes + (len(data) - stripes) // 8 * 8
    value = ((_xxhash_stripes(data[:stripes]) if stripes else PRIMES[4]) + len(data)) & MASK_64
    for word, in struct.iter_unpack("<Q", data[stripes:words]):
        value = (_rotate(value ^ _xxhash_round(0, word), 27, 64) * PRIMES[0] + PRIMES[3]) & MASK_64
    if len(data) - words >= 4:
        value ^= int.from_bytes(data[words:words + 4], "little") * PRIMES[0] & MASK_64
        value, words = (_rotate(value, 23, 64) * PRIMES[1] + PRIMES[2]) & MASK_64, words + 4
    for byte in data[words:]:
        value = _rotate(value ^ byte * PRIMES[4] & MASK_64, 11, 64) * PRIMES[0] & MASK_64
    value = (value ^ value >> 33) * PRIMES[1] & MASK_64
    value = (value ^ value >> 29) * PRIMES[2] & MASK_64
    return value ^ value >> 32


HASHES = {"crc32": zlib.crc32, "murmur3_32": murmur3_32, "xxhash64": xxhash64}
