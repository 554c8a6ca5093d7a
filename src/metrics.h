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

struct metrics;
struct metrics_shard;

/*
 * routes: [n_routes] names of the route label. columns: [n_columns] sparse columns.
 * Both and `model_name` are borrowed. NULL: out of memory.
 */
struct metrics *metrics_create(unsigned n_shards, const char *model_name, const char *const *routes,
                               unsigned n_routes, const struct text *columns, uint32_t n_columns);
void metrics_free(struct metrics *metrics);

/* Shard `i` belongs to one thread. */
struct metrics_shard *metrics_shard(struct metrics *metrics, unsigned i);

void metrics_request_started(struct metrics_shard *shard);
void metrics_request_ended(struct metrics_shard *shard);
void metrics_reply(struct metrics_shard *shard, unsigned route, unsigned http_status);
void metrics_stage(struct metrics_shard *shard, enum metrics_stage stage, uint64_t nanoseconds);
void metrics_body(struct metrics_shard *shard, size_t n_bytes);

/* scores: [n_rows]; unknown: [n_columns], out-of-vocabulary values of these rows. */
void metrics_rows(struct metrics_shard *shard, const float *scores, uint32_t n_rows,
                  const uint32_t *unknown);

/* Requests that have started and not ended. */
uint64_t metrics_in_flight(const struct metrics *metrics);

/* The text, malloc()ed, *ret_length bytes; `model`: the one in service. NULL: out of memory. */
char *metrics_print(const struct metrics *metrics, const struct fingerprint *model,
                    size_t *ret_length);

#endif
