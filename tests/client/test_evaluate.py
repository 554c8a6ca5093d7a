# SPDX-License-Identifier: Apache-2.0
"""The trainer's measures are scikit-learn's.

    make build/tests/client/print_evaluation
    VENV/bin/python tests/client/test_evaluate.py    (VENV: see test_client.py)

scikit-learn sums the loss of float32 scores in float32, so it is asked for the loss of each row
in float64 where bits matter, and for its own sum within the rounding of that.
"""
import pathlib
import subprocess
import sys

import numpy
from sklearn.metrics import log_loss, roc_auc_score

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import BINARY, check, limit

PROGRAM = BINARY.parent.parent / "tests/client/print_evaluation"
EPSILON = float(numpy.finfo(numpy.float32).eps)
N_ROWS = 20000


def evaluated(scores, labels, groups):
    rows = "".join("%.9g %d %d\n" % row for row in zip(scores.tolist(), labels, groups))
    done = subprocess.run([str(PROGRAM)], input=rows.encode(), capture_output=True, timeout=limit(60))
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[:300]!r}")
    return {name: float(value) for name, value in map(str.split, done.stdout.decode().splitlines())}


def click_rows(seed, decimals=None):
    """Scores and labels as a click model has them: few clicks, low scores, some groups large."""
    random = numpy.random.default_rng(seed)
    logits = random.normal(-2.5, 1.2, N_ROWS)
    labels = (random.random(N_ROWS) < 1 / (1 + numpy.exp(-logits))).astype(int)
    scores = 1 / (1 + numpy.exp(-(logits + random.normal(0, 0.7, N_ROWS))))
    if decimals is not None:
        scores = scores.round(decimals)
    groups = random.geometric(0.02, N_ROWS) * 3000017
    return scores.astype(numpy.float32), labels, groups


def expect(name, found, expected, tolerance):
    difference = abs(found - expected)
    check(difference <= tolerance, f"{name} is {found!r}, scikit-learn's {expected!r}")


def loss_in_double(scores, labels):
    """As scikit-learn does it, but for the float32 of the logarithm and of the sum."""
    given = numpy.where(labels == 1, scores, numpy.float32(1) - scores)
    return -numpy.log(numpy.clip(given.astype(numpy.float64), EPSILON, 1 - EPSILON)).mean()


def grouped_auc(scores, labels, groups):
    order = numpy.argsort(groups, kind="stable")
    cuts = numpy.flatnonzero(numpy.diff(groups[order])) + 1
    found = [(roc_auc_score(labels[rows], scores[rows]), len(rows))
             for rows in numpy.split(order, cuts) if 0 < labels[rows].sum() < len(rows)]
    aucs, sizes = zip(*found)
    return numpy.average(aucs, weights=sizes), len(found)


def check_measures(scores, labels, groups):
    found = evaluated(scores, labels, groups)
    check((found["rows"], found["clicks"]) == (len(labels), labels.sum()), f"{found}")
    expect("AUC", found["auc"], roc_auc_score(labels, scores), 1e-12)
    expect("log loss", found["log_loss"], log_loss(labels, scores), 1e-6)
    expect("log loss", found["log_loss"], loss_in_double(scores, labels), 1e-13)
    mean = scores.astype(numpy.float64).mean()
    expect("mean score", found["mean_score"], mean, 1e-14)
    expect("calibration", found["calibration"], mean / labels.mean(), 1e-12)
    by_group, n_groups = grouped_auc(scores, labels, groups)
    check(found["groups"] == n_groups, f"{found['groups']} groups, not {n_groups}")
    expect("grouped AUC", found["grouped_auc"], by_group, 1e-12)
    return found


def test_measures_are_scikit_learns():
    for seed in range(3):
        check_measures(*click_rows(seed))


def test_ties_are_scikit_learns():
    for decimals in (1, 2, 3):
        check_measures(*click_rows(7, decimals))


def test_scores_of_zero_and_one_are_clipped_as_scikit_learn_clips_them():
    scores, labels, groups = click_rows(11)
    scores[::5], scores[1::5] = 0, 1
    scores[2::50] = numpy.float32(1e-9)
    scores[3::50] = numpy.nextafter(numpy.float32(1), numpy.float32(0))
    check_measures(scores, labels, groups)


def test_bins_and_histogram_are_numpys():
    scores, labels, groups = click_rows(13)
    found = evaluated(scores, labels, groups)
    counts, _ = numpy.histogram(scores.astype(numpy.float64), bins=20, range=(0, 1))
    for i, part in enumerate(numpy.split(numpy.sort(scores).astype(numpy.float64), 20)):
        expect(f"mean of bin {i}", found[f"bin{i}"], part.mean(), 1e-14)
        check(found[f"histogram{i}"] == counts[i], f"histogram {i}: {found[f'histogram{i}']}, not {counts[i]}")


if __name__ == "__main__":
    harness.main(globals())
