/* SPDX-License-Identifier: Apache-2.0 */
/* test_v1_mistaken.c: what clients take for an instance of v1, and that each is told what one is.
 * Tensors of v2 in the place of instances; the reverse is in test_v2_request.c. */
#include "protocol/v1.h"

#include "fixture.h"
#include "test.h"

#define ROW    "{\"userid\": [\"7\"], \"price\": [0.5]}"
#define TENSOR "{\"name\": \"userid\", \"shape\": [1], \"datatype\": \"BYTES\", \"data\": [\"1\"]}"

/* Parses a body whose memory ends with its last byte, for a model with these two columns. */
static int parse(struct fixture *f, const char *columns, const char *bytes)
{
    const struct text body = fixture_copy(bytes, strlen(bytes));
    fixture_init(f, columns, 1, 1, 1000);
    bool wants_logits;
    const int status = v1_parse(&f->frame, body, "m", &wants_logits, &f->error);
    fixture_drop(body);
    fixture_free(f);
    return status;
}

static void refuses(const char *columns, const char *body, const char *message)
{
    struct fixture f;
    CHECK_MSG(parse(&f, columns, body) == -1, "%s is accepted", body);
    CHECK(f.error.http_status == 400 && error_is_for_clients(&f.error));
    CHECK_MSG(strcmp(f.error.message, message) == 0, "%s: \"%s\"", body, f.error.message);
}

TEST(what_stands_in_the_place_of_an_instance_is_told_what_one_is)
{
    static const struct {
        const char *body, *what;
    } cases[] = {
        {"{\"instances\": [[\"884208\", \"33\"]]}", "Instance 1 is a string in a list"},
        {"{\"instances\": [5]}", "Instance 1 is a number"},
        {"{\"inputs\": [" ROW ", null]}", "Instance 2 is null"},
        {"{\"inputs\": [" ROW ", [" ROW ", [1]]]}", "Instance 3 is a list in a list"},
        {"{\"inputs\": [\"x\", [" TENSOR "]]}", "Instance 1 is a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        snprintf(message, sizeof message,
                 "%s; expected an object of columns, {\"userid\": VALUE or [VALUE, ..], ..}.",
                 cases[i].what);
        refuses("userid,price", cases[i].body, message);
    }
}

TEST(tensors_are_told_where_they_belong)
{
    static const char *const bodies[] = {
        "{\"inputs\": [" TENSOR ", " TENSOR "]}",
        "{\"id\": \"1\", \"instances\": [" TENSOR "], \"parameters\": {}}",
        "{\"inputs\": [{\"n\\u0061me\": 1, \"datatype\": 2, \"shape\": 3}]}",
        "{\"inputs\": [{}], \"instances\": 1, \"inputs\": [" TENSOR "]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses(
            "userid,price", bodies[i],
            "The body holds tensors of the v2 protocol; they belong to /v2/models/m/infer. Here "
            "instances are expected, objects of columns.");
}

TEST(what_is_nearly_a_tensor_is_an_instance)
{
    static const char *const bodies[] = {
        "{\"inputs\": [{\"name\": 1, \"shape\": [1]}]}",
        "{\"inputs\": [{\"datatype\": 1, \"shape\": [1]}]}",
        "{\"inputs\": [{}, " TENSOR "]}",
        "{\"inputs\": [[" TENSOR "]]}",
        "{\"inputs\": [" TENSOR "], \"inputs\": [{}]}",
        "{\"inputs\": [{}], \"instances\": [" TENSOR "]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses("userid,price", bodies[i], "Instance 1: column \"userid\" is missing.");
    struct fixture f;
    CHECK(parse(&f, "userid,price",
                "{\"inputs\": [{\"userid\": 1, \"price\": 3, \"name\": 4, \"datatype\": 5, "
                "\"shape\": 6}]}") == 0);
}

TEST(a_model_may_have_a_column_that_is_called_datatype)
{
    refuses("datatype,price", "{\"inputs\": [{\"name\": 1, \"datatype\": 2, \"shape\": 3}]}",
            "Instance 1: column \"price\" is missing.");
}

int main(void)
{
    RUN(what_stands_in_the_place_of_an_instance_is_told_what_one_is);
    RUN(tensors_are_told_where_they_belong);
    RUN(what_is_nearly_a_tensor_is_an_instance);
    RUN(a_model_may_have_a_column_that_is_called_datatype);
    return test_report();
}
