# SPDX-License-Identifier: Apache-2.0
"""Folders as FuxiCTR leaves them are models, with nothing else set: dcnv2-score gives the library's predictions, from
the folder, from the file of the weights in it, and from the converted one; folders that do not fit are refused."""
import hashlib
import json
import pathlib
import pickle
import re
import shutil
import subprocess
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, Problems, Server, check
from samples import V1
from test_models import SHARED, TOLERANCE, read_expected, run, scores, write_rows
from training import BIN, folder
from wire import ask

GOLDEN = ROOT / "tests/golden/fuxictr"  # tests/golden/make_fuxictr_golden.py
FILES = ("feature_map.json", "feature_vocab.json", "feature_processor.pkl", "model_config.yaml")


def check_folder(source):
    columns, double, single = read_expected(source)
    limit = max(TOLERANCE, 2 * max(abs(a - b) for a, b in zip(double, single)))
    with folder() as here:
        here = pathlib.Path(here)
        write_rows(here / "asked.csv", columns)
        run("dcnv2-convert", "--model-path", source, "-o", here / "one.safetensors")
        found = {model: scores(model, here / "asked.csv")
                 for model in (source, next(source.glob("*.model")), here / "one.safetensors")}
        check(len({tuple(values) for values in found.values()}) == 1, f"scores differ: {found}")
        check(len(found[source]) == len(double), f"{len(found[source])} scores of {len(double)} rows")
        distance, row = max((abs(a - b), i) for i, (a, b) in enumerate(zip(found[source], double)))
        check(distance <= limit, f"row {row}: {found[source][row]}, not {double[row]}")


def check_folders(sources, at_least):
    problems = Problems()
    check(len(sources) >= at_least, f"{len(sources)} folders")
    for source in sources:
        problems.collect(source.name, check_folder, source)
    problems.report()


def test_folders_of_the_library_give_its_predictions():
    check_folders(sorted(GOLDEN.glob("*/")), 6)


def test_the_references_give_their_predictions():
    if not SHARED.exists():
        print(f"   SKIPPED: {SHARED} is missing, which has the libraries' checkpoints")
        return
    check_folders([path.parent for path in sorted([*SHARED.glob("fuxictr/*/feature_map.json"),
                                                   *SHARED.glob("models/fuxictr/*/feature_map.json")])], 9)


def inspect(path):
    return run("dcnv2-convert", "--inspect", path)


def refusal(path, *flags):
    with folder() as here:
        done = subprocess.run([BIN / "dcnv2-convert", "--model-path", path, "-o", f"{here}/out", *flags], capture_output=True, text=True)
        return done.stderr if done.returncode == 1 else f"exit code {done.returncode}: {done.stderr}"


def test_what_no_file_tells_is_assumed_and_refused_if_strict():
    text = inspect(GOLDEN / "assumed")
    check("assumed: the activation of the deep layers is ReLU, FuxiCTR's default\n" in text, text)
    check("FuxiCTR's files" in text and "cross_mixture" in text, text)
    of_file = inspect(next((GOLDEN / "assumed").glob("*.model")))  # as the server reads MODEL_PATH=FILE
    check(of_file.split("\n")[1:] == text.split("\n")[1:], of_file)
    check("model_config.yaml does" in refusal(GOLDEN / "assumed", "--strict"), refusal(GOLDEN / "assumed", "--strict"))
    for name in ("features", "encoders", "gated"):  # told by the configuration, by PReLU's and Dice's tensors
        check("assumed" not in inspect(GOLDEN / name), name)
        check(refusal(GOLDEN / name, "--strict").startswith("exit code 0"), name)
    with folder() as here:
        copy = pathlib.Path(here) / "copy"
        shutil.copytree(GOLDEN / "assumed", copy)
        run("dcnv2-convert", "--model-path", copy, "-o", copy / "one.safetensors")
        check("assumed: the activation" in inspect(copy / "one.safetensors"), "the converted file forgets")


def test_a_server_serves_the_folder_and_tells_the_digests():
    source = GOLDEN / "features"
    columns, double, _ = read_expected(source)
    numbers = ("price", "age")
    instances = [{name: (float(values[i]) if values[i] else None) if name in numbers else values[i]
                  for name, values in columns.items()} for i in range(len(double))]
    with Server("--model-path", source, env={"SPARSE_COLS": None, "DENSE_COLS": None, "ENCODER_PATH": None}) as server:
        reply = ask(server, "POST", V1, json.dumps({"instances": instances}).encode()).json()
        found = [score for score, in reply["predictions"]]
        check(max(abs(a - b) for a, b in zip(found, double)) < TOLERANCE, f"{found}")
        digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in FILES)).hexdigest()
        check(server.logs(digest), server.log())
        check(server.logs(hashlib.sha256((source / "features.model").read_bytes()).hexdigest()), server.log())


def test_numbers_are_put_into_buckets_and_a_missing_list_is_its_fill_na():
    """What the golden rows do not hold: JSON's forms of a number, null, an empty list."""
    def row(**more):
        return {"age": 1, "visits": 4, "tags": ["sale"], "spend": 2.5, "seen": ["5"], **more}
    pairs = [({"visits": "04"}, {"visits": 4}), ({"visits": 3.0}, {"visits": 1}), ({"visits": None}, {"visits": -1}),
             ({"visits": -3.5}, {"visits": -3}), ({"visits": -4}, {"visits": 90000}), ({"spend": "2.5"}, {"spend": 0}),
             ({"tags": None}, {"tags": "none"}), ({"tags": []}, {"tags": ["none"]}),
             ({"seen": ""}, {"seen": "0"}), ({"tags": "none"}, {"tags": "unseen"}), ({"visits": 2}, {"visits": 1})]
    with Server("--model-path", GOLDEN / "buckets", env={"SPARSE_COLS": None, "DENSE_COLS": None, "ENCODER_PATH": None}) as server:
        body = {"instances": [row(**more) for pair in pairs for more in pair]}
        found = [score for score, in ask(server, "POST", V1, json.dumps(body).encode()).json()["predictions"]]
        equal = [found[i] == found[i + 1] for i in range(0, len(found), 2)]
        check(equal == [True] * 9 + [False] * 2, f"{equal}: {found}")
        reply = ask(server, "POST", V1, json.dumps({"instances": [row(visits="many")]}).encode())
        check(reply.status == 400 and b"visits" in reply.body, f"{reply.status} {reply.body}")


# ---- folders that do not fit

def replace(name, old, new):
    """A change of a text in a file, which must be there."""
    def change(here):
        text = (here / name).read_bytes()
        check(old.encode() in text, f"{name} has no {old}")
        (here / name).write_bytes(text.replace(old.encode(), new.encode(), 1))
    return change


def write(name, text):
    return lambda here: (here / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def remove(name):
    return lambda here: (here / name).unlink()


def change_json(name, change):
    def changed(here):
        value = json.loads((here / name).read_text())
        change(value)
        (here / name).write_text(json.dumps(value))
    return changed


def feature(value, name):
    return next(item[name] for item in value["features"] if name in item)


def change_feature(name, **more):
    return change_json("feature_map.json", lambda value: feature(value, name).update(more))


class Call:
    """Pickled as a call of os.system."""

    def __reduce__(self):
        import os
        return os.system, ("touch called",)


def rename_class(old, new):
    """Names are as long as they were: their lengths stand in the pickle."""
    check(len(old) == len(new), old)
    return replace("feature_processor.pkl", old, new)


BAD = [  # the golden folder, the change, what the message has
    ("features", remove("feature_vocab.json"), ["feature_vocab.json: is missing", "copy it beside the weights"]),
    ("features", remove("feature_processor.pkl"), ["feature_processor.pkl: is missing"]),
    ("features", remove("feature_map.json"), ["is a folder", "model.json", "feature_map.json"]),
    ("features", remove("features.model"), ["no file \"*.model\""]),
    ("features", lambda here: shutil.copy(here / "features.model", here / "b.model"), ["several models", "b.model", "MODEL_PATH"]),
    ("features", write("feature_map.json", "{"), ["feature_map.json: ", "line 1"]),
    ("features", write("feature_map.json", '{"dataset_id": "features_data", "features": {}}'),
     ["feature_map.json: features: expected a list", "found an object"]),
    ("features", change_feature("code", type="text"), ["feature_map.json: features[2].code.type", "\"text\""]),
    ("features", change_feature("code", type="embedding"), ["features[2].code.type", "embedding"]),
    ("features", change_feature("code", pretrained_emb="x.npz"),
     ["embedding_layers.code.pretrain_embedding.weight\" is missing", "the feature with pretrained_emb"]),
    *(("features", change_feature("code", category_processor=processor),
       ["features[2].code.category_processor", "never applies them", "the buckets' names as texts"]) for processor in ("quantile_bucket", "hash_bucket")),
    ("pretrained", change_feature("item", pretrain_usage="sum"), ["features[2].item.pretrain_usage: a sum of two tables is not read", "\"concat\""]),
    ("pretrained", change_feature("item", pretrain_usage="init"), ["item.pretrain_usage is \"init\"", "tell another one"]),
    ("pretrained", change_feature("user", pretrain_usage="concat"), ["user.pretrain_usage is \"concat\"", "tell another one"]),
    ("pretrained", change_feature("user", freeze_emb=False), ["features[0].user.freeze_emb", "the library masks", "freeze_emb: true"]),
    ("pretrained", change_feature("item", oov_idx=20), ["features[2].item.oov_idx", "item.id_embedding.weight", "have to be zeros"]),
    ("pretrained", change_feature("item", oov_idx=None), ["features[2].item.oov_idx", "null"]),
    ("pretrained", change_feature("seen", share_embedding="nobody"), ["features[3].seen.share_embedding", "nobody"]),
    ("pretrained", change_feature("seen", feature_encoder="layers.MaskedAveragePooling()"), ["seen: a mean of pretrained vectors", "MaskedSumPooling"]),
    ("buckets", replace("feature_vocab.json", '"shoes"', '""'), ["tags: the empty text is a word beside the fill_na \"none\""]),
    ("buckets", change_json("feature_vocab.json", lambda value: value.update(visits={"__PAD__": 0, **{f"0{i}": i for i in range(1, 9)}, "__OOV__": 9})),
     ["visits: no word is a bucket of convert_to_bucket"]),
    ("buckets", replace("feature_processor.pkl", "none", "n^ne"), ["column \"tags\": a fill_na that the splitter divides", "one word"]),
    ("buckets", replace("feature_processor.pkl", "convert_to_bucket(spend)", "convert_to_bucket(spent)"),
     ["column \"spend\": a category of dtype float is not read"]),
    ("features", change_feature("code", vocab_size=11), ["feature_vocab.json: code has rows up to 9", "vocab_size 11"]),
    ("features", change_feature("tags", feature_encoder="layers.KMaxPooling(2, 1)"), ["feature_encoder", "KMaxPooling"]),
    ("features", change_feature("tags", feature_encoder=None), ["feature_map.json: ", "MaskedAveragePooling"]),
    ("features", change_feature("user", feature_encoder=["nn.Conv1d(1, 1, 1)"]), ["feature_encoder[0]", "nn.Conv1d"]),
    *(("features", change_feature("user", feature_encoder=["nn.Linear(6, 6)", norm]), ["feature_encoder[1]", "nn.BatchNorm1d(UNITS)", norm])
      for norm in ("nn.BatchNorm1d(6, eps=0.5)", "nn.BatchNorm1d(6, 0.5)", "nn.BatchNorm1d(eps=0.5, num_features=6)")),
    ("features", change_json("feature_map.json", lambda value: value["features"].reverse()), ["feature 1 is \"user\"", "\"age\""]),
    ("features", change_json("feature_map.json", lambda value: value["features"].pop()), ["feature 7 is \"age\"; feature_map.json has 6"]),
    ("features", change_json("feature_map.json", lambda value: value["features"].append({"city": {"type": "numeric"}})),
     ["feature_processor.pkl: feature_cols: has no \"city\""]),
    ("features", change_json("feature_map.json", lambda value: value.update(dataset_id="other")),
     ["model_config.yaml: features.dataset_id: expected other, found \"features_data\""]),
    ("features", change_json("feature_vocab.json", lambda value: value.pop("tags")), ["feature_vocab.json: ", "\"tags\" is missing"]),
    ("features", change_json("feature_vocab.json", lambda value: value["tags"].pop("__OOV__")), ["feature_vocab.json: tags", "__OOV__"]),
    ("features", change_json("feature_vocab.json", lambda value: value["tags"].pop("sale")), ["tags has 6 words", "feature_processor.pkl has 7"]),
    ("features", change_json("feature_vocab.json", lambda value: value["tags"].update(sale=-1)), ["feature_vocab.json: tags.sale", "-1"]),
    ("features", change_json("feature_vocab.json", lambda value: value["tags"].update(sale=77)), ["tags has rows up to 77", "vocab_size"]),
    ("features", write("feature_processor.pkl", b"not a pickle"), ["feature_processor.pkl: pickle: "]),
    ("features", write("feature_processor.pkl", pickle.dumps({"a": 1})), ["feature_processor.pkl: ", "FeatureProcessor", "found a dict"]),
    ("features", write("feature_processor.pkl", pickle.dumps(Call())), ["FeatureProcessor", "system"]),
    ("features", rename_class("fuxictr.preprocess.feature_processor", "somebody.preprocess.feature_processo"),
     ["FeatureProcessor, found somebody.preprocess.feature_processo.FeatureProcessor"]),
    ("features", rename_class("fuxictr.preprocess.tokenizer", "fuxictr.preprocess.tokenizes"),
     ["column \"user\"", "Tokenizer, found fuxictr.preprocess.tokenizes.Tokenizer"]),
    ("features", rename_class("fuxictr.preprocess.normalizer", "fuxictr.preprocess.normaliser"), ["column \"price\"", "Normalizer, found"]),
    ("features", rename_class("sklearn.preprocessing._data", "somebody.preprocessing.data"),
     ["column \"price\": Normalizer.normalizer: expected a scaler of scikit-learn", "found"]),
    ("features", lambda here: ((here / "model_config.yaml").unlink(), (here / "model_config.yaml").symlink_to("nowhere")),
     ["model_config.yaml: ", "No such file"]),
    ("features", replace("model_config.yaml", "\nfeatures:", "\nfeature:"), ["model_config.yaml: has no section \"features\""]),
    ("features", replace("model_config.yaml", "model: DCNv2", "model: DeepFM"), ["model_config.yaml: features.model: expected DCNv2, found \"DeepFM\""]),
    ("features", replace("model_config.yaml", "structure: parallel", "structure: stacked"), ["features.model_structure: expected parallel"]),
    ("features", replace("model_config.yaml", "layers: 2", "layers: 3"), ["features.num_cross_layers: expected 2, which the tensors tell, found 3"]),
    ("features", replace("model_config.yaml", "binary_classification", "regression"), ["features.task", "regression"]),
    ("features", replace("model_config.yaml", "- GELU", "- Softmax"), ["features.dnn_activations[0]", "Softmax"]),
    ("features", replace("model_config.yaml", "- GELU", "- PReLU"), ["dnn_activations: is PReLU", "parallel_dnn.mlp.2."]),
    ("features", replace("model_config.yaml", "  - GELU\n", ""), ["features.dnn_activations: expected 2 activations", "found 1"]),
    ("features", replace("model_config.yaml", "feature_specs: null", "feature_specs: [{name: a}]"), ["Base.feature_specs"]),
    ("features", replace("model_config.yaml", "use_features: null", "use_features: [user, nobody]"), ["Base.use_features[1]", "nobody"]),
    ("features", replace("model_config.yaml", "use_features: null", "use_features: [price, user]"), ["feature 1 is \"user\"", "\"price\""]),
    ("gated", remove("model_config.yaml"), ["feature 1 is \"age\"", "\"user\"", "use_features of model_config.yaml"]),
    ("gated", replace("model_config.yaml", "model: GDCN", "model: DCN"), ["gated.model: expected GDCN, found \"DCN\""]),
]


def refused_for(name, change, parts):
    with folder() as here:
        copy = pathlib.Path(here) / name
        shutil.copytree(GOLDEN / name, copy)
        change(copy)
        message = refusal(copy)
        check(not list(copy.glob("called")), "a pickle was called")
        for part in parts:
            check(part in message, f"no {part!r} in: {message}")


def test_folders_that_do_not_fit_are_refused_with_the_place():
    problems = Problems()
    for number, (name, change, parts) in enumerate(BAD):
        problems.collect(f"{number} {parts[0]}", refused_for, name, change, parts)
    problems.report()


def test_another_models_tensors_are_refused_by_name():
    """Names in the pickle are as long as they were."""
    def rename(old, new):
        def renamed(here):
            with zipfile.ZipFile(here / "features.model") as file:
                members = {name: file.read(name) for name in file.namelist()}
            check(any(old in data for data in members.values()), f"no {old}")
            with zipfile.ZipFile(here / "features.model", "w") as file:
                for name, data in members.items():
                    file.writestr(name, data.replace(old, new))
        return renamed
    refused_for("features", rename(b"fc.weight", b"fm.weight"), ["tensor \"fm.weight\" is of none of", "DCN, DCNv2 and GDCN"])
    refused_for("features", rename(b"fc.bias", b"dnn.mlp"), ["tensor \"dnn.mlp\" is of none of"])
    refused_for("features", rename(b"parallel_dnn.mlp.0.weight", b"parallel_dnn.mlp.0.waight"),
                ["tensor \"parallel_dnn.mlp.0.weight\"", "is missing"])
    refused_for("features", rename(b"crossnet.cross_layers.1.weight", b"crossnet.cross_layers.9.weight"),
                ["num_cross_layers: expected 1, which the tensors tell, found 2"])


def test_a_model_json_comes_first():
    with folder() as here:
        copy = pathlib.Path(here) / "features"
        shutil.copytree(GOLDEN / "features", copy)
        (copy / "model.json").write_text('{"dcnv2_model": 2}')
        check(re.search(r"model\.json: .*dcnv2_model", refusal(copy)), refusal(copy))


if __name__ == "__main__":
    harness.main(globals())
