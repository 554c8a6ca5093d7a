/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

enum { PLACE_MAX = 32 }; /* " at byte N" */

int format_error_set(struct format_error *error, long long offset, const char *format, ...)
{
    error->out_of_memory = false;
    const size_t room = sizeof error->message - PLACE_MAX;
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(error->message, room, format, arguments);
    va_end(arguments);
    const bool cut = wanted < 0 || (size_t)wanted >= room;
    const size_t length = text_make_printable(error->message, strlen(error->message), cut);
    if (offset != FORMAT_NO_OFFSET)
        snprintf(error->message + length, PLACE_MAX, " at byte %lld", offset);
    else
        error->message[length] = '\0';
    return -1;
}

int format_error_memory(struct format_error *error)
{
    format_error_set(error, FORMAT_NO_OFFSET, "out of memory");
    error->out_of_memory = true;
    return -1;
}
