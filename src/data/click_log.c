/* SPDX-License-Identifier: Apache-2.0 */
/* What columns mean; how a file becomes cells is csv.c's. */
#include "data/click_log.h"

#include <dirent.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/csv.h"
#include "data/log_header.h"
#include "data/pandas_text.h"

struct click_log {
    const struct log_columns *columns;
    uint64_t max_bad_rows;

    char **files; /* [n_files], those of folders included */
    size_t n_files, file_capacity;
    size_t n_opened; /* the one before it is being read */
    struct csv_reader *csv;
    uint64_t line; /* where the last record starts */

    struct log_header header; /* of the file that is being read */
    struct text *sparse;      /* [n_sparse] of the record */
    double *dense;            /* [n_dense] */

    struct click_log_progress progress;
    uint64_t bytes_before; /* of the files that were read */
    struct train_error first_bad;
};

bool click_is_missing(struct text cell)
{
    static const struct text words[] = {
        {"", 0},         {"#N/A", 4}, {"#N/A N/A", 8}, {"#NA", 3},    {"-1.#IND", 7},
        {"-1.#QNAN", 8}, {"-NaN", 4}, {"-nan", 4},     {"1.#IND", 6}, {"1.#QNAN", 7},
        {"<NA>", 4},     {"N/A", 3},  {"NA", 2},       {"NULL", 4},   {"NaN", 3},
        {"None", 4},     {"n/a", 3},  {"nan", 3},      {"null", 4}};
    if (cell.length > 0 && cell.at[cell.length - 1] >= '0' && cell.at[cell.length - 1] <= '9')
        return false; /* most cells are numbers; no word ends in a digit */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_equal(cell, words[i]))
            return true;
    return false;
}

/* ---- which files ---- */

static int add_file(struct click_log *log, const char *folder, const char *name,
                    struct train_error *error)
{
    if (log->n_files == log->file_capacity) {
        const size_t capacity = log->file_capacity ? log->file_capacity * 2 : 16;
        char **larger = realloc(log->files, capacity * sizeof *larger);
        if (larger == NULL)
            return train_error_memory(error);
        log->files = larger;
        log->file_capacity = capacity;
    }
    const size_t size = (folder ? strlen(folder) + 1 : 0) + strlen(name) + 1;
    char *path = malloc(size);
    if (path == NULL)
        return train_error_memory(error);
    snprintf(path, size, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    log->files[log->n_files++] = path;
    return 0;
}

static bool ends_in(const char *name, const char *end)
{
    const size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct click_log *log, const char *path, struct train_error *error)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return train_error_set(error, "%s: %s", path, strerror(errno));
    const size_t first = log->n_files;
    int result = 0;
    for (const struct dirent *entry; result == 0 && (entry = readdir(folder)) != NULL;)
        if (*entry->d_name != '.' &&
            (ends_in(entry->d_name, ".csv") || ends_in(entry->d_name, ".csv.gz")))
            result = add_file(log, path, entry->d_name, error);
    closedir(folder);
    if (result == 0 && log->n_files == first)
        return train_error_set(error, "%s: there is no *.csv or *.csv.gz in this folder", path);
    if (result == 0)
        qsort(log->files + first, log->n_files - first, sizeof *log->files, by_name);
    return result;
}

static int find_files(struct click_log *log, const char *const *paths, uint32_t n_paths,
                      struct train_error *error)
{
    struct stat status;
    for (uint32_t i = 0; i < n_paths; i++) {
        if (stat(paths[i], &status) != 0)
            return train_error_set(error, "%s: %s", paths[i], strerror(errno));
        const int result = S_ISDIR(status.st_mode) ? add_folder(log, paths[i], error)
                                                   : add_file(log, NULL, paths[i], error);
        if (result != 0)
            return -1;
    }
    bool is_size_known = true;
    for (size_t i = 0; i < log->n_files; i++) {
        if (stat(log->files[i], &status) != 0)
            return train_error_set(error, "%s: %s", log->files[i], strerror(errno));
        is_size_known &= S_ISREG(status.st_mode);
        log->progress.total_bytes += (uint64_t)status.st_size;
    }
    if (!is_size_known)
        log->progress.total_bytes = 0;
    return n_paths > 0 ? 0 : train_error_set(error, "there is no file to read");
}

/* ---- headers ---- */

static const char *file_of(const struct click_log *log)
{
    return log->files[log->n_opened - 1];
}

static uint32_t count_of_roles(const struct log_columns *columns)
{
    return 1 + columns->n_sparse + columns->n_dense;
}

/* Columns that are read, in one row: the label, the sparse ones, the dense ones. NULL: no label. */
static const char *name_of_role(const struct log_columns *columns, uint32_t role)
{
    if (role == 0)
        return columns->label;
    role--;
    return role < columns->n_sparse ? columns->sparse[role]
                                    : columns->dense[role - columns->n_sparse];
}

static int check_columns(const struct log_columns *columns, struct train_error *error)
{
    for (uint32_t i = 0; i < count_of_roles(columns); i++) {
        const char *name = name_of_role(columns, i);
        const bool is_sparse = i > 0 && i <= columns->n_sparse;
        if (name == NULL)
            continue;
        for (uint32_t j = 0; j < i; j++)
            if (name_of_role(columns, j) && strcmp(name, name_of_role(columns, j)) == 0)
                return train_error_set(
                    error, "column %s: named twice among label, category and dense columns", name);
        if (columns->group && !is_sparse && strcmp(name, columns->group) == 0)
            return train_error_set(error,
                                   "column %s: groups are of a category column or another "
                                   "one, not of the %s",
                                   name, i == 0 ? "label" : "dense ones");
    }
    return 0;
}

/* 1: opened; 0: there is no other; -1. */
static int open_next(struct click_log *log, struct train_error *error)
{
    if (log->csv)
        log->bytes_before += csv_bytes_read(log->csv);
    csv_close(log->csv);
    log->csv = NULL;
    if (log->n_opened == log->n_files)
        return 0;
    log->n_opened++;
    if (csv_open(&log->csv, file_of(log), error) != 0)
        return -1;
    return log_header_read(&log->header, log->csv, file_of(log), log->columns, error) == 0 ? 1 : -1;
}

int click_log_open(struct click_log **ret_log, const char *const *paths, uint32_t n_paths,
                   const struct log_columns *columns, uint64_t max_bad_rows,
                   struct train_error *error)
{
    struct click_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return train_error_memory(error);
    log->columns = columns;
    log->max_bad_rows = max_bad_rows;
    log->sparse = calloc(columns->n_sparse + 1, sizeof *log->sparse);
    log->dense = calloc(columns->n_dense + 1, sizeof *log->dense);
    int result = log_header_init(&log->header, columns, error);
    if (!log->sparse || !log->dense)
        result = train_error_memory(error);
    if (result == 0)
        result = check_columns(columns, error);
    if (result == 0)
        result = find_files(log, paths, n_paths, error);
    if (result != 0 || open_next(log, error) < 0) {
        click_log_close(log);
        return -1;
    }
    *ret_log = log;
    return 0;
}

/* ---- records ---- */

static int cell_error(const struct click_log *log, const struct csv_record *record, uint32_t at,
                      const char *reason, struct train_error *error)
{
    return train_error_set(error, "%s:%llu: column %s: \"%.*s\" %s", file_of(log),
                           (unsigned long long)record->line, log->header.names[at],
                           TEXT_SHOWN(record->cells[at]), reason);
}

static int check_bytes(const struct click_log *log, const struct csv_record *record,
                       struct train_error *error)
{
    for (uint32_t i = 0; i < record->n_cells; i++)
        if (csv_cell_fault(record->cells[i]))
            return train_error_set(error, "%s:%llu: column %s: %s", file_of(log),
                                   (unsigned long long)record->line, log->header.names[i],
                                   csv_cell_fault(record->cells[i]));
    return 0;
}

static int read_label(const struct click_log *log, const struct csv_record *record, int *ret_label,
                      struct train_error *error)
{
    *ret_label = -1;
    if (log->header.label_at == LOG_NOT_THERE)
        return 0;
    const struct text cell = record->cells[log->header.label_at];
    double value;
    if (cell.length == 1 && (*cell.at == '0' || *cell.at == '1'))
        *ret_label = *cell.at - '0';
    else if (pandas_float(cell, &value) && (value == 0 || value == 1))
        *ret_label = (int)value;
    else if (!log->columns->label_is_optional || !click_is_missing(cell))
        return cell_error(log, record, log->header.label_at, "is neither 0 nor 1", error);
    return 0;
}

static const char *not_a_number(struct text cell)
{
    return memchr(cell.at, ',', cell.length) ? "is not a number: decimals stand behind a point"
                                             : "is not a number";
}

static int read_dense(struct click_log *log, const struct csv_record *record,
                      struct train_error *error)
{
    const struct log_columns *columns = log->columns;
    for (uint32_t i = 0; i < columns->n_dense; i++) {
        const uint32_t at = log->header.dense_at[i];
        const struct text cell = record->cells[at];
        double value = columns->missing;
        if (!pandas_float(cell, &value) && !click_is_missing(cell))
            return cell_error(log, record, at, not_a_number(cell), error);
        log->dense[i] = value;
        if (isnan(value))
            continue; /* missing; no cell is NaN otherwise */
        if (!(fabs(value) <= (double)FLT_MAX))
            return cell_error(log, record, at, "is beyond the range of a float", error);
        if (columns->is_in_range && !columns->is_in_range(columns->encoder, i, value))
            return cell_error(log, record, at, "is beyond the range of the scaler", error);
    }
    return 0;
}

/* A record of another length than the header: the first column, or cell, that has no partner. */
static int ragged(const struct click_log *log, const struct csv_record *record,
                  struct train_error *error)
{
    const unsigned long long line = record->line;
    if (record->n_cells < log->header.n_names)
        return train_error_set(error, "%s:%llu: column %s: is missing: %u cells, the header has %u",
                               file_of(log), line, log->header.names[record->n_cells],
                               record->n_cells, log->header.n_names);
    const struct text surplus = log->header.n_names < CSV_MAX_CELLS
                                    ? record->cells[log->header.n_names]
                                    : (struct text){"", 0};
    return train_error_set(error,
                           "%s:%llu: cell %u: \"%.*s\" has no column: %u cells, the header has %u",
                           file_of(log), line, log->header.n_names + 1, TEXT_SHOWN(surplus),
                           record->n_cells, log->header.n_names);
}

/* 0, or -1: a bad record. */
static int read_record(struct click_log *log, const struct csv_record *record,
                       struct click_record *ret_record, struct train_error *error)
{
    if (record->n_cells != log->header.n_names)
        return ragged(log, record, error);
    if ((record->has_high || record->has_control) && check_bytes(log, record, error) != 0)
        return -1;
    if (read_label(log, record, &ret_record->label, error) != 0 ||
        read_dense(log, record, error) != 0)
        return -1;
    for (uint32_t i = 0; i < log->columns->n_sparse; i++)
        log->sparse[i] = record->cells[log->header.sparse_at[i]];
    ret_record->sparse = log->sparse;
    ret_record->dense = log->dense;
    ret_record->group = log->header.group_at != LOG_NOT_THERE ? record->cells[log->header.group_at]
                                                              : (struct text){"", 0};
    return 0;
}

int click_log_next(struct click_log *log, struct click_record *ret_record,
                   struct train_error *error)
{
    while (log->csv) {
        struct csv_record record;
        struct click_record found;
        const int result = csv_next(log->csv, &record, error);
        if (result < 0)
            return -1;
        if (result == 0) {
            if (open_next(log, error) < 0)
                return -1;
            continue;
        }
        struct train_error bad;
        log->line = record.line;
        if (read_record(log, &record, &found, &bad) == 0) {
            log->progress.n_records++;
            *ret_record = found;
            return 1;
        }
        if (log->progress.n_bad == log->max_bad_rows) {
            if (csv_check_file(log->csv, error) == 0)
                *error = bad;
            return -1;
        }
        if (log->progress.n_bad++ == 0)
            log->first_bad = bad;
    }
    return 0;
}

struct click_log_progress click_log_progress(const struct click_log *log)
{
    struct click_log_progress progress = log->progress;
    progress.bytes = log->bytes_before + (log->csv ? csv_bytes_read(log->csv) : 0);
    progress.first_bad = log->first_bad.message;
    return progress;
}

int click_log_check_rows(const struct click_log *log, struct train_error *error)
{
    if (log->progress.n_records > 0)
        return 0;
    if (log->progress.n_bad > 0)
        return train_error_set(error, "no row can be read; the first of %llu bad ones: %s",
                               (unsigned long long)log->progress.n_bad, log->first_bad.message);
    return train_error_set(error, "%s: header only, no rows%s", log->files[0],
                           log->n_files > 1 ? ", and so are the other files" : "");
}

const char *click_log_first_bad(const struct click_log *log)
{
    return log->first_bad.message;
}

struct click_log_place click_log_place(const struct click_log *log)
{
    return (struct click_log_place){file_of(log), log->line};
}

void click_log_close(struct click_log *log)
{
    if (log == NULL)
        return;
    csv_close(log->csv);
    log_header_free(&log->header);
    for (size_t i = 0; i < log->n_files; i++)
        free(log->files[i]);
    free(log->files);
    free(log->sparse);
    free(log->dense);
    free(log);
}
