# SPDX-License-Identifier: Apache-2.0
"""Compressed bodies both ways: good ones, broken ones, and those that unpack to too much."""
import json
import pathlib
import struct
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from refusal import check_refused
from samples import (GOOD_BODY, MANY, MANY_SCORES, TWO, TWO_SCORES, V1, V2, bits, check_good,
                     check_scores, repeat, scores_of, v1_body, v2_binary, v2_document)
from wire import Connection, ask, chunked_request, gzip_bytes, request_bytes

GZIP = ("Content-Encoding", "gzip")
CAP = 65536
REPLY_THRESHOLD = 16384


def gzip_header(flags=0, fields=b""):
    return b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff" + fields


def gzip_member(data, flags=0, fields=b"", crc=None, size=None):
    """One member written by hand, so that each part can be wrong."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    crc = zlib.crc32(data) if crc is None else crc
    size = len(data) if size is None else size
    return gzip_header(flags, fields) + packed + struct.pack("<II", crc, size)


def post(server, body, *headers, path=V1):
    return ask(server, "POST", path, body, [GZIP, *headers])


def bomb(n_megabytes):
    """A gzip stream of about a thousandth of what it unpacks to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    trailer = b"\x03\0" + struct.pack("<II", 0, n_megabytes << 20)
    return gzip_header() + block * n_megabytes + trailer


# ---------------------------------------------------------------- request bodies

def test_a_gzip_body_is_served_however_it_was_packed(server):
    for level in (0, 1, 6, 9):
        check_scores(scores_of(post(server, gzip_bytes(GOOD_BODY, level))), TWO_SCORES)
    big = v1_body(MANY)
    check_scores(scores_of(post(server, gzip_bytes(big))), MANY_SCORES)


def test_a_gzip_body_may_come_in_chunks(server):
    packed = gzip_bytes(GOOD_BODY)
    for size in (1, 10, len(packed)):
        with Connection(server) as connection:
            connection.send(chunked_request(
                V1, [packed[i:i + size] for i in range(0, len(packed), size)], [GZIP]))
            check_scores(scores_of(connection.response()), TWO_SCORES)


def test_optional_header_fields_are_passed_over(server):
    long_text = b"n" * 65000
    for flags, fields in ((0, b""), (1, b""), (4, struct.pack("<H", 65000) + long_text),
                          (8, long_text + b"\0"), (16, long_text + b"\0"),
                          (28, struct.pack("<H", 3) + b"abc" + b"name\0" + b"comment\0")):
        answer = post(server, gzip_member(GOOD_BODY, flags, fields))
        check_scores(scores_of(answer), TWO_SCORES)
    start = gzip_header(2)
    body = start + struct.pack("<H", zlib.crc32(start) & 0xffff) + gzip_member(GOOD_BODY)[10:]
    check_scores(scores_of(post(server, body)), TWO_SCORES)


def test_several_members_are_joined(server):
    parts = [GOOD_BODY[i:i + 100] for i in range(0, len(GOOD_BODY), 100)]
    body = b"".join(map(gzip_member, parts))
    check_scores(scores_of(post(server, body)), TWO_SCORES)
    check_scores(scores_of(post(server, gzip_member(b"") + body + gzip_member(b""))), TWO_SCORES)


def test_a_hundred_thousand_empty_members_take_bounded_time(server):
    start = time.monotonic()
    answer = post(server, gzip_member(b"") * 100_000 + gzip_member(GOOD_BODY))
    check(answer.status in (200, 400), f"status {answer.status}")
    check(time.monotonic() - start < harness.limit(3), "more than 3 s")
    check_good(server)


def test_what_is_not_a_whole_gzip_stream_is_refused(server):
    good = gzip_bytes(GOOD_BODY)
    problems = Problems()
    for name, body in (
            ("empty", b""), ("plain JSON", GOOD_BODY), ("zlib", zlib.compress(GOOD_BODY)),
            ("raw deflate", zlib.compress(GOOD_BODY, wbits=-15)), ("one byte", good[:1]),
            ("the magic", good[:2]), ("a cut header", good[:9]), ("a header", good[:10]),
            ("cut in the data", good[:len(good) // 2]), ("no trailer", good[:-8]),
            ("cut in the trailer", good[:-1]), ("bad CRC", gzip_member(GOOD_BODY, crc=1)),
            ("bad length", gzip_member(GOOD_BODY, size=1)), ("garbage behind", good + b"garbage"),
            ("NUL behind", good + b"\0" * 9), ("a cut second member", good + good[:20]),
            ("another method", good[:2] + b"\x07" + good[3:]),
            ("reserved flags", good[:3] + b"\xe0" + good[4:]),
            ("a broken bit", good[:40] + bytes([good[40] ^ 4]) + good[41:]),
            ("an endless name", gzip_header(8, b"n" * 70000))):
        for path in (V1, V2):
            answer = problems.collect(name, lambda: post(server, body, path=path))
            if answer is None:
                continue
            text = problems.collect(name, answer.error) or ""
            problems.check(answer.status == 400, f"{name}: status {answer.status}")
            problems.check("gzip" in text or not body, f"{name}: {text}")
    problems.collect("afterwards", check_good, server)
    problems.report()


def test_gzip_in_gzip_is_not_opened_twice(server):
    answer = post(server, gzip_bytes(gzip_bytes(GOOD_BODY)))
    check(answer.status == 400, f"status {answer.status}")
    check(answer.error().startswith("Unrecognized request format: "), answer.error())


def test_the_header_length_counts_unpacked_bytes(server):
    body, headers = v2_binary(TWO)
    check_scores(scores_of(post(server, gzip_bytes(body), *headers, path=V2)), TWO_SCORES)
    longer = headers[0][1] + 1
    answer = post(server, gzip_bytes(body), (headers[0][0], longer), headers[1], path=V2)
    check(answer.status == 400, f"status {answer.status}")


def test_a_body_that_unpacks_to_more_than_the_cap_is_413():
    with harness.Server("--max_body_bytes", CAP) as server:
        at_cap = GOOD_BODY + b" " * (CAP - len(GOOD_BODY))
        check_scores(scores_of(post(server, gzip_bytes(at_cap))), TWO_SCORES)
        for body in (gzip_bytes(at_cap + b" "), gzip_member(at_cap) + gzip_member(b" "), bomb(1)):
            answer = post(server, body)
            check(answer.status == 413, f"status {answer.status}")
            check(answer.error() == f"Request body is larger than {CAP} bytes.", answer.error())
        check_good(server)


def test_a_gigabyte_in_a_megabyte_is_stopped_at_the_cap(server):
    check_good(server)
    body, before, start = bomb(1024), server.rss_bytes(), time.monotonic()
    check(len(body) < 2 << 20, f"{len(body)} bytes packed")
    check(post(server, body).status == 413, "with a length")
    with Connection(server) as connection:
        connection.send(chunked_request(V1, [body[i:i + 5000] for i in range(0, len(body), 5000)],
                                        [GZIP]))
        check(connection.response().status == 413, "in chunks")
    check(time.monotonic() - start < harness.limit(3), "more than 3 s")
    grown = server.rss_bytes() - before
    check(harness.is_sanitized() or grown < 80 << 20, f"{grown >> 20} MiB more resident")
    check_good(server)


def test_the_packed_body_is_capped_too():
    with harness.Server("--max_body_bytes", CAP) as server:
        check_refused(server, request_bytes("POST", V1, b"x" * (CAP + 1), [GZIP]), [413])


# ---------------------------------------------------------------- deflate

DEFLATE = ("Content-Encoding", "deflate")


def deflated(data, level=6, window=15):
    """As zlib's format, or alone with a window below 0."""
    packer = zlib.compressobj(level, zlib.DEFLATED, window)
    return packer.compress(data) + packer.flush()


def post_deflate(server, body, *headers, path=V1):
    return ask(server, "POST", path, body, [DEFLATE, *headers])


def test_a_deflate_body_is_served_with_and_without_its_header(server):
    big = v1_body(MANY)
    for window in (15, 9, -15, -9):
        for level in (0, 1, 6, 9):
            check_scores(scores_of(post_deflate(server, deflated(GOOD_BODY, level, window))), TWO_SCORES)
        check_scores(scores_of(post_deflate(server, deflated(big, 6, window))), MANY_SCORES)
        body, headers = v2_binary(TWO)
        check_scores(scores_of(post_deflate(server, deflated(body, 6, window), *headers, path=V2)), TWO_SCORES)
        packed = deflated(GOOD_BODY, 6, window)
        for size in (1, 7):
            with Connection(server) as connection:
                connection.send(chunked_request(V1, [packed[i:i + size] for i in range(0, len(packed), size)], [DEFLATE]))
                check_scores(scores_of(connection.response()), TWO_SCORES)


def test_gzip_and_deflate_take_turns_on_one_connection(server):
    """What unpacks is a worker's own: nothing of one stream may be left for the next."""
    bodies = [(GZIP, gzip_bytes(GOOD_BODY)), (DEFLATE, deflated(GOOD_BODY)), (DEFLATE, deflated(GOOD_BODY)[:60]),
              (DEFLATE, deflated(GOOD_BODY, 6, -15)), (GZIP, gzip_bytes(GOOD_BODY)[:60]), (GZIP, deflated(GOOD_BODY))]
    with Connection(server) as connection:
        for i in range(60):
            header, body = bodies[i * 7 % len(bodies)]
            answer = connection.request("POST", V1, body, [header])
            if len(body) > 60 and (header == DEFLATE or body[:2] == b"\x1f\x8b"):
                check_scores(scores_of(answer), TWO_SCORES)
            else:
                check(answer.status == 400, f"status {answer.status}")


def test_what_is_not_a_whole_deflate_stream_is_refused(server):
    good, raw = deflated(GOOD_BODY), deflated(GOOD_BODY, 6, -15)
    packer = zlib.compressobj(zdict=GOOD_BODY[:200])
    problems = Problems()
    for name, body, reason in (
            ("empty", b"", "its end is missing"), ("one byte", good[:1], "its end is missing"),
            ("a header", good[:2], "its end is missing"), ("plain JSON", GOOD_BODY, "invalid"),
            ("gzip", gzip_bytes(GOOD_BODY), "invalid"), ("cut", good[:len(good) // 2], "its end is missing"),
            ("no checksum", good[:-4], "its end is missing"), ("half a checksum", good[:-1], "its end is missing"),
            ("a wrong checksum", good[:-1] + bytes([good[-1] ^ 1]), "incorrect data check"),
            ("junk behind", good + b"x", "more follows its end"), ("a second stream", good + good, "more follows its end"),
            ("a NUL behind", good + b"\0", "more follows its end"), ("junk behind raw", raw + b"x", "more follows its end"),
            ("a cut raw one", raw[:-1], "its end is missing"), ("with a dictionary", packer.compress(GOOD_BODY) + packer.flush(), "it needs a dictionary"),
            ("a bad header", b"\x78\x02" + good[2:], "invalid"), ("deflate twice", None, "Unrecognized request format: ")):
        answer = problems.collect(name, lambda: post_deflate(server, deflated(good) if body is None else body))
        text = answer and problems.collect(name, answer.error) or ""
        problems.check(answer and answer.status == 400, f"{name}: {answer and answer.status}")
        problems.check(reason in text and (body is None or "not a valid deflate body" in text), f"{name}: {text}")
        problems.check(body is None or f"(behind byte {len(good)})" in text or not name.startswith(("a second", "junk behind", "a NUL"))
                       or name.endswith("raw"), f"{name}: {text}")
    problems.collect("afterwards", check_good, server)
    problems.report()


def test_a_deflate_bomb_is_stopped_at_the_cap(server):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    check_good(server)
    before, start = server.rss_bytes(), time.monotonic()
    for head in (b"", b"\x78\x9c"):
        answer = post_deflate(server, head + block * 1024 + b"\x03\0")
        check(answer.status == 413 and "Request body is larger than" in answer.error(), f"status {answer.status}")
    check(time.monotonic() - start < harness.limit(3), "more than 3 s")
    grown = server.rss_bytes() - before
    check(harness.is_sanitized() or grown < 80 << 20, f"{grown >> 20} MiB more resident")
    check_good(server)


# ---------------------------------------------------------------- replies

def reply_to(server, n_rows, accepted, path=V1):
    columns = repeat(MANY, n_rows)
    body = v1_body(columns) if path == V1 else json.dumps(v2_document(columns)).encode()
    headers = [] if accepted is None else [("Accept-Encoding", accepted)]
    return ask(server, "POST", path, body, headers)


def unpacked(answer):
    """The same answer as sent without compression."""
    check(answer.header("content-encoding") == "gzip",
          f"content encoding {answer.header('content-encoding')}")
    answer.body = zlib.decompress(answer.body, wbits=31)
    return answer


def test_a_large_reply_is_packed_when_the_client_accepts_it(server):
    plain = reply_to(server, 2000, None)
    check(plain.header("content-encoding") is None, "packed without being asked")
    check(len(plain.body) >= REPLY_THRESHOLD, f"only {len(plain.body)} bytes")
    for accepted in ("gzip", "GZIP", "gzip, deflate, br", "br;q=1.0, gzip;q=0.5", "x, gzip ;q=1"):
        answer = reply_to(server, 2000, accepted)
        check(len(answer.body) < len(plain.body), f"{accepted}: {len(answer.body)} bytes")
        check(unpacked(answer).body == plain.body, f"{accepted}: another body")


def test_a_reply_is_not_packed_when_the_client_does_not_accept_it(server):
    for accepted in ("", "identity", "br", "deflate", "gzip;q=0", "gzip;q=0.0, br", "xgzip",
                     "gzip2"):
        answer = reply_to(server, 2000, accepted)
        check(answer.header("content-encoding") is None, f"packed for {accepted!r}")
        check(len(scores_of(answer)) == 2000, accepted)


def test_only_replies_of_16_kib_and_more_are_packed(server):
    sizes = {}
    low, high = 200, 2000
    while high - low > 1:  # the numbers' texts differ in length: find the first row over it
        middle = (low + high) // 2
        sizes[middle] = len(reply_to(server, middle, None).body)
        low, high = (middle, high) if sizes[middle] < REPLY_THRESHOLD else (low, middle)
    below, above = reply_to(server, low, "gzip"), reply_to(server, high, "gzip")
    check(below.header("content-encoding") is None,
          f"packed with {low} rows, {sizes.get(low)} bytes")
    unpacked(above)
    small = ask(server, "GET", "/", headers=[("Accept-Encoding", "gzip")])
    check(small.json() == {"status": "alive"}, "GET /")


def test_a_packed_binary_reply_counts_unpacked_bytes_in_its_header_length(server):
    document = {**v2_document(repeat(MANY, 5000)), "parameters": {"binary_data_output": True}}
    body = json.dumps(document).encode()
    plain = ask(server, "POST", V2, body)
    packed = ask(server, "POST", V2, body, [("Accept-Encoding", "gzip")])
    check(bits(scores_of(unpacked(packed))) == bits(scores_of(plain)), "other scores")


def test_a_packed_request_may_get_a_packed_reply(server):
    answer = post(server, gzip_bytes(v1_body(repeat(MANY, 2000))), ("Accept-Encoding", "gzip"))
    check_scores(scores_of(unpacked(answer)), MANY_SCORES * 10)


if __name__ == "__main__":
    harness.main(globals())
