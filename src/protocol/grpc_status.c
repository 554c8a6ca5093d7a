/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_status.h"

enum grpc_status grpc_status_of_http(int http_status)
{
    static const struct {
        int http_status;
        enum grpc_status status;
    } known[] = {{400, GRPC_INVALID_ARGUMENT},
                 {401, GRPC_UNAUTHENTICATED},
                 {403, GRPC_PERMISSION_DENIED},
                 {404, GRPC_NOT_FOUND},
                 {405, GRPC_UNIMPLEMENTED},
                 {408, GRPC_DEADLINE_EXCEEDED},
                 {409, GRPC_ABORTED},
                 {413, GRPC_RESOURCE_EXHAUSTED},
                 {415, GRPC_UNIMPLEMENTED},
                 {429, GRPC_RESOURCE_EXHAUSTED},
                 {431, GRPC_RESOURCE_EXHAUSTED},
                 {499, GRPC_CANCELLED},
                 {500, GRPC_INTERNAL},
                 {501, GRPC_UNIMPLEMENTED},
                 {503, GRPC_UNAVAILABLE},
                 {504, GRPC_DEADLINE_EXCEEDED}};
    if (http_status >= 200 && http_status < 300)
        return GRPC_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].http_status == http_status)
            return known[i].status;
    return GRPC_UNKNOWN;
}

size_t grpc_message_encode(char *out, struct text message)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *start = out;
    for (size_t i = 0; i < message.length; i++) {
        const unsigned char byte = (unsigned char)message.at[i];
        if (byte >= ' ' && byte <= '~' && byte != '%') {
            *out++ = (char)byte;
            continue;
        }
        *out++ = '%';
        *out++ = hex[byte >> 4];
        *out++ = hex[byte & 15];
    }
    return (size_t)(out - start);
}

/* Nanoseconds of a unit, 0: there is no such unit. */
static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'n':
        return 1;
    case 'u':
        return 1000;
    case 'm':
        return 1000000;
    case 'S':
        return 1000000000;
    case 'M':
        return 60 * 1000000000ull;
    case 'H':
        return 3600 * 1000000000ull;
    default:
        return 0;
    }
}

int grpc_timeout_read(struct text value, uint64_t *ret_ns, struct request_error *error)
{
    enum { MAX_DIGITS = 8 };
    const size_t n_digits = value.length ? value.length - 1 : 0;
    const uint64_t unit = value.length ? unit_ns(value.at[n_digits]) : 0;
    uint64_t number = 0;
    bool is_right = unit > 0 && n_digits >= 1 && n_digits <= MAX_DIGITS;
    for (size_t i = 0; is_right && i < n_digits; i++) {
        is_right = value.at[i] >= '0' && value.at[i] <= '9';
        number = 10 * number + (uint64_t)(value.at[i] - '0');
    }
    if (!is_right)
        return request_error_set(error, 400,
                                 "grpc-timeout is \"%.*s\"; expected 1 to 8 digits and a unit, H, "
                                 "M, S, m, u or n.",
                                 TEXT_SHOWN(value));
    if (__builtin_mul_overflow(number, unit, ret_ns))
        *ret_ns = UINT64_MAX;
    return 0;
}

/* ---- the prefix of a message ---- */

enum grpc_prefix_state grpc_prefix_read(struct grpc_prefix *prefix, struct text *data, size_t limit,
                                        struct request_error *error)
{
    const unsigned char *bytes = prefix->bytes;
    while (prefix->n < GRPC_PREFIX_BYTES && data->length > 0) {
        prefix->bytes[prefix->n++] = (unsigned char)*data->at++;
        data->length--;
    }
    if (prefix->n > 0 && bytes[0] > 1) {
        /* The status of a broken frame of gRPC is INTERNAL, whoever sent it. */
        request_error_set(error, 500,
                          "A message begins with the flag %u; expected 0, or 1 for a "
                          "compressed one.",
                          bytes[0]);
        return GRPC_PREFIX_WRONG;
    }
    if (prefix->n < GRPC_PREFIX_BYTES)
        return GRPC_PREFIX_CUT;
    prefix->is_compressed = bytes[0] == 1;
    prefix->length =
        (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
    if (prefix->length <= limit)
        return GRPC_PREFIX_WHOLE;
    request_error_set(error, 413, "The message is of %u bytes; at most %zu are read.",
                      prefix->length, limit);
    return GRPC_PREFIX_WRONG;
}

void grpc_prefix_write(char out[GRPC_PREFIX_BYTES], uint32_t length, bool is_compressed)
{
    out[0] = is_compressed;
    for (int i = 1; i < GRPC_PREFIX_BYTES; i++)
        out[i] = (char)(length >> (8 * (GRPC_PREFIX_BYTES - 1 - i)));
}
