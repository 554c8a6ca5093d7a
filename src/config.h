/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: the server's settings; their names are KServe's. */
#ifndef DCNV2_CONFIG_H
#define DCNV2_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dcnv2.h"
#include "log.h"
#include "settings.h"

struct config {
    uint16_t http_port;
    const char *model_name;
    struct dcnv2_source source;
    unsigned n_workers; /* 0: as many as the container has CPUs */
    size_t max_body_bytes;
    uint32_t max_rows;
    unsigned max_connections; /* 0: as many as fit */
    unsigned min_body_rate;   /* bytes per second; 0: none */
    unsigned header_timeout_s, body_timeout_s, idle_timeout_s;
    unsigned grace_period_s, drain_wait_s;
    const char *cors_origin; /* origins by commas, or "*"; NULL: none, cors.h */
    bool enable_model_repository;
    bool ready_needs_model;
    bool access_log;
    enum log_level log_level;
    enum log_format log_format;
    struct dcnv2_columns ignored_flags; /* KServe's that were given and do nothing here */
};

/* As settings_read() says. */
enum settings_result config_read(struct config *config, struct arena *arena, int argc, char **argv,
                                 char *message, size_t message_size);

void config_print_help(FILE *out);

#endif
