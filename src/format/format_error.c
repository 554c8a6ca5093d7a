/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

enum { PLACE_MAX = 32 }; /* " at byte N" */

/* Whatever would break the line, or is not text, becomes '?'; a cut character at the end goes. */
static size_t make_printable(char *text, size_t length, bool cut)
{
    for (size_t i = 0; i < length; i++) {
        const size_t valid = text_utf8_valid_length(text + i, length - i);
        for (const size_t end = i + valid; i < end; i++)
            if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
                text[i] = '?';
        if (i < length && cut && length - i < 4)
            return i;
        if (i < length)
            text[i] = '?';
    }
    return length;
}

int format_error_set(struct format_error *error, long long offset, const char *format, ...)
{
    const size_t room = sizeof error->message - PLACE_MAX;
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(error->message, room, format, arguments);
    va_end(arguments);
    const bool cut = wanted < 0 || (size_t)wanted >= room;
    const size_t length = make_printable(error->message, strlen(error->message), cut);
    if (offset != FORMAT_NO_OFFSET)
        snprintf(error->message + length, PLACE_MAX, " at byte %lld", offset);
    else
        error->message[length] = '\0';
    return -1;
}
