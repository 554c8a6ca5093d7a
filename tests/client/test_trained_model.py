# SPDX-License-Identifier: Apache-2.0
"""PyTorch and scikit-learn read what dcnv2-train wrote, and it goes on from what they wrote.

    VENV/bin/python tests/client/test_trained_model.py    (VENV: see test_client.py)

The notebook's encoder and network are those of tests/bench/peer_notebook.py.
"""
import functools
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import warnings

import numpy
import pandas
import torch

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "bench")]
import harness
from harness import BINARY, ROOT, check, limit
from peer_notebook import DCNv2, FeatureEncoder, labels_of, score, train

TRAIN_CSV, TEST_CSV = ROOT / "model/train.csv", ROOT / "model/test.csv"
LABEL, DENSE, SPARSE = "clk", ["price"], harness.MODEL_ENV["SPARSE_COLS"].split(",")
WEIGHTS, ENCODER = "model_weights.pth", "preprocess_metadata.pkl"
NEAR = 1e-6


def run(program, *arguments):
    kept = {n: v for n, v in os.environ.items() if n not in ("WORLD_SIZE", "PET_NNODES")}
    done = subprocess.run([str(BINARY.with_name(program)), *map(str, arguments)], env=kept, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=limit(120), text=True)
    check(done.returncode == 0, f"{program}: exit code {done.returncode}: {done.stderr[-400:]}")
    return done.stdout


def dcnv2_train(output, *flags, data=TRAIN_CSV):
    run("dcnv2-train", "--train-data", data, "--output", output, "--label", LABEL, "--dense-cols", ",".join(DENSE),
        "--sparse-cols", ",".join(SPARSE), "--epochs", 1, *flags)


def dcnv2_score(folder, data):
    """Of the model.safetensors in a folder, and of the pair there: the same."""
    files = [path for path in (folder / "model.safetensors", folder / WEIGHTS) if path.exists()]
    flags = {WEIGHTS: ("--encoder-path", folder / ENCODER, "--dense-cols", ",".join(DENSE),
                       "--sparse-cols", ",".join(SPARSE))}
    answers = [run("dcnv2-score", data, "--model-path", path, *flags.get(path.name, ())) for path in files]
    check(len(set(answers)) == 1, f"{folder}: two files of one model, different scores")
    return numpy.array(answers[0].split(), dtype=float)


@functools.lru_cache(None)
def trained():
    """A folder with what dcnv2-train has written."""
    trained.place = tempfile.TemporaryDirectory()
    folder = pathlib.Path(trained.place.name) / "model"
    dcnv2_train(folder)
    return folder


def load(folder):
    """The notebook's encoder and network from a folder's pair, read as the notebook does."""
    encoder = FeatureEncoder.load(folder / ENCODER)
    model = DCNv2(len(encoder.dense), encoder.n_rows())
    state = torch.load(folder / WEIGHTS, weights_only=True)
    check(str(model.load_state_dict(state)) == "<All keys matched successfully>", "load_state_dict")
    return encoder, model.eval()


def notebook_score(folder, data):
    encoder, model = load(folder)
    return score(model, *encoder.transform(pandas.read_csv(data))).numpy()


def check_scores(folder, data, n_rows):
    ours, theirs = dcnv2_score(folder, data), notebook_score(folder, data)
    check(len(ours) == len(theirs) == n_rows, f"{len(ours)} and {len(theirs)} scores of {n_rows} rows")
    apart = numpy.abs(ours - theirs).max()
    check(apart <= NEAR, f"scores are {apart} apart")


def strange_rows(path):
    """Rows with values that were not there to learn from, in every column, and without a price."""
    frame = pandas.read_csv(TEST_CSV).head(400)
    for i, column in enumerate(SPARSE):
        frame.loc[i::20, column] = 987654321 + i
    frame.loc[5::9, DENSE] = float("nan")
    frame.to_csv(path, index=False)
    return path


# ---------------------------------------------------------------- what dcnv2-train wrote

def test_the_notebook_scores_with_our_files_as_dcnv2_score_does():
    check_scores(trained(), TEST_CSV, 6000)


def test_values_that_were_never_seen_are_the_same_row_for_both():
    with tempfile.TemporaryDirectory() as place:
        data = strange_rows(pathlib.Path(place) / "strange.csv")
        encoder = load(trained())[0]
        indices = encoder.transform(pandas.read_csv(data))[1]
        unseen = [(indices[:, i] == n - 1).any().item() for i, n in enumerate(encoder.n_rows())]
        check(all(unseen), f"no unseen value in {[c for c, is_so in zip(SPARSE, unseen) if not is_so]}")
        check_scores(trained(), data, 400)


def test_the_encoder_is_the_one_that_the_notebook_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a version of scikit-learn's of its own
        ours = load(trained())[0]
    frame = pandas.read_csv(TRAIN_CSV)
    theirs = FeatureEncoder(DENSE, SPARSE).fit(frame)
    check(ours.dense == theirs.dense and ours.sparse == theirs.sparse, f"columns {ours.dense} {ours.sparse}")
    for column in SPARSE:
        check(list(ours.encoders[column].classes_) == list(theirs.encoders[column].classes_), f"classes of {column}")
        texts = frame[column].astype(str)
        check((ours.encoders[column].transform(texts) == theirs.encoders[column].transform(texts)).all(), column)
    for name in ("mean_", "var_", "scale_"):
        a, b = getattr(ours.scaler, name), getattr(theirs.scaler, name)
        check(numpy.allclose(a, b, rtol=1e-12, atol=0), f"{name} is {a}, not {b}")
    check(ours.scaler.n_samples_seen_ == theirs.scaler.n_samples_seen_, "n_samples_seen_")


# ---------------------------------------------------------------- what Python wrote

def write_from_python(folder, epochs=1):
    """The pair, as the notebook saves it, of a network that it has trained."""
    folder.mkdir()
    frame = pandas.read_csv(TRAIN_CSV)
    encoder = FeatureEncoder(DENSE, SPARSE).fit(frame)
    torch.manual_seed(3)
    model = DCNv2(len(DENSE), encoder.n_rows())
    train(model, (*encoder.transform(frame), labels_of(frame, LABEL)), epochs, 3)
    torch.save(model.state_dict(), folder / WEIGHTS)
    encoder.save(folder / ENCODER)
    return folder


def test_training_goes_on_from_what_python_wrote():
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place)
        start = write_from_python(path / "start")
        strange = strange_rows(path / "strange.csv")
        check_scores(start, TEST_CSV, 6000)
        check_scores(start, strange, 400)
        # A learning rate of next to nothing: the same model again, through all of the trainer.
        dcnv2_train(path / "same", "--init-from", start, "--learning-rate", "1e-30")
        before, after = (torch.load(folder / WEIGHTS, weights_only=True) for folder in (start, path / "same"))
        check(list(before) == list(after), f"{list(after)}")
        for name in before:
            check(torch.equal(before[name], after[name]), f"{name} differs")
        # And with the usual one: a model that has learnt more, for both to read.
        dcnv2_train(path / "more", "--init-from", start, "--valid-data", TRAIN_CSV)
        check_scores(path / "more", TEST_CSV, 6000)
        check_scores(path / "more", strange, 400)
        frame = pandas.read_csv(TRAIN_CSV)
        losses = [torch.nn.functional.binary_cross_entropy(
            torch.from_numpy(notebook_score(folder, TRAIN_CSV)), labels_of(frame, LABEL)).item()
            for folder in (start, path / "more")]
        check(losses[1] < losses[0], f"log loss of the rows learnt from: {losses}")
        with open(start / ENCODER, "rb") as a, open(path / "more" / ENCODER, "rb") as b:
            (_, first), (_, second) = pickle.load(a), pickle.load(b)
        check(all(list(first[c].classes_) == list(second[c].classes_) for c in SPARSE), "other classes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    harness.main(globals())
