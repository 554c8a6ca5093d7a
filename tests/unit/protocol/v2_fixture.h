/* SPDX-License-Identifier: Apache-2.0 */
/* v2_fixture.h: what test_v2.c and test_v2_request.c share: a frame of three columns and requests
 * for it. */
#ifndef DCNV2_TESTS_V2_FIXTURE_H
#define DCNV2_TESTS_V2_FIXTURE_H

#include "protocol/v2.h"

#include "fixture.h"
#include "test.h"

/* Columns: userid and brand are categories, price is dense. */
#define COLUMNS "userid,brand,price"

enum { USERID, BRAND, PRICE, MAX_ROWS = 1000 };

static struct fixture f;
static struct v2_options options;

/* What earlier requests have left in the memory, and this one itself, must not show. */
static inline void check_memory_changes_nothing(struct text body, size_t length, int status)
{
    static struct v2_memory memory;
    static struct fixture again;
    if (again.frame.schema == NULL)
        fixture_init(&again, COLUMNS, 2, 1, MAX_ROWS);
    for (int round = 0; round < 2; round++) {
        struct v2_options found = {0};
        fixture_reset(&again);
        CHECK(v2_parse(&again.frame, body, length, "dcnv2", &memory, &found, &again.error) ==
              status);
        if (status != 0) {
            CHECK_MSG(strcmp(again.error.message, f.error.message) == 0, "\"%s\", \"%s\"",
                      again.error.message, f.error.message);
            continue;
        }
        CHECK(found.binary_output == options.binary_output && text_equal(found.id, options.id));
        CHECK(found.wants_logits == options.wants_logits);
        for (int c = 0; c < 3; c++) {
            const struct column *a = &again.frame.columns[c], *b = &f.frame.columns[c];
            CHECK(a->n == b->n && a->kinds == b->kinds);
            for (uint32_t row = 0; row < b->n; row++) {
                const struct cell *x = &a->cells[row], *y = &b->cells[row];
                CHECK(x->kind == y->kind && x->length == y->length);
                if (x->kind == CELL_TEXT || x->kind == CELL_INTEGER)
                    CHECK(text_equal((struct text){x->text, x->length},
                                     (struct text){y->text, y->length}));
            }
        }
    }
}

static inline int parse_bytes(const char *bytes, size_t length)
{
    static struct text body;
    fixture_drop(body);
    body = fixture_copy(bytes, length);
    fixture_reset(&f);
    options = (struct v2_options){0};
    const int status = v2_parse(&f.frame, body, length, "dcnv2", NULL, &options, &f.error);
    check_memory_changes_nothing(body, length, status);
    if (status == 0) {
        CHECK(f.frame.n_rows > 0);
        for (int c = 0; c < 3; c++)
            CHECK(f.frame.columns[c].n == f.frame.n_rows);
        CHECK(f.frame.n_segments == 1 && f.frame.segment_starts[0] == 0);
    } else {
        CHECK(status == -1);
        CHECK_MSG(error_is_for_clients(&f.error), "\"%s\"", f.error.message);
    }
    return status;
}

static inline const struct cell *cell(uint32_t column, uint32_t row)
{
    return &f.frame.columns[column].cells[row];
}

static inline bool accepts(const char *body, uint32_t n_rows)
{
    const bool accepted = parse_bytes(body, strlen(body)) == 0;
    CHECK_MSG(accepted, "%s: %s", body, f.error.message);
    if (accepted)
        CHECK_MSG(f.frame.n_rows == n_rows, "%s: %u rows", body, f.frame.n_rows);
    return accepted && f.frame.n_rows == n_rows;
}

/* A 400 whose message has each of up to two words. */
static inline void refuses(const char *body, const char *a, const char *b)
{
    CHECK_MSG(parse_bytes(body, strlen(body)) == -1, "%s is accepted", body);
    CHECK_MSG(f.error.http_status == 400, "%s: %d", body, f.error.http_status);
    CHECK_MSG(a == NULL || strstr(f.error.message, a), "%s: \"%s\" has no \"%s\"", body,
              f.error.message, a);
    CHECK_MSG(b == NULL || strstr(f.error.message, b), "%s: \"%s\" has no \"%s\"", body,
              f.error.message, b);
}

/* A request whose last tensor is `price`; the other two have two rows. */
static inline const char *with_price(const char *price)
{
    static char body[4096];
    snprintf(body, sizeof body,
             "{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"BYTES\", "
             "\"data\": [\"7\", \"8\"]}, {\"name\": \"brand\", \"shape\": [2], \"datatype\": "
             "\"INT64\", \"data\": [1, 2]}, %s]}",
             price);
    return body;
}

#define TENSOR(name, shape, datatype, data)                                                        \
    "{\"name\": \"" name "\", \"shape\": " shape ", \"datatype\": \"" datatype                     \
    "\", \"data\": " data "}"
#define USERID2 TENSOR("userid", "[2]", "BYTES", "[\"7\", \"8\"]")
#define BRAND2  TENSOR("brand", "[2]", "INT64", "[1, 2]")
#define PRICE2  TENSOR("price", "[2]", "FP32", "[0.5, 1]")
#define INPUTS2 "\"inputs\": [" USERID2 ", " BRAND2 ", " PRICE2 "]"

#endif
