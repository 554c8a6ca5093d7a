# SPDX-License-Identifier: Apache-2.0
"""Logits instead of probabilities: over both protocols, beside requests for probabilities, and
dcnv2-score's."""
import json
import math
import pathlib
import re
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import modelfile
from harness import Server, check
from samples import (COLUMNS, MANY, MANY_SCORES, TWO, V1, V2, bits, check_good, metrics, repeat, scores_of,
                     select, v1_body, v2_binary, v2_document)
from training import BIN, TEST_CSV, folder, score
from wire import Connection, ask, request_bytes

ASK = {"parameters": {"logit": True}}


def v1(columns, key="inputs", **members):
    return json.dumps({key: [columns], **members}).encode()


def v2(columns, **parameters):
    return json.dumps({**v2_document(columns), "parameters": parameters}).encode()


def logits_of(server, columns):
    return scores_of(ask(server, "POST", V1, v1(columns, logit=True)))


def logit(p):
    return math.log(p / (1 - p))


def check_logits(found, probabilities):
    check(len(found) == len(probabilities), f"{len(found)} logits of {len(probabilities)} rows")
    for i, (a, p) in enumerate(zip(found, probabilities)):
        check(abs(a - logit(p)) < 1e-5, f"row {i}: logit {a}, of {p} {logit(p)}")


def test_both_protocols_give_the_same_logits(server):
    found = logits_of(server, MANY)
    check_logits(found, MANY_SCORES)
    for body in (v1(MANY, key="instances", logit=True), b'{"logit": true, ' + v1(MANY)[1:]):
        check(bits(scores_of(ask(server, "POST", V1, body))) == bits(found), "v1")
    answer = ask(server, "POST", V2, v2(MANY, content_type="pd", logit=True))
    check(bits(scores_of(answer)) == bits(found), "v2")
    output, = answer.json()["outputs"]
    check({**output, "data": None} == {"name": "output-0", "shape": [200, 1], "datatype": "FP32",
                                       "parameters": None, "data": None}, f"{output}")
    for output in ({}, {"binary_data_output": True}):
        body, headers = v2_binary(MANY, document={"parameters": {"logit": True, **output}})
        answer = ask(server, "POST", V2, body, headers)
        check(bits(scores_of(answer)) == bits(found), f"v2, binary, {output}")
        check((answer.header("inference-header-content-length") is None) == (not output), f"{output}")
    for row in (0, 77, 199):
        check(bits(logits_of(server, select(MANY, [row]))) == bits(found[row:row + 1]), f"row {row} alone")


def test_false_and_null_are_as_without(server):
    plain = bits(scores_of(ask(server, "POST", V1, v1(MANY))))
    for value in (False, None):
        check(bits(scores_of(ask(server, "POST", V1, v1(MANY, logit=value)))) == plain, f"v1 {value}")
        check(bits(scores_of(ask(server, "POST", V2, v2(MANY, logit=value)))) == plain, f"v2 {value}")


def test_another_type_is_refused(server):
    for value, kind in ((1, "a number"), ("true", "a string"), ([True], "a list"), ({}, "an object")):
        for path, body in ((V1, v1(TWO, logit=value)), (V2, v2(TWO, logit=value))):
            answer = ask(server, "POST", path, body)
            check(answer.status == 400, f"{path}, {value!r}: status {answer.status}")
            check(answer.error() == f'"logit" must be true or false, not {kind}.', answer.error())
    check_good(server)


def test_a_logit_that_is_not_a_number_is_refused(server):
    for price, status in ((3e38, 400), (1e6, 200)):
        answer = ask(server, "POST", V1, v1({**select(MANY, [3]), "price": [price]}, logit=True))
        check(answer.status == status, f"price {price}: status {answer.status}")
        if status == 200:
            check(math.isfinite(scores_of(answer)[0]), f"{answer.body}")


def test_logits_reach_where_probabilities_do_not():
    # The network is p times a weight. Beyond a float the logit is refused, as NaN is; the probability is 1.
    with folder() as here:
        here = pathlib.Path(here)
        modelfile.write_state_dict(here / "m.pt", {"w": ([1, 1], [-120.0])})
        (here / "model.json").write_text(json.dumps(
            {"dcnv2_model": 1, "weights": "m.pt", "columns": [{"name": "p", "type": "number"}], "layers": [
                {"name": "x", "kind": "input", "parts": [{"value": "p"}]},
                {"name": "out", "kind": "output", "input": "x", "weight": "w"}]}))
        with Server("--model-path", here, env={"SPARSE_COLS": None, "DENSE_COLS": None}) as server:
            check(logits_of(server, {"p": [1.0, -0.5, 0.0]}) == [-120, 60, 0], "logits")
            found = scores_of(ask(server, "POST", V1, v1({"p": [1.0, -0.5, 0.0]})))
            check(found[0] < 1.7e-38 and found[1:] == [1, 0.5], f"probabilities {found}")
            beyond = {"p": [1.0, -1e37]}
            check(scores_of(ask(server, "POST", V1, v1(beyond)))[1] == 1, "the probability")
            answer = ask(server, "POST", V1, v1(beyond, logit=True))
            check(answer.status == 400 and "row 2" in answer.error(), f"{answer.status}: {answer.body}")


def test_requests_of_both_kinds_are_scored_together():
    # While the only worker scores a large request the others come, so that it finds all at once.
    large = request_bytes("POST", V1, v1_body(repeat(MANY, 20_000)))
    with Server("--workers", "1") as server:
        wanted = {False: scores_of(ask(server, "POST", V1, v1(MANY))), True: logits_of(server, MANY)}
        before = metrics(server)["dcnv2_score_sum"]
        connections = [Connection(server, 30) for _ in range(40)]
        first = Connection(server, 30)
        first.send(large)
        for i, connection in enumerate(connections):
            rows, asks = [(7 * i + k) % 200 for k in range(1 + i % 5)], i % 3 == 1
            if i == 20:  # one whose row is refused: the others are then scored one by one
                connection.send(request_bytes("POST", V1, v1({**select(MANY, [3]), "price": [3e38]}, logit=True)))
            elif i % 2:
                connection.send(request_bytes("POST", V2, v2(select(MANY, rows), logit=asks)))
            else:
                connection.send(request_bytes("POST", V1, v1(select(MANY, rows), logit=asks)))
        check(first.response().status == 200, "the large one")
        for i, connection in enumerate(connections):
            rows, asks = [(7 * i + k) % 200 for k in range(1 + i % 5)], i % 3 == 1
            answer = connection.response()
            if i == 20:
                check(answer.status == 400, f"out of range: status {answer.status}")
            else:
                check(bits(scores_of(answer)) == bits([wanted[asks][row] for row in rows]), f"request {i}, rows {rows}")
            connection.close()
        first.close()
        check(metrics(server)["dcnv2_score_sum"] > before, "the sum of scores fell: logits are in it")


# ---------------------------------------------------------------- from the weights

def read_safetensors(path):
    """{name: (shape, floats)} of the float tensors."""
    data = path.read_bytes()
    end = 8 + struct.unpack_from("<Q", data)[0]
    found = {}
    for name, tensor in json.loads(data[8:end]).items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            first, last = tensor["data_offsets"]
            found[name] = (tensor["shape"], struct.unpack_from(f"<{(last - first) // 4}f", data, end + first))
    return found


def linear(tensors, name, x):
    (n_out, n_in), weight = tensors[name + ".weight"]
    bias = tensors[name + ".bias"][1]
    return [sum(a * b for a, b in zip(weight[o * n_in:], x)) + bias[o] for o in range(n_out)]


def layer_norm(tensors, name, x):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    weight, bias = tensors[name + ".weight"][1], tensors[name + ".bias"][1]
    return [(v - mean) / math.sqrt(variance + 1e-5) * w + b for v, w, b in zip(x, weight, bias)]


def logit_by_hand(tensors, dense):
    """The published network in double, of values that are all unknown: each table's last row."""
    x0 = [dense]
    for i in range(len(COLUMNS) - 1):
        (n_rows, width), values = tensors[f"embeddings.{i}.weight"]
        x0 += values[(n_rows - 1) * width:]
    cross = x0
    for i in range(sum(re.fullmatch(r"cross_layers\.\d+\.0\.weight", name) is not None for name in tensors)):
        cross = [a + b for a, b in zip(cross, layer_norm(tensors, f"cross_layers.{i}.1",
                                                         linear(tensors, f"cross_layers.{i}.0", cross)))]
    deep = x0
    for name in sorted((name[:-7] for name in tensors if re.fullmatch(r"dnn\.\d+\.weight", name)),
                       key=lambda name: int(name[4:])):
        deep = [max(0, v) for v in linear(tensors, name, deep)]
    return linear(tensors, "output", cross + deep)[0]


def test_the_logit_is_that_of_the_weights(server):
    with folder() as here:
        one = pathlib.Path(here) / "one.safetensors"
        subprocess.run([BIN / "dcnv2-convert", "--model-path", harness.MODEL_PATH, "--encoder-path",
                        harness.ENCODER_PATH, "-o", one], check=True, capture_output=True)
        shown = subprocess.run([BIN / "dcnv2-convert", "--inspect", harness.ENCODER_PATH], check=True,
                               capture_output=True, text=True).stdout
        mean, scale = map(float, re.search(r"mean (\S+), scale (\S+)", shown).groups())
        tensors = read_safetensors(one)
    prices = [0.0, 0.5, 1000.0]
    columns = {name: ["no such value"] * 3 if name != "price" else prices for name in COLUMNS}
    for price, found in zip(prices, logits_of(server, columns)):
        wanted = logit_by_hand(tensors, struct.unpack("f", struct.pack("f", (price - mean) / scale))[0])
        check(abs(found - wanted) < 3e-6 * max(1, abs(wanted)), f"price {price}: {found}, by hand {wanted}")


# ---------------------------------------------------------------- dcnv2-score

def test_the_program_writes_logits_and_measures_probabilities():
    flags = ["--label", "clk"]
    scores, measured = score(None, TEST_CSV, flags=flags)
    logits, again = score(None, TEST_CSV, flags=[*flags, "--logit"])
    check_logits([float(text) for text in logits], [float(text) for text in scores])
    check(measured.split(";")[1:] == again.split(";")[1:] and "log loss" in again, f"{measured}; {again}")


if __name__ == "__main__":
    harness.main(globals())
