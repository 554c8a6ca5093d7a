# SPDX-License-Identifier: Apache-2.0
"""What all routes have in common: documents, numbers, the bits of a score, metrics."""
import json
import math
import pathlib
import re
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from samples import (GOOD_BODY, MANY, MANY_SCORES, ONE, ONE_SCORES, TWO, TWO_SCORES, V1, V2, bits,
                     check_scores, metrics, post_v1, post_v2, scores_of, select, v1_body,
                     v2_binary, v2_body, v2_document)
from wire import Connection, ask

# Finer ones in front of KServe's own.
BUCKETS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
           0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
           math.inf]
STEPS = ["request_preprocess_seconds", "request_predict_seconds", "request_postprocess_seconds"]


# ---------------------------------------------------------------- documents

def test_each_get_route_answers_kserves_document(server):
    for path, expected in (
            ("/", {"status": "alive"}), ("/v1/models", {"models": ["dcnv2"]}),
            ("/v1/models/dcnv2", {"name": "dcnv2", "ready": True}),
            ("/v2/health/live", {"live": True}), ("/v2/health/ready", {"ready": True}),
            ("/v2/models", {"models": ["dcnv2"]}),
            ("/v2/models/dcnv2/ready", {"name": "dcnv2", "ready": True})):
        answer = ask(server, "GET", path)
        check(answer.status == 200 and answer.json() == expected, f"{path}: {answer.body!r}")
        check(answer.header("content-type").startswith("application/json"), path)
        check(answer.header("date"), f"{path}: no Date")
    found = ask(server, "GET", "/v2").json()
    check({"name", "version", "extensions"} <= set(found), f"/v2: {found}")
    found = ask(server, "GET", "/v2/models/dcnv2").json()
    check(found["name"] == "dcnv2" and {"versions", "platform", "inputs", "outputs"} <= set(found),
          f"/v2/models/dcnv2: {found}")


def test_a_model_version_in_the_path_is_501(server):
    for method, path in (("GET", "/v2/models/dcnv2/versions/1"),
                         ("GET", "/v2/models/dcnv2/versions/1/ready"),
                         ("POST", "/v2/models/dcnv2/versions/1/infer")):
        answer = ask(server, method, path, v2_body(TWO) if method == "POST" else None)
        check(answer.status == 501, f"{path}: status {answer.status}")
        check(answer.error() == "Model versioning not supported yet.", answer.error())


def test_explain_is_501(server):
    answer = ask(server, "POST", "/v1/models/dcnv2:explain", GOOD_BODY)
    check(answer.status == 501, f"status {answer.status}")
    answer.error()


def test_load_and_unload_are_off_by_default(server):
    for verb in ("load", "unload"):
        for name in ("dcnv2", "nope"):
            answer = ask(server, "POST", f"/v2/repository/models/{name}/{verb}", b"")
            check(answer.status == 404, f"{verb} {name}: status {answer.status}")
            answer.error()
    check_scores(scores_of(post_v1(server, TWO)), TWO_SCORES)


def test_the_model_name_is_a_setting():
    with harness.Server("--model_name", "other-1") as server:
        found = ask(server, "GET", "/v1/models").json()
        check(found == {"models": ["other-1"]}, f"{found}")
        check(ask(server, "POST", V1, GOOD_BODY).status == 404, "dcnv2 is still answered")
        answer = ask(server, "POST", "/v1/models/other-1:predict", GOOD_BODY)
        check_scores(scores_of(answer), TWO_SCORES)
        answer = ask(server, "POST", "/v2/models/other-1/infer", v2_body(TWO))
        check(answer.json()["model_name"] == "other-1", f"{answer.body!r}")
        found = metrics(server)
        check('request_predict_seconds_count{model_name="other-1"}' in found, "metrics label")


# ---------------------------------------------------------------- scores

def test_the_recorded_rows_give_the_recorded_scores(server):
    for columns, expected in ((ONE, ONE_SCORES), (TWO, TWO_SCORES), (MANY, MANY_SCORES)):
        check_scores(scores_of(post_v1(server, columns)), expected)
        check_scores(scores_of(post_v2(server, v2_document(columns))), expected)


def test_a_row_has_the_same_bits_alone_in_any_batch_and_at_any_position(server):
    together = scores_of(post_v1(server, MANY))
    n = len(together)
    with Connection(server) as connection:
        for i in range(n):
            alone = scores_of(connection.request("POST", V1, v1_body(select(MANY, [i]))))
            check(bits(alone) == bits(together[i:i + 1]),
                  f"row {i}: {alone}, together {together[i]}")
        for size in (*range(2, 20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 199, 257, 1000):
            rows = [(size * 7 + 3 * i) % n for i in range(size)]
            found = scores_of(connection.request("POST", V1, v1_body(select(MANY, rows))))
            check(bits(found) == bits([together[i] for i in rows]), f"batch of {size}")


def test_every_protocol_gives_the_same_bits(server):
    v1 = bits(scores_of(post_v1(server, MANY)))
    rows = [{name: values[i] for name, values in MANY.items()} for i in range(200)]
    body, headers = v2_binary(MANY)
    for found in (post_v1(server, *rows), post_v2(server, v2_document(MANY)),
                  ask(server, "POST", V2, body, headers)):
        check(bits(scores_of(found)) == v1, "other bits")


def test_servers_with_any_number_of_workers_give_the_same_bits(server):
    expected = bits(scores_of(post_v1(server, MANY)))
    for workers in ("1", "2", "5"):
        with harness.Server("--workers", workers) as other:
            check(bits(scores_of(post_v1(other, MANY))) == expected, f"--workers {workers}")


def significant_digits(text):
    return re.sub("[eE].*|[-.]", "", text).strip("0")


def test_numbers_are_the_shortest_text_that_reads_back(server):
    texts = re.findall(r"\[([^][]+)\]", post_v1(server, MANY).body.decode())
    check(len(texts) == 200, f"{len(texts)} numbers")
    v2 = re.search(r'"data":\[(.*?)\]', post_v2(server, v2_document(MANY)).body.decode()).group(1)
    check(v2.split(",") == texts, "v2 writes other numbers than v1")
    body = post_v2(server, {**v2_document(MANY), "parameters": {"binary_data_output": True}}).body
    exact = struct.unpack("<200f", body[-800:])
    for text, value in zip(texts, exact):
        check(bits([float(text)]) == bits([value]), f"{text} is not {value!r}")
        json.loads(text)
        n = len(significant_digits(text))
        shorter = f"{value:.{n - 2}e}" if n > 1 else None
        check(not shorter or bits([float(shorter)]) != bits([value]),
              f"{text}: {shorter} is shorter")


def test_the_paper_network_gives_its_golden_scores():
    golden = harness.ROOT / "tests/golden/paper"
    expected = json.loads((golden / "expected.json").read_text())
    with harness.Server("--model-path", golden / "model_weights.pth") as server:
        check_scores(scores_of(post_v1(server, expected["columns"])), expected["predictions"])


# ---------------------------------------------------------------- metrics

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)')


def test_metrics_are_well_formed_prometheus_text(server):
    post_v1(server, TWO)
    answer = ask(server, "GET", "/metrics")
    check(answer.header("content-type").startswith("text/plain; version=0.0.4"),
          f"content type {answer.header('content-type')}")
    text = answer.body.decode()
    check(text.endswith("\n"), "no line end at the end")
    types, helped, family = {}, set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            check(family not in types, f"{family} has two TYPE lines")
            check(kind in ("counter", "gauge", "histogram", "summary", "untyped"), line)
            types[family] = kind
        elif line:
            match = SAMPLE.fullmatch(line)
            check(match, f"bad line {line!r}")
            float(match.group(3))
            name = match.group(1)
            if types.get(family) == "histogram":
                name = re.sub("_(bucket|sum|count)$", "", name)
            check(name == family, f"{line!r} stands under {family}")
    check(helped == set(types), f"HELP and TYPE differ: {helped ^ set(types)}")


def test_metrics_hold_what_kserve_has_and_what_it_lacks(server):
    post_v1(server, TWO)
    found = metrics(server)
    names = {key.split("{")[0] for key in found}
    missing = {
        "process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_start_time_seconds", "process_open_fds", "process_max_fds", "dcnv2_requests_total",
        "dcnv2_rows_total", "dcnv2_requests_in_flight", "dcnv2_request_body_bytes_total",
        "dcnv2_out_of_vocabulary_total", "dcnv2_category_form_total", "dcnv2_score_bucket",
        "dcnv2_score_sum", "dcnv2_score_count",
        "dcnv2_connections", "dcnv2_connections_limit", "dcnv2_connections_cut_total",
        "dcnv2_log_lines_dropped_total", "dcnv2_model_loaded_timestamp_seconds"} - names
    check(not missing, f"missing: {missing}")
    for step in [*STEPS, "request_explain_seconds"]:
        for suffix in ("_sum", "_count"):
            check(f'{step}{suffix}{{model_name="dcnv2"}}' in found, f"{step}{suffix} is missing")
    check(found["process_open_fds"] > 3, f"open files {found['process_open_fds']}")
    rss = found["process_resident_memory_bytes"]
    check(abs(rss - server.rss_bytes()) < rss / 2, f"resident {rss}, {server.rss_bytes()} in /proc")
    start = found["process_start_time_seconds"]
    check(abs(start - time.time()) < 3600, f"start time {start}, now {time.time()}")


def histogram(found, name):
    """[(upper bound, count)] in order."""
    pattern, pairs = re.compile(name + r'_bucket\{.*le="([^"]*)".*\}'), []
    for key, value in found.items():
        match = pattern.fullmatch(key)
        if match:
            pairs.append((float(match.group(1).replace("+Inf", "inf")), value))
    return sorted(pairs)


def test_histograms_have_prometheus_clients_buckets_and_finer_ones_and_add_up(server):
    post_v1(server, MANY)
    found = metrics(server)
    for step in STEPS:
        pairs = histogram(found, step)
        check([bound for bound, _ in pairs] == BUCKETS, f"{step}: {pairs}")
        counts = [count for _, count in pairs]
        check(counts == sorted(counts), f"{step}: counts fall: {counts}")
        n, seconds = (found[f'{step}_{part}{{model_name="dcnv2"}}'] for part in ("count", "sum"))
        check(counts[-1] == n, f"{step}: +Inf is {counts[-1]}, the count {n}")
        check(seconds > 0, f"{step}: no time was spent")
    scores = histogram(found, "dcnv2_score")
    check(scores[-1] == (math.inf, found["dcnv2_score_count"]), f"scores: {scores}")


def test_metrics_count_requests_rows_bytes_and_unknown_values(server):
    before = metrics(server)
    post_v1(server, TWO)
    post_v2(server, v2_document(TWO))
    ask(server, "POST", V1, b"{")
    ask(server, "POST", "/v1/models/nope:predict", GOOD_BODY)
    after = metrics(server)

    def grown(key):
        return after.get(key, 0) - before.get(key, 0)

    check(grown("dcnv2_rows_total") == 4, f"{grown('dcnv2_rows_total')} rows")
    check(grown("dcnv2_score_count") == 4, f"{grown('dcnv2_score_count')} scores")
    check(abs(grown("dcnv2_score_sum") - 2 * sum(TWO_SCORES)) < 1e-4,
          f"score sum grew by {grown('dcnv2_score_sum')}")
    sent = 2 * len(GOOD_BODY) + len(v2_body(TWO)) + 1
    found = grown("dcnv2_request_body_bytes_total")
    check(sent - len(GOOD_BODY) <= found <= sent, f"{found} body bytes, {sent} sent")
    # One of the two rows has an unknown cms_segid.
    unknown = {key: grown(key) for key in after if key.startswith("dcnv2_out_of_vocabulary_total")}
    check(unknown['dcnv2_out_of_vocabulary_total{column="cms_segid"}'] == 2, f"{unknown}")
    check(sum(unknown.values()) == 2 and len(unknown) == 16, f"{unknown}")
    by_code = {}
    for key in after:
        if key.startswith("dcnv2_requests_total{"):
            code = re.search('code="([^"]*)"', key).group(1)
            check('route="' in key, key)
            by_code[code] = by_code.get(code, 0) + grown(key)
    # The first reading of /metrics may be counted only after it was answered.
    check((by_code.get("400"), by_code.get("404")) == (1, 1), f"{by_code}")
    check(2 <= by_code["200"] <= 4, f"{by_code}")
    in_flight = after["dcnv2_requests_in_flight"]
    check(0 <= in_flight <= 1, f"{in_flight} in flight")


def test_a_failing_request_counts_no_postprocess(server):
    before = metrics(server)
    ask(server, "POST", V1, b"{")
    after = metrics(server)
    key = 'request_postprocess_seconds_count{model_name="dcnv2"}'
    check(after[key] == before[key], "a failed request was counted")


def test_paths_of_strangers_add_no_metrics(server):
    metrics(server)
    ask(server, "GET", "/stranger/0")
    ask(server, "GET", "/v1/models/stranger0")
    n = len(metrics(server))
    for i in range(1, 50):
        ask(server, "GET", f"/stranger/{i}")
        ask(server, "GET", f"/v1/models/stranger{i}")
        ask(server, "POST", f"/v1/models/stranger{i}:predict", GOOD_BODY)
    check(len(metrics(server)) <= n + 1, f"{len(metrics(server))} series, {n} before")


def test_all_errors_of_all_routes_have_one_form(server):
    problems = Problems()
    for method, path, body in (("GET", "/nope", None), ("POST", "/", b""), ("GET", V2, None),
                               ("POST", V1, b"x"), ("POST", V2, b"x"), ("PUT", V1, b""),
                               ("GET", "/v2/models/x/versions/1", None),
                               ("POST", "/v2/models/dcnv2/versions/1/infer", b""),
                               ("POST", "/v1/models/dcnv2:explain", b"")):
        answer = ask(server, method, path, body)
        problems.check(answer.status >= 400, f"{method} {path}: status {answer.status}")
        text = problems.collect(f"{method} {path}", answer.error)
        problems.check(text and "\n" not in text and str(harness.ROOT) not in text,
                       f"{method} {path}: {text!r}")
    problems.report()


if __name__ == "__main__":
    harness.main(globals())
