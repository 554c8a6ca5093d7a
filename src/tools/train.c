/* SPDX-License-Identifier: Apache-2.0 */
/* train.c: dcnv2-train, the program: its command line, signals and exit codes. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/program.h"
#include "train/options.h"
#include "train/trainer.h"

static const char name[] = "dcnv2-train";

enum { EXIT_BY_SIGNAL = 128 };

/* The first signal asks the run to stop at the next step. A second one ends it at once, and so does
 * the first as long as there is nothing to keep. Not by the default action, which the first process
 * of a container does not have. */
static volatile sig_atomic_t stop, is_running;

static void on_signal(int signal_number)
{
    if (stop || !is_running)
        _exit(EXIT_BY_SIGNAL + signal_number);
    stop = signal_number;
}

static void set_up_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

/* Waits for the other ranks, then trains with them. As train_run(). */
static int join_and_train(const struct train_options *options, struct train_error *error)
{
    struct ranks_options wanted;
    struct ranks ranks;
    if (ranks_read_environment(&wanted, error) != 0)
        return -1;
    wanted.timeout_s = options->timeout_s;
    if (ranks_join(&ranks, &wanted, error) != 0)
        return -1;
    is_running = 1;
    const int status = train_run(options, &ranks, error);
    ranks_leave(&ranks);
    return status;
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
    const int status = join_and_train(&options, &error);
    if (status < 0)
        return program_fail(name, EXIT_FAILURE, error.message);
    if (status > 0) {
        const int by = stop ? stop : SIGTERM; /* another rank's */
        return program_fail(name, EXIT_BY_SIGNAL + by, "stopped; go on with --resume");
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    return program_main(argc, argv, run);
}
