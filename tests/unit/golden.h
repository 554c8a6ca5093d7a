/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden.h: reads the golden files of tests/golden (their form: golden_file.py there).
 *
 *     struct golden golden;
 *     struct text fields[4];
 *     if (golden_open(&golden, "tests/golden/some.tsv"))
 *         while ((n = golden_next(&golden, fields, 4)) != 0)
 *             ..
 *     golden_close(&golden);
 */
#ifndef DCNV2_TESTS_GOLDEN_H
#define DCNV2_TESTS_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "text.h"

struct golden {
    char *bytes;
    char *at;
    char *end;
    unsigned n_records;
};

/* false: a check has failed, the file cannot be read. */
static inline bool golden_open(struct golden *golden, const char *path)
{
    *golden = (struct golden){0};
    FILE *file = fopen(path, "rb");
    CHECK_MSG(file != NULL, "cannot open %s; the tests run from the repository's root", path);
    if (file == NULL)
        return false;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    rewind(file);
    golden->bytes = size > 0 ? malloc((size_t)size) : NULL;
    bool whole = golden->bytes && fread(golden->bytes, 1, (size_t)size, file) == (size_t)size;
    fclose(file);
    CHECK_MSG(whole, "cannot read %s", path);
    if (!whole) {
        free(golden->bytes);
        golden->bytes = NULL;
        return false;
    }
    golden->at = golden->bytes;
    golden->end = golden->bytes + size;
    return true;
}

static inline int golden_hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Turns \xHH into its byte, in place. */
static inline struct text golden_unescape(char *field, size_t length)
{
    char *out = field;
    for (size_t i = 0; i < length; out++) {
        if (field[i] == '\\' && i + 3 < length) {
            *out = (char)(golden_hex_digit(field[i + 2]) * 16 + golden_hex_digit(field[i + 3]));
            i += 4;
        } else {
            *out = field[i++];
        }
    }
    return (struct text){field, (size_t)(out - field)};
}

/* Number of fields of the next record, 0 at the end. Fields beyond `max` are left out. */
static inline size_t golden_next(struct golden *golden, struct text *ret_fields, size_t max)
{
    while (golden->at < golden->end && *golden->at == '#') {
        while (golden->at < golden->end && *golden->at != '\n')
            golden->at++;
        golden->at += golden->at < golden->end;
    }
    size_t n = 0;
    while (golden->at < golden->end) {
        char *field = golden->at;
        while (golden->at < golden->end && *golden->at != '\t' && *golden->at != '\n')
            golden->at++;
        const bool last = golden->at == golden->end || *golden->at == '\n';
        if (n < max)
            ret_fields[n++] = golden_unescape(field, (size_t)(golden->at - field));
        golden->at += golden->at < golden->end;
        if (last)
            break;
    }
    golden->n_records += n != 0;
    return n;
}

static inline void golden_close(struct golden *golden)
{
    free(golden->bytes);
    *golden = (struct golden){0};
}

#endif
