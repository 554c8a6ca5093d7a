/* SPDX-License-Identifier: Apache-2.0 */
/* test_v1_repeats.c: texts that stand for several rows. What reads them does so once per row, so
 * that a small body with a long text could ask for hours of work. */
#include "protocol/v1.h"

#include "fixture.h"
#include "test.h"

enum { ROWS = 1024, LONGEST = V1_REPEATED_MAX_BYTES / ROWS, SHORT = 64, MANY_ROWS = 100000 };

/* One instance: so many rows, texts of so many bytes. */
struct instance {
    uint32_t n_rows, userid, brand;
};

static void add_text(struct builder *body, const char *name, uint32_t length)
{
    builder_text(body, "\"");
    builder_text(body, name);
    builder_text(body, "\": \"");
    builder_repeat(body, "x", length);
    builder_text(body, "\", ");
}

static void add_instance(struct builder *body, const struct instance *instance)
{
    builder_text(body, "{");
    add_text(body, "userid", instance->userid);
    add_text(body, "brand", instance->brand);
    builder_text(body, "\"price\": [0");
    builder_repeat(body, ",0", instance->n_rows - 1);
    builder_text(body, "]}");
}

/* The status of a request of two instances, under two keys of which the last is read again. */
static int parse(const char *key, const struct instance instances[2])
{
    struct builder body = {0};
    struct fixture f;
    bool wants_logits;
    builder_text(&body, "{\"");
    builder_text(&body, key);
    builder_text(&body, "\": [");
    add_instance(&body, &instances[0]);
    builder_text(&body, ",");
    add_instance(&body, &instances[1]);
    builder_text(&body, "], \"inputs\": [");
    add_instance(&body, &instances[0]);
    builder_text(&body, ",");
    add_instance(&body, &instances[1]);
    builder_text(&body, "]}");
    const struct text bytes = fixture_copy(body.at, body.length);
    fixture_init(&f, "userid,brand,price", 2, 1, 2 * MANY_ROWS);
    const int status = v1_parse(&f.frame, bytes, "m", &wants_logits, &f.error);
    if (status != 0)
        CHECK_MSG(
            strstr(f.error.message, "texts that stand for several rows may be 16777216 bytes"),
            "\"%s\"", f.error.message);
    const int found = status == 0 ? 200 : f.error.http_status;
    fixture_drop(bytes);
    fixture_free(&f);
    builder_free(&body);
    return found;
}

static int status_of(struct instance a, struct instance b)
{
    return parse("instances", (struct instance[2]){a, b});
}

TEST(a_text_for_many_rows_has_a_bound)
{
    const struct instance one = {1, 1, 1};
    CHECK(status_of((struct instance){ROWS, LONGEST, 1}, one) == 200);
    CHECK(status_of((struct instance){ROWS, LONGEST + 1, 1}, one) == 413);
    CHECK(status_of((struct instance){ROWS, 1, LONGEST + 1}, one) == 413);
    CHECK(status_of((struct instance){2, V1_REPEATED_MAX_BYTES / 2 + 1, 1}, one) == 413);
}

TEST(columns_and_instances_have_it_together)
{
    const struct instance half = {ROWS, LONGEST / 2, 1};
    CHECK(status_of(half, half) == 200);
    CHECK(status_of(half, (struct instance){ROWS, LONGEST / 2 + 1, 1}) == 413);
    CHECK(status_of((struct instance){ROWS, LONGEST / 2, LONGEST / 2 + 1},
                    (struct instance){1, 1, 1}) == 413);
}

TEST(a_text_of_one_row_and_short_ones_have_none)
{
    const struct instance one = {1, V1_REPEATED_MAX_BYTES / 4, V1_REPEATED_MAX_BYTES / 4};
    CHECK(status_of(one, one) == 200);
    const struct instance many = {MANY_ROWS, SHORT, SHORT},
                          longer = {MANY_ROWS, SHORT + 1, SHORT + 1};
    CHECK(status_of(many, many) == 200);
    CHECK(status_of(longer, longer) == 413);
}

int main(void)
{
    RUN(a_text_for_many_rows_has_a_bound);
    RUN(columns_and_instances_have_it_together);
    RUN(a_text_of_one_row_and_short_ones_have_none);
    return test_report();
}
