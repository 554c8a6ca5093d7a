/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/golden_rows.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/golden.h"
#include "model/model.h"

/* Lists of the columns' values, in the schema's order, within the set. */
struct making {
    const struct golden_rows *rows;
    const struct encoder *encoder;
    const char **names; /* [n_sparse + n_dense] */
    cJSON *set;
    cJSON **columns; /* [n_sparse + n_dense] */
    cJSON *predictions;
    uint32_t n_rows;
    struct train_error *error;
};

static int add(cJSON *list, cJSON *value, struct train_error *error)
{
    if (cJSON_AddItemToArray(list, value))
        return 0;
    cJSON_Delete(value);
    return train_error_memory(error);
}

static cJSON *text_value(const struct making *making, struct text text)
{
    if (making->encoder->rules == CELLS_AS_PANDAS && click_is_missing(text))
        return cJSON_CreateString("nan");
    char *copy = strndup(text.at ? text.at : "", text.length);
    cJSON *value = copy ? cJSON_CreateString(copy) : NULL;
    free(copy);
    return value;
}

static int add_record(struct making *making, const struct click_record *record)
{
    const struct schema *schema = &making->encoder->schema;
    int status = 0;
    if (++making->n_rows > GOLDEN_MAX_ROWS)
        return train_error_set(making->error, "%s: more than %d rows, the most of a golden set",
                               making->rows->log, GOLDEN_MAX_ROWS);
    for (uint32_t c = 0; c < schema->n_sparse && status == 0; c++)
        status = add(making->columns[c], text_value(making, record->sparse[c]), making->error);
    for (uint32_t c = 0; c < schema->n_dense && status == 0; c++)
        status =
            add(making->columns[schema->n_sparse + c],
                isnan(record->dense[c]) ? cJSON_CreateNull() : cJSON_CreateNumber(record->dense[c]),
                making->error);
    return status;
}

static int read_log(struct making *making)
{
    const struct schema *schema = &making->encoder->schema;
    const struct log_columns columns = {.sparse = making->names,
                                        .n_sparse = schema->n_sparse,
                                        .dense = making->names + schema->n_sparse,
                                        .n_dense = schema->n_dense,
                                        .missing = NAN,
                                        .form = *making->rows->form};
    struct click_log *log = NULL;
    struct click_record record;
    if (click_log_open(&log, &making->rows->log, 1, &columns, 0, making->error) != 0)
        return -1;
    int status;
    while ((status = click_log_next(log, &record, making->error)) > 0)
        if (add_record(making, &record) != 0) {
            status = -1;
            break;
        }
    if (status == 0)
        status = click_log_check_rows(log, making->error);
    click_log_close(log);
    return status;
}

static int add_score(struct making *making, const char *line, uint32_t number)
{
    char *end;
    const double score = strtod(line, &end);
    if (end == line || *end != '\0' || !(score >= 0 && score <= 1))
        return train_error_set(making->error,
                               "%s:%u: expected a probability from 0 to 1, found \"%.40s\"",
                               making->rows->scores, number, line);
    return add(making->predictions, cJSON_CreateNumber(score), making->error);
}

static int read_scores(struct making *making)
{
    FILE *file = fopen(making->rows->scores, "r");
    if (file == NULL)
        return train_error_set(making->error, "%s: %s", making->rows->scores, strerror(errno));
    char *line = NULL;
    size_t size = 0;
    uint32_t n = 0;
    int status = 0;
    while (status == 0 && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (++n <= making->n_rows)
            status = add_score(making, line, n);
    }
    if (status == 0 && ferror(file))
        status = train_error_set(making->error, "%s: cannot be read", making->rows->scores);
    if (status == 0 && n != making->n_rows)
        status = train_error_set(making->error,
                                 "%s has %u scores, but %s %u rows: expected a score per row",
                                 making->rows->scores, n, making->rows->log, making->n_rows);
    free(line);
    fclose(file);
    return status;
}

/* {"inputs": [{COLUMN: []}], "predictions": []} */
static int make_frame(struct making *making)
{
    const struct schema *schema = &making->encoder->schema;
    const uint32_t n = schema_n_columns(schema);
    making->set = cJSON_CreateObject();
    cJSON *inputs = cJSON_AddArrayToObject(making->set, "inputs"), *instance = cJSON_CreateObject();
    making->predictions = cJSON_AddArrayToObject(making->set, "predictions");
    making->columns = calloc(n + 1u, sizeof *making->columns);
    making->names = calloc(n + 1u, sizeof *making->names);
    if (!making->predictions || !making->columns || !making->names ||
        add(inputs, instance, making->error) != 0)
        return train_error_memory(making->error);
    for (uint32_t c = 0; c < n; c++) {
        making->names[c] = schema->names[c].at; /* the schema's copies end in NUL */
        making->columns[c] = cJSON_AddArrayToObject(instance, making->names[c]);
        if (making->columns[c] == NULL)
            return train_error_memory(making->error);
    }
    return 0;
}

/* The tolerance that was asked for goes with the set, or the file would be refused without it. */
static int add_tolerance(struct making *making, const struct dcnv2_source *source)
{
    const double wanted = source->golden_tolerance;
    return wanted <= 0 || cJSON_AddNumberToObject(making->set, "tolerance", wanted)
               ? 0
               : train_error_memory(making->error);
}

char *golden_rows_read(const struct golden_rows *rows, const struct dcnv2_source *source,
                       struct train_error *error)
{
    struct dcnv2_source without = *source;
    struct dcnv2_error reason;
    dcnv2_model *model;
    without.golden = GOLDEN_NONE;
    if (dcnv2_model_load(&without, &model, &reason) != DCNV2_OK) {
        train_error_set(error, "%s", reason.message);
        return NULL;
    }
    struct making making = {.rows = rows, .encoder = &model->encoder, .error = error};
    char *text = NULL;
    if (make_frame(&making) == 0 && add_tolerance(&making, source) == 0 && read_log(&making) == 0 &&
        read_scores(&making) == 0) {
        text = cJSON_PrintUnformatted(making.set);
        if (text == NULL)
            train_error_memory(error);
    }
    cJSON_Delete(making.set);
    free(making.columns);
    free(making.names);
    dcnv2_model_free(model);
    return text;
}
