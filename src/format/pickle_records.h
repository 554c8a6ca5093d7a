/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickle_records.h: the opcodes of pickle.c that name a class or a function, and apply it.
 *
 * Nothing is applied: a record says what would be. Names that are in no table (pickle_names.c) give
 * unknown records, which hold their arguments, state and items, and mean nothing.
 */
#ifndef DCNV2_FORMAT_PICKLE_RECORDS_H
#define DCNV2_FORMAT_PICKLE_RECORDS_H

#include "format/pickle_names.h"
#include "format/pickle_stack.h"

/* Each returns -1 with *error set. */

int pickle_push_global(struct pickle_reader *r);
int pickle_push_stack_global(struct pickle_reader *r);

/* REDUCE and NEWOBJ: a name and a tuple become a record. */
int pickle_make_record(struct pickle_reader *r, enum pickle_use use);

/* BUILD: the topmost value is the state of the record below. */
int pickle_build(struct pickle_reader *r);

/*
 * joblib's NumpyArrayWrapper, whose state is known: the array's bytes follow in the file, between
 * two opcodes, or of an array of objects a pickle of its own. The record becomes the array, as
 * numpy pickles one.
 */
int pickle_joblib_array(struct pickle_reader *r, struct pickle_value *record);

/* The pickle that starts where `r` is, which has not passed it. */
int pickle_read_nested(struct pickle_reader *r, struct pickle_first *ret_first);

#endif
