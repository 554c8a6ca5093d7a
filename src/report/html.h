/* SPDX-License-Identifier: Apache-2.0 */
/* html.h: texts and numbers as people read them, in HTML. */
#ifndef DCNV2_REPORT_HTML_H
#define DCNV2_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

/* As text or as the value of an attribute: nothing in it is markup. */
void html_text(FILE *out, const char *text);

/* "1,234,567" */
void html_count(FILE *out, uint64_t count);

/* With so many decimals; a dash for what is not known. */
void html_number(FILE *out, double value, int n_decimals);

/* "12.3 %" of `whole`; "0 %" is none at all; a dash where there is no whole. */
void html_share(FILE *out, uint64_t part, uint64_t whole);

/* "0.8 s", "3 min 20 s", "2 h 05 min" */
void html_duration(FILE *out, double seconds);

#endif
