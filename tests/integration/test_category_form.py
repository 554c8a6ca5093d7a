# SPDX-License-Identifier: Apache-2.0
"""Ids in another form than the one that was learnt: seen by default, found with --match_numbers
true, by the server and by dcnv2-score alike; tensors in base64; integers out of range."""
import base64
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Load, Problems, check, wait_until
from modelfile import WordModel
from samples import (COLUMNS, ONE, ONE_SCORES, TWO, TWO_SCORES, V2, bits, check_scores, join_binary,
                     metrics, pack_tensor, post_v1, post_v2, scores_of, v2_binary, v2_document, v2_tensor)
from training import BIN, environment, score
from wire import Connection, ask

MATCH = ("--match_numbers", "true")
COUNTER = 'dcnv2_category_form_total{column="word"}'
UNKNOWN = 'dcnv2_out_of_vocabulary_total{column="word"}'
WORDS = ["3.0", "nan", "884208", "7", "7.0", "9007199254740993", "16777216", "007", "x", "0.1"]

# JSON of a value alone, the word by default, the word with --match_numbers true.
VALUES = [
    ("884208", "884208", "884208"), ("884208.0", None, "884208"), ('"884208.0"', None, "884208"),
    ("3", None, "3.0"), ('"3"', None, "3.0"), ("3.0", "3.0", "3.0"), ('"3e0"', None, "3.0"),
    ("null", None, "nan"), ('"None"', None, "nan"), ('"nan"', "nan", "nan"),
    ("7", "7", "7"), ("7.0", "7.0", "7.0"), ('"7.00"', None, "7"),
    ("9007199254740993", "9007199254740993", "9007199254740993"),
    ("9007199254740993.0", None, None), ("9007199254740992.0", None, None),
    ('"007"', "007", "007"), ('"0007"', None, None), ('" 7"', None, None), ('"+7"', None, None),
    ('"x"', "x", "x"), ('"y"', None, None), ("true", None, None), ('"0.10"', None, "0.1"),
]


def word_model(directory):
    return WordModel(pathlib.Path(directory), WORDS)


def post_cells(server, *instances):
    """v1, from the JSON of each instance's values."""
    body = '{"inputs": [%s]}' % ", ".join('{"word": [%s], "price": 0}' % ", ".join(cells) for cells in instances)
    return scores_of(ask(server, "POST", "/v1/models/dcnv2:predict", body.encode()))


def words_of(model, scores):
    return [model.word_of(score) for score in scores]


def column(words, datatype):
    return {"inputs": [v2_tensor("word", words, datatype), v2_tensor("price", [0] * len(words), "FP32")]}


# ---------------------------------------------------------------- forms

def test_each_form_is_unknown_by_default_and_found_if_asked():
    with tempfile.TemporaryDirectory() as directory:
        model = word_model(directory)
        for place, flags in ((1, ()), (1, ("--match_numbers", "false")), (2, MATCH)):
            with harness.Server(*flags, env=model.env) as server:
                problems = Problems()
                for value in VALUES:
                    found = words_of(model, post_cells(server, [value[0]]))
                    problems.check(found == [value[place]], f"{flags}, {value[0]}: {found}, not {value[place]!r}")
                counted = metrics(server)
                n_forms = sum(by_default != matched for _, by_default, matched in VALUES)
                n_unknown = sum(value[place] is None for value in VALUES)
                problems.check(counted[COUNTER] == n_forms, f"{flags}: {counted[COUNTER]} forms, not {n_forms}")
                problems.check(counted[UNKNOWN] == n_unknown, f"{flags}: {counted[UNKNOWN]} unknown, not {n_unknown}")
                problems.report()


def test_a_found_value_has_the_same_bits_alone_and_in_any_batch():
    with tempfile.TemporaryDirectory() as directory:
        model = word_model(directory)
        with harness.Server(*MATCH, env=model.env) as server:
            cells = [value[0] for value in VALUES]
            alone = [post_cells(server, [cell])[0] for cell in cells]
            for batch in ([cells], [[cell] for cell in cells], [cells[:5], cells[5:12], cells[12:]],
                          [list(reversed(cells))]):
                order = [cells.index(cell) for instance in batch for cell in instance]
                check(bits(post_cells(server, *batch)) == bits([alone[i] for i in order]), f"{batch}")
            for i, cell in enumerate(cells):
                for beside in ("null", "2.5", "true", '"y"', "12"):
                    for batch in ([[cell, beside]], [[cell], [beside]]):
                        check(bits(post_cells(server, *batch)[:1]) == bits([alone[i]]), f"{batch}")


def test_tensors_of_numpy_are_found_as_far_as_a_float_can_name_an_integer():
    with tempfile.TemporaryDirectory() as directory:
        model = word_model(directory)
        cases = [("INT64", [884208.0, 3]), ("FP32", [884208.0, 3.0]), ("FP64", [884208.0, 3.0]),
                 ("BYTES", ["884208.0", "3"])]
        sure = [("FP32", None), ("FP64", "16777216")]  # float32(16777217) is 16777216 too
        with harness.Server(env=model.env) as plain, harness.Server(*MATCH, env=model.env) as server:
            for datatype, values in cases:
                found = words_of(model, scores_of(post_v2(plain, column(values, datatype))))
                check(found == [None, "3.0" if datatype in ("FP32", "FP64", "INT64") else None], f"{datatype}: {found}")
                found = words_of(model, scores_of(post_v2(server, column(values, datatype))))
                check(found == ["884208", "3.0"], f"{datatype}: {found}")
                if datatype != "INT64":
                    body, headers = v2_binary({"word": values, "price": [0.0, 0.0]}, {"word": datatype})
                    found = words_of(model, scores_of(ask(server, "POST", V2, body, headers)))
                    check(found == ["884208", "3.0"], f"binary {datatype}: {found}")
            for datatype, word in sure:
                found = words_of(model, scores_of(post_v2(server, column([16777216.0], datatype))))
                check(found == [word], f"{datatype}: {found}")
                body, headers = v2_binary({"word": [16777216.0], "price": [0.0]}, {"word": datatype})
                found = words_of(model, scores_of(ask(server, "POST", V2, body, headers)))
                check(found == [word], f"binary {datatype}: {found}")
            body, headers = v2_binary({"word": [float("nan")], "price": [0.0]}, {"word": "FP32"})
            check(words_of(model, scores_of(ask(server, "POST", V2, body, headers))) == ["nan"], "NaN")


def test_the_demo_model_scores_floats_as_the_texts_that_were_learnt():
    ids = [name for name in COLUMNS if name != "price"]
    floats = {**ONE, **{name: [float(v) for v in ONE[name]] for name in ids}}
    with harness.Server(*MATCH) as server:
        check_scores(scores_of(post_v1(server, floats)), ONE_SCORES)
        document = {"inputs": [v2_tensor(name, values, "FP32") for name, values in floats.items()]}
        check_scores(scores_of(post_v2(server, document)), ONE_SCORES)
        check_scores(scores_of(post_v1(server, TWO)), TWO_SCORES)
        found = metrics(server)
        for name in ids:
            check(found[f'dcnv2_category_form_total{{column="{name}"}}'] == 2, name)


# ---------------------------------------------------------------- the log

def lines_of(server):
    return [line for line in server.log().splitlines() if "was learnt" in line]


def written_lines(server, n):
    """The lines, once there are so many: a thread of their own writes them."""
    wait_until(lambda: len(lines_of(server)) >= n, 5)
    return lines_of(server)


def test_the_log_names_column_value_class_and_what_to_do_once_in_a_while():
    ids = [name for name in COLUMNS if name != "price"]
    floats = {**ONE, **{name: [float(v) for v in ONE[name]] for name in ids}}
    with harness.Server("--workers", 2) as server:
        def step_of(_):
            connection = Connection(server)
            return lambda: scores_of(connection.request("POST", "/v1/models/dcnv2:predict",
                                                    json.dumps({"inputs": [floats]}).encode())) and None
        load = Load(4, step_of)
        wait_until(lambda: load.n_done > 300 or not load.is_running(), 10)
        load.stop()
        lines = written_lines(server, len(ids))
        check(len(lines) in (len(ids), 2 * len(ids)), f"{len(lines)} lines after {load.n_done} requests")
        for name in ids:
            value = ONE[name][0]
            own = [line for line in lines if f'column "{name}": "{value}.0" ' in line]
            check(len(own) in (1, 2), f"{name}: {own}")
            check(f'the same value was learnt as "{value}"' in own[0] and "--match_numbers true" in own[0]
                  and "as the text" in own[0], own[0])
        check(metrics(server)[f'dcnv2_category_form_total{{column="{ids[0]}"}}'] == load.n_done, "count")


def test_a_line_tells_how_many_more_there_are_and_none_is_written_where_they_are_found():
    with tempfile.TemporaryDirectory() as directory:
        model = word_model(directory)
        with harness.Server(env=model.env) as server:
            post_cells(server, ["884208.0", "884208.0", '"y"', "null"])
            line, = written_lines(server, 1)
            check('"884208.0" scores as an unknown value' in line and "(and 2 more like this)" in line, line)
        with harness.Server(*MATCH, env=model.env) as server:
            post_cells(server, ["884208.0"])
            check(metrics(server)[COUNTER] == 1, "count")
            server.stop()
            check(lines_of(server) == [], server.log())


# ---------------------------------------------------------------- dcnv2-score

def test_dcnv2_score_finds_what_the_server_finds():
    texts = ["884208", "884208.0", "3", "3.0", "3e0", "7", "7.0", "7.00", "9007199254740993", "9007199254740993.0",
             "007", "0007", "+7", " 7", "x", "y", "0.10", "True", "1e400"]
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        model = word_model(directory)
        subprocess.run([BIN / "dcnv2-convert", "--model-path", model.model_path, "--encoder-path", model.encoder_path,
                        "-o", folder / "model.safetensors"], check=True, env=environment(), capture_output=True)
        data = folder / "rows.csv"
        data.write_text("word,price\n" + "".join(f"{text},0\n" for text in [*texts, "", "nan", "None"]))
        for flags, tool_flags in (((), ()), (MATCH, ["--match-numbers"])):
            with harness.Server(*flags, env=model.env) as server:
                served = post_cells(server, [json.dumps(text) for text in texts])
            scores, err = score(folder, data, flags=tool_flags)
            found = [float(text) for text in scores]
            n = len(texts)
            check(bits(found[:n]) == bits(served), f"{flags}: {words_of(model, found[:n])}, {words_of(model, served)}")
            check(words_of(model, found[n:]) == ["nan"] * 3, f"missing: {words_of(model, found[n:])}")
            told = "; 5 values score as unknown, but were learnt in another form (3, 3.0), most in column word: --match-numbers"
            check((told in err) == (not flags), err)


def test_dcnv2_score_finds_a_missing_value_that_was_learnt_as_None():
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        model = WordModel(folder, ["None", "1"])
        data = folder / "rows.csv"
        data.write_text("word,price\n,0\nnan,0\nNone,0\n1.0,0\n")
        subprocess.run([BIN / "dcnv2-convert", "--model-path", model.model_path, "--encoder-path", model.encoder_path,
                        "-o", folder / "model.safetensors"], check=True, env=environment(), capture_output=True)
        for flags, expected in (([], [None, None, "None", None]), (["--match-numbers"], ["None", "None", "None", "1"]),
                                (["--match-numbers=false"], [None, None, "None", None])):
            scores, _ = score(folder, data, flags=flags)
            found = words_of(model, map(float, scores))
            check(found == expected, f"{flags}: {found}")


# ---------------------------------------------------------------- content types

def encoded(values):
    return [base64.b64encode(str(value).encode()).decode() for value in values]


def base64_document(columns, content_type="base64"):
    document = v2_document(columns)
    for tensor in document["inputs"]:
        if tensor["name"] != "price":
            tensor.update(parameters={"content_type": content_type},
                          data=encoded(tensor["data"]) if content_type == "base64" else tensor["data"])
    return document


def test_base64_is_decoded_as_MLServers_clients_mean_it(server):
    check_scores(scores_of(post_v2(server, base64_document(TWO))), TWO_SCORES)
    plain = scores_of(post_v2(server, v2_document(TWO)))
    check(bits(scores_of(post_v2(server, base64_document(TWO)))) == bits(plain), "other bits")
    first = [dict(sorted(tensor.items(), key=lambda item: item[0] == "data"))
             for tensor in base64_document(TWO)["inputs"]]  # parameters before data
    check(bits(scores_of(post_v2(server, {"inputs": first}))) == bits(plain), "other bits")


def test_base64_in_binary_tensors(server):
    tensors, tail = [], b""
    for name, values in TWO.items():
        datatype = "FP64" if name == "price" else "BYTES"
        data = pack_tensor(values if name == "price" else encoded(values), datatype)
        parameters = {"binary_data_size": len(data), **({} if name == "price" else {"content_type": "base64"})}
        tensors.append({"name": name, "shape": [2], "datatype": datatype, "parameters": parameters})
        tail += data
    body, headers = join_binary({"inputs": tensors}, tail)
    check_scores(scores_of(ask(server, "POST", V2, body, headers)), TWO_SCORES)


def test_requests_of_one_connection_have_each_their_own_content_type(server):
    """What a worker remembers of how tensors began must not carry over."""
    plain = bits(scores_of(post_v2(server, v2_document(TWO))))
    connection = Connection(server)
    for content_type in ("base64", "str", "base64", "np", "pd", "base64", "datetime", "base64", "str"):
        for _ in range(2):
            answer = connection.request("POST", V2, json.dumps(base64_document(TWO, content_type)).encode())
            if content_type == "datetime":
                check(answer.status == 400 and "datetime" in answer.error(), f"{answer.status}")
            else:
                check(bits(scores_of(answer)) == plain, f"{content_type}: other scores")
    connection.close()


def refused(server, document, *parts):
    answer = post_v2(server, document)
    check(answer.status == 400, f"status {answer.status}: {answer.body[:160]!r}")
    check(all(part in answer.error() for part in parts), f"{answer.error()!r} lacks one of {parts}")


def with_tensor(name, **fields):
    document = v2_document(TWO)
    for tensor in document["inputs"]:
        if tensor["name"] == name:
            tensor.update(fields)
    return document


def test_what_cannot_be_decoded_is_refused_by_input_and_row(server):
    said = {"content_type": "base64"}
    for data, words in ((["MQ==", "1"], 'Input "pid", row 2'), (["/w==", "MQ=="], 'Input "pid", row 1'),
                        (["MQ==", 1], 'Input "pid", row 2')):
        refused(server, with_tensor("pid", parameters=said, data=data), words, "base64")
    refused(server, with_tensor("pid", parameters=said, datatype="INT64", data=[1, 1]), 'Input "pid"', "BYTES")
    for name in ("datetime", "pil_image", "BASE64", "text/plain"):
        refused(server, with_tensor("pid", parameters={"content_type": name}), 'Input "pid"', f'"{name}"', "str, np, pd and base64")
    refused(server, with_tensor("pid", parameters={"content_type": 1}), "content_type")


def test_the_content_type_of_the_request_is_not_a_tensors(server):
    for name in ("pd", "np", "base64", "other"):
        check_scores(scores_of(post_v2(server, {**v2_document(TWO), "parameters": {"content_type": name}})), TWO_SCORES)


# ---------------------------------------------------------------- ranges

def test_an_integer_out_of_range_is_refused_by_input_row_value_and_range(server):
    for datatype, value, limits in (("INT8", 884208, "-128 to 127"), ("UINT8", -1, "0 to 255"),
                                    ("INT32", 2**31, "-2147483648 to 2147483647"),
                                    ("UINT64", 2**64, "0 to 18446744073709551615"),
                                    ("INT64", -2**63 - 1, "-9223372036854775808 to 9223372036854775807")):
        refused(server, with_tensor("userid", datatype=datatype, data=[1, value]),
                f'Input "userid", row 2: {value} is outside the range of {datatype}, {limits}.')
        refused(server, with_tensor("userid", datatype=datatype, shape=[2, 1], data=[[value], [1]]), "row 1")
    unknown = scores_of(post_v2(server, with_tensor("userid", data=["unknown", "unknown"])))
    as_float = with_tensor("userid", datatype="INT64", data=[float(v) for v in TWO["userid"]])
    check(bits(scores_of(post_v2(server, as_float))) == bits(unknown), "a float in INT64 is taken as written")


if __name__ == "__main__":
    harness.main(globals())
