/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "source_settings.h"
#include "text.h"

#define NUMBER(member, least, most) SETTING_NUMBER_AT(struct config, member, least, most)
#define AT(kind, member)            SETTING_AT(kind, struct config, member)
#define CHOICE(member, choices)     SETTING_CHOICE_AT(struct config, member, choices)

enum { CORS_ORIGIN_MAX_BYTES = 255 }; /* a reply's head has room for it */

static const struct setting all[] = {
    {"http_port", NULL, NUMBER(http_port, 1, 65535), "port to listen on (8080)"},
    {"model_name", NULL, AT(SETTING_TEXT, model_name), "the model's name in the paths (dcnv2)"},
    SOURCE_SETTINGS(struct config, source,
                    "PyTorch state dict, or what dcnv2-convert made of both"),
    {"workers", NULL, NUMBER(n_workers, 1, 1024), "worker threads (the container's CPUs)"},
    {"max_body_bytes", NULL, NUMBER(max_body_bytes, 1024, 1ul << 30),
     "largest request body, also once inflated (16777216)"},
    {"max_rows", NULL, NUMBER(max_rows, 1, 10000000), "most rows in a request (100000)"},
    {"max_connections", NULL, NUMBER(max_connections, 2, 65535),
     "connections with requests (8192, or as the limit of open files allows)"},
    {"header_timeout", NULL, NUMBER(header_timeout_s, 1, 86400),
     "seconds for a request's header, in all (10)"},
    {"body_timeout", NULL, NUMBER(body_timeout_s, 1, 86400),
     "seconds for its body, and for taking the reply, in all (60)"},
    {"min_body_rate", NULL, NUMBER(min_body_rate, 0, 1ul << 30),
     "bytes per second that a body must bring, 10 s late at most; 0: none (1024)"},
    {"idle_timeout", NULL, NUMBER(idle_timeout_s, 1, 86400),
     "seconds that an idle connection is kept (120)"},
    {"grace_period", NULL, NUMBER(grace_period_s, 0, 86400),
     "seconds that requests under way have after SIGTERM (30)"},
    {"drain_wait", NULL, NUMBER(drain_wait_s, 0, 86400),
     "seconds to go on accepting after SIGTERM (0)"},
    {"cors_origin", NULL, AT(SETTING_TEXT, cors_origin),
     "origins whose pages may ask, by commas, or * for all (none)"},
    {"match_numbers", NULL, AT(SETTING_SWITCH, source.match_numbers),
     "find an id in another form of the same number: 884208.0 and 884208 (false)"},
    {"enable_model_repository", NULL, AT(SETTING_SWITCH, enable_model_repository),
     "answer the load and unload requests of v2 (false)"},
    {"ready_needs_model", NULL, AT(SETTING_SWITCH, ready_needs_model),
     "/v2/health/ready is 503 while no model is loaded (false: 200, as KServe's)"},
    {"access_log", NULL, AT(SETTING_SWITCH, access_log), "one log line per request (false)"},
    {"log_level", NULL, CHOICE(log_level, "debug|info|warning|error"),
     "debug, info, warning or error (info)"},
    {"log_format", NULL, CHOICE(log_format, "text|json"), "text or json (text)"},
    /* KServe's own that have no meaning here: accepted, so that an existing serve.yaml starts. Not
     * those that ask for TLS (--ssl_certfile): plain HTTP in its place would be no answer. */
    {"protocol", "PROTOCOL", AT(SETTING_IGNORED, ignored_flags), NULL},
    {"grpc_port", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"max_threads", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"max_asyncio_workers", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"enable_grpc", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"enable_docs_url", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"enable_latency_logging", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"configure_logging", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"log_config_file", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"access_log_format", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"event-loop", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"timeout-keep-alive", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"predictor_host", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"predictor_protocol", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"predictor_use_ssl", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"predictor_request_timeout_seconds", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"predictor_request_retries", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"enable_predictor_health_check", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"grpc_max_send_message_length", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"grpc_max_receive_message_length", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    /* Of KServe's ServingRuntimes for its own Python servers, 0.11 to 0.21. */
    {"model_dir", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"model_class_name", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"nthread", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"nthreads", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
    {"framework", NULL, AT(SETTING_IGNORED, ignored_flags), NULL},
};

static const struct config defaults = {
    .http_port = 8080,
    .model_name = "dcnv2",
    .source = SOURCE_DEFAULTS,
    .max_body_bytes = 16 << 20,
    .max_rows = 100000,
    .header_timeout_s = 10,
    .body_timeout_s = 60,
    .min_body_rate = 1024,
    .idle_timeout_s = 120,
    .grace_period_s = 30,
    .log_level = LOG_LEVEL_INFO,
    .log_format = LOG_FORMAT_TEXT,
};

static const struct settings settings = SETTINGS_OF(all);

/* SCHEME://HOST or SCHEME://HOST:PORT, as browsers write an origin. */
static bool is_origin(struct text origin)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    const char *behind = memmem(origin.at, origin.length, "://", 3);
    if (behind == NULL || behind == origin.at || origin.length > CORS_ORIGIN_MAX_BYTES)
        return false;
    behind += 3;
    for (const char *at = origin.at; at < origin.at + origin.length; at++)
        if (*at == '\0' || (strchr(letters, *at) == NULL && (at >= behind || *at != '/')))
            return false;
    return behind < origin.at + origin.length;
}

/* An origin that no browser sends would shut its pages out without a word. */
static enum settings_result check_origins(const struct config *config, char *message,
                                          size_t message_size)
{
    struct text list = text_of(config->cors_origin ? config->cors_origin : "*");
    if (text_is(list, "*"))
        return SETTINGS_RUN;
    while (list.length > 0) {
        const struct text origin = text_next_element(&list);
        if (is_origin(origin))
            continue;
        snprintf(message, message_size,
                 "--cors_origin=%.*s: expected * or origins such as https://example.com, by "
                 "commas: lower case, no path",
                 TEXT_SHOWN(origin));
        message[text_make_printable(message, strlen(message), false)] = '\0';
        return SETTINGS_WRONG;
    }
    return SETTINGS_RUN;
}

enum settings_result config_read(struct config *config, struct arena *arena, int argc, char **argv,
                                 char *message, size_t message_size)
{
    *config = defaults;
    const enum settings_result result =
        settings_read(&settings, config, arena, argc, argv, message, message_size);
    return result == SETTINGS_RUN ? check_origins(config, message, message_size) : result;
}

void config_print_help(FILE *out)
{
    fputs("usage: dcnv2-server [--flag value | --flag=value] ..\n\n"
          "Serves a DCNv2 click-through-rate model over KServe's v1 and v2 protocols.\n\n",
          out);
    settings_print_help(&settings, out);
    fputs("  --help, --version\n\n"
          "The second column is the environment variable of the same meaning; a flag beats it.\n"
          "Columns may also be given as separate arguments: --dense-cols price age.\n"
          "A flag given again replaces its earlier value. '-' and '_' in a flag's name are the "
          "same.\n"
          "DCNV2_CPU=scalar|avx2|avx512 forces an instruction set. KServe's other flags are\n"
          "accepted and do nothing; a line of the log names each.\n",
          out);
}
