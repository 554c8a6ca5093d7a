# SPDX-License-Identifier: Apache-2.0
"""What a refusal of hostile input looks like from outside: one answer, the connection ends,
nothing behind the refused request is run, and the next client is served as always."""
from harness import Problems, check
from samples import V1, check_good
from wire import exchange


def post_with(header_lines, body=b"", version=b"1.1"):
    """A v1 POST with these header lines, byte for byte, and Host."""
    return (b"POST " + V1.encode() + b" HTTP/" + version + b"\r\nHost: localhost\r\n"
            + b"".join(line + b"\r\n" for line in header_lines) + b"\r\n" + body)


def check_refused(server, data, statuses, seconds=5):
    """One refusal with one of these statuses, as an error object, then the connection ends;
    nothing behind the refused request is run as another one."""
    try:
        found = exchange(server, data, seconds)
        answer = found.first()
        check(answer.status in statuses,
              f"status {answer.status}, not {statuses}: {found.raw[:200]!r}")
        check(found.ended != "open", f"connection left open after {answer.status}")
        check(answer.closes(), f"{answer.status} without Connection: close")
        check(len(found.statuses()) == 1, f"statuses {found.statuses()}")
        answer.error()
    finally:
        check_good(server)


def check_all_refused(server, cases, statuses, **options):
    problems = Problems()
    for data in cases:
        problems.collect(repr(data[40:160]),
                         lambda: check_refused(server, data, statuses, **options))
    problems.report()


def check_ended_or_refused(server, data, statuses, seconds=8):
    """Refused with one of these statuses, or closed without an answer; not served, not left."""
    found = exchange(server, data, seconds)
    check_good(server)
    check(found.ended != "open", f"still open after {seconds} s: {found.raw[:120]!r}")
    check(set(found.statuses()) <= set(statuses), f"statuses {found.statuses()}")
