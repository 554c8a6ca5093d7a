/* SPDX-License-Identifier: Apache-2.0 */
/* pickle_names.h: the names that mean something in a pickle, and what each may be used for. */
#ifndef DCNV2_FORMAT_PICKLE_NAMES_H
#define DCNV2_FORMAT_PICKLE_NAMES_H

#include "format/pickle.h"

enum pickle_use {
    PICKLE_USE_VALUE = 1 << 0,  /* stands for itself, as an argument */
    PICKLE_USE_REDUCE = 1 << 1, /* a function applied to arguments */
    PICKLE_USE_NEWOBJ = 1 << 2, /* a class of which an object is made */
    PICKLE_USE_BUILD = 1 << 3   /* its records take a state */
};

struct pickle_name_entry {
    const char *module;
    const char *name;
    const char *full; /* "module.name" */
    enum pickle_name value;
    unsigned uses; /* enum pickle_use, or-ed */
};

/* NULL: a name that means nothing. */
const struct pickle_name_entry *pickle_name_find(struct text module, struct text name);

/* The entry that messages show for a name. */
const struct pickle_name_entry *pickle_name_entry(enum pickle_name name);

/* UTF-8 in which surrogates may stand alone, as Python's "surrogatepass" writes them. */
bool pickle_text_is_valid(struct text text);

/* UTF-8 of U+0000..U+00FF as one byte each, into text.length bytes; how many, -1: other characters.
 */
long long pickle_latin1(struct text text, char *out);

#endif
