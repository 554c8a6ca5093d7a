/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside the tensors of a v2 request: outputs, parameters, and what is wrong with the
 * whole. */
#include "v2_fixture.h"

TEST(outputs_are_asked_for_by_name)
{
    static const struct {
        const char *members;
        bool binary;
    } cases[] = {
        {"\"outputs\": null", false},
        {"\"outputs\": []", false},
        {"\"outputs\": [{\"name\": \"output-0\"}]", false},
        {"\"outputs\": [{\"name\": \"output-0\", \"parameters\": null}]", false},
        {"\"outputs\": [{\"name\": \"output-0\", \"parameters\": {}}]", false},
        {"\"outputs\": [{\"parameters\": {\"binary_data\": true}, \"name\": \"output-0\"}]", true},
        {"\"outputs\": [{\"name\": \"output-0\", \"parameters\": {\"binary_data\": false}}]",
         false},
        {"\"outputs\": [{\"name\": \"output-0\", \"x\": 1, \"parameters\": {\"y\": 2, "
         "\"binary_data\": true}}]",
         true},
        {"\"parameters\": {\"binary_data_output\": true}", true},
        {"\"parameters\": {\"binary_data_output\": false}", false},
        {"\"parameters\": {\"content_type\": \"pd\", \"binary_data_output\": true}", true},
        {"\"parameters\": {\"binary_data_output\": true}, \"outputs\": [{\"name\": \"output-0\"}]",
         true},
        {"\"outputs\": [], \"parameters\": {\"binary_data_output\": true}", true},
        {"\"parameters\": {\"binary_data\": true}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1200];
        snprintf(body, sizeof body, "{%s, " INPUTS2 "}", cases[i].members);
        if (accepts(body, 2))
            CHECK_MSG(options.binary_output == cases[i].binary, "%s", cases[i].members);
        snprintf(body, sizeof body, "{" INPUTS2 ", %s}", cases[i].members);
        if (accepts(body, 2))
            CHECK_MSG(options.binary_output == cases[i].binary, "%s", cases[i].members);
    }
}

TEST(logits_are_asked_for_by_a_parameter_of_the_request)
{
    static const struct {
        const char *members;
        bool wants_logits, binary;
    } cases[] = {
        {"\"parameters\": {\"logit\": true}", true, false},
        {"\"parameters\": {\"logit\": false}", false, false},
        {"\"parameters\": {\"logit\": null}", false, false},
        {"\"parameters\": {\"content_type\": \"pd\", \"logit\": true, \"x\": 1}", true, false},
        {"\"parameters\": {\"logit\": true, \"binary_data_output\": true}", true, true},
        {"\"parameters\": {\"binary_data_output\": true}", false, true},
        {"\"parameters\": {\"logit\": true}, \"outputs\": [{\"name\": \"output-0\", "
         "\"parameters\": {\"binary_data\": true}}]",
         true, true},
        {"\"parameters\": {\"logit\": true, \"logit\": false}", false, false},
        {"\"parameters\": {\"logit\": 5}, \"parameters\": {\"logit\": true}", true, false},
        {"\"parameters\": {\"logit\": true}, \"parameters\": {}", false, false},
        {"\"parameters\": {\"logit\": true}, \"parameters\": null", false, false},
        {"\"logit\": true", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1200];
        snprintf(body, sizeof body, "{%s, " INPUTS2 "}", cases[i].members);
        if (!accepts(body, 2))
            continue;
        CHECK_MSG(options.wants_logits == cases[i].wants_logits, "%s", cases[i].members);
        CHECK_MSG(options.binary_output == cases[i].binary, "%s", cases[i].members);
    }
    static const char say[] = "\"logit\" must be true or false";
    refuses("{" INPUTS2 ", \"parameters\": {\"logit\": 1}}", say, "a number");
    refuses("{" INPUTS2 ", \"parameters\": {\"logit\": \"true\"}}", say, "a string");
    refuses("{\"parameters\": {\"logit\": []}, " INPUTS2 "}", say, "a list");
    refuses("{\"parameters\": {\"logit\": {}, \"logit\": true}, " INPUTS2 "}", say, "an object");
}

TEST(an_unknown_output_is_refused_as_kserve_refuses_it)
{
    static const char nope[] = "Unexpected inference output 'nope' for model 'dcnv2'";
    refuses("{" INPUTS2 ", \"outputs\": [{\"name\": \"nope\"}]}", nope, NULL);
    refuses("{\"outputs\": [{\"name\": \"nope\"}], " INPUTS2 "}", nope, NULL);
    refuses("{" INPUTS2 ", \"outputs\": [{\"name\": \"output-0\"}, {\"name\": \"nope\"}]}", nope,
            NULL);
    refuses("{" INPUTS2 ", \"outputs\": [{\"name\": \"output-1\"}]}", "output-1", NULL);
    static const char *const bad[] = {"5",    "{}",   "\"output-0\"", "[null]", "[\"output-0\"]",
                                      "[{}]", "[[]]", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[1000];
        snprintf(body, sizeof body, "{" INPUTS2 ", \"outputs\": %s}", bad[i]);
        refuses(body, "output", NULL);
    }
    for (size_t before = 0; before < 3; before++) {
        struct builder builder = {0};
        builder_text(&builder, "{" INPUTS2 ", \"outputs\": [{\"name\": \"");
        builder_repeat(&builder, "a", before);
        builder_repeat(&builder, "\xE4\xB8\xAD", 60);
        builder_add(&builder, "\"}]}", 5);
        refuses(builder.at, "for model 'dcnv2'", "\xE4\xB8\xAD");
        builder_free(&builder);
    }
}

TEST(parameters_that_are_no_object_are_a_400)
{
    static const char *const bad[] = {"5", "\"pd\"", "[]", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[1000];
        snprintf(body, sizeof body, "{" INPUTS2 ", \"parameters\": %s}", bad[i]);
        refuses(body, "parameters", NULL);
    }
}

TEST(what_has_no_inputs_is_a_400)
{
    static const char *const bodies[] = {
        "{}",
        "{\"inputs\": []}",
        "{\"inputs\": null}",
        "{\"inputs\": {}}",
        "{\"inputs\": \"x\"}",
        "{\"inputs\": [null]}",
        "{\"inputs\": [5]}",
        "{\"inputs\": [[]]}",
        "{\"Inputs\": []}",
        "[]",
        "null",
        "5",
        "\"x\"",
        "true",
        "{\"inputs\": [{\"userid\": [\"7\"], \"brand\": [\"b\"], \"price\": [0.5]}]}",
        "{\"instances\": [{\"userid\": [\"7\"], \"brand\": [\"b\"], \"price\": [0.5]}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses(bodies[i], NULL, NULL);
}

TEST(instances_of_v1_are_told_where_they_belong)
{
    static const char *const bodies[] = {
        "{\"instances\": [{\"userid\": [1]}]}",
        "{\"instances\": null}",
        "{\"instances\": [], \"id\": 5}",
        "{\"inputs\": [{\"userid\": [1], \"brand\": [1], \"price\": [1]}]}",
        "{\"instances\": 1, \"inputs\": [{\"userid\": 1}, 2]}",
        "{\"inputs\": 1, \"inputs\": [{\"userid\": 1}]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses(bodies[i], "instances of the v1 protocol", "/v1/models/dcnv2:predict");
    refuses("{\"inputs\": [{}]}", "Input 1: \"name\" is missing.", NULL);
    refuses("{\"inputs\": [{\"userid\": 1, \"data\": [1]}]}", "Input 1: \"name\" is missing.",
            NULL);
    refuses("{\"inputs\": []}", "is missing.", NULL);
    refuses("{\"inputs\": [{\"userid\": 1}], \"inputs\": 1}", "Expected \"inputs\" to be a list",
            NULL);
    refuses("{\"inputs\": [[1]]}", "Input 1 is a list; expected a tensor, ", NULL);
    CHECK(accepts("{\"instances\": [{\"userid\": 1}], " INPUTS2 "}", 2));
}

TEST(what_is_not_json_is_a_400_with_its_place)
{
    static const struct {
        const char *body, *place;
    } cases[] = {
        {"", "(char 0)"},
        {"{\"inputs\": [{", "line 1 column 14 (char 13)"},
        {"{" INPUTS2 "", "line 1 column"},
        {"{" INPUTS2 ",}", "line 1 column"},
        {"{" INPUTS2 "} x", "line 1 column"},
        {"{\n\"id\": 'a', " INPUTS2 "}", "line 2 column 7 (char 8)"},
        {"{\"id\": \"\xFF\", " INPUTS2 "}", "(char 8)"},
        {"\xEF\xBB\xBF{" INPUTS2 "}", "(char 0)"},
        {"{\"inputs\": [{\"data\": [NaN]}]}", "(char 22)"},
        {"{\"inputs\": [{\"data\": [1e999]}]}", "(char 22)"},
        {"{\"inputs\": [{\"name\": \"price\", \"data\": [1e999]}]}", "(char 39)"},
        {"{\"inputs\": [{\"shape\": [1e999]}]}", "(char 23)"},
        {"{\"inputs\": [{\"shape\": [01]}]}", "(char 23)"},
        {"{" INPUTS2 ", \"x\": [1,]}", "line 1 column"},
        {"{" INPUTS2 ", \"outputs\": [{\"name\": \"\\x\"}]}", "line 1 column"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(cases[i].body, cases[i].place, NULL);
    static const char whole[] = "{\"id\": \"\\u0061\", " INPUTS2 ", \"outputs\": [{\"name\": "
                                "\"output-0\"}], \"parameters\": {\"content_type\": \"pd\"}}";
    CHECK(parse_bytes(whole, sizeof whole - 1) == 0);
    for (size_t length = 0; length < sizeof whole - 1; length++)
        CHECK_MSG(parse_bytes(whole, length) == -1 && f.error.http_status == 400, "%zu bytes",
                  length);
}

TEST(many_inputs_and_rows_are_read_in_linear_time_and_limited)
{
    struct builder builder = {0};
    builder_text(&builder, "{\"inputs\": [");
    builder_repeat(&builder, TENSOR("x", "[1]", "BOOL", "[true]") ",", 100000);
    builder_text(&builder,
                 USERID2 "," BRAND2 "," PRICE2 "], \"outputs\": [{\"name\": \"output-0\"}");
    builder_repeat(&builder, ",{\"name\": \"output-0\"}", 100000);
    builder_text(&builder, "]}");
    CHECK(parse_bytes(builder.at, builder.length) == 0);
    builder_free(&builder);
    for (unsigned n = MAX_ROWS; n <= MAX_ROWS + 1; n++) {
        builder_text(&builder, "{\"inputs\": [");
        static const char *const names[] = {"userid", "brand", "price"};
        for (int c = 0; c < 3; c++) {
            char head[100];
            snprintf(head, sizeof head,
                     "{\"name\": \"%s\", \"shape\": [%u], \"datatype\": \"INT8\", \"data\": [1",
                     names[c], n);
            builder_text(&builder, head);
            builder_repeat(&builder, ",1", n - 1);
            builder_text(&builder, c < 2 ? "]}," : "]}]}");
        }
        CHECK((parse_bytes(builder.at, builder.length) == 0) == (n <= MAX_ROWS));
        if (n > MAX_ROWS)
            CHECK(f.error.http_status == 413 && strstr(f.error.message, "1000"));
        builder_free(&builder);
    }
}

TEST(a_request_that_does_not_fit_the_arena_is_an_error)
{
    static const char body[] =
        "{\"id\": \"\\n\", \"inputs\": [{\"data\": [\"\\n\", \"\\t\\t\\t\\t\\t\\t\\t\\t\\t\", "
        "\"c\", "
        "\"d\", \"e\"], \"shape\": [5], \"datatype\": \"BYTES\", \"name\": "
        "\"us\\u0065rid\"}, " TENSOR(
            "brand", "[5]", "BYTES",
            "[\"\\n\", \"\\n\", \"\\n\", \"\\n\", \"\\n\"]") ", " TENSOR("price", "[5]", "INT32",
                                                                         "[1, 2, 3, 4, 5]") "]}";
    unsigned n_refused = 0;
    for (size_t limit = 0; limit < 1 << 16; limit += 16) {
        struct arena arena;
        struct frame frame;
        struct request_error error = {0};
        struct v2_options unused;
        arena_init(&arena, limit);
        if (frame_init(&frame, &f.schema, &arena, MAX_ROWS) == 0) {
            if (v2_parse(&frame, text_of(body), sizeof body - 1, "m", NULL, &unused, &error) != 0) {
                n_refused++;
                CHECK_MSG(error.http_status == 413 || error.http_status >= 500,
                          "%zu bytes: %d \"%s\"", limit, error.http_status, error.message);
                CHECK(error_is_for_clients(&error));
            } else {
                CHECK(frame.n_rows == 5);
            }
        }
        arena_free(&arena);
    }
    CHECK(n_refused > 10);
}

int main(void)
{
    fixture_init(&f, COLUMNS, 2, 1, MAX_ROWS);
    RUN(outputs_are_asked_for_by_name);
    RUN(logits_are_asked_for_by_a_parameter_of_the_request);
    RUN(an_unknown_output_is_refused_as_kserve_refuses_it);
    RUN(parameters_that_are_no_object_are_a_400);
    RUN(what_has_no_inputs_is_a_400);
    RUN(instances_of_v1_are_told_where_they_belong);
    RUN(what_is_not_json_is_a_400_with_its_place);
    RUN(many_inputs_and_rows_are_read_in_linear_time_and_limited);
    RUN(a_request_that_does_not_fit_the_arena_is_an_error);
    fixture_free(&f);
    return test_report();
}
