/* SPDX-License-Identifier: Apache-2.0 */
/* test_weights.c: vectors of a plan. No spec that was resolved asks for what is refused here. */
#include "model/plan.h"
#include "test.h"

enum { WIDTH = 3 };

static float numbers[] = {1, 2, 3, 4};
static struct tensor tensors[2];
static const struct tensor_part parts[] = {{.name = {"a", 1}}, {.name = {"b", 1}}};
static const struct tensor *by_name[] = {&tensors[0], &tensors[1]};
static const struct tensor_list list = {.tensors = tensors, .n_tensors = 2, .by_name = by_name};
static struct format_error error;

static struct tensor vector_of(const char *name, uint64_t n)
{
    return (struct tensor){.name = text_of(name),
                           .dtype = TENSOR_F32,
                           .n_dims = 1,
                           .sizes = {n},
                           .strides = {1},
                           .n_elements = n,
                           .data = (const uint8_t *)numbers};
}

/* The vector of tensors of n_a and n_b values, of the first n_parts. NULL: it was refused. */
static const float *vector(uint64_t n_a, uint64_t n_b, uint32_t n_parts)
{
    static float block[2 * KERNEL_LANES];
    struct plan plan = {.list = &list, .error = &error, .at = block};
    const struct tensor_stack stack = {parts, n_parts};
    tensors[0] = vector_of("a", n_a);
    tensors[1] = vector_of("b", n_b);
    error = (struct format_error){0};
    const float *values = plan_vector(&plan, &stack, WIDTH, 9);
    CHECK_MSG(!plan.failed == (error.message[0] == '\0'), "%s", error.message);
    return plan.failed ? NULL : values;
}

static void check_vector(const float *values, float a, float b, float c)
{
    CHECK_MSG(values != NULL, "%s", error.message);
    if (values)
        CHECK(values[0] == a && values[1] == b && values[2] == c);
}

static void check_refused(const float *values, const char *message)
{
    CHECK(values == NULL);
    CHECK_MSG(strcmp(error.message, message) == 0, "%s", error.message);
}

TEST(a_vector_is_whole_or_of_one_number_or_left_out)
{
    check_vector(vector(3, 1, 1), 1, 2, 3);
    check_vector(vector(2, 1, 2), 1, 2, 1);
    check_vector(vector(1, 1, 1), 1, 1, 1);
    check_vector(vector(1, 1, 0), 9, 9, 9);
}

TEST(a_vector_of_another_size_is_refused_by_its_name)
{
    check_refused(vector(4, 1, 1), "tensor \"a\" has 4 values here; 3 are expected");
    check_refused(vector(2, 1, 1), "tensor \"a\" has 2 values here; 3 are expected");
    check_refused(vector(0, 1, 1), "tensor \"a\" has 0 values here; 3 are expected");
    check_refused(vector(2, 2, 2), "tensor \"b\" has 2 values here; 1 are expected");
}

TEST(a_number_is_one_value)
{
    static float block[KERNEL_LANES];
    for (uint64_t n = 0; n <= 2; n++) {
        struct plan plan = {.list = &list, .error = &error, .at = block};
        tensors[0] = vector_of("a", n);
        tensors[1] = vector_of("b", 1);
        const float value = plan_number(&plan, &(struct tensor_stack){parts, 1});
        CHECK(plan.failed == (n != 1) && (n != 1 || value == 1));
    }
}

int main(void)
{
    RUN(a_vector_is_whole_or_of_one_number_or_left_out);
    RUN(a_vector_of_another_size_is_refused_by_its_name);
    RUN(a_number_is_one_value);
    return test_report();
}
