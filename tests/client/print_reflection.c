/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_reflection.c: what server reflection answers, for test_descriptors.py.
 *
 * Of each line of stdin, a ServerReflectionRequest in hexadecimal digits, it writes the reply in
 * them. The first line that it writes is the metadata of a model with a column of each kind.
 */
#include <stdio.h>
#include <stdlib.h>

#include "protocol/grpc_messages.h"
#include "protocol/grpc_reflection.h"

static void print(struct text message)
{
    if (message.at == NULL)
        abort();
    for (size_t i = 0; i < message.length; i++)
        printf("%02x", (unsigned char)message.at[i]);
    puts("");
}

static void print_metadata(struct arena *arena)
{
    const struct text names[] = {text_of("userid"), text_of("tags"), text_of("price")};
    static const bool is_list[] = {false, true, false};
    struct schema schema;
    uint32_t twice;
    if (schema_init(&schema, arena, names, 2, 1, &twice) != 0)
        abort();
    schema.is_list = is_list;
    print(grpc_render_model(arena, "dcnv2", &schema));
}

int main(void)
{
    struct arena arena;
    struct request_error error;
    struct text reply;
    static char line[4096];
    arena_init(&arena, 1 << 24);
    print_metadata(&arena);
    while (fgets(line, sizeof line, stdin)) {
        size_t n = 0;
        for (const char *hex = line; text_hex_digit(*hex) >= 0; hex += 2)
            line[n++] = (char)(text_hex_digit(hex[0]) << 4 | text_hex_digit(hex[1]));
        if (grpc_reflect(&arena, (struct text){line, n}, &reply, &error) != 0) {
            fprintf(stderr, "%s\n", error.message);
            return EXIT_FAILURE;
        }
        print(reply);
        arena_reset(&arena, SIZE_MAX);
    }
    arena_free(&arena);
    return EXIT_SUCCESS;
}
