/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.h: the one description of a network: which columns it reads, what is looked up for them,
 * which layers follow, and which tensor is which.
 *
 * A spec is a list of layers in the order of their computation. Each layer makes one value per
 * row, a vector of n_out floats, of the values of earlier layers; the last layer is the output.
 * LAYER_INPUT gathers its vector from embedding tables and numbers. The loader, the forward pass,
 * training, --inspect and the converted file read a spec; nobody else knows a network's names.
 *
 * Who makes one: published.c of the tensors' names or of the settings of a run, json_*.c of a
 * model.json, fuxictr*.c of a folder of FuxiCTR. kinds.h says what each kind of layer holds.
 *
 * Everything is in the arena of its maker, and immutable once spec_resolve() has set the widths.
 */
#ifndef DCNV2_NETWORK_SPEC_H
#define DCNV2_NETWORK_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "format/format_error.h"
#include "format/tensor.h"
#include "text.h"

enum {
    SPEC_NONE = UINT32_MAX,       /* no such thing */
    SPEC_DROP = UINT32_MAX - 1,   /* of a row: the value is left out; alone it gives zeros */
    SPEC_REFUSE = UINT32_MAX - 2, /* of a row: the request is refused */
    SPEC_MAX_ROLES = 8,           /* tensors of a layer */
    SPEC_MAX_LAYERS = 1024,
    SPEC_MAX_WIDTH = 1 << 20 /* of a value, in floats */
};

/* ---- tensors ---- */

/*
 * A tensor of the file, or a part of it: tensor[index[0]][index[1]][first_row : first_row +
 * n_rows], its last two dimensions swapped if `is_transposed`. Dimensions of size 1 do not count.
 */
struct tensor_part {
    struct text name; /* without the prefix that all tensors share; at NULL: there is none */
    uint32_t n_indices, index[2];
    uint64_t first_row, n_rows; /* n_rows 0: all of them */
    bool is_transposed;
};

/* What a layer holds in one role: a part, or several that are stacked along a new first dimension.
 */
struct tensor_stack {
    const struct tensor_part *parts; /* [n_parts] */
    uint32_t n_parts;                /* 0: the role is empty */
};

/* ---- columns: what a request holds ---- */

struct spec_column {
    struct text name;
    bool is_number;        /* a cell is read as a number, else as the text of a category */
    bool is_list;          /* a cell holds any number of values */
    struct text separator; /* of a list in one text; empty: lists come as lists only */
};

/* ---- numbers ---- */

/* One step of what becomes of a number. Steps run in double, in order, over NaN if it is missing.
 */
enum step_kind {
    STEP_FILL,        /* a if it is missing */
    STEP_IS_MISSING,  /* 1 if it is missing, else 0 */
    STEP_ADD,         /* v + a */
    STEP_SUBTRACT,    /* v - a */
    STEP_MULTIPLY,    /* v * a */
    STEP_DIVIDE,      /* v / a */
    STEP_CLIP,        /* to a .. b */
    STEP_LOG,         /* ln(v + a); log1p(v) with a = 1 */
    STEP_SIGNED_LOG,  /* sign(v) * ln(|v| + 1) */
    STEP_TRUNCATE,    /* Python's int(v) */
    STEP_SQUARED_LOG, /* Criteo's: int(ln(v)^2) if v > 2, else v - 2; v is whole */
    STEP_BUCKET,  /* the number of edges that are <= v, of edges[n_edges] ascending; with b = 1, < v
                   */
    STEP_FLOAT32, /* rounded to a float */
    STEP_N_KINDS
};

struct spec_step {
    enum step_kind kind;
    double a, b;
    const double *edges;
    uint32_t n_edges;
};

/* A float that is made of a column of numbers. */
struct spec_value {
    uint32_t column;
    const struct spec_step *steps; /* [n_steps] */
    uint32_t n_steps;
};

/* ---- categories ---- */

enum lookup_kind {
    LOOKUP_VOCABULARY, /* the text's position among the classes of `vocabulary` */
    LOOKUP_HASH,       /* hash(prefix + text) modulo `modulus` */
    LOOKUP_INTEGER     /* the whole number, modulo `modulus` as Python has it if that is not 0 */
};

enum hash_kind { HASH_CRC32, HASH_MURMUR3_32, HASH_XXHASH64 };

enum list_end { LIST_FIRST, LIST_LAST };

/*
 * Rows of a table that are made of a column. A row is `first_row` + the position found, or
 * rows[position] where that is not NULL. Of a column that is no list a cell gives one row.
 */
struct spec_lookup {
    uint32_t column;
    enum lookup_kind kind;
    const struct spec_step *steps; /* [n_steps], of a column of numbers: the text is that of the
                                    * whole number that they give */
    uint32_t n_steps;
    uint32_t vocabulary; /* of LOOKUP_VOCABULARY: which of the model's; several lookups may share */
    const uint32_t *rows; /* [n classes] */
    uint32_t first_row;
    uint32_t unseen_row, missing_row; /* whole rows, `first_row` is not added; or SPEC_DROP, .. */
    enum hash_kind hash;
    struct text prefix;
    uint32_t modulus;
    /* of a list, and of a list of which only one value counts */
    uint32_t max_values; /* 0: any number */
    enum list_end keep;  /* which of too many */
    bool is_padded;      /* up to max_values, by `pad_row` */
    enum list_end pad;   /* where the padding stands */
    uint32_t pad_row;
};

/* ---- inputs ---- */

enum pooling { POOLING_NONE, POOLING_SUM, POOLING_MEAN, POOLING_MAX };

/* Which rows of a list are pooled, and counted by POOLING_MEAN. */
enum pooling_mask {
    MASK_NONE,   /* all */
    MASK_ROW,    /* those that are not `masked_row` */
    MASK_NONZERO /* those whose values' sum is not 0; of a sum or a mean all are added, and those
                  * counted (FuxiCTR) */
};

enum input_kind {
    INPUT_VALUE, /* spec_value `source` itself, 1 wide */
    INPUT_TIMES, /* spec_value `source` times the vector `tensor` */
    INPUT_TABLE  /* rows of the table `tensor` by spec_lookup `source` */
};

/* A part of an input layer's vector. */
struct spec_input {
    enum input_kind kind;
    uint32_t source;
    struct tensor_part tensor;
    enum pooling pooling; /* of a list; mean = sum / max(count + epsilon, at_least) */
    enum pooling_mask mask;
    uint32_t masked_row;
    float epsilon, at_least;
    uint32_t n_rows, width; /* set by spec_resolve(). n_rows 1 before: a table of one row */
};

/* ---- layers ---- */

/* kinds.h says for each what it computes and holds. */
enum layer_kind {
    LAYER_INPUT,
    LAYER_LINEAR,
    LAYER_BATCH_NORM,
    LAYER_LAYER_NORM,
    LAYER_ACTIVATION,
    LAYER_CROSS_FULL,
    LAYER_CROSS_VECTOR,
    LAYER_CROSS_LOW_RANK,
    LAYER_CROSS_MIXTURE,
    LAYER_CROSS_LAYER_NORM,
    LAYER_CROSS_GATED,
    LAYER_OUTPUT,
    LAYER_N_KINDS
};

enum activation_name {
    ACTIVATE_NONE,
    ACTIVATE_RELU,
    ACTIVATE_LEAKY_RELU, /* slope */
    ACTIVATE_PRELU,      /* role "slope": one, or one per unit */
    ACTIVATE_GELU,
    ACTIVATE_GELU_TANH,
    ACTIVATE_SILU,
    ACTIVATE_SIGMOID,
    ACTIVATE_TANH,
    ACTIVATE_ELU,              /* slope */
    ACTIVATE_DICE,             /* FuxiCTR: roles "alpha", "mean", "variance"; epsilon */
    ACTIVATE_DICE_ROW,         /* Torch-RecHub: role "alpha", one number */
    ACTIVATE_SWISH_LAYER_NORM, /* TorchRec: roles "weight", "bias"; epsilon */
    ACTIVATE_N_NAMES
};

struct spec_layer {
    enum layer_kind kind;
    struct text name;       /* of its value, for messages; distinct */
    const uint32_t *inputs; /* [n_inputs]: earlier layers; several stand behind each other. Of
                             * LAYER_OUTPUT each has a weight of its own */
    uint32_t n_inputs;
    uint32_t x0; /* of a cross layer: the layer whose value multiplies */
    struct tensor_stack tensors[SPEC_MAX_ROLES]; /* by the roles of its kind */
    const struct tensor_stack *weights;          /* [n_inputs], of LAYER_OUTPUT: [n_in of it]; an
                                                  * empty one stands for ones */
    enum activation_name activation; /* of LAYER_ACTIVATION; of a low rank or a mixture: inside */
    float slope, epsilon;
    bool has_bias_outside;          /* of LAYER_CROSS_FULL: x0 * (W x) + b + x */
    const struct spec_input *parts; /* [n_parts], of LAYER_INPUT */
    uint32_t n_parts;
    /* set by spec_resolve() */
    uint32_t n_in, n_out, rank, n_experts;
};

/* ---- the whole ---- */

struct network_spec {
    bool is_exact;      /* shapes are as PyTorch has them; else dimensions of size 1 do not count */
    struct text source; /* what told it, for people: "model.json", "the names of its tensors" */
    struct spec_column *columns; /* [n_columns]: categories, then numbers */
    uint32_t n_columns, n_categories;
    struct spec_value *values; /* [n_values] */
    uint32_t n_values;
    struct spec_lookup *lookups; /* [n_lookups] */
    uint32_t n_lookups;
    uint32_t n_vocabularies;
    struct spec_layer *layers; /* [n_layers], the last is LAYER_OUTPUT */
    uint32_t n_layers;
    const struct text *ignored; /* [n_ignored]: tensors that the network does not use; "a.*": all
                                 * whose names start so */
    uint32_t n_ignored;
    const struct text *assumptions; /* [n_assumptions]: what changes the score and no file tells */
    uint32_t n_assumptions;
};

/*
 * Finds each tensor, sets the widths that follow from their shapes, and checks all of it: that
 * layers refer to earlier ones, that shapes fit, that no tensor of the list is left over (but the
 * ignored ones, and unless is_exact offsets and other whole numbers). -1: *error names the layer or
 * input, the tensor, what stood there and what is expected. A resolved spec leads to no index
 * outside a tensor.
 */
int spec_resolve(struct network_spec *spec, struct arena *arena, const struct tensor_list *list,
                 struct format_error *error);

/* How many layers read the value of layer `number`, as an input or as x0. */
uint32_t spec_count_readers(const struct network_spec *spec, uint32_t number);

/*
 * Whether each row that a look-up may give is one of its tables. n_classes: [n_vocabularies]. -1:
 * *error. Without it a pass ends at a row that is none. LOOKUP_INTEGER without a modulus is not
 * bounded, and checked row by row.
 */
int spec_check_rows(const struct network_spec *spec, const uint32_t *n_classes,
                    struct format_error *error);

/* The view of a part. -1: *error says that the tensor is missing, no float, or too small. */
int tensor_part_view(const struct tensor_part *part, const struct tensor_list *list,
                     struct tensor *ret_view, struct format_error *error);

/*
 * Whether a view has the wanted sizes, [n_wanted], 0: any; it then has so many dimensions. Unless
 * `is_exact`, dimensions of size 1 may be missing or be too many: [d, 1] is a vector too.
 */
bool tensor_part_fit(struct tensor *view, const uint64_t *wanted, unsigned n_wanted, bool is_exact);

/* A tensor that the network has, NUL-terminated: it tells the prefix that the others share. NULL:
 * there is none. */
const char *spec_anchor(const struct network_spec *spec);

struct layer_count {
    uint64_t parameters, bytes; /* of its tensors, as their file holds them */
    uint64_t multiply_adds;     /* products per row; but those of activations, softmaxes, and of the
                                 * pooling of lists, which depends on the list */
};

/* Of a layer of a resolved spec. A tensor that two layers or inputs share counts in the first. */
struct layer_count spec_count_layer(const struct network_spec *spec, uint32_t number,
                                    const struct tensor_list *list);

/*
 * Draws a resolved spec: a line per layer in the order of computation, beside lines that lead from
 * each value to the layers that read it; below a layer its tensors; then totals. Up to 100
 * characters wide, but for more than 5 values at once. -1: out of memory.
 */
int spec_draw(const struct network_spec *spec, const struct tensor_list *list, FILE *out);

/* "x0 129 wide; cross layers: 2 with layer norm; deep layers: 128, 64", cut to fit. */
void spec_describe(const struct network_spec *spec, char *out, size_t out_size);

#endif
