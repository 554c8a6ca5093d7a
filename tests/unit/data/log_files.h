/* SPDX-License-Identifier: Apache-2.0 */
/* log_files.h: click logs that a test writes into a folder of its own. Whatever fails ends it. */
#ifndef DCNV2_TESTS_LOG_FILES_H
#define DCNV2_TESTS_LOG_FILES_H

#include <stddef.h>

enum { LOG_PATH_MAX = 256 };

/* A new folder below TMPDIR or /tmp, removed with its files at the end of the program. */
const char *log_folder(void);

/* Path of a file in it; valid until the eighth call from now. */
const char *log_path(const char *name);

/* Writes it; a name that ends in .gz is packed. Returns its path. */
const char *log_write_bytes(const char *name, const void *bytes, size_t size);
const char *log_write(const char *name, const char *text);

/* The same without packing, whatever the name. */
const char *log_write_raw(const char *name, const void *bytes, size_t size);

#endif
