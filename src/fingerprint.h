/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprint.h: which files the model in service was made of: their SHA-256, and when it was
 * loaded.
 *
 * A thread of its own hashes the bytes that were read, never the files again, which may be other
 * ones by then. Neither a start nor a reload waits for a hash, and the thread takes a quarter of a
 * CPU at most: the first requests come while the first model is hashed.
 */
#ifndef DCNV2_FINGERPRINT_H
#define DCNV2_FINGERPRINT_H

#include <time.h>

#include "format/sha256.h"
#include "model/model.h"

struct fingerprint {
    struct timespec loaded_at;       /* since the epoch; 0: no model is in service */
    bool is_hashed;                  /* the digests are known */
    struct golden golden;            /* the outcome of the golden set */
    char model[SHA256_DIGITS + 1];   /* of the file that model_path named */
    char encoder[SHA256_DIGITS + 1]; /* of encoder_path's, or of a model.json and the files that it
                                      * names behind each other; empty beside a converted file */
};

struct fingerprinter;

/* `source` and what it points to are borrowed. NULL: out of memory. */
struct fingerprinter *fingerprinter_create(const struct dcnv2_source *source);

/* Starts the thread; what was given before is hashed then. Each model that is hashed becomes a log
 * line, under this name, which is borrowed. -1: no thread could be started. */
int fingerprinter_start(struct fingerprinter *fingerprinter, const char *model_name);

/* Accepts NULL. */
void fingerprinter_free(struct fingerprinter *fingerprinter);

/* Before the model in service goes: no byte of it is looked at any more, and nothing is said of it.
 * Waits for milliseconds at most. */
void fingerprinter_forget(struct fingerprinter *fingerprinter);

/* Behind fingerprinter_forget(), once the model is in service: takes the bytes that it was made of.
 * The model lives until fingerprinter_forget(). */
void fingerprinter_take(struct fingerprinter *fingerprinter, const struct source_bytes *bytes,
                        const struct golden *golden);

/* What is known by now. Thread-safe, as the rest; forget and take are one caller's at a time. */
struct fingerprint fingerprinter_get(struct fingerprinter *fingerprinter);

#endif
