/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcnv2.h"

int program_fail(const char *name, int exit_code, const char *message)
{
    fprintf(stderr, "%s: %s\n", name, message);
    return exit_code;
}

int program_flush(const char *name)
{
    if (fflush(stdout) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "%s: stdout: %s\n", name, strerror(errno));
    return EXIT_FAILURE;
}

int program_respond(const char *name, enum settings_result result, void (*print_help)(void),
                    const char *message)
{
    switch (result) {
    case SETTINGS_SHOW_HELP:
        print_help();
        return program_flush(name);
    case SETTINGS_SHOW_VERSION:
        printf("%s %s\n", name, DCNV2_VERSION);
        return program_flush(name);
    case SETTINGS_WRONG:
        return program_fail(name, EXIT_WRONG_USAGE, message);
    case SETTINGS_FAILED:
        return program_fail(name, EXIT_FAILURE, message);
    case SETTINGS_RUN:
        break;
    }
    return PROGRAM_RUNS;
}

int program_main(int argc, char **argv, int (*run)(int argc, char **argv, struct arena *arena))
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const int status = run(argc, argv, &arena);
    arena_free(&arena);
    return status;
}
