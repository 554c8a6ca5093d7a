/* SPDX-License-Identifier: Apache-2.0 */
#include "data/log_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A header while it is read. */
struct reading {
    struct log_header *header;
    struct csv_reader *csv;
    const char *file;
    const struct log_columns *columns;
    unsigned long long line;
    struct train_error *error;
};

int log_header_init(struct log_header *header, const struct log_columns *columns,
                    struct train_error *error)
{
    *header = (struct log_header){0};
    header->sparse_at = calloc(columns->n_sparse + 1, sizeof *header->sparse_at);
    header->dense_at = calloc(columns->n_dense + 1, sizeof *header->dense_at);
    return header->sparse_at && header->dense_at ? 0 : train_error_memory(error);
}

static void free_names(struct log_header *header)
{
    for (uint32_t i = 0; i < header->n_names; i++)
        free(header->names[i]);
    free(header->names);
    header->names = NULL;
    header->n_names = 0;
}

void log_header_free(struct log_header *header)
{
    free_names(header);
    free(header->sparse_at);
    free(header->dense_at);
}

/* ---- the separator ---- */

static bool is_cell(const struct csv_record *record, const char *name)
{
    const struct text wanted = text_of(name);
    for (uint32_t i = 0; i < record->n_cells && i < CSV_MAX_CELLS; i++)
        if (text_equal(record->cells[i], wanted))
            return true;
    return false;
}

/* How many of the wanted columns are cells of the record; *ret_wanted: how many there are. */
static uint32_t count_wanted(const struct log_columns *columns, const struct csv_record *record,
                             uint32_t *ret_wanted)
{
    const bool needs_label = columns->label && !columns->label_is_optional;
    uint32_t n = needs_label && is_cell(record, columns->label);
    n += columns->group && is_cell(record, columns->group);
    for (uint32_t i = 0; i < columns->n_sparse; i++)
        n += is_cell(record, columns->sparse[i]);
    for (uint32_t i = 0; i < columns->n_dense; i++)
        n += is_cell(record, columns->dense[i]);
    *ret_wanted = needs_label + (columns->group != NULL) + columns->n_sparse + columns->n_dense;
    return n;
}

/* As count_wanted(); given names are all there or none. */
static uint32_t count_found(const struct log_columns *columns, const struct csv_record *record,
                            uint32_t *ret_wanted)
{
    if (columns->form.header == NULL)
        return count_wanted(columns, record, ret_wanted);
    *ret_wanted = columns->form.n_header;
    return record->n_cells == columns->form.n_header ? columns->form.n_header : 0;
}

static int several_fit(const struct reading *reading)
{
    return train_error_set(reading->error,
                           "%s: more than one byte separates the columns: --separator says which",
                           reading->file);
}

/* If none makes cells of all, the one that makes most of them: the message is then about the
 * others.
 */
static int find_separator(const struct reading *reading)
{
    static const char candidates[] = {',', '\t', ';', '|'};
    char found = ',';
    uint32_t most = 0, n_fit = 0;
    for (size_t i = 0; i < sizeof candidates; i++) {
        struct csv_record record;
        struct train_error of_candidate; /* csv_next() will say the same of the one that is taken */
        uint32_t n_wanted;
        if (csv_peek(reading->csv, candidates[i], &record, &of_candidate) <= 0)
            continue;
        const uint32_t n = count_found(reading->columns, &record, &n_wanted);
        n_fit += n > 0 && n == n_wanted && record.n_cells > 1;
        if (n > most) {
            most = n;
            found = candidates[i];
        }
    }
    csv_set_separator(reading->csv, found);
    return n_fit > 1 ? several_fit(reading) : 0;
}

/* ---- columns ---- */

/* As it has to be written in a list: in quotes where the list would lose a part of it. */
static size_t put_name(char *out, size_t size, const char *name)
{
    const size_t length = strlen(name);
    const struct text text = {name, length};
    if (length > 0 && text_trimmed(text).length == length && strpbrk(name, ",\"") == NULL)
        return (size_t)snprintf(out, size, "%s", name);
    size_t n = (size_t)snprintf(out, size, "\"");
    for (size_t i = 0; i < length && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, name[i] == '"' ? "\"%c" : "%c", name[i]);
    return n < size ? n + (size_t)snprintf(out + n, size - n, "\"") : n;
}

static int header_error(const struct reading *reading, const char *name, const char *reason)
{
    const struct log_header *header = reading->header;
    char all[256] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < header->n_names && length < sizeof all; i++) {
        length += (size_t)snprintf(all + length, sizeof all - length, "%s", i ? ", " : "");
        if (length < sizeof all)
            length += put_name(all + length, sizeof all - length, header->names[i]);
    }
    return train_error_set(reading->error, "%s:%llu: column %s: %s; the header has %s%s",
                           reading->file, reading->line, name, reason, all,
                           length < sizeof all ? "" : "..");
}

/* A name of the header that is the same but for letter case and the spaces around it, or NULL. */
static const char *find_similar(const struct log_header *header, const char *name)
{
    const struct text wanted = text_trimmed(text_of(name));
    for (uint32_t i = 0; i < header->n_names; i++) {
        const struct text other = text_trimmed(text_of(header->names[i]));
        if (other.length == wanted.length && other.length > 0 &&
            strncasecmp(other.at, wanted.at, other.length) == 0)
            return header->names[i];
    }
    return NULL;
}

static int not_there(const struct reading *reading, const char *name)
{
    const char *similar = find_similar(reading->header, name);
    if (similar == NULL)
        return header_error(reading, name, "is not in the file");
    return train_error_set(
        reading->error, "%s:%llu: column %s: is not in the file; the header has \"%s\": %s",
        reading->file, reading->line, name, similar,
        strlen(similar) == strlen(name)
            ? "letter case counts"
            : "spaces count, and a list of columns keeps those that are in double quotes");
}

/* The cell under a name. LOG_NOT_THERE and an error unless it may be missing. */
static int find_column(const struct reading *reading, const char *name, bool is_optional,
                       uint32_t *ret_at)
{
    const struct log_header *header = reading->header;
    *ret_at = LOG_NOT_THERE;
    for (uint32_t i = 0; name && i < header->n_names; i++) {
        if (strcmp(header->names[i], name) != 0)
            continue;
        if (*ret_at != LOG_NOT_THERE)
            return header_error(reading, name, "stands twice in the header");
        *ret_at = i;
    }
    if (name == NULL || is_optional || *ret_at != LOG_NOT_THERE)
        return 0;
    return not_there(reading, name);
}

static int find_columns(const struct reading *reading)
{
    const struct log_columns *columns = reading->columns;
    struct log_header *header = reading->header;
    int result =
        find_column(reading, columns->label, columns->label_is_optional, &header->label_at);
    if (result == 0)
        result = find_column(reading, columns->group, false, &header->group_at);
    for (uint32_t i = 0; result == 0 && i < columns->n_sparse; i++)
        result = find_column(reading, columns->sparse[i], false, &header->sparse_at[i]);
    for (uint32_t i = 0; result == 0 && i < columns->n_dense; i++)
        result = find_column(reading, columns->dense[i], false, &header->dense_at[i]);
    return result;
}

/* ---- names ---- */

static int keep_name(const struct reading *reading, struct text name)
{
    struct log_header *header = reading->header;
    const char *fault = csv_cell_fault(name);
    if (fault)
        return train_error_set(reading->error, "%s:%llu: the header's cell %u: %s", reading->file,
                               reading->line, header->n_names + 1, fault);
    header->names[header->n_names] = strndup(name.at, name.length);
    if (header->names[header->n_names] == NULL)
        return train_error_memory(reading->error);
    header->n_names++;
    return 0;
}

static int make_room(const struct reading *reading, uint32_t n)
{
    if (n > CSV_MAX_CELLS)
        return train_error_set(reading->error, "%s:%llu: %u columns, more than %u", reading->file,
                               reading->line, n, CSV_MAX_CELLS);
    reading->header->names = calloc(n, sizeof *reading->header->names);
    return reading->header->names ? 0 : train_error_memory(reading->error);
}

static int keep_names(const struct reading *reading, const struct csv_record *record)
{
    int result = make_room(reading, record->n_cells);
    for (uint32_t i = 0; result == 0 && i < record->n_cells; i++)
        result = keep_name(reading, record->cells[i]);
    return result;
}

/* Whether a file that was said to have no header line has that very one. */
static bool is_repeated(const struct log_form *form, const struct csv_record *record)
{
    if (record->n_cells != form->n_header)
        return false;
    for (uint32_t i = 0; i < form->n_header; i++)
        if (!text_is(record->cells[i], form->header[i]))
            return false;
    return true;
}

static int keep_given(const struct reading *reading, const struct csv_record *record)
{
    const struct log_form *form = &reading->columns->form;
    if (is_repeated(form, record))
        return train_error_set(reading->error,
                               "%s:%llu: the file has a header line: leave --header out",
                               reading->file, reading->line);
    int result = make_room(reading, form->n_header);
    for (uint32_t i = 0; result == 0 && i < form->n_header; i++)
        result = keep_name(reading, text_of(form->header[i]));
    return result;
}

/* 1, 0, -1: as csv_next(). Given names leave the first record where it is. */
static int read_names(struct reading *reading)
{
    const bool is_given = reading->columns->form.header != NULL;
    const char separator = csv_separator(reading->csv);
    struct csv_record record;
    const int status = is_given ? csv_peek(reading->csv, separator, &record, reading->error)
                                : csv_next(reading->csv, &record, reading->error);
    if (status <= 0)
        return status;
    reading->line = record.line;
    return (is_given ? keep_given : keep_names)(reading, &record) == 0 ? 1 : -1;
}

int log_header_read(struct log_header *header, struct csv_reader *csv, const char *file,
                    const struct log_columns *columns, struct train_error *error)
{
    struct reading reading = {
        .header = header, .csv = csv, .file = file, .columns = columns, .error = error};
    free_names(header);
    if (columns->form.separator)
        csv_set_separator(csv, columns->form.separator);
    else if (find_separator(&reading) != 0)
        return -1;
    const int status = read_names(&reading);
    if (status == 0)
        return train_error_set(error, "%s: empty%s", file,
                               columns->form.header ? "" : ", not even a header");
    if (status < 0)
        return -1;
    csv_name_cells(csv, header->names, header->n_names);
    return find_columns(&reading);
}
