# SPDX-License-Identifier: Apache-2.0
"""Replays recorded exchanges against a running server and compares the answers.

    python3 tests/conformance/replay.py [--base URL] [--tolerance T] [--only TEXT] FILE..

Each line of a FILE is a JSON object: `name`, `request`, the reference server's `response`,
and `expect`, which says what is right:
  status   a list of the statuses allowed
  compare  predictions  every score within the tolerance of the reference's
           json         the same JSON value
           keys         a JSON object with at least the reference's keys
           error        a JSON object with a non-empty text `error`
           none         the status says it all
  like     name of another exchange, whose recorded response is the reference instead
The last line is `N passed, N failed`; exit code 1 if any failed.
"""
import argparse
import base64
import http.client
import json
import struct
import sys
import urllib.parse

TIMEOUT_SECONDS = 60
JSON_LENGTH = "inference-header-content-length"


class Mismatch(Exception):
    """How an answer differs from what is expected."""


class Message:
    """The headers (lower-case names) and the body of a request or a response."""

    def __init__(self, headers, body):
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @classmethod
    def recorded(cls, record):
        body = record["body"]
        if body is None:
            content = b""
        elif "text" in body:
            content = body["text"].encode()
        else:
            content = base64.b64decode(body["base64"])
        return cls(record["headers"], content)

    def is_binary(self):
        return JSON_LENGTH in self.headers

    def split(self):
        """The JSON part, parsed, and the binary part behind it."""
        end = int(self.headers[JSON_LENGTH]) if self.is_binary() else len(self.body)
        return json.loads(self.body[:end]), self.body[end:]

    def scores(self):
        """Probabilities in row order."""
        document, tail = self.split()
        if "predictions" in document:
            rows = document["predictions"]
            return [p for row in rows for p in (row if isinstance(row, list) else [row])]
        output = document["outputs"][0]
        if output.get("data") is not None:
            return output["data"]
        n = output["parameters"]["binary_data_size"] // 4
        return list(struct.unpack(f"<{n}f", tail[:4 * n]))


def compare_scores(got, want, tolerance):
    if want.is_binary() and not got.is_binary():
        raise Mismatch("the answer is not binary")
    found, expected = got.scores(), want.scores()
    if len(found) != len(expected):
        raise Mismatch(f"{len(found)} scores, not {len(expected)}")
    for row, (a, b) in enumerate(zip(found, expected)):
        if not abs(a - b) <= tolerance:
            raise Mismatch(f"score of row {row} is {a}, not {b}")


def compare_v2_fields(got, want, request):
    """What surrounds the scores in a v2 answer in JSON."""
    found, expected = got.split()[0], want.split()[0]
    for key in ("model_name", "model_version", "parameters"):
        if found.get(key) != expected.get(key):
            raise Mismatch(f"{key} is {found.get(key)!r}, not {expected.get(key)!r}")
    sent_id = request.split()[0].get("id")
    if sent_id and found.get("id") != sent_id:
        raise Mismatch(f"id is {found.get('id')!r}, not {sent_id!r}")
    for key in ("name", "shape", "datatype"):
        a, b = found["outputs"][0].get(key), expected["outputs"][0].get(key)
        if a != b:
            raise Mismatch(f"output {key} is {a!r}, not {b!r}")


def compare(exchange, exchanges, status, got, tolerance):
    """Raises Mismatch unless the answer is as the exchange expects."""
    expect = exchange["expect"]
    if status not in expect["status"]:
        raise Mismatch(f"status {status}, not one of {expect['status']}: {got.body[:160]!r}")
    reference = exchanges[expect["like"]] if "like" in expect else exchange
    want, kind = Message.recorded(reference["response"]), expect["compare"]
    if kind == "none":
        return
    try:
        if kind == "predictions":
            compare_scores(got, want, tolerance)
            is_v2 = exchange["request"]["path"].startswith("/v2")
            if is_v2 and "like" not in expect and not want.is_binary():
                compare_v2_fields(got, want, Message.recorded(exchange["request"]))
            return
        found = json.loads(got.body)
        if kind == "error":
            text = found.get("error") if isinstance(found, dict) else None
            if not (isinstance(text, str) and text):
                raise Mismatch(f"no error text: {got.body[:160]!r}")
        elif kind == "json":
            if found != json.loads(want.body):
                raise Mismatch(f"{got.body[:160]!r}, not {want.body[:160]!r}")
        elif kind == "keys":
            missing = set(json.loads(want.body)) - set(found)
            if missing:
                raise Mismatch(f"without {sorted(missing)}: {got.body[:160]!r}")
        else:
            raise Mismatch(f"unknown comparison {kind!r}")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise Mismatch(f"{type(error).__name__} {error}: {got.body[:160]!r}") from None


def send(host, port, request):
    """(status, answer) of a recorded request."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        body = Message.recorded(request).body if request["body"] is not None else None
        connection.request(request["method"], request["path"], body, request["headers"])
        answer = connection.getresponse()
        return answer.status, Message(dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def replay(path, host, port, tolerance=1e-6, only=""):
    """Replays one file in its order. (number passed, number failed)"""
    with open(path, encoding="utf-8") as lines:
        exchanges = {exchange["name"]: exchange for exchange in map(json.loads, lines)}
    n_passed = n_failed = 0
    for name, exchange in exchanges.items():
        if only not in name:
            continue
        try:
            status, got = send(host, port, exchange["request"])
            compare(exchange, exchanges, status, got, tolerance)
            n_passed += 1
        except (Mismatch, OSError, http.client.HTTPException) as error:
            n_failed += 1
            print(f"FAIL {name}: {error or type(error).__name__}", flush=True)
    return n_passed, n_failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="http://127.0.0.1:8080")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--only", default="", help="only exchanges with this in their name")
    parser.add_argument("files", nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    base = urllib.parse.urlparse(arguments.base)
    totals = [replay(path, base.hostname, base.port or 80, arguments.tolerance, arguments.only)
              for path in arguments.files]
    n_passed, n_failed = (sum(column) for column in zip(*totals))
    print(f"{n_passed} passed, {n_failed} failed")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
