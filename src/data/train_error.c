/* SPDX-License-Identifier: Apache-2.0 */
#include "data/train_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

int train_error_set(struct train_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    const bool is_cut = length >= (int)sizeof error->message;
    const size_t shown = strlen(error->message);
    error->message[text_make_printable(error->message, shown, is_cut)] = '\0';
    return -1;
}

int train_error_memory(struct train_error *error)
{
    return train_error_set(error, "out of memory");
}
