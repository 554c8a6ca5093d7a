/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h: counters of the server and their text for Prometheus (exposition format 0.0.4).
 *
 * Each worker thread counts in a shard of its own, without locks; a scrape adds the
 * shards up. The four request_*_seconds histograms are KServe's, with finer buckets below its own.
 */
#ifndef DCNV2_METRICS_H
#define DCNV2_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "fingerprint.h"
#include "text.h"

enum metrics_stage { METRICS_PREPROCESS, METRICS_PREDICT, METRICS_POSTPROCESS, METRICS_N_STAGES };

/* Why a connection was cut. */
enum metrics_cut {
    METRICS_CUT_HEADER, /* its header did not come in time .. */
    METRICS_CUT_BODY,   /* .. or its body .. */
    METRICS_CUT_REPLY,  /* .. or its reply was not taken */
    METRICS_CUT_ROOM,   /* it made room for another connection */
    METRICS_CUT_MEMORY, /* it was the slowest while the memory for bodies was short */
    METRICS_N_CUTS
};

enum { METRICS_CONNECTION_STATES = 8 };

struct metrics;
struct metrics_shard;

/*
 * routes: [n_routes] names of the route label. connection_states: [METRICS_CONNECTION_STATES] names
 * of the state label. columns: [n_columns] sparse columns. All and `model_name` are borrowed. NULL:
 * out of memory.
 */
struct metrics *metrics_create(unsigned n_shards, const char *model_name, const char *const *routes,
                               unsigned n_routes, const char *const *connection_states,
                               const struct text *columns, uint32_t n_columns);
void metrics_free(struct metrics *metrics);

/* Shard `i` belongs to one thread. */
struct metrics_shard *metrics_shard(struct metrics *metrics, unsigned i);

/* How many connections the server has room for. Before any scrape. */
void metrics_connection_limit(struct metrics *metrics, unsigned n);

/* How many of this thread's connections are in a state now, below METRICS_CONNECTION_STATES. */
void metrics_connections(struct metrics_shard *shard, unsigned state, unsigned n);
void metrics_connection_cut(struct metrics_shard *shard, enum metrics_cut cut);

void metrics_request_started(struct metrics_shard *shard);
void metrics_request_ended(struct metrics_shard *shard);
void metrics_reply(struct metrics_shard *shard, unsigned route, unsigned http_status);
void metrics_stage(struct metrics_shard *shard, enum metrics_stage stage, uint64_t nanoseconds);
void metrics_body(struct metrics_shard *shard, size_t n_bytes);

void metrics_rows(struct metrics_shard *shard, const float *scores, uint32_t n_rows);

/* Of a sparse column: out-of-vocabulary values, and values that are a class in another form. */
void metrics_category(struct metrics_shard *shard, uint32_t column, uint32_t n_unknown,
                      uint32_t n_other_form);

/* Requests that have started and not ended. */
uint64_t metrics_in_flight(const struct metrics *metrics);

/* The text, malloc()ed, *ret_length bytes; `model`: the one in service. NULL: out of memory. */
char *metrics_print(const struct metrics *metrics, const struct fingerprint *model,
                    size_t *ret_length);

#endif
