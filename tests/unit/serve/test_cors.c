/* SPDX-License-Identifier: Apache-2.0 */
/* test_cors.c: which Origin headers are told that their pages may read a reply. */
#include "serve/cors.h"

#include "test.h"

static void finds(const char *allowed, const char *origin, const char *expected)
{
    const struct text found = cors_find(allowed, text_of(origin));
    CHECK_MSG(expected ? text_is(found, expected) : found.at == NULL, "%s among %s: %.*s", origin,
              allowed ? allowed : "(none)", TEXT_SHOWN(found));
}

TEST(without_a_list_nobody_is_told)
{
    finds(NULL, "https://a", NULL);
    finds(NULL, "", NULL);
    CHECK(cors_find(NULL, (struct text){NULL, 0}).at == NULL);
    CHECK(!cors_depends_on_origin(NULL));
}

TEST(a_star_tells_everybody_the_same)
{
    finds("*", "https://a", "*");
    finds("*", "null", "*");
    CHECK(text_is(cors_find("*", (struct text){NULL, 0}), "*"));
    CHECK(!cors_depends_on_origin("*"));
}

TEST(a_list_tells_those_that_are_in_it)
{
    static const char list[] = "https://a, http://b:8080 ,https://cc";
    finds(list, "https://a", "https://a");
    finds(list, "http://b:8080", "http://b:8080");
    finds(list, "https://cc", "https://cc");
    finds("https://a", "https://a", "https://a");
    static const char *const others[] = {
        "",         "*",         "null",     "https://c",  "https://ccc",
        "http://a", "https://A", "http://b", " https://a", "https://a, http://b:8080",
        ","};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        finds(list, others[i], NULL);
    finds("https://a,,https://b", "", NULL); /* no Origin is no element, not even an empty one */
    CHECK(cors_find(list, (struct text){NULL, 0}).at == NULL);
    CHECK(cors_depends_on_origin(list) && cors_depends_on_origin("https://a"));
}

int main(void)
{
    RUN(without_a_list_nobody_is_told);
    RUN(a_star_tells_everybody_the_same);
    RUN(a_list_tells_those_that_are_in_it);
    return test_report();
}
