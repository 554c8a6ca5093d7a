# SPDX-License-Identifier: Apache-2.0
"""Request bodies that are odd or hostile as HTTP: lengths, chunks, the body's cap.

After every case a good request on a new connection must be answered as always.
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check, whole
from refusal import check_all_refused, check_ended_or_refused, check_refused, post_with
from samples import GOOD_BODY, TWO_SCORES, V1, V2, check_good, check_scores, scores_of
from wire import Connection, ask, chunked_request, exchange, request_bytes

SERVER_FLAGS = ["--header_timeout", "2", "--body_timeout", whole(2)]
CAP = 65536


def test_a_post_without_a_body_is_a_bad_request(server):
    for path in (V1, V2):
        for data in (request_bytes("POST", path), request_bytes("POST", path, b"")):
            with Connection(server) as connection:
                connection.send(data)
                answer = connection.response()
                check(answer.status == 400, f"{path}: status {answer.status}")
                text = answer.error()
                check(path == V2 or text.startswith("Unrecognized request format: "), text)
    check_good(server)


def test_a_request_whose_client_leaves_early_is_dropped_before_its_deadline():
    # The last bytes and the end of the connection mostly come at once.
    with harness.Server("--header_timeout", whole(60), "--body_timeout", whole(60)) as server:
        check_good(server)
        before = server.n_open_files()
        for data in (b"GET / HT", post_with([b"Content-Length: 1000"], b"x" * 500),
                     post_with([b"Transfer-Encoding: chunked"], b"5\r\nab")):
            for _ in range(100):
                with Connection(server) as connection:
                    connection.send(data)
            check(harness.wait_until(lambda: server.n_open_files() <= before + 2, 5),
                  f"{data[:20]!r}: {server.n_open_files()} open files, {before} before")
        check_good(server)


def test_bytes_behind_a_body_are_the_next_request(server):
    found = exchange(server, request_bytes("POST", V1, GOOD_BODY) + b"what is this\r\n\r\n")
    check(found.statuses() == [200, 400] and found.ended != "open",
          f"{found.statuses()} {found.ended}")
    check_good(server)


def test_a_chunked_body_is_served_in_any_chunks(server):
    for size in (1, 7, 64, len(GOOD_BODY)):
        chunks = [GOOD_BODY[i:i + size] for i in range(0, len(GOOD_BODY), size)]
        with Connection(server) as connection:
            connection.send(chunked_request(V1, chunks))
            check_scores(scores_of(connection.response()), TWO_SCORES)
            check(connection.request("GET", "/").status == 200, "connection not usable")


def test_bad_chunks_are_refused(server):
    head = post_with([b"Transfer-Encoding: chunked"])
    n = b"%x" % len(GOOD_BODY)
    check_all_refused(server, [
        head + b"ZZ\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        head + b"-1\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        head + b"0x10\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        head + b"10000000000000000\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        head + b"fffffffffffffffff\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        head + n + b"\r\n" + GOOD_BODY + b"XX0\r\n\r\n",
        head + b"\r\n\r\n",
    ], [400, 413])


def test_a_chunk_extension_and_trailers_are_passed_over(server):
    n = b"%x" % len(GOOD_BODY)
    head = post_with([b"Transfer-Encoding: chunked", b"Connection: close"])
    for data in (head + n + b";" + b"e" * 1000 + b"\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
                 head + n + b"\r\n" + GOOD_BODY + b"\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n"):
        found = exchange(server, data)
        check(found.statuses() == [200], f"{data[:200]!r}: {found.raw[:200]!r}")
        check_scores(scores_of(found.first()), TWO_SCORES)
    trailers = b"".join(b"X-%d: %b\r\n" % (i, b"v" * 1000) for i in range(64))
    found = exchange(server, head + n + b"\r\n" + GOOD_BODY + b"\r\n0\r\n" + trailers + b"\r\n")
    check(set(found.statuses()) <= {200, 400, 413, 431} and found.ended != "open",
          f"64 KB of trailers: {found.statuses()} {found.ended}")
    check_good(server)


def test_a_chunked_body_without_its_end_is_cut_at_the_deadline(server):
    head = post_with([b"Transfer-Encoding: chunked"])
    check_ended_or_refused(server, head + b"%x\r\n" % len(GOOD_BODY) + GOOD_BODY + b"\r\n",
                           [400, 408])


def test_a_request_that_comes_byte_by_byte_is_served(server):
    with Connection(server) as connection:
        for byte in request_bytes("POST", V1, GOOD_BODY):
            connection.send(bytes([byte]))
        check_scores(scores_of(connection.response()), TWO_SCORES)


def test_a_client_that_closes_its_sending_side_is_answered(server):
    found = exchange(server, request_bytes("POST", V1, GOOD_BODY), half_close=True)
    check_scores(scores_of(found.first()), TWO_SCORES)
    check(found.ended == "closed", f"connection {found.ended}")


def test_many_one_byte_chunks_take_linear_time(server):
    size = 3_000_000 if harness.LONG else 300_000
    data = chunked_request(V1, [b" "] * size + [GOOD_BODY], [("Connection", "close")])
    start = time.monotonic()
    found = exchange(server, data, 60)
    took = time.monotonic() - start
    check(found.statuses() in ([200], [400], [413]), f"{found.statuses()} {found.ended}")
    check(took < harness.limit(size / 100_000), f"{took:.1f} s for {size} chunks")
    check_good(server)


def test_ten_megabytes_of_chunk_extensions_do_not_hold_the_server(server):
    head = post_with([b"Transfer-Encoding: chunked", b"Connection: close"])
    one_line = head + b"1;" + b"e" * 10_000_000 + b"\r\n \r\n0\r\n\r\n"
    check_ended_or_refused(server, one_line, [400], 10)
    spread = head + (b"1;" + b"e" * 1000 + b"\r\n \r\n") * 10_000 + b"0\r\n\r\n"
    start = time.monotonic()
    check_ended_or_refused(server, spread, [400, 413, 431], 10)
    check(time.monotonic() - start < harness.limit(5), "more than 5 s")


def padded(size):
    """A good body of exactly this size."""
    return GOOD_BODY + b" " * (size - len(GOOD_BODY))


def test_a_body_at_the_cap_is_served_and_one_byte_more_is_413():
    with harness.Server("--max_body_bytes", CAP) as server:
        check_scores(scores_of(ask(server, "POST", V1, padded(CAP))), TWO_SCORES)
        check_scores(scores_of(exchange(server, chunked_request(
            V1, [padded(CAP)], [("Connection", "close")])).first()), TWO_SCORES)
        for data in (request_bytes("POST", V1, padded(CAP + 1)),
                     request_bytes("POST", V2, padded(CAP + 1)),
                     post_with([b"Content-Length: 1000000000000"]),
                     chunked_request(V1, [padded(CAP + 1)]),
                     chunked_request(V1, [b" " * 1000] * 90)):
            check_refused(server, data, [413])
            text = exchange(server, data).first().error()
            check(text == f"Request body is larger than {CAP} bytes.", text)


def test_a_promise_of_a_terabyte_allocates_nothing(server):
    check_good(server)
    before, start = server.rss_bytes(), time.monotonic()
    for _ in range(50):
        check_refused(server, post_with([b"Content-Length: 1099511627776"]), [413])
    check(time.monotonic() - start < harness.limit(3), "not refused at once")
    grown = server.rss_bytes() - before
    check(harness.is_sanitized() or grown < 4 << 20, f"{grown >> 20} MiB more resident")


def test_a_chunked_body_far_over_the_cap_is_cut_off():
    with harness.Server("--max_body_bytes", CAP) as server:
        check_good(server)
        before = server.rss_bytes()
        check_ended_or_refused(server, chunked_request(V1, [b" " * 10000] * 2000), [413])
        grown = server.rss_bytes() - before
        check(harness.is_sanitized() or grown < 8 << 20, f"{grown >> 20} MiB more resident")


def test_a_client_that_reads_while_it_sends_20_mb_sees_the_413(server):
    # exchange() reads and writes at the same time, as curl does.
    found = exchange(server, request_bytes("POST", V1, b" " * 20_000_000), 10)
    check(found.statuses() == [413], f"{found.statuses()} {found.ended}")
    found.first().error()
    check_good(server)


def test_a_client_that_sends_20_mb_before_it_reads_harms_nobody(server):
    with Connection(server) as connection:
        try:
            connection.send(request_bytes("POST", V1, b" " * 20_000_000))
            status = connection.response().status
            check(status == 413, f"status {status}")
        except OSError:
            pass  # the connection was closed while the client sent: also right
    check_good(server)


def test_no_file_is_left_open_and_the_process_is_the_same(server):
    with Connection(server) as connection:
        connection.request("GET", "/")
        check(harness.wait_until(lambda: server.n_open_files() < 40, 5),
              f"open files: {', '.join(server.open_files()[:50])}")
    check_good(server)


if __name__ == "__main__":
    harness.main(globals())
