/* SPDX-License-Identifier: Apache-2.0 */
/*
 * new_file.h: a file that takes another one's place in one step, when it is whole.
 *
 *     open -> write to file.stream -> finish -> keep -> close
 *
 * It is written beside its place under a temporary name, with the rights that open() would give.
 * Whoever has the old file open keeps it. close() is due after every open() that worked: a file
 * that was not kept is removed.
 */
#ifndef DCNV2_FORMAT_NEW_FILE_H
#define DCNV2_FORMAT_NEW_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "format/format_error.h"

struct new_file {
    FILE *stream;    /* NULL once finished */
    char *path;      /* its place */
    char *temporary; /* "PATH.XXXXXX" */
    bool is_kept;
};

/* What is to be done if the path is a link to a device, a pipe or a socket. Without a link each of
 * these is refused. */
enum new_file_links {
    NEW_FILE_REPLACES_LINKS, /* the file takes the link's place: of a folder that is the program's
                              */
    NEW_FILE_MINDS_LINKS     /* refused: a person named the path, which may be /dev/stdout */
};

/* The functions that can fail return -1 with "cannot be written: .." in *error. */
int new_file_open(struct new_file *file, const char *path, enum new_file_links links,
                  struct format_error *error);

/* Everything that was written is on the disk; an error of the stream shows here. */
int new_file_finish(struct new_file *file, struct format_error *error);

/* Takes its place. The folder is on the disk afterwards, as far as that can be told. */
int new_file_keep(struct new_file *file, struct format_error *error);

void new_file_close(struct new_file *file);

#endif
