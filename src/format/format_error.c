/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int format_error_set(struct format_error *error, long long offset, const char *format, ...) {
    const size_t size = sizeof error->message;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, size, format, arguments);
    va_end(arguments);
    for (char *at = error->message; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = '?';
    if (offset != FORMAT_NO_OFFSET) {
        const size_t length = strlen(error->message);
        snprintf(error->message + length, size - length, " at byte %lld", offset);
    }
    return -1;
}
