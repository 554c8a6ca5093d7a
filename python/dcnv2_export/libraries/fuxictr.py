# SPDX-License-Identifier: Apache-2.0
"""FuxiCTR: DCN and DCNv2 of its model_zoo. feature_processor=: the FeatureProcessor of the data set, which holds
vocabularies and normalisers (pickle.load of feature_processor.pkl); the columns come from it.

Formulas: fuxictr/pytorch/layers of 2.3, model_zoo/DCN, model_zoo/DCNv2.
"""
import torch
from torch import nn

from .. import crosses
from ..columns import Category, Number, Tags, as_rules, scaled
from ..describe import Network
from ..errors import ExportError
from . import Described

MEAN_EPSILON = 1e-12  # MaskedAveragePooling's


def describe(model, columns, feature_processor=None):
    net = Network(model)
    if not hasattr(model, "crossnet") or not hasattr(model, "fc"):
        raise net.unsupported(model, "of FuxiCTR DCN and DCNv2 are known", "serve the library's own folder, which may hold a GDCN "
                              "too (docs/files.md), or write model.json by hand")
    activation = getattr(model, "output_activation", None)
    if type(activation) is not nn.Sigmoid:
        raise net.unsupported(activation, "the output is no sigmoid", 'train with task: "binary_classification"')
    features = used_features(model)
    rules = {name: rule_of(name, spec, feature_processor) for name, spec in features.items() if name not in columns}
    rules = {name: rules.get(name) or as_rules(columns)[name] for name in features}
    inputs(net, model, features, rules)
    cross = net.chain("cross", "x0", crosses.of(net, model.crossnet, "x0"))
    net.head(structure(net, model, cross), model.fc)
    return Described(net, rules, lambda encoded: feed(model, features, rules, encoded), "FuxiCTR " + type(model).__name__)


def structure(net, model, cross):
    """forward()'s last torch.cat: what stands in it, by the dense networks that the model has."""
    stacked, parallel = getattr(model, "stacked_dnn", None), getattr(model, "parallel_dnn", None)
    if stacked is not None:
        sources = [net.chain("stacked", cross, net.sequence(stacked))]
        return sources + ([net.chain("parallel", "x0", net.sequence(parallel))] if parallel is not None else [])
    deep = parallel if parallel is not None else getattr(model, "dnn", None)
    return [cross] + ([net.chain("deep", "x0", net.sequence(deep))] if deep is not None else [])


def embeddings(model):
    """The FeatureEmbeddingDict, which FeatureEmbedding wraps."""
    layer = model.embedding_layer
    return getattr(layer, "embedding_layer", layer)


def used_features(model):
    """{name: its entry of the feature map}, of what the model embeds, in the order of forward()'s torch.cat."""
    tables = embeddings(model).embedding_layers
    return {name: spec for name, spec in model.feature_map.features.items() if name in tables}


def rule_of(name, spec, processor):
    if processor is None:
        raise ExportError("feature %s has no rule; pass feature_processor=, the data set's FeatureProcessor" % name)
    settings = next((dict(col) for col in processor.feature_cols if col["name"] == name), {})
    check_served(name, spec, settings)
    if spec["type"] == "numeric":
        fill = float(settings.get("fill_na", 0.0))
        normalizer = processor.processor_dict.get(name + "::normalizer")
        if normalizer is None:
            return Number([{"fill": fill}])
        return scaled(normalizer.normalizer.__self__, [name], fill)[name]
    tokenizer = processor.processor_dict[name + "::tokenizer"]
    unseen = int(tokenizer.vocab["__OOV__"])
    if spec["type"] == "sequence":
        return sequence(name, tokenizer, tokenizer.max_len or spec.get("max_len"), unseen)
    fill = settings.get("fill_na", 0 if settings.get("dtype") in ("int", int) else "")  # most often no word of its own
    return Category(tokenizer.vocab, unseen=unseen, missing=int(tokenizer.vocab.get(fill, unseen)))


def check_served(name, spec, settings):
    """What a rule cannot be made of: each message names what to do."""
    if spec.get("category_processor"):
        raise ExportError("feature %s: FuxiCTR fits category_processor %s and never applies it, so that the model read something else; train with "
                          "the buckets' names as texts, or pass columns={%r: Category(.., steps=[{\"bucket\": edges}])} if code of your own "
                          "applies it" % (name, spec["category_processor"], name))
    if spec["type"] not in ("numeric", "categorical", "sequence"):
        raise ExportError("feature %s is of type %s, vectors that come with each row; make its numbers features of type numeric" %
                          (name, spec["type"]))
    if settings.get("preprocess"):
        raise ExportError("feature %s: %s of the feature processor changes its values, which is code; pass columns={%r: a rule} that does the same, "
                          "or serve FuxiCTR's own folder (docs/files.md)" % (name, settings["preprocess"], name))


def sequence(name, tokenizer, most, unseen):
    """A missing list is the word fill_na; that word has a place and the padding's row, wherever it stands."""
    fill, vocabulary = tokenizer._na_value, dict(tokenizer.vocab)
    if fill != "" and ("" in vocabulary or tokenizer._splitter in fill):
        raise ExportError("feature %s: its fill_na %r is not told apart from other texts of a list; train with fill_na: \"\"" % (name, fill))
    vocabulary[fill] = 0
    return Tags(vocabulary, separator=tokenizer._splitter, max=most, keep="first" if tokenizer.padding == "post" else "last",
                unseen=unseen, missing=0)


def inputs(net, model, features, rules):
    """Layer x0: tables behind each other; those with an encoder of their own are layers beside."""
    sources, parts = [], []
    for name in features:
        layers, entry = part_of(net, model, name, features[name], rules[name])
        if layers:
            flush(net, sources, parts)
            net.add(name + "_embedded", kind="input", parts=[entry])
            sources.append(net.chain(name + "_encoded", name + "_embedded", layers))
        else:
            parts.append(entry)
    if not sources:
        net.add("x0", kind="input", parts=parts)
        return
    flush(net, sources, parts)
    net.add("x0", kind="activation", inputs=sources, function="none")


def flush(net, sources, parts):
    if parts:
        sources.append(net.add("columns_%d" % len(sources), kind="input", parts=list(parts)))
        parts.clear()


def part_of(net, model, name, spec, rule):
    """(layers of the feature's encoder, its part of an input)"""
    tables = embeddings(model)
    table = tables.embedding_layers[name]
    encoder = tables.feature_encoders[name] if name in tables.feature_encoders else None
    if spec["type"] == "numeric":
        return net.sequence(encoder), {"value": name, "times": net.of(table, "weight")}
    if type(table) is not nn.Embedding:
        raise net.unsupported(table, "a table that is no nn.Embedding", "serve FuxiCTR's own folder, whose pretrained_emb is read (docs/files.md)")
    entry = {"table": net.of(table, "weight"), "lookup": name}
    if spec["type"] != "sequence":
        return net.sequence(encoder), entry
    pooling, *behind = encoder if type(encoder) is nn.Sequential else [encoder]
    if type(pooling).__name__ == "MaskedAveragePooling":
        entry.update(pooling="mean", mask="nonzero", epsilon=MEAN_EPSILON)
    elif type(pooling).__name__ == "MaskedSumPooling":
        entry.update(pooling="sum")
    else:
        raise net.unsupported(pooling, "a sequence's encoder", "use layers.MaskedAveragePooling() or MaskedSumPooling()")
    return [layer for module in behind for layer in net.sequence(module)], entry


def feed(model, features, rules, encoded):
    """The model's own forward(), of a batch as its data loader makes it."""
    n = len(next(iter(encoded.values())))
    batch = {}
    for name, spec in features.items():
        cells = encoded[name]
        if rules[name].is_list:
            length = rules[name].max or max(map(len, cells))
            front = rules[name].keep == "last"
            cells = [[0] * (length - len(c)) + c if front else c + [0] * (length - len(c)) for c in cells]
        tensor = torch.tensor(cells, dtype=torch.float32 if spec["type"] == "numeric" else torch.long)
        batch[name] = torch.cat([tensor, tensor]) if n == 1 else tensor  # CrossNetMix squeezes a batch of one
    return model(batch)["y_pred"].reshape(-1)[:n]
