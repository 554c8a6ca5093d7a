# SPDX-License-Identifier: Apache-2.0
"""Requests that are odd or hostile as HTTP: request lines, methods, paths, headers.

After every case a good request on a new connection must be answered as always.
"""
import json
import pathlib
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check, whole
from refusal import check_all_refused, check_ended_or_refused, check_refused, post_with
from samples import (GOOD_BODY, TWO, TWO_SCORES, V1, V2, check_good, check_scores, scores_of,
                     v2_body)
from wire import Connection, ask, exchange, gzip_bytes, request_bytes

SERVER_FLAGS = ["--header_timeout", "2", "--body_timeout", whole(2)]
GET_ROUTES = ["/", "/v1/models", "/v1/models/dcnv2", "/v2", "/v2/health/live",
              "/v2/health/ready", "/v2/models", "/v2/models/dcnv2", "/v2/models/dcnv2/ready",
              "/metrics"]
SMUGGLED = request_bytes("GET", "/v1/models")


def test_white_space_before_a_header_colon_is_refused(server):
    n = str(len(SMUGGLED)).encode()
    check_all_refused(server, [post_with([b"Content-Length : " + n], SMUGGLED),
                               post_with([b"Content-Length\t: " + n], SMUGGLED)], [400])


def test_content_length_beside_transfer_encoding_is_refused(server):
    chunked = b"0\r\n\r\n" + SMUGGLED
    check_all_refused(server, [
        post_with([b"Content-Length: 5", b"Transfer-Encoding: chunked"], chunked),
        post_with([b"Transfer-Encoding: chunked", b"Content-Length: 5"], chunked),
    ], [400])


def test_more_than_one_content_length_is_refused(server):
    check_all_refused(server, [
        post_with([b"Content-Length: 5", b"Content-Length: 5"], b"12345" + SMUGGLED),
        post_with([b"Content-Length: 5", b"Content-Length: 99"], b"12345" + SMUGGLED),
        post_with([b"Content-Length: 0", b"Content-Length: 5"], SMUGGLED),
    ], [400])


def test_a_content_length_that_is_not_plain_digits_is_refused(server):
    check_all_refused(server, [post_with([b"Content-Length: " + value], b"12345" + SMUGGLED)
                               for value in (b"5,5", b"5, 5", b"+5", b"-1", b"0x5", b"5 5", b"five",
                                             b"")], [400])


def test_a_content_length_beyond_64_bits_is_too_large(server):
    check_refused(server, post_with([b"Content-Length: 99999999999999999999"]), [413])


def test_a_transfer_encoding_other_than_chunked_is_not_implemented_and_does_not_hang(server):
    start = time.monotonic()
    check_all_refused(server, [
        post_with([b"Transfer-Encoding: " + value], b"0\r\n\r\n" + SMUGGLED)
        for value in (b"gzip, chunked", b"xchunked", b"gzip", b"chunked, chunked", b"identity")
    ] + [
        post_with([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
                  b"0\r\n\r\n" + SMUGGLED),
    ], [501])
    check(time.monotonic() - start < harness.limit(2), "it took more than 2 s")


def test_transfer_encoding_with_http_1_0_is_refused(server):
    check_refused(server, post_with([b"Transfer-Encoding: chunked"], b"0\r\n\r\n", b"1.0"),
                  [400])


def test_a_folded_header_is_refused(server):
    smuggled = request_bytes("GET", "/", headers=[("Connection", "close")])
    check_all_refused(server, [post_with([b"Content-Lengt: 3", b" h"], b"abc" + smuggled),
                               post_with([b"X: a", b"\tb", b"Content-Length: 3"], b"abc"),
                               post_with([b" X: a"])], [400])


def test_bare_line_ends_and_control_bytes_in_headers_are_refused(server):
    hidden = b"GET /v2 HTTP/1.1\r\nHost: h\r\nConnection: close"
    check_all_refused(server, [
        b"GET / HTTP/1.1\nHost: h\nConnection: close\n\n",
        b"GET / HTTP/1.1\r\nHost: h\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\rX: a\r\nConnection: close\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r" + hidden + b"\r\n\r\n"], [400])


def test_http_1_1_needs_exactly_one_host(server):
    check_all_refused(server, [
        request_bytes("GET", "/", host=None),
        request_bytes("GET", "/", headers=[("Host", "b")]),
        request_bytes("POST", V1, GOOD_BODY, host=None),
    ], [400])


def test_a_header_name_outside_the_token_characters_is_refused(server):
    check_all_refused(server, [post_with([name + b": 1", b"Content-Length: 0"], SMUGGLED)
                               for name in (b"X(y", b"X@y", b"X\x80y", b"X y", b"\"X\"")], [400])


def test_what_is_not_http_1_is_refused_or_closed(server):
    problems = Problems()
    random = bytes((i * 197 + 31) % 256 for i in range(3000))
    for data in (b"GET /\r\n\r\n", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
                 b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
                 b"GET / FTP/1.1\r\nHost: h\r\n\r\n", b"GET  / HTTP/1.1 x\r\nHost: h\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random[:500],
                 random, b"\0" * 100):
        problems.collect(repr(data[:40]), check_ended_or_refused, server, data,
                         [400, 404, 501, 505])
    problems.report()


def test_empty_lines_before_a_request_are_passed_over(server):
    found = exchange(server, b"\r\n" + request_bytes("GET", "/", headers=[("Connection", "close")]))
    check(found.statuses() == [200], f"statuses {found.statuses()}")
    check_good(server)


def test_60_kib_of_headers_are_served(server):
    headers = [(f"X-Big-{i}", "v" * 1000) for i in range(60)]
    check_scores(scores_of(ask(server, "POST", V1, GOOD_BODY, headers)), TWO_SCORES)
    token = [("Authorization", "Bearer " + "t" * 30000)]
    check(ask(server, "GET", "/", headers=token).status == 200, "one header of 30 KB")


def test_a_megabyte_of_headers_is_refused(server):
    one_line = post_with([b"X: " + b"v" * (1 << 20)])
    many = post_with([b"X-%d: " % i + b"v" * 1000 for i in range(1000)])
    for data in (one_line, many):
        check_ended_or_refused(server, data, [400, 413, 431])


def test_2000_small_headers_are_served_or_refused_at_once(server):
    start = time.monotonic()
    answer = ask(server, "GET", "/", headers=[("a", "b")] * 2000)
    check(answer.status in (200, 431), f"status {answer.status}")
    check(time.monotonic() - start < harness.limit(0.5), "it took more than 0.5 s")
    check_good(server)


def test_a_path_of_40_kb_is_too_long(server):
    check_refused(server, request_bytes("GET", "/" + "a" * 40000), [414])


def test_odd_paths_are_not_found_and_echoed_safely(server):
    problems = Problems()
    for path in ("/v1/models/dcnv2%00x", "/v1/models/dcnv2%00", "/v1/models/dcnv2%2Fx",
                 "/v1/models/%zz", "/v1/models/dcnv2%", "/v1/models/../models/dcnv2",
                 "//v1/models", "/v1//models", "/v1/models/dcnv2;a", "/v1/models/dcnv2/x",
                 "/V1/models", "/v1/models/" + "n" * 4000, "/v1/models/%e6%b7%98",
                 "/v1/models/%ff%fe", "/v1/models/\xe6\xb7\x98", "/v1/models/%0d%0aX-Bad:%201",
                 "/v1/models/%22%5c%01", "/v2/models/nope/ready", "/v2/models/dcnv2/nope",
                 "/healthz", "/v2/repository/index", "/v2/models/dcnv2/infer/x", "/metrics2"):
        answer = problems.collect(path[:60], ask, server, "GET", path)
        if answer is None:
            continue
        problems.check(answer.status in (400, 404), f"{path[:60]!r}: status {answer.status}")
        problems.check(answer.header("x-bad") is None, f"{path[:60]!r}: a header was injected")
        problems.check(len(answer.body) < 2000, f"{path[:60]!r}: {len(answer.body)} bytes")
        problems.collect(path[:60], answer.error)
    check_good(server)
    problems.report()


def test_a_nul_in_the_path_never_cuts_the_model_name(server):
    for path in ("/v1/models/dcnv2%00x:predict", "/v1/models/dcnv2%00:predict",
                 "/v2/models/dcnv2%00/infer"):
        status = ask(server, "POST", path, GOOD_BODY).status
        check(status in (400, 404, 405), f"{path}: status {status}")
    check_good(server)


def test_an_unknown_model_is_named_in_the_error(server):
    for method, path in (("GET", "/v1/models/nope"), ("POST", "/v1/models/nope:predict"),
                         ("GET", "/v2/models/nope"), ("GET", "/v2/models/nope/ready"),
                         ("POST", "/v2/models/nope/infer")):
        answer = ask(server, method, path, GOOD_BODY if method == "POST" else None)
        check(answer.status == 404, f"{path}: status {answer.status}")
        check(answer.error() == "Model with name nope does not exist.", answer.error())


def test_an_encoded_colon_and_the_absolute_form_are_served(server):
    check_scores(scores_of(ask(server, "POST", "/v1/models/dcnv2%3Apredict", GOOD_BODY)),
                 TWO_SCORES)
    check_scores(scores_of(ask(server, "POST", "/v1/models/dcnv2%3apredict", GOOD_BODY)),
                 TWO_SCORES)
    check_scores(scores_of(ask(server, "POST", "http://some.host:80" + V1, GOOD_BODY)), TWO_SCORES)
    answer = ask(server, "GET", "http://h/v1/models")
    check(answer.status == 200 and answer.json() == {"models": ["dcnv2"]}, f"{answer.body!r}")
    check(ask(server, "GET", "http://h/nope").status == 404, "absolute form of an unknown path")


def test_a_query_is_passed_over(server):
    for path in ("/v1/models?x=1", "/v2/health/live?x=%00&y"):
        check(ask(server, "GET", path).status == 200, path)


def test_a_wrong_method_is_405_with_allow(server):
    problems = Problems()
    for allowed, paths, methods in (
            ("GET", GET_ROUTES, ("POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "options")),
            ("POST", [V2], ("GET", "PUT", "DELETE", "OPTIONS", "TRACE", "post")),
            ("POST", [V1], ("PUT", "DELETE", "TRACE", "X" * 1000))):
        for path in paths:
            for method in methods:
                answer = problems.collect(f"{method[:9]} {path}", ask, server, method, path)
                if answer is None:
                    continue
                allow = [m.strip() for m in (answer.header("allow") or "").split(",")]
                problems.check(answer.status == 405 and allowed in allow and method not in allow
                               and ("OPTIONS" in allow) == (method != "OPTIONS"),
                               f"{method[:9]} {path}: status {answer.status}, Allow {allow}")
                problems.collect(f"{method[:9]} {path}", answer.error)
    check_good(server)
    problems.report()


def test_methods_without_a_path_are_refused(server):
    for line in (b"OPTIONS **", b"GET *", b"CONNECT localhost:80"):
        data = line + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        found = exchange(server, data, 4)
        check(found.first().status in (400, 404, 405, 501), f"{data!r}: {found.raw[:100]!r}")
    check_good(server)


def test_a_get_on_predict_is_404_and_an_unknown_verb_405(server):
    answer = ask(server, "GET", V1)  # as the recorded exchange has it
    check(answer.status == 404 and answer.header("allow") == "OPTIONS, POST", f"GET on :predict: {answer.status}")
    answer = ask(server, "POST", "/v1/models/dcnv2:foo", GOOD_BODY)
    check(answer.status == 405, f"unknown verb: status {answer.status}")
    answer.error()


def test_head_gives_status_and_length_of_get_without_a_body(server):
    problems = Problems()
    for path in [*GET_ROUTES, "/nope", "/v1/models/nope"]:
        with Connection(server) as connection:
            head = connection.request("HEAD", path)
            get = connection.request("GET", path)
        problems.check(head.status == get.status, f"{path}: {head.status}, GET {get.status}")
        if path != "/metrics":
            problems.check(head.header("content-length") == get.header("content-length"),
                           f"{path}: length {head.header('content-length')}")
        problems.check(head.header("content-type") == get.header("content-type"), path)
    problems.report()


def test_http_1_0_is_answered_and_closed_unless_kept_alive(server):
    found = exchange(server, request_bytes("GET", "/", version="1.0", host=None))
    check(found.statuses() == [200] and found.ended == "closed", f"{found.raw!r} {found.ended}")
    with Connection(server) as connection:
        first = connection.request("GET", "/", headers=[("Connection", "Keep-Alive")],
                                   version="1.0")
        check(first.status == 200, f"status {first.status}")
        if "keep-alive" in (first.header("connection") or "").lower():
            check(connection.request("GET", "/").status == 200, "kept alive, then not served")
        else:
            check(connection.is_closed_within(3), "neither kept alive nor closed")


def test_bytes_behind_a_last_request_are_dropped_and_reset_nothing(server):
    last = request_bytes("POST", V1, GOOD_BODY, [("Connection", "close")])
    with Connection(server) as connection:
        connection.send(last)
        check_scores(scores_of(connection.response()), TWO_SCORES)
        check(not connection._fill() and not connection.buffer, "bytes behind the last reply")
        for _ in range(3):  # a reset comes after the first, and makes an error of the next
            connection.send(last)
            time.sleep(0.02)
        check(not connection._fill(), "a request behind the last one was answered")


def test_a_connection_is_kept_for_many_requests(server):
    with Connection(server) as connection:
        for i in range(50):
            answer = connection.request("POST", (V1, V2)[i % 2],
                                        (GOOD_BODY, v2_body(TWO))[i % 2])
            check_scores(scores_of(answer), TWO_SCORES)
            check(not answer.closes(), "Connection: close on a good request")
        check(connection.request("POST", V1, b"{").status == 400, "bad JSON")
        check(connection.request("GET", "/nope").status == 404, "unknown path")
        check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)


def test_pipelined_requests_are_answered_in_order_and_a_cut_one_times_out():
    n = 1000
    pipeline = b"".join(request_bytes("GET", f"/v1/models/m{i}") if i % 2
                        else request_bytes("POST", V1, GOOD_BODY) for i in range(n))
    with harness.Server("--header_timeout", "1", "--idle_timeout", "2") as server:
        with Connection(server) as connection:
            connection.send(pipeline + b"GET /v1/models HT")
            for i in range(n):
                answer = connection.response()
                if i % 2:
                    check(answer.error() == f"Model with name m{i} does not exist.", answer.error())
                else:
                    check_scores(scores_of(answer), TWO_SCORES)
            check(connection.is_closed_within(6), "a request that was cut stays open")
        check_good(server)


def test_expect_100_continue_is_answered_before_the_body(server):
    headers = [("Expect", "100-continue"), ("Content-Length", len(GOOD_BODY))]
    with Connection(server) as connection:
        connection.send(request_bytes("POST", V1, headers=headers))
        check(connection.response().status == 100, "no 100 before the body")
        connection.send(GOOD_BODY)
        check_scores(scores_of(connection.response()), TWO_SCORES)


def test_expect_100_continue_with_too_large_a_body_gets_no_100(server):
    check_refused(server, post_with([b"Expect: 100-continue", b"Content-Length: 99999999"]),
                  [413])


def test_another_expectation_is_passed_over(server):
    for value in ("foo", "", "200-ok; q=1"):
        check_scores(scores_of(ask(server, "POST", V1, GOOD_BODY, [("Expect", value)])), TWO_SCORES)
    with Connection(server) as connection:  # no 100 for it either
        connection.send(request_bytes("POST", V1, headers=[("Expect", "foo"), ("Content-Length", len(GOOD_BODY))]))
        connection.send(GOOD_BODY)
        check_scores(scores_of(connection.response()), TWO_SCORES)


def test_headers_that_ask_for_something_else_are_passed_over(server):
    for headers in ([("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
                    [("Range", "bytes=0-1")], [("If-None-Match", "*")], [("Accept", "text/plain")],
                    [("Cookie", "a=b; c=d")], [("Authorization", "Basic YTpi")]):
        check_scores(scores_of(ask(server, "POST", V1, GOOD_BODY, headers)), TWO_SCORES)


def test_the_content_type_is_not_looked_at_but_multipart_is_415(server):
    problems = Problems()
    for kind in (None, "text/plain", "application/json; charset=utf-8", "nonsense", "",
                 "application/x-www-form-urlencoded", "application/octet-stream"):
        headers = [] if kind is None else [("Content-Type", kind)]
        for path, body in ((V1, GOOD_BODY), (V2, v2_body(TWO))):
            answer = ask(server, "POST", path, body, headers)
            problems.check(answer.status == 200, f"{kind!r} on {path}: status {answer.status}")
    for kind in ("multipart/form-data; boundary=x", "multipart/mixed", "Multipart/Form-Data"):
        answer = ask(server, "POST", V1, GOOD_BODY, [("Content-Type", kind)])
        problems.check(answer.status == 415, f"{kind}: status {answer.status}")
        problems.collect(kind, answer.error)
    check_good(server)
    problems.report()


def test_a_content_encoding_other_than_gzip_deflate_and_identity_is_415(server):
    problems = Problems()
    packed, deflated = gzip_bytes(GOOD_BODY), zlib.compress(GOOD_BODY)
    for coding, body, status in (
            ("br", GOOD_BODY, 415), ("zstd", GOOD_BODY, 415), ("gzip, gzip", packed, 415),
            ("deflate, gzip", packed, 415), ("UTF-16", GOOD_BODY, 415), ("gzip;q=1", packed, 415),
            ("br" * 200, GOOD_BODY, 415),
            ("identity", GOOD_BODY, 200), ("Identity", GOOD_BODY, 200), ("", GOOD_BODY, 200),
            ("UTF-8", GOOD_BODY, 200), ("utf-8", GOOD_BODY, 200), ("none", GOOD_BODY, 200),
            ("None", GOOD_BODY, 200), ("gzip", packed, 200), ("GZIP", packed, 200),
            ("x-gzip", packed, 200), ("X-GZip", packed, 200), ("gzip, identity", packed, 200),
            ("deflate", deflated, 200), ("Deflate", deflated, 200), ("none, deflate", deflated, 200)):
        for path, sent in ((V1, body), (V2, body)):
            answer = ask(server, "POST", path, sent, [("Content-Encoding", coding)])
            wanted = 400 if status == 200 and path == V2 else status  # a body of v1
            problems.check(answer.status == wanted, f"{coding}: status {answer.status}, not {wanted}")
            refused = answer.status == 415
            problems.check(answer.header("accept-encoding") == ("gzip, deflate" if refused else None),
                           f"{coding}: Accept-Encoding {answer.header('accept-encoding')}")
            if refused:
                text = problems.collect(coding, answer.error) or ""
                problems.check(f'"{coding[:64]}"' in text, f"{coding}: {text}")
    multipart = ask(server, "POST", V1, GOOD_BODY, [("Content-Type", "multipart/mixed")])
    check(multipart.status == 415 and multipart.header("accept-encoding") is None, "multipart")
    check_good(server)
    problems.report()


def test_the_access_log_tells_the_time_of_every_request():
    with harness.Server("--access_log", "true") as server:
        for data in (request_bytes("GET", "/"), request_bytes("POST", V1, GOOD_BODY), b"GET / HTTP/3.0\r\n\r\n",
                     post_with([b"Content-Length: 99999999"])):
            exchange(server, data, 1)
        check(harness.wait_until(lambda: server.log().count(" us") == 4, 3), server.log())
        for line in server.log().splitlines():
            if line.endswith(" us"):
                check(int(line.split()[-2]) < harness.limit(2e6), line)


def test_names_and_ids_from_a_request_add_no_line_to_the_log():
    for kind in ("text", "json"):
        with harness.Server("--access_log", "true", "--log_format", kind) as server:
            # The last line of a start names the model's files.
            check(harness.wait_until(lambda: " sha256 " in server.log(), 2), server.log())
            before = len(server.log().splitlines())
            path = "/v1/models/a%0d%0a%0aINJECTED%22:predict"
            check(ask(server, "POST", path, GOOD_BODY).status in (400, 404), path)
            # The line may be written after the answer.
            harness.wait_until(lambda: len(server.log().splitlines()) > before, 2)
            lines = server.log().splitlines()
            check(len(lines) == before + 1, f"{lines[before:]}")
            check(not any(line.startswith("INJECTED") for line in lines), f"{lines}")
            if kind == "json":
                for line in lines:
                    check(isinstance(json.loads(line), dict), f"log line {line!r}")


if __name__ == "__main__":
    harness.main(globals())
