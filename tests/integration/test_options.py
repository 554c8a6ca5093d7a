# SPDX-License-Identifier: Apache-2.0
"""What probes, load balancers and browsers send that KServe's clients do not: OPTIONS, questions
before a request from another origin, and a slash at the end of a path."""
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from samples import (GOOD_BODY, TWO, TWO_SCORES, V1, V2, check_good, check_scores, metrics, scores_of,
                     v2_binary, v2_body)
from wire import Connection, ask, exchange, request_bytes

GET_ROUTES = ["/", "/metrics", "/v1/models", "/v1/models/dcnv2", "/v2", "/v2/health/live", "/v2/health/ready",
              "/v2/models", "/v2/models/dcnv2", "/v2/models/dcnv2/ready", "/v2/models/dcnv2/versions/1",
              "/v2/models/dcnv2/versions/1/ready"]
POST_ROUTES = ["/v2/models/dcnv2/versions/1/infer", "/v2/repository/models/dcnv2/load",
               "/v2/repository/models/dcnv2/unload"]
BOTH = ["*", V1, "/v1/models/dcnv2:explain"]  # the name of a model may hold a colon
PAGE = "https://shop.example"


def methods_of(answer):
    return (answer.header("allow") or "").split(", ")


def check_options(answer, methods):
    check(answer.status == 204 and answer.body == b"", f"status {answer.status}, body {answer.body!r}")
    check(methods_of(answer) == methods, f"Allow {methods_of(answer)}")
    for name in ("content-length", "content-type", "transfer-encoding"):
        check(answer.header(name) is None, f"a 204 with {name}")


# ---------------------------------------------------------------- OPTIONS

def test_options_tells_the_methods_of_each_route(server):
    problems = Problems()
    for paths, methods in ((GET_ROUTES, ["GET", "HEAD", "OPTIONS"]), (POST_ROUTES, ["OPTIONS", "POST"]),
                           (BOTH, ["GET", "HEAD", "OPTIONS", "POST"])):
        for path in paths:
            for shown in (path,) if path in "*/" else (path, path + "/", path + "?x=1"):
                problems.collect(shown, lambda: check_options(ask(server, "OPTIONS", shown), methods))
    for path in ("/nope", "/v1", "//", "**", "/v2/models/nope/ready"):
        answer = ask(server, "OPTIONS", path)
        problems.check(answer.status == 404, f"{path}: status {answer.status}")
        problems.collect(path, answer.error)
    check_good(server)
    problems.report()


def test_options_on_infer_is_the_405_that_kserves_server_gives(server):
    answer = ask(server, "OPTIONS", V2)
    check(answer.status == 405 and methods_of(answer) == ["POST"], f"{answer.status} {answer.headers}")
    check(answer.error() == f'The method "OPTIONS" is not allowed on "{V2}"; allowed: POST.', answer.error())


def test_the_connection_goes_on_behind_options(server):
    """Its body, if there is one, is no request of its own."""
    with Connection(server) as connection:
        for body in (None, b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * 20000):
            check_options(connection.request("OPTIONS", V1, body), ["GET", "HEAD", "OPTIONS", "POST"])
        connection.send(request_bytes("OPTIONS", "/") + request_bytes("POST", V1, GOOD_BODY))
        check_options(connection.response(), ["GET", "HEAD", "OPTIONS"])
        check_scores(scores_of(connection.response()), TWO_SCORES)


def test_probes_that_ask_with_options_find_the_server_ready(server):
    """As they are written by Knative's queue-proxy with autodetect-http2, and by HAProxy."""
    knative = [("User-Agent", "kube-probe/1.32"), ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
               ("HTTP2-Settings", "")]
    for path in ("/v2/health/ready", "/v1/models/dcnv2", "/"):
        with Connection(server) as connection:
            check_options(connection.request("OPTIONS", path, headers=knative), ["GET", "HEAD", "OPTIONS"])
            check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
    found = exchange(server, b"OPTIONS / HTTP/1.0\r\n\r\n")
    check(found.statuses() == [204] and found.ended == "closed", f"{found.raw!r} {found.ended}")


def test_a_server_that_stops_is_not_ready_for_options_either():
    with harness.Server("--drain_wait", "2") as server:
        ready = ("/v2/health/ready", "/v2/models/dcnv2/ready", "/v1/models/dcnv2")
        for path in ready:
            check(ask(server, "OPTIONS", path).status == 204, path)
        server.send_signal(signal.SIGTERM)
        check(harness.wait_until(lambda: ask(server, "GET", ready[0]).status == 503, 2), "it is not stopping")
        for path in ready:
            answer = ask(server, "OPTIONS", path)
            check(answer.status == 503 and "is stopping" in answer.error(), f"{path}: {answer.status}")
        check(ask(server, "OPTIONS", "/v2/health/live").status == 204, "liveness")


def test_options_is_counted_under_its_route(server):
    ask(server, "OPTIONS", "/v2/models")
    ask(server, "OPTIONS", "/v2/models")
    check(metrics(server)['dcnv2_requests_total{route="v2_models",code="204"}'] >= 2, "not counted")


# ---------------------------------------------------------------- a slash at the end

def test_a_path_may_end_in_one_slash(server):
    problems = Problems()
    for path in GET_ROUTES:
        plain, slashed = (ask(server, "GET", p) for p in (path, path.rstrip("/") + "/"))
        problems.check(slashed.status == plain.status, f"{path}: {slashed.status}, not {plain.status}")
        if path != "/metrics":
            problems.check(slashed.body == plain.body, f"{path}: {slashed.body[:80]!r}")
    for path, body in ((V1 + "/", GOOD_BODY), (V2 + "/", v2_body(TWO)), (V1 + "/?x=/", GOOD_BODY)):
        check_scores(scores_of(ask(server, "POST", path, body)), TWO_SCORES)
    for path in ("//", "/v1/models//", "//metrics/", "/v2/health//ready/", V1 + "//"):
        problems.check(ask(server, "GET", path).status == 404, path)
    problems.report()


# ---------------------------------------------------------------- browsers

ALLOWED = "access-control-allow-origin"


def cors_fields(answer):
    return {name for name, _ in answer.headers if name.startswith("access-control-")}


def preflight(server, path, origin):
    return ask(server, "OPTIONS", path, headers=[
        ("Origin", origin), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,inference-header-content-length")])


def check_preflight(answer, origin, methods):
    check_options(answer, methods)
    check(answer.header(ALLOWED) == origin, f"{ALLOWED} {answer.header(ALLOWED)}")
    check(answer.header("access-control-allow-methods").split(", ") == methods, f"{answer.headers}")
    names = answer.header("access-control-allow-headers").lower().split(", ")
    for name in ("authorization", "content-type", "content-encoding", "inference-header-content-length"):
        check(name in names, f"{name} is not in {names}")
    check(0 < int(answer.header("access-control-max-age")) <= 86400, "max age")


def test_without_the_flag_no_origin_is_told_anything(server):
    for answer in (preflight(server, V1, PAGE), preflight(server, V2, PAGE),
                   ask(server, "POST", V1, GOOD_BODY, [("Origin", PAGE)]), ask(server, "GET", "/nope", headers=[("Origin", PAGE)])):
        check(not cors_fields(answer), f"{cors_fields(answer)}")
        check(answer.header("vary") is None, f"Vary {answer.header('vary')}")
    check(preflight(server, V2, PAGE).status == 405, "a preflight on infer")


def test_origins_that_are_named_may_ask_and_no_others():
    with harness.Server("--cors_origin", f"{PAGE}, http://localhost:3000") as server:
        for origin in (PAGE, "http://localhost:3000"):
            check_preflight(preflight(server, V1, origin), origin, ["GET", "HEAD", "OPTIONS", "POST"])
            check_preflight(preflight(server, V2, origin), origin, ["OPTIONS", "POST"])
            answer = ask(server, "POST", V1, GOOD_BODY, [("Origin", origin), ("Accept-Encoding", "gzip")])
            check_scores(scores_of(answer), TWO_SCORES)
            check(answer.header(ALLOWED) == origin, f"{answer.headers}")
            check(answer.header("access-control-expose-headers") == "Inference-Header-Content-Length", "exposed")
            check(answer.header("vary") == "Accept-Encoding, Origin", f"Vary {answer.header('vary')}")
        # An error must be readable as well, else a page learns nothing of what is wrong.
        for answer in (ask(server, "POST", V1, b"{", [("Origin", PAGE)]), ask(server, "GET", "/nope", headers=[("Origin", PAGE)]),
                       ask(server, "POST", V1, GOOD_BODY, [("Origin", PAGE), ("Content-Encoding", "br")]),
                       ask(server, "POST", V1, headers=[("Origin", PAGE), ("Content-Length", 99999999)])):
            check(answer.status >= 400 and answer.header(ALLOWED) == PAGE, f"{answer.status} {answer.headers}")
            check(answer.header("vary") == "Origin", f"Vary {answer.header('vary')}")
        for origin in ("https://shop.example.evil", "https://shop.exampl", "http://shop.example", PAGE + ":443",
                       "null", "*", "", PAGE + ", http://localhost:3000", PAGE.upper()):
            for answer in (preflight(server, V1, origin), ask(server, "POST", V1, GOOD_BODY, [("Origin", origin)])):
                check(not cors_fields(answer), f"{origin!r}: {cors_fields(answer)}")
                check(answer.header("vary") == "Origin", f"{origin!r}: Vary {answer.header('vary')}")
        check(preflight(server, V2, "null").status == 405, "a preflight of another origin on infer")
        with Connection(server) as connection:  # what one request is told does not cling to the next
            connection.request("GET", "/", headers=[("Origin", PAGE)])
            check(not cors_fields(connection.request("GET", "/")), "told without being asked")
            connection.request("GET", "/", headers=[("Origin", PAGE)])
            connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n")
            check(not cors_fields(connection.response()), "told with a refusal")


def test_a_star_lets_every_origin_ask():
    with harness.Server("--cors_origin=*") as server:
        for origin in (PAGE, "null"):
            check_preflight(preflight(server, V2, origin), "*", ["OPTIONS", "POST"])
        body, headers = v2_binary(TWO, document={"parameters": {"binary_data_output": True}})
        answer = ask(server, "POST", V2, body, [*headers, ("Origin", PAGE)])
        check_scores(scores_of(answer), TWO_SCORES)
        check(answer.header(ALLOWED) == "*" and answer.header("vary") is None, f"{answer.headers}")


def test_the_longest_origins_fit_into_a_reply():
    longest = "https://" + "a" * 247
    with harness.Server("--cors_origin", ",".join([PAGE] * 2 + [longest])) as server:
        check_preflight(preflight(server, V2, longest), longest, ["OPTIONS", "POST"])
        answer = ask(server, "POST", V1, GOOD_BODY, [("Origin", longest), ("Content-Encoding", "br"), ("Accept-Encoding", "gzip")])
        check(answer.status == 415 and answer.header(ALLOWED) == longest, f"{answer.status}")


if __name__ == "__main__":
    harness.main(globals())
