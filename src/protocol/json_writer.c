/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/json_writer.h"

char *write_unsigned(char *at, unsigned long long value)
{
    char reversed[20];
    int n = 0;
    do
        reversed[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0)
        *at++ = reversed[--n];
    return at;
}

/* "\u00e9", of a character of one to three bytes of UTF-8. */
static char *write_escaped(char *at, const char *character, size_t n_bytes)
{
    static const char hex[] = "0123456789abcdef";
    unsigned code = (unsigned char)character[0];
    if (n_bytes > 1)
        code &= n_bytes == 2 ? 0x1F : 0x0F;
    for (size_t i = 1; i < n_bytes; i++)
        code = code << 6 | ((unsigned char)character[i] & 0x3F);
    at = write_raw(at, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        *at++ = hex[code >> shift & 15];
    return at;
}

char *write_json_string(char *at, struct text text)
{
    *at++ = '"';
    for (size_t i = 0; i < text.length;) {
        const char c = text.at[i];
        const size_t n_control = text_control_bytes(text.at + i, text.length - i);
        if (n_control) {
            at = write_escaped(at, text.at + i, n_control);
            i += n_control;
            continue;
        }
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = c;
        i++;
    }
    *at++ = '"';
    return at;
}

size_t write_json_error(char *out, const char *message)
{
    char *at = write_raw(out, "{\"error\":");
    at = write_json_string(at, text_of(message));
    *at++ = '}';
    return (size_t)(at - out);
}
