/* SPDX-License-Identifier: Apache-2.0 */
/* log_settings.h: the settings that say how a click log is written, the same in every program. */
#ifndef DCNV2_TRAIN_LOG_SETTINGS_H
#define DCNV2_TRAIN_LOG_SETTINGS_H

#include "data/click_log.h"
#include "dcnv2.h"
#include "settings.h"

struct log_settings {
    const char *separator; /* as it was given, or NULL */
    struct dcnv2_columns header;
};

/* clang-format off */

/* For a table of settings of `type`, whose `member` is a struct log_settings. */
#define LOG_SETTINGS(type, member)                                                                 \
    {"separator", NULL, SETTING_AT(SETTING_TEXT, type, member.separator),                          \
     "between cells: comma, tab, semicolon, pipe, space, or a byte as : or \\x01 (found by the "    \
     "header)"},                                                                                   \
    {"header", NULL, SETTING_AT(SETTING_LIST, type, member.header),                                \
     "names of all cells, by commas, of files without a header line"}

/* clang-format on */

/* What is wrong with them, or NULL and *ret_form, which borrows their names. */
const char *log_settings_read(const struct log_settings *settings, struct log_form *ret_form);

#endif
