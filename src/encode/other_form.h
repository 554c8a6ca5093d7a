/* SPDX-License-Identifier: Apache-2.0 */
/*
 * other_form.h: a value that is no class as it is written, and the class that is the same value in
 * another form: 884208.0 and "884208", "3" and "3.0", null and "nan".
 *
 * Forms of a value are the texts that astype(str) can give it, in this order: its own text
 * (cell_text.h, COLUMN_AS_WRITTEN), then of a number the integer's "3" and the float's "3.0", of a
 * missing value "None" and "nan". The first one that is a class counts. So one value finds the same
 * class whatever stands beside it in its column.
 *
 * What is a number: integers, floats, bools (1 and 0, as in Python), and texts that are a number in
 * JSON's grammar: "884208.0", "1e5", "3.50". " 7", "+7", "007" and "1_0" are not: codes are written
 * so. Missing are null, NaN, and the texts "nan" and "None". Texts of a class are taken as written:
 * no number finds "007" or "1e5".
 *
 * Only the same number is found. An integer's float form, and the other way, exists below 2^53 in
 * magnitude, beyond which a float stands for several integers; for a float that was sent as FP32 or
 * FP16 below 2^24 or 2^11 (struct cell). A fraction's other form is the repr(float) that has its
 * decimal digits: "0.10" is "0.1".
 */
#ifndef DCNV2_ENCODE_OTHER_FORM_H
#define DCNV2_ENCODE_OTHER_FORM_H

#include "encode/vocabulary.h"
#include "frame.h"
#include "number.h"

struct other_form {
    struct text text; /* of the class that was found: in `number`, the cell, or static */
    /* Forms to look up, and where their texts are. */
    struct text texts[3];
    unsigned n;
    char number[NUMBER_REPR_MAX];
};

/* The class of a value whose text `written` is none, or the number of classes. A text that cannot
 * be a number or a missing value costs a look at its first byte. */
uint32_t other_form_find(const struct vocabulary *vocabulary, const struct cell *cell,
                         struct text written, struct other_form *ret_form);

#endif
