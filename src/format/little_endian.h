/* SPDX-License-Identifier: Apache-2.0 */
/* little_endian.h: unaligned little-endian integers, as zip and pickle store them. */
#ifndef DCNV2_FORMAT_LITTLE_ENDIAN_H
#define DCNV2_FORMAT_LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint16_t le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t le32(const uint8_t *at)
{
    return (uint32_t)le16(at) | (uint32_t)le16(at + 2) << 16;
}

static inline uint64_t le64(const uint8_t *at)
{
    return (uint64_t)le32(at) | (uint64_t)le32(at + 4) << 32;
}

/* And back: the byte behind what was put. */
static inline uint8_t *put_le16(uint8_t *at, uint64_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static inline uint8_t *put_le32(uint8_t *at, uint64_t value)
{
    return put_le16(put_le16(at, value), value >> 16);
}

static inline uint8_t *put_le64(uint8_t *at, uint64_t value)
{
    return put_le32(put_le32(at, value), value >> 32);
}

#endif
