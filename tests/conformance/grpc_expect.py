# SPDX-License-Identifier: Apache-2.0
"""Recorded gRPC exchanges: the messages that they send, and whether an answer is what they expect.

Each line of a transcript is a JSON object: `name`, `method`, and
  request_hex    the message, or requests_hex, several of them, or
  generate       {"parts": [[hex, times], ..], "pad_to": N}: the pieces, each so many times; filled up
                 to N bytes with an unknown field
  status, response_hex   what the reference server answered
  expect         what is right:
    status    a list of the codes allowed
    compare   scores     values, shape, datatype, names and id of a ModelInferResponse are the
                         reference's; `raw` says whether they stand in raw_output_contents
              fields     the fields, by number, have these values
              nonempty   the fields are there
              error      a status that is not OK comes with a text
              none       the status says it all
    like      name of another exchange, whose recorded response is the reference instead
Needs nothing but Python: messages are read here by a reader of its own.
"""
import math
import struct

CODES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
         "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
         "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]
TOLERANCE = 1e-6
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
UNKNOWN_FIELD = 1000


class Mismatch(Exception):
    """How an answer differs from what is expected."""


def expect(condition, message):
    if not condition:
        raise Mismatch(message)


# ---------------------------------------------------------------- the wire format

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytearray([value]))


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def read_fields(data):
    """[(number, wire type, value)]; raises Mismatch where the bytes are no message."""
    found, at = [], 0
    try:
        while at < len(data):
            tag, at = _read_varint(data, at)
            wire = tag & 7
            if wire == VARINT:
                value, at = _read_varint(data, at)
            else:
                size = {FIXED64: 8, FIXED32: 4}.get(wire)
                if wire == BYTES:
                    size, at = _read_varint(data, at)
                expect(size is not None and at + size <= len(data), f"field {tag >> 3} ends early")
                value, at = data[at:at + size], at + size
            found.append((tag >> 3, wire, value))
    except IndexError as error:
        raise Mismatch("the message ends in a varint") from error
    return found


def last(fields, number, default=b""):
    return next((value for n, _, value in reversed(fields) if n == number), default)


def every(fields, number):
    return [value for n, _, value in fields if n == number]


def packed_varints(data):
    values, at = [], 0
    while at < len(data):
        value, at = _read_varint(data, at)
        values.append(value)
    return values


def floats(data):
    expect(len(data) % 4 == 0, f"{len(data)} bytes of floats")
    return [value for value, in struct.iter_unpack("<f", data)]


# ---------------------------------------------------------------- an exchange

def messages(exchange):
    """The messages that the client sends."""
    if "generate" not in exchange:
        return [bytes.fromhex(text) for text in exchange.get("requests_hex", [exchange.get("request_hex", "")])]
    generate = exchange["generate"]
    message = b"".join(bytes.fromhex(text) * times for text, times in generate["parts"])
    room = generate.get("pad_to", 0) - len(message)
    if room > 0:
        tag = varint(UNKNOWN_FIELD << 3 | BYTES)
        size = next(n for n in range(room - 16, room) if len(tag) + len(varint(n)) + n == room)
        message += tag + varint(size) + bytes(size)
    return [message]


def read_scores(response):
    """A ModelInferResponse as (model, id, outputs, whether they are raw)."""
    fields = read_fields(response)
    raw, outputs = every(fields, 6), []
    for i, output in enumerate(map(read_fields, every(fields, 5))):
        expect(not raw or i < len(raw), f"output {i} has no raw contents")
        values = raw[i] if raw else b"".join(every(read_fields(last(output, 5)), 6))
        outputs.append((last(output, 1).decode(), last(output, 2).decode(), packed_varints(last(output, 3)), floats(values)))
    return last(fields, 1).decode(), last(fields, 3).decode(), outputs, bool(raw)


def id_of(request):
    """"" where it has none, or where only a stricter reader than this one finds it."""
    try:
        return last(read_fields(request), 3).decode()
    except Mismatch:
        return ""


def check_scores(response, reference, exchange):
    model, request_id, outputs, is_raw = read_scores(response)
    like_model, _, like_outputs, like_raw = read_scores(reference)
    expect(model == like_model, f"the model is {model!r}, not {like_model!r}")
    sent_id = id_of(messages(exchange)[0])
    expect(not sent_id or request_id == sent_id, f"the id is {request_id!r}, not {sent_id!r}")
    expect([o[:3] for o in outputs] == [o[:3] for o in like_outputs], f"outputs {[o[:3] for o in outputs]}")
    for output, like in zip(outputs, like_outputs):
        expect(len(output[3]) == len(like[3]), f"{len(output[3])} scores, not {len(like[3])}")
        for row, (score, like_score) in enumerate(zip(output[3], like[3])):
            expect(math.isclose(score, like_score, rel_tol=0, abs_tol=TOLERANCE),
                   f"row {row + 1}: {score}, not {like_score}")
    told = exchange["expect"].get("raw", None if "like" in exchange["expect"] else like_raw)
    expect(told is None or is_raw == told, f"the scores are {'' if is_raw else 'not '}raw")


def check(exchange, exchanges, code, text, response):
    """Raises Mismatch unless the answer is right. exchanges: all of the transcript, by name."""
    expected = exchange["expect"]
    expect(code in expected["status"], f"{code} ({text[:150]}), not {' or '.join(expected['status'])}")
    if code != "OK":
        expect(expected["compare"] != "error" or text, f"{code} without a text")
    elif expected["compare"] == "scores":
        reference = exchanges[expected.get("like", exchange["name"])]["response_hex"]
        check_scores(response, bytes.fromhex(reference), exchange)
    elif expected["compare"] == "nonempty":
        fields = read_fields(response)
        for number in expected["fields"]:
            expect(last(fields, number), f"field {number} is empty")
    elif expected["compare"] == "fields":
        fields = read_fields(response)
        for number, value in expected["fields"].items():
            found = last(fields, int(number), b"" if isinstance(value, str) else 0)
            found = found.decode() if isinstance(found, bytes) else found
            expect(found == value, f"field {number} is {found!r}, not {value!r}")
