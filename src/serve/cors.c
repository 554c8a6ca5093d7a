/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/cors.h"

bool cors_depends_on_origin(const char *allowed)
{
    return allowed && strcmp(allowed, "*") != 0;
}

struct text cors_find(const char *allowed, struct text origin)
{
    const struct text none = {NULL, 0};
    if (allowed == NULL)
        return none;
    struct text list = text_of(allowed);
    if (!cors_depends_on_origin(allowed))
        return list;
    while (origin.length > 0 && list.length > 0) {
        const struct text element = text_next_element(&list);
        if (text_equal(element, origin))
            return element;
    }
    return none;
}
