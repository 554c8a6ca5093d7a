/* SPDX-License-Identifier: Apache-2.0 */
#include "model/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "network/json_tree.h"
#include "protocol/v1.h"

#define FAIL(reading, ...)                                                                         \
    model_error_set((reading)->error, DCNV2_ERROR_MODEL, (reading)->golden_path, __VA_ARGS__)

static const double DEFAULT_LIMIT = 1e-5; /* if neither set nor source names one */

/* ---- where the set is ---- */

static int read_set(struct reading *reading, const char *path)
{
    struct format_error reason;
    reading->golden_path = path;
    if (file_read(path, &reading->golden_bytes, &reason) != 0)
        return model_error_from(reading->error, DCNV2_ERROR_IO, path, &reason);
    reading->golden =
        (struct text){(const char *)reading->golden_bytes.at, reading->golden_bytes.size};
    return DCNV2_OK;
}

int golden_find(struct reading *reading)
{
    const char *wanted = reading->source->golden;
    if (wanted && strcmp(wanted, GOLDEN_NONE) == 0) {
        reading->golden = (struct text){NULL, 0};
        return DCNV2_OK;
    }
    if (wanted)
        return read_set(reading, wanted);
    if (reading->golden.at)
        return DCNV2_OK; /* of the converted file */
    const char *path =
        reading_path_beside(reading, reading->weights_path, false, text_of(GOLDEN_FILE));
    if (path == NULL)
        return model_error_memory(reading->error);
    return reading_is_there(path) ? read_set(reading, path) : DCNV2_OK;
}

/* ---- what the set says ---- */

struct check {
    struct reading *reading;
    const dcnv2_model *model;
    struct arena arena; /* of everything */
    double limit;
    uint32_t n;
    double *expected; /* [n] */
    float *scores;    /* [n] */
};

static int read_prediction(const struct json_node *node, double *ret, struct format_error *error)
{
    if (node->kind == JSON_ARRAY && node->n == 1)
        node = node->child;
    if (json_tree_number(node, ret, error) != 0)
        return -1;
    if (*ret < 0 || *ret > 1)
        return json_tree_refuse(node, error, "expected a probability from 0 to 1, found %g", *ret);
    return 0;
}

static int read_predictions(struct check *check, const struct json_node *root,
                            struct format_error *error)
{
    const struct json_node *list = json_tree_need(root, "predictions", error);
    if (list == NULL)
        return -1;
    if (list->kind != JSON_ARRAY || list->n == 0 || list->n > GOLDEN_MAX_ROWS)
        return json_tree_refuse(list, error, "expected a list of 1 to %d scores", GOLDEN_MAX_ROWS);
    check->n = list->n;
    check->expected = arena_calloc(&check->arena, check->n, sizeof *check->expected);
    check->scores = arena_calloc(&check->arena, check->n, sizeof *check->scores);
    if (check->expected == NULL || check->scores == NULL)
        return format_error_set(error, FORMAT_NO_OFFSET, "out of memory");
    for (const struct json_node *node = list->child; node; node = node->next)
        if (read_prediction(node, &check->expected[node->place], error) != 0)
            return -1;
    return 0;
}

/* All but the rows, which the reader of requests takes. */
static int read_tree(struct check *check, struct format_error *error)
{
    static const char *const keys[] = {"tolerance", "inputs", "instances", "predictions", NULL};
    const double wanted = check->reading->source->golden_tolerance;
    const struct json_node *root;
    if (json_tree_read(&root, &check->arena, &check->arena, check->reading->golden, text_of(""),
                       error) != 0 ||
        json_tree_check_keys(root, keys, error) != 0)
        return -1;
    const struct json_node *tolerance = json_tree_find(root, "tolerance");
    check->limit = DEFAULT_LIMIT;
    if (tolerance && json_tree_number(tolerance, &check->limit, error) != 0)
        return -1;
    if (check->limit <= 0)
        return json_tree_refuse(tolerance, error, "expected a number above 0, found %g",
                                check->limit);
    if (wanted > 0)
        check->limit = wanted;
    return read_predictions(check, root, error);
}

/* ---- the scores ---- */

static int encode(struct check *check, struct encoded *ret)
{
    struct reading *reading = check->reading;
    const struct encoder *encoder = &check->model->encoder;
    const struct encode_options options = {.match_forms = reading->source->match_numbers};
    struct request_error reason;
    struct frame frame;
    bool wants_logits;
    struct category_counts *counts =
        arena_calloc(&check->arena, encoder->schema.n_sparse + 1u, sizeof *counts);
    if (counts == NULL || frame_init(&frame, &encoder->schema, &check->arena, GOLDEN_MAX_ROWS) != 0)
        return model_error_memory(reading->error);
    if (v1_parse(&frame, reading->golden, "golden", &wants_logits, &reason) != 0)
        return FAIL(reading, "inputs: %s", reason.message);
    if (frame.n_rows != check->n)
        return FAIL(reading, "%u rows of inputs, but %u predictions: expected one per row",
                    frame.n_rows, check->n);
    if (encoder_encode(encoder, &frame, &options, ret, counts, &reason) != 0)
        return FAIL(reading, "inputs: %s", reason.message);
    return DCNV2_OK;
}

static int score(struct check *check)
{
    struct encoded encoded;
    struct dcnv2_error reason;
    dcnv2_workspace *workspace = NULL;
    int status = encode(check, &encoded);
    if (status != DCNV2_OK)
        return status;
    status = dcnv2_workspace_create(check->model, &workspace, check->reading->error);
    if (status == DCNV2_OK && dcnv2_predict(check->model, workspace, check->n, encoded.dense,
                                            encoded.lookups, check->scores, &reason) != DCNV2_OK)
        status = FAIL(check->reading, "row %zu: %s", reason.n_scored + 1, reason.message);
    dcnv2_workspace_free(workspace);
    return status;
}

/* Every score is a number, or dcnv2_predict() had failed. */
static int compare(const struct check *check, struct golden *ret_golden)
{
    uint32_t worst = 0, n_off = 0;
    double largest = -1;
    for (uint32_t i = 0; i < check->n; i++) {
        const double distance = fabs((double)check->scores[i] - check->expected[i]);
        n_off += !(distance <= check->limit);
        if (distance > largest) {
            largest = distance;
            worst = i;
        }
    }
    if (n_off)
        return FAIL(check->reading,
                    "the model does not reproduce its golden set: row %u scores %.9g, the set says "
                    "%.9g; %u of %u rows differ by more than %g. Files or description are not "
                    "those of the network that was trained (--golden none loads it all the same)",
                    worst + 1, (double)check->scores[worst], check->expected[worst], n_off,
                    check->n, check->limit);
    *ret_golden = (struct golden){.n_rows = check->n, .largest = largest, .limit = check->limit};
    return DCNV2_OK;
}

int golden_check(struct reading *reading, const dcnv2_model *model, struct golden *ret_golden)
{
    struct format_error reason;
    if (reading->golden.at == NULL)
        return DCNV2_OK;
    if (reading->golden.length > GOLDEN_MAX_BYTES)
        return FAIL(reading, "%zu bytes: a golden set has %d at most", reading->golden.length,
                    GOLDEN_MAX_BYTES);
    struct check check = {.reading = reading, .model = model};
    arena_init(&check.arena, reading_limit_bytes(reading->golden.length));
    int status;
    if (read_tree(&check, &reason) != 0)
        status = FAIL(reading, "%s", reason.message);
    else
        status = score(&check);
    if (status == DCNV2_OK)
        status = compare(&check, ret_golden);
    arena_free(&check.arena);
    return status;
}
