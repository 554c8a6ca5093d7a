/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: the order of start and stop, and signals. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "cpus.h"
#include "http1/session.h"
#include "log.h"
#include "metrics.h"
#include "net/connection_list.h"
#include "net/server.h"
#include "registry.h"
#include "serve/routes.h"
#include "serve/service.h"
#include "source_settings.h"

enum { EXIT_WRONG_USAGE = 2, LARGE_BLOCK_BYTES = 128 * 1024 };

/* All that main owns. */
struct program {
    struct config config;
    struct arena arena;
    struct registry *registry;
    struct metrics *metrics;
    struct service *service;
    struct server *server;
    unsigned n_workers;
    sigset_t signals;
    const char **assumptions; /* [n_assumptions], of the first model */
    uint32_t n_assumptions;
    const char *note;
};

/* A standard stream that is closed would give its number to a socket, and log lines to a client. */
static void keep_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* The signals that end the server wait for the main thread; those of terminals and pipes are
 * ignored. */
static void set_up_signals(struct program *program)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&program->signals);
    sigaddset(&program->signals, SIGTERM);
    sigaddset(&program->signals, SIGINT);
    sigaddset(&program->signals, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &program->signals, NULL);
}

/* From now on a reload must find the columns that the first model had: metrics are by column, and
 * workers remember tensors by it. -1: out of memory. */
static int pin_columns(struct program *program, const struct schema *schema)
{
    const uint32_t n = schema_n_columns(schema);
    const char **names = arena_calloc(&program->arena, n + 1, sizeof *names);
    for (uint32_t i = 0; names && i < n; i++) {
        names[i] = arena_copy_text(&program->arena, schema->names[i].at, schema->names[i].length);
        if (names[i] == NULL)
            return -1;
    }
    if (names == NULL)
        return -1;
    program->config.source.sparse_columns = (struct dcnv2_columns){names, schema->n_sparse};
    program->config.source.dense_columns =
        (struct dcnv2_columns){names + schema->n_sparse, schema->n_dense};
    return 0;
}

static int load_model(struct program *program)
{
    program->registry = registry_create(&program->config.source, program->n_workers);
    if (program->registry == NULL) {
        fputs("dcnv2-server: out of memory\n", stderr);
        return -1;
    }
    struct dcnv2_error error;
    if (registry_load(program->registry, &error) != DCNV2_OK) {
        fprintf(stderr, "%s%s\n", error.message, source_hint(error.message));
        return -1;
    }
    return 0;
}

/* The text of the columns' names in the metrics outlives any model. */
static struct text *column_texts(struct program *program)
{
    const struct dcnv2_columns *columns = &program->config.source.sparse_columns;
    struct text *texts = arena_calloc(&program->arena, columns->n + 1, sizeof *texts);
    for (size_t i = 0; texts && i < columns->n; i++)
        texts[i] = text_of(columns->names[i]);
    return texts;
}

/* The model may be gone when they are told. -1: out of memory. */
static int keep_assumptions(struct program *program, const dcnv2_model *model)
{
    const struct network_spec *spec = &model->spec;
    program->assumptions =
        arena_calloc(&program->arena, spec->n_assumptions + 1, sizeof *program->assumptions);
    for (uint32_t i = 0; program->assumptions && i < spec->n_assumptions; i++) {
        const struct text text = spec->assumptions[i];
        program->assumptions[i] = arena_copy_text(&program->arena, text.at, text.length);
        if (program->assumptions[i] == NULL)
            return -1;
    }
    program->n_assumptions = spec->n_assumptions;
    if (model->note)
        program->note = arena_copy_text(&program->arena, model->note, strlen(model->note));
    return program->assumptions && (program->note || !model->note) ? 0 : -1;
}

static int start_server(struct program *program)
{
    char message[256];
    /* No worker uses this place in the registry yet. */
    const dcnv2_model *model = registry_acquire(program->registry, 0);
    const int pinned =
        pin_columns(program, &model->encoder.schema) == 0 ? keep_assumptions(program, model) : -1;
    registry_release(program->registry, 0);
    struct text *columns = pinned == 0 ? column_texts(program) : NULL;
    program->metrics = metrics_create(program->n_workers, program->config.model_name, route_names,
                                      N_ROUTES, connection_phase_names, columns,
                                      (uint32_t)program->config.source.sparse_columns.n);
    if (columns == NULL || program->metrics == NULL) {
        fputs("dcnv2-server: out of memory\n", stderr);
        return -1;
    }
    program->service =
        service_create(&program->config, program->n_workers, program->registry, program->metrics);
    if (program->service == NULL) {
        fputs("dcnv2-server: out of memory\n", stderr);
        return -1;
    }
    const struct server_setup setup = {.config = &program->config,
                                       .n_workers = program->n_workers,
                                       .metrics = program->metrics,
                                       .budget = &program->service->budget,
                                       .session = &http1_session,
                                       .thread_of = service_thread_of,
                                       .end_turn = service_end_turn,
                                       .has_work = service_has_work,
                                       .service = program->service};
    program->server = server_start(&setup, message, sizeof message);
    if (program->server == NULL) {
        fprintf(stderr, "dcnv2-server: %s\n", message);
        return -1;
    }
    return 0;
}

/* Until a signal asks to stop. */
static void serve(struct program *program)
{
    int number;
    while (sigwait(&program->signals, &number) != 0)
        ;
}

static void end_at_once(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

/* A second signal ends the process wherever it is. */
static void arm_second_signal(struct program *program)
{
    signal(SIGTERM, end_at_once);
    signal(SIGINT, end_at_once);
    signal(SIGQUIT, end_at_once);
    pthread_sigmask(SIG_UNBLOCK, &program->signals, NULL);
}

/* What is assumed of the first model, and may be wrong. */
static void tell_assumptions(const struct program *program)
{
    for (uint32_t i = 0; i < program->n_assumptions; i++)
        log_event(LOG_LEVEL_INFO, "assumed, since no file tells: %s", program->assumptions[i]);
    if (program->note)
        log_event(LOG_LEVEL_INFO, "%s", program->note);
    const char *golden = program->config.source.golden;
    if (golden && strcmp(golden, GOLDEN_NONE) == 0)
        log_event(LOG_LEVEL_WARNING, "--golden none: no golden set is checked, whatever the model "
                                     "scores");
}

static int run(struct program *program, uint64_t start_ns)
{
    const struct config *config = &program->config;
    keep_standard_streams();
    set_up_signals(program);
    /* A fixed threshold: what the loading of a model took in large pieces goes back whole. */
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
    program->n_workers = config->n_workers ? config->n_workers : cpus_available();
    if (load_model(program) != 0)
        return EXIT_FAILURE;
    if (log_start(config->log_level, config->log_format) != 0) {
        fputs("dcnv2-server: cannot start a thread\n", stderr);
        return EXIT_FAILURE;
    }
    if (start_server(program) != 0)
        return EXIT_FAILURE;
    tell_assumptions(program);
    for (size_t i = 0; i < config->ignored_flags.n; i++)
        log_event(LOG_LEVEL_WARNING, "%s has no effect here", config->ignored_flags.names[i]);
    log_event(LOG_LEVEL_INFO, "listening on port %u, model %s, %u worker%s, ready after %.1f ms",
              config->http_port, config->model_name, program->n_workers,
              program->n_workers == 1 ? "" : "s", (double)(clock_ns() - start_ns) / 1e6);
    /* The server is ready without it. */
    if (registry_start_fingerprints(program->registry, config->model_name) != 0)
        log_event(LOG_LEVEL_WARNING, "no thread for the SHA-256 of the model's files: they will "
                                     "not be told of");
    serve(program);
    log_event(LOG_LEVEL_INFO, "stopping: requests under way are answered first");
    arm_second_signal(program);
    service_drain(program->service);
    const size_t n_cut = server_drain(program->server);
    if (n_cut)
        log_event(LOG_LEVEL_WARNING, "grace period over: %zu request%s cut", n_cut,
                  n_cut == 1 ? "" : "s");
    log_event(LOG_LEVEL_INFO, "stopped");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const uint64_t start_ns = clock_ns();
    char message[256];
    struct program program = {0};
    arena_init(&program.arena, SIZE_MAX);
    int status = EXIT_FAILURE;
    switch (config_read(&program.config, &program.arena, argc, argv, message, sizeof message)) {
    case SETTINGS_SHOW_HELP:
        config_print_help(stdout);
        status = EXIT_SUCCESS;
        break;
    case SETTINGS_SHOW_VERSION:
        puts("dcnv2-server " DCNV2_VERSION);
        status = EXIT_SUCCESS;
        break;
    case SETTINGS_WRONG:
        status = EXIT_WRONG_USAGE;
        /* fall through */
    case SETTINGS_FAILED:
        fprintf(stderr, "dcnv2-server: %s\n", message);
        break;
    case SETTINGS_RUN:
        status = run(&program, start_ns);
        break;
    }
    server_stop(program.server);
    service_free(program.service);
    registry_free(program.registry); /* before the log: its thread writes there */
    log_stop();
    metrics_free(program.metrics);
    arena_free(&program.arena);
    return status;
}
