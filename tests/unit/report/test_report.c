/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.json holds what happened, in full; report.html is one well-formed file of its own. */
#include "report/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "network/published.h"
#include "test.h"

#define HOSTILE "<script>alert('x')</script> & \"y\"\n\x7f"

enum { N_LOSSES = 1000, N_EPOCHS = 3, N_COLUMNS = 2, N_SETTINGS = 2 };

static struct network_spec network;
static struct arena arena; /* its own */

static void make_network(void)
{
    static const uint32_t n_rows[] = {4, 1000001};
    static const struct published_sizes sizes = {
        .n_dense = 1, .n_sparse = 2, .embedding = 8, .n_cross = 2, .n_deep = 2, .deep = {128, 64}};
    arena_init(&arena, SIZE_MAX);
    CHECK(published_make(&network, &arena, &sizes, n_rows) == 0);
}

struct run {
    struct report_loss losses[N_LOSSES];
    struct report_epoch epochs[N_EPOCHS];
    struct report_column columns[N_COLUMNS];
    struct report_setting settings[N_SETTINGS];
    struct report report;
};

static struct evaluation some_evaluation(unsigned epoch, bool has_groups)
{
    struct evaluation evaluation = {.n_rows = 200,
                                    .n_clicks = 30,
                                    .auc = 0.7 + 0.1 / epoch,
                                    .log_loss = 0.2 + 0.01 * epoch,
                                    .mean_score = 0.1,
                                    .calibration = 2.0 / 3,
                                    .grouped_auc = has_groups ? 0.6 : NAN,
                                    .n_groups = has_groups ? 12 : 0};
    for (unsigned i = 0; i < EVALUATE_BINS; i++) {
        evaluation.bins[i].n_rows = 10;
        evaluation.bins[i].n_clicks = i / 5;
        evaluation.bins[i].mean_score = i / 40.0;
        evaluation.histogram[0][i] = i < 10 ? 17 : 0;
        evaluation.histogram[1][i] = i < 10 ? 3 : 0;
    }
    return evaluation;
}

static void run_init(struct run *run)
{
    memset(run, 0, sizeof *run);
    for (unsigned i = 0; i < N_LOSSES; i++)
        run->losses[i] = (struct report_loss){(i + 1) * 100, 0.7 / (1 + i * 0.01)};
    for (unsigned i = 0; i < N_EPOCHS; i++)
        run->epochs[i] = (struct report_epoch){
            i + 1, (i + 1) * 33333, 0.25 - 0.01 * i, 12.5 + i, 80000, some_evaluation(i + 1, true)};
    run->columns[0] = (struct report_column){"user", 3, 0, 2, 1, 0};
    run->columns[1] = (struct report_column){HOSTILE, 1000000, 70, 5, 4, 20};
    run->settings[0] = (struct report_setting){"batch-size", "128"};
    run->settings[1] = (struct report_setting){"train-data", HOSTILE};
    run->report = (struct report){.version = "1.2.3",
                                  .backend = "native",
                                  .network = &network,
                                  .n_parameters = 8012345,
                                  .n_train_rows = 1000,
                                  .n_train_clicks = 150,
                                  .n_valid_rows = 200,
                                  .n_bad_rows = 3,
                                  .n_ranks = 1,
                                  .n_threads = 4,
                                  .best_epoch = 2,
                                  .stopped = "no better AUC for 1 epoch",
                                  .seconds = 4000,
                                  .losses = run->losses,
                                  .n_losses = N_LOSSES,
                                  .epochs = run->epochs,
                                  .n_epochs = N_EPOCHS,
                                  .columns = run->columns,
                                  .n_columns = N_COLUMNS,
                                  .settings = run->settings,
                                  .n_settings = N_SETTINGS};
}

/* ---- metrics.json ---- */

static cJSON *parsed(const struct report *report)
{
    char *text = report_json(report);
    CHECK(text != NULL);
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    CHECK(root != NULL);
    free(text);
    return root;
}

/* "a.b.2.c" */
static const cJSON *at(const cJSON *item, const char *path)
{
    while (item && *path) {
        char key[64];
        const size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        path += length + (path[length] == '.');
        item = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, atoi(key))
                                   : cJSON_GetObjectItemCaseSensitive(item, key);
    }
    return item;
}

static bool is_number(const cJSON *root, const char *path, double value)
{
    const cJSON *item = at(root, path);
    return cJSON_IsNumber(item) && item->valuedouble == value;
}

static bool is_text(const cJSON *root, const char *path, const char *text)
{
    const cJSON *item = at(root, path);
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

TEST(the_json_holds_the_values)
{
    static struct run run;
    run_init(&run);
    cJSON *root = parsed(&run.report);
    CHECK(is_text(root, "version", "1.2.3") && is_text(root, "backend", "native"));
    CHECK(is_text(root, "stopped", "no better AUC for 1 epoch"));
    CHECK(is_number(root, "ranks", 1) && is_number(root, "threads", 4));
    CHECK(is_number(root, "seconds", 4000) && is_number(root, "rows_per_second", 80000));
    CHECK(is_number(root, "best.epoch", 2) && is_number(root, "best.step", 66666));
    CHECK(is_number(root, "best.auc", run.epochs[1].evaluation.auc));
    CHECK(is_number(root, "data.train_rows", 1000) && is_number(root, "data.train_clicks", 150));
    CHECK(is_number(root, "data.valid_rows", 200) && is_number(root, "data.bad_rows", 3));
    CHECK(is_number(root, "network.sparse", 2) && is_text(root, "network.cross", "layernorm"));
    CHECK(is_number(root, "network.deep.0", 128) && is_number(root, "network.deep.1", 64));
    CHECK(is_number(root, "network.parameters", 8012345));
    CHECK(is_text(root, "settings.batch-size", "128"));
    CHECK(is_text(root, "settings.train-data", HOSTILE));
    CHECK(is_text(root, "columns.1.name", HOSTILE));
    CHECK(is_number(root, "columns.1.classes", 1000000) && is_number(root, "columns.1.rare", 5));
    CHECK(is_number(root, "columns.1.missing", 70) && is_number(root, "columns.1.unseen", 20));
    CHECK(is_number(root, "columns.1.rare_values", 4));
    cJSON_Delete(root);
}

TEST(the_json_holds_each_epoch_and_the_losses)
{
    static struct run run;
    run_init(&run);
    cJSON *root = parsed(&run.report);
    CHECK(cJSON_GetArraySize(at(root, "epochs")) == N_EPOCHS);
    CHECK(is_number(root, "epochs.0.epoch", 1) && is_number(root, "epochs.2.seconds", 14.5));
    CHECK(is_number(root, "epochs.2.train_loss", run.epochs[2].train_loss));
    CHECK(is_number(root, "epochs.2.valid.log_loss", run.epochs[2].evaluation.log_loss));
    CHECK(is_number(root, "epochs.2.valid.calibration", 2.0 / 3));
    CHECK(is_number(root, "epochs.2.valid.grouped_auc", 0.6));
    CHECK(is_number(root, "epochs.2.valid.groups", 12));
    CHECK(is_number(root, "epochs.0.valid.calibration_bins.mean_score.7", 7 / 40.0));
    CHECK(is_number(root, "epochs.0.valid.calibration_bins.clicks.19", 3));
    CHECK(is_number(root, "epochs.0.valid.score_histogram.no_click.9", 17));
    CHECK(is_number(root, "epochs.0.valid.score_histogram.click.10", 0));
    CHECK(cJSON_GetArraySize(at(root, "losses.step")) == N_LOSSES);
    CHECK(cJSON_GetArraySize(at(root, "losses.loss")) == N_LOSSES);
    CHECK(is_number(root, "losses.step.999", 100000));
    CHECK(is_number(root, "losses.loss.999", run.losses[999].loss));
    cJSON_Delete(root);
}

TEST(numbers_are_written_in_full_and_nan_as_null)
{
    static struct run run;
    run_init(&run);
    run.report.n_train_rows = 18446744073709551615U;
    run.epochs[1].evaluation.auc = 0.1 + 0.2;
    run.epochs[1].evaluation.log_loss = nextafter(0.25, 1);
    run.epochs[1].evaluation.grouped_auc = NAN;
    run.epochs[1].train_loss = INFINITY;
    char *text = report_json(&run.report);
    CHECK(text && strstr(text, "18446744073709551615"));
    CHECK(text && strstr(text, "0.30000000000000004"));
    free(text);
    cJSON *root = parsed(&run.report);
    CHECK(is_number(root, "best.log_loss", nextafter(0.25, 1)));
    CHECK(cJSON_IsNull(at(root, "best.grouped_auc")) && cJSON_IsNull(at(root, "best.train_loss")));
    cJSON_Delete(root);
}

TEST(without_validation_data_there_are_no_measures)
{
    static struct run run;
    run_init(&run);
    for (unsigned i = 0; i < N_EPOCHS; i++)
        run.epochs[i].evaluation = (struct evaluation){0};
    run.report.stopped = NULL;
    cJSON *root = parsed(&run.report);
    CHECK(cJSON_IsNull(at(root, "epochs.0.valid")) && cJSON_IsNull(at(root, "stopped")));
    CHECK(is_number(root, "best.epoch", 2) && at(root, "best.auc") == NULL);
    cJSON_Delete(root);
}

static long n_allocations_left;

static void *scarce_malloc(size_t size)
{
    return n_allocations_left-- > 0 ? malloc(size) : NULL;
}

TEST(out_of_memory_anywhere_gives_no_json)
{
    static struct run run;
    cJSON_Hooks scarce = {scarce_malloc, free};
    run_init(&run);
    run.report.n_losses = 3;
    cJSON_InitHooks(&scarce);
    long n = 0;
    char *text = NULL;
    for (; text == NULL && n < 10000; n++) {
        n_allocations_left = n;
        text = report_json(&run.report);
    }
    CHECK_MSG(text != NULL && n > 100, "after %ld allocations", n);
    free(text);
    cJSON_InitHooks(NULL);
}

/* ---- report.html ---- */

static char *page_of(const struct report *report)
{
    char *html = report_html(report);
    CHECK(html != NULL);
    return html ? html : calloc(1, 1);
}

static bool is_void_element(const char *name)
{
    return strcmp(name, "meta") == 0;
}

/* Every element that opens closes, in order; attributes are quoted. "": it is so. */
static const char *what_is_unbalanced(const char *html)
{
    enum { MOST_OPEN = 32, NAME_SIZE = 16 };
    static char open[MOST_OPEN][NAME_SIZE];
    static char fault[200];
    unsigned n_open = 0;
    for (const char *tag = strchr(html, '<'); tag; tag = strchr(tag + 1, '<')) {
        const bool closes = tag[1] == '/';
        char name[NAME_SIZE] = {0};
        const size_t length = strspn(tag + 1 + closes, "abcdefghijklmnopqrstuvwxyz123456");
        const char *end = strchr(tag, '>');
        snprintf(fault, sizeof fault, "%.100s", tag);
        if (strncmp(tag, "<!DOCTYPE html>", 15) == 0)
            continue;
        if (length == 0 || length >= NAME_SIZE || end == NULL)
            return fault;
        memcpy(name, tag + 1 + closes, length);
        if (closes && (n_open == 0 || strcmp(open[--n_open], name) != 0))
            return fault;
        if (!closes && end[-1] != '/' && !is_void_element(name)) {
            if (n_open == MOST_OPEN)
                return fault;
            strcpy(open[n_open++], name);
        }
    }
    return n_open ? "not all is closed" : "";
}

static unsigned n_found(const char *text, const char *wanted)
{
    unsigned n = 0;
    for (const char *found = strstr(text, wanted); found; found = strstr(found + 1, wanted))
        n++;
    return n;
}

static void check_page(const char *html)
{
    static const char *const outside[] = {"http://", "https://", "src=",    "href=", "url(",
                                          "@import", "<script",  "<iframe", "<link", "javascript:"};
    const char *fault = what_is_unbalanced(html);
    CHECK_MSG(*fault == '\0', "%s", fault);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        CHECK_MSG(strstr(html, outside[i]) == NULL, "%s", outside[i]);
    CHECK(strstr(html, "=\"nan") == NULL && strstr(html, "nan ") == NULL);
    CHECK(strstr(html, " inf") == NULL && strstr(html, "-inf") == NULL);
    CHECK(strncmp(html, "<!DOCTYPE html>", 15) == 0);
}

TEST(the_page_is_balanced_and_asks_for_nothing_from_elsewhere)
{
    static struct run run;
    run_init(&run);
    char *html = page_of(&run.report);
    check_page(html);
    CHECK(n_found(html, "<svg") == 4 && n_found(html, "<table") == 3);
    CHECK(strstr(html, "Kept: epoch 2 of 3.") && strstr(html, "1 h 06 min"));
    CHECK(strstr(html, "<dt>AUC</dt><dd>0.7500</dd>") && strstr(html, "80,000"));
    CHECK(strstr(html, "1,000,000") && strstr(html, "10.0&nbsp;%"));
    CHECK(strstr(html,
                 "2 sparse columns with embeddings of 8, 1 dense; x0 17 wide; cross layers: 2 "
                 "with layer norm; deep layers: 128, 64; 8,012,345 parameters"));
    CHECK(strstr(html, "Measured once an epoch"));
    free(html);
}

TEST(names_are_escaped)
{
    static struct run run;
    run_init(&run);
    run.report.stopped = run.report.version = run.report.backend = HOSTILE;
    char *html = page_of(&run.report);
    check_page(html);
    CHECK(n_found(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot; ") ==
          5);
    CHECK(strchr(html, 0x7f) == NULL);
    free(html);
}

TEST(a_run_without_groups_does_not_speak_of_them)
{
    static struct run run;
    run_init(&run);
    for (unsigned i = 0; i < N_EPOCHS; i++)
        run.epochs[i].evaluation = some_evaluation(i + 1, false);
    char *html = page_of(&run.report);
    check_page(html);
    CHECK(strstr(html, "rouped AUC") == NULL && strstr(html, "grouped</span>") == NULL);
    free(html);
}

TEST(a_run_without_validation_data_shows_its_loss)
{
    static struct run run;
    run_init(&run);
    for (unsigned i = 0; i < N_EPOCHS; i++)
        run.epochs[i].evaluation = (struct evaluation){0};
    run.report.n_valid_rows = 0;
    char *html = page_of(&run.report);
    check_page(html);
    CHECK(n_found(html, "<svg") == 1 && strstr(html, "no validation data"));
    free(html);
}

/* A run that ended at once, and one whose weights left the numbers. */
TEST(nothing_and_nan_have_a_page_as_well)
{
    static struct run run;
    run_init(&run);
    run.report.n_losses = run.report.n_epochs = run.report.n_columns = run.report.n_settings = 0;
    run.report.n_train_rows = run.report.n_train_clicks = 0;
    char *html = page_of(&run.report);
    check_page(html);
    free(html);

    run_init(&run);
    const float scores[] = {0.5F, NAN};
    const uint8_t labels[] = {0, 1};
    struct train_error error;
    for (unsigned i = 0; i < N_EPOCHS; i++) {
        CHECK(evaluate(scores, labels, NULL, 2, &run.epochs[i].evaluation, &error) == 0);
        run.epochs[i].train_loss = run.epochs[i].rows_per_second = NAN;
    }
    for (unsigned i = 10; i < N_LOSSES; i++)
        run.losses[i].loss = NAN;
    run.report.seconds = NAN;
    html = page_of(&run.report);
    check_page(html);
    CHECK(strstr(html, "<dt>AUC</dt><dd>\xe2\x80\x93</dd>"));
    free(html);
}

TEST(many_losses_are_thinned_to_what_a_plot_can_show)
{
    static struct run run;
    run_init(&run);
    run.report.n_epochs = 0;
    char *html = page_of(&run.report);
    check_page(html);
    CHECK(n_found(html, "L") < 400);
    free(html);
}

int main(void)
{
    make_network();
    RUN(the_json_holds_the_values);
    RUN(the_json_holds_each_epoch_and_the_losses);
    RUN(numbers_are_written_in_full_and_nan_as_null);
    RUN(without_validation_data_there_are_no_measures);
    RUN(out_of_memory_anywhere_gives_no_json);
    RUN(the_page_is_balanced_and_asks_for_nothing_from_elsewhere);
    RUN(names_are_escaped);
    RUN(a_run_without_groups_does_not_speak_of_them);
    RUN(a_run_without_validation_data_shows_its_loss);
    RUN(nothing_and_nan_have_a_page_as_well);
    RUN(many_losses_are_thinned_to_what_a_plot_can_show);
    arena_free(&arena);
    return test_report();
}
