# SPDX-License-Identifier: Apache-2.0
"""Modules of the checkpoints in ../shared, each with what its user would pass to dcnv2_export.export().

They are the libraries' own modules; what these import and an export does not use is left out (see stubbed()).
"""
import importlib.util
import json
import os
import pathlib
import pickle
import sys
import types

import torch
from torch import nn

import dcnv2_export as dx

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"
SHOP = ["city", "device", "brand", "weekday"]
DENSE = ["age", "spend", "rate7"]


class Anything:
    """Takes the place of a class that is not installed, in a pickle."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state):
        self.__dict__.update(state if isinstance(state, dict) else {})

    def __call__(self, *_, **__):
        return self


class Permissive(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            return Anything


def load_weights(path):
    reader = types.ModuleType("permissive")
    reader.Unpickler, reader.load, reader.loads = Permissive, pickle.load, pickle.loads
    return torch.load(str(path), map_location="cpu", weights_only=False, pickle_module=reader)


def text(name):
    return json.loads((SHARED / name).read_text())


def place(library, name):
    """The folder of a checkpoint below ../shared, or None."""
    return next((p for p in ("models/%s/%s" % (library, name), "%s/%s" % (library, name)) if (SHARED / p).exists()), None)


def expected(library, name):
    """(rows, the library's predictions in float32)"""
    found = text(place(library, name) + "/expected.json")
    return found["columns"], found["predictions"]


def stubbed(*names):
    """Modules that are imported and never used: polars, ray and h5py of FuxiCTR, which load slowly."""
    class Stub(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {"__init__": lambda self, *_: None})
    for name in names:
        sys.modules.setdefault(name, Stub(name)).__path__ = []


# DeepCTR-Torch

def deepctr_classes():
    """DCN and DCNMix. The stub: an import asks PyPI for a newer release."""
    stubbed("deepctr_torch.utils")
    from deepctr_torch.models.dcn import DCN
    from deepctr_torch.models.dcnmix import DCNMix
    return DCN, DCNMix


def deepctr_torch(name):
    DCN, DCNMix = deepctr_classes()
    import joblib
    folder = SHARED / "models/deepctr-torch" / name
    dnn = pickle.loads((folder / "feature_columns.pkl").read_bytes())
    settings = text("models/deepctr-torch/%s/expected.json" % name)
    build = {k: v for k, v in settings["settings"].items() if k != "embedding_dim"}
    named = settings.get("linear_features")
    linear = [f for f in dnn if not isinstance(named, list) or f.name in named]
    weights = [*folder.glob("*_weights.h5"), *folder.glob("DCN.h5")][0]
    state = torch.load(str(weights), weights_only=False)
    if isinstance(state, nn.Module):
        model = state
    else:
        model = (DCNMix if settings["model"] == "DCNMix" else DCN)(linear, dnn, **build)
        model.load_state_dict(state)
    encoders = joblib.load(folder / "label_encoders.pkl")
    scaler = joblib.load(folder / "min_max_scaler.pkl")
    dense = [f.name for f in dnn if type(f).__name__ == "DenseFeat"]
    columns = {c: dx.Category(e, missing={"as": "-1"} if "-1" in map(str, e.classes_) else "refuse") for c, e in encoders.items()}
    for f in dnn:
        if type(f).__name__ == "VarLenSparseFeat":
            columns[f.name] = dx.Tags(text("models/deepctr-torch/%s/key2index.json" % name), unseen="drop", max=f.maxlen, keep="last")
    columns.update(dx.scaled(scaler, dense, fill=0))
    return model, {"columns": columns}


# Torch-RecHub

def torch_rechub(name):
    from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
    from torch_rechub.models.ranking.dcn_v2 import DCNv2
    import joblib
    folder = SHARED / "models/torch-rechub" / name
    settings = dict(text("models/torch-rechub/%s/expected.json" % name)["settings"])
    encoders, scaler = joblib.load(folder / "label_encoders.joblib"), joblib.load(folder / "min_max_scaler.joblib")
    state = torch.load(str(folder / "model.pth"))
    dense = DENSE if "age" in text("models/torch-rechub/%s/expected.json" % name)["columns"] else ["price"]
    features = [DenseFeature(c) for c in dense]
    plus = 1 if "tags" in encoders else 0
    columns = dx.scaled(scaler, dense, fill=0)
    for c, e in encoders.items():
        table = state["embedding.embed_dict.%s.weight" % c]
        missing = {"as": "0"} if "0" in map(str, e.classes_) else "refuse"
        if c == "tags":
            features.append(SequenceFeature(c, *table.shape, padding_idx=0))
            columns[c] = dx.Tags(e, first_row=1, unseen=0, max=5)
        else:
            features.append(SparseFeature(c, *table.shape))
            derived = {"column": c[:-4], "steps": [{"fill": 0}, "truncate", "squared_log"]} if c.endswith("_cat") else {"missing": missing}
            columns[c] = dx.Category(e, first_row=plus, **derived)
    if "tags" in encoders:  # the order of the training script: sequences last
        features.sort(key=lambda f: f.name == "tags")
    settings.pop("embed_dim", None)
    model = DCNv2(features, **settings)
    model.load_state_dict(state)
    return model, {"columns": columns}


# FuxiCTR, whose classes DCN and DCNv2 lie in its repository and not in the package

def fuxictr_class():
    stubbed("polars", "h5py", "ray", "ray.data", "ray.data.datasource", "ray.data.datasource.filename_provider")
    from fuxictr.pytorch.layers import CrossNet, CrossNetMix, CrossNetV2, FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    class DCN(BaseModel):
        def __init__(self, feature_map, embedding_dim, cross, dnn, **settings):
            super().__init__(feature_map, verbose=0, model_root="", metrics=[], **settings)
            self.embedding_layer = FeatureEmbedding(feature_map, embedding_dim)
            width = feature_map.sum_emb_out_dim()
            kinds = {"vector": CrossNet, "full": CrossNetV2, "mixture": CrossNetMix}
            self.crossnet = kinds[cross.pop("kind")](width, **cross)
            n = 0
            for name, block in dnn.items():
                setattr(self, name, MLP_Block(width, output_dim=None, **block) if block else None)
                n += block["hidden_units"][-1] if block else 0
            self.fc = nn.Linear(n + (0 if "stacked_dnn" in dnn else width), 1)

        def forward(self, inputs):
            x0 = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
            cross = self.crossnet(x0)
            parts = [self.stacked_dnn(cross)] if hasattr(self, "stacked_dnn") else [cross]
            parts += [getattr(self, n)(x0) for n in ("parallel_dnn", "dnn") if getattr(self, n, None)]
            return {"y_pred": self.output_activation(self.fc(torch.cat(parts, -1)))}
    return DCN


def fuxictr(name):
    DCN = fuxictr_class()
    from fuxictr.features import FeatureMap
    folder = SHARED / place("fuxictr", name)
    settings = json.loads((folder / "expected.json").read_text())["settings"]
    processor = pickle.loads((folder / "feature_processor.pkl").read_bytes())
    feature_map = FeatureMap(json.loads((folder / "feature_map.json").read_text())["dataset_id"], str(folder))
    feature_map.load(str(folder / "feature_map.json"), {"embedding_dim": settings["embedding_dim"]})
    block = {"hidden_activations": settings.get("dnn_activations", "ReLU"), "dropout_rates": settings.get("net_dropout", 0),
             "batch_norm": settings.get("batch_norm", False)}
    dnn = {}
    for key in ("dnn", "stacked_dnn", "parallel_dnn"):
        units = settings.get(key + "_hidden_units")
        if units and (key == "dnn" or key.split("_")[0] in settings["model_structure"]):
            dnn[key] = {"hidden_units": units, **block}
    n_layers = settings.get("num_cross_layers", 3)
    cross = {"kind": "vector" if name.startswith("dcn_v1") else "full", "num_layers": n_layers}
    if settings.get("use_low_rank_mixture"):
        cross = {"kind": "mixture", "layer_num": n_layers, "low_rank": settings["low_rank"], "num_experts": settings["num_experts"]}
    model = DCN(feature_map, settings["embedding_dim"], cross, dnn)
    model.load_state_dict(torch.load(str(next(folder.glob("*.model")))))
    return model, {"feature_processor": processor}


# RecBole

class Settings(dict):
    """A configuration, as RecBole's: what is not set is None."""

    def __getitem__(self, key):
        return self.get(key)


def recbole_classes():
    stubbed("colorlog", "texttable", "colorama", "tensorboard", "torch.utils.tensorboard")
    from recbole.model.context_aware_recommender.dcn import DCN
    from recbole.model.context_aware_recommender.dcnv2 import DCNV2
    return {"DCN": DCN, "DCNV2": DCNV2}


def recbole_dataset(fields, vocabularies, lengths):
    """What DCN, DCNV2 and the export ask a Dataset for. fields: {type: names}."""
    from recbole.utils import FeatureType
    kinds = {name: FeatureType(kind) for kind, names in fields.items() for name in names}
    return types.SimpleNamespace(fields=lambda source=None: list(kinds), field2type=kinds, field2token_id=vocabularies, field2seqlen=lengths,
                                 num=lambda name: len(vocabularies[name]) if name in vocabularies else 2, config={"seq_separator": "|"})


def recbole(name):
    classes = recbole_classes()
    folder = SHARED / "models/recbole" / name
    found = text("models/recbole/%s/expected.json" % name)
    dataset = recbole_dataset(found["field_order"], text("models/recbole/%s/field2token_id.json" % name), found["settings"].get("seq_len") or {})
    model = classes[found["model"]](Settings(found["settings"], device="cpu", LABEL_FIELD="label"), dataset)
    model.load_state_dict(load_weights(next(folder.glob("DCN*.pth")))["state_dict"])
    columns = {}
    for field in found["field_order"]["float"]:
        known = found["preprocessing_not_in_files"][field]
        steps = [{"fill": known["missing_filled_with_mean"]}]
        if field in (found["settings"].get("normalize_field") or []):
            steps += [{"subtract": known["min"]}, {"divide": known["max"] - known["min"]}]
        columns[field] = dx.Number(steps)
    return model, {"columns": columns, "dataset": dataset}


# TorchRec

def torchrec_parts():
    """TorchRec's modules, without the package's own imports: those of sharding load kernels that are not installed."""
    stubbed("torchrec", "torchrec.modules", "torchrec.models", "torchrec.datasets", "torchrec.datasets.utils", "torchrec.distributed",
            "torchrec.distributed.test_utils", "torchrec.distributed.test_utils.model_input", "tensordict", "fbgemm_gpu",
            "fbgemm_gpu.split_embedding_configs", "fbgemm_gpu.split_table_batched_embeddings_ops_common")
    for name in ("torchrec", "torchrec.modules", "torchrec.models"):
        sys.modules[name].__path__ = [os.path.join(folder, name.replace(".", "/")) for folder in sys.path]
    from torchrec.models.dlrm import DLRM_DCN, DLRMTrain
    from torchrec.modules import crossnet
    from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
    from torchrec.modules.embedding_modules import EmbeddingBagCollection
    from torchrec.modules.mlp import MLP
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    def collection(tables):
        """tables: (name, features, "SUM" or "MEAN", [rows, width])"""
        return EmbeddingBagCollection([EmbeddingBagConfig(num_embeddings=n, embedding_dim=d, name=name, feature_names=features,
                                                          pooling=PoolingType[pooling]) for name, features, pooling, (n, d) in tables])
    return types.SimpleNamespace(DLRM_DCN=DLRM_DCN, DLRMTrain=DLRMTrain, MLP=MLP, crossnet=crossnet, collection=collection,
                                 KeyedJaggedTensor=KeyedJaggedTensor)


class Net(nn.Module):
    """A collection of bags, cross layers, and a dense network beside them or behind."""

    def __init__(self, parts, tables, n_numbers, cross, widths, activation, stacked):
        super().__init__()
        width = sum(len(features) * shape[1] for _, features, _, shape in tables) + n_numbers
        self.ebc, self.crossnet = parts.collection(tables), cross(width)
        self.over = parts.MLP(width, widths, activation=activation)
        self.head, self.stacked = nn.Linear(widths[-1] if stacked else width + widths[-1], 1), stacked

    def forward(self, bags, numbers):
        x0 = torch.cat([self.ebc(bags).values(), numbers], 1)
        cross = self.crossnet(x0)
        return self.head(self.over(cross) if self.stacked else torch.cat([cross, self.over(x0)], 1)).squeeze(1)


def widths_of(state, prefix):
    return [state[n].shape[0] for n in sorted(state) if n.startswith(prefix) and n.endswith("_linear.weight")]


def torchrec(name):
    parts = torchrec_parts()
    saved = torch.load(str(next((SHARED / "models/torchrec" / name).glob("*.pt"))), weights_only=False)
    state = saved.get("model_state_dict", saved)
    bags = {n.split(".")[-2]: tuple(t.shape) for n, t in state.items() if ".embedding_bags." in n}
    if name == "dlrm_dcn_modulo":
        tables = parts.collection([(n, [n[2:]], "SUM", s) for n, s in bags.items()])
        over = widths_of(state, "model.over_arch") + [1]
        rank = len(state["model.inter_arch.crossnet.V_kernels.0"])
        model = parts.DLRMTrain(parts.DLRM_DCN(tables, 1, widths_of(state, "model.dense_arch"), over, 3, rank))
        rules = {n[2:]: dx.Category(modulus=s[0], missing="drop") for n, s in bags.items()}
        rules["price"] = dx.Number([{"fill": 0}, {"log": 3}])
    else:
        shared = "table_tags" in bags
        features = {"table_tags": ["tags", "maintag"]}
        tables = [(n, features.get(n, [n.replace("table_", "")]), "MEAN" if shared else "SUM", s) for n, s in bags.items()]
        cross = (lambda n: parts.crossnet.CrossNet(n, 2)) if shared else \
            (lambda n: parts.crossnet.LowRankMixtureCrossNet(n, 2, num_experts=3, low_rank=state["crossnet.U_kernels.0"].shape[2]))
        model = Net(parts, tables, 3, cross, widths_of(state, "over"), "relu" if shared else "swish_layernorm", not shared)
        vocab = text("models/torchrec/%s/vocab.json" % name)
        rules = {n: dx.Category(vocab[n], unseen=0, missing=0) for n in SHOP}
        rules["tags"] = dx.Tags(vocab["tags"], unseen=0)
        if shared:
            rules["maintag"] = dx.Tags(vocab["tags"], unseen=0, column="tags", max=1, keep="last")
        rules.update({n: dx.Number([{"fill": 0}, {"log": 1}]) for n in DENSE})
    model.load_state_dict(state)
    return model, {"columns": rules, "library": "torchrec"}


# plain modules

def plain(name):
    spec = importlib.util.spec_from_file_location("plain_model", str(SHARED / "models/plain/model.py"))
    classes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(classes)
    described = json.loads((pathlib.Path(__file__).resolve().parents[1] / "golden/models/plain" / name / "model.json").read_text())
    values = {n: dx.Number(v["steps"]) for n, v in described["values"].items()}
    if name == "linear_list":
        constructor = text("models/plain/linear_list/expected.json")["constructor"]
        model = classes.DCNv2LinearList(**constructor)
        model.load_state_dict(torch.load(str(SHARED / "models/plain/linear_list/model.pt")))
        vocab = text("models/plain/linear_list/vocab.json")
        return model, {"columns": {**{n: dx.Category(vocab[n], unseen=0, missing=0) for n in constructor["vocab_sizes"]}, **values},
                       "gives": "logit"}
    bag = next((SHARED / "models/plain" / name).glob("*.pt")) if name.startswith("embedding") else SHARED / "models/plain" / name / "model_fp16.bin"
    state = {n.replace("_orig_mod.", "").replace("module.", ""): t for n, t in load_weights(bag).items()}
    offsets = state["field_offsets"].tolist()
    sizes = [b - a for a, b in zip(offsets, offsets[1:] + [len(state["embedding.weight"])])]
    hashed = name == "hashed_bag_half"
    model = classes.DCNv2Bag(sizes, 3, dim=state["embedding.weight"].shape[1], n_cross=3 if hashed else 2, mode="sum" if hashed else "mean",
                             hidden=(state["mlp.0.weight"].shape[0], state["mlp.2.weight"].shape[0]))
    model = model.half() if hashed else model
    model.load_state_dict(state)
    columns = {}
    for field, start in zip(SHOP + ["tags"], offsets):
        how = {"hash": "crc32", "prefix": field + "=", "modulus": 211} if hashed else \
            {"vocabulary": text("models/plain/%s/features.json" % name)["vocab"][field], "unseen": start}
        if field == "tags":
            columns[field] = dx.Tags(first_row=start, missing="drop", **how)
        else:
            columns[field] = dx.Category(first_row=start, missing=described["lookups"][field]["missing"], **how)
    return model, {"columns": {**columns, **values}, "dead": ["field_offsets"]}


LIBRARIES = {"deepctr-torch": deepctr_torch, "torch-rechub": torch_rechub, "fuxictr": fuxictr, "recbole": recbole, "torchrec": torchrec,
             "plain": plain}
