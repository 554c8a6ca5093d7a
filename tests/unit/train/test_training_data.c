/* SPDX-License-Identifier: Apache-2.0 */
/* What rank 0 sends is recorded, changed in one word, and played to another rank. */
#include "train/training_data.h"

#include <math.h>
#include <stdlib.h>

#include "data/log_files.h"
#include "memory.h"
#include "test.h"
#include "torch/torch_plugin.h"

/* The words of the announcement, in the order in which they are sent. */
enum {
    STATE,
    N_DENSE,
    N_SPARSE,
    EMBEDDING,
    CROSS,
    N_CROSS,
    N_DEEP,
    DEEP,
    N_TRAIN = DEEP + PUBLISHED_MAX_LAYERS + 1, /* 64 bits, aligned */
    N_VALID = N_TRAIN + 2
};

/* The messages in their order. */
enum { ANNOUNCED, TABLES, TRAIN_ROWS, VALID_ROWS, N_MESSAGES };

static struct {
    unsigned n_sent, n_played;
    uint32_t *words[N_MESSAGES];
    size_t sizes[N_MESSAGES];
    bool is_record;
} wire;

static int fake_broadcast(void *group, void *bytes, size_t size, char *message)
{
    (void)group;
    if (wire.is_record) {
        if (wire.n_sent == ANNOUNCED && *(uint32_t *)bytes == 0) /* a sign of life */
            return 0;
        wire.words[wire.n_sent] = malloc(size);
        memcpy(wire.words[wire.n_sent], bytes, size);
        wire.sizes[wire.n_sent++] = size;
        return 0;
    }
    if (wire.n_played == wire.n_sent || wire.sizes[wire.n_played] != size) {
        snprintf(message, TORCH_MESSAGE_SIZE, "message %u has another size", wire.n_played);
        return -1;
    }
    memcpy(bytes, wire.words[wire.n_played++], size);
    return 0;
}

static const struct torch_plugin plugin = {.group_broadcast = fake_broadcast};
static const volatile sig_atomic_t stop = 0;
static struct train_options options;

static int read_as(unsigned rank, struct training_data *data, struct train_error *error)
{
    const struct ranks ranks = {.rank = rank, .n_ranks = 4, .plugin = &plugin, .group = &wire};
    error->message[0] = '\0';
    wire.is_record = rank == 0;
    wire.n_played = 0;
    return training_data_read(data, &options, &ranks, error);
}

/* Two dense columns, two category columns of 2 and 3 classes, 6 rows, 4 more to validate. */
static void record(struct arena *arena)
{
    static const char *names[2], *rows = "clk,a,b,x,y\n0,u,1,0.5,1\n1,v,2,1,2\n0,u,3,2,3\n"
                                         "1,v,1,0,4\n0,u,2,3,5\n1,v,3,4,6\n";
    char message[256];
    names[0] = log_write("train.csv", rows);
    names[1] =
        log_write("valid.csv", "clk,a,b,x,y\n0,w,1,0.5,1\n1,v,9,1,2\n0,u,3,2,3\n1,v,1,0,4\n");
    char *argv[] = {(char *)"dcnv2-train",   (char *)"--train-data", (char *)names[0],
                    (char *)"--valid-data",  (char *)names[1],       (char *)"--output",
                    (char *)"/nowhere",      (char *)"--dense-cols", (char *)"x,y",
                    (char *)"--sparse-cols", (char *)"a,b"};
    CHECK(train_options_read(&options, arena, 11, argv, message, sizeof message) == SETTINGS_RUN);
    options.stop = &stop;
    struct training_data data;
    struct train_error error;
    CHECK_MSG(read_as(0, &data, &error) == 0, "%s", error.message);
    CHECK(wire.n_sent == N_MESSAGES);
    training_data_free(&data);
}

TEST(another_rank_has_the_rows_of_rank_0)
{
    struct training_data data;
    struct train_error error;
    CHECK_MSG(read_as(3, &data, &error) == 0, "%s", error.message);
    CHECK(data.train.n_rows == 6 && data.valid.n_rows == 4 && data.n_clicks == 3);
    CHECK(data.n_rows_of_tables[0] == 3 && data.n_rows_of_tables[1] == 4);
    CHECK(data.spec.layers[0].parts[3].n_rows == 4 && data.spec.layers[0].n_out == 2 + 2 * 8);
    CHECK(memcmp(dataset_row(&data.train, 5), wire.words[TRAIN_ROWS] + 25, 20) == 0);
    training_data_free(&data);
}

/* Rank 3 hears the messages with one word changed. */
static void check_refused(unsigned message, size_t word, uint32_t value, const char *expected)
{
    struct training_data data;
    struct train_error error;
    const uint32_t before = wire.words[message][word];
    wire.words[message][word] = value;
    CHECK(read_as(3, &data, &error) == -1);
    CHECK_MSG(strcmp(error.message, expected) == 0, "\"%s\" instead of \"%s\"", error.message,
              expected);
    wire.words[message][word] = before;
    training_data_free(&data);
}

static uint32_t word_of(float number)
{
    uint32_t word;
    memcpy(&word, &number, sizeof word);
    return word;
}

TEST(sizes_that_no_network_has_are_refused)
{
    check_refused(ANNOUNCED, STATE, 17, "rank 3: rank 0 has sent 17 as its state");
    check_refused(
        ANNOUNCED, N_DENSE, 4000000000,
        "rank 3: rank 0 has sent 4000000000 as the number of dense columns, not 0 to 65536");
    check_refused(
        ANNOUNCED, N_SPARSE, 65537,
        "rank 3: rank 0 has sent 65537 as the number of category columns, not 0 to 65536");
    check_refused(ANNOUNCED, EMBEDDING, 0,
                  "rank 3: rank 0 has sent 0 as the width of the embeddings, not 1 to 65536");
    check_refused(ANNOUNCED, EMBEDDING, 65537,
                  "rank 3: rank 0 has sent 65537 as the width of the embeddings, not 1 to 65536");
    check_refused(ANNOUNCED, CROSS, 2,
                  "rank 3: rank 0 has sent 2 as the kind of cross layers, not 0 to 1");
    check_refused(ANNOUNCED, N_CROSS, 33,
                  "rank 3: rank 0 has sent 33 as the number of cross layers, not 0 to 32");
    check_refused(ANNOUNCED, N_DEEP, UINT32_MAX,
                  "rank 3: rank 0 has sent 4294967295 as the number of deep layers, not 0 to 32");
    check_refused(ANNOUNCED, DEEP + 1, 0,
                  "rank 3: rank 0 has sent 0 as the width of a deep layer, not 1 to 16777216");
}

TEST(an_input_that_is_too_wide_is_refused_before_products_overflow)
{
    wire.words[ANNOUNCED][EMBEDDING] = 65536;
    check_refused(
        ANNOUNCED, N_SPARSE, 65536,
        "rank 3: rank 0 has sent 4294967298 as the width of the network's input, not 1 to "
        "16777216");
    wire.words[ANNOUNCED][EMBEDDING] = 8;
}

TEST(more_rows_than_memory_holds_are_refused_before_they_are_allocated)
{
    char expected[160];
    const size_t most = memory_limit_bytes() / 20;
    const uint64_t high = (uint64_t)1 << 36;
    snprintf(expected, sizeof expected,
             "rank 3: rank 0 has sent %llu as the number of training rows, not 0 to %zu",
             (unsigned long long)(high + 6), most);
    check_refused(ANNOUNCED, N_TRAIN + 1, (uint32_t)(high >> 32), expected);
    snprintf(expected, sizeof expected,
             "rank 3: rank 0 has sent %llu as the number of validation rows, not 0 to %zu",
             (unsigned long long)(high + 4), most - 6);
    check_refused(ANNOUNCED, N_VALID + 1, (uint32_t)(high >> 32), expected);
}

TEST(a_table_without_rows_is_refused)
{
    check_refused(
        TABLES, 1, 0,
        "rank 3: rank 0 has sent 0 as the number of rows of a table, not 1 to 4294967295");
}

/* A row is [label, 2 dense values, 2 indices]. */
TEST(a_row_that_does_not_fit_is_refused_with_its_number_and_value)
{
    check_refused(
        TRAIN_ROWS, 4 * 5 + 3, 3,
        "rank 3: training row 5 that rank 0 has sent has the index 3 in category column 1, "
        "whose table has 3 rows");
    check_refused(
        TRAIN_ROWS, 4, UINT32_MAX,
        "rank 3: training row 1 that rank 0 has sent has the index 4294967295 in category "
        "column 2, whose table has 4 rows");
    check_refused(
        VALID_ROWS, 3 * 5 + 4, 4,
        "rank 3: validation row 4 that rank 0 has sent has the index 4 in category column "
        "2, whose table has 4 rows");
    check_refused(TRAIN_ROWS, 5, word_of(2),
                  "rank 3: training row 2 that rank 0 has sent has the label 2");
    check_refused(
        TRAIN_ROWS, 2 * 5 + 2, word_of(INFINITY),
        "rank 3: training row 3 that rank 0 has sent has the value inf in dense column 2");
    check_refused(VALID_ROWS, 0, word_of(-1),
                  "rank 3: validation row 1 that rank 0 has sent has the label -1");
}

int main(void)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    record(&arena);
    RUN(another_rank_has_the_rows_of_rank_0);
    RUN(sizes_that_no_network_has_are_refused);
    RUN(an_input_that_is_too_wide_is_refused_before_products_overflow);
    RUN(more_rows_than_memory_holds_are_refused_before_they_are_allocated);
    RUN(a_table_without_rows_is_refused);
    RUN(a_row_that_does_not_fit_is_refused_with_its_number_and_value);
    for (unsigned i = 0; i < wire.n_sent; i++)
        free(wire.words[i]);
    arena_free(&arena);
    return test_report();
}
