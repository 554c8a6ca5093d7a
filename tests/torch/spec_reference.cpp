/* SPDX-License-Identifier: Apache-2.0 */
/* spec_reference.cpp: spec_reference.h over libtorch, in torch's own operations if there are any.
 */
#include "spec_reference.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

extern "C" {
#include "network/kinds.h"
}

namespace
{

using at::Tensor;
using Optional = c10::optional<Tensor>;

/* The network of one spec in one type of numbers. */
class Network
{
  public:
    Network(const network_spec &spec, const tensor_list &list, const network_batch &batch,
            at::ScalarType type)
        : spec_(spec), batch_(batch), type_(type)
    {
        for (size_t i = 0; i < list.n_tensors; i++)
            tensors_[name(list.tensors[i].name)] = &list.tensors[i];
    }

    /* The logits, [n_rows]. */
    Tensor run()
    {
        for (uint32_t i = 0; i < spec_.n_layers; i++)
            values_.push_back(layer(spec_.layers[i]));
        return values_.back();
    }

  private:
    const network_spec &spec_;
    const network_batch &batch_;
    at::ScalarType type_;
    std::map<std::string, const tensor *> tensors_;
    std::vector<Tensor> values_;

    static std::string name(const text &name)
    {
        return std::string(name.at, name.length);
    }

    /* ---- tensors ---- */

    static at::ScalarType type_of(tensor_dtype dtype)
    {
        switch (dtype) {
        case TENSOR_F32:
            return at::kFloat;
        case TENSOR_F64:
            return at::kDouble;
        case TENSOR_F16:
            return at::kHalf;
        case TENSOR_BF16:
            return at::kBFloat16;
        default:
            throw std::runtime_error("a tensor is not of floats");
        }
    }

    Tensor part(const tensor_part &part) const
    {
        const tensor &from = *tensors_.at(name(part.name));
        const std::vector<int64_t> sizes(from.sizes, from.sizes + from.n_dims);
        const std::vector<int64_t> strides(from.strides, from.strides + from.n_dims);
        Tensor view =
            at::from_blob(const_cast<uint8_t *>(from.data), sizes, strides, type_of(from.dtype));
        for (uint32_t i = 0; i < part.n_indices; i++)
            view = view.select(0, part.index[i]);
        if (part.n_rows)
            view = view.narrow(0, (int64_t)part.first_row, (int64_t)part.n_rows);
        if (part.is_transposed)
            view = view.transpose(-1, -2);
        return view.to(at::kFloat).to(type_).contiguous(); /* the server's weights are floats */
    }

    Tensor stack(const tensor_stack &stack) const
    {
        std::vector<Tensor> parts;
        for (uint32_t i = 0; i < stack.n_parts; i++)
            parts.push_back(part(stack.parts[i]));
        return parts.size() == 1 ? parts[0] : at::stack(parts);
    }

    Tensor vector(const tensor_stack &from) const
    {
        return stack(from).reshape({-1});
    }

    Optional maybe(const tensor_stack &from) const
    {
        return from.n_parts ? Optional(vector(from)) : Optional();
    }

    /* A bias that may not be there, as a number to add. */
    Tensor bias(const tensor_stack &from) const
    {
        return from.n_parts ? vector(from) : at::zeros({1}, type_);
    }

    Tensor matrix(const tensor_stack &from, int64_t n_in) const
    {
        return stack(from).reshape({-1, n_in});
    }

    /* ---- inputs ---- */

    Tensor column(uint32_t source) const
    {
        const float *from = batch_.dense + source * batch_.n_rows;
        return at::from_blob(const_cast<float *>(from), {(int64_t)batch_.n_rows}, at::kFloat)
            .to(type_)
            .unsqueeze(1);
    }

    static Tensor whole(const uint32_t *from, size_t n)
    {
        Tensor numbers = at::empty({(int64_t)n}, at::kLong);
        for (size_t i = 0; i < n; i++)
            numbers[(int64_t)i] = (int64_t)from[i];
        return numbers;
    }

    /* Which rows of a list count, as booleans. */
    static Tensor counted(const spec_input &input, const Tensor &rows, const Tensor &values)
    {
        if (input.mask == MASK_ROW)
            return rows.ne((int64_t)input.masked_row);
        return input.mask == MASK_NONZERO ? values.sum(1).ne(0) : at::ones_like(rows, at::kBool);
    }

    static Tensor pool_one(const spec_input &input, const Tensor &table, const Tensor &rows)
    {
        const Tensor values = table.index_select(0, rows);
        const Tensor mask = counted(input, rows, values);
        const Tensor kept = values.index({mask});
        if (input.pooling == POOLING_MAX)
            return kept.size(0) ? kept.amax(0) : at::zeros({table.size(1)}, table.options());
        Tensor sum = (input.mask == MASK_NONZERO ? values : kept).sum(0);
        if (input.pooling != POOLING_MEAN)
            return sum;
        const double divisor =
            std::max((double)kept.size(0) + (double)input.epsilon, (double)input.at_least);
        return divisor == 0 ? sum : sum / divisor;
    }

    Tensor looked_up(const spec_input &input) const
    {
        const dcnv2_rows &lookup = batch_.lookups[input.source];
        const Tensor table = part(input.tensor);
        if (lookup.offsets == nullptr)
            return at::embedding(table, whole(lookup.rows, batch_.n_rows));
        const Tensor rows = whole(lookup.rows, lookup.offsets[batch_.n_rows]);
        std::vector<Tensor> pooled;
        for (size_t r = 0; r < batch_.n_rows; r++)
            pooled.push_back(
                pool_one(input, table, rows.slice(0, lookup.offsets[r], lookup.offsets[r + 1])));
        return at::stack(pooled);
    }

    Tensor gather(const spec_layer &layer) const
    {
        std::vector<Tensor> parts;
        for (uint32_t i = 0; i < layer.n_parts; i++) {
            const spec_input &input = layer.parts[i];
            if (input.kind == INPUT_TABLE)
                parts.push_back(looked_up(input));
            else if (input.kind == INPUT_TIMES)
                parts.push_back(
                    at::outer(column(input.source).squeeze(1), part(input.tensor).reshape({-1})));
            else
                parts.push_back(column(input.source));
        }
        return at::cat(parts, 1);
    }

    /* ---- layers ---- */

    static Tensor function(activation_name name, double slope, const Tensor &x)
    {
        switch (name) {
        case ACTIVATE_NONE:
            return x;
        case ACTIVATE_RELU:
            return at::relu(x);
        case ACTIVATE_LEAKY_RELU:
            return at::leaky_relu(x, slope);
        case ACTIVATE_GELU:
            return at::gelu(x);
        case ACTIVATE_GELU_TANH:
            return at::gelu(x, "tanh");
        case ACTIVATE_SILU:
            return at::silu(x);
        case ACTIVATE_SIGMOID:
            return at::sigmoid(x);
        case ACTIVATE_TANH:
            return at::tanh(x);
        case ACTIVATE_ELU:
            return at::elu(x, slope);
        default:
            throw std::runtime_error("a function with tensors stands inside a layer");
        }
    }

    static Tensor between(const Tensor &p, const Tensor &alpha, const Tensor &x)
    {
        return p * x + (1 - p) * alpha * x;
    }

    Tensor batch_norm(const spec_layer &layer, const Tensor &x, bool is_plain) const
    {
        const tensor_stack *roles = layer.tensors;
        return at::batch_norm(x, is_plain ? Optional() : maybe(roles[ROLE_WEIGHT]),
                              is_plain ? Optional() : maybe(roles[ROLE_BIAS]),
                              maybe(roles[NORM_MEAN]), maybe(roles[NORM_VARIANCE]), false, 0.1,
                              layer.epsilon, false);
    }

    Tensor layer_norm(const spec_layer &layer, const Tensor &x) const
    {
        return at::layer_norm(x, {x.size(1)}, maybe(layer.tensors[ROLE_WEIGHT]),
                              maybe(layer.tensors[ROLE_BIAS]), layer.epsilon);
    }

    /* Torch-RecHub's Dice, which takes its mean and variance over a row. */
    static Tensor dice_row(const Tensor &alpha, const Tensor &x)
    {
        const Tensor from_mean = x - x.mean(1, true);
        const Tensor variance = (from_mean.pow(2) + 1e-3).sum(1, true);
        return between(at::sigmoid(from_mean / variance.sqrt()), alpha, x);
    }

    Tensor activation(const spec_layer &layer, const Tensor &x) const
    {
        switch (layer.activation) {
        case ACTIVATE_PRELU:
            return at::prelu(x, vector(layer.tensors[PRELU_SLOPE]));
        case ACTIVATE_DICE:
            return between(at::sigmoid(batch_norm(layer, x, true)),
                           vector(layer.tensors[DICE_ALPHA]), x);
        case ACTIVATE_DICE_ROW:
            return dice_row(vector(layer.tensors[DICE_ALPHA]), x);
        case ACTIVATE_SWISH_LAYER_NORM:
            return x * at::sigmoid(layer_norm(layer, x));
        default:
            return function(layer.activation, layer.slope, x);
        }
    }

    Tensor linear(const Tensor &x, const tensor_stack &weight, const tensor_stack &bias) const
    {
        return at::linear(x, matrix(weight, x.size(1)), maybe(bias));
    }

    /* ---- cross layers ---- */

    Tensor cross(const spec_layer &layer, const Tensor &x0, const Tensor &x) const
    {
        const tensor_stack *roles = layer.tensors;
        if (!layer.has_bias_outside)
            return x0 * linear(x, roles[ROLE_WEIGHT], roles[ROLE_BIAS]) + x;
        return x0 * linear(x, roles[ROLE_WEIGHT], {}) + bias(roles[ROLE_BIAS]) + x;
    }

    Tensor low_rank(const spec_layer &layer, const Tensor &x0, const Tensor &x) const
    {
        const Tensor v = matrix(layer.tensors[CROSS_V], x.size(1));
        const Tensor inside = function(layer.activation, layer.slope, at::linear(x, v));
        return x0 * linear(inside, layer.tensors[CROSS_U], layer.tensors[ROLE_BIAS]) + x;
    }

    Tensor mixture(const spec_layer &layer, const Tensor &x0, const Tensor &x) const
    {
        const tensor_stack *roles = layer.tensors;
        const Tensor v = stack(roles[CROSS_V]), u = stack(roles[CROSS_U]);
        const bool has_gate = roles[CROSS_GATE].n_parts > 0;
        const Tensor gate =
            has_gate ? at::softmax(linear(x, roles[CROSS_GATE], roles[CROSS_GATE_BIAS]), 1)
                     : at::ones({x.size(0), 1}, type_);
        Tensor sum = x;
        for (int64_t e = 0; e < v.size(0); e++) {
            Tensor low = function(layer.activation, layer.slope, at::linear(x, v[e]));
            if (roles[CROSS_C].n_parts)
                low = function(layer.activation, layer.slope,
                               at::linear(low, stack(roles[CROSS_C])[e]));
            sum = sum + gate.select(1, e).unsqueeze(1) * x0 *
                            (at::linear(low, u[e]) + bias(roles[ROLE_BIAS]));
        }
        return sum;
    }

    Tensor cross_vector(const spec_layer &layer, const Tensor &x0, const Tensor &x) const
    {
        return x0 * at::matmul(x, vector(layer.tensors[ROLE_WEIGHT])).unsqueeze(1) +
               bias(layer.tensors[ROLE_BIAS]) + x;
    }

    Tensor cross_layer_norm(const spec_layer &layer, const Tensor &x) const
    {
        const tensor_stack *roles = layer.tensors;
        const Tensor y = linear(x, roles[ROLE_WEIGHT], roles[ROLE_BIAS]);
        return at::layer_norm(y, {y.size(1)}, maybe(roles[CROSS_NORM_WEIGHT]),
                              maybe(roles[CROSS_NORM_BIAS]), 1e-5) +
               x;
    }

    Tensor cross_gated(const spec_layer &layer, const Tensor &x0, const Tensor &x) const
    {
        const tensor_stack *roles = layer.tensors;
        return x0 * linear(x, roles[ROLE_WEIGHT], roles[ROLE_BIAS]) *
                   at::sigmoid(linear(x, roles[GATED_GATE], roles[GATED_GATE_BIAS])) +
               x;
    }

    /* ---- the whole ---- */

    Tensor input_of(const spec_layer &layer) const
    {
        std::vector<Tensor> inputs;
        for (uint32_t i = 0; i < layer.n_inputs; i++)
            inputs.push_back(values_.at(layer.inputs[i]));
        return at::cat(inputs, 1);
    }

    Tensor output(const spec_layer &layer) const
    {
        const Tensor x = input_of(layer);
        std::vector<Tensor> weights;
        for (uint32_t i = 0; i < layer.n_inputs; i++)
            weights.push_back(layer.weights && layer.weights[i].n_parts
                                  ? vector(layer.weights[i])
                                  : at::ones({values_[layer.inputs[i]].size(1)}, type_));
        const tensor_stack &whole = layer.tensors[ROLE_WEIGHT];
        Tensor logit = at::matmul(x, whole.n_parts ? vector(whole) : at::cat(weights));
        for (uint32_t i = 0; i < layer.tensors[ROLE_BIAS].n_parts; i++)
            logit = logit + part(layer.tensors[ROLE_BIAS].parts[i]).reshape({-1});
        return logit;
    }

    Tensor layer(const spec_layer &layer) const
    {
        if (layer.kind == LAYER_INPUT)
            return gather(layer);
        if (layer.kind == LAYER_OUTPUT)
            return output(layer);
        const Tensor x = input_of(layer);
        const Tensor x0 = is_cross(layer.kind) ? values_.at(layer.x0) : x;
        switch (layer.kind) {
        case LAYER_LINEAR:
            return linear(x, layer.tensors[ROLE_WEIGHT], layer.tensors[ROLE_BIAS]);
        case LAYER_BATCH_NORM:
            return batch_norm(layer, x, false);
        case LAYER_LAYER_NORM:
            return layer_norm(layer, x);
        case LAYER_ACTIVATION:
            return activation(layer, x);
        case LAYER_CROSS_FULL:
            return cross(layer, x0, x);
        case LAYER_CROSS_VECTOR:
            return cross_vector(layer, x0, x);
        case LAYER_CROSS_LOW_RANK:
            return low_rank(layer, x0, x);
        case LAYER_CROSS_MIXTURE:
            return mixture(layer, x0, x);
        case LAYER_CROSS_LAYER_NORM:
            return cross_layer_norm(layer, x);
        case LAYER_CROSS_GATED:
            return cross_gated(layer, x0, x);
        default:
            throw std::runtime_error("a kind of layer that the reference does not know");
        }
    }

    static bool is_cross(layer_kind kind)
    {
        return kind >= LAYER_CROSS_FULL && kind <= LAYER_CROSS_GATED;
    }
};

void copy(const Tensor &logits, double *out)
{
    const Tensor wide = logits.to(at::kDouble).contiguous();
    std::memcpy(out, wide.data_ptr<double>(), (size_t)wide.numel() * sizeof *out);
}

} // namespace

extern "C" __attribute__((visibility("default"))) int
spec_reference(const network_spec *spec, const tensor_list *list, const network_batch *batch,
               double *float64, double *float32, char *message)
{
    at::NoGradGuard guard;
    at::set_num_threads(1);
    try {
        copy(Network(*spec, *list, *batch, at::kDouble).run(), float64);
        copy(Network(*spec, *list, *batch, at::kFloat).run(), float32);
        return 0;
    } catch (const std::exception &error) {
        std::snprintf(message, SPEC_REFERENCE_MESSAGE_SIZE, "%s", error.what());
        return -1;
    }
}
