/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/steps.h"

#include <math.h>

#include "test.h"

static const double nan_value = (double)NAN;

static double one(enum step_kind kind, double a, double b, double value)
{
    const struct spec_step step = {.kind = kind, .a = a, .b = b};
    return steps_run(&step, 1, value);
}

TEST(each_step_is_what_the_spec_says)
{
    CHECK(one(STEP_FILL, 3, 0, nan_value) == 3 && one(STEP_FILL, 3, 0, 5) == 5);
    CHECK(one(STEP_IS_MISSING, 0, 0, nan_value) == 1 && one(STEP_IS_MISSING, 0, 0, 0) == 0);
    CHECK(one(STEP_ADD, 3, 0, 5) == 8 && one(STEP_SUBTRACT, 3, 0, 5) == 2);
    CHECK(one(STEP_MULTIPLY, 3, 0, 5) == 15 && one(STEP_DIVIDE, 4, 0, 5) == 1.25);
    CHECK(one(STEP_CLIP, 0, 1, -2) == 0 && one(STEP_CLIP, 0, 1, 2) == 1);
    CHECK(one(STEP_CLIP, 0, 1, 0.5) == 0.5 && isnan(one(STEP_CLIP, 0, 1, nan_value)));
    CHECK(one(STEP_LOG, 3, 0, 5) == log(8) && one(STEP_LOG, 1, 0, 1e-20) == 1e-20);
    CHECK(one(STEP_SIGNED_LOG, 0, 0, -4) == -log(5) && one(STEP_SIGNED_LOG, 0, 0, 4) == log(5));
    CHECK(one(STEP_SIGNED_LOG, 0, 0, 0) == 0);
    CHECK(one(STEP_TRUNCATE, 0, 0, -1.9) == -1 && one(STEP_TRUNCATE, 0, 0, 1.9) == 1);
    CHECK(one(STEP_FLOAT32, 0, 0, 0.1) == (double)0.1f);
}

TEST(the_squared_logarithm_is_criteos)
{
    CHECK(one(STEP_SQUARED_LOG, 0, 0, 2) == 0 && one(STEP_SQUARED_LOG, 0, 0, -1) == -3);
    CHECK(one(STEP_SQUARED_LOG, 0, 0, 3) == 1 && one(STEP_SQUARED_LOG, 0, 0, 1000) == 47);
    CHECK(isnan(one(STEP_SQUARED_LOG, 0, 0, nan_value)));
}

TEST(a_bucket_is_the_number_of_edges_before)
{
    static const double edges[] = {-1, 0, 0, 2.5, 10};
    struct spec_step step = {.kind = STEP_BUCKET, .edges = edges, .n_edges = 5};
    static const struct {
        double value, closed, open;
    } cases[] = {{-2, 0, 0},
                 {-1, 1, 0},
                 {-0.5, 1, 1},
                 {0, 3, 1},
                 {2, 3, 3},
                 {2.5, 4, 3},
                 {10, 5, 4},
                 {(double)INFINITY, 5, 5},
                 {-(double)INFINITY, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        step.b = 0;
        CHECK_MSG(steps_run(&step, 1, cases[i].value) == cases[i].closed, "case %zu", i);
        step.b = 1;
        CHECK_MSG(steps_run(&step, 1, cases[i].value) == cases[i].open, "case %zu", i);
    }
    CHECK(isnan(steps_run(&step, 1, nan_value)));
    step.n_edges = 0;
    CHECK(steps_run(&step, 1, 7) == 0);
}

TEST(steps_run_in_their_order)
{
    const struct spec_step steps[] = {{.kind = STEP_FILL, .a = 7},
                                      {.kind = STEP_SUBTRACT, .a = 0.1},
                                      {.kind = STEP_MULTIPLY, .a = 3},
                                      {.kind = STEP_ADD, .a = 1}};
    const volatile double difference = 7 - 0.1, product = difference * 3, sum = product + 1;
    CHECK(steps_run(steps, 4, nan_value) == sum);
    CHECK(steps_run(steps, 0, 5) == 5);
}

TEST(an_empty_text_is_a_missing_number_but_for_pandas)
{
    const struct cell empty = {.text = "", .kind = CELL_TEXT};
    const struct cell word = {.text = "nan", .length = 3, .kind = CELL_TEXT};
    double value = 0;
    CHECK(number_of_cell(&empty, CELLS_AS_WRITTEN, &value) && isnan(value));
    CHECK(!number_of_cell(&empty, CELLS_AS_PANDAS, &value));
    CHECK(!number_of_cell(&word, CELLS_AS_WRITTEN, &value));
}

int main(void)
{
    RUN(each_step_is_what_the_spec_says);
    RUN(the_squared_logarithm_is_criteos);
    RUN(a_bucket_is_the_number_of_edges_before);
    RUN(steps_run_in_their_order);
    RUN(an_empty_text_is_a_missing_number_but_for_pandas);
    return test_report();
}
