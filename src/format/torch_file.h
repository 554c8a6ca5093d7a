/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_file.h: what torch.save() writes: a zip of data.pkl and one entry per storage; or, before
 * PyTorch 1.6, pickles and storages behind each other (torch_legacy.c).
 *
 * It holds a state dict; or a checkpoint, in which one dict of tensors is found (torch_search.c);
 * or a whole model, whose state dict is made of its pickled modules, if the caller allows that.
 */
#ifndef DCNV2_FORMAT_TORCH_FILE_H
#define DCNV2_FORMAT_TORCH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "format/tensor.h"

/* Which tensors of the file are meant. */
struct torch_choice {
    const char *key; /* of the state dict in a checkpoint, "model" or "ema.module"; NULL: the one */
    bool allow_whole_model;
};

/* Whether the first bytes are such a file's, which says nothing of the rest. */
bool torch_file_is(const uint8_t *bytes, size_t size);

/*
 * -1: *error. The list is in the arena, in file order, and points into `bytes`; names are those
 * of the state dict, counters are left out (tensor.h). Checksums of all storages used are verified,
 * if there are any. `choice` may be NULL.
 */
int torch_file_read(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                    size_t size, const struct torch_choice *choice, struct format_error *error);

#endif
