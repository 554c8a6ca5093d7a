# SPDX-License-Identifier: Apache-2.0
"""The recorded gRPC exchanges, answered by the codec and the demo model without a network.

    make build/tests/conformance/grpc_codec && python3 tests/conformance/grpc_codec.py

What HTTP/2 decides is left out: deadlines, several messages in a call. So is what a server keeps from call to
call, loading and unloading. The last line is `N passed, N failed`; exit code 1 if any failed.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import grpc_expect
import harness

TRANSCRIPT = pathlib.Path(__file__).resolve().parent / "data/kserve-grpc.jsonl"
PROGRAM = harness.BINARY.parent.parent / "tests/conformance/grpc_codec"


def is_of_the_codec(exchange):
    """One message that is answered by itself."""
    name = exchange["name"]
    return not (exchange.get("state") or name.endswith("after unload") or name.startswith("repository ") or
                "timeout_s" in exchange or len(grpc_expect.messages(exchange)) != 1)


def answers(exchanges):
    """(code, text, response) of each."""
    lines = "".join("%s %s\n" % (exchange["method"].rpartition("/")[2], grpc_expect.messages(exchange)[0].hex())
                    for exchange in exchanges)
    done = subprocess.run([str(PROGRAM)], input=lines.encode(), capture_output=True, cwd=harness.ROOT,
                          timeout=harness.limit(60))
    if done.returncode != 0:
        sys.exit(f"{PROGRAM} ended with {done.returncode}: {done.stderr[-2000:].decode(errors='replace')}")
    for line in done.stdout.decode().splitlines():
        code, _, rest = line.partition(" ")
        code = grpc_expect.CODES[int(code)]
        yield (code, "", bytes.fromhex(rest)) if code == "OK" else (code, rest, b"")


def main():
    with open(TRANSCRIPT, encoding="utf-8") as file:
        exchanges = {exchange["name"]: exchange for exchange in map(json.loads, file)}
    asked = [exchange for exchange in exchanges.values() if is_of_the_codec(exchange)]
    found = list(answers(asked))
    failures = [] if len(found) == len(asked) else [f"{len(found)} answers to {len(asked)} messages"]
    for exchange, answer in zip(asked, found):
        try:
            grpc_expect.check(exchange, exchanges, *answer)
        except grpc_expect.Mismatch as mismatch:
            failures.append(f"{exchange['name']}: {mismatch}")
    for failure in failures:
        print(f"FAIL {failure}")
    print(f"{len(asked) - len(failures)} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
