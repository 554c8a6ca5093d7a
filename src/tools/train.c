/* SPDX-License-Identifier: Apache-2.0 */
/* train.c: dcnv2-train, the program: its command line, signals and exit codes. */
#include <signal.h>
#include <stdlib.h>

#include "tools/program.h"
#include "train/options.h"
#include "train/trainer.h"

static const char name[] = "dcnv2-train";

enum { EXIT_BY_SIGNAL = 128 };

/* The first signal asks the run to stop at the next step; a second one ends it at once. */
static volatile sig_atomic_t stop;

static void on_signal(int signal_number)
{
    stop = signal_number;
}

static void set_up_signals(void)
{
    const int signals[] = {SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static int run(int argc, char **argv, struct arena *arena)
{
    char message[256];
    struct train_options options;
    struct train_error error;
    const enum settings_result result =
        train_options_read(&options, arena, argc, argv, message, sizeof message);
    const int code = program_respond(name, result, train_options_print_help, message);
    if (code != PROGRAM_RUNS)
        return code;
    options.stop = &stop;
    set_up_signals();
    const int status = train_run(&options, &error);
    if (status < 0) {
        fprintf(stderr, "dcnv2-train: %s\n", error.message);
        return EXIT_FAILURE;
    }
    if (status > 0) {
        fprintf(stderr, "dcnv2-train: stopped; go on with --resume\n");
        return EXIT_BY_SIGNAL + (stop ? stop : SIGTERM); /* another rank's */
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    return program_main(argc, argv, run);
}
