# SPDX-License-Identifier: Apache-2.0
"""Replays every recorded transcript against a server of its own.

    python3 tests/conformance/run.py

The demo model's transcript lies in data/. The full model's, with its model files, lies beside
the project, where the project's reference material is; without it that part is left out with
a line saying so. The last line is `N passed, N failed`; exit code 1 if any failed.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import replay

DATA = pathlib.Path(__file__).resolve().parent / "data"
FULL = harness.ROOT.parent / "shared/taobao-full"


def replay_against_own_server(name, transcript, env=None):
    """A new server each: a transcript's end unloads the model."""
    try:
        with harness.Server("--enable_model_repository", "true", env=env) as server:
            n_passed, n_failed = replay.replay(transcript, server.address, server.port)
    except harness.Failure as failure:
        print(f"FAIL {name}: {failure}", flush=True)
        return 0, 1
    print(f"{name}: {n_passed} as expected, {n_failed} not", flush=True)
    return n_passed, n_failed


def main():
    totals = [replay_against_own_server("demo model", DATA / "kserve-small.jsonl")]
    needed = [FULL / name for name in
              ("model_weights.pth", "preprocess_metadata.pkl", "kserve.jsonl")]
    missing = [path.name for path in needed if not path.exists()]
    if missing:
        print(f"full model: left out, {', '.join(missing)} not found in {FULL}", flush=True)
    else:
        model_env = {"MODEL_PATH": str(needed[0]), "ENCODER_PATH": str(needed[1])}
        totals.append(replay_against_own_server("full model", needed[2], model_env))
    n_passed, n_failed = (sum(column) for column in zip(*totals))
    print(f"{n_passed} passed, {n_failed} failed")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
