# SPDX-License-Identifier: Apache-2.0
"""Which requests the server sees in some bytes, beside those that h11 sees.

Two readers of the same bytes that see different requests are how a request is smuggled past a
proxy. So the server must never see one that h11 does not, nor another one; where it refuses
what h11 reads, the difference is listed in STRICTER.

Each request names a model of its own, so that the reply tells which one was answered. Bodies
hold requests too: bait for a reader that loses count.
"""
import pathlib
import random
import re
import socket
import sys
import time

import h11

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, check
from samples import check_good
from wire import AnswerReader, Connection

N_CASES = 8000
LIMIT_S = 25  # for the random cases: what does not fit is left out

HOST = b"Host: h\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"


def get(name, fields=HOST, version=b"1.1"):
    return b"GET /v1/models/" + name + b" HTTP/" + version + b"\r\n" + fields + b"\r\n"


def post(name, body, fields=HOST, version=b"1.1"):
    return b"POST /v1/models/" + name + b":predict HTTP/" + version + b"\r\n" + fields + b"\r\n" + body


# What the server refuses and h11 reads: (how the message begins, bytes), each followed by a request that is good.
STRICTER = [
    ("A line of the header does not end in CRLF", b"GET /v1/models/a HTTP/1.1\nHost: h\n\n"),
    ("A header field is folded over two lines", get(b"a", HOST + b"A: b\r\n c\r\n")),
    ("A header field holds a control character", get(b"a", HOST + b"A: b\x01\r\n")),
    ("The HTTP version is not 1.0 or 1.1", get(b"a", version=b"1.2")),
    ("Content-Length is not a number", post(b"a", b"12345", HOST + b"Content-Length: 5, 5\r\n")),
    ("Content-Length is given twice", post(b"a", b"1", HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n")),
    ("Both Content-Length and Transfer-Encoding are given",
     post(b"a", b"0\r\n\r\n", CHUNKED + b"Content-Length: 5\r\n")),
    ("Transfer-Encoding other than chunked is not supported",  # of a folded one the first line is seen
     post(b"a", b"0\r\n\r\n", HOST + b"Transfer-Encoding:\r\n chunked\r\n")),
    ("Transfer-Encoding in HTTP/1.0", post(b"a", b"0\r\n\r\n", CHUNKED, version=b"1.0")),
    ("A chunk's size is not a hexadecimal number", post(b"a", b"1 \r\nx\r\n0\r\n\r\n", CHUNKED)),
    ("A chunk is too large", post(b"a", b"0000000000000001\r\nx\r\n0\r\n\r\n", CHUNKED)),
    ("A line between chunks holds a control character", post(b"a", b"0;a\x01\r\n\r\n", CHUNKED)),
    ("A line between chunks does not end in CRLF", post(b"a", b"0;a\rb\r\n\r\n", CHUNKED)),
    ("A trailer has a malformed name", post(b"a", b"0\r\nA: b\r\n c\r\n\r\n", CHUNKED)),
]
STRICTER_MESSAGES = {message for message, _ in STRICTER}

# What h11 refuses as well: a server that waits for more in the place of refusing is right too.
REFUSED_BY_BOTH = {
    "This is not an HTTP/1.1 request", "The request line has no method",
    "The request line is not METHOD TARGET HTTP/1.1", "A header field has a malformed name",
    "Host is missing", "Host is given twice", "Transfer-Encoding is given twice", "A chunk does not end in CRLF where its size says"}


def beginning_of(text):
    """A message without the value that it quotes."""
    return text.split(": ", 1)[0].removesuffix(".")


# What the server passes over and h11 refuses: neither can move where a request starts or ends.
EMPTY_LINES = 4  # before a request line; RFC 9112 section 2.2 advises it
NOT_ASCII = bytes(ord('"') if i > 127 else i for i in range(256))  # bytes of a target, which are UTF-8 of a name
FRAMING_IN_TRAILERS = ("Content-Length", "Transfer-Encoding")  # trailers are not looked at


def expected_error(method, target):
    """What the reply to a request says, or None where that cannot be told so simply."""
    found = re.fullmatch(rb"/v1/models/([a-z0-9]+)(:predict)?", target)
    if found and method == (b"POST" if found[2] else b"GET"):
        return "Model with name %s does not exist." % found[1].decode()
    return None


def h11_step(data):
    """The first request that h11 sees: (what it is, the bytes behind it); None: it sees none."""
    for _ in range(EMPTY_LINES):
        data = data[2:] if data.startswith(b"\r\n") else data
    line, feed, rest = data.partition(b"\n")
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    reader.receive_data(line.translate(NOT_ASCII) + feed + rest)
    request = None
    while True:
        try:
            event = reader.next_event()
        except h11.RemoteProtocolError as error:
            if request and any(name in str(error) for name in FRAMING_IN_TRAILERS):
                return request, b""
            return None
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request, reader.trailing_data[0]
        elif not isinstance(event, h11.Data):
            return None


def is_kept(request):
    """Whether the connection goes on behind it. (h11 itself keeps none of HTTP/1.0.)"""
    options = [option.strip().lower() for name, value in request.headers if name == b"connection"
               for option in value.split(b",")]
    return b"close" not in options and (request.http_version != b"1.0" or b"keep-alive" in options)


def h11_requests(data):
    """The requests that h11 sees, as (method, target)."""
    seen = []
    while (found := h11_step(data)) is not None:
        request, data = found
        seen.append((request.method, request.target))
        if not is_kept(request):
            break
    return seen


def answers(server, pieces):
    """The error texts of all replies, which tell which request was answered; "" for one that is
    no error. Only the last reply may close the connection."""
    with Connection(server) as connection:
        try:
            for piece in pieces:
                connection.send(piece)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused meanwhile: its reply is there
        while connection._fill():
            pass
        received = connection.buffer
    reader, found = AnswerReader(received), []
    while reader.buffer:
        answer = reader.response()
        if answer.status < 200:
            continue
        found.append("" if answer.status == 200 else answer.error())
        check(not answer.closes() or not reader.buffer, f"bytes behind a last reply: {received!r}")
    return found


def compare(server, data, cuts=()):
    """The message with which the server refused what h11 sees, or None."""
    edges = [0, *sorted(cuts), len(data)]
    found = answers(server, [data[a:b] for a, b in zip(edges, edges[1:])])
    seen = h11_requests(data)
    refusal = beginning_of(found[-1]) if found else None
    if refusal in STRICTER_MESSAGES | REFUSED_BY_BOTH:
        found.pop()
    else:
        refusal = None
    told = f"{data!r} cut at {cuts}: the server {found} {refusal or ''}, h11 {seen}"
    check(len(found) <= len(seen), "more requests are answered than sent: " + told)
    for text, (method, target) in zip(found, seen):
        check(beginning_of(text) not in REFUSED_BY_BOTH | STRICTER_MESSAGES, "requests behind a refused one: " + told)
        wanted = expected_error(method, target)
        check(wanted is None or text == wanted, "another request is answered: " + told)
    if len(found) == len(seen):
        return None
    check(refusal in STRICTER_MESSAGES, "a request is not answered: " + told)
    return refusal


# ---------------------------------------------------------------- random bytes

FIELDS = [b"A: b", b"X-Empty:", b"Accept: */*", b"Connection: keep-alive", b"Connection: x", b"Expect: 100-continue",
          b"TE: trailers", b"Upgrade: h2c", b"X: \xc3\xa9 \t z", b"User-Agent: a (b; c) \"d\""]
PIECES = [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"0", b"1", b"5", b"f", b"\0", b"\x0b",
          b"\x7f", b"\xff", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: i\r\n", b" x\r\n",
          b"Connection: close\r\n", b"Content-Length : 9\r\n", b"HTTP/1.0", b"HTTP/1.1", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n",
          b"gzip, ", b"-", b"+", b"_", b"http://h", b"?", b"%"]


def chunks_of(rng, body):
    out = []
    while body:
        n = rng.randint(1, len(body))
        size = rng.choice([b"%x", b"%X", b"0%x"]) % n
        out.append(size + rng.choice([b"", b"", b";", b";a=b", b'; a="\t;"']) + b"\r\n" + body[:n] + b"\r\n")
        body = body[n:]
    trailers = b"".join(rng.choice([b"A: b\r\n", b"X:\r\n"]) for _ in range(rng.choice([0, 0, 1, 2])))
    return b"".join(out) + rng.choice([b"0", b"00", b"0;x"]) + b"\r\n" + trailers + b"\r\n"


def request_of(rng, number):
    """A good request, which names model m<number>."""
    name = b"m%d" % number
    version, fields = rng.choice([b"1.1"] * 9 + [b"1.0"]), [HOST[:-2]]
    fields += rng.sample(FIELDS, rng.choice([0, 0, 1, 2, 3]))
    if rng.random() < 0.05:
        fields.append(b"Connection: close")
    bait = get(b"b%d" % number)
    body = rng.choice([b"", b"x", b"\r\n", bait, b"0\r\n\r\n" + bait, bait + bait])
    how = rng.randrange(3 if version == b"1.1" else 2)
    if how == 1:
        fields.append(rng.choice([b"Content-Length: %d", b"content-length:%d", b"Content-Length: \t0%d "]) % len(body))
    elif how == 2:
        fields.append(rng.choice([b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED"]))
        body = chunks_of(rng, body)
    rng.shuffle(fields)
    head = b"".join(field + b"\r\n" for field in fields)
    return get(name, head, version) if how == 0 else post(name, body, head, version)


def mutated(rng, data):
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        how, n = rng.randrange(6), rng.choice([1, 1, 2, 5, 20])
        if how < 3:
            data = data[:at] + rng.choice(PIECES) + data[at + (n if how == 1 else 0):]
        elif how == 3:
            data = data[:at] + data[at + n:]
        elif how == 4:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
        else:
            data = data[:at] + data[at:at + n] + data[at:]
    return data


def test_no_random_bytes_are_other_requests_than_for_h11(server):
    rng, problems, refusals, n_seen = random.Random(1), Problems(), {}, 0
    end = time.monotonic() + LIMIT_S
    for case in range(N_CASES):
        if time.monotonic() > end or len(problems) > 5:
            break
        data = mutated(rng, b"".join(request_of(rng, 10 * case + i) for i in range(rng.randint(1, 4))))
        cuts = [rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 1, 2]))]
        refusal = problems.collect(f"case {case}", compare, server, data, cuts)
        refusals[refusal] = refusals.get(refusal, 0) + 1
        n_seen += len(h11_requests(data))
    check_good(server)
    problems.report()
    check(n_seen > 1.2 * case > 1000, f"{n_seen} requests in {case} cases")
    check(refusals.get(None, 0) > 0.7 * case, f"refused: {refusals}")


def test_good_requests_are_answered_one_by_one(server):
    rng = random.Random(2)
    for case in range(200):
        n = rng.randint(1, 6)
        data = b"".join(request_of(rng, i) for i in range(n))
        check(compare(server, data) is None, f"refused: {data!r}")


def test_each_difference_that_is_listed_is_one(server):
    problems = Problems()
    for message, data in STRICTER:
        problems.check(len(h11_requests(data)) == 1, f"h11 does not read {data!r}: {h11_requests(data)}")
        for whole in (data + get(b"b"), get(b"c") + data + get(b"b")):
            refusal = problems.collect(message, compare, server, whole)
            problems.check(refusal == message, f"{refusal} for {whole!r}")
    problems.report()


def test_what_is_passed_over_moves_no_request(server):
    for data in (b"\r\n\r\n" + get(b"a") + b"\r\n" + get(b"b"), get(b"\xe6\xb7\x98") + get(b"b"),
                 post(b"a", b"0\r\nContent-Length: 5\r\n\r\n", CHUNKED) + get(b"b")):
        found = answers(server, [data])
        check(len(found) == 2 and found[1] == "Model with name b does not exist.", f"{data!r}: {found}")


def test_no_message_of_a_refusal_is_unknown():
    source = "".join((harness.ROOT / "src/http1" / name).read_text() for name in ("head.c", "chunks.c"))
    known = STRICTER_MESSAGES | REFUSED_BY_BOTH
    literals = re.findall(r'"((?:[^"\\\n]|\\.)*)"', re.sub(r'"\s*\n\s*"', "", source))
    found = {beginning_of(text) for text in literals if re.match(r"[A-Z].* .*\.$", text)}
    too_large = {text for text in found if re.search(r"too (large|long)", text)}
    check(found - too_large <= known, f"unknown: {found - too_large - known}")
    check(known <= found, f"no longer said: {known - found}")


if __name__ == "__main__":
    harness.main(globals())
