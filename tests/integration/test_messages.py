# SPDX-License-Identifier: Apache-2.0
"""That a refusal tells a client what was read and what to send instead: the header and its value,
the method and the path, the protocol that the body belongs to."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from samples import GOOD_BODY, ONE, TWO, V1, V2, check_good, v1_body, v2_binary, v2_body, v2_document
from wire import ask, exchange

TENSORS = "The body holds tensors of the v2 protocol; they belong to /v2/models/dcnv2/infer."
INSTANCES = "The body holds instances of the v1 protocol; they belong to /v1/models/dcnv2:predict."
SHAPE_OF_AN_INSTANCE = 'expected an object of columns, {"userid": VALUE or [VALUE, ..], ..}.'
NO_NAN = "Unrecognized request format: NaN is not JSON; send null for a missing value: line 1 column "
NO_INFINITY = "Unrecognized request format: Infinity is not JSON; a number must be finite: line 1 column "


def check_error(answer, status, text):
    check(answer.status == status, f"status {answer.status}: {answer.body[:200]!r}")
    check(text in answer.error(), f"{text!r} is not in {answer.error()!r}")
    check(answer.error().isprintable() and len(answer.body) < 500, f"{answer.body!r}")


def check_errors(cases):
    """Of (label, how to get the answer, status, text)."""
    problems = Problems()
    for label, get, status, text in cases:
        problems.collect(label, lambda: check_error(get(), status, text))
    problems.report()


def post(server, path, body, *headers):
    return lambda: ask(server, "POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


# ---------------------------------------------------------------- the wrong method or path

def test_a_method_and_a_path_that_do_not_fit_are_named(server):
    cases = [(f"{method} {path}", lambda m=method, p=path: ask(server, m, p), status, text) for method, path, status, text in (
        ("GET", V1, 404, f'Model with name dcnv2:predict does not exist; "{V1}" takes POST, not GET.'),
        ("HEAD", V1, 404, ""),
        ("GET", "/v1/models/dcnv2:explain", 404, '"/v1/models/dcnv2:explain" takes POST, not GET.'),
        ("GET", "/v1/models/nope:predict/", 404, '"/v1/models/nope:predict/" takes POST, not GET.'),
        ("GET", V2, 405, f'The method "GET" is not allowed on "{V2}"; allowed: OPTIONS, POST.'),
        ("POST", "/v2/health/ready", 405, 'The method "POST" is not allowed on "/v2/health/ready"; allowed: GET, HEAD, OPTIONS.'),
        ("POST", "/v1/models/dcnv2", 405, 'The method "POST" is not allowed on "/v1/models/dcnv2"; allowed: GET, HEAD, OPTIONS.'),
        ("X" * 100, V1, 405, 'The method "' + "X" * 64 + '" is not allowed on'),
        ("GET", "/v1/model/dcnv2", 404, 'The path "/v1/model/dcnv2" does not exist.'),
        ("GET", "/\xff\xe6\xb7\x98", 404, 'The path "/?\u6dd8" does not exist.'),
        ("GET", "/" + "\xe6\xb7\x98" * 100, 404, 'The path "/' + "\u6dd8" * 21 + '" does not exist.'))]
    check_errors([case for case in cases if not case[0].startswith("HEAD")])
    check(ask(server, "HEAD", V1).status == 404, "HEAD")
    for method, path in (("GET", V1), ("HEAD", V1), ("GET", "/v1/models/dcnv2:explain")):
        check(ask(server, method, path).header("allow") == "OPTIONS, POST", f"{method} {path}")
    check(ask(server, "GET", "/v1/models/nope").header("allow") is None, "another model")


def test_a_model_whose_name_ends_as_a_verb_is_still_found():
    with harness.Server("--model_name", "m:predict") as server:
        check(ask(server, "GET", "/v1/models/m:predict").json() == {"name": "m:predict", "ready": True}, "GET")
        check_error(ask(server, "POST", "/v1/models/m:predict", GOOD_BODY), 404, "Model with name m does not exist.")


# ---------------------------------------------------------------- the wrong protocol

def test_a_body_of_the_other_protocol_is_told_its_path(server):
    document, columns = v2_document(ONE), {name: values[0] for name, values in ONE.items()}
    tensor = {"name": "userid", "shape": [1], "datatype": "BYTES", "data": ["884208"]}
    binary, _ = v2_binary(ONE)
    check_errors([
        ("v2 on v1", post(server, V1, document), 400, TENSORS),
        ("v2 as instances", post(server, V1, {"instances": document["inputs"]}), 400, TENSORS),
        ("one tensor", post(server, V1, {"inputs": [tensor]}), 400, TENSORS),
        ("members in another order", post(server, V1, {"inputs": [dict(reversed(tensor.items()))]}), 400, TENSORS),
        ("binary tensors", post(server, V1, binary[:binary.rindex(b"}") + 1]), 400, TENSORS),
        ("no datatype", post(server, V1, {"inputs": [{"name": "userid", "shape": [1], "data": [1]}]}), 400, 'Instance 1: column "userid" is missing.'),
        ("the last of two", post(server, V1, b'{"inputs":[{"name":1,"shape":2,"datatype":3}],"inputs":[{}]}'), 400, 'Instance 1: column "userid"'),
        ("v1 on v2", post(server, V2, {"inputs": [ONE]}), 400, INSTANCES),
        ("rows on v2", post(server, V2, {"inputs": [columns]}), 400, INSTANCES),
        ("instances on v2", post(server, V2, {"instances": [ONE]}), 400, INSTANCES),
        ("instances of anything on v2", post(server, V2, {"instances": 1}), 400, INSTANCES),
        ("a tensor that lacks its name", post(server, V2, {"inputs": [{"shape": [1], "datatype": "BYTES", "data": ["1"]}]}), 400, 'Input 1: "name" is missing.'),
        ("no object", post(server, V2, {"inputs": [["884208"]]}), 400, 'Input 1 is a list; expected a tensor, {"name", "shape", "datatype", "data"}.'),
        ("an empty object", post(server, V2, {"inputs": [{}]}), 400, 'Input 1: "name" is missing.'),
        ("nothing", post(server, V2, {}), 400, '"inputs" is missing.')])
    # A key that v2 passes over stays one.
    for path, body in ((V2, {**v2_document(TWO), "instances": [ONE]}), (V1, {"inputs": [{**TWO, "name": 1, "shape": 2, "datatype": 3}]})):
        check(post(server, path, body)().status == 200, path)
    check_good(server)


def test_what_is_no_instance_is_told_what_one_is(server):
    check_errors([(json.dumps(value), post(server, V1, {"instances": value}), 400, text + SHAPE_OF_AN_INSTANCE) for value, text in (
        ([["884208", "33"]], "Instance 1 is a string in a list; "), ([[1]], "Instance 1 is a number in a list; "),
        (["884208"], "Instance 1 is a string; "), ([None], "Instance 1 is null; "),
        ([ONE, [ONE, 3]], "Instance 3 is a number in a list; "), ([[[ONE]]], "Instance 1 is a list in a list; "))])


def test_nan_and_infinity_are_named(server):
    check_errors([(f"{word} on {path}", post(server, path, body.replace(b"0.1474", word.encode())), 400, text)
                  for word, text in (("NaN", NO_NAN), ("nan", NO_NAN), ("-NaN", NO_NAN), ("Infinity", NO_INFINITY),
                                     ("-Infinity", NO_INFINITY), ("inf", NO_INFINITY))
                  for path, body in ((V1, v1_body(ONE)), (V2, v2_body(ONE)))])


# ---------------------------------------------------------------- headers

def test_a_header_that_is_refused_is_quoted(server):
    def send(lines, start=b"POST " + V1.encode() + b" HTTP/1.1"):
        return lambda: exchange(server, b"\r\n".join([start, b"Host: h", *lines]) + b"\r\n\r\n", 4).first()

    check_errors([
        ("length", send([b"Content-Length: abc"]), 400, 'Content-Length is not a number: "abc".'),
        ("coding", send([b"Transfer-Encoding: gzip, chunked"]), 501, 'not supported: "gzip, chunked".'),
        ("version", send([], b"GET / HTTP/2.0"), 505, 'The HTTP version is not 1.0 or 1.1: "HTTP/2.0".'),
        ("no version", send([], b"GET /"), 400, 'is not METHOD TARGET HTTP/1.1: "GET /".'),
        ("no method", send([], b"GET"), 400, 'The request line has no method: "GET".'),
        ("name", send([b"Content Length: 5"]), 400, 'A header field has a malformed name: "Content Length: 5".'),
        ("control", send([b"X-Trace: a\x01b"]), 400, 'A header field holds a control character: "X-Trace", byte 1.'),
        ("folded", send([b"X: a", b"\tb\xff"]), 400, 'A header field is folded over two lines: "?b?".'),
        ("bare", send([b"X: a\nY: b"]), 400, 'A line of the header does not end in CRLF: "X: a".'),
        ("long", send([b"Content-Length: " + b"9x" * 100]), 400, '"' + "9x" * 32 + '".'),
        ("tls", send([], b"\x16\x03\x01"), 400, "its first byte is 22.")])


def test_a_value_that_is_refused_by_its_meaning_is_quoted(server):
    body, headers = v2_binary(ONE)
    length, good = headers[0][0], v2_document(ONE)
    check_errors([
        ("multipart", post(server, V1, GOOD_BODY, ("Content-Type", "multipart/mixed; b=1")), 415, '"multipart/mixed; b=1"'),
        ("event", post(server, V1, GOOD_BODY, ("Content-Type", "application/cloudevents+json")), 501, '"application/cloudevents+json"'),
        ("no number", post(server, V2, body, (length, "12ab")), 400, f'{length} is not a number: "12ab".'),
        ("no number, large", post(server, V2, v2_body(TWO) * 40, (length, "-1")), 400, f'{length} is not a number: "-1".'),
        ("too large", post(server, V2, b"{}", (length, "600")), 400, f"{length}, 600, is larger than the body of 2 bytes."),
        ("parameters", post(server, V2, {**good, "parameters": []}), 400, '"parameters" must be an object or null, not a list.'),
        ("a switch", post(server, V2, {**good, "parameters": {"binary_data_output": 1}}), 400, '"binary_data_output" must be true or false, not a number.'),
        ("id", post(server, V2, {**good, "id": 5}), 400, '"id" must be a string or null, not a number.'),
        ("outputs", post(server, V2, {**good, "outputs": "x"}), 400, 'Expected "outputs" to be a list, not a string.'),
        ("an output", post(server, V2, {**good, "outputs": ["x"]}), 400, 'Expected "outputs" to be a list of objects; it holds a string.')])


if __name__ == "__main__":
    harness.main(globals())
