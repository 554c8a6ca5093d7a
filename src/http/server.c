/* SPDX-License-Identifier: Apache-2.0 */
/* server.c: libmicrohttpd's callbacks: a request's life, and the daemon's start. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "http/exchange.h"
#include "log.h"

enum {
    /* Holds 64 KiB of header, more than the 60 that Envoy lets through. No larger: libmicrohttpd
     * clears all of it after each request. */
    CONNECTION_POOL_BYTES = 72 * 1024,
    EXCHANGE_ARENA_MAX_BYTES = 256 << 20,
    KEPT_BYTES = 256 * 1024, /* of an exchange's arena and body, from one request to the next .. */
    KEPT_EXCHANGES = 64,     /* .. for so many, over all workers; the usual load needs one each */
    FDS_RESERVED = 64,       /* for files, pipes and libraries .. */
    FDS_PER_WORKER = 2,      /* .. and for each event loop */
    URL_MAX_BYTES = 16 * 1024,
    EXIT_PANIC = 70
};

/* ---- workers and exchanges ---- */

/* The worker of the calling thread; a thread takes the next one when it first asks. */
static struct worker *this_worker(struct server *server)
{
    static _Thread_local struct worker *worker;
    if (worker == NULL || worker->server != server) {
        const unsigned i = atomic_fetch_add(&server->n_workers_started, 1);
        if (i >= server->n_workers)
            return NULL;
        worker = &server->workers[i];
    }
    return worker;
}

static struct exchange *exchange_take(struct worker *worker)
{
    struct exchange *exchange = worker->free;
    if (exchange) {
        worker->free = exchange->next_free;
        worker->n_free--;
    } else {
        exchange = calloc(1, sizeof *exchange);
        if (exchange == NULL)
            return NULL;
        arena_init(&exchange->arena, EXCHANGE_ARENA_MAX_BYTES);
        exchange->worker = worker;
    }
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    struct body_budget *budget = &exchange->worker->server->budget;
    body_reset(&exchange->body, budget, 0);
    body_reset(&exchange->inflated, budget, 0);
    arena_free(&exchange->arena);
    free(exchange);
}

static void exchange_release(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct body_budget *budget = &worker->server->budget;
    if (worker->n_free > KEPT_EXCHANGES / worker->server->n_workers) {
        exchange_free(exchange);
        return;
    }
    body_reset(&exchange->body, budget, KEPT_BYTES);
    body_reset(&exchange->inflated, budget, KEPT_BYTES);
    arena_reset(&exchange->arena, KEPT_BYTES);
    exchange->reply = (struct reply){0};
    exchange->error.http_status = 0;
    exchange->next_free = worker->free;
    worker->free = exchange;
    worker->n_free++;
}

static void worker_free(struct worker *worker)
{
    while (worker->free) {
        struct exchange *exchange = worker->free;
        worker->free = exchange->next_free;
        exchange_free(exchange);
    }
    dcnv2_workspace_free(worker->workspace);
    inflater_free(worker->inflater);
    deflater_free(worker->deflater);
}

/* ---- replies ---- */

static void log_access(const struct exchange *exchange)
{
    log_event(LOG_LEVEL_INFO, "%s %s %d %llu us", exchange->method, exchange->path,
              exchange->reply.http_status,
              (unsigned long long)(clock_ns() - exchange->started_ns) / 1000);
}

/* The body as gzip where the client takes it and it pays; true: it is. */
static bool compress(struct exchange *exchange)
{
    enum { LEAST_BYTES = 16 * 1024 };
    struct worker *worker = exchange->worker;
    struct reply *reply = &exchange->reply;
    if (!exchange->head.accepts_gzip || reply->body.length < LEAST_BYTES || reply->free_body)
        return false;
    if (worker->deflater == NULL)
        worker->deflater = deflater_create();
    if (worker->deflater == NULL)
        return false;
    const struct text packed = deflater_run(worker->deflater, &exchange->arena, reply->body);
    if (packed.at == NULL || packed.length >= reply->body.length)
        return false;
    reply->body = packed;
    return true;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    const struct reply *reply = &exchange->reply;
    const bool compressed = compress(exchange);
    struct MHD_Response *response =
        reply->free_body ? MHD_create_response_from_buffer_with_free_callback(
                               reply->body.length, (void *)reply->body.at, reply->free_body)
                         : MHD_create_response_from_buffer(
                               reply->body.length, (void *)reply->body.at, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return NULL;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (compressed)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (exchange->head.accepts_gzip)
        MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    if (reply->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    if (reply->retry_after)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (reply->json_length) {
        char length[24];
        snprintf(length, sizeof length, "%zu", reply->json_length);
        MHD_add_response_header(response, "Inference-Header-Content-Length", length);
    }
    return response;
}

/* While draining every reply closes its connection, but for those with requests behind them.
 * Behind a chunked one they cannot be seen, as its size on the wire is not known. */
static bool is_last(const struct exchange *exchange)
{
    if (!atomic_load_explicit(&exchange->worker->server->draining, memory_order_relaxed))
        return false;
    return exchange->head.is_chunked ||
           !connection_has_more(exchange->connection,
                                exchange->head_bytes + exchange->body.n_received);
}

/* Queues exchange->reply. `close`: the rest of the connection cannot be trusted. */
static enum MHD_Result send_reply(struct exchange *exchange, struct MHD_Connection *connection,
                                  bool close)
{
    struct server *server = exchange->worker->server;
    struct MHD_Response *response = exchange->reply.content_type ? make_response(exchange) : NULL;
    const bool own = response != NULL;
    if (!own) {
        response = server->no_memory;
        exchange->reply.http_status = 503;
    } else if (close || is_last(exchange)) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    connection_enter(exchange->connection, CONNECTION_WRITING);
    metrics_reply(exchange->worker->metrics, exchange->match.route,
                  (unsigned)exchange->reply.http_status);
    if (server->config->access_log)
        log_access(exchange);
    const enum MHD_Result queued =
        MHD_queue_response(connection, (unsigned)exchange->reply.http_status, response);
    if (own)
        MHD_destroy_response(response);
    return queued;
}

/* ---- the life of a request ---- */

/* What can be said before the body is there. true: at once, and the connection closes. */
static bool check_head(struct exchange *exchange, struct MHD_Connection *connection,
                       const char *url, const char *version)
{
    const struct server *server = exchange->worker->server;
    const size_t most = server->budget.body_max_bytes;
    struct head *head = &exchange->head;
    struct request_error *error = &exchange->error;
    if (head_read(head, connection, version, error) != 0)
        return true;
    if (strlen(url) > URL_MAX_BYTES) {
        request_error_set(error, 414, "The path is longer than %d bytes.", URL_MAX_BYTES);
        return true;
    }
    if (head->content_length > most) {
        body_error(BODY_TOO_LARGE, &server->budget, error);
        /* A client that sends before it listens would lose the answer: take a bounded amount. */
        return head->expects_continue || head->content_length > 2 * (uint64_t)most;
    }
    if (head->coding == CODING_UNSUPPORTED)
        request_error_set(error, 415, "Content-Encoding other than gzip is not supported.");
    else if (head->type == CONTENT_MULTIPART)
        request_error_set(error, 415, "A multipart body is not supported; send JSON.");
    else if (head->type == CONTENT_CLOUD_EVENT)
        request_error_set(error, 501,
                          "CloudEvents in structured mode are not supported; send the event's "
                          "data as the body, with its attributes in ce- headers.");
    return false;
}

static enum MHD_Result start_request(struct server *server, struct MHD_Connection *connection,
                                     const char *url, const char *method, const char *version,
                                     void **context)
{
    struct worker *worker = this_worker(server);
    struct exchange *exchange = worker ? exchange_take(worker) : NULL;
    if (exchange == NULL)
        return MHD_NO;
    *context = exchange;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange->connection = info ? info->socket_context : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    exchange->head_bytes = info ? info->header_size : 0;
    if (server->config->access_log) {
        exchange->started_ns = clock_ns();
        snprintf(exchange->path, sizeof exchange->path, "%s", url);
    }
    metrics_request_started(worker->metrics);
    connection_enter(exchange->connection, CONNECTION_BODY);
    exchange->match = route_find(&exchange->arena, method, url);
    exchange->method = method;
    const bool at_once = check_head(exchange, connection, url, version);
    if (exchange->error.http_status && at_once) {
        reply_error(exchange, &exchange->error);
        return send_reply(exchange, connection, true);
    }
    const enum route route = exchange->match.route;
    exchange->body.discard =
        exchange->error.http_status || (route != ROUTE_V1_PREDICT && route != ROUTE_V2_INFER);
    return MHD_YES;
}

static int inflate_body(struct exchange *exchange, struct request_error *error)
{
    struct worker *worker = exchange->worker;
    if (worker->inflater == NULL)
        worker->inflater = inflater_create();
    if (worker->inflater == NULL)
        return request_error_out_of_memory(error);
    return body_inflate(&exchange->body, &exchange->inflated, &worker->server->budget,
                        worker->inflater, error);
}

/* The whole request is there: 0, or -1 with why it cannot be handled. */
static int check_body(struct exchange *exchange, struct request_error *error)
{
    const struct server *server = exchange->worker->server;
    if (exchange->error.http_status) {
        *error = exchange->error;
        return -1;
    }
    if (exchange->body.state != BODY_WHOLE)
        return body_error(exchange->body.state, &server->budget, error);
    if (exchange->head.coding == CODING_GZIP && !exchange->body.discard)
        return inflate_body(exchange, error);
    return 0;
}

static enum MHD_Result finish_request(struct exchange *exchange, struct MHD_Connection *connection)
{
    struct request_error error;
    connection_enter(exchange->connection, CONNECTION_WRITING); /* the time to compute counts */
    metrics_body(exchange->worker->metrics, exchange->body.n_received);
    if (check_body(exchange, &error) == 0)
        handle(exchange);
    else
        reply_error(exchange, &error);
    const bool too_large =
        exchange->reply.http_status == 413 &&
        exchange->body.n_received > exchange->worker->server->budget.body_max_bytes;
    return send_reply(exchange, connection, too_large);
}

/*
 * First call: the header. Then a call for each piece of the body, and a last one without.
 * A reply may be queued in the first (which closes the connection) and in the last only.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    struct server *server = cls;
    struct exchange *exchange = *context;
    if (exchange == NULL)
        return start_request(server, connection, url, method, version, context);
    if (*upload_data_size == 0)
        return finish_request(exchange, connection);
    body_append(&exchange->body, &server->budget, upload_data, *upload_data_size);
    *upload_data_size = 0;
    /* No reply can be sent in the middle: what is far too long loses its connection. */
    return exchange->body.n_received > 2 * server->budget.body_max_bytes ? MHD_NO : MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct exchange *exchange = *context;
    (void)cls;
    (void)connection;
    (void)why;
    if (exchange == NULL)
        return;
    *context = NULL;
    if (exchange->head.is_chunked)
        connection_consumed_all(exchange->connection);
    else
        connection_consumed(exchange->connection, exchange->head_bytes + exchange->body.n_received);
    connection_enter(exchange->connection, CONNECTION_IDLE);
    metrics_request_ended(exchange->worker->metrics);
    exchange_release(exchange);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info ? connections_add(server->connections, info->connect_fd) : NULL;
    } else {
        connections_remove(server->connections, *socket_context);
        *socket_context = NULL;
    }
}

/* The router decodes paths itself: libmicrohttpd would cut them at %00 and join them at %2F. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    (void)file;
    log_event(LOG_LEVEL_ERROR, "libmicrohttpd cannot go on (line %u): %s", line,
              reason ? reason : "");
    log_stop();
    _exit(EXIT_PANIC);
}

static void on_mhd_log(void *cls, const char *format, va_list arguments)
{
    char line[512];
    (void)cls;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    log_event(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", line);
}

/* ---- start ---- */

/* Fewer connections where the process may not open so many files. */
static unsigned connection_limit(const struct config *config, unsigned n_workers)
{
    struct rlimit limit;
    unsigned n = config->max_connections;
    const rlim_t reserved = FDS_RESERVED + (rlim_t)FDS_PER_WORKER * n_workers;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n + reserved) {
        n = limit.rlim_cur > 2 * reserved ? (unsigned)(limit.rlim_cur - reserved)
                                          : (unsigned)limit.rlim_cur / 4 + 2;
        log_event(LOG_LEVEL_WARNING, "connections limited to %u: the process may open %llu files",
                  n, (unsigned long long)limit.rlim_cur);
    }
    return n;
}

static struct MHD_Response *make_no_memory_response(void)
{
    static char body[] = "{\"error\":\"The server is out of memory; try again.\"}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    if (response) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return response;
}

static struct MHD_Daemon *start_daemon(struct server *server)
{
    const struct config *config = server->config;
    /* In 0.9.75 only -1 refuses a space before the colon; later versions turned the sign round. */
    const int strictness = MHD_VERSION < 0x00097600 ? -1 : 1;
    const unsigned per_worker = connection_limit(config, server->n_workers) / server->n_workers;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        /* connections_reap() ends idle connections; this only what that has missed. */
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)config->idle_timeout_s + 5, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(per_worker ? per_worker : 1) * server->n_workers,
         NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_POOL_BYTES, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, strictness, NULL},
        {server->n_workers > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
         (intptr_t)server->n_workers, NULL},
        {MHD_OPTION_END, 0, NULL}};
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    errno = 0;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags | MHD_USE_DUAL_STACK, config->http_port, NULL, NULL, on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (daemon == NULL && errno != EADDRINUSE) /* perhaps a machine without IPv6 */
        daemon = MHD_start_daemon(flags, config->http_port, NULL, NULL, on_request, server,
                                  MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_ARRAY,
                                  options, MHD_OPTION_END);
    return daemon;
}

struct server *server_start(const struct config *config, unsigned n_workers,
                            struct registry *registry, struct metrics *metrics, char *message,
                            size_t message_size)
{
    enum { BUDGET_LEAST_BYTES = 64 << 20, BUDGET_BODIES = 4 };
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        snprintf(message, message_size, "out of memory");
        return NULL;
    }
    server->config = config;
    server->registry = registry;
    server->metrics = metrics;
    server->n_workers = n_workers;
    server->budget.body_max_bytes = config->max_body_bytes;
    server->budget.total_max_bytes = BUDGET_BODIES * config->max_body_bytes;
    if (server->budget.total_max_bytes < BUDGET_LEAST_BYTES)
        server->budget.total_max_bytes = BUDGET_LEAST_BYTES;
    server->connections = connections_create(config->header_timeout_s, config->body_timeout_s,
                                             config->idle_timeout_s);
    server->no_memory = make_no_memory_response();
    server->workers = calloc(n_workers, sizeof *server->workers);
    if (!server->connections || !server->no_memory || !server->workers) {
        snprintf(message, message_size, "out of memory");
        server_stop(server);
        return NULL;
    }
    for (unsigned i = 0; i < n_workers; i++)
        server->workers[i] =
            (struct worker){.server = server, .index = i, .metrics = metrics_shard(metrics, i)};
    MHD_set_panic_func(on_panic, NULL);
    server->daemon = start_daemon(server);
    if (server->daemon == NULL) {
        snprintf(message, message_size, "cannot listen on port %u: %s", config->http_port,
                 errno ? strerror(errno) : "libmicrohttpd refused");
        server_stop(server);
        return NULL;
    }
    return server;
}

void server_tick(struct server *server)
{
    connections_reap(server->connections);
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    for (unsigned i = 0; server->workers && i < server->n_workers; i++)
        worker_free(&server->workers[i]);
    free(server->workers);
    if (server->no_memory)
        MHD_destroy_response(server->no_memory);
    connections_free(server->connections);
    free(server);
}
