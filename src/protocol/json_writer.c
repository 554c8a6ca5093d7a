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

char *write_json_string(char *at, struct text text)
{
    static const char hex[] = "0123456789abcdef";
    *at++ = '"';
    for (size_t i = 0; i < text.length; i++) {
        const unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c >= 0x20 && c != 0x7F) {
            *at++ = (char)c;
        } else {
            at = write_raw(at, "\\u00");
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        }
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
