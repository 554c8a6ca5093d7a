/* SPDX-License-Identifier: Apache-2.0 */
/* program.h: what the command-line programs have in common. */
#ifndef DCNV2_TOOLS_PROGRAM_H
#define DCNV2_TOOLS_PROGRAM_H

#include "settings.h"

enum { EXIT_WRONG_USAGE = 2, PROGRAM_RUNS = -1 };

/* Does what --help, --version or a wrong setting ask for. The exit code, or PROGRAM_RUNS. */
int program_respond(const char *name, enum settings_result result, void (*print_help)(void),
                    const char *message);

/* "NAME: MESSAGE" on stderr; returns the exit code. */
int program_fail(const char *name, int exit_code, const char *message);

/* run() with an arena for its settings. */
int program_main(int argc, char **argv, int (*run)(int argc, char **argv, struct arena *arena));

/* EXIT_SUCCESS where all that was printed could be written. */
int program_flush(const char *name);

#endif
