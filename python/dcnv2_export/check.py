# SPDX-License-Identifier: Apache-2.0
"""Whether dcnv2-score computes from the files what the module computed."""
import os
import shutil
import subprocess

from .errors import CheckFailed

VARIABLE = "DCNV2_SCORE"
TIMEOUT_S = 600


def find(given=None):
    """The program: given, or of the environment variable, or on PATH. Raises CheckFailed if there is none."""
    name = given or os.environ.get(VARIABLE) or "dcnv2-score"
    found = shutil.which(name)
    if found is None:
        raise CheckFailed("dcnv2-score is missing (%s), so the files were not checked and nothing was written; name the program by "
                          "dcnv2_score= (--dcnv2-score) or %s, or pass check=False (--no-check)" % (name, VARIABLE))
    return found


def scores(program, folder, rows, checks_golden_set):
    """The click probability of each row of a CSV file, by the model in a folder, whose golden set has to hold too if wanted."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("SPARSE_COLS", "DENSE_COLS", "MODEL_PATH", "ENCODER_PATH", "MODEL_JSON", "GOLDEN", "GOLDEN_TOLERANCE")}
    golden = [] if checks_golden_set else ["--golden", "none"]
    try:
        done = subprocess.run([program, "--model-path", str(folder), *golden, str(rows)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=TIMEOUT_S, env=environment)
    except subprocess.TimeoutExpired:
        raise CheckFailed("dcnv2-score took more than %d s, nothing was written; pass fewer rows" % TIMEOUT_S)
    if done.returncode != 0:
        raise CheckFailed("dcnv2-score refuses the files, nothing was written: %s" % done.stderr.strip()[-800:])
    return [float(line) for line in done.stdout.split()]


def compare(found, expected, tolerance):
    """The largest distance. Raises CheckFailed with the worst row if that is beyond the tolerance."""
    if len(found) != len(expected):
        raise CheckFailed("dcnv2-score gives %d scores of %d rows, nothing was written" % (len(found), len(expected)))
    distance, row = max((abs(a - b), i) for i, (a, b) in enumerate(zip(found, expected)))
    if not distance <= tolerance:
        raise CheckFailed("row %d: dcnv2-score gives %.9g, the module %.9g; %.3g is beyond %.3g, nothing was written. The description "
                          "is wrong: look at the order of the columns, the activations and the rules of that row's cells" %
                          (row, found[row], expected[row], distance, tolerance))
    return distance
