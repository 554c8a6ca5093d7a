/* SPDX-License-Identifier: Apache-2.0 */
/* test_body_budget.c: the memory that all bodies share. */
#include "body.h"
#include "test.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static const char zeros[256 * KIB];

static struct body_budget budget(void)
{
    return (struct body_budget){
        .body_max_bytes = 4 * MIB, .total_max_bytes = 8 * MIB, .reserve_bytes = MIB};
}

static void fill(struct body *body, struct body_budget *shared, size_t bytes)
{
    for (size_t n = 0; n < bytes; n += sizeof zeros)
        body_append(body, shared, zeros, bytes - n < sizeof zeros ? bytes - n : sizeof zeros);
}

TEST(the_reserve_is_for_small_bodies)
{
    struct body_budget shared = budget();
    struct body held[3] = {{0}}, large = {0}, small = {0};
    fill(&held[0], &shared, 4 * MIB);
    fill(&held[1], &shared, 2 * MIB);
    fill(&held[2], &shared, 1 * MIB);
    CHECK(shared.used_bytes == 7 * MIB);
    fill(&large, &shared, 65 * KIB);
    CHECK(large.state == BODY_OVER_BUDGET);
    fill(&small, &shared, 64 * KIB);
    CHECK(small.state == BODY_WHOLE && small.length == 64 * KIB);
    for (int i = 0; i < 3; i++)
        body_reset(&held[i], &shared, 0);
    body_reset(&large, &shared, 0);
    body_reset(&small, &shared, 0);
    CHECK(shared.used_bytes == 0);
}

TEST(memory_is_short_when_three_quarters_beside_the_reserve_are_used)
{
    struct body_budget shared = budget();
    shared.used_bytes = (8 - 1) * MIB / 4 * 3;
    CHECK(!body_budget_is_tight(&shared));
    shared.used_bytes++;
    CHECK(body_budget_is_tight(&shared));
}

TEST(a_promised_length_bounds_the_memory_and_is_not_trusted)
{
    struct body_budget shared = budget();
    struct body body = {.expected = 70 * KIB};
    fill(&body, &shared, 70 * KIB);
    CHECK(body.state == BODY_WHOLE && body.capacity == 70 * KIB && shared.used_bytes == 70 * KIB);
    body_reset(&body, &shared, 0);
    body = (struct body){.expected = 4 * MIB};
    fill(&body, &shared, KIB);
    CHECK(body.capacity <= 4 * KIB); /* it grows with what comes */
    body_reset(&body, &shared, 0);
    CHECK(shared.used_bytes == 0);
}

int main(void)
{
    RUN(the_reserve_is_for_small_bodies);
    RUN(memory_is_short_when_three_quarters_beside_the_reserve_are_used);
    RUN(a_promised_length_bounds_the_memory_and_is_not_trusted);
    return test_report();
}
