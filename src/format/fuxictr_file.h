/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_file.h: FuxiCTR's feature_processor.pkl: how the columns of a data set became numbers
 * when its model was trained.
 *
 * It is a pickle of a FeatureProcessor, with a Tokenizer per category and a Normalizer per scaled
 * number. Records of other classes are refused by their names where one of these is needed.
 */
#ifndef DCNV2_FORMAT_FUXICTR_FILE_H
#define DCNV2_FORMAT_FUXICTR_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "scaling.h"
#include "text.h"

enum fuxictr_dtype { FUXICTR_TEXT, FUXICTR_INTEGER, FUXICTR_FLOAT };

struct fuxictr_tokenizer {
    uint32_t n_words;      /* of its vocabulary, with __PAD__ and __OOV__ */
    struct text separator; /* of a list; at NULL: it is none, and the rest says nothing */
    struct text na_value;  /* the token that a list takes for a missing one */
    uint32_t max_values;
    bool pads_in_front; /* and keeps the last values; else pads behind and keeps the first */
};

struct fuxictr_column {
    struct text name;
    enum fuxictr_dtype dtype;
    struct text fill_text;  /* of a missing category */
    double fill_number;     /* of a missing number */
    struct text preprocess; /* a function that changed the values before; length 0: none */
    bool has_tokenizer, is_scaled;
    struct fuxictr_tokenizer tokenizer;
    struct scaling scaling;
};

struct fuxictr_file {
    struct fuxictr_column *columns; /* [n_columns], names distinct */
    uint32_t n_columns;
};

/* -1: *error names the column where one is at fault. Everything is in the arena or in `bytes`. */
int fuxictr_file_read(struct fuxictr_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error);

/* NULL: no column of that name. */
const struct fuxictr_column *fuxictr_file_find(const struct fuxictr_file *file, struct text name);

#endif
