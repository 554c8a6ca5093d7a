/* SPDX-License-Identifier: Apache-2.0 */
/* convert.c: dcnv2-convert, the program: its command line and exit codes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config.h"
#include "model/convert.h"
#include "text.h"
#include "tools/inspect.h"

enum { EXIT_WRONG_USAGE = 2 };

static const char help[] =
    "usage: dcnv2-convert [--flag value | --flag=value] .. -o FILE\n"
    "       dcnv2-convert --inspect FILE\n\n"
    "Writes a model's two files as one that dcnv2-server loads in milliseconds: a safetensors\n"
    "file with the weights, the vocabularies and the columns. Serve it with MODEL_PATH=FILE.\n\n"
    "  --model-path    MODEL_PATH    PyTorch state dict (/mnt/models/model_weights.pth)\n"
    "  --encoder-path  ENCODER_PATH  scikit-learn's fitted encoders\n"
    "                                (/mnt/models/preprocess_metadata.pkl)\n"
    "  --dense-cols    DENSE_COLS    dense columns, by commas or as separate arguments (those of\n"
    "                                the encoder file)\n"
    "  --sparse-cols   SPARSE_COLS   category columns, in the order of the embeddings (those of\n"
    "                                the encoder file)\n"
    "  -o FILE                       what to write; replaced in one step when it is whole\n"
    "  --inspect FILE                prints what such a file, or one of the two, holds\n"
    "  --help, --version\n\n"
    "The second column is the environment variable of the same meaning; a flag beats it.\n"
    "Exit codes: 0 done, 1 a file cannot be used (one line FILE: REASON), 2 wrong usage.\n";

/* The command line, without what is the server's to read. */
struct command {
    const char *output, *inspected;
    char **rest; /* [n_rest + 1] */
    int n_rest;
};

static int wrong(const char *what, const char *reason)
{
    char line[256];
    snprintf(line, sizeof line, "%.120s: %s", what, reason);
    line[text_make_printable(line, strlen(line), false)] = '\0';
    fprintf(stderr, "dcnv2-convert: %s\n", line);
    return EXIT_WRONG_USAGE;
}

/* Flags of the server's that say where a model comes from. */
static bool is_source_flag(const char *argument)
{
    static const char *const flags[] = {"--model-path", "--encoder-path", "--dense-cols",
                                        "--sparse-cols"};
    const size_t length = strcspn(argument, "=");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strlen(flags[i]) == length && memcmp(flags[i], argument, length) == 0)
            return true;
    return false;
}

/* Takes -o FILE, --inspect FILE and --inspect=FILE out of the arguments. 0, or an exit code. */
static int read_command(struct command *command, int argc, char **argv)
{
    static const char inspect_is[] = "--inspect=";
    for (int i = 0; i < argc; i++) {
        const bool is_output = strcmp(argv[i], "-o") == 0;
        const char **place = is_output ? &command->output : &command->inspected;
        const char *value;
        if (is_output || strcmp(argv[i], "--inspect") == 0) {
            value = i + 1 < argc ? argv[++i] : "";
        } else if (strncmp(argv[i], inspect_is, sizeof inspect_is - 1) == 0) {
            value = argv[i] + sizeof inspect_is - 1;
        } else if (argv[i][0] == '-' && !is_source_flag(argv[i])) {
            return wrong(argv[i], "unknown flag; see --help");
        } else {
            command->rest[command->n_rest++] = argv[i];
            continue;
        }
        if (*value == '\0' || *value == '-')
            return wrong(is_output ? "-o" : "--inspect", "the file's name is missing");
        if (*place)
            return wrong(is_output ? "-o" : "--inspect", "given twice");
        *place = value;
    }
    if (command->inspected && (command->output || command->n_rest > 1))
        return wrong("--inspect", "takes a file and nothing else");
    if (!command->inspected && !command->output)
        return wrong("-o", "is missing: which file to write; see --help");
    return 0;
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
    if (status == DCNV2_OK && fflush(stdout) == 0)
        return EXIT_SUCCESS;
    if (status == DCNV2_OK)
        perror("dcnv2-convert: stdout");
    else
        fprintf(stderr, "%s\n", error->message);
    return EXIT_FAILURE;
}

static int convert(const struct command *command, struct arena *arena)
{
    struct config config;
    struct dcnv2_error error;
    char message[256];
    if (config_read(&config, arena, command->n_rest, command->rest, message, sizeof message) !=
        CONFIG_RUN) {
        fprintf(stderr, "dcnv2-convert: %s\n", message);
        return EXIT_WRONG_USAGE;
    }
    if (is_same_file(command->output, config.model_path) ||
        is_same_file(command->output, config.encoder_path))
        return wrong("-o", "is one of the files that are read");
    const struct dcnv2_source source = {
        .model_path = config.model_path,
        .encoder_path = config.encoder_path,
        .dense_columns = {config.dense_columns, config.n_dense_columns},
        .sparse_columns = {config.sparse_columns, config.n_sparse_columns}};
    return report(model_convert(&source, command->output, &error), &error);
}

static int run(int argc, char **argv, struct arena *arena)
{
    struct dcnv2_error error;
    struct command command = {.rest = arena_calloc(arena, (size_t)argc + 1, sizeof *argv)};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (strcmp(argv[i], "--version") == 0)
            return puts("dcnv2-convert " DCNV2_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    if (command.rest == NULL)
        return wrong("arguments", "out of memory");
    const int status = read_command(&command, argc, argv);
    if (status != 0)
        return status;
    if (command.inspected)
        return report(inspect_file(command.inspected, stdout, &error), &error);
    return convert(&command, arena);
}

int main(int argc, char **argv)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const int status = run(argc, argv, &arena);
    arena_free(&arena);
    return status;
}
