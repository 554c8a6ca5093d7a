/* SPDX-License-Identifier: Apache-2.0 */
#include "torch/ranks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "torch/torch_load.h"

enum { MAX_PORT = 65535 };

/* The names under which one kind of job gives the same four things. */
struct job_variables {
    const char *n_ranks, *rank, *address, *port;
};

static const struct job_variables pytorch_job = {"WORLD_SIZE", "RANK", "MASTER_ADDR",
                                                 "MASTER_PORT"};
static const struct job_variables train_job = {"PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR",
                                               "PET_MASTER_PORT"};

/* A whole number in decimal digits, at most `max`. */
static bool parse_number(const char *text, size_t length, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
        if (number > max)
            return false;
    }
    *ret_number = number;
    return true;
}

static int read_number(const char *name, unsigned min, unsigned max, unsigned *ret_number,
                       struct train_error *error)
{
    const char *text = getenv(name);
    if (text == NULL)
        return train_error_set(error, "%s is not set, as training on several ranks needs", name);
    if (!parse_number(text, strlen(text), max, ret_number) || *ret_number < min)
        return train_error_set(error, "%s is '%.100s', not a whole number from %u to %u", name,
                               text, min, max);
    return 0;
}

/* "n", or torchrun's "min:max" where both are the same: ranks are not added later on. */
static int read_n_ranks(const char *name, unsigned *ret_n_ranks, struct train_error *error)
{
    const char *text = getenv(name);
    const char *colon = text ? strchr(text, ':') : NULL;
    if (colon == NULL)
        return read_number(name, 1, RANKS_MAX, ret_n_ranks, error);
    unsigned min = 0, max = 0;
    if (!parse_number(text, (size_t)(colon - text), RANKS_MAX, &min) || min == 0 ||
        !parse_number(colon + 1, strlen(colon + 1), RANKS_MAX, &max) || max != min)
        return train_error_set(error,
                               "%s is '%.100s': a range needs torchrun's elastic rendezvous; "
                               "give one number from 1 to %d",
                               name, text, RANKS_MAX);
    *ret_n_ranks = min;
    return 0;
}

static int read_address(const char *name, char ret_address[256], struct train_error *error)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0')
        return train_error_set(error, "%s is %s, as training on several ranks needs", name,
                               text ? "empty" : "not set");
    if (strlen(text) > 255)
        return train_error_set(error, "%s is longer than 255 bytes", name);
    memcpy(ret_address, text, strlen(text) + 1);
    return 0;
}

static bool is_set(const char *name)
{
    return getenv(name) != NULL;
}

static const char *any_set(const struct job_variables *job)
{
    const char *const names[] = {job->n_ranks, job->rank, job->address, job->port};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_set(names[i]))
            return names[i];
    return NULL;
}

static int read_job(const struct job_variables *job, struct ranks_options *options,
                    struct train_error *error)
{
    if (!is_set(job->n_ranks))
        return train_error_set(error, "%s is set, but %s is not", any_set(job), job->n_ranks);
    if (read_n_ranks(job->n_ranks, &options->n_ranks, error) != 0)
        return -1;
    if (options->n_ranks == 1 && !is_set(job->rank)) /* rank 0 */
        return 0;
    if (read_number(job->rank, 0, options->n_ranks - 1, &options->rank, error) != 0)
        return -1;
    if (options->n_ranks == 1)
        return 0;
    if (read_address(job->address, options->address, error) != 0)
        return -1;
    return read_number(job->port, 1, MAX_PORT, &options->port, error);
}

/*
 * A PyTorchJob sets both kinds. With nprocPerNode its WORLD_SIZE counts the processes that
 * torchrun would start, and its RANK is still the node's: there the nodes are the ranks. torchrun
 * itself, which sets LOCAL_RANK, numbers its processes through.
 */
static bool counts_processes_of_torchrun(void)
{
    const char *nodes = getenv("PET_NNODES"), *each = getenv("PET_NPROC_PER_NODE");
    const char *world = getenv("WORLD_SIZE");
    unsigned n_nodes, n_each, n_world;
    return !is_set("LOCAL_RANK") && nodes && each && world &&
           parse_number(nodes, strlen(nodes), RANKS_MAX, &n_nodes) &&
           parse_number(each, strlen(each), RANKS_MAX, &n_each) && n_each > 1 &&
           parse_number(world, strlen(world), RANKS_MAX * RANKS_MAX, &n_world) &&
           n_world == n_nodes * n_each;
}

int ranks_read_environment(struct ranks_options *ret_options, struct train_error *error)
{
    struct ranks_options options = {.n_ranks = 1, .timeout_s = RANKS_TIMEOUT_S};
    const struct job_variables *job = NULL;
    if (any_set(&pytorch_job) && !counts_processes_of_torchrun())
        job = &pytorch_job;
    else if (any_set(&train_job))
        job = &train_job;
    if (job && read_job(job, &options, error) != 0)
        return -1;
    *ret_options = options;
    return 0;
}

int ranks_join(struct ranks *ranks, const struct ranks_options *options, struct train_error *error)
{
    *ranks = (struct ranks){.rank = options->rank, .n_ranks = options->n_ranks};
    if (options->n_ranks == 1)
        return 0;
    ranks->plugin = torch_load(error);
    if (ranks->plugin == NULL)
        return -1;
    char message[TORCH_MESSAGE_SIZE];
    if (ranks->plugin->group_create(options->address, (uint16_t)options->port, options->rank,
                                    options->n_ranks, options->timeout_s, &ranks->group,
                                    message) == 0)
        return 0;
    return train_error_set(error, "rank %u of %u cannot join the others at %s:%u: %s",
                           options->rank, options->n_ranks, options->address, options->port,
                           message);
}

void ranks_leave(struct ranks *ranks)
{
    if (ranks->group)
        ranks->plugin->group_free(ranks->group);
    ranks->group = NULL;
}

static int lost(const struct ranks *ranks, const char *message, struct train_error *error)
{
    return train_error_set(error, "rank %u of %u has lost the others: %s", ranks->rank,
                           ranks->n_ranks, message);
}

int ranks_sum(const struct ranks *ranks, float *values, size_t n, struct train_error *error)
{
    char message[TORCH_MESSAGE_SIZE];
    if (ranks->n_ranks == 1 || ranks->plugin->group_sum(ranks->group, values, n, message) == 0)
        return 0;
    return lost(ranks, message, error);
}

int ranks_gather(const struct ranks *ranks, const void *mine, size_t size, void *ret_all,
                 struct train_error *error)
{
    if (ranks->n_ranks == 1) {
        if (size > 0)
            memmove(ret_all, mine, size);
        return 0;
    }
    char message[TORCH_MESSAGE_SIZE];
    if (ranks->plugin->group_gather(ranks->group, mine, size, ret_all, message) == 0)
        return 0;
    return lost(ranks, message, error);
}

int ranks_broadcast(const struct ranks *ranks, void *bytes, size_t size, struct train_error *error)
{
    char message[TORCH_MESSAGE_SIZE];
    if (ranks->n_ranks == 1 ||
        ranks->plugin->group_broadcast(ranks->group, bytes, size, message) == 0)
        return 0;
    return lost(ranks, message, error);
}
