/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_file.h: a state dict as torch.save() writes it: a zip of data.pkl and one entry a storage.
 */
#ifndef DCNV2_FORMAT_TORCH_FILE_H
#define DCNV2_FORMAT_TORCH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "format/tensor.h"

/* Whether the first bytes are a zip file's, which says nothing of the rest. */
bool torch_file_is(const uint8_t *bytes, size_t size);

/*
 * -1: *error. The list is in the arena, in file order, and points into `bytes`. Checksums of all
 * storages used are verified.
 */
int torch_file_read(struct tensor_list *list, struct arena *arena, const uint8_t *bytes,
                    size_t size, struct format_error *error);

#endif
