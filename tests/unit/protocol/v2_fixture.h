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

static inline int parse_bytes(const char *bytes, size_t length)
{
    static struct text body;
    fixture_drop(body);
    body = fixture_copy(bytes, length);
    fixture_reset(&f);
    options = (struct v2_options){{NULL, 0}, false};
    const int status = v2_parse(&f.frame, body, length, "dcnv2", &options, &f.error);
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
