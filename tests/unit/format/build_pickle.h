/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_pickle.h: pickles put together opcode by opcode, up to a whole state dict and a
 * whole pair of a scaler and its encoders.
 */
#ifndef DCNV2_TESTS_FORMAT_BUILD_PICKLE_H
#define DCNV2_TESTS_FORMAT_BUILD_PICKLE_H

#include "build.h"
#include "format/pickle.h"

/* A string literal and its length, with any NULs inside. */
#define BYTES(literal) literal, sizeof(literal) - 1

/* A piece of a pickle. */
struct opcodes {
    const char *at;
    size_t size;
};

/* ---- opcodes and values */

enum pickle_opcode {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_POP_MARK = '1',
    OP_DUP = '2',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_DICT = 'd',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_LIST = 'l',
    OP_OBJ = 'o',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_TUPLE = ')',
    OP_EMPTY_LIST = ']',
    OP_EMPTY_DICT = '}',
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    OP_PROTO = 0x80,
    OP_NEWOBJ = 0x81,
    OP_EXT1 = 0x82,
    OP_EXT2 = 0x83,
    OP_EXT4 = 0x84,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_LONG4 = 0x8b,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_BINBYTES8 = 0x8e,
    OP_EMPTY_SET = 0x8f,
    OP_ADDITEMS = 0x90,
    OP_FROZENSET = 0x91,
    OP_NEWOBJ_EX = 0x92,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95,
    OP_BYTEARRAY8 = 0x96,
    OP_NEXT_BUFFER = 0x97,
    OP_READONLY_BUFFER = 0x98
};

void pickle_op(struct bytes *bytes, enum pickle_opcode opcode);
void pickle_proto(struct bytes *bytes, unsigned protocol);
void pickle_text(struct bytes *bytes, const char *text); /* BINUNICODE */
void pickle_bytes(struct bytes *bytes, const void *at, size_t size);
void pickle_int(struct bytes *bytes, long long value);
void pickle_global(struct bytes *bytes, const char *module, const char *name);       /* GLOBAL */
void pickle_stack_global(struct bytes *bytes, const char *module, const char *name); /* by texts */
void pickle_put(struct bytes *bytes, unsigned slot);                                 /* BINPUT */
void pickle_get_slot(struct bytes *bytes, unsigned slot);
void pickle_int_tuple(struct bytes *bytes, const long long *values, unsigned n);
void pickle_empty_ordered_dict(struct bytes *bytes);

/* The value of a pickle until the next load or unload; NULL, saying why: refused. Empties `bytes`.
 */
struct pickle_value *pickle_load(struct bytes *bytes);
void pickle_unload(void);
size_t pickle_loaded_bytes(void); /* of memory */

/* ---- state dicts */

/* What torch.save() writes for one tensor. */
struct tensor_spec {
    const char *name;
    const char *storage_type; /* "FloatStorage" */
    const char *key;          /* of the storage, "0" */
    const char *location;     /* "cpu" */
    long long storage_elements;
    long long offset;
    unsigned n_dims;
    long long sizes[6];
    long long strides[6];
};

void pickle_storage(struct bytes *bytes, const struct tensor_spec *tensor);
void pickle_tensor(struct bytes *bytes, const struct tensor_spec *tensor);

/* PROTO 2, an OrderedDict of the tensors, STOP. */
void pickle_state_dict(struct bytes *bytes, const struct tensor_spec *tensors, size_t n);

/* An archive as torch.save() makes it: this pickle, "byteorder", and one storage, "0". */
void zip_image_torch(struct zip_image *image, const struct bytes *pickle, const void *storage,
                     size_t size);

/* ---- numpy arrays */

/* How numpy pickles an array; zeros stand for the usual. */
struct array_spec {
    const char *dtype;    /* "f8" */
    const char *order;    /* "<"; its state */
    const char *state;    /* the whole state of the dtype instead, as opcodes */
    size_t state_size;    /* NO_STATE: none at all */
    long long shape;      /* of one dimension */
    const char *shape_as; /* the whole shape instead, as opcodes */
    size_t shape_size;
    const char *data; /* bytes, or opcodes if `objects` */
    size_t size;
    bool objects;
    bool fortran;
    bool buffer; /* numpy 2's _frombuffer of protocol 5 */
};

enum { NO_STATE = 99999 };

void pickle_array(struct bytes *out, const struct array_spec *array);

/* 0.5 and -2, little-endian. */
#define TWO_DOUBLES "\0\0\0\0\0\0\xE0\x3F\0\0\0\0\0\0\0\xC0"
/* A list of "a", "b". */
#define TWO_TEXTS "](X\001\0\0\0aX\001\0\0\0be"
/* "a" and "bc" of three code points each. */
#define TWO_WIDE "a\0\0\0\0\0\0\0\0\0\0\0b\0\0\0c\0\0\0\0\0\0\0"

extern const struct array_spec array_doubles, array_objects, array_wide;

/* ---- pairs of a StandardScaler and encoders */

/* The parts of a pair, as opcodes. */
struct pair {
    struct bytes mean, scale, names, width, encoders;
};

/* Means and scales 0.5 and -2 of columns "a" and "b", and the encoder "cate" of "a" and "bc". */
struct pair pair_good(void);

void part_set(struct bytes *part, const void *at, size_t size);
void part_set_array(struct bytes *part, const struct array_spec *array);
void pair_set_classes(struct pair *pair, const struct array_spec *array);

/* A column and its LabelEncoder, with these opcodes as its classes. */
void pickle_encoder(struct bytes *out, const char *column, const struct bytes *classes);

/* Encoders "c0", "c1", .. in the place of its own, which share one array of classes. */
void pair_share_classes(struct pair *pair, const struct array_spec *array, unsigned n_columns);

/* The pickle of the pair; empties the pair. */
struct bytes pair_pickle(struct pair *pair);

#endif
