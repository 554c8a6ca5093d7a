/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "test.h"
#include "torch/ranks.h"
#include "torch/torch_load.h"

static const char *const variables[] = {
    "MASTER_ADDR",     "MASTER_PORT",        "WORLD_SIZE",    "RANK",
    "LOCAL_RANK",      "PET_NNODES",         "PET_NODE_RANK", "PET_MASTER_ADDR",
    "PET_MASTER_PORT", "PET_NPROC_PER_NODE",
};

/* The environment is exactly this: name, value, .., NULL. */
static void set_environment(const char *const *pairs)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    for (; pairs[0]; pairs += 2)
        setenv(pairs[0], pairs[1], 1);
}

#define READ(...) (set_environment((const char *const[]){__VA_ARGS__, NULL}), read_it())

static struct ranks_options options;
static struct train_error error;

static int read_it(void)
{
    error.message[0] = '\0';
    memset(&options, 0xEE, sizeof options);
    return ranks_read_environment(&options, &error);
}

/* It was refused, and the message begins with this. */
#define CHECK_REFUSED(beginning, ...)                                                              \
    do {                                                                                           \
        CHECK(READ(__VA_ARGS__) == -1);                                                            \
        CHECK_MSG(strncmp(error.message, beginning, strlen(beginning)) == 0, "%s", error.message); \
    } while (0)

static void check_rank(int result, unsigned rank, unsigned n_ranks, const char *address,
                       unsigned port)
{
    CHECK_MSG(result == 0, "%s", error.message);
    if (result != 0)
        return;
    CHECK_MSG(options.rank == rank && options.n_ranks == n_ranks, "%u of %u", options.rank,
              options.n_ranks);
    CHECK_MSG(strcmp(options.address, address) == 0, "%s", options.address);
    CHECK(options.port == port);
    CHECK(options.timeout_s == RANKS_TIMEOUT_S);
}

TEST(an_empty_environment_is_one_rank)
{
    check_rank(READ(NULL), 0, 1, "", 0);
    check_rank(READ("LOCAL_RANK", "0", "PET_NPROC_PER_NODE", "4"), 0, 1, "", 0);
}

TEST(a_pytorchjob_gives_world_size_and_rank)
{
    check_rank(
        READ("MASTER_ADDR", "job-master-0", "MASTER_PORT", "23456", "WORLD_SIZE", "4", "RANK", "3"),
        3, 4, "job-master-0", 23456);
    check_rank(READ("WORLD_SIZE", "1"), 0, 1, "", 0);
    check_rank(READ("WORLD_SIZE", "1", "RANK", "0", "MASTER_ADDR", "x", "MASTER_PORT", "y"), 0, 1,
               "", 0);
}

/* As kubeflow/trainer's torch plugin sets it. */
TEST(a_trainjob_gives_nodes_and_node_rank)
{
    static const char *const each[] = {"auto", "cpu", "gpu", "1", "8"};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        check_rank(READ("PET_NNODES", "3", "PET_NODE_RANK", "2", "PET_NPROC_PER_NODE", each[i],
                        "PET_MASTER_ADDR", "run-node-0-0.run", "PET_MASTER_PORT", "29500"),
                   2, 3, "run-node-0-0.run", 29500);
    check_rank(READ("PET_NNODES", "1", "PET_NODE_RANK", "0", "PET_NPROC_PER_NODE", "4",
                    "PET_MASTER_ADDR", "run-node-0-0.run", "PET_MASTER_PORT", "29500"),
               0, 1, "", 0);
    check_rank(READ("PET_NNODES", "2:2", "PET_NODE_RANK", "1", "PET_MASTER_ADDR", "a",
                    "PET_MASTER_PORT", "65535"),
               1, 2, "a", 65535);
    check_rank(READ("PET_NNODES", "1:1"), 0, 1, "", 0);
}

/* The training operator sets both kinds in a PyTorchJob, and the nodes' ranks in both. */
#define PYTORCH_JOB(world, rank, nodes)                                                            \
    "MASTER_ADDR", "master", "MASTER_PORT", "23456", "PET_MASTER_ADDR", "pet", "PET_MASTER_PORT",  \
        "1234", "WORLD_SIZE", world, "RANK", rank, "PET_NODE_RANK", rank, "PET_NNODES", nodes

TEST(world_size_counts_where_both_are_set)
{
    check_rank(READ(PYTORCH_JOB("2", "1", "2")), 1, 2, "master", 23456);
    check_rank(READ(PYTORCH_JOB("2", "1", "2"), "PET_NPROC_PER_NODE", "1"), 1, 2, "master", 23456);
    check_rank(READ(PYTORCH_JOB("2", "1", "2"), "PET_NPROC_PER_NODE", "auto"), 1, 2, "master",
               23456);
    check_rank(READ(PYTORCH_JOB("3", "1", "2"), "PET_NPROC_PER_NODE", "2"), 1, 3, "master", 23456);
    check_rank(READ(PYTORCH_JOB("2", "1", "1:4"), "PET_NPROC_PER_NODE", "2"), 1, 2, "master",
               23456);
}

TEST(processes_that_torchrun_would_start_are_no_ranks)
{
    check_rank(READ(PYTORCH_JOB("8", "1", "2"), "PET_NPROC_PER_NODE", "4"), 1, 2, "pet", 1234);
    check_rank(READ(PYTORCH_JOB("4", "0", "1"), "PET_NPROC_PER_NODE", "4"), 0, 1, "", 0);
}

TEST(processes_that_torchrun_has_started_are_ranks)
{
    check_rank(READ(PYTORCH_JOB("8", "5", "2"), "PET_NPROC_PER_NODE", "4", "LOCAL_RANK", "1"), 5, 8,
               "master", 23456);
}

TEST(a_variable_that_is_missing_is_named)
{
    CHECK_REFUSED("RANK is set, but WORLD_SIZE is not", "RANK", "0");
    CHECK_REFUSED("MASTER_ADDR is set, but WORLD_SIZE is not", "MASTER_ADDR", "a");
    CHECK_REFUSED("MASTER_PORT is set, but WORLD_SIZE is not", "MASTER_PORT", "1");
    CHECK_REFUSED("PET_NODE_RANK is set, but PET_NNODES is not", "PET_NODE_RANK", "0");
    CHECK_REFUSED("RANK is not set", "WORLD_SIZE", "2");
    CHECK_REFUSED("MASTER_ADDR is not set", "WORLD_SIZE", "2", "RANK", "0");
    CHECK_REFUSED("MASTER_PORT is not set", "WORLD_SIZE", "2", "RANK", "0", "MASTER_ADDR", "a");
    CHECK_REFUSED("PET_NODE_RANK is not set", "PET_NNODES", "2");
    CHECK_REFUSED("PET_MASTER_ADDR is not set", "PET_NNODES", "2", "PET_NODE_RANK", "0");
    CHECK_REFUSED("PET_MASTER_PORT is not set", "PET_NNODES", "2", "PET_NODE_RANK", "0",
                  "PET_MASTER_ADDR", "a");
}

TEST(a_value_that_is_no_fitting_number_is_named)
{
    static const char *const bad_sizes[] = {"",    "0",  "-2",  "+2",   " 2",         "2 ",
                                            "0x2", "2.", "two", "1025", "4294967298", "1e1"};
    for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++)
        CHECK_REFUSED("WORLD_SIZE is '", "WORLD_SIZE", bad_sizes[i], "RANK", "0");
    CHECK_REFUSED("RANK is '2', not a whole number from 0 to 1", "WORLD_SIZE", "2", "RANK", "2");
    CHECK_REFUSED("RANK is '1', not a whole number from 0 to 0", "WORLD_SIZE", "1", "RANK", "1");
    CHECK_REFUSED("RANK is '', not", "WORLD_SIZE", "2", "RANK", "");
    CHECK_REFUSED("MASTER_ADDR is empty", "WORLD_SIZE", "2", "RANK", "1", "MASTER_ADDR", "");
    CHECK_REFUSED("MASTER_PORT is '0', not", "WORLD_SIZE", "2", "RANK", "1", "MASTER_ADDR", "a",
                  "MASTER_PORT", "0");
    CHECK_REFUSED("MASTER_PORT is '65536', not", "WORLD_SIZE", "2", "RANK", "1", "MASTER_ADDR", "a",
                  "MASTER_PORT", "65536");
}

TEST(a_range_of_nodes_is_refused)
{
    static const char *const bad[] = {"1:4", "2:1", "0:0", ":2", "2:", ":", "2:2:2", "a:a", "2:x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_REFUSED("PET_NNODES is '", "PET_NNODES", bad[i], "PET_NODE_RANK", "0");
}

TEST(an_address_that_does_not_fit_is_refused)
{
    char address[300];
    memset(address, 'a', sizeof address);
    address[255] = '\0';
    check_rank(READ("WORLD_SIZE", "2", "RANK", "1", "MASTER_ADDR", address, "MASTER_PORT", "7"), 1,
               2, address, 7);
    address[255] = 'a';
    address[256] = '\0';
    CHECK_REFUSED("MASTER_ADDR is longer than 255 bytes", "WORLD_SIZE", "2", "RANK", "1",
                  "MASTER_ADDR", address, "MASTER_PORT", "7");
}

TEST(a_message_stays_on_its_line)
{
    CHECK_REFUSED("WORLD_SIZE is '2?[31m?', not", "WORLD_SIZE", "2\033[31m\n", "RANK", "0");
}

TEST(one_rank_needs_no_plugin)
{
    setenv("DCNV2_TORCH_PLUGIN", "/nowhere/dcnv2_torch.so", 1);
    struct ranks ranks;
    const struct ranks_options alone = {.n_ranks = 1, .timeout_s = 1};
    CHECK(ranks_join(&ranks, &alone, &error) == 0);
    float values[2] = {1, 2};
    char all[3] = "--";
    CHECK(ranks_sum(&ranks, values, 2, &error) == 0 && values[0] == 1 && values[1] == 2);
    CHECK(ranks_gather(&ranks, "ab", 2, all, &error) == 0 && strcmp(all, "ab") == 0);
    CHECK(ranks_gather(&ranks, NULL, 0, NULL, &error) == 0);
    CHECK(ranks_broadcast(&ranks, all, 2, &error) == 0 && strcmp(all, "ab") == 0);
    ranks_leave(&ranks);
    ranks_leave(&ranks);
    unsetenv("DCNV2_TORCH_PLUGIN");
}

static void check_no_plugin(const char *named, const char *in_message)
{
    if (named)
        setenv("DCNV2_TORCH_PLUGIN", named, 1);
    struct ranks ranks;
    const struct ranks_options two = {.address = "127.0.0.1", .port = 1, .n_ranks = 2};
    CHECK(ranks_join(&ranks, &two, &error) == -1);
    CHECK_MSG(strstr(error.message, in_message), "%s", error.message);
    unsetenv("DCNV2_TORCH_PLUGIN");
}

TEST(a_plugin_that_cannot_be_loaded_is_named)
{
    char text_file[] = "/tmp/dcnv2_no_plugin_XXXXXX";
    const int fd = mkstemp(text_file);
    CHECK(fd >= 0 && write(fd, "no library\n", 11) == 11);
    check_no_plugin(text_file, text_file);
    close(fd);
    unlink(text_file);
    check_no_plugin("/nowhere/x.so", "/nowhere/x.so of DCNV2_TORCH_PLUGIN");
    check_no_plugin(NULL, "`make torch`"); /* there is none beside the unit tests */
}

int main(void)
{
    RUN(an_empty_environment_is_one_rank);
    RUN(a_pytorchjob_gives_world_size_and_rank);
    RUN(a_trainjob_gives_nodes_and_node_rank);
    RUN(world_size_counts_where_both_are_set);
    RUN(processes_that_torchrun_would_start_are_no_ranks);
    RUN(processes_that_torchrun_has_started_are_ranks);
    RUN(a_variable_that_is_missing_is_named);
    RUN(a_value_that_is_no_fitting_number_is_named);
    RUN(a_range_of_nodes_is_refused);
    RUN(an_address_that_does_not_fit_is_refused);
    RUN(a_message_stays_on_its_line);
    RUN(one_rank_needs_no_plugin);
    RUN(a_plugin_that_cannot_be_loaded_is_named);
    return test_report();
}
