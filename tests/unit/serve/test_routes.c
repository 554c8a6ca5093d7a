/* SPDX-License-Identifier: Apache-2.0 */
/* test_routes.c: which row of the table a method and a target find, and that no odd target finds
 * one. */
#include "serve/routes.h"

#include "fixture.h"
#include "test.h"

static struct arena arena;

static struct route_match find(const char *method, struct text target)
{
    static struct text copy; /* matches point into it until the next call */
    fixture_drop(copy);
    copy = fixture_copy(target.at, target.length);
    arena_reset(&arena, SIZE_MAX);
    return route_find(&arena, text_of(method), copy);
}

static void finds(const char *method, const char *target, enum route route, const char *model)
{
    const struct route_match match = find(method, text_of(target));
    CHECK_MSG(match.route == route && match.allow == NULL && !match.is_options, "%s %s: %s", method,
              target, route_names[match.route]);
    CHECK_MSG(text_is(match.model, model), "%s %s: model %.*s", method, target,
              TEXT_SHOWN(match.model));
}

static void allows(const char *method, const char *target, const char *allow)
{
    const struct route_match match = find(method, text_of(target));
    CHECK_MSG(match.route == ROUTE_NONE && match.allow && strcmp(match.allow, allow) == 0,
              "%s %s: %s, %s", method, target, route_names[match.route],
              match.allow ? match.allow : "(none)");
}

/* As a request of another method finds the route, OPTIONS finds what is allowed. */
static void tells(const char *target, enum route route, const char *allow)
{
    const struct route_match match = find("OPTIONS", text_of(target));
    CHECK_MSG(match.is_options && match.route == route && strcmp(match.allow, allow) == 0,
              "%s: %s, %s", target, route_names[match.route], match.allow ? match.allow : "(none)");
}

static void finds_none(struct text target)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS", "options"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const struct route_match match = find(methods[i], target);
        CHECK_MSG(match.route == ROUTE_NONE && match.allow == NULL && !match.is_options,
                  "%s %.*s: %s", methods[i], (int)target.length, target.at,
                  route_names[match.route]);
    }
}

TEST(each_path_has_its_route)
{
    static const char *const methods[] = {"GET", "HEAD"};
    for (size_t i = 0; i < 2; i++) {
        finds(methods[i], "/", ROUTE_ROOT, "");
        finds(methods[i], "/metrics", ROUTE_METRICS, "");
        finds(methods[i], "/v1/models", ROUTE_V1_MODELS, "");
        finds(methods[i], "/v1/models/m", ROUTE_V1_MODEL, "m");
        finds(methods[i], "/v2", ROUTE_V2_SERVER, "");
        finds(methods[i], "/v2/health/live", ROUTE_V2_LIVE, "");
        finds(methods[i], "/v2/health/ready", ROUTE_V2_READY, "");
        finds(methods[i], "/v2/models", ROUTE_V2_MODELS, "");
        finds(methods[i], "/v2/models/m", ROUTE_V2_MODEL, "m");
        finds(methods[i], "/v2/models/m/ready", ROUTE_V2_MODEL_READY, "m");
        finds(methods[i], "/v2/models/m/versions/1", ROUTE_V2_VERSION, "m");
        finds(methods[i], "/v2/models/m/versions/1/ready", ROUTE_V2_VERSION, "m");
    }
    finds("POST", "/v1/models/m:predict", ROUTE_V1_PREDICT, "m");
    finds("POST", "/v1/models/m:explain", ROUTE_V1_EXPLAIN, "m");
    finds("POST", "/v2/models/m/infer", ROUTE_V2_INFER, "m");
    finds("POST", "/v2/models/m/versions/1/infer", ROUTE_V2_VERSION, "m");
    finds("POST", "/v2/repository/models/m/load", ROUTE_V2_LOAD, "m");
    finds("POST", "/v2/repository/models/m/unload", ROUTE_V2_UNLOAD, "m");
    for (size_t i = 0; i < N_ROUTES; i++)
        CHECK(route_names[i] != NULL);
}

TEST(another_method_learns_which_are_allowed)
{
    allows("POST", "/", "GET, HEAD, OPTIONS");
    allows("get", "/v1/models", "GET, HEAD, OPTIONS");
    allows("", "/v1/models", "GET, HEAD, OPTIONS");
    allows("DELETE", "/v1/models/m", "GET, HEAD, OPTIONS");
    allows("GET", "/v2/models/m/infer", "OPTIONS, POST");
    allows("GET", "/v2/models/m/infer/", "OPTIONS, POST");
    allows("HEAD", "/v2/repository/models/m/load", "OPTIONS, POST");
    allows("PUT", "/v1/models/m:predict", "GET, HEAD, OPTIONS, POST");
    allows("POSTS", "/v2/models/m/versions/1/infer", "OPTIONS, POST");
    allows("options", "/v2/models/m/infer", "OPTIONS, POST");
}

TEST(options_finds_the_route_and_its_methods)
{
    tells("/", ROUTE_ROOT, "GET, HEAD, OPTIONS");
    tells("/metrics/", ROUTE_METRICS, "GET, HEAD, OPTIONS");
    tells("/v2/health/ready?x", ROUTE_V2_READY, "GET, HEAD, OPTIONS");
    tells("/v1/models/m", ROUTE_V1_MODEL, "GET, HEAD, OPTIONS");
    tells("/v1/models/m:predict", ROUTE_V1_PREDICT, "GET, HEAD, OPTIONS, POST");
    tells("/v2/models/m/infer", ROUTE_V2_INFER, "OPTIONS, POST");
    tells("http://h/v2/models/m/versions/1/ready", ROUTE_V2_VERSION, "GET, HEAD, OPTIONS");
    tells("*", ROUTE_NONE, "GET, HEAD, OPTIONS, POST");
    CHECK(text_is(find("OPTIONS", text_of("/v1/models/m%2f")).model, "m/"));
}

TEST(one_slash_may_stand_at_the_end)
{
    finds("GET", "/metrics/", ROUTE_METRICS, "");
    finds("GET", "/v1/models/", ROUTE_V1_MODELS, "");
    finds("GET", "/v1/models/m/?x", ROUTE_V1_MODEL, "m");
    finds("POST", "/v1/models/m:predict/", ROUTE_V1_PREDICT, "m");
    finds("POST", "/v1/models/m:explain/", ROUTE_V1_EXPLAIN, "m");
    finds("GET", "/v2/", ROUTE_V2_SERVER, "");
    finds("GET", "http://h/v2/#x", ROUTE_V2_SERVER, "");
    finds("GET", "/v2/health/live/", ROUTE_V2_LIVE, "");
    finds("GET", "/v2/health/ready/", ROUTE_V2_READY, "");
    finds("GET", "/v2/models/", ROUTE_V2_MODELS, "");
    finds("GET", "/v2/models/m/", ROUTE_V2_MODEL, "m");
    finds("GET", "/v2/models/m/ready/", ROUTE_V2_MODEL_READY, "m");
    finds("POST", "/v2/models/m/infer/", ROUTE_V2_INFER, "m");
    finds("GET", "/v2/models/m/versions/1/", ROUTE_V2_VERSION, "m");
    finds("POST", "/v2/models/m/versions/1/infer/", ROUTE_V2_VERSION, "m");
    finds("POST", "/v2/repository/models/m/unload/", ROUTE_V2_UNLOAD, "m");
}

TEST(a_verb_is_a_part_of_the_name_for_a_get)
{
    finds("GET", "/v1/models/m:predict", ROUTE_V1_MODEL, "m:predict");
    finds("POST", "/v1/models/m:explain:predict", ROUTE_V1_PREDICT, "m:explain");
    allows("POST", "/v1/models/m:predict2", "GET, HEAD, OPTIONS");
    allows("POST", "/v1/models/m:Predict", "GET, HEAD, OPTIONS");
    allows("POST", "/v1/models/:predict", "GET, HEAD, OPTIONS"); /* a verb alone names no model */
}

TEST(query_and_fragment_are_passed_over)
{
    finds("GET", "/v1/models?x=/y", ROUTE_V1_MODELS, "");
    finds("GET", "/v1/models#x?y", ROUTE_V1_MODELS, "");
    finds("GET", "/?", ROUTE_ROOT, "");
    finds("GET", "/v2/models/m/ready?%00%zz", ROUTE_V2_MODEL_READY, "m");
}

TEST(scheme_and_host_of_the_absolute_form_are_passed_over)
{
    finds("GET", "http://h/v1/models/m", ROUTE_V1_MODEL, "m");
    finds("GET", "HTTPS://h:8080/v2", ROUTE_V2_SERVER, "");
    finds("GET", "http://h", ROUTE_ROOT, "");
    finds("GET", "http://h?x=/v1/models", ROUTE_ROOT, "");
    finds("GET", "http://", ROUTE_ROOT, "");
    finds("GET", "https:///v2", ROUTE_V2_SERVER, "");
    finds_none(text_of("ftp://h/v2"));
    finds_none(text_of("http:/h/v2"));
    finds_none(text_of("http://h/v9"));
}

TEST(escapes_are_decoded_behind_the_slashes)
{
    finds("POST", "/v1/models/m%3Apredict", ROUTE_V1_PREDICT, "m");
    finds("POST", "/%761/models/%6D%3apredict", ROUTE_V1_PREDICT, "m");
    finds("GET", "/v1/models/a%2Fb", ROUTE_V1_MODEL, "a/b");
    finds("GET", "/v1/models/%3F%25", ROUTE_V1_MODEL, "?%");
    finds("GET", "/v1/models/%e6%b7%98", ROUTE_V1_MODEL, "\xE6\xB7\x98");
    finds("GET", "/v1/models/\xE6\xB7\x98", ROUTE_V1_MODEL, "\xE6\xB7\x98");
    finds_none(text_of("/v1%2Fmodels"));
    finds_none(text_of("%2Fv2"));
}

TEST(escapes_that_are_none_nul_and_what_is_not_utf_8_find_nothing)
{
    static const char *const models[] = {"%",    "m%",     "%4",       "m%2",    "%zz",      "%4g",
                                         "%g4",  "%-1",    "%%41",     "%00",    "m%00x",    "%ff",
                                         "\xFF", "%e6%b7", "\xE6\xB7", "%c0%80", "%ed%a0%80"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/models/%s", models[i]);
        finds_none(text_of(target));
        snprintf(target, sizeof target, "/v2/models/%s/infer", models[i]);
        finds_none(text_of(target));
    }
}

TEST(other_targets_find_nothing)
{
    static const char *const targets[] = {
        "",
        "**",
        "*/",
        "v1/models",
        "h:443",
        "//",
        "//v1/models",
        "/v1//models",
        "/v1/models//",
        "/v1/models/m//",
        "/v1//",
        "///",
        "/v1/models/%",
        "/v2/models/m/versions/1/infer//",
        "/V1/models",
        "/v1",
        "/v1/model",
        "/v1/modelss",
        "/v2//",
        "/v2/models//",
        "/v2/health",
        "/v2/health/",
        "/metrics//",
        "/v2/models//infer",
        "/v1/./models",
        "/v1/models/../models",
        "/v2/models/m/versions",
        "/a/b/c/d/e/f/g",
        "/a/b/c/d/e/f/g/h/i/j",
        "/v2/models/m/versions/1/infer/x",
        "/v2/repository/index",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        finds_none(text_of(targets[i]));
    struct builder builder = {0};
    builder_repeat(&builder, "/", 16384);
    finds_none(builder_view(&builder));
    builder_free(&builder);
}

TEST(a_long_name_is_given_whole)
{
    struct builder builder = {0};
    builder_text(&builder, "/v1/models/");
    builder_repeat(&builder, "%6e", 4000);
    const struct route_match match = find("GET", builder_view(&builder));
    CHECK(match.route == ROUTE_V1_MODEL && match.model.length == 4000);
    for (size_t i = 0; i < match.model.length; i++)
        CHECK(match.model.at[i] == 'n');
    builder_free(&builder);
}

TEST(without_memory_nothing_is_found)
{
    struct arena none;
    arena_init(&none, 0);
    CHECK(route_find(&none, text_of("GET"), text_of("/v1/models/%6d")).route == ROUTE_NONE);
    CHECK(route_find(&none, text_of("GET"), text_of("/v1/models/m")).route == ROUTE_V1_MODEL);
    arena_free(&none);
}

int main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(each_path_has_its_route);
    RUN(another_method_learns_which_are_allowed);
    RUN(options_finds_the_route_and_its_methods);
    RUN(one_slash_may_stand_at_the_end);
    RUN(a_verb_is_a_part_of_the_name_for_a_get);
    RUN(query_and_fragment_are_passed_over);
    RUN(scheme_and_host_of_the_absolute_form_are_passed_over);
    RUN(escapes_are_decoded_behind_the_slashes);
    RUN(escapes_that_are_none_nul_and_what_is_not_utf_8_find_nothing);
    RUN(other_targets_find_nothing);
    RUN(a_long_name_is_given_whole);
    RUN(without_memory_nothing_is_found);
    arena_free(&arena);
    return test_report();
}
