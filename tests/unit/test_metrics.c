/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c: buckets at their edges, and what is said of the model in service. */
#include "metrics.h"

#include <stdlib.h>

#include "test.h"

static const char *const routes[] = {"none"};
static const char *const states[METRICS_CONNECTION_STATES] = {"a", "b", "c", "d", "e", "f", "g"};

/* The text of metrics in which these stages were counted; free() it. */
static char *print(const uint64_t *nanoseconds, size_t n, const struct fingerprint *model)
{
    const struct text column = text_of("c");
    struct metrics *metrics = metrics_create(1, "a\"b", routes, 1, states, &column, 1);
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        metrics_stage(metrics_shard(metrics, 0), METRICS_PREDICT, nanoseconds[i]);
    char *text = metrics_print(metrics, model, &length);
    CHECK(text && strlen(text) == length);
    metrics_free(metrics);
    return text;
}

static const char name[] = "request_predict_seconds_bucket{le=\"%s\",model_name=\"a\\\"b\"} %u\n";

TEST(a_time_on_a_bound_is_in_that_bucket_and_one_above_in_the_next)
{
    static const struct {
        const char *le;
        uint64_t ns;
    } bounds[] = {
        {"1e-05", 10000},    {"2.5e-05", 25000},   {"5e-05", 50000},    {"0.0001", 100000},
        {"0.00025", 250000}, {"0.0005", 500000},   {"0.001", 1000000},  {"0.0025", 2500000},
        {"0.005", 5000000},  {"0.01", 10000000},   {"0.025", 25000000}, {"0.05", 50000000},
        {"0.075", 75000000}, {"0.1", 100000000},   {"0.25", 250000000}, {"0.5", 500000000},
        {"0.75", 750000000}, {"1.0", 1000000000},  {"2.5", 2500000000}, {"5.0", 5000000000},
        {"7.5", 7500000000}, {"10.0", 10000000000}};
    enum { N_BOUNDS = sizeof bounds / sizeof bounds[0] };
    const struct fingerprint none = {0};
    const char *at = NULL;
    for (unsigned i = 0; i < N_BOUNDS; i++) {
        const uint64_t times[] = {bounds[i].ns, bounds[i].ns + 1};
        char *text = print(times, 2, &none);
        at = text;
        for (unsigned k = 0; at && k <= N_BOUNDS; k++) { /* in order, and none between */
            char line[128];
            const unsigned n = k < i ? 0 : k == i ? 1 : 2;
            snprintf(line, sizeof line, name, k < N_BOUNDS ? bounds[k].le : "+Inf", n);
            at = k ? (strncmp(at, line, strlen(line)) ? NULL : at) : strstr(at, line);
            CHECK_MSG(at, "%s: no %s", bounds[i].le, line);
            at = at ? at + strlen(line) : NULL;
        }
        free(text);
    }
}

TEST(what_is_known_of_the_model_is_printed_and_nothing_else)
{
    struct fingerprint model = {0};
    char *text = print(NULL, 0, &model);
    CHECK(strstr(text, "# TYPE dcnv2_model_info gauge\n"));
    CHECK(!strstr(text, "dcnv2_model_info{") && !strstr(text, "timestamp_seconds{"));
    free(text);

    model.loaded_at = (struct timespec){1790000000, 78000000};
    text = print(NULL, 0, &model);
    CHECK(!strstr(text, "dcnv2_model_info{"));
    CHECK(
        strstr(text, "\ndcnv2_model_loaded_timestamp_seconds{model=\"a\\\"b\"} 1790000000.078\n"));
    free(text);

    model.is_hashed = true;
    memset(model.model, 'a', SHA256_DIGITS);
    text = print(NULL, 0, &model);
    char line[256];
    snprintf(line, sizeof line,
             "\ndcnv2_model_info{model=\"a\\\"b\",model_sha256=\"%s\",encoder_sha256=\"\"} 1\n",
             model.model);
    CHECK_MSG(strstr(text, line), "%s", text);
    free(text);
}

int main(void)
{
    RUN(a_time_on_a_bound_is_in_that_bucket_and_one_above_in_the_next);
    RUN(what_is_known_of_the_model_is_printed_and_nothing_else);
    return test_report();
}
