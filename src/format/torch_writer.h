/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_writer.h: writes what torch.save(model.state_dict()) writes: torch_file.h the other way.
 *
 * A zip archive of stored entries, data at multiples of 64 bytes, with data.pkl (protocol 2, an
 * OrderedDict of tensors), .format_version, .storage_alignment, byteorder, data/{i} and version.
 * torch.load(weights_only=True) and mmap=True read it. Equal tensors give equal bytes.
 */
#ifndef DCNV2_FORMAT_TORCH_WRITER_H
#define DCNV2_FORMAT_TORCH_WRITER_H

#include <stdio.h>

#include "format/format_error.h"
#include "format/tensor.h"

/* Tensors: FP32, contiguous, names UTF-8. Zip64 where it must be. -1: *error (the disk is full,
 * ..); the stream is then half written. The caller closes it, and checks that too. */
int torch_write(FILE *stream, const struct tensor_list *list, struct format_error *error);

#endif
