/* SPDX-License-Identifier: Apache-2.0 */
/* score.c: dcnv2-score, the program: scores of a click log, for batch jobs and checks. */
#include <stdio.h>
#include <stdlib.h>

#include "cpus.h"
#include "model/model.h"
#include "source_settings.h"
#include "tools/program.h"
#include "train/log_settings.h"
#include "train/scoring.h"

static const char name[] = "dcnv2-score";

struct command {
    struct dcnv2_source source;
    struct log_settings log; /* what they say is in .. */
    struct log_form log_form;
    const char *label;
    uint64_t max_bad_rows;
    bool logit;
    unsigned n_threads;
    const char *const *files;
    size_t n_files;
};

#define AT(kind, member)            SETTING_AT(kind, struct command, member)
#define NUMBER(member, least, most) SETTING_NUMBER_AT(struct command, member, least, most)

static const struct setting all[] = {
    {NULL, NULL, AT(SETTING_PATHS, files),
     "CSV or the like, also gzip or UTF-16: files, or folders of *.csv"},
    SOURCE_SETTINGS(struct command, source, "converted file, or a PyTorch state dict"),
    LOG_SETTINGS(struct command, log),
    {"label", NULL, AT(SETTING_TEXT, label),
     "the column of clicks, to measure by (the one the model was trained on, if it is there)"},
    {"max-bad-rows", NULL, NUMBER(max_bad_rows, 0, UINT64_MAX),
     "bad rows to leave out and count (0)"},
    {"match-numbers", NULL, AT(SETTING_FLAG, source.match_numbers),
     "find an id in another form of the same number, as the server's --match_numbers (false)"},
    {"logit", NULL, AT(SETTING_FLAG, logit),
     "write logits, the numbers in front of the sigmoid, instead of probabilities (false)"},
    {"threads", NULL, NUMBER(n_threads, 1, 1024), "threads (the container's CPUs)"},
};

static const struct settings settings = SETTINGS_OF(all);

static void print_help(void)
{
    fputs(
        "usage: dcnv2-score --model-path model.safetensors FILE ..\n\n"
        "Writes a click probability per line to stdout, in the order of the rows; how many there\n"
        "were, and AUC and log loss if there are labels, to stderr.\n\n",
        stdout);
    settings_print_help(&settings, stdout);
    fputs("  --help, --version\n\n"
          "The second column is the environment variable of the same meaning; a flag beats it.\n"
          "Exit codes: 0 done, 1 a file cannot be used (one line says why), 2 wrong usage.\n",
          stdout);
}

static void report(const struct scoring_result *result)
{
    fprintf(stderr, "%llu rows in %.2f s, %.0f rows/s", (unsigned long long)result->n_rows,
            result->seconds, (double)result->n_rows / result->seconds);
    if (result->n_bad_rows > 0)
        fprintf(stderr, "; %llu bad rows left out, the first: %s",
                (unsigned long long)result->n_bad_rows, result->first_bad.message);
    if (result->no_rows.message[0])
        fprintf(stderr, "; %s", result->no_rows.message);
    if (result->is_measured)
        fprintf(stderr, "; AUC %.6f, log loss %.6f, calibration %.4f", result->evaluation.auc,
                result->evaluation.log_loss, result->evaluation.calibration);
    if (result->forms.message[0])
        fprintf(stderr, "; %s", result->forms.message);
    fputc('\n', stderr);
}

static int score(const struct command *command)
{
    struct train_error error;
    struct initial_model initial = {0};
    struct scoring_result result;
    int status = initial_model_open(&initial, &command->source, &error);
    if (status == 0 && initial.model->note)
        fprintf(stderr, "%s: %s\n", name, initial.model->note);
    if (status == 0) {
        const struct scoring_options options = {
            .paths = command->files,
            .n_paths = (uint32_t)command->n_files,
            .form = command->log_form,
            .label = command->label ? command->label : initial.label,
            .label_is_optional = command->label == NULL,
            .max_bad_rows = command->max_bad_rows,
            .match_numbers = command->source.match_numbers,
            .writes_logits = command->logit,
            .n_threads = command->n_threads ? command->n_threads : cpus_available()};
        status = score_files(&initial, &options, stdout, &result, &error);
    }
    initial_model_free(&initial);
    if (status != 0) {
        fprintf(stderr, "%s: %s%s\n", name, error.message, source_hint(error.message));
        return EXIT_FAILURE;
    }
    report(&result);
    return EXIT_SUCCESS;
}

static int run(int argc, char **argv, struct arena *arena)
{
    char message[256];
    struct command command = {.source = SOURCE_DEFAULTS};
    const enum settings_result result =
        settings_read(&settings, &command, arena, argc, argv, message, sizeof message);
    const int code = program_respond(name, result, print_help, message);
    if (code != PROGRAM_RUNS)
        return code;
    if (command.n_files == 0)
        return program_fail(name, EXIT_WRONG_USAGE, "which files to score is missing; see --help");
    const char *fault = log_settings_read(&command.log, &command.log_form);
    if (fault)
        return program_fail(name, EXIT_WRONG_USAGE, fault);
    return score(&command);
}

int main(int argc, char **argv)
{
    return program_main(argc, argv, run);
}
