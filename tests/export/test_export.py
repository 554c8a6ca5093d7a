#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python/dcnv2_export with the libraries' own modules, and dcnv2-score as the judge.

Run by the client stage: it needs torch and scikit-learn, and in the folder DCNV2_EXPORT_LIBRARIES (build/export-libraries)
DeepCTR-Torch, Torch-RecHub, FuxiCTR, RecBole and TorchRec: tests/export/requirements.txt, without what they depend on.
"""
import ast
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "python"), str(ROOT / "tests/export")]
sys.path.append(os.environ.get("DCNV2_EXPORT_LIBRARIES") or str(ROOT / "build/export-libraries"))

import numpy
import safetensors.numpy
import torch
from torch import nn

import dcnv2_export as dx
import harness
import saved
from harness import Problems, check
from samples import V1
from wire import ask
from dcnv2_export import libraries, rows as rowing
from dcnv2_export.__main__ import main
from dcnv2_export.columns import as_rules as rules_of
from dcnv2_export.hashes import HASHES, murmur3_32, xxhash64

SCORE = str(pathlib.Path(os.environ.get("DCNV2_SERVER") or ROOT / "build/bin/dcnv2-server").with_name("dcnv2-score"))
os.environ["DCNV2_SCORE"] = SCORE
DESCRIPTIONS = ROOT / "tests/golden/models"
FILES = ["golden.json", "model.json", "model.safetensors"]
CITIES, TAGS = ["Berlin", "Rome", "Zürich"], ["a", "b", "c", "d"]
ROWS = {"city": ["Rome", "Berlin", "Zürich", "Rome"], "device": ["ios", "web", "ios", "web"], "tags": ["a|b", "", "d", "c|b|a"],
        "price": [0.5, 2, None, 3.25]}
PLAIN_ROWS = {name: ROWS[name] for name in ("city", "device", "price")}


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


def refusal(kind, function, *arguments, **settings):
    try:
        function(*arguments, **settings)
    except kind as error:
        return str(error)
    raise harness.Failure("no %s was raised" % kind.__name__)


def columns(**others):
    return {"city": CITIES, "device": {"ios": 0, "web": 1}, "price": dx.Number([{"fill": 1}, {"log": 1}]), **others}


def export_and_look(model, rows=ROWS, **settings):
    """The distance, and the text of each file."""
    with folder() as here:
        distance = dx.export(model, path=here / "model.safetensors", rows=rows, **settings)
        check(sorted(p.name for p in here.iterdir()) == FILES, "%s" % list(here.iterdir()))
        found = {name: (here / name).read_bytes() for name in FILES}
    check(distance is not None and distance < 1e-6, "distance %s" % distance)
    return found


def randomise(model):
    """Weights and statistics that show each error in them."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5 if name.endswith("running_var") else torch.randn_like(tensor) * 0.3)
    return model.train()


class Plain(nn.Module):
    """Parallel; activation and norm of the dense network as given."""

    def __init__(self, *deep, stacked=False):
        super().__init__()
        self.embeddings = nn.ModuleDict({"city": nn.Embedding(3, 4), "device": nn.Embedding(2, 3)})
        self.cross = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)])
        self.deep = nn.Sequential(*deep)
        self.head, self.stacked = nn.Linear(5 if stacked else 13, 1), stacked

    def forward(self, categories, numbers):
        x0 = torch.cat([self.embeddings["city"](categories[:, 0]), self.embeddings["device"](categories[:, 1]), numbers], 1)
        x = x0
        for layer in self.cross:
            x = x0 * layer(x) + x
        return self.head(self.deep(x) if self.stacked else torch.cat([x, self.deep(x0)], 1)).squeeze(1)


def plain(activation=None, **settings):
    return randomise(Plain(nn.Linear(8, 6), nn.BatchNorm1d(6, eps=1e-3), activation or nn.GELU(), nn.Dropout(0.5), nn.Linear(6, 5),
                           nn.LeakyReLU(0.2), **settings))


def test_plain_modules_are_reproduced():
    for settings in ({}, {"stacked": True}):
        for activation in (nn.ReLU(), nn.GELU(), nn.GELU("tanh"), nn.PReLU(6), nn.SiLU(), nn.ELU(0.7), nn.Tanh(), nn.LayerNorm(6)):
            model = plain(activation, **settings)
            export_and_look(model, PLAIN_ROWS, columns=columns(), gives="logit")
            check(all(m.training for m in model.modules()), "the module is left in another mode")


def test_the_files_say_what_was_exported():
    found = export_and_look(plain(), PLAIN_ROWS, columns=columns(), gives="logit")
    tensors = safetensors.numpy.load(found["model.safetensors"])
    state = plain().state_dict()
    check(set(tensors) == {n for n in state if not n.endswith("num_batches_tracked")}, "%s" % set(tensors))
    check(all(numpy.array_equal(state[n].numpy(), t) for n, t in tensors.items()), "other tensors")
    golden = json.loads(found["golden.json"])
    check(golden["inputs"] == [{"city": ROWS["city"], "device": ROWS["device"], "price": [0.5, 2.0, None, 3.25]}], "%s" % golden)
    check(golden["tolerance"] == 1e-5 and len(golden["predictions"]) == 4, "%s" % golden)


def test_half_precision_and_wrapped_modules_are_exported_as_float32():
    export_and_look(nn.DataParallel(plain(nn.ReLU()).half()), PLAIN_ROWS, columns=columns(), gives="logit")


class Attributes(Plain):
    """Tables that are attributes, called as the columns are."""

    def __init__(self):
        super().__init__(nn.Linear(8, 5), nn.ReLU())
        self.device, self.city = self.embeddings["device"], self.embeddings["city"]
        self.embeddings = None

    def forward(self, categories, numbers):
        x0 = torch.cat([self.city(categories[:, 0]), self.device(categories[:, 1]), numbers], 1)
        return self.head(torch.cat([x0 * self.cross[1](x := x0 * self.cross[0](x0) + x0) + x, self.deep(x0)], 1)).squeeze(1)


def test_tables_are_found_by_the_columns_names():
    export_and_look(randomise(Attributes()), PLAIN_ROWS, columns=columns(), gives="logit")


class LowRank(nn.Module):
    def __init__(self):
        super().__init__()
        self.v, self.u = nn.Linear(8, 3, bias=False), nn.Linear(3, 8)

    def forward(self, x0, x):
        return x0 * self.u(self.v(x)) + x


class OwnCross(nn.Module):
    """Cross layers as people write them: lists of matrices and vectors, or layers of low rank."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        if kind == "low rank":
            self.layers = nn.ModuleList([LowRank(), LowRank()])
        else:
            self.W, self.b = (nn.ParameterList([nn.Parameter(torch.zeros(*shape)) for _ in range(2)]) for shape in ((8, 8), (8,)))

    def forward(self, x0):
        x = x0
        for i in range(2):
            if self.kind == "low rank":
                x = self.layers[i](x0, x)
            else:
                x = x0 * ((x @ self.W[i] if self.kind == "xW" else x @ self.W[i].T) + self.b[i]) + x
        return x


class Crossed(Plain):
    """The dense network first, its last layer the sum of both heads."""

    def __init__(self, kind):
        super().__init__(nn.Linear(8, 5), nn.ReLU())
        self.cross, self.head = OwnCross(kind), None
        self.fc_deep, self.fc_cross = nn.Linear(5, 1), nn.Linear(8, 1)

    def forward(self, categories, numbers):
        x0 = torch.cat([self.embeddings["city"](categories[:, 0]), self.embeddings["device"](categories[:, 1]), numbers], 1)
        return (self.fc_deep(self.deep(x0)) + self.fc_cross(self.cross(x0))).squeeze(1)


def test_cross_layers_of_ones_own_are_reproduced_or_asked_about():
    for kind in ("low rank", "xW", "Wx"):
        product = {} if kind == "low rank" else {"cross_product": kind}
        export_and_look(randomise(Crossed(kind)), PLAIN_ROWS, columns=columns(), gives="logit", **product)
    message = refusal(dx.Unsupported, dx.export, randomise(Crossed("xW")), rows=PLAIN_ROWS, columns=columns(), gives="logit")
    check("module cross (" in message and "cross_product=" in message, message)


def test_hashed_columns_are_reproduced_with_each_hash_of_the_description():
    texts = [("Zürich" * 20)[:n] for n in range(1, 80)]  # each rest of a word of 4, of 8 and of a stripe of 32 bytes
    rows = {"city": texts, "device": ["ios"] * len(texts), "price": [1.5] * len(texts)}
    for name in HASHES:
        found = export_and_look(plain(), rows, columns=columns(city=dx.Category(hash=name, prefix="city=", modulus=3)), gives="logit")
        lookup = json.loads(found["model.json"])["lookups"]["city"]
        check(lookup == {"hash": name, "prefix": "city=", "modulus": 3}, "%s" % lookup)
    check([murmur3_32(b"hello"), murmur3_32(b"hello, world")] == [0x248BFA47, 0x149BBB7F], "murmur3_32 differs from its author's")
    check([xxhash64(b""), xxhash64(b"asdf")] == [0xEF46DB3751D8E999, 0x415872F599CEA71E], "xxhash64 differs from its author's")
    message = refusal(dx.ExportError, dx.Category, hash="md5", modulus=3)
    check("'md5' is not known; known are crc32, murmur3_32, xxhash64" in message, message)


class Bags(nn.Module):
    """A table of bags, whose padding does not count, and a batch norm of the whole input; the sigmoid inside."""

    def __init__(self, mode):
        super().__init__()
        self.tags = nn.EmbeddingBag(5, 4, mode=mode, padding_idx=2)
        self.stem, self.crossnet = nn.BatchNorm1d(5), nn.ModuleList([nn.Linear(5, 5)])
        self.out = nn.Linear(5, 1)

    def forward(self, bags, numbers):
        starts = torch.tensor([0] + [len(bag) for bag in bags[:-1]]).cumsum(0)
        x0 = self.stem(torch.cat([self.tags(torch.tensor([row for bag in bags for row in bag]), starts), numbers], 1))
        return torch.sigmoid(self.out(x0 * self.crossnet[0](x0) + x0))


def test_a_function_of_the_users_own_predicts():
    rules = {"tags": dx.Tags(TAGS), "price": dx.Number([{"fill": 1}])}
    for mode in ("sum", "mean"):
        model = randomise(Bags(mode))

        def predict(rows):
            bags = [[TAGS.index(t) for t in cell.split("|") if t] for cell in rows["tags"]]
            return model(bags, torch.tensor([[1.0 if p is None else p] for p in rows["price"]]))
        rows = {"tags": ROWS["tags"], "price": ROWS["price"]}
        export_and_look(model, rows, columns=rules, predict=predict, stem="stem")
        message = refusal(dx.CheckFailed, dx.export, model, rows=rows, columns={**rules, "price": dx.Number([{"fill": 0}])}, predict=predict,
                          stem="stem")
        check(message.startswith("row 2:"), message)
        message = refusal(dx.ExportError, dx.export, model, rows=rows, columns=rules)
        check("stem.weight" in message, message)


def test_deepctr_torch_is_reproduced():
    DCN, DCNMix = saved.deepctr_classes()
    from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
    features = [DenseFeat("price"), VarLenSparseFeat(SparseFeat("tags", 5, 3), 3, "mean"), SparseFeat("city", 3, 4), SparseFeat("device", 2, 2)]
    rules = columns(tags=dx.Tags({t: i + 1 for i, t in enumerate(TAGS)}, max=3, keep="last"))
    for kind, settings in ((DCN, {"cross_parameterization": "matrix", "dnn_activation": "prelu"}), (DCN, {"dnn_use_bn": True}),
                           (DCNMix, {"low_rank": 3, "num_experts": 2}), (DCN, {"cross_num": 0}),
                           (DCN, {"dnn_activation": "linear"})):
        model = randomise(kind(features[2:], features, dnn_hidden_units=(6, 5), **settings))
        export_and_look(model, columns=rules)
        export_and_look(model, {name: cells[:1] for name, cells in ROWS.items()}, columns=rules)


def deepctr(tags, linear=None, **settings):
    DCN, _ = saved.deepctr_classes()
    from deepctr_torch.inputs import SparseFeat
    others = [SparseFeat("city", 3, 4)]
    return randomise(DCN([linear or tags] + others, [tags] + others, dnn_hidden_units=(6, 5), **settings))


def test_deepctr_torchs_lengths_are_those_of_the_lists():
    from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat

    def tags(combiner="mean", length="n_tags", name="tags"):
        return VarLenSparseFeat(SparseFeat(name, 4, 3), 3, combiner, length)
    rules = {"city": CITIES, "tags": dx.Tags(TAGS, max=3, keep="last")}  # the row 0 of "a" counts
    rows = {"city": CITIES + ["Rome"], "tags": ["a|b", "", "a", "c|b|a|d"]}
    for combiner in ("mean", "sum"):
        found = json.loads(export_and_look(deepctr(tags(combiner)), rows, columns=rules)["model.json"])
        check([column["name"] for column in found["columns"]] == ["city", "tags"], "%s" % found["columns"])
        export_and_look(deepctr(tags(combiner, None)), rows, columns=rules)  # without lengths it does not
    largest = {**rules, "tags": dx.Tags({t: i for i, t in enumerate(TAGS[1:], 1)}, max=3)}
    found = json.loads(export_and_look(deepctr(tags("max", None)), {"city": CITIES, "tags": ["b|d", "c", "c|b|d|d"]}, columns=largest)["model.json"])
    check("missing" not in found["lookups"]["tags"], "an empty list is answered, whose largest value is -1e9: %s" % found["lookups"])
    model = deepctr(tags())
    feed = libraries.find(model).describe(model, rules).feed
    encoded = rowing.encode(rules_of(rules), rows)
    matrix = torch.zeros(4, 5)  # as a user fills the columns: tags, n_tags, city
    for i, cell in enumerate(encoded["tags"]):
        matrix[i, :len(cell)], matrix[i, 3] = torch.tensor(cell, dtype=torch.float32), len(cell)
    matrix[:, 4] = torch.tensor(encoded["city"])
    with torch.no_grad():
        check(model.eval().feature_index == {"tags": (0, 3), "n_tags": (3, 4), "city": (4, 5)}, "%s" % model.feature_index)
        check(torch.equal(model(matrix), feed(encoded)), "the lengths are fed otherwise than by a user")
    for model, more, part in ((deepctr(tags("max")), largest, "feature tags: DeepCTR-Torch cannot compute combiner=\"max\" with a length_name"),
                              (deepctr(tags("max", None)), {"tags": dx.Tags(largest["tags"].vocabulary, max=3, unseen="drop")},
                               "feature tags: combiner=\"max\" of a list none of whose values counts is -1e9"),
                              (deepctr(tags("max", None)), {}, "feature tags: combiner=\"max\" of a list"),
                              (deepctr(tags(length="city")), {}, "feature tags: its length_name city is a feature too"),
                              (deepctr(tags(), tags(length=None)), {}, "feature tags: the linear part masks its values otherwise")):
        message = refusal(dx.ExportError, dx.export, model, rows=rows, columns={**rules, **more})
        check(message.startswith(part), message)


def test_torch_rechub_is_reproduced():
    from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
    from torch_rechub.models.ranking.dcn import DCN
    from torch_rechub.models.ranking.dcn_v2 import DCNv2
    rules = columns(tags=dx.Tags(TAGS, max=3, first_row=1))
    for padding in (0, None):
        features = [DenseFeature("price"), SparseFeature("city", 3, 4), SequenceFeature("tags", 5, 4, padding_idx=padding),
                    SparseFeature("device", 2, 4)]
        for activation, structure, mixture in (("relu", "parallel", True), ("dice", "stacked", False), ("prelu", "crossnet_only", False)):
            mlp = {"dims": [6, 5], "activation": activation}
            export_and_look(randomise(DCNv2(features, 2, mlp, structure, mixture, 3, 2)), columns=rules)
            export_and_look(randomise(DCN(features, 2, mlp)), columns=rules)


def tokenizer(words, **settings):
    from fuxictr.preprocess.tokenizer import Tokenizer
    made = Tokenizer(**settings)
    made.build_vocab({word: 1 for word in words})
    return made


def test_fuxictr_is_reproduced():
    model_class = saved.fuxictr_class()
    from fuxictr.features import FeatureMap
    from fuxictr.preprocess.normalizer import Normalizer
    import types
    price = Normalizer("StandardScaler")
    price.fit_from_stats(mean=1.5, std=2.0, count=9)
    tokenizers = {"city": tokenizer(CITIES), "device": tokenizer(["ios"]), "tags": tokenizer(TAGS[:3], splitter="|", max_len=2, padding="post")}
    processor = types.SimpleNamespace(feature_cols=[{"name": "price", "fill_na": 0.25, "dtype": "float"},
                                                    {"name": "city", "fill_na": "nowhere", "dtype": "str"}],
                                      processor_dict={"price::normalizer": price, **{n + "::tokenizer": t for n, t in tokenizers.items()}})
    for cross in ({"kind": "vector", "num_layers": 2}, {"kind": "full", "num_layers": 2}, {"kind": "mixture", "layer_num": 2, "low_rank": 3}):
        for dnn in ({"dnn": {"hidden_units": [6, 5], "hidden_activations": "Dice"}},
                    {"stacked_dnn": {"hidden_units": [6], "batch_norm": True}, "parallel_dnn": {"hidden_units": [4]}}):
            feature_map = FeatureMap("tiny", "")
            feature_map.default_emb_dim = 4
            entry = {"type": "categorical", "source": "", "padding_idx": 0}
            feature_map.features = {
                "city": {**entry, "vocab_size": 5, "embedding_dim": 3, "emb_output_dim": 2, "feature_encoder": ["nn.Linear(3, 2)", "nn.ReLU()"]},
                "price": {"type": "numeric", "source": ""}, "device": {**entry, "vocab_size": 3},
                "tags": {**entry, "type": "sequence", "vocab_size": 5, "max_len": 2, "feature_encoder": "layers.MaskedAveragePooling()"}}
            model = randomise(model_class(feature_map, 4, dict(cross), dnn))
            with torch.no_grad():
                for name in ("city", "device", "tags"):
                    model.embedding_layer.embedding_layer.embedding_layers[name].weight[0] = 0
            export_and_look(model, feature_processor=processor)
            found = export_and_look(model, {**ROWS, "city": ["Rome", "", "Berlin", "Oslo"]}, feature_processor=processor)
            check(json.loads(found["model.json"])["lookups"]["city"]["missing"] == 4, "the text that fills is no word")


def test_layers_behind_the_pooling_of_a_fuxictr_sequence_are_reproduced():
    from fuxictr.features import FeatureMap
    import types
    made = tokenizer(TAGS[:3], splitter="|", max_len=2, padding="post")
    processor = types.SimpleNamespace(feature_cols=[], processor_dict={"tags::tokenizer": made})
    feature_map = FeatureMap("tiny", "")
    feature_map.default_emb_dim = 4
    feature_map.features = {"tags": {"type": "sequence", "source": "", "padding_idx": 0, "vocab_size": 5, "max_len": 2,
                                     "feature_encoder": ["layers.MaskedSumPooling()", "nn.Linear(4, 4)", "nn.Tanh()"]}}
    model = randomise(saved.fuxictr_class()(feature_map, 4, {"kind": "full", "num_layers": 1}, {"dnn": {"hidden_units": [4]}}))
    with torch.no_grad():
        model.embedding_layer.embedding_layer.embedding_layers["tags"].weight[0] = 0
    export_and_look(model, {"tags": ROWS["tags"]}, feature_processor=processor)


def fuxictr_sequence(**settings):
    """A model of one list of tags, the processor that an export takes, and its tokenizer."""
    model_class = saved.fuxictr_class()
    from fuxictr.features import FeatureMap
    import types
    tags = tokenizer(TAGS[:3], splitter="|", max_len=2, **settings)
    feature_map = FeatureMap("tiny", "")
    feature_map.default_emb_dim = 4
    feature_map.features = {"tags": {"type": "sequence", "source": "", "padding_idx": 0, "vocab_size": 5, "max_len": 2,
                                     "feature_encoder": "layers.MaskedAveragePooling()"}}
    model = randomise(model_class(feature_map, 4, {"kind": "full", "num_layers": 1}, {"dnn": {"hidden_units": [6]}}))
    with torch.no_grad():
        model.embedding_layer.embedding_layer.embedding_layers["tags"].weight[0] = 0
    processor = types.SimpleNamespace(feature_cols=[{"name": "tags", "dtype": "str", "fill_na": settings.get("na_value", "")}],
                                      processor_dict={"tags::tokenizer": tags})
    return model, processor, tags


def test_fuxictrs_lists_give_the_word_of_a_missing_value_a_place():
    lists = ["a|b|c", "none|a|b", "a|none", "none", "a", "new|none|b"]
    for settings, texts in (({"na_value": "none"}, lists), ({}, [text.replace("none", "") for text in lists])):
        for padding in ("post", "pre"):
            model, processor, tags = fuxictr_sequence(padding=padding, **settings)

            def predict(rows):  # by the library's own tokenizer
                return model({"tags": torch.tensor(tags.encode_sequence(rows["tags"])).long()})["y_pred"]
            export_and_look(model, {"tags": texts}, feature_processor=processor, predict=predict)
            export_and_look(model, {"tags": texts + [""]}, feature_processor=processor)
    model, processor, _ = fuxictr_sequence(na_value="n|e")
    message = refusal(dx.ExportError, dx.export, model, rows={"tags": lists}, feature_processor=processor)
    check(message.startswith("feature tags: its fill_na 'n|e' is not told apart"), message)


def test_what_fuxictr_changes_before_the_model_is_refused_by_the_column():
    model, processor, _ = fuxictr_sequence()
    spec, column = model.feature_map.features["tags"], processor.feature_cols[0]
    for where, change, part in ((spec, {"category_processor": "quantile_bucket"}, "fits category_processor quantile_bucket and never applies it"),
                                (spec, {"type": "embedding"}, "is of type embedding, vectors that come with each row"),
                                (column, {"preprocess": "convert_weekday"}, "convert_weekday of the feature processor changes its values")):
        before = dict(where)
        where.update(change)
        message = refusal(dx.ExportError, dx.export, model, rows={"tags": ["a"]}, feature_processor=processor)
        check(message.startswith("feature tags") and part in message, message)
        where.clear()
        where.update(before)


def test_recbole_is_reproduced():
    classes = saved.recbole_classes()
    vocabularies = {name: {"[PAD]": 0, **{t: i + 1 for i, t in enumerate(texts)}}
                    for name, texts in {"city": CITIES, "device": ["ios", "web"], "tags": TAGS}.items()}
    dataset = saved.recbole_dataset({"token": ["city", "device"], "token_seq": ["tags"], "float": ["price"]}, vocabularies, {"tags": 2})
    settings = {"embedding_size": 4, "cross_layer_num": 2, "mlp_hidden_size": [6, 5], "reg_weight": 0, "dropout_prob": 0.1, "low_rank": 3,
                "expert_num": 2, "numerical_features": ["price"], "device": "cpu", "LABEL_FIELD": "label"}
    for name, more in (("DCN", {}), ("DCNV2", {"structure": "parallel"}), ("DCNV2", {"structure": "stacked", "mixed": True})):
        model = randomise(classes[name](saved.Settings(settings, **more), dataset))
        export_and_look(model, dataset=dataset, columns={"price": dx.Number([{"fill": 0.5}])})
        message = refusal(dx.ExportError, dx.export, model, rows=ROWS, dataset=dataset)
        check("float field price: RecBole keeps neither" in message, message)


def test_recboles_sequences_of_floats_are_served_by_their_mean():
    classes = saved.recbole_classes()
    vocabularies = {"city": {"[PAD]": 0, **{t: i + 1 for i, t in enumerate(CITIES)}}}
    dataset = saved.recbole_dataset({"token": ["city"], "float": ["price"], "float_seq": ["visits"]}, vocabularies, {"visits": 3})
    settings = saved.Settings({"embedding_size": 4, "cross_layer_num": 2, "mlp_hidden_size": [6, 5], "reg_weight": 0, "dropout_prob": 0.1,
                               "numerical_features": ["price", "visits"], "device": "cpu", "LABEL_FIELD": "label"})
    model = randomise(classes["DCN"](settings, dataset))
    lists = [[0.5, 2.0, 4.0], [], [3.0]]
    rows = {"city": CITIES, "price": [1, 2, None], "visits": [sum(values) / len(values) if values else None for values in lists]}
    rules = {"price": dx.Number([{"fill": 0.5}]), "visits": dx.Number([{"fill": 0}])}

    def predict(rows):  # as the library's loader feeds the lists
        places = torch.zeros(3, 3, 2)
        for i, values in enumerate(lists):
            places[i, :len(values), 0], places[i, :len(values), 1] = torch.tensor(values), 1
        price = torch.tensor([[0.5 if p is None else p, 1] for p in rows["price"]], dtype=torch.float32)
        return model.predict({"city": torch.tensor([1, 2, 3]), "price": price, "visits": places})
    export_and_look(model, rows, dataset=dataset, columns=rules, predict=predict)
    export_and_look(model, rows, dataset=dataset, columns=rules)
    for rule in ({}, {"visits": dx.Category(steps=["truncate"])}):
        message = refusal(dx.ExportError, dx.export, model, rows=rows, dataset=dataset, columns={"price": rules["price"], **rule})
        check(message.startswith("float_seq field visits: ") and "put the mean of the first seq_len values into the rows" in message, message)


def test_torchrec_is_reproduced():
    parts = saved.torchrec_parts()
    tables = [("shared", ["tags", "city"], "MEAN", (5, 4)), ("device", ["device"], "SUM", (2, 4))]
    rules = columns(tags=dx.Tags(TAGS, max=3))
    kinds = {name: getattr(parts.crossnet, name) for name in ("CrossNet", "VectorCrossNet", "LowRankCrossNet", "LowRankMixtureCrossNet")}
    for cross, stacked, activation in ((lambda n: kinds["CrossNet"](n, 2), True, "relu"),
                                       (lambda n: kinds["VectorCrossNet"](n, 2), False, "swish_layernorm"),
                                       (lambda n: kinds["LowRankCrossNet"](n, 2, low_rank=3), False, "sigmoid"),
                                       (lambda n: kinds["LowRankMixtureCrossNet"](n, 2, num_experts=1, low_rank=3), True, "relu"),
                                       (lambda n: kinds["LowRankMixtureCrossNet"](n, 1, 2, 3, torch.tanh), False, nn.GELU())):
        model = randomise(saved.Net(parts, tables, 1, cross, [6, 5], activation, stacked))

        def predict(rows):
            bags = [[TAGS.index(t) for t in cell.split("|") if t] for cell in rows["tags"]]
            bags += [[CITIES.index(city)] for city in rows["city"]] + [[["ios", "web"].index(d)] for d in rows["device"]]
            features = parts.KeyedJaggedTensor.from_lengths_sync(["tags", "city", "device"], torch.tensor(sum(bags, [])),
                                                                 torch.tensor([len(bag) for bag in bags]))
            numbers = torch.tensor([[1.0 if p is None else p] for p in rows["price"]]).log1p()
            return torch.sigmoid(model(features, numbers))
        export_and_look(model, columns=rules, predict=predict)


def check_saved(library, name):
    rows, predictions = saved.expected(library, name)
    model, settings = saved.LIBRARIES[library](name)
    export_and_look(model, rows, predict=predictions, **settings)
    if library in ("deepctr-torch", "torch-rechub", "fuxictr", "recbole") or name == "dlrm_dcn_modulo":
        export_and_look(model, rows, **settings)


def test_each_librarys_checkpoint_is_reproduced():
    if not saved.SHARED.exists():
        print("   SKIPPED: %s is missing, which has the libraries' checkpoints" % saved.SHARED)
        return
    problems, n = Problems(), 0
    for path in sorted(DESCRIPTIONS.glob("*/*/model.json")):
        library, name = path.parts[-3:-1]
        if library in saved.LIBRARIES:
            n += 1
            problems.collect("%s/%s" % (library, name), check_saved, library, name)
    check(n >= 23, "%d checkpoints" % n)
    problems.report()


def test_the_server_answers_the_golden_rows_with_their_predictions():
    classes = saved.torchrec_parts()
    rules = columns(tags=dx.Tags(TAGS, max=3, unseen="drop"))
    tables = [("tags", ["tags"], "MEAN", (4, 4)), ("city", ["city"], "SUM", (3, 2)), ("device", ["device"], "SUM", (2, 2))]
    model = randomise(classes.DLRM_DCN(classes.collection([(n, f, p, (s[0], 4)) for n, f, p, s in tables]), 1, [5, 4], [6, 1], 2, 3))
    with folder() as here:
        dx.export(model, path=here, rows={**ROWS, "tags": ["a|b", "", "d|new", ["c", "b", "a"]]}, columns=rules)
        golden = json.loads((here / "golden.json").read_text(encoding="utf-8"))
        check(golden["inputs"][0]["tags"] == [["a", "b"], [], ["d", "new"], ["c", "b", "a"]], "%s" % golden)
        with harness.Server("--model-path", here, env={"SPARSE_COLS": None, "DENSE_COLS": None}) as server:
            reply = ask(server, "POST", V1, json.dumps({"instances": golden["inputs"]}).encode()).json()
    found = [score for score, in reply["predictions"]]
    check(max(abs(a - b) for a, b in zip(found, golden["predictions"])) < 1e-6 and len(found) == 4, "%s, %s" % (reply, golden))


def test_what_cannot_be_described_is_refused_by_its_name_and_class():
    message = refusal(dx.Unsupported, dx.export, plain(nn.Softplus()), rows=PLAIN_ROWS, columns=columns(), gives="logit")
    check("module deep.2 (torch.nn.modules.activation.Softplus)" in message and "replace" in message, message)
    model = plain()
    model.input_norm = nn.BatchNorm1d(8)
    message = refusal(dx.ExportError, dx.export, model, rows=PLAIN_ROWS, columns=columns(), gives="logit")
    check("tensor input_norm.weight" in message and "overlooked" in message, message)
    message = refusal(dx.ExportError, dx.export, plain(), rows={**PLAIN_ROWS, "city": ["Oslo"] * 4}, columns=columns(), gives="logit")
    check("column city, row 0: 'Oslo' is not in the vocabulary" in message, message)
    message = refusal(dx.ExportError, dx.export, plain(), rows=PLAIN_ROWS, columns=columns())
    check("gives=" in message, message)
    rules = columns(city=dx.Category(CITIES, missing={"as": "-1"}))
    message = refusal(dx.ExportError, dx.export, plain(), rows=PLAIN_ROWS, columns=rules, gives="logit")
    check("column city: missing={'as': '-1'}: the vocabulary has no '-1'" in message, message)
    message = refusal(dx.ExportError, dx.export, plain(), rows={"city": CITIES}, columns=columns(), gives="logit")
    check("the rows have no column device, price" in message, message)


def test_a_description_that_gives_other_scores_leaves_the_files_as_they_were():
    with folder() as here:
        weights = here / "model.safetensors"
        dx.export(plain(), path=weights, rows=PLAIN_ROWS, columns=columns(), gives="logit")
        before = {p.name: p.read_bytes() for p in here.iterdir()}
        message = refusal(dx.CheckFailed, dx.export, plain(), path=weights, rows=PLAIN_ROWS, columns=columns(), gives="logit",
                          order=("deep", "cross"))
        check(message.startswith("row ") and "nothing was written" in message, message)
        check(before == {p.name: p.read_bytes() for p in here.iterdir()}, "the files were changed")


def test_a_missing_dcnv2_score_is_an_error_unless_no_check_is_asked_for():
    with folder() as here:
        settings = {"path": here / "model.safetensors", "rows": PLAIN_ROWS, "columns": columns(), "gives": "logit"}
        message = refusal(dx.CheckFailed, dx.export, plain(), dcnv2_score=str(here / "none"), **settings)
        check("missing" in message and not list(here.iterdir()), message)
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            check(dx.export(plain(), check=False, **settings) is None, "a distance of no check")
        check("NOT checked" in said.getvalue() and sorted(p.name for p in here.iterdir()) == FILES, said.getvalue())


MAKER = """
import sys
sys.path.insert(0, %r)
from test_export import columns, plain, PLAIN_ROWS
def make():
    return {"model": plain(), "columns": columns(), "gives": "logit"}
"""


def test_the_command_line_exports():
    with folder() as here:
        (here / "train.py").write_text(MAKER % str(ROOT / "tests/export"))
        (here / "rows.csv").write_text("city,device,price\nRome,ios,0.5\nBerlin,web,\n", encoding="utf-8")
        arguments = [str(here / "train.py") + ":make", "--rows", str(here / "rows.csv"), "-o", str(here / "out/model.safetensors")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        done = subprocess.run([sys.executable, "-m", "dcnv2_export", *arguments], capture_output=True, text=True, env=environment)
        check(done.returncode == 0 and "largest distance" in done.stdout, done.stdout + done.stderr)
        check(sorted(p.name for p in (here / "out").iterdir()) == FILES, "%s" % list((here / "out").iterdir()))
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            check(main([*arguments, "--dcnv2-score", str(here / "none")]) == 1, "no error")
        check("dcnv2-score is missing" in said.getvalue(), said.getvalue())


def test_it_is_python_3_8_and_imports_nothing_but_torch():
    for path in (ROOT / "python").glob("dcnv2_export/**/*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))
    code = "import sys, dcnv2_export; print([n for n in ('pandas', 'sklearn', 'safetensors', 'fuxictr') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    check(done.stdout.strip() == "[]", done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main(globals())
