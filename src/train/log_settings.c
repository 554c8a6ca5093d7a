/* SPDX-License-Identifier: Apache-2.0 */
#include "train/log_settings.h"

#include <string.h>
#include <strings.h>

#include "text.h"

/* What cannot stand between cells: line ends, the quote, NUL, half of a character. */
static bool can_separate(int byte)
{
    return byte > 0 && byte < 0x80 && byte != '"' && byte != '\n' && byte != '\r';
}

/* The byte that "\x01" names, or -1. */
static int read_escape(const char *text)
{
    if (strlen(text) != 4 || text[0] != '\\' || text[1] != 'x')
        return -1;
    const int high = text_hex_digit(text[2]), low = text_hex_digit(text[3]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* The byte that a setting names, or -1. */
static int read_separator(const char *text)
{
    static const struct {
        const char *name;
        char byte;
    } names[] = {{"comma", ','}, {"tab", '\t'},  {"semicolon", ';'},
                 {"pipe", '|'},  {"space", ' '}, {"\\t", '\t'}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(text, names[i].name) == 0)
            return names[i].byte;
    return strlen(text) == 1 ? (unsigned char)*text : read_escape(text);
}

const char *log_settings_read(const struct log_settings *settings, struct log_form *ret_form)
{
    *ret_form = (struct log_form){.header = settings->header.names,
                                  .n_header = (uint32_t)settings->header.n};
    if (settings->separator == NULL)
        return NULL;
    const int byte = read_separator(settings->separator);
    if (!can_separate(byte))
        return "--separator: expected comma, tab, semicolon, pipe, space, or one byte of ASCII but "
               "for quotes and line ends, as it is or as \\x01";
    ret_form->separator = (char)byte;
    return NULL;
}
