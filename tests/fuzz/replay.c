/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c: a fuzz target without a fuzzer: reads the files of the folders that are named, each in
 * memory that ends with it. The last line is "N passed, N failed"; a fault ends the program, with
 * the name of the file.
 */
#include <dirent.h>
#include <signal.h>
#include <string.h>

#include "fuzz.h"

static char path[4096]; /* of the file that is read now */

static void say_path(void)
{
    fprintf(stderr, "    while reading %s\n", path);
}

static void say_path_and_abort(int number)
{
    say_path();
    signal(number, SIG_DFL);
    raise(number);
}

/* Of the sanitizers' library, where the program has it. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

/* -1: it cannot be read. */
static int replay_file(void)
{
    FILE *file = fopen(path, "rb");
    const long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    uint8_t *bytes = size >= 0 ? malloc((size_t)size + (size == 0)) : NULL;
    int status = -1;
    if (bytes) {
        rewind(file);
        if (fread(bytes, 1, (size_t)size, file) == (size_t)size)
            status = LLVMFuzzerTestOneInput(bytes, (size_t)size);
    }
    free(bytes);
    if (file)
        fclose(file);
    return status;
}

static void replay_folder(const char *folder, unsigned *n_passed, unsigned *n_failed)
{
    struct dirent **entries;
    const int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const bool is_file = entries[i]->d_name[0] != '.';
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (is_file && replay_file() != 0) {
            fprintf(stderr, "FAIL %s\n", path);
            ++*n_failed;
        }
        *n_passed += is_file;
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

int main(int argc, char **argv)
{
    unsigned n_passed = 0, n_failed = 0;
    signal(SIGABRT, say_path_and_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say_path);
    for (int i = 1; i < argc; i++)
        replay_folder(argv[i], &n_passed, &n_failed);
    if (n_passed == 0) {
        fprintf(stderr, "FAIL no file to read; usage: %s FOLDER ..\n", argv[0]);
        n_failed++;
    }
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed != 0;
}
