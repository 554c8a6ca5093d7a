# SPDX-License-Identifier: Apache-2.0
"""Requests of the demo model with the scores that the reference gave for them, and how to
write such requests in each protocol.

Columns are a dict of lists, {"userid": ["884208", ..], .., "price": [0.1474, ..]}; all
values are taken from the recorded exchanges in conformance/data/kserve-small.jsonl.
"""
import json
import struct

from harness import ROOT, Failure, check
from wire import ask

V1 = "/v1/models/dcnv2:predict"
V2 = "/v2/models/dcnv2/infer"
TRANSCRIPT = ROOT / "tests/conformance/data/kserve-small.jsonl"
TOLERANCE = 1e-6


def _recorded():
    lines = TRANSCRIPT.read_text(encoding="utf-8").splitlines()
    return {record["name"]: record for record in map(json.loads, lines)}


def _columns_and_scores(record):
    columns = json.loads(record["request"]["body"]["text"])["inputs"][0]
    answer = json.loads(record["response"]["body"]["text"])
    return columns, [row[0] for row in answer["predictions"]]


_records = _recorded()
ONE, ONE_SCORES = _columns_and_scores(_records["v1 inputs one row"])
TWO, TWO_SCORES = _columns_and_scores(_records["v1 two rows"])
MANY, MANY_SCORES = _columns_and_scores(_records["v1 200 rows"])
COLUMNS = list(ONE)


def select(columns, rows):
    """The rows of these numbers."""
    return {name: [values[i] for i in rows] for name, values in columns.items()}


def repeat(columns, n_rows):
    """As many rows, taken from the front again and again."""
    n = len(columns["price"])
    return select(columns, [i % n for i in range(n_rows)])


def v1_body(*instances, key="inputs"):
    return json.dumps({key: list(instances)}).encode()


def v2_tensor(name, values, datatype="BYTES"):
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}


def v2_document(columns):
    """A v2 request as an object, for a test to change."""
    return {"inputs": [v2_tensor(name, values) for name, values in columns.items()],
            "parameters": {"content_type": "pd"}}


def v2_body(columns):
    return json.dumps(v2_document(columns)).encode()


PACKED = {"BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B",
          "UINT16": "H", "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"}


def pack_tensor(values, datatype):
    """The bytes of a binary tensor."""
    if datatype == "BYTES":
        texts = [v if isinstance(v, bytes) else str(v).encode() for v in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack(f"<{len(values)}{PACKED[datatype]}", *values)


def v2_binary(columns, datatypes=None, document=None):
    """(body, headers) with all tensors behind the JSON; price is FP64 unless told."""
    datatypes = {"price": "FP64", **(datatypes or {})}
    tensors, tail = [], b""
    for name, values in columns.items():
        datatype = datatypes.get(name, "BYTES")
        data = pack_tensor(values, datatype)
        tensors.append({"name": name, "shape": [len(values)], "datatype": datatype,
                        "parameters": {"binary_data_size": len(data)}})
        tail += data
    return join_binary({"inputs": tensors, **(document or {})}, tail)


def join_binary(document, tail):
    """(body, headers) of a v2 request with a binary part."""
    head = json.dumps(document).encode()
    return head + tail, [("Inference-Header-Content-Length", len(head)),
                         ("Content-Type", "application/octet-stream")]


def scores_of(answer):
    """The probabilities of a v1 or v2 answer, JSON or binary."""
    check(answer.status == 200, f"status {answer.status}: {answer.body[:160]!r}")
    length = answer.header("inference-header-content-length")
    try:
        head = json.loads(answer.body[:int(length)] if length else answer.body)
        if "predictions" in head:
            return [row[0] for row in head["predictions"]]
        output = head["outputs"][0]
        if "data" in output:
            return output["data"]
        size = output["parameters"]["binary_data_size"]
        return list(struct.unpack(f"<{size // 4}f", answer.body[int(length):]))
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise Failure(f"not an answer with scores ({error!r}): {answer.body[:160]!r}") from None


def check_scores(found, expected, tolerance=TOLERANCE):
    check(len(found) == len(expected), f"{len(found)} scores, not {len(expected)}")
    for i, (a, b) in enumerate(zip(found, expected)):
        check(isinstance(a, (int, float)) and abs(a - b) <= tolerance,
              f"score {i} is {a}, not {b}")


def bits(scores):
    """The scores as float32 bytes: equal only if every bit is."""
    return struct.pack(f"<{len(scores)}f", *scores)


GOOD_BODY = v1_body(TWO)


def check_good(server):
    """A good request on a new connection is answered as it should."""
    check_scores(scores_of(ask(server, "POST", V1, GOOD_BODY)), TWO_SCORES)


def post_v1(server, *instances, **options):
    return ask(server, "POST", V1, v1_body(*instances), **options)


def post_v2(server, document, **options):
    return ask(server, "POST", V2, json.dumps(document).encode(), **options)


def metrics(server):
    """{'name{labels}': value} of /metrics."""
    answer = ask(server, "GET", "/metrics")
    check(answer.status == 200, f"/metrics: status {answer.status}")
    found = {}
    for line in answer.body.decode().splitlines():
        if line and not line.startswith("#"):
            key, value = line.rsplit(" ", 1)
            check(key not in found, f"metric {key} stands twice")
            found[key] = float(value)
    return found
