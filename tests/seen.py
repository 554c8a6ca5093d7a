# SPDX-License-Identifier: Apache-2.0
"""The replies that each test gets, to be compared between two runs of a suite.

With DCNV2_TEST_RECORD=FILE a run writes them down. With DCNV2_TEST_COMPARE=FILE each reply to a
test must be one of those that the same test got in the run that wrote FILE, byte for byte but for
the date, generated ids, and when which model was loaded. Not in which order: clients of several threads have none.
"""
import hashlib
import json
import os
import pathlib
import re
import zlib

RECORD, COMPARE = os.environ.get("DCNV2_TEST_RECORD"), os.environ.get("DCNV2_TEST_COMPARE")
# Generated ids; of a model its time of loading, and the digests, which are read behind the start.
CHANGING = re.compile(rb'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"(loaded_at|model_sha256|encoder_sha256)":"[^"]*",?')
GZIP_WINDOW_BITS = 31

_known = json.loads(pathlib.Path(COMPARE).read_text()) if COMPARE else {}
_seen, _unknown = {}, []
_test = None


def _lasting(answer):
    """What of a reply is the same in each run."""
    headers, body = dict(answer.headers), answer.body
    headers.pop("date", None)
    if headers.get("content-type", "").startswith("text/plain"):  # metrics: each request changes them
        headers.pop("content-length", None)
        body = b""
    if headers.get("content-encoding") == "gzip" and body:
        body = zlib.decompress(body, GZIP_WINDOW_BITS)
    body, n_changing = CHANGING.subn(b"", body)
    if n_changing or body != answer.body:
        headers.pop("content-length", None)
    return repr((answer.status, sorted(headers.items()), body))


def note(answer):
    """A whole reply came."""
    if _test is None or not (RECORD or COMPARE):
        return
    text = _lasting(answer)
    key = hashlib.sha256(text.encode()).hexdigest()
    _seen.setdefault(_test, set()).add(key)
    if COMPARE and key not in _known.get(_test, ()):
        _unknown.append(text)


def begin(test):
    global _test
    _test = test
    _unknown.clear()


def unknown():
    """A reply to this test that differs from all recorded ones, or None."""
    return _unknown[0] if _unknown else None


def write():
    if RECORD:
        pathlib.Path(RECORD).write_text(json.dumps({test: sorted(keys) for test, keys in _seen.items()}))
