# SPDX-License-Identifier: Apache-2.0
"""The command line and the environment: what is accepted, exit codes, one-line messages,
and model files that must be refused before the port is opened."""
import math
import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import modelfile
from harness import ENCODER_PATH, MODEL_ENV, MODEL_PATH, Problems, check, free_port, run_server
from modelfile import Call, Name, WordModel, encoder_pickle, network_tensors, write_state_dict
from samples import GOOD_BODY, TWO_SCORES, V1, check_good, check_scores, metrics, post_v1, scores_of
from wire import ask

DENSE = MODEL_ENV["DENSE_COLS"]
SPARSE = MODEL_ENV["SPARSE_COLS"].split(",")
KSERVE_FLAGS = [
    ["--max_threads", "4"],
    ["--max_asyncio_workers", "5"], ["--enable_docs_url", "true"],
    ["--enable_latency_logging", "false"], ["--configure_logging", "true"],
    ["--log_config_file", "/nowhere.yaml"], ["--access_log_format", "%s"], ["--event-loop", "auto"],
    ["--timeout-keep-alive", "65"], ["--predictor_host", "h"], ["--protocol", "v2"],
    ["--predictor_protocol", "v2"], ["--predictor_use_ssl", "false"],
    ["--predictor_request_timeout_seconds", "600"], ["--predictor_request_retries", "0"],
    ["--enable_predictor_health_check"], ["--grpc_max_send_message_length", "8388608"],
    ["--grpc_max_receive_message_length", "8388608"], ["--model_dir", "/mnt/models"],
    ["--model_class_name", "M"], ["--nthread", "1"], ["--nthreads", "1"], ["--framework", "sklearn"],
]


def check_one_line(text, label):
    lines = text.splitlines()
    check(len(lines) == 1 and lines[0].strip(), f"{label}: stderr is {text[:300]!r}")
    return lines[0]


def check_usage_error(*flags, env=None, names=()):
    """Exit code 2, nothing on stdout, one line on stderr that names what is wrong."""
    label = f"{list(flags)} {env or ''}"
    code, out, err = run_server(*flags, env=env, timeout=5)
    check(code == 2, f"{label}: exit code {code}: {err[:300]!r}")
    check(out == "", f"{label}: stdout is {out[:100]!r}")
    line = check_one_line(err, label)
    for name in names:
        check(name in line, f"{label}: {name!r} is not in {line!r}")


def check_refused_model(file, *flags, env=None, names=()):
    """Exit code 1 with one line `FILE: REASON`, which names these."""
    port = free_port()
    code, out, err = run_server("--http_port", port, *flags, env=env, timeout=5)
    check(code == 1, f"{file}: exit code {code}: {err[:300]!r}")
    check(out == "", f"{file}: stdout is {out[:100]!r}")
    line = check_one_line(err, file)
    check(f"{file}: " in line, f"{str(file)!r} is not in {line!r}")
    check(not re.search("0x[0-9a-f]{6}|Error:|Traceback|listening", line), line)
    for name in names:
        check(str(name) in line, f"{file}: {name!r} is not in {line!r}")


# ---------------------------------------------------------------- flags and environment

def test_help_and_version_go_to_stdout():
    code, out, err = run_server("--help", env={name: None for name in MODEL_ENV})
    check(code == 0 and err == "", f"--help: exit code {code}, stderr {err[:100]!r}")
    for flag in ("http_port", "model_name", "workers", "model-path", "encoder-path", "dense-cols",
                 "sparse-cols", "max_body_bytes", "max_rows", "log_level", "log_format",
                 "access_log",
                 "enable_model_repository", "ready_needs_model", "min_body_rate",
                 "match_numbers", "grace_period", "drain_wait", "body_timeout",
                 "header_timeout", "idle_timeout", "max_connections", "cors_origin", "help",
                 "version"):
        check(f"--{flag}" in out, f"--help says nothing of --{flag}")
    for name in MODEL_ENV:
        check(name in out, f"--help says nothing of {name}")
    code, out, err = run_server("--version", env={name: None for name in MODEL_ENV})
    check(code == 0 and err == "", f"--version: exit code {code}, stderr {err[:100]!r}")
    check(re.search(r"\d+\.\d+\.\d+", out) and out.count("\n") == 1, f"--version: {out!r}")


def test_unknown_flags_and_words_are_usage_errors():
    for flag in ("--nope", "--nope=1", "--http-portt", "-x", "nope", "--", "-", "---http_port",
                 "--HTTP_PORT", "--http_portx=1"):
        check_usage_error(flag, names=[flag.split("=")[0]] if len(flag) > 2 else [])


def test_missing_and_empty_values_are_usage_errors():
    problems = Problems()
    for flag in ("--http_port", "--model_name", "--workers", "--model-path", "--encoder-path",
                 "--dense-cols", "--sparse-cols", "--max_body_bytes", "--max_rows", "--log_level",
                 "--log_format", "--access_log", "--enable_model_repository",
                 "--ready_needs_model", "--grace_period",
                 "--drain_wait", "--body_timeout", "--header_timeout", "--idle_timeout",
                 "--max_connections"):
        for flags in ([flag], [flag, ""], [flag + "="]):
            problems.collect(str(flags), check_usage_error, *flags)
        problems.collect(flag, check_usage_error, flag, "--workers", "1")
    problems.report()


def test_bad_numbers_are_usage_errors():
    problems = Problems()
    for flag in ("--http_port", "--workers", "--max_body_bytes", "--max_rows", "--max_connections",
                 "--grace_period", "--drain_wait", "--body_timeout", "--header_timeout",
                 "--idle_timeout"):
        for value in ("abc", "-1", "1x", "0x10", "1e3", "1.5.5", " ", "99999999999999999999", "--5",
                      "1,2", "nan"):
            problems.collect(f"{flag} {value!r}", check_usage_error, f"{flag}={value}")
    for flag, value in (("--http_port", "0"), ("--http_port", "65536"), ("--workers", "0"),
                        ("--max_body_bytes", "0"), ("--max_rows", "0"), ("--max_connections", "0")):
        problems.collect(f"{flag} {value}", lambda: check_usage_error(flag, value, names=[flag]))
    problems.report()


def test_origins_that_no_browser_sends_are_usage_errors():
    for value in ("shop.example", "https://shop.example/", "https://", "://h", "https://Shop.example", "https://h/path",
                  "*,https://h", "https://h,,http://i", "null", "https://h\r\nX: 1", "https://h " + "x",
                  "https://" + "a" * 248):
        check_usage_error("--cors_origin", value, names=["--cors_origin=", "expected * or origins such as https://example.com"])


def test_bad_words_are_usage_errors():
    for flag, value in (("--log_level", "loud"), ("--log_format", "xml"), ("--access_log", "maybe"),
                        ("--enable_model_repository", "2"),
                        ("--ready_needs_model", "maybe"), ("--log_level", "INFOO")):
        check_usage_error(flag, value, names=[value])


def test_an_empty_environment_value_is_a_usage_error():
    for name in MODEL_ENV:
        check_usage_error(env={name: ""}, names=[name])


def test_each_way_to_write_a_flag_is_accepted():
    dense, sparse = ["--dense-cols", DENSE], ["--sparse-cols", *SPARSE]
    empty = {name: None for name in MODEL_ENV}
    paths = ["--model-path", MODEL_PATH, f"--encoder-path={ENCODER_PATH}"]
    for flags in ([*paths, *dense, *sparse], [*paths, *sparse, *dense],
                  [*paths, f"--dense-cols={DENSE}", "--sparse-cols=" + ",".join(SPARSE)],
                  [*sparse, "--workers", "1", *dense, *paths],
                  ["--sparse-cols", ",".join(SPARSE[:5]), ",".join(SPARSE[5:]), *dense, *paths],
                  paths):
        with harness.Server(*flags, env=empty) as server:
            check_good(server)


def test_a_flag_beats_the_environment():
    wrong = {"MODEL_PATH": "/nowhere", "ENCODER_PATH": "/nowhere", "DENSE_COLS": "no",
             "SPARSE_COLS": "no,nope"}
    with harness.Server("--model-path", MODEL_PATH, "--encoder-path", ENCODER_PATH, "--dense-cols",
                        DENSE, "--sparse-cols", *SPARSE, env=wrong) as server:
        check_good(server)


def test_column_lists_that_are_not_given_come_from_the_encoder_file():
    with harness.Server(env={"DENSE_COLS": None, "SPARSE_COLS": None}) as server:
        check_good(server)


def test_the_environment_of_kserve_is_accepted():
    with harness.Server(env={"PROTOCOL": "v2", "STORAGE_URI": "pvc://x", "PORT": "9",
                             "K_SERVICE": "s", "HTTP_PORT": "1"}) as server:
        check_good(server)


def test_kserves_other_flags_are_accepted_without_effect():
    with harness.Server(*[word for flag in KSERVE_FLAGS for word in flag]) as server:
        check_good(server)
    with harness.Server(*["=".join(flag) for flag in KSERVE_FLAGS if len(flag) == 2],
                        "--log_level", "debug", "--log_format", "json") as server:
        check_good(server)


def test_each_flag_without_effect_is_named_once_in_the_log():
    given = [word for flag in KSERVE_FLAGS for word in flag] + ["--model_dir=/again", "--event_loop", "auto"]
    with harness.Server(*given) as server:
        check(harness.wait_until(lambda: "listening" in server.log(), 2), server.log())
        warnings = [line for line in server.log().splitlines() if " warning " in line]
        for name in (*(flag[0] for flag in KSERVE_FLAGS), "--event_loop"):
            lines = [line for line in warnings if line.endswith(f" {name} has no effect here")]
            check(len(lines) == 1, f"{name}: {warnings}")
        check(len(warnings) == len(KSERVE_FLAGS) + 1, f"{warnings}")


def test_a_flag_that_asks_for_tls_is_not_passed_over():
    for flag in ("--ssl_certfile", "--ssl_keyfile"):
        check_usage_error(flag, "/cert.pem", names=[f"unknown flag {flag}"])


def test_the_last_one_of_a_repeated_flag_wins():
    with harness.Server("--model_name=first", "--model_name=second", "--model_name", "dcnv2",
                        "--sparse-cols", "no,such", "--sparse_cols", *SPARSE) as server:
        check_good(server)


def test_a_flag_may_be_spelt_with_dashes_or_underscores():
    with harness.Server("--model-name", "m", "--model_path", MODEL_PATH, "--max-rows=1") as server:
        check(ask(server, "GET", "/v1/models/m").status == 200, "the model has another name")
        check(ask(server, "POST", "/v1/models/m:predict", GOOD_BODY).status == 413, "two rows are read")


def test_a_misspelt_flag_is_answered_with_the_nearest():
    for flag, nearest in (("--max_row", "--max_rows"), ("--http-portt", "--http_port"),
                          ("--HTTP_PORT", "--http_port"), ("--modelpath=x", "--model-path"),
                          ("--spare-cols", "--sparse-cols"), ("-workers", "--workers")):
        check_usage_error(flag, names=[f"unknown flag {flag.split('=')[0]}; did you mean {nearest}?"])
    for flag in ("--nope", "--grpc_maximum", "--x", "--" + "a" * 3000):
        code, _, err = run_server(flag, timeout=5)
        check(code == 2 and "unknown flag --" in err and "did you mean" not in err and len(err) < 200, err)


def test_a_value_that_begins_with_a_dash_is_given_behind_an_equals_sign():
    check_usage_error("--sparse-cols", "-a", names=["--sparse-cols", "--sparse-cols=VALUE"])
    check_usage_error("--sparse-cols", "a", "-b", names=["unknown flag -b"])
    check_refused_model(ENCODER_PATH, "--sparse-cols=-a", names=['"-a" has no encoder'])


def test_what_a_terminal_would_obey_is_escaped_in_the_log():
    with harness.Server("--model_name", "a\u009b2Jb\u202ec") as server:
        check(server.logs("model a\\u009b2Jb\\u202ec,"), repr(server.log()))


def test_every_log_level_and_format_serves_and_says_that_it_listens():
    for level in ("debug", "info"):
        for kind in ("text", "json"):
            with harness.Server("--log_level", level, "--log_format", kind) as server:
                check(harness.wait_until(lambda: "listening" in server.log(), 2), server.log())
                line = next(x for x in server.log().splitlines() if "listening" in x)
                check(str(server.port) in line, line)
    for level in ("warning", "error"):
        with harness.Server("--log_level", level) as server:
            check_good(server)
            check("listening" not in server.log(), server.log())


def test_the_access_log_is_off_unless_asked_for():
    for flags, expected in (([], 0), (["--access_log", "false"], 0), (["--access_log", "true"], 3)):
        with harness.Server(*flags) as server:
            for _ in range(3):
                ask(server, "POST", V1, GOOD_BODY)
            harness.wait_until(lambda: server.log().count(":predict") >= expected, 2)
            found = sum(":predict" in line for line in server.log().splitlines())
            check(found == expected, f"{flags}: {found} lines: {server.log()}")


def test_a_port_that_is_taken_is_named():
    with harness.Server() as server:
        code, out, err = run_server("--http_port", server.port, timeout=5)
        check(code == 1 and out == "", f"exit code {code}, stdout {out!r}")
        check(str(server.port) in check_one_line(err, "port taken"), err)
        check_good(server)


# ---------------------------------------------------------------- model files

def test_files_that_are_no_model_files_are_refused():
    html = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    problems = Problems()
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        os.mkfifo(folder / "fifo")
        (folder / "a-folder").mkdir()
        for name, data in (("empty", b""), ("one-byte", b"P"), ("page", html), ("pointer", pointer),
                           ("zeros", b"\0" * 100_000), ("zip-start", b"PK\x03\x04" + b"\0" * 100),
                           ("pickle-start", b"\x80\x04"), ("text", b"hello\n")):
            (folder / name).write_bytes(data)
        names = sorted(path.name for path in folder.iterdir()) + ["missing", "missing/x"]
        for path in [folder / name for name in names] + [pathlib.Path("/dev/zero"),
                                                         pathlib.Path("/dev/null")]:
            for flag in ("--model-path", "--encoder-path"):
                problems.collect(f"{flag} {path.name}", check_refused_model, path, flag, path)
        if os.geteuid() != 0:
            (folder / "text").chmod(0)
            problems.collect("unreadable", check_refused_model, folder / "text", "--model-path",
                             folder / "text")
    problems.report()


def test_swapped_files_are_refused():
    check_refused_model(ENCODER_PATH, "--model-path", ENCODER_PATH, "--encoder-path", MODEL_PATH)
    check_refused_model(MODEL_PATH, "--encoder-path", MODEL_PATH)


def test_cut_files_are_refused():
    problems = Problems()
    with tempfile.TemporaryDirectory() as directory:
        for flag, path in (("--model-path", MODEL_PATH), ("--encoder-path", ENCODER_PATH)):
            data, cut = path.read_bytes(), pathlib.Path(directory) / path.name
            n = len(data)
            for size in (4, 100, 1000, n // 4, n // 2, n - 1000, n - 22, n - 2, n - 1):
                cut.write_bytes(data[:size])
                problems.collect(f"{path.name} cut to {size}", check_refused_model, cut, flag, cut)
            cut.write_bytes(data + b"x")
            if flag == "--encoder-path":
                problems.collect("a byte behind", check_refused_model, cut, flag, cut)
    problems.report()


def test_a_changed_byte_is_refused_or_changes_nothing():
    data = MODEL_PATH.read_bytes()
    step = len(data) // (400 if harness.LONG else 12)
    problems = Problems()
    with tempfile.TemporaryDirectory() as directory:
        bad = pathlib.Path(directory) / "weights.pth"
        for at in range(step // 2, len(data), step):
            bad.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:])
            try:
                with harness.Server("--model-path", bad) as server:
                    check_good(server)
            except harness.Failure as failure:
                problems.check("exit code 1" in str(failure), f"byte {at}: {failure}")
    problems.report()


def test_columns_that_do_not_fit_the_files_are_refused_by_name():
    def lists(dense=DENSE, sparse=SPARSE):
        return {"DENSE_COLS": dense, "SPARSE_COLS": ",".join(sparse)}

    check_refused_model(ENCODER_PATH, env=lists(sparse=[*SPARSE[:-1], "nope"]), names=["nope"])
    for env in (lists(sparse=SPARSE[:-1]), lists(sparse=[*SPARSE, "price"]),
                lists(sparse=[*reversed(SPARSE)]), lists(dense="price,price2"),
                lists(sparse=[*SPARSE[:-1], SPARSE[0]])):
        code, _, err = run_server("--http_port", free_port(), env=env, timeout=5)
        check(code in (1, 2), f"{env}: exit code {code}: {err[:200]}")
        check_one_line(err, str(env))


class MadeFiles:
    """Small files of two category columns, of which a test changes one thing."""

    def __init__(self, directory):
        self.model_path = pathlib.Path(directory) / "made.pth"
        self.encoder_path = pathlib.Path(directory) / "made.pkl"
        self.tensors = network_tensors([[0.0, 1.0, 2.0], [0.0, 4.0]])
        self.vocabularies = {"first": ["a", "b"], "second": ["x"]}
        self.env = {"MODEL_PATH": str(self.model_path), "ENCODER_PATH": str(self.encoder_path),
                    "DENSE_COLS": None, "SPARSE_COLS": None}

    def write(self):
        write_state_dict(self.model_path, self.tensors)
        self.encoder_path.write_bytes(encoder_pickle(self.vocabularies))


def test_files_that_do_not_belong_together_are_refused_with_tensor_and_shapes():
    problems = Problems()
    with tempfile.TemporaryDirectory() as directory:
        def with_tensor(name, shape):
            files = MadeFiles(directory)
            n = 1
            for size in shape:
                n *= size
            files.tensors[name] = (shape, [0.0] * n)
            return files

        def without_tensor(name):
            files = MadeFiles(directory)
            del files.tensors[name]
            return files

        files = MadeFiles(directory)
        files.write()
        with harness.Server(env=files.env) as server:
            answer = post_v1(server, {"first": ["a", "b", "?"], "second": ["x", "?", "x"],
                                      "price": [0, 0, 0]})
            check_scores(scores_of(answer), [1 / (1 + math.exp(-logit)) for logit in (0, 5, 2)])
        larger = MadeFiles(directory)
        larger.vocabularies["first"] = ["a", "b", "c", "d"]
        for label, files, names in (
                ("a larger vocabulary", larger, ["embeddings.0.weight"]),
                ("a table one row short", with_tensor("embeddings.1.weight", [1, 1]),
                 ["embeddings.1.weight", "[1, 1]"]),
                ("a cross weight of another shape", with_tensor("cross_layers.0.0.weight", [3, 4]),
                 ["cross_layers.0.0.weight", "[3, 4]", "[3, 3]"]),
                ("a cross bias of another shape", with_tensor("cross_layers.0.0.bias", [4]),
                 ["cross_layers.0.0.bias", "[4]", "[3]"]),
                ("a DNN weight of another width", with_tensor("dnn.0.weight", [2, 5]),
                 ["dnn.0.weight", "[2, 5]"]),
                ("an output of another width", with_tensor("output.weight", [1, 4]),
                 ["output.weight", "[1, 4]", "[1, 5]"]),
                ("two outputs", with_tensor("output.bias", [2]), ["output.bias", "[2]", "[1]"]),
                ("an extra tensor", with_tensor("attention.weight", [3]), ["attention.weight"]),
                ("an extra table", with_tensor("embeddings.2.weight", [2, 1]),
                 ["embeddings.2.weight"]),
                ("no table", without_tensor("embeddings.1.weight"), ["embeddings.1.weight"]),
                ("no cross bias", without_tensor("cross_layers.0.0.bias"),
                 ["cross_layers.0.0.bias"]),
                ("no output bias", without_tensor("output.bias"), ["output.bias"]),
                ("no DNN bias", without_tensor("dnn.0.bias"), ["dnn.0.bias"])):
            files.write()
            problems.collect(label, lambda: check_refused_model(files.model_path, env=files.env,
                                                                names=names))
    problems.report()


def test_a_pickle_that_names_anything_else_is_refused_by_that_name():
    with tempfile.TemporaryDirectory() as directory:
        mark = pathlib.Path(directory) / "was-run"
        call = Call(Name("os", "system"), (f"touch {mark}",))
        evil = modelfile.pickle_bytes(call, 4)
        files = MadeFiles(directory)
        files.write()
        files.encoder_path.write_bytes(evil)
        check_refused_model(files.encoder_path, env=files.env, names=["os.system"])
        files.write()
        modelfile.write_zip(files.model_path, {"archive/data.pkl": evil, "archive/version": b"3\n"})
        check_refused_model(files.model_path, env=files.env, names=["os.system"])
        check(not mark.exists(), "the pickle was run")


def test_files_with_other_names_and_in_other_places_are_read():
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory) / "mit Leerzeichen é"
        folder.mkdir()
        shutil.copy(MODEL_PATH, folder / "w")
        os.symlink(ENCODER_PATH, folder / "e")
        with harness.Server("--model-path", folder / "w", "--encoder-path", folder / "e") as server:
            check_good(server)
            check_scores(scores_of(ask(server, "POST", V1, GOOD_BODY)), TWO_SCORES)


def test_column_names_of_any_kind_are_quoted_where_they_are_shown():
    with tempfile.TemporaryDirectory() as directory:
        model = WordModel(pathlib.Path(directory), ["a"])
        column = 'we"ird\\ \n淘宝'
        model.encoder_path.write_bytes(encoder_pickle({column: ["a"]}))
        env = {**model.env, "DENSE_COLS": None, "SPARSE_COLS": None}
        with harness.Server(env=env) as server:
            answer = post_v1(server, {column: ["a", "?"], "price": [0, 0]})
            check([model.word_of(score) for score in scores_of(answer)] == ["a", None], "scores")
            for counter in ("dcnv2_out_of_vocabulary_total", "dcnv2_category_form_total"):
                found = [key for key in metrics(server) if key.startswith(counter)]
                check(found == [counter + '{column="we\\"ird\\\\ \\n淘宝"}'], f"{found}")
            check(post_v1(server, {"price": [0]}).status == 400, "a missing column")
            post_v1(server, {"price": [0]}).error()


if __name__ == "__main__":
    harness.main(globals())
