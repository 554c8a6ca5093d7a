/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranks.h: the processes that train one model together, over PyTorch's c10d with Gloo.
 *
 * Every call is collective: all ranks make the same calls in the same order. Each ends within the
 * timeout, with an error where a rank has died, never came or lags behind; after an error the only
 * call is ranks_leave(). One rank needs no plugin (torch_load.h): sums and broadcasts do nothing.
 */
#ifndef DCNV2_TORCH_RANKS_H
#define DCNV2_TORCH_RANKS_H

#include <stddef.h>
#include <stdint.h>

#include "data/train_error.h"

enum {
    RANKS_TIMEOUT_S = 60,
    RANKS_MAX = 1024 /* a full mesh of connections: more would be a typing error */
};

struct ranks_options {
    char address[256]; /* of rank 0 */
    unsigned port;
    unsigned rank, n_ranks;
    unsigned timeout_s;
};

/*
 * From the environment of a PyTorchJob (MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK) or of a
 * TrainJob (PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT). Neither: one rank.
 *
 * One process a node: torchrun would start PET_NPROC_PER_NODE of them (a TrainJob's is the number
 * of CPUs, or "auto"), and this program takes threads instead. So the rank is the node's. Where
 * both kinds are set, WORLD_SIZE and RANK count, as everywhere in PyTorch, unless they count
 * torchrun's processes.
 *
 * timeout_s becomes RANKS_TIMEOUT_S. -1: *error names the variable and what is wrong with it.
 */
int ranks_read_environment(struct ranks_options *ret_options, struct train_error *error);

struct ranks {
    unsigned rank, n_ranks;
    const struct torch_plugin *plugin;
    void *group;
};

/* Returns when all ranks are there, and ignores SIGPIPE from then on. -1: *error, nothing to leave.
 */
int ranks_join(struct ranks *ranks, const struct ranks_options *options, struct train_error *error);
void ranks_leave(struct ranks *ranks);

/* values: [n], summed over ranks; the same bits on each. */
int ranks_sum(const struct ranks *ranks, float *values, size_t n, struct train_error *error);

/* ret_all: [n_ranks][size] bytes, in the order of ranks. */
int ranks_gather(const struct ranks *ranks, const void *mine, size_t size, void *ret_all,
                 struct train_error *error);

/* Rank 0's bytes to all. */
int ranks_broadcast(const struct ranks *ranks, void *bytes, size_t size, struct train_error *error);

#endif
