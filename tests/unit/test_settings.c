/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdint.h>
#include <stdlib.h>

#include "dcnv2.h"
#include "test.h"

struct target {
    const char *name, *output;
    uint32_t rows;
    bool is_on;
    struct dcnv2_columns columns, files, ignored;
};

#define AT(kind, member) SETTING_AT(kind, struct target, member)

static const struct setting all[] = {
    {"model_name", NULL, AT(SETTING_TEXT, name), "name"},
    {"o", NULL, AT(SETTING_TEXT, output), "output"},
    {"max_rows", NULL, SETTING_NUMBER_AT(struct target, rows, 1, 1000), "rows"},
    {"max-row-bytes", NULL, SETTING_NUMBER_AT(struct target, rows, 1, 1000), "bytes"},
    {"dense-adam", NULL, AT(SETTING_FLAG, is_on), "adam"},
    {"sparse-cols", "TEST_SPARSE_COLS", AT(SETTING_LIST, columns), "columns"},
    {"train-data", NULL, AT(SETTING_PATHS, files), "files"},
    {"event-loop", NULL, AT(SETTING_IGNORED, ignored), NULL},
    {"model_dir", NULL, AT(SETTING_IGNORED, ignored), NULL},
};

static const struct settings settings = SETTINGS_OF(all);

/* The names that a test's command line gave, as one text. */
struct outcome {
    enum settings_result result;
    struct target target;
    char message[256];
    char names[256]; /* of the columns, or of the files, then of what is ignored, by '|' */
};

static void add_names(char *names, const struct dcnv2_columns *columns)
{
    for (size_t i = 0; i < columns->n; i++)
        strcat(strcat(names, columns->names[i]), "|");
}

/* `words`: the command line, by '|', without the program's name. */
static struct outcome read_words(const char *words)
{
    struct outcome outcome = {0};
    struct arena arena;
    static char line[512]; /* values point into it */
    char *argv[32] = {(char *)"program"};
    int argc = 1;
    snprintf(line, sizeof line, "%s", words);
    for (char *word = strtok(line, "|"); word; word = strtok(NULL, "|"))
        argv[argc++] = word;
    arena_init(&arena, SIZE_MAX);
    outcome.result = settings_read(&settings, &outcome.target, &arena, argc, argv, outcome.message,
                                   sizeof outcome.message);
    add_names(outcome.names, &outcome.target.columns);
    add_names(outcome.names, &outcome.target.files);
    add_names(outcome.names, &outcome.target.ignored);
    arena_free(&arena);
    return outcome;
}

static void check_wrong(const char *words, const char *message)
{
    const struct outcome outcome = read_words(words);
    CHECK_MSG(outcome.result == SETTINGS_WRONG && strcmp(outcome.message, message) == 0,
              "%s: \"%s\" instead of \"%s\"", words, outcome.message, message);
}

static void check_names(const char *words, const char *names)
{
    const struct outcome outcome = read_words(words);
    CHECK_MSG(outcome.result == SETTINGS_RUN && strcmp(outcome.names, names) == 0,
              "%s: %s instead of %s; %s", words, outcome.names, names, outcome.message);
}

TEST(the_last_one_of_a_repeated_flag_wins)
{
    CHECK(read_words("--max_rows|1|--max_rows=2|--max-rows|3").target.rows == 3);
    CHECK(!read_words("--dense-adam|--dense_adam=false").target.is_on);
    check_names("--sparse-cols|a,b|--sparse-cols|c|--sparse_cols=d,e", "d|e|");
    check_names("--sparse-cols|a|b|--max_rows|1|--sparse-cols|b", "b|");
    setenv("TEST_SPARSE_COLS", "x,y", 1);
    check_names("--max_rows|1", "x|y|");
    check_names("--sparse-cols|a|--sparse-cols|b", "b|");
    unsetenv("TEST_SPARSE_COLS");
}

TEST(each_of_the_repeated_flags_has_to_be_right)
{
    check_wrong("--max_rows|x|--max_rows|3",
                "--max_rows=x: expected a whole number from 1 to 1000");
}

TEST(a_list_of_files_that_is_given_twice_is_wrong)
{
    check_names("--train-data|a|b", "a|b|");
    check_wrong("--train-data|a|--train_data|b",
                "--train_data: given twice; name all files behind one of them");
}

TEST(dashes_and_underscores_in_names_are_the_same)
{
    CHECK(strcmp(read_words("--model-name=a").target.name, "a") == 0);
    CHECK(strcmp(read_words("--model_name|a").target.name, "a") == 0);
    CHECK(read_words("--max_row-bytes=7").target.rows == 7);
    check_names("--event_loop|x|--model-dir=y", "--event_loop|--model-dir|");
}

TEST(values_keep_their_dashes)
{
    CHECK(strcmp(read_words("--model_name=a_b-c").target.name, "a_b-c") == 0);
    check_names("--sparse-cols=-a,_b,-c", "-a|_b|-c|");
}

TEST(a_list_is_a_record_of_csv)
{
    check_names("--sparse-cols|u,\"a,b\"", "u|a,b|");
    check_names("--sparse-cols|\"a,b\"|\" u\",\"v \" , w ,two words", "a,b| u|v |w|two words|");
    check_names("--sparse-cols=\"say \"\"hi\"\"\",\"\"\"\",it\"s", "say \"hi\"|\"|it\"s|");
    setenv("TEST_SPARSE_COLS", "u,\"a,b\"", 1);
    check_names("--max_rows|1", "u|a,b|");
    unsetenv("TEST_SPARSE_COLS");
    check_wrong("--sparse-cols|u,\"a,b", "--sparse-cols=u,\"a,b: a quote is not closed");
    check_wrong("--sparse-cols|\"", "--sparse-cols=\": a quote is not closed");
    check_wrong("--sparse-cols|\"a\"b",
                "--sparse-cols=\"a\"b: a comma is missing behind a name in quotes");
    check_wrong("--sparse-cols|\"\"", "--sparse-cols=\"\": an empty column name");
    check_wrong("--sparse-cols|u,", "--sparse-cols=u,: an empty column name");
    check_wrong("--sparse-cols|u,\"u\"", "--sparse-cols=u: the column is named twice");
}

TEST(a_switch_without_a_value_takes_true_or_false_all_the_same)
{
    CHECK(read_words("--dense-adam|true").target.is_on);
    CHECK(read_words("--dense-adam|false|--max_rows|3").target.rows == 3);
    CHECK(!read_words("--dense-adam|false").target.is_on);
    check_wrong("--dense-adam|yes", "\"yes\" belongs to no flag; see --help");
}

TEST(a_list_ends_at_what_begins_with_a_dash)
{
    const struct outcome outcome = read_words("--sparse-cols|a,b|c|-o|FILE");
    CHECK(outcome.result == SETTINGS_RUN && strcmp(outcome.names, "a|b|c|") == 0);
    CHECK(outcome.target.output && strcmp(outcome.target.output, "FILE") == 0);
    check_wrong("--sparse-cols|a|-b", "unknown flag -b; see --help");
    check_names("--train-data|a|-|--max_rows|3", "a|-|");
}

TEST(a_flag_in_the_place_of_a_value_is_told)
{
    check_wrong("--sparse-cols|-o|FILE",
                "--sparse-cols: the value is missing; one that begins with "
                "'-' is written --sparse-cols=VALUE");
    check_wrong("--model_name|--max_rows|1",
                "--model_name: the value is missing; one that begins with '-' is written "
                "--model_name=VALUE");
    check_wrong("--model_name", "--model_name: the value is missing");
    check_wrong("--model_name=", "--model_name: the value is empty");
}

TEST(ignored_flags_are_named_once_each)
{
    check_names("--event-loop|auto|--model_dir=/m|--event-loop|--max_rows|1",
                "--event-loop|--model_dir|");
    check_names("--model_dir|-o|FILE", "--model_dir|");
}

TEST(a_misspelt_flag_is_answered_with_the_nearest)
{
    check_wrong("--max_row|3", "unknown flag --max_row; did you mean --max_rows?");
    check_wrong("--max-row=3", "unknown flag --max-row; did you mean --max_rows?");
    check_wrong("--maxrows", "unknown flag --maxrows; did you mean --max_rows?");
    check_wrong("--MAX_ROWS", "unknown flag --MAX_ROWS; did you mean --max_rows?");
    check_wrong("--modelname", "unknown flag --modelname; did you mean --model_name?");
    check_wrong("--sparse-columns", "unknown flag --sparse-columns; did you mean --sparse-cols?");
    check_wrong("-max_rows", "unknown flag -max_rows; did you mean --max_rows?");
    check_wrong("--o", "unknown flag --o; did you mean -o?");
    check_wrong("max_rows=3", "unknown flag max_rows; did you mean --max_rows?");
}

TEST(what_is_near_to_no_flag_is_not_guessed)
{
    check_wrong("--nope", "unknown flag --nope; see --help");
    check_wrong("--nope=1", "unknown flag --nope; see --help");
    check_wrong("--event-loup", "unknown flag --event-loup; see --help"); /* it would do nothing */
    check_wrong("-x", "unknown flag -x; see --help");
    check_wrong("--", "unknown flag --; see --help");
    check_wrong("-", "unknown flag -; see --help");
    check_wrong("--=1", "unknown flag --; see --help");
    check_wrong("--max_rows|3|words", "\"words\" belongs to no flag; see --help");
}

TEST(a_long_or_unprintable_flag_makes_one_printable_line)
{
    char words[400] = "--\n\x1b\xc2\x9b";
    struct outcome outcome = read_words(words);
    CHECK_MSG(strcmp(outcome.message, "unknown flag --????; see --help") == 0, "%s",
              outcome.message);
    memset(words, 'a', sizeof words - 1);
    outcome = read_words(words);
    CHECK(outcome.result == SETTINGS_WRONG && strlen(outcome.message) < 100);
}

int main(void)
{
    RUN(the_last_one_of_a_repeated_flag_wins);
    RUN(each_of_the_repeated_flags_has_to_be_right);
    RUN(a_list_of_files_that_is_given_twice_is_wrong);
    RUN(dashes_and_underscores_in_names_are_the_same);
    RUN(values_keep_their_dashes);
    RUN(a_list_is_a_record_of_csv);
    RUN(a_switch_without_a_value_takes_true_or_false_all_the_same);
    RUN(a_list_ends_at_what_begins_with_a_dash);
    RUN(a_flag_in_the_place_of_a_value_is_told);
    RUN(ignored_flags_are_named_once_each);
    RUN(a_misspelt_flag_is_answered_with_the_nearest);
    RUN(what_is_near_to_no_flag_is_not_guessed);
    RUN(a_long_or_unprintable_flag_makes_one_printable_line);
    return test_report();
}
