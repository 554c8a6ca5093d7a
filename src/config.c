/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum kind { KIND_TEXT, KIND_LIST, KIND_NUMBER, KIND_SWITCH, KIND_LEVEL, KIND_FORMAT, KIND_IGNORED };

/* One setting: where its value goes, and what --help says of it. */
struct setting {
    const char *flag;
    const char *variable; /* of the environment, or NULL */
    enum kind kind;
    size_t offset; /* in struct config; of a list: of its pointer, its count follows */
    unsigned long least, most;
    unsigned size; /* of a number, in bytes */
    const char *help;
};

#define AT(member) offsetof(struct config, member)
#define NUMBER(member, least, most)                                                                \
    KIND_NUMBER, AT(member), least, most, sizeof(((struct config *)0)->member)
#define OTHER(kind, member) kind, AT(member), 0, 0, 0

static const struct setting settings[] = {
    {"http_port", NULL, NUMBER(http_port, 1, 65535), "port to listen on (8080)"},
    {"model_name", NULL, OTHER(KIND_TEXT, model_name), "the model's name in the paths (dcnv2)"},
    {"model-path", "MODEL_PATH", OTHER(KIND_TEXT, model_path),
     "PyTorch state dict, or what dcnv2-convert made of both (/mnt/models/model_weights.pth)"},
    {"encoder-path", "ENCODER_PATH", OTHER(KIND_TEXT, encoder_path),
     "scikit-learn's fitted encoders (/mnt/models/preprocess_metadata.pkl)"},
    {"dense-cols", "DENSE_COLS", OTHER(KIND_LIST, dense_columns),
     "dense columns, by commas or as separate arguments (those of the encoder file)"},
    {"sparse-cols", "SPARSE_COLS", OTHER(KIND_LIST, sparse_columns),
     "category columns, in the order of the embeddings (those of the encoder file)"},
    {"workers", NULL, NUMBER(n_workers, 1, 1024), "worker threads (the container's CPUs)"},
    {"max_body_bytes", NULL, NUMBER(max_body_bytes, 1024, 1ul << 30),
     "largest request body, also once inflated (16777216)"},
    {"max_rows", NULL, NUMBER(max_rows, 1, 10000000), "most rows in a request (100000)"},
    {"max_connections", NULL, NUMBER(max_connections, 2, 65535), "open connections (512)"},
    {"header_timeout", NULL, NUMBER(header_timeout_s, 1, 86400),
     "seconds for a request's header, in all (10)"},
    {"body_timeout", NULL, NUMBER(body_timeout_s, 1, 86400),
     "seconds for its body, and for taking the reply, in all (60)"},
    {"idle_timeout", NULL, NUMBER(idle_timeout_s, 1, 86400),
     "seconds that an idle connection is kept (120)"},
    {"grace_period", NULL, NUMBER(grace_period_s, 0, 86400),
     "seconds that requests under way have after SIGTERM (30)"},
    {"drain_wait", NULL, NUMBER(drain_wait_s, 0, 86400),
     "seconds to go on accepting after SIGTERM (0)"},
    {"enable_model_repository", NULL, OTHER(KIND_SWITCH, enable_model_repository),
     "answer the load and unload requests of v2 (false)"},
    {"access_log", NULL, OTHER(KIND_SWITCH, access_log), "one log line a request (false)"},
    {"log_level", NULL, OTHER(KIND_LEVEL, log_level), "debug, info, warning or error (info)"},
    {"log_format", NULL, OTHER(KIND_FORMAT, log_format), "text or json (text)"},
    /* KServe's own that have no meaning here: accepted, so that an existing serve.yaml starts. */
    {"protocol", "PROTOCOL", OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"grpc_port", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"max_threads", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"max_asyncio_workers", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"enable_grpc", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"enable_docs_url", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"enable_latency_logging", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"configure_logging", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"log_config_file", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"access_log_format", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"event-loop", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"timeout-keep-alive", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"predictor_host", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"predictor_protocol", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"predictor_use_ssl", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"predictor_request_timeout_seconds", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"predictor_request_retries", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"enable_predictor_health_check", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"grpc_max_send_message_length", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
    {"grpc_max_receive_message_length", NULL, OTHER(KIND_IGNORED, ignored_flag), NULL},
};

enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

static const struct config defaults = {
    .http_port = 8080,
    .model_name = "dcnv2",
    .model_path = "/mnt/models/model_weights.pth",
    .encoder_path = "/mnt/models/preprocess_metadata.pkl",
    .max_body_bytes = 16 << 20,
    .max_rows = 100000,
    .max_connections = 512,
    .header_timeout_s = 10,
    .body_timeout_s = 60,
    .idle_timeout_s = 120,
    .grace_period_s = 30,
    .log_level = LOG_LEVEL_INFO,
    .log_format = LOG_FORMAT_TEXT,
};

struct config_reader {
    struct config *config;
    struct arena *arena;
    char *message;
    size_t message_size;
};

/* `shown`: the flag with its dashes, or the variable. Returns -1. */
static int wrong(struct config_reader *reader, const char *shown, const char *value,
                 const char *reason)
{
    snprintf(reader->message, reader->message_size, "%s%s%.60s: %s", shown, *value ? "=" : "",
             value, reason);
    for (char *at = reader->message; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    return -1;
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

/* Appends the names in a text of names separated by commas. A name may hold spaces inside. */
static int add_names(struct config_reader *reader, const struct setting *setting, const char *shown,
                     const char *value)
{
    const char ***list = (const char ***)((char *)reader->config + setting->offset);
    size_t *n = (size_t *)(list + 1);
    const char *at = value;
    for (;;) {
        at += strspn(at, " ");
        const size_t length = strcspn(at, ",");
        size_t kept = length;
        while (kept > 0 && at[kept - 1] == ' ')
            kept--;
        if (kept == 0)
            return wrong(reader, shown, value, "an empty column name");
        const char **grown = arena_calloc(reader->arena, *n + 1, sizeof *grown);
        char *name = arena_copy_text(reader->arena, at, kept);
        if (grown == NULL || name == NULL)
            return wrong(reader, shown, "", "out of memory");
        for (size_t i = 0; i < *n; i++) {
            if (strcmp((*list)[i], name) == 0)
                return wrong(reader, shown, name, "the column is named twice");
            grown[i] = (*list)[i];
        }
        grown[(*n)++] = name;
        *list = grown;
        at += length;
        if (*at++ == '\0')
            return 0;
    }
}

static int set_number(struct config_reader *reader, const struct setting *setting,
                      const char *shown, const char *value)
{
    unsigned long number;
    if (!parse_number(value, &number) || number < setting->least || number > setting->most) {
        char reason[96];
        snprintf(reason, sizeof reason, "expected a whole number from %lu to %lu", setting->least,
                 setting->most);
        return wrong(reader, shown, value, reason);
    }
    char *place = (char *)reader->config + setting->offset;
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

static int set_value(struct config_reader *reader, const struct setting *setting, const char *shown,
                     const char *value)
{
    char *place = (char *)reader->config + setting->offset;
    if (*value == '\0')
        return wrong(reader, shown, value, "the value is empty");
    switch (setting->kind) {
    case KIND_TEXT:
    case KIND_IGNORED: {
        const char *text = setting->kind == KIND_TEXT ? value : shown;
        memcpy(place, &text, sizeof text);
        return 0;
    }
    case KIND_LIST:
        return add_names(reader, setting, shown, value);
    case KIND_NUMBER:
        return set_number(reader, setting, shown, value);
    case KIND_SWITCH:
        return parse_switch(value, (bool *)place)
                   ? 0
                   : wrong(reader, shown, value, "expected true or false");
    case KIND_LEVEL:
        return log_level_parse(value, (enum log_level *)place)
                   ? 0
                   : wrong(reader, shown, value, "expected debug, info, warning or error");
    case KIND_FORMAT:
        return log_format_parse(value, (enum log_format *)place)
                   ? 0
                   : wrong(reader, shown, value, "expected text or json");
    }
    return -1;
}

/* ---- where values come from ---- */

static int read_environment(struct config_reader *reader)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const char *value = settings[i].variable ? getenv(settings[i].variable) : NULL;
        if (value && set_value(reader, &settings[i], settings[i].variable, value) != 0)
            return -1;
    }
    reader->config->ignored_flag =
        NULL; /* PROTOCOL is for KServe's controller: nothing to report */
    return 0;
}

/* The setting of "--flag" or "--flag=value"; *ret_value: what stands behind '=', or NULL. */
static const struct setting *find_flag(const char *argument, const char **ret_value)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    const char *name = argument + 2;
    const size_t length = strcspn(name, "=");
    *ret_value = name[length] ? name + length + 1 : NULL;
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (strlen(settings[i].flag) == length && memcmp(settings[i].flag, name, length) == 0)
            return &settings[i];
    return NULL;
}

/* One flag with its values, from argv[i]; returns how many arguments it took, -1: wrong. */
static int read_flag(struct config_reader *reader, int argc, char **argv, int i,
                     uint8_t seen[N_SETTINGS])
{
    const char *value;
    const struct setting *setting = find_flag(argv[i], &value);
    if (setting == NULL)
        return wrong(reader, argv[i], "", "unknown flag; see --help");
    char *shown = arena_copy_text(reader->arena, argv[i], strcspn(argv[i], "="));
    if (shown == NULL)
        return wrong(reader, argv[i], "", "out of memory");
    uint8_t *given = &seen[setting - settings];
    if (setting->kind == KIND_LIST && !*given) { /* a flag replaces what the environment says */
        const char ***list = (const char ***)((char *)reader->config + setting->offset);
        *list = NULL;
        *(size_t *)(list + 1) = 0;
    }
    if (*given)
        return wrong(reader, shown, "", "given twice");
    *given = 1;
    if (value)
        return set_value(reader, setting, shown, value) == 0 ? 1 : -1;
    if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0) {
        if (setting->kind != KIND_IGNORED) /* some of KServe's switches take no value */
            return wrong(reader, shown, "", "the value is missing");
        reader->config->ignored_flag = shown;
        return 1;
    }
    int taken = 1;
    do {
        if (set_value(reader, setting, shown, argv[i + taken]) != 0)
            return -1;
        taken++;
    } while (setting->kind == KIND_LIST && i + taken < argc &&
             strncmp(argv[i + taken], "--", 2) != 0);
    return taken;
}

enum config_result config_read(struct config *config, struct arena *arena, int argc, char **argv,
                               char *message, size_t message_size)
{
    struct config_reader reader = {config, arena, message, message_size};
    uint8_t seen[N_SETTINGS] = {0};
    *config = defaults;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return CONFIG_SHOW_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return CONFIG_SHOW_VERSION;
    }
    if (read_environment(&reader) != 0)
        return CONFIG_WRONG;
    for (int i = 1; i < argc;) {
        const int taken = read_flag(&reader, argc, argv, i, seen);
        if (taken < 0)
            return CONFIG_WRONG;
        i += taken;
    }
    return CONFIG_RUN;
}

void config_print_help(FILE *out)
{
    fputs("usage: dcnv2-server [--flag value | --flag=value] ..\n\n"
          "Serves a DCNv2 click-through-rate model over KServe's v1 and v2 protocols.\n\n",
          out);
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (settings[i].kind != KIND_IGNORED)
            fprintf(out, "  --%-24s %-13s %s\n", settings[i].flag,
                    settings[i].variable ? settings[i].variable : "", settings[i].help);
    fputs("  --help, --version\n\n"
          "The second column is the environment variable of the same meaning; a flag beats it.\n"
          "DCNV2_CPU=scalar|avx2|avx512 forces an instruction set. KServe's other flags are "
          "accepted\n"
          "and do nothing.\n",
          out);
}
