# SPDX-License-Identifier: Apache-2.0
"""The Open Inference Protocol (v2): tensors in JSON, and the binary tensor extension."""
import copy
import json
import pathlib
import re
import struct
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from modelfile import WordModel
from samples import (COLUMNS, MANY, MANY_SCORES, ONE, TWO, TWO_SCORES, V2, bits, check_good,
                     check_scores, join_binary, pack_tensor, post_v1, post_v2, scores_of, v2_binary,
                     v2_body, v2_document, v2_tensor)
from wire import ask

BINARY_OUTPUT = {"parameters": {"binary_data_output": True}}


def changed(column, columns=None, **fields):
    """A v2 request with these fields of one tensor set, or removed by None."""
    document = v2_document(columns or TWO)
    for tensor in document["inputs"]:
        if tensor["name"] == column:
            tensor.update(fields)
            for field in [key for key, value in fields.items() if value is None]:
                del tensor[field]
    return document


def by_name_or_number(column):
    """The two ways in which a message may say which tensor it means."""
    return column, f"Input {COLUMNS.index(column) + 1}:"


def check_bad_answer(answer, body, parts):
    """A 400 whose text holds these parts; a tuple stands for any one of its texts."""
    label = repr(body[:100])
    check(answer.status == 400, f"{label}: status {answer.status}: {answer.body[:160]!r}")
    text = answer.error()
    for part in parts:
        choice = part if isinstance(part, tuple) else (str(part),)
        check(any(word in text for word in choice), f"{label}: {part!r} is not in {text!r}")
    check(not re.search("Traceback|Error :|0x[0-9a-f]{6}", text), text)


def check_bad(server, document, *parts):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    check_bad_answer(ask(server, "POST", V2, body), body, parts)


def check_bad_binary(server, document, tail, *parts):
    body, headers = join_binary(document, tail)
    check_bad_answer(ask(server, "POST", V2, body, headers), body, parts)


# ---------------------------------------------------------------- the reply

def test_the_reply_has_kserves_keys_in_its_order(server):
    body = ask(server, "POST", V2, json.dumps({**v2_document(TWO), "id": "a-1"}).encode()).body
    number = rb"0\.\d+"
    check(re.fullmatch(
        rb'\{"model_name":"dcnv2","model_version":null,"id":"a-1","parameters":null,"outputs":\['
        rb'\{"name":"output-0","shape":\[2,1\],"datatype":"FP32","parameters":null,'
        rb'"data":\[' + number + rb"," + number + rb"\]\}\]\}", body), f"{body!r}")


def test_the_binary_reply_has_kserves_keys_in_its_order(server):
    answer = post_v2(server, {**v2_document(TWO), **BINARY_OUTPUT, "id": "a-1"})
    check_scores(scores_of(answer), TWO_SCORES)
    length = int(answer.header("inference-header-content-length"))
    check(answer.body[:length] == b'{"id":"a-1","model_name":"dcnv2","model_version":null,'
          b'"outputs":[{"name":"output-0","shape":[2,1],"datatype":"FP32",'
          b'"parameters":{"binary_data_size":8}}]}', f"{answer.body!r}")
    check(len(answer.body) == length + 8, f"{len(answer.body)} bytes, header of {length}")
    check(answer.header("content-type") == "application/octet-stream",
          f"content type {answer.header('content-type')}")


def test_binary_and_json_replies_hold_the_same_bits(server):
    document = v2_document(MANY)
    plain = scores_of(post_v2(server, document))
    check_scores(plain, MANY_SCORES)
    by_request = {**document, **BINARY_OUTPUT}
    by_output = {**document, "outputs": [{"name": "output-0", "parameters": {"binary_data": True}}]}
    for wanted in (by_request, by_output):
        answer = post_v2(server, wanted)
        check(answer.header("inference-header-content-length"), "the reply is not binary")
        check(bits(scores_of(answer)) == bits(plain), "other bits in the binary reply")


def test_binary_output_can_be_declined(server):
    for extra in ({"parameters": {"binary_data_output": False}},
                  {"outputs": [{"name": "output-0", "parameters": {"binary_data": False}}]},
                  {"outputs": [{"name": "output-0", "parameters": None}]},
                  {"outputs": [{"name": "output-0"}]}, {"outputs": []}, {"outputs": None}):
        answer = post_v2(server, {**v2_document(TWO), **extra})
        check_scores(scores_of(answer), TWO_SCORES)
        check(answer.header("inference-header-content-length") is None, f"{extra}: binary reply")


def test_an_id_is_echoed_and_a_missing_one_is_a_new_uuid(server):
    for sent in ("x", "", "a\"b\\c", "淘宝 😀", "line\nbreak\r\n\t\0\x1f", "\x7f\u2028",
                 "i" * 1_000_000):
        for extra in ({}, BINARY_OUTPUT):
            answer = post_v2(server, {**v2_document(TWO), **extra, "id": sent})
            length = int(answer.header("inference-header-content-length") or len(answer.body))
            found = json.loads(answer.body[:length])["id"]
            # An empty id is no id to KServe, which then makes one.
            check(found == sent or sent == "", f"id {found[:60]!r}, not {sent[:60]!r}")
    seen = set()
    for document in ({**v2_document(TWO), "id": None}, v2_document(TWO)) * 20:
        found = post_v2(server, document).json()["id"]
        parsed = uuid.UUID(found)
        check(str(parsed) == found and parsed.version == 4, f"id {found!r} is no UUID version 4")
        seen.add(found)
    check(len(seen) == 40, "an id came twice")


def test_an_id_that_is_no_text_is_refused(server):
    for sent in (1, 1.5, True, [], {}, ["a"]):
        check_bad(server, {**v2_document(TWO), "id": sent}, "id")


# ---------------------------------------------------------------- tensors in JSON

def test_tensors_in_any_order_and_unknown_ones_are_taken(server):
    document = v2_document(TWO)
    document["inputs"].reverse()
    document["inputs"].insert(3, v2_tensor("unknown", ["a", "b"]))
    document["inputs"].append(v2_tensor("other", [1, 2], "INT64"))
    check_scores(scores_of(post_v2(server, document)), TWO_SCORES)


def test_the_keys_of_a_tensor_may_come_in_any_order(server):
    document = v2_document(TWO)
    document["inputs"] = [dict(reversed(t.items())) for t in document["inputs"]]
    check_scores(scores_of(post_v2(server, dict(reversed(document.items())))), TWO_SCORES)


def test_fields_of_the_client_and_nulls_are_passed_over(server):
    document = {**v2_document(TWO), "model_name": "other", "model_version": None, "outputs": None,
                "from_grpc": False, "parameters": None, "x": {"y": [1]}}
    for tensor in document["inputs"]:
        tensor.update({"parameters": None, "extra": [{}]})
    check_scores(scores_of(post_v2(server, document)), TWO_SCORES)
    for parameters in ({}, {"content_type": "other"}, {"content_type": None}, {"priority": 1}):
        check_scores(scores_of(post_v2(server, {**v2_document(TWO), "parameters": parameters})),
                     TWO_SCORES)


def test_each_datatype_of_json_is_taken_and_a_number_is_read_as_written(server):
    for datatype in ("BYTES", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32",
                     "UINT64", "FP32", "FP64", "BOOL"):
        price = changed("price", datatype=datatype, data=TWO["price"])
        check_scores(scores_of(post_v2(server, price)), TWO_SCORES)
        # Of a narrow type in range; test_category_form.py has the others.
        name = "age_level" if datatype.endswith(("INT8", "INT16")) else "userid"
        numbers = changed(name, datatype=datatype, data=[int(v) for v in TWO[name]])
        check_scores(scores_of(post_v2(server, numbers)), TWO_SCORES)


def test_values_in_json_become_the_texts_that_v1_makes(server):
    for data in ([1, 0], [1.0, 0.0], [1, None], [None, None], [True, False], ["1", 1], [True, 1],
                 ["1.0", None], [1e20, 1], ["", "0"]):
        v1 = scores_of(post_v1(server, {**TWO, "pid": data}))
        v2 = scores_of(post_v2(server, changed("pid", data=data)))
        check(bits(v1) == bits(v2), f"pid {data}: {v2}, v1 {v1}")


def test_a_field_missing_or_of_another_kind_is_refused(server):
    problems = Problems()
    for field, values in (("name", [None, 1, [], {}]), ("datatype", [None, 1, "", "fp32", "STRING",
                          "BF16", "INT", "BYTES ", []]),
                          ("data", [None, 1, "884208", {}, [[]], [{}]]),
                          ("shape", [None, 2, "2", {}, []])):
        for value in values:
            document = changed("userid", **{field: value})
            problems.collect(f"{field} {value!r}", check_bad, server, document)
            if value is None and field != "name":
                document = changed("userid", **{field: 0})
                document["inputs"][0][field] = None
                problems.collect(f"{field} null", check_bad, server, document)
    for inputs in (None, {}, "x", 1, [], [None], [1], ["x"], [[]], [{}], [ONE]):
        problems.collect(f"inputs {str(inputs)[:30]}", check_bad, server, {"inputs": inputs})
    for document in ([], "x", None, 1, {}, {"instances": []}, [v2_document(TWO)]):
        problems.collect(f"{str(document)[:30]}", check_bad, server, document)
    for parameters in (1, "x", [], True):
        problems.collect(f"parameters {parameters!r}", check_bad, server,
                         {**v2_document(TWO), "parameters": parameters})
    for body in (b"", b"{", b'{"inputs": [', v2_body(TWO) + b"x", b"\xef\xbb\xbf" + v2_body(TWO),
                 v2_body(TWO).replace(b"0.1474", b"NaN"), v2_body(TWO).replace(b"884208", b"\xff"),
                 v2_body(TWO).replace(b"0.1474", b"1e400"), b"[" * 100_000):
        problems.collect(repr(body[-40:]), check_bad, server, body)
    problems.collect("afterwards", check_good, server)
    problems.report()


def test_fp16_in_json_is_refused_by_name(server):
    check_bad(server, changed("price", datatype="FP16"), "FP16", "price")


def test_a_shape_that_does_not_fit_the_data_is_refused(server):
    problems = Problems()
    for shape in ([], [0], [-1], [-2], [1], [3], [4], [2, 2], [2, 0], [0, 2], [-1, -2], [1.5],
                  [2.5], ["2"], [None], [True, 2], [[2]], [2 ** 32, 2 ** 32], [2 ** 63],
                  [2 ** 64 + 2],
                  [2 ** 64 - 2, 2 ** 64 - 1], [2 ** 32, 2 ** 32, 2], [2 ** 63, 2, 2],
                  [2, 2 ** 63, 2], [2] * 1000, [-1] * 2 + [2], [2.0, 3]):
        problems.collect(f"shape {str(shape)[:50]}", check_bad, server,
                         changed("brand", shape=shape), by_name_or_number("brand"))
    for data in ([], ["1"], ["1", "2", "3"], [["1"], ["2"]], ["1", ["2"]], [["1", "2"]]):
        problems.collect(f"data {data}", check_bad, server, changed("brand", data=data),
                         by_name_or_number("brand"))
    problems.report()


def test_a_shape_of_n_by_1_is_taken_flat_or_nested(server):
    document = v2_document(TWO)
    for tensor in document["inputs"]:
        tensor["shape"] = [2, 1]
    check_scores(scores_of(post_v2(server, document)), TWO_SCORES)
    for tensor in document["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    check_scores(scores_of(post_v2(server, document)), TWO_SCORES)
    for data in ([["a", "b"]], [["a", "b"], ["c", "d"]], [["a"], []], [[["a"]], [["b"]]], [["a"]],
                 [["a"], ["b"], ["c"]], [["a"], [None, None]]):
        check_bad(server, changed("brand", shape=[2, 1], data=data), by_name_or_number("brand"))


def test_columns_missing_twice_or_of_different_length_are_named(server):
    for name in ("brand", "price"):
        document = v2_document(TWO)
        tensor = next(t for t in document["inputs"] if t["name"] == name)
        document["inputs"].remove(tensor)
        check_bad(server, document, name)
        check_bad(server, {"inputs": document["inputs"] + [tensor, tensor]}, name)
        check_bad(server, changed(name, shape=[1], data=TWO[name][:1]), name)
        check_bad(server, changed(name, shape=[4], data=TWO[name] * 2), name)


def test_a_price_that_is_no_finite_number_is_refused_with_column_and_row(server):
    for value in ("abc", "", "nan", "inf", 1e300):
        check_bad(server, changed("price", data=[TWO["price"][0], value]), "price", 2)


def test_an_unknown_output_is_named_as_kserve_does(server):
    document = {**v2_document(TWO), "outputs": [{"name": "nope"}]}
    text = post_v2(server, document).error()
    check(text == "Unexpected inference output 'nope' for model 'dcnv2'", text)
    both = [{"name": "output-0"}, {"name": "nope"}]
    check_bad(server, {**v2_document(TWO), "outputs": both}, "nope")
    for outputs in ("x", 1, {}, [1], [None], [{}], [{"name": 1}], [{"name": None}]):
        check_bad(server, {**v2_document(TWO), "outputs": outputs})


def test_a_hundred_thousand_tensors_or_outputs_take_linear_time(server):
    tensors = [v2_tensor(f"t{i}", [1, 2], "INT8") for i in range(100_000)]
    for document, statuses in (
            ({"inputs": tensors + v2_document(TWO)["inputs"]}, (200,)),
            ({**v2_document(TWO), "outputs": [{"name": "output-0"}] * 100_000}, (200, 400)),
            ({**v2_document(TWO), "outputs": [{"name": "nope"}] * 100_000}, (400,))):
        body, start = json.dumps(document).encode(), time.monotonic()
        answer = ask(server, "POST", V2, body)
        took = time.monotonic() - start
        check(answer.status in statuses, f"status {answer.status}: {answer.body[:160]!r}")
        check(took < harness.limit(2), f"{took:.1f} s")


# ---------------------------------------------------------------- binary tensors

def test_binary_tensors_give_the_bits_of_json(server):
    for columns in (TWO, MANY):
        plain = scores_of(post_v2(server, v2_document(columns)))
        for document in ({}, BINARY_OUTPUT):
            body, headers = v2_binary(columns, document=document)
            as_json = ("Content-Type", "application/json")
            for sent in (headers, headers[:1], [headers[0], as_json]):
                found = scores_of(ask(server, "POST", V2, body, sent))
                check(bits(found) == bits(plain), f"{headers}: other bits than in JSON")


def test_binary_and_json_tensors_may_be_mixed(server):
    document, tail = v2_document(TWO), b""
    for tensor in document["inputs"][::2]:
        datatype = "FP64" if tensor["name"] == "price" else "BYTES"
        data = pack_tensor(tensor.pop("data"), datatype)
        tensor.update({"datatype": datatype, "parameters": {"binary_data_size": len(data)}})
        tail += data
    body, headers = join_binary(document, tail)
    check_scores(scores_of(ask(server, "POST", V2, body, headers)), TWO_SCORES)


def test_the_length_of_the_json_may_stand_among_blanks(server):
    body, ((name, length), *others) = v2_binary(TWO)
    for written in (f"{length} ", f"  {length}\t ", f"000{length}"):
        check_scores(scores_of(ask(server, "POST", V2, body, [(name, written), *others])), TWO_SCORES)
    for written in ("", " ", f"{length}x", f"{length} 1", f"+{length}", f"-{length}", "0x10"):
        answer = ask(server, "POST", V2, body, [(name, written), *others])
        check(answer.status == 400 and b"is not a number" in answer.body, f"{written!r}: {answer.body[:200]!r}")
    for written in (len(body) + 1, 10**18, 10**40):
        answer = ask(server, "POST", V2, body, [(name, written), *others])
        check(answer.status == 400 and b"is larger than the body" in answer.body, f"{written}: {answer.body[:200]!r}")


def test_data_wins_over_binary_data_size(server):
    document = v2_document(TWO)
    document["inputs"][0]["parameters"] = {"binary_data_size": 5}
    check_scores(scores_of(post_v2(server, document)), TWO_SCORES)


def test_each_binary_datatype_is_read_as_its_type():
    cases = [("BOOL", [True, False], ["True", "False"]), ("FP64", [1.0, 0.1], ["1.0", "0.1"]),
             ("FP32", [1.0, 0.1], ["1.0", "0.10000000149011612"]),
             ("FP16", [1.0, 1.5], ["1.0", "1.5"]),
             ("FP64", [float("nan"), 2.0], ["nan", "2.0"]), ("BYTES", ["1", "é"], ["1", "é"]),
             ("BYTES", ["", "a\0b"], ["", "a\0b"]),
             ("INT64", [-2 ** 63, 1], ["-9223372036854775808", "1"]),
             ("UINT64", [2 ** 64 - 1, 1], ["18446744073709551615", "1"])]
    cases += [(kind, [-1, 1], ["-1", "1"]) for kind in ("INT8", "INT16", "INT32")]
    cases += [(kind, [200, 1], ["200", "1"]) for kind in ("UINT8", "UINT16", "UINT32")]
    with tempfile.TemporaryDirectory() as directory:
        words = {word for _, _, words in cases for word in words}
        model = WordModel(pathlib.Path(directory), words)
        with harness.Server(env=model.env) as server:
            problems = Problems()
            for datatype, values, words in cases:
                body, headers = v2_binary({"word": values, "price": [0.0, 0.0]}, {"word": datatype})
                answer = problems.collect(datatype, ask, server, "POST", V2, body, headers)
                scores = answer and problems.collect(datatype, scores_of, answer)
                if scores:
                    found = [model.word_of(score) for score in scores]
                    problems.check(found == words, f"{datatype} {values}: {found}, not {words}")
            problems.report()


def test_a_binary_price_of_any_type_is_the_number_of_json(server):
    for datatype, values in (("INT8", [-3, 7]), ("UINT8", [3, 200]), ("INT16", [-300, 7]),
                             ("UINT16", [65535, 0]), ("INT32", [-70000, 7]), ("UINT32", [70000, 7]),
                             ("INT64", [-2 ** 53, 7]), ("UINT64", [2 ** 53, 7]),
                             ("FP64", [0.1, 1e-310]), ("FP32", [0.5, 0.25]),
                             ("FP16", [0.5, 2 ** -24]), ("BOOL", [True, False]),
                             ("BYTES", ["0.1", " 1e3 "])):
        body, headers = v2_binary({**TWO, "price": values}, {"price": datatype})
        found = scores_of(ask(server, "POST", V2, body, headers))
        plain = [float(v) if datatype == "BYTES" else v for v in values]
        expected = scores_of(post_v1(server, {**TWO, "price": plain}))
        check(bits(found) == bits(expected), f"{datatype} {values}: {found}, not {expected}")


def test_a_binary_nan_is_a_missing_price_and_an_infinity_is_refused(server):
    expected = scores_of(post_v1(server, {**TWO, "price": [0, 1]}))
    for datatype in ("FP16", "FP32", "FP64"):
        body, headers = v2_binary({**TWO, "price": [float("nan"), 1.0]}, {"price": datatype})
        found = scores_of(ask(server, "POST", V2, body, headers))
        check(bits(found) == bits(expected), f"{datatype} NaN: {found}, not {expected}")
        for value in (float("inf"), float("-inf")):
            body, headers = v2_binary({**TWO, "price": [1.0, value]}, {"price": datatype})
            text = ask(server, "POST", V2, body, headers).error()
            check("price" in text and "2" in text, f"{datatype} {value}: {text}")


def test_a_bad_header_length_is_refused(server):
    body, (right, kind) = v2_binary(TWO)
    n = right[1]
    problems = Problems()
    for value in ("", "-1", "abc", "0", "1", n - 1, n + 1, len(body) + 1, 2 ** 64, 2 ** 64 + n,
                  f"+{n}", f"{n}.0", f"0x{n:x}", f"{n},{n}", f"{n} {n}"):
        answer = ask(server, "POST", V2, body, [(right[0], value), kind])
        problems.check(answer.status == 400, f"length {value!r}: status {answer.status}")
        problems.collect(repr(value), answer.error)
    answer = ask(server, "POST", V2, body, [right, right, kind])
    problems.check(answer.status == 400, f"two lengths: status {answer.status}")
    answer = ask(server, "POST", V2, body, [kind])
    problems.check(answer.status == 400, f"no length: status {answer.status}")
    problems.collect("afterwards", check_good, server)
    problems.report()


def binary_document():
    """(document, tail) of a good request with all tensors binary."""
    body, headers = v2_binary(TWO)
    n = headers[0][1]
    return json.loads(body[:n]), body[n:]


def test_a_bad_binary_size_is_refused(server):
    document, tail = binary_document()
    problems = Problems()
    for size in (-1, 1.5, "16", None, True, [], 0, 15, 17, len(tail), len(tail) + 1, 2 ** 32,
                 2 ** 63,
                 2 ** 64, 2 ** 64 - 1):
        bad = copy.deepcopy(document)
        bad["inputs"][-1]["parameters"]["binary_data_size"] = size
        problems.collect(f"size {size!r}", check_bad_binary, server, bad, tail)
    bad = copy.deepcopy(document)
    for tensor in bad["inputs"]:
        tensor["parameters"]["binary_data_size"] = 2 ** 63
    problems.collect("sizes whose sum overflows", check_bad_binary, server, bad, tail)
    del bad["inputs"][0]["parameters"]
    problems.collect("no size and no data", check_bad_binary, server, bad, tail)
    problems.report()


def test_binary_bytes_left_over_or_missing_are_refused(server):
    document, tail = binary_document()
    for bad in (tail + b"x", tail + b"\0" * 8, tail[:-1], tail[:-8], b""):
        check_bad_binary(server, document, bad)
    check_good(server)


def test_bad_bytes_elements_are_refused(server):
    problems = Problems()
    good = pack_tensor(TWO["brand"], "BYTES")
    for data in (b"", b"\3\0\0", good[:-1], good + b"\0", b"\xff\xff\xff\xff" + good[4:],
                 b"\0\0\0\x80" + good[4:], b"\0\0\0\0" * 3, b"\0\0\0\0", good + b"\0\0\0\0",
                 struct.pack("<I", len(good) - 4) + good[4:],
                 pack_tensor([b"\xff", b"a"], "BYTES"),
                 pack_tensor([b"\xed\xa0\x80", b"a"], "BYTES")):
        document, tail = v2_document(TWO), data
        brand = document["inputs"][COLUMNS.index("brand")]
        del brand["data"]
        brand["parameters"] = {"binary_data_size": len(data)}
        problems.collect(repr(data[:30]), check_bad_binary, server, document, tail,
                         by_name_or_number("brand"))
    problems.collect("afterwards", check_good, server)
    problems.report()


def test_a_shape_that_does_not_fit_binary_data_is_refused(server):
    problems = Problems()
    for shape in ([1], [3], [], [0], [2 ** 62], [2 ** 61, 8], [2 ** 64 + 2], [-2], [2, 2]):
        for name, index in (("price", -1), ("userid", 0)):
            document, tail = binary_document()
            document["inputs"][index]["shape"] = shape
            problems.collect(f"{name} {shape}", check_bad_binary, server, document, tail,
                             by_name_or_number(name))
    problems.report()


def test_a_binary_bool_other_than_0_and_1_is_no_crash(server):
    body, headers = v2_binary({**TWO, "pid": [1, 255]}, {"pid": "UINT8"})
    body = body.replace(b'"UINT8"', b' "BOOL"')
    check(ask(server, "POST", V2, body, headers).status in (200, 400), "BOOL of 255")
    check_good(server)


if __name__ == "__main__":
    harness.main(globals())
