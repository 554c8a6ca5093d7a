/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packed body: the first byte says whether it is gzip or deflate. What unpacks is a worker's own
 * and used for one body behind the other: none may show in the next, nor go beyond the largest.
 */
#include "serve/content_coding.h"

#include <string.h>

#include "fuzz.h"

enum { BODY_MAX_BYTES = 1 << 16 };

/* What came of it, and the bytes; they are left in `inflated`. */
static int unpack(struct text packed, enum content_coding coding, struct body *inflated,
                  struct body_budget *budget, struct inflater *inflater)
{
    struct request_error error = {0};
    if (body_inflate(packed, coding, inflated, budget, inflater, &error) == 0) {
        REQUIRE(inflated->state == BODY_WHOLE && inflated->length <= BODY_MAX_BYTES);
        fuzz_touch(inflated->at, inflated->length);
        return 0;
    }
    REQUIRE(error.http_status == 400 || error.http_status == 413);
    REQUIRE(error.message[0] && inflated->capacity <= BODY_MAX_BYTES);
    return error.http_status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct inflater *inflater;
    struct body_budget budget = {.body_max_bytes = BODY_MAX_BYTES, .total_max_bytes = 1 << 20};
    struct body first = {0}, second = {0};
    if (inflater == NULL)
        inflater = inflater_create();
    if (inflater == NULL || size < 1)
        return 0;
    const enum content_coding coding = data[0] & 1 ? CODING_GZIP : CODING_DEFLATE;
    const enum content_coding other = data[0] & 1 ? CODING_DEFLATE : CODING_GZIP;
    const struct text packed = {(const char *)data + 1, size - 1};
    const int status = unpack(packed, coding, &first, &budget, inflater);
    unpack(packed, other, &second, &budget, inflater);
    body_reset(&second, &budget, 0);
    REQUIRE(unpack(packed, coding, &second, &budget, inflater) == status);
    REQUIRE(first.length == second.length &&
            (first.length == 0 || memcmp(first.at, second.at, first.length) == 0));
    body_reset(&first, &budget, 0);
    body_reset(&second, &budget, 0);
    REQUIRE(atomic_load(&budget.used_bytes) == 0);
    return 0;
}
