/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_files.c: a model's files written by the trainer, and models read back into it. */
#include "train/model_files.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/build.h"
#include "model/model_files.h"
#include "test.h"
#include "train/init_from.h"

/* ---- a folder, and what is trained */

static char folder[64];

static void folder_start(void)
{
    snprintf(folder, sizeof folder, "/tmp/dcnv2-trained-XXXXXX");
    if (mkdtemp(folder) == NULL)
        exit(1);
}

/* Its path, in one of two buffers in turn. */
static const char *path_of(const char *name)
{
    static char paths[2][128];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static unsigned n_files(void)
{
    unsigned n = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

static void folder_end(void)
{
    unlink(path_of(MODEL_FILES_WEIGHTS));
    unlink(path_of(MODEL_FILES_ENCODER));
    unlink(path_of(MODEL_FILES_CONVERTED));
    unlink(path_of("metrics.json"));
    CHECK_MSG(rmdir(folder) == 0, "something was left in %s", folder);
}

/* Two category columns and two dense ones. */
static struct text colours[] = {{"", 0}, {"gr\xC3\xBCn", 5}, {"rot", 3}};
static struct text sizes[] = {{"7", 1}};
static struct fitted_column columns[] = {{.name = "colour", .classes = colours, .n_classes = 3},
                                         {.name = "size", .classes = sizes, .n_classes = 1}};
static const char *const dense[] = {"price", "age"};
static double mean[] = {0.1, -5}, var[] = {4, 2.25}, scale[] = {2, 1.5};
static const uint32_t n_rows[] = {4, 2};

struct trained {
    struct fitted_encoder encoder;
    struct published_sizes sizes;
    struct network_spec spec;
    struct arena arena; /* the spec's */
    struct parameters values;
    struct model_contents contents;
};

/* Values of its sizes and of tables with so many rows. */
static void trained_values(struct trained *trained, const uint32_t *n_rows_of_tables)
{
    struct train_error error = {{0}};
    arena_init(&trained->arena, SIZE_MAX);
    CHECK(published_make(&trained->spec, &trained->arena, &trained->sizes, n_rows_of_tables) == 0);
    CHECK(parameters_create(&trained->spec, &trained->values, &error) == 0);
    parameters_initialise(&trained->values, 1);
}

static void trained_end(struct trained *trained)
{
    parameters_free(&trained->values);
    arena_free(&trained->arena);
}

static void trained_start(struct trained *trained, enum published_cross cross, uint32_t n_dense)
{
    *trained = (struct trained){.encoder = {.n_sparse = 2,
                                            .n_dense = n_dense,
                                            .sparse = columns,
                                            .dense = dense,
                                            .mean = mean,
                                            .var = var,
                                            .scale = scale,
                                            .n_rows = 1000},
                                .sizes = {.n_dense = n_dense,
                                          .n_sparse = 2,
                                          .embedding = 4,
                                          .cross = cross,
                                          .n_cross = 2,
                                          .n_deep = 2,
                                          .deep = {6, 3}}};
    trained_values(trained, n_rows);
    trained->contents = (struct model_contents){
        .encoder = &trained->encoder, .values = &trained->values, .label = "clk"};
}

static bool is_written(const struct trained *trained)
{
    struct train_error error = {{0}};
    const int status = model_files_write(folder, &trained->contents, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    return status == 0;
}

/* ---- back into the trainer */

static bool is_same_encoder(const struct fitted_encoder *a, const struct fitted_encoder *b)
{
    bool good = a->n_sparse == b->n_sparse && a->n_dense == b->n_dense;
    for (uint32_t i = 0; good && i < a->n_sparse; i++) {
        good = strcmp(a->sparse[i].name, b->sparse[i].name) == 0 &&
               a->sparse[i].n_classes == b->sparse[i].n_classes;
        for (uint32_t k = 0; good && k < a->sparse[i].n_classes; k++)
            good = text_equal(a->sparse[i].classes[k], b->sparse[i].classes[k]);
    }
    for (uint32_t i = 0; good && i < a->n_dense; i++)
        good = strcmp(a->dense[i], b->dense[i]) == 0 && a->mean[i] == b->mean[i] &&
               a->var[i] == b->var[i] && a->scale[i] == b->scale[i];
    return good;
}

static bool is_same_values(const struct parameters *a, const struct parameters *b)
{
    bool good = a->n == b->n;
    for (size_t i = 0; good && i < a->n; i++)
        good = a->all[i].n_elements == b->all[i].n_elements &&
               memcmp(a->all[i].values, b->all[i].values,
                      a->all[i].n_elements * sizeof *a->all[i].values) == 0;
    return good;
}

static void check_read(const struct trained *trained, const char *path, const char *label)
{
    struct initial_model initial;
    struct parameters values = {0};
    struct train_error error = {{0}};
    const int status = initial_model_read(&initial, path, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    if (status == 0) {
        CHECK(is_same_encoder(&trained->encoder, &initial.encoder));
        CHECK(strcmp(initial.sparse_names[1], "size") == 0);
        CHECK(memcmp(&trained->sizes, &initial.sizes, sizeof initial.sizes) == 0);
        CHECK(label ? initial.label && strcmp(initial.label, label) == 0 : !initial.label);
        CHECK(parameters_create(&trained->spec, &values, &error) == 0);
        CHECK(initial_model_copy(&initial, &values, &error) == 0);
        CHECK(is_same_values(&trained->values, &values));
    }
    parameters_free(&values);
    initial_model_free(&initial);
}

static void check_round_trip(enum published_cross cross, uint32_t n_dense)
{
    struct trained trained;
    folder_start();
    trained_start(&trained, cross, n_dense);
    if (is_written(&trained)) {
        CHECK(n_files() == 3);
        check_read(&trained, folder, NULL);
        check_read(&trained, path_of(MODEL_FILES_WEIGHTS), NULL);
        check_read(&trained, path_of(MODEL_FILES_CONVERTED), "clk");
    }
    trained_end(&trained);
    folder_end();
}

TEST(what_is_written_is_read_back)
{
    check_round_trip(PUBLISHED_LAYER_NORM, 2);
    check_round_trip(PUBLISHED_FULL, 1);
}

TEST(a_model_without_dense_columns_is_read_back)
{
    check_round_trip(PUBLISHED_LAYER_NORM, 0);
}

/* ---- replacing */

static bool is_same_file(const struct bytes *a, const struct bytes *b)
{
    return a->size == b->size && memcmp(a->at, b->at, a->size) == 0;
}

/* A file with a Dropout behind each ReLU counts it: the deep layers are dnn.0 and dnn.3. */
TEST(deep_layers_may_be_numbered_with_gaps)
{
    struct trained trained;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    parameters_find(&trained.values, "dnn.2.weight")->name = "dnn.3.weight";
    parameters_find(&trained.values, "dnn.2.bias")->name = "dnn.3.bias";
    if (is_written(&trained)) {
        check_read(&trained, folder, NULL);
        check_read(&trained, path_of(MODEL_FILES_CONVERTED), "clk");
    }
    trained_end(&trained);
    folder_end();
}

TEST(equal_contents_give_equal_bytes)
{
    static const char *const names[] = {MODEL_FILES_WEIGHTS, MODEL_FILES_ENCODER,
                                        MODEL_FILES_CONVERTED};
    struct trained trained;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    for (size_t i = 0; is_written(&trained) && i < 3; i++) {
        struct bytes before = bytes_of_file(path_of(names[i]));
        is_written(&trained);
        struct bytes after = bytes_of_file(path_of(names[i]));
        CHECK(is_same_file(&before, &after));
        bytes_free(&before);
        bytes_free(&after);
    }
    trained_end(&trained);
    folder_end();
}

TEST(the_files_have_the_rights_of_any_new_file)
{
    struct trained trained;
    struct stat info = {0};
    folder_start();
    const mode_t mask = umask(027);
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    is_written(&trained);
    umask(mask);
    CHECK(stat(path_of(MODEL_FILES_WEIGHTS), &info) == 0 && (info.st_mode & 0777) == 0640);
    CHECK(stat(path_of(MODEL_FILES_CONVERTED), &info) == 0 && (info.st_mode & 0777) == 0640);
    trained_end(&trained);
    folder_end();
}

/* ---- errors */

/* Refused with this message behind "FOLDER/"; no file is there that was not there before. */
static void check_refused(const struct trained *trained, const char *message)
{
    struct train_error error = {{0}};
    char expected[256];
    const unsigned n = n_files();
    snprintf(expected, sizeof expected, "%s/%s", folder, message);
    CHECK(model_files_write(folder, &trained->contents, &error) == -1);
    CHECK_MSG(strcmp(error.message, expected) == 0, "%s", error.message);
    CHECK(n_files() == n);
}

TEST(a_value_that_is_not_finite_leaves_the_old_files)
{
    struct trained trained;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    is_written(&trained);
    float *value = &parameters_find(&trained.values, "dnn.0.bias")->values[2];
    const float good = *value;
    *value = NAN;
    check_refused(&trained, MODEL_FILES_WEIGHTS
                  ": tensor \"dnn.0.bias\" holds a value that is not a finite float");
    *value = good;
    check_read(&trained, folder, NULL);
    check_read(&trained, path_of(MODEL_FILES_CONVERTED), "clk");
    trained_end(&trained);
    folder_end();
}

TEST(a_full_disk_leaves_nothing)
{
    struct trained trained;
    struct rlimit before;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, before.rlim_max});
    check_refused(&trained, MODEL_FILES_WEIGHTS ": cannot be written: File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    trained_end(&trained);
    folder_end();
}

TEST(a_place_that_cannot_be_taken_is_named)
{
    struct trained trained;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    mkdir(path_of(MODEL_FILES_WEIGHTS), 0777);
    check_refused(&trained, MODEL_FILES_WEIGHTS ": cannot be written: Is a directory");
    rmdir(path_of(MODEL_FILES_WEIGHTS));
    trained_end(&trained);
    folder_end();
}

TEST(a_missing_folder_is_named)
{
    struct trained trained;
    struct train_error error = {{0}};
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    CHECK(model_files_write("/no-such-folder", &trained.contents, &error) == -1);
    CHECK_MSG(strcmp(error.message, "/no-such-folder/" MODEL_FILES_WEIGHTS
                                    ": cannot be written: No such file or directory") == 0,
              "%s", error.message);
    trained_end(&trained);
}

TEST(a_text_takes_the_place_of_another)
{
    struct train_error error = {{0}};
    folder_start();
    CHECK(model_files_write_text(folder, "metrics.json", "{\"a\": 1}\n", &error) == 0);
    CHECK(model_files_write_text(folder, "metrics.json", "{}\n", &error) == 0);
    struct bytes bytes = bytes_of_file(path_of("metrics.json"));
    CHECK(bytes.size == 3 && memcmp(bytes.at, "{}\n", 3) == 0);
    bytes_free(&bytes);
    CHECK(n_files() == 1);
    CHECK(model_files_write_text("/no-such-folder", "a", "", &error) == -1);
    CHECK(strcmp(error.message,
                 "/no-such-folder/a: cannot be written: No such file or directory") == 0);
    folder_end();
}

/* ---- models of others */

static void check_not_continued(const struct model_files *files, const char *needle)
{
    struct initial_model initial;
    struct train_error error = {{0}};
    const struct dcnv2_source source = model_files_source(files);
    model_files_put(files);
    CHECK(initial_model_open(&initial, &source, &error) == 0); /* it can be scored with */
    CHECK(initial.model != NULL && initial.encoder.n_sparse == files->n_columns);
    initial_model_free(&initial);
    char path[128], encoder[128];
    snprintf(path, sizeof path, "%s/" MODEL_FILES_WEIGHTS, files->folder);
    snprintf(encoder, sizeof encoder, "%s/" MODEL_FILES_ENCODER, files->folder);
    CHECK(rename(files->model_path, path) == 0 && rename(files->encoder_path, encoder) == 0);
    CHECK(initial_model_read(&initial, files->folder, &error) == -1);
    CHECK_MSG(strstr(error.message, needle) && strncmp(error.message, path, strlen(path)) == 0,
              "%s", error.message);
    initial_model_free(&initial);
    CHECK(rename(path, files->model_path) == 0 && rename(encoder, files->encoder_path) == 0);
}

TEST(networks_that_cannot_be_trained_on_are_refused)
{
    struct model_files files;
    model_files_start(&files);
    check_not_continued(&files, "both kinds");
    for (int layer = 0; layer < 2; layer++) {
        char name[64];
        snprintf(name, sizeof name, "cross_layers.%d%s.weight", layer, layer ? "" : ".0");
        model_files_remove(&files, name);
        snprintf(name, sizeof name, "cross_layers.%d%s.bias", layer, layer ? "" : ".0");
        model_files_remove(&files, name);
    }
    model_files_remove(&files, "cross_layers.0.1.weight");
    model_files_remove(&files, "cross_layers.0.1.bias");
    check_not_continued(&files, "different width");
    model_files_end(&files);
}

TEST(a_model_that_is_not_there_is_named)
{
    struct initial_model initial;
    struct train_error error = {{0}};
    CHECK(initial_model_read(&initial, "/no-such-folder/m.pth", &error) == -1);
    CHECK_MSG(strcmp(error.message, "/no-such-folder/m.pth: cannot be opened: No such file or "
                                    "directory") == 0,
              "%s", error.message);
    initial_model_free(&initial);
    initial_model_free(&initial);
}

/* Rows that no value leads to are left behind. */
TEST(a_table_may_be_larger_than_its_classes)
{
    static const uint32_t larger[] = {9, 2};
    struct trained trained, small;
    folder_start();
    trained_start(&trained, PUBLISHED_LAYER_NORM, 2);
    trained_start(&small, PUBLISHED_LAYER_NORM, 2);
    trained_end(&trained);
    trained_values(&trained, larger); /* the first rows are the same */
    is_written(&trained);
    check_read(&small, folder, NULL);
    trained_end(&small);
    trained_end(&trained);
    folder_end();
}

int main(void)
{
    RUN(what_is_written_is_read_back);
    RUN(a_model_without_dense_columns_is_read_back);
    RUN(deep_layers_may_be_numbered_with_gaps);
    RUN(equal_contents_give_equal_bytes);
    RUN(the_files_have_the_rights_of_any_new_file);
    RUN(a_value_that_is_not_finite_leaves_the_old_files);
    RUN(a_full_disk_leaves_nothing);
    RUN(a_place_that_cannot_be_taken_is_named);
    RUN(a_missing_folder_is_named);
    RUN(a_text_takes_the_place_of_another);
    RUN(networks_that_cannot_be_trained_on_are_refused);
    RUN(a_model_that_is_not_there_is_named);
    RUN(a_table_may_be_larger_than_its_classes);
    return test_report();
}
