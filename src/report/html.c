/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html.h"

#include <math.h>

#define UNKNOWN "\xe2\x80\x93"

void html_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        switch (byte) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default: /* a control character has no place in HTML */
            fputc(byte < ' ' || byte == 0x7f ? ' ' : byte, out);
        }
    }
}

void html_count(FILE *out, uint64_t count)
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            fputc(',', out);
        fputc(digits[i], out);
    }
}

void html_number(FILE *out, double value, int n_decimals)
{
    if (isfinite(value))
        fprintf(out, "%.*f", n_decimals, value);
    else
        fputs(UNKNOWN, out);
}

void html_share(FILE *out, uint64_t part, uint64_t whole)
{
    const double percent = whole ? 100 * (double)part / (double)whole : NAN;
    if (part == 0 && whole)
        fputs("0", out);
    else if (percent < 0.01)
        fputs("&lt; 0.01", out);
    else
        html_number(out, percent, percent < 1 ? 2 : 1);
    if (whole)
        fputs("&nbsp;%", out);
}

void html_duration(FILE *out, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e12)) {
        fputs(UNKNOWN, out);
        return;
    }
    const uint64_t whole = (uint64_t)(seconds + 0.5);
    const unsigned minutes = (unsigned)(whole / 60 % 60);
    if (seconds < 59.95)
        fprintf(out, "%.1f s", seconds);
    else if (whole < 3600)
        fprintf(out, "%u min %u s", minutes, (unsigned)(whole % 60));
    else
        fprintf(out, "%llu h %02u min", (unsigned long long)(whole / 3600), minutes);
}
