/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h: reads a program's settings from its command line and the environment.
 *
 * A program has a table of them, each naming where in a struct its value goes. A flag beats its
 * environment variable, which beats what the struct held before. "--flag value" and "--flag=value"
 * mean the same, and so do '-' and '_' inside a flag's name. An argument that begins with '-' is a
 * flag: it ends a list, and a value that begins so has to be given as "--flag=value".
 *
 * A list of columns is one record of CSV by commas: a name that holds a comma, or spaces around it,
 * stands in double quotes, and a quote within those is doubled.
 *
 * A flag that is given again replaces what it said before, a list of columns as a whole: KServe's
 * controller appends the user's arguments to its own. A list of files must be given once: rows
 * would be left out without a word.
 */
#ifndef DCNV2_SETTINGS_H
#define DCNV2_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "arena.h"

enum setting_kind {
    SETTING_TEXT,  /* const char * */
    SETTING_LIST,  /* struct dcnv2_columns, or its two members: names by commas or several arguments
                    */
    SETTING_PATHS, /* the same, by several arguments only: a file's name may hold a comma */
    SETTING_NUMBER, /* uint16_t to uint64_t, by `size` */
    SETTING_REAL,   /* double above 0 */
    SETTING_SWITCH, /* bool, as KServe's strtobool takes it */
    SETTING_FLAG,   /* the same, and true unless "true" or "false" follows */
    SETTING_CHOICE, /* unsigned: the place of the word in `choices` */
    SETTING_IGNORED /* accepted, perhaps with a value; its name is added to a list, with dashes */
};

struct setting {
    const char *flag;     /* without its dashes; NULL: the arguments that belong to no flag; lists
                           * are then given by commas only */
    const char *variable; /* of the environment, or NULL */
    enum setting_kind kind;
    size_t offset;             /* in the struct; of a list: of its pointer, its count follows */
    unsigned long least, most; /* of a number */
    unsigned size;             /* of a number, in bytes */
    const char *choices;       /* "debug|info|warning|error" */
    const char *help;          /* NULL: not shown */
};

/* For tables: SETTING_AT(SETTING_TEXT, struct config, model_path). */
#define SETTING_AT(kind, type, member) kind, offsetof(type, member), 0, 0, 0, NULL
#define SETTING_NUMBER_AT(type, member, least, most)                                               \
    SETTING_NUMBER, offsetof(type, member), least, most, sizeof(((type *)0)->member), NULL
#define SETTING_CHOICE_AT(type, member, choices)                                                   \
    SETTING_CHOICE, offsetof(type, member), 0, 0, sizeof(((type *)0)->member), choices

struct settings {
    const struct setting *all; /* [n] */
    size_t n;
};

#define SETTINGS_OF(all)                                                                           \
    {                                                                                              \
        all, sizeof(all) / sizeof((all)[0])                                                        \
    }

enum settings_result {
    SETTINGS_RUN,
    SETTINGS_SHOW_HELP,
    SETTINGS_SHOW_VERSION,
    SETTINGS_WRONG, /* the user's fault */
    SETTINGS_FAILED /* out of memory */
};

/*
 * Into *target, a struct with its defaults. --help, -h and --version anywhere beat all else.
 * Strings point into argv, the environment or the arena. *message: one line that names the flag or
 * variable, when something is wrong, and the nearest flag to an unknown one.
 */
enum settings_result settings_read(const struct settings *settings, void *target,
                                   struct arena *arena, int argc, char **argv, char *message,
                                   size_t message_size);

/* A line for each setting that has a help text. */
void settings_print_help(const struct settings *settings, FILE *out);

#endif
