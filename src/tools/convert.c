/* SPDX-License-Identifier: Apache-2.0 */
/* convert.c: dcnv2-convert, the program: its command line and exit codes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/convert.h"
#include "model/golden.h"
#include "source_settings.h"
#include "tools/golden_rows.h"
#include "tools/inspect.h"
#include "tools/program.h"
#include "train/log_settings.h"

static const char name[] = "dcnv2-convert";

struct command {
    const char *output, *inspected;
    struct dcnv2_source source;
    const char *golden_scores;
    struct log_settings log; /* of the golden rows */
};

#define AT(kind, member) SETTING_AT(kind, struct command, member)

static const struct setting all[] = {
    SOURCE_SETTINGS(struct command, source, "PyTorch state dict"),
    {"golden-scores", NULL, AT(SETTING_TEXT, golden_scores),
     "a probability per line: --golden is then a click log, whose rows become the golden set"},
    LOG_SETTINGS(struct command, log),
    {"o", NULL, AT(SETTING_TEXT, output), "what to write; replaced in one step when it is whole"},
    {"inspect", NULL, AT(SETTING_TEXT, inspected),
     "prints what such a file, or one of the two, holds; stands alone"},
};

static const struct settings settings = SETTINGS_OF(all);

static void print_help(void)
{
    fputs("usage: dcnv2-convert [--flag value | --flag=value] .. -o FILE\n"
          "       dcnv2-convert --inspect FILE\n\n"
          "Writes a model's two files as one that dcnv2-server loads in milliseconds: a\n"
          "safetensors file with the weights, the vocabularies and the columns. Serve it with\n"
          "MODEL_PATH=FILE.\n\n",
          stdout);
    settings_print_help(&settings, stdout);
    fputs("  --help, --version\n\n"
          "The second column is the environment variable of the same meaning; a flag beats it.\n"
          "Exit codes: 0 done, 1 a file cannot be used (one line FILE: REASON), 2 wrong usage.\n",
          stdout);
}

static int wrong(const char *what, const char *reason)
{
    fprintf(stderr, "%s: %s: %s\n", name, what, reason);
    return EXIT_WRONG_USAGE;
}

/* Whether both names are of one file that exists. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static int report(int status, const struct dcnv2_error *error)
{
    if (status == DCNV2_OK)
        return program_flush(name);
    fprintf(stderr, "%s%s\n", error->message, source_hint(error->message));
    return EXIT_FAILURE;
}

/* With a golden set that is made of a click log and scores. */
static int convert_with_rows(const struct command *command)
{
    struct log_form form;
    struct train_error reason;
    struct dcnv2_error error;
    struct dcnv2_source source = command->source;
    const char *mistake = log_settings_read(&command->log, &form);
    if (mistake)
        return program_fail(name, EXIT_WRONG_USAGE, mistake);
    if (source.golden == NULL || strcmp(source.golden, GOLDEN_NONE) == 0)
        return wrong("--golden-scores", "needs --golden FILE, the rows of these scores");
    const struct golden_rows rows = {source.golden, command->golden_scores, &form};
    char *json = golden_rows_read(&rows, &source, &reason);
    if (json == NULL)
        return program_fail(name, EXIT_FAILURE, reason.message);
    const struct made_golden golden = {json, source.golden};
    source.golden = GOLDEN_NONE; /* its file is no golden set */
    const int status = model_convert(&source, NULL, &golden, command->output, &error);
    free(json);
    return report(status, &error);
}

/* Whether a regular file starts as no JSON object does: a click log, whose scores are missing. Any
 * other one is for its reader to refuse, and a pipe can be read once. */
static bool is_no_json(const char *path)
{
    struct stat info;
    FILE *file = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "r") : NULL;
    char first[2] = "";
    if (file == NULL)
        return false;
    const bool has_text = fscanf(file, " %1s", first) == 1;
    fclose(file);
    return has_text && *first != '{';
}

static int convert(const struct command *command)
{
    struct dcnv2_error error;
    if (command->output == NULL)
        return wrong("-o", "is missing: which file to write; see --help");
    const struct dcnv2_source *source = &command->source;
    const char *read[] = {source->model_path, source->encoder_path, source->model_json,
                          source->golden, command->golden_scores};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (read[i] && is_same_file(command->output, read[i]))
            return wrong("-o", "is one of the files that are read");
    if (!command->golden_scores && (command->log.separator || command->log.header.n))
        return wrong("--separator, --header",
                     "say how the rows of --golden-scores are written, which is not given");
    if (command->golden_scores)
        return convert_with_rows(command);
    if (source->golden && strcmp(source->golden, GOLDEN_NONE) != 0 && is_no_json(source->golden))
        return wrong("--golden-scores",
                     "is missing: the file of --golden is no JSON; of a click log name the scores "
                     "too, a file of a probability per line");
    return report(model_convert(&command->source, NULL, NULL, command->output, &error), &error);
}

static int run(int argc, char **argv, struct arena *arena)
{
    char message[256];
    struct dcnv2_error error;
    struct command command = {.source = SOURCE_DEFAULTS};
    const enum settings_result result =
        settings_read(&settings, &command, arena, argc, argv, message, sizeof message);
    const int code = program_respond(name, result, print_help, message);
    if (code != PROGRAM_RUNS)
        return code;
    if (command.inspected == NULL)
        return convert(&command);
    if (argc > 3)
        return wrong("--inspect", "takes a file and nothing else");
    return report(inspect_file(command.inspected, stdout, &error), &error);
}

int main(int argc, char **argv)
{
    return program_main(argc, argv, run);
}
