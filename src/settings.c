/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

struct reading {
    const struct settings *settings;
    void *target;
    struct arena *arena;
    char *message;
    size_t message_size;
};

/* Returns -1. */
static int end_message(const struct reading *reading)
{
    char *message = reading->message;
    message[text_make_printable(message, strlen(message), true)] = '\0';
    return -1;
}

/* `shown`: the flag with its dashes, or the variable. Returns -1. */
static int wrong(const struct reading *reading, const char *shown, const char *value,
                 const char *reason)
{
    snprintf(reading->message, reading->message_size, "%s%s%.60s: %s", shown, *value ? "=" : "",
             value, reason);
    return end_message(reading);
}

static char *place_of(const struct reading *reading, const struct setting *setting)
{
    return (char *)reading->target + setting->offset;
}

/* ---- values ---- */

static bool parse_number(const char *value, unsigned long *ret_number)
{
    if (!isdigit((unsigned char)*value))
        return false;
    char *end;
    errno = 0;
    *ret_number = strtoul(value, &end, 10);
    return errno == 0 && *end == '\0';
}

/* As KServe's strtobool. */
static bool parse_switch(const char *value, bool *ret_switch)
{
    static const char *const yes[] = {"y", "yes", "t", "true", "on", "1"};
    static const char *const no[] = {"n", "no", "f", "false", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *ret_switch = strcasecmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* The value that may follow a SETTING_FLAG. Other words of a switch may be files' names. */
static bool is_true_or_false(const char *argument)
{
    return argument && (strcmp(argument, "true") == 0 || strcmp(argument, "false") == 0);
}

static bool is_list(const struct setting *setting)
{
    return setting->kind == SETTING_LIST || setting->kind == SETTING_PATHS;
}

static int out_of_memory(const struct reading *reading, const char *shown)
{
    return wrong(reading, shown, "", "out of memory");
}

static int add_name(const struct reading *reading, const struct setting *setting, const char *shown,
                    const char *at, size_t length)
{
    const char *const **list = (const char *const **)place_of(reading, setting);
    size_t *n = (size_t *)(list + 1);
    const char **grown = arena_calloc(reading->arena, *n + 1, sizeof *grown);
    char *name = arena_copy_text(reading->arena, at, length);
    if (grown == NULL || name == NULL)
        return out_of_memory(reading, shown);
    for (size_t i = 0; i < *n; i++) {
        if (strcmp((*list)[i], name) == 0 && setting->kind == SETTING_IGNORED)
            return 0;
        if (strcmp((*list)[i], name) == 0)
            return wrong(reading, shown, name,
                         setting->kind == SETTING_LIST ? "the column is named twice"
                                                       : "the file is named twice");
        grown[i] = (*list)[i];
    }
    grown[(*n)++] = name;
    *list = grown;
    return 0;
}

/* The length of a name in quotes, without them and with two of them as one, from *at to `out`; *at
 * moves behind the last quote. SIZE_MAX: there is none. */
static size_t unquote(const char **at, char *out)
{
    size_t length = 0;
    for (const char *from = *at + 1; *from; from++) {
        if (*from == '"' && *++from != '"') {
            *at = from;
            return length;
        }
        out[length++] = *from;
    }
    return SIZE_MAX;
}

/* The next name from *at to `out`; *at moves to the comma behind it, or to the end. Returns why
 * there is none, or NULL. */
static const char *take_name(const char **at, char *out, size_t *ret_length)
{
    *at += strspn(*at, " ");
    if (**at == '"') {
        *ret_length = unquote(at, out);
        if (*ret_length == SIZE_MAX)
            return "a quote is not closed";
        *at += strspn(*at, " ");
        if (**at && **at != ',')
            return "a comma is missing behind a name in quotes";
    } else {
        const size_t length = strcspn(*at, ",");
        memcpy(out, *at, length);
        *at += length;
        *ret_length = length;
        while (*ret_length > 0 && out[*ret_length - 1] == ' ')
            (*ret_length)--;
    }
    return *ret_length == 0 ? "an empty column name" : NULL;
}

/* Appends the names in a text of names separated by commas. A name may hold spaces inside, and
 * anything within quotes, as a cell of CSV. */
static int add_names(const struct reading *reading, const struct setting *setting,
                     const char *shown, const char *value)
{
    char *name = arena_copy_text(reading->arena, value, strlen(value)); /* room for any of them */
    if (name == NULL)
        return out_of_memory(reading, shown);
    const char *at = value;
    for (;;) {
        size_t length;
        const char *fault = take_name(&at, name, &length);
        if (fault)
            return wrong(reading, shown, value, fault);
        if (add_name(reading, setting, shown, name, length) != 0)
            return -1;
        if (*at++ == '\0')
            return 0;
    }
}

static int set_number(const struct reading *reading, const struct setting *setting,
                      const char *shown, const char *value)
{
    unsigned long number;
    if (!parse_number(value, &number) || number < setting->least || number > setting->most) {
        char reason[96];
        snprintf(reason, sizeof reason, "expected a whole number from %lu to %lu", setting->least,
                 setting->most);
        return wrong(reading, shown, value, reason);
    }
    char *place = place_of(reading, setting);
    const uint16_t half = (uint16_t)number;
    const uint32_t word = (uint32_t)number;
    if (setting->size == sizeof half)
        memcpy(place, &half, sizeof half);
    else if (setting->size == sizeof word)
        memcpy(place, &word, sizeof word);
    else
        memcpy(place, &number, sizeof number);
    return 0;
}

static int set_real(const struct reading *reading, const struct setting *setting, const char *shown,
                    const char *value)
{
    char *end;
    const double number = strtod(value, &end);
    if (isspace((unsigned char)*value) || *end != '\0' || !isfinite(number) || number <= 0)
        return wrong(reading, shown, value, "expected a number above 0");
    memcpy(place_of(reading, setting), &number, sizeof number);
    return 0;
}

static int set_choice(const struct reading *reading, const struct setting *setting,
                      const char *shown, const char *value)
{
    char reason[128];
    const char *at = setting->choices;
    for (unsigned i = 0;; i++) {
        const size_t length = strcspn(at, "|");
        if (strlen(value) == length && strncasecmp(value, at, length) == 0) {
            memcpy(place_of(reading, setting), &i, sizeof i);
            return 0;
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    size_t n = (size_t)snprintf(reason, sizeof reason, "expected ");
    for (at = setting->choices; *at && n < sizeof reason - 8;) {
        const size_t length = strcspn(at, "|");
        n += (size_t)snprintf(reason + n, sizeof reason - n, "%.*s%s", (int)length, at,
                              at[length] == '\0'             ? ""
                              : strchr(at + length + 1, '|') ? ", "
                                                             : " or ");
        at += length + (at[length] != '\0');
    }
    return wrong(reading, shown, value, reason);
}

static int set_value(const struct reading *reading, const struct setting *setting,
                     const char *shown, const char *value)
{
    char *place = place_of(reading, setting);
    if (*value == '\0')
        return wrong(reading, shown, value, "the value is empty");
    switch (setting->kind) {
    case SETTING_TEXT:
        memcpy(place, &value, sizeof value);
        return 0;
    case SETTING_IGNORED:
        return add_name(reading, setting, shown, shown, strlen(shown));
    case SETTING_LIST:
        return add_names(reading, setting, shown, value);
    case SETTING_PATHS:
        return add_name(reading, setting, shown, value, strlen(value));
    case SETTING_NUMBER:
        return set_number(reading, setting, shown, value);
    case SETTING_REAL:
        return set_real(reading, setting, shown, value);
    case SETTING_SWITCH:
    case SETTING_FLAG:
        return parse_switch(value, (bool *)place)
                   ? 0
                   : wrong(reading, shown, value, "expected true or false");
    case SETTING_CHOICE:
        return set_choice(reading, setting, shown, value);
    }
    return -1;
}

/* ---- where values come from ---- */

static int read_environment(const struct reading *reading)
{
    for (size_t i = 0; i < reading->settings->n; i++) {
        const struct setting *setting = &reading->settings->all[i];
        const char *value = setting->variable ? getenv(setting->variable) : NULL;
        /* What is ignored is there for others to read: nothing to report. */
        if (value && setting->kind != SETTING_IGNORED &&
            set_value(reading, setting, setting->variable, value) != 0)
            return -1;
    }
    return 0;
}

/* ---- flags by name ---- */

enum { NAME_MAX_BYTES = 64 };

static bool is_name(const char *flag, const char *name, size_t length)
{
    size_t i = 0;
    while (i < length && flag[i] && text_is_same_byte(flag[i], name[i]))
        i++;
    return i == length && flag[i] == '\0';
}

/* Whether an argument is a flag, not a value. "-" is neither, and means a file to some. */
static bool looks_like_flag(const char *argument)
{
    return *argument == '-' && argument[1] != '\0';
}

/* The setting of "--flag" or "--flag=value"; *ret_value: what stands behind '=', or NULL. */
static const struct setting *find_flag(const struct reading *reading, const char *argument,
                                       const char **ret_value)
{
    const bool is_flag = looks_like_flag(argument);
    const char *name = argument + (strncmp(argument, "--", 2) == 0 ? 2 : 1);
    const size_t length = strcspn(name, "=");
    *ret_value = is_flag && name[length] ? name + length + 1 : NULL;
    for (size_t i = 0; i < reading->settings->n; i++) {
        const char *flag = reading->settings->all[i].flag;
        if (!is_flag
                ? flag == NULL
                : flag && is_name(flag, name, length) && (length == 1) == (name == argument + 1))
            return &reading->settings->all[i];
    }
    return NULL;
}

/* The flag that is nearest to a misspelt one, or NULL. */
static const char *find_nearest(const struct reading *reading, const char *name, size_t length)
{
    const char *nearest = NULL;
    unsigned edits = TEXT_NOT_NEAR;
    for (size_t i = 0; i < reading->settings->n; i++) {
        const struct setting *setting = &reading->settings->all[i];
        if (setting->flag && setting->kind != SETTING_IGNORED &&
            text_is_nearer((struct text){name, length}, setting->flag, &edits))
            nearest = setting->flag;
    }
    return nearest;
}

static int unknown_flag(const struct reading *reading, const char *argument)
{
    const char *name = argument + strspn(argument, "-");
    const size_t length = strcspn(name, "=");
    const int shown = (int)(name + length - argument);
    const char *nearest = find_nearest(reading, name, length);
    if (nearest)
        snprintf(reading->message, reading->message_size, "unknown flag %.*s; did you mean %s%s?",
                 shown, argument, nearest[1] ? "--" : "-", nearest);
    else if (*argument != '-')
        snprintf(reading->message, reading->message_size,
                 "\"%.60s\" belongs to no flag; see --help", argument);
    else
        snprintf(reading->message, reading->message_size, "unknown flag %.*s; see --help",
                 shown < NAME_MAX_BYTES ? shown : NAME_MAX_BYTES, argument);
    return end_message(reading);
}

/* Whether arguments may belong to no flag: a list then ends with its first one. */
static bool has_plain_arguments(const struct reading *reading)
{
    for (size_t i = 0; i < reading->settings->n; i++)
        if (reading->settings->all[i].flag == NULL)
            return true;
    return false;
}

/* A flag replaces what the environment or the defaults say. */
static void empty_list(const struct reading *reading, const struct setting *setting)
{
    const char *const **list = (const char *const **)place_of(reading, setting);
    *list = NULL;
    *(size_t *)(list + 1) = 0;
}

static int missing_value(const struct reading *reading, const char *shown, const char *next)
{
    char reason[160] = "the value is missing";
    if (next)
        snprintf(reason, sizeof reason,
                 "the value is missing; one that begins with '-' is written %.60s=VALUE", shown);
    return wrong(reading, shown, "", reason);
}

/* One flag with its values, from argv[i]; returns how many arguments it took, -1: wrong. What it
 * set before is replaced. */
static int read_flag(const struct reading *reading, int argc, char **argv, int i, uint8_t *seen)
{
    const char *value;
    const struct setting *setting = find_flag(reading, argv[i], &value);
    if (setting == NULL)
        return unknown_flag(reading, argv[i]);
    if (setting->flag == NULL)
        return set_value(reading, setting, argv[i], argv[i]) == 0 ? 1 : -1;
    char *shown = arena_copy_text(reading->arena, argv[i], strcspn(argv[i], "="));
    if (shown == NULL)
        return out_of_memory(reading, argv[i]);
    uint8_t *given = &seen[setting - reading->settings->all];
    if (*given && setting->kind == SETTING_PATHS)
        return wrong(reading, shown, "", "given twice; name all files behind one of them");
    *given = 1;
    if (is_list(setting))
        empty_list(reading, setting);
    if (value)
        return set_value(reading, setting, shown, value) == 0 ? 1 : -1;
    const char *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (setting->kind == SETTING_FLAG && !is_true_or_false(next))
        return set_value(reading, setting, shown, "true") == 0 ? 1 : -1;
    if (next == NULL || looks_like_flag(next)) {
        if (setting->kind != SETTING_IGNORED) /* some of KServe's switches take no value */
            return missing_value(reading, shown, next);
        return set_value(reading, setting, shown, shown) == 0 ? 1 : -1;
    }
    const bool takes_several = is_list(setting) && !has_plain_arguments(reading);
    int taken = 1;
    do {
        if (set_value(reading, setting, shown, argv[i + taken]) != 0)
            return -1;
        taken++;
    } while (takes_several && i + taken < argc && !looks_like_flag(argv[i + taken]));
    return taken;
}

enum settings_result settings_read(const struct settings *settings, void *target,
                                   struct arena *arena, int argc, char **argv, char *message,
                                   size_t message_size)
{
    const struct reading reading = {settings, target, arena, message, message_size};
    uint8_t *seen = arena_calloc(arena, settings->n, 1);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return SETTINGS_SHOW_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return SETTINGS_SHOW_VERSION;
    }
    int status = seen ? read_environment(&reading) : out_of_memory(&reading, "settings");
    for (int i = 1; i < argc && status == 0;) {
        const int taken = read_flag(&reading, argc, argv, i, seen);
        status = taken < 0 ? -1 : 0;
        i += taken;
    }
    if (status == 0)
        return SETTINGS_RUN;
    return arena->starved ? SETTINGS_FAILED : SETTINGS_WRONG;
}

void settings_print_help(const struct settings *settings, FILE *out)
{
    for (size_t i = 0; i < settings->n; i++) {
        const struct setting *setting = &settings->all[i];
        if (setting->help == NULL)
            continue;
        const char *dashes = setting->flag == NULL ? "" : setting->flag[1] ? "--" : "-";
        const char *name = setting->flag ? setting->flag : "FILE ..";
        fprintf(out, "  %s%-*s %-13s %s\n", dashes, 26 - (int)strlen(dashes), name,
                setting->variable ? setting->variable : "", setting->help);
    }
}
