/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells are found 64 bytes at a time. Every byte that means something is the comma (0x2C), below it
 * in ASCII (quote, line ends, tab, NUL) or beyond ASCII; digits, letters, minus and point are not:
 * so one comparison a word gives a mask of the few bytes that have to be looked at. A separator
 * above the comma costs another one.
 */
#include "data/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/log_text.h"

enum { BUFFER_BYTES = 1 << 18, FIRST_CELLS = 64, MASK_BYTES = 64 };

/* Where the search for bytes that mean something is: those that are left of MASK_BYTES. */
struct search {
    const char *base;
    uint64_t mask;
    char separator;
};

struct csv_reader {
    const char *path;
    char *const *names; /* [n_names] of cells */
    uint32_t n_names;
    struct log_text *file;
    char separator;
    bool is_at_eof;

    char *buffer; /* [capacity + CSV_PADDING] */
    size_t capacity;
    char *at;  /* the next record */
    char *end; /* behind the last byte; holds a line end, so that every search ends */

    struct search search;
    uint64_t line, n_records;
    struct text *cells; /* [cell_capacity] */
    uint32_t cell_capacity;
    char *peeked; /* a copy of a record */
};

int csv_open(struct csv_reader **ret_reader, const char *path, struct train_error *error)
{
    struct csv_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return train_error_memory(error);
    reader->path = path;
    reader->separator = ',';
    reader->line = 1;
    reader->capacity = BUFFER_BYTES;
    reader->cell_capacity = FIRST_CELLS;
    if (log_text_open(&reader->file, path, error) != 0) {
        csv_close(reader);
        return -1;
    }
    reader->buffer = calloc(1, reader->capacity + CSV_PADDING);
    reader->cells = malloc(reader->cell_capacity * sizeof *reader->cells);
    if (reader->buffer == NULL || reader->cells == NULL) {
        csv_close(reader);
        return train_error_memory(error);
    }
    reader->at = reader->end = reader->buffer;
    *ret_reader = reader;
    return 0;
}

void csv_name_cells(struct csv_reader *reader, char *const *names, uint32_t n_names)
{
    reader->names = names;
    reader->n_names = n_names;
}

uint64_t csv_bytes_read(const struct csv_reader *reader)
{
    return log_text_offset(reader->file);
}

void csv_close(struct csv_reader *reader)
{
    if (reader == NULL)
        return;
    log_text_close(reader->file);
    free(reader->buffer);
    free(reader->cells);
    free(reader->peeked);
    free(reader);
}

/* Twice the room, for a record that fills half of it. */
static int grow(struct csv_reader *reader, size_t left, struct train_error *error)
{
    char *larger = malloc(2 * reader->capacity + CSV_PADDING);
    if (larger == NULL)
        return train_error_memory(error);
    memcpy(larger, reader->at, left);
    free(reader->buffer);
    reader->buffer = reader->at = larger;
    reader->capacity *= 2;
    return 0;
}

/* ---- the search ---- */

/* Bit k: the top bit of byte k. */
static uint64_t gather(uint64_t top_bits)
{
    const uint64_t ones = 0x0101010101010101;
    return ((top_bits >> 7 & ones) * 0x0102040810204080) >> 56;
}

/* Bit i: byte i is the comma, below it, or beyond ASCII. */
static uint64_t special_bytes(const char *at)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t mask = 0;
    for (unsigned i = 0; i < MASK_BYTES / 8; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, 8);
        const uint64_t above = (word & 0x7F * ones) + (0x7F - ',') * ones; /* top bits: above it */
        mask |= gather(~above | word) << (8 * i);
    }
    return mask;
}

/* Bit i: byte i is `byte`, which is one of ASCII. */
static uint64_t equal_bytes(const char *at, char byte)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t mask = 0;
    for (unsigned i = 0; i < MASK_BYTES / 8; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, 8);
        word ^= ones * (uint64_t)byte;
        const uint64_t other = (word & 0x7F * ones) + 0x7F * ones; /* top bits: not 0, in 7 bits */
        mask |= gather(~(other | word)) << (8 * i);
    }
    return mask;
}

static struct search search_from(const char *at, char separator)
{
    const uint64_t separators = separator > ',' ? equal_bytes(at, separator) : 0;
    return (struct search){at, special_bytes(at) | separators, separator};
}

/* The next byte that means something; there is one, at the reader's end. */
static inline char *next_special(struct search *search)
{
    while (search->mask == 0)
        *search = search_from(search->base + MASK_BYTES, search->separator);
    char *found = (char *)search->base + __builtin_ctzll(search->mask);
    search->mask &= search->mask - 1;
    return found;
}

void csv_set_separator(struct csv_reader *reader, char separator)
{
    reader->separator = separator;
    reader->search = search_from(reader->at, separator);
}

char csv_separator(const struct csv_reader *reader)
{
    return reader->separator;
}

/* ---- quotes ---- */

/* Behind the quote that closes the one at `at`, or NULL: it is not in the buffer. */
static char *behind_closing_quote(const struct csv_reader *reader, char *at)
{
    at++;
    for (;;) {
        char *quote = memchr(at, '"', (size_t)(reader->end - at));
        if (quote == NULL || (quote + 1 == reader->end && !reader->is_at_eof))
            return NULL;
        if (quote + 1 == reader->end || quote[1] != '"')
            return quote + 1;
        at = quote + 2;
    }
}

/* Line ends in [at, end), of which each is LF, CRLF or CR. */
static uint64_t count_lines(const char *at, const char *end)
{
    uint64_t n = 0;
    for (; at < end; at++)
        n += *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n'));
    return n;
}

/* The quote that is open at the buffer's end, in the record at reader->at, and its cell from 0;
 * NULL: there is none. */
static const char *find_open_quote(const struct csv_reader *reader, uint32_t *ret_cell)
{
    char *at = reader->at;
    bool is_start = true; /* of a cell */
    *ret_cell = 0;
    while (at < reader->end) {
        if (is_start && *at == '"') {
            char *behind = behind_closing_quote(reader, at);
            if (behind == NULL)
                return at;
            at = behind;
            is_start = false;
            continue;
        }
        is_start = *at++ == reader->separator;
        *ret_cell += is_start;
    }
    return NULL;
}

enum { CELL_NAME_BYTES = 128 };

static const char *cell_name(const struct csv_reader *reader, uint32_t cell,
                             char out[CELL_NAME_BYTES])
{
    if (cell < reader->n_names)
        snprintf(out, CELL_NAME_BYTES, "column %s", reader->names[cell]);
    else
        snprintf(out, CELL_NAME_BYTES, "cell %u", cell + 1);
    return out;
}

/* The record at reader->at has no end though the file has one. */
static int open_quote(const struct csv_reader *reader, struct train_error *error)
{
    char name[CELL_NAME_BYTES];
    uint32_t cell;
    const char *at = find_open_quote(reader, &cell);
    return train_error_set(
        error, "%s:%llu: %s: a quote that opens here is not closed until the end", reader->path,
        (unsigned long long)(reader->line + count_lines(reader->at, at)),
        cell_name(reader, cell, name));
}

static int endless_record(const struct csv_reader *reader, struct train_error *error)
{
    char name[CELL_NAME_BYTES];
    uint32_t cell;
    const bool is_open = find_open_quote(reader, &cell) != NULL;
    return train_error_set(
        error, "%s:%llu: %s%sthe record that starts here is longer than %u MiB%s", reader->path,
        (unsigned long long)reader->line, is_open ? cell_name(reader, cell, name) : "",
        is_open ? ": " : "", CSV_MAX_RECORD_BYTES >> 20, is_open ? ": is its quote open?" : "");
}

/* The file cannot be read further. */
static int broken_file(const struct csv_reader *reader, const struct train_error *reason,
                       struct train_error *error)
{
    if (reader->n_records == 0)
        return train_error_set(error, "%s", reason->message);
    return train_error_set(error, "%s; %llu records were read before", reason->message,
                           (unsigned long long)reader->n_records);
}

int csv_check_file(struct csv_reader *reader, struct train_error *error)
{
    struct train_error reason;
    if (log_text_check_member(reader->file, &reason) == 0)
        return 0;
    return broken_file(reader, &reason, error);
}

/* Fills the buffer behind what is left of it, which moves to its start. */
static int refill(struct csv_reader *reader, struct train_error *error)
{
    const size_t left = (size_t)(reader->end - reader->at);
    if (left >= CSV_MAX_RECORD_BYTES)
        return endless_record(reader, error);
    if (left > reader->capacity / 2 && grow(reader, left, error) != 0)
        return -1;
    memmove(reader->buffer, reader->at, left);
    reader->at = reader->buffer;
    reader->end = reader->buffer + left;
    char *const buffer_end = reader->buffer + reader->capacity;
    int status = 0;
    while (reader->end < buffer_end && !reader->is_at_eof) {
        struct train_error reason;
        const ssize_t n =
            log_text_read(reader->file, reader->end, (size_t)(buffer_end - reader->end), &reason);
        if (n < 0) { /* the records before come first; the file will say the same again */
            status = reader->end == reader->buffer + left ? broken_file(reader, &reason, error) : 0;
            break;
        }
        reader->is_at_eof = n == 0;
        reader->end += n;
    }
    memset(reader->end, '\n', CSV_PADDING);
    reader->search = search_from(reader->at, reader->separator);
    return status;
}

/* ---- records ---- */

const char *csv_cell_fault(struct text cell)
{
    if (memchr(cell.at, '\0', cell.length))
        return "a NUL byte";
    if (text_utf8_valid_length(cell.at, cell.length) != cell.length)
        return "not UTF-8";
    return NULL;
}

static int add_cell(struct csv_reader *reader, uint32_t n, char *start, const char *end)
{
    if (n >= reader->cell_capacity) {
        if (n >= CSV_MAX_CELLS)
            return 0;
        struct text *larger = realloc(reader->cells, 2 * (size_t)n * sizeof *larger);
        if (larger == NULL)
            return -1;
        reader->cells = larger;
        reader->cell_capacity *= 2;
    }
    reader->cells[n] = (struct text){start, (size_t)(end - start)};
    return 0;
}

/* Unquotes a cell that starts with a quote, in place; doubled quotes become one. */
static void unquote(struct text *cell)
{
    char *out = (char *)cell->at;
    const char *at = cell->at + 1, *end = cell->at + cell->length;
    bool is_open = true;
    while (at < end) {
        if (is_open && *at == '"') {
            at++;
            if (at == end || *at != '"') {
                is_open = false;
                continue;
            }
        }
        *out++ = *at++;
    }
    cell->length = (size_t)(out - cell->at);
}

enum found { FOUND_RECORD, FOUND_BLANK, FOUND_NO_END, FOUND_NO_MEMORY };

/* Puts reader->at behind the line end at `at`. false: more of it may come. */
static bool end_line(struct csv_reader *reader, struct search *search, char *at)
{
    if (at == reader->end) { /* of the buffer, or of the file as well */
        reader->at = at;
        return reader->is_at_eof;
    }
    if (*at == '\r' && at + 1 == reader->end && !reader->is_at_eof)
        return false;
    if (*at == '\r' && at + 1 < reader->end && at[1] == '\n')
        at = next_special(search);
    reader->at = at + 1;
    return true;
}

/*
 * Cells of the record at reader->at, which is left behind it. FOUND_NO_END: its end is not in the
 * buffer; the search has to start anew.
 */
static enum found split(struct csv_reader *reader, struct csv_record *record, bool *ret_has_quotes)
{
    char *const first = reader->at;
    char *start = first; /* of the cell */
    bool has_high = false, has_control = false, has_quotes = false;
    uint32_t n = 0;
    struct search search = reader->search; /* in registers */
    const char separator = reader->separator;
    for (;;) {
        char *at = next_special(&search);
        if (*at == separator) {
            if (add_cell(reader, n++, start, at) != 0)
                return FOUND_NO_MEMORY;
            start = at + 1;
            continue;
        }
        if (*at == '\n' || *at == '\r') {
            if (!end_line(reader, &search, at)) {
                reader->at = first;
                return FOUND_NO_END;
            }
            reader->search = search;
            if (at == first)
                return FOUND_BLANK;
            if (add_cell(reader, n++, start, at) != 0)
                return FOUND_NO_MEMORY;
            break;
        }
        if (*at == '"' && at == start) {
            char *behind = behind_closing_quote(reader, at);
            if (behind == NULL)
                return FOUND_NO_END;
            has_quotes = has_control = has_high = true; /* what was passed over is not known */
            search = search_from(behind, separator);
        } else if ((unsigned char)*at >= 0x80) {
            has_high = true;
        } else if ((unsigned char)*at < ' ') {
            has_control = true;
        }
    }
    *record = (struct csv_record){reader->cells, n, reader->line, has_high, has_control};
    *ret_has_quotes = has_quotes;
    return FOUND_RECORD;
}

/* As csv_next(), but cells keep their quotes, and lines are not counted. */
static int find_record(struct csv_reader *reader, struct csv_record *ret_record,
                       bool *ret_has_quotes, struct train_error *error)
{
    for (;;) {
        if (reader->at == reader->end && reader->is_at_eof)
            return 0;
        if (reader->at < reader->end) {
            const enum found found = split(reader, ret_record, ret_has_quotes);
            if (found == FOUND_RECORD)
                return 1;
            if (found == FOUND_NO_MEMORY)
                return train_error_memory(error);
            if (found == FOUND_BLANK) {
                reader->line++;
                continue;
            }
            if (reader->is_at_eof)
                return open_quote(reader, error);
        }
        if (refill(reader, error) != 0)
            return -1;
    }
}

static void unquote_all(struct csv_reader *reader, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < reader->cell_capacity; i++)
        if (reader->cells[i].length > 0 && *reader->cells[i].at == '"')
            unquote(&reader->cells[i]);
}

int csv_next(struct csv_reader *reader, struct csv_record *ret_record, struct train_error *error)
{
    bool has_quotes;
    const int status = find_record(reader, ret_record, &has_quotes, error);
    if (status <= 0)
        return status;
    reader->line += has_quotes ? count_lines(reader->cells->at, reader->at) : 1;
    reader->n_records++;
    if (has_quotes)
        unquote_all(reader, ret_record->n_cells);
    return 1;
}

/* Cells are unquoted in place, which the record must not be: its cells move to a copy. */
static int copy_cells(struct csv_reader *reader, uint32_t n, struct train_error *error)
{
    const char *const first = reader->cells->at;
    const size_t size = (size_t)(reader->at - first);
    free(reader->peeked);
    reader->peeked = malloc(size + 1);
    if (reader->peeked == NULL)
        return train_error_memory(error);
    memcpy(reader->peeked, first, size);
    for (uint32_t i = 0; i < n && i < reader->cell_capacity; i++)
        reader->cells[i].at = reader->peeked + (reader->cells[i].at - first);
    return 0;
}

int csv_peek(struct csv_reader *reader, char separator, struct csv_record *ret_record,
             struct train_error *error)
{
    const char kept = reader->separator;
    bool has_quotes;
    csv_set_separator(reader, separator);
    int status = find_record(reader, ret_record, &has_quotes, error);
    if (status > 0) {
        char *const first = (char *)reader->cells->at;
        status = copy_cells(reader, ret_record->n_cells, error) == 0 ? 1 : -1;
        reader->at = first;
    }
    if (status > 0 && has_quotes)
        unquote_all(reader, ret_record->n_cells);
    csv_set_separator(reader, kept);
    return status;
}
