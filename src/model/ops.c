/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c: the operations of a plan but for the gather: each hands its places to a kernel. */
#include <string.h>

#include "model/plan.h"

static float *at(const struct pass *pass, const struct plan_place *place)
{
    return pass->scratch + place->at;
}

void op_join(const struct op *op, struct pass *pass)
{
    float *to = at(pass, &op->out);
    for (size_t t = 0; t < op->n_terms; t++) {
        const struct plan_place *in = &op->terms[t].in;
        const float *from = at(pass, in);
        for (size_t r = 0; r < pass->n; r++)
            memcpy(to + r * op->out.stride, from + r * in->stride, in->width * sizeof *to);
        to += in->width;
    }
}

/* A layer hides the misses of what is gathered next. */
static void look_ahead(struct pass *pass)
{
    if (pass->ahead->n)
        gather_prefetch(pass->ahead, pass->batch);
}

void op_linear(const struct op *op, struct pass *pass)
{
    look_ahead(pass);
    pass->kernels->linear(&op->linear, pass->n, at(pass, &op->in), op->in.stride,
                          at(pass, &op->out), op->out.stride);
}

void op_linear_relu(const struct op *op, struct pass *pass)
{
    look_ahead(pass);
    pass->kernels->linear_relu(&op->linear, pass->n, at(pass, &op->in), op->in.stride,
                               at(pass, &op->out), op->out.stride);
}

void op_activate(const struct op *op, struct pass *pass)
{
    float *to = at(pass, &op->out);
    const float *from = at(pass, &op->in);
    if (from != to)
        for (size_t r = 0; r < pass->n; r++)
            memcpy(to + r * op->out.stride, from + r * op->in.stride, op->in.width * sizeof *to);
    pass->kernels->activate(&op->activation, op->out.width, pass->n, to, op->out.stride);
}

void op_softmax(const struct op *op, struct pass *pass)
{
    pass->kernels->softmax(op->out.width, pass->n, at(pass, &op->out), op->out.stride);
}

void op_layer_norm_add(const struct op *op, struct pass *pass)
{
    pass->kernels->layer_norm_add(op->out.width, op->weight, op->bias, pass->n, at(pass, &op->in),
                                  at(pass, &op->c), at(pass, &op->out), op->out.stride);
}

void op_multiply_add(const struct op *op, struct pass *pass)
{
    pass->kernels->multiply_add(op->out.width, pass->n, at(pass, &op->x0), at(pass, &op->in),
                                at(pass, &op->c), at(pass, &op->out), op->out.stride);
}

void op_multiply_add_bias(const struct op *op, struct pass *pass)
{
    pass->kernels->multiply_add_bias(op->out.width, pass->n, op->bias, at(pass, &op->x0),
                                     at(pass, &op->in), at(pass, &op->c), at(pass, &op->out),
                                     op->out.stride);
}

void op_cross_vector(const struct op *op, struct pass *pass)
{
    pass->kernels->cross_vector(op->out.width, op->weight, op->bias, pass->n, at(pass, &op->x0),
                                at(pass, &op->c), at(pass, &op->out), op->out.stride);
}

void op_mixture_add(const struct op *op, struct pass *pass)
{
    pass->kernels->mixture_add(op->out.width, pass->n, at(pass, &op->gates) + op->gate,
                               op->gates.stride, at(pass, &op->x0), at(pass, &op->in),
                               at(pass, &op->c), at(pass, &op->out), op->out.stride);
}

void op_cross_gated(const struct op *op, struct pass *pass)
{
    pass->kernels->cross_gated(op->out.width, pass->n, at(pass, &op->gates), at(pass, &op->x0),
                               at(pass, &op->in), at(pass, &op->c), at(pass, &op->out),
                               op->out.stride);
}

/* In parts, for more than two terms, and if the logits are wanted. */
static void output_in_parts(const struct op *op, struct pass *pass)
{
    const struct kernels *kernels = pass->kernels;
    double *sums = (double *)(void *)at(pass, &op->out);
    double *logits = (double *)(void *)at(pass, &op->gates);
    memset(sums, 0, pass->n * KERNEL_LANES * sizeof *sums);
    for (size_t t = 0; t < op->n_terms; t++)
        kernels->dot(op->terms[t].in.width, op->terms[t].weight, pass->n,
                     at(pass, &op->terms[t].in), op->terms[t].in.stride, sums);
    kernels->join(pass->n, sums, op->constant, logits);
    kernels->sigmoid(pass->n, logits, pass->scores);
    for (size_t r = 0; pass->logits && r < pass->n; r++)
        pass->logits[r] = (float)logits[r];
}

void op_output(const struct op *op, struct pass *pass)
{
    const struct kernels *kernels = pass->kernels;
    const struct output_term *terms = op->terms;
    if (op->n_terms <= 2 && pass->logits == NULL) { /* in one kernel */
        const struct output_term none = {.weight = terms[0].weight, .in = {.at = terms[0].in.at}};
        const struct output_term *second = op->n_terms == 2 ? &terms[1] : &none;
        kernels->output(terms[0].weight, terms[0].in.width, second->weight, second->in.width,
                        op->constant, pass->n, at(pass, &terms[0].in), terms[0].in.stride,
                        at(pass, &second->in), second->in.stride, pass->scores);
        return;
    }
    output_in_parts(op, pass);
}
