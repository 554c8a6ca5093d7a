# SPDX-License-Identifier: Apache-2.0
"""Cross layers of the libraries, told by their attributes. `of()` gives the layers of a chain."""
from torch import nn


def _layer(kind, **entries):
    return {"kind": kind, "x0": None, **entries}  # x0: of() sets it


def _is_list_of(module, kind):
    return isinstance(module, nn.ModuleList) and len(module) > 0 and all(type(item) is kind for item in module)


def _is_square(linear):
    return linear.in_features == linear.out_features


def linears(net, modules):
    """x0 * (W x + b) + x of each nn.Linear."""
    return [_layer("cross", weight=net.of(m, "weight"), **({"bias": net.of(m, "bias")} if m.bias is not None else {}))
            for m in modules]


def vectors(net, modules):
    """x0 * (w . x) + b + x: FuxiCTR's CrossInteraction."""
    return [_layer("cross_vector", weight=net.of(m.weight, "weight"), bias=net.of(m, "bias")) for m in modules]


def outside(net, module):
    """Torch-RecHub's CrossNetwork and CrossNetV2: lists w and b, the bias behind the product."""
    layers = []
    for i, w in enumerate(module.w):
        kind = "cross_vector" if w.out_features == 1 else "cross"
        extra = {"bias_outside": True} if kind == "cross" else {}
        layers.append(_layer(kind, weight=net.of(w, "weight"), bias=net.of(module, "b.%d" % i), **extra))
    return layers


def kernels(net, module):
    """TorchRec's CrossNet and VectorCrossNet have a list of kernels, DeepCTR-Torch's CrossNet one tensor of all."""
    stacked = isinstance(module.kernels, nn.Parameter)
    last = (module.kernels if stacked else module.kernels[0]).shape[-1]
    kind = "cross_vector" if last == 1 and getattr(module, "parameterization", "vector") == "vector" else "cross"

    def tensor(name, i):
        return net.of(module, name, index=[i]) if stacked else net.of(module, "%s.%d" % (name, i))
    return [_layer(kind, weight=tensor("kernels", i), bias=tensor("bias", i)) for i in range(len(module.kernels))]


def low_rank(net, module):
    """TorchRec's LowRankCrossNet."""
    return [_layer("cross_low_rank", function="none", u=net.of(module, "W_kernels.%d" % i),
                   v=net.of(module, "V_kernels.%d" % i), bias=net.of(module, "bias.%d" % i))
            for i in range(len(module.W_kernels))]


def mixture(net, owner, names, gates, function, transpose_v=True, bias="bias"):
    """Experts: names of U, V and C; V is [experts, in, rank] if it has to be transposed."""
    u, v, c = names
    stacked = isinstance(getattr(owner, u), nn.Parameter)

    def tensor(name, i, **selection):
        if stacked:
            return net.of(owner, name, index=[i], **selection)
        return net.of(owner, "%s.%d" % (name, i), **selection)
    layers = []
    for i in range(len(getattr(owner, u))):
        extra = {"transpose": True} if transpose_v else {}
        layer = _layer("cross_mixture", function=function, u=tensor(u, i), v=tensor(v, i, **extra), c=tensor(c, i),
                       bias=tensor(bias, i))
        if gates is not None:
            layer["gate"] = [net.of(gate, "weight") for gate in gates]
            if gates[0].bias is not None:
                layer["gate_bias"] = [net.of(gate, "bias") for gate in gates]
        layers.append(layer)
    return layers


def _low_rank_pairs(net, modules):
    """Modules with two nn.Linear, v and u: x0 * (U (V x) + b) + x."""
    layers = []
    for m in modules:
        if m.v.bias is not None:
            raise net.unsupported(m, "its v has a bias, which no cross layer of model.json has")
        layers.append(_layer("cross_low_rank", function="none", v=net.of(m.v, "weight"), u=net.of(m.u, "weight"),
                             **({"bias": net.of(m.u, "bias")} if m.u.bias is not None else {})))
    return layers


def _parameter_lists(net, module, product):
    """Lists W and b of matrices and vectors. product: "xW" or "Wx", which the shapes do not tell."""
    if product not in ("xW", "Wx"):
        raise net.unsupported(module, "x @ W and W @ x look alike in a file", 'pass cross_product="xW" or "Wx"')
    extra = {"transpose": True} if product == "xW" else {}
    return [_layer("cross", weight=net.of(module, "W.%d" % i, **extra), bias=net.of(module, "b.%d" % i))
            for i in range(len(module.W))]


def _recognised(net, module, product):
    def has(*names):
        return all(hasattr(module, name) for name in names)
    if has("cross_net"):
        return vectors(net, module.cross_net)
    for names in (("U_list", "V_list", "C_list"), ("u_list", "v_list", "c_list")):
        if has(*names):
            return mixture(net, module, names, module.gating, "tanh")
    if has("U_kernels", "V_kernels", "C_kernels"):
        function = net.function_name(module._activation, module)
        return mixture(net, module, ("U_kernels", "V_kernels", "C_kernels"), module.gates, function, transpose_v=False)
    if has("W_kernels", "V_kernels"):
        return low_rank(net, module)
    if has("kernels", "bias"):
        return kernels(net, module)
    if has("w", "b") and type(module).__module__.startswith("torch_rechub."):
        return outside(net, module)
    if has("W", "b") and isinstance(module.W, nn.ParameterList):
        return _parameter_lists(net, module, product)
    if _is_list_of(module, nn.Linear) and all(map(_is_square, module)):
        return linears(net, module)
    if isinstance(module, nn.ModuleList) and len(module) and all(hasattr(m, "v") and hasattr(m, "u") for m in module):
        return _low_rank_pairs(net, module)
    children = list(module.children())
    if len(children) == 1 and not list(module.parameters(recurse=False)) and isinstance(children[0], nn.ModuleList):
        return _recognised(net, children[0], product)
    raise net.unsupported(module, "its cross layers are of no kind that is known")


def of(net, module, x0, product=None):
    """The cross layers of a module, whose first input is the layer x0. Raises Unsupported."""
    return based_on(x0, _recognised(net, module, product))


def based_on(x0, layers):
    return [{**layer, "x0": x0} for layer in layers]
