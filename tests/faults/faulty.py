# SPDX-License-Identifier: Apache-2.0
"""Servers whose calls on sockets fail by a seed; faults.c says how."""
import os
import pathlib
import struct
import tempfile

from harness import ROOT, Server

LIBRARY = ROOT / "build/tests/faults/faults.so"
# The names in faults.c, in its order.
KINDS = ("recv-short", "recv-again", "recv-interrupted", "recv-reset", "send-short", "send-again",
         "send-interrupted", "send-reset", "wait-few", "wait-none", "wait-interrupted",
         "accept-again", "accept-interrupted", "accept-aborted", "accept-full")
RESETS = ("recv-reset", "send-reset")
CUTS = (*RESETS, "accept-full")  # without a file for a new connection, an idle one gives its own
HARMLESS = tuple(kind for kind in KINDS if kind not in CUTS)  # each request is answered, and the log has no line of them
SEEDS = int(os.environ.get("DCNV2_TEST_SEEDS") or 4)  # of each test with seeds


def environment(seed, per_mille, which, counts):
    """The environment of a program whose calls fail; `counts`: a file that is made."""
    pathlib.Path(counts).write_bytes(bytes(8 * len(KINDS)))
    # A sanitizer's library wants to be the first, and does no less as the second.
    sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
    return {"LD_PRELOAD": str(LIBRARY), "FAULTS_SEED": str(seed), "FAULTS_PER_MILLE": str(per_mille),
            "FAULTS_WHICH": ",".join(which), "FAULTS_COUNTS": str(counts), "ASAN_OPTIONS": sanitizer}


def read_counts(path):
    """{kind: how many came}"""
    return dict(zip(KINDS, struct.unpack(f"<{len(KINDS)}Q", pathlib.Path(path).read_bytes())))


class FaultyServer(Server):
    """A server with these kinds of faults."""

    def __init__(self, *flags, seed, per_mille, which):
        self.counts_file = tempfile.NamedTemporaryFile()
        super().__init__(*flags, env=environment(seed, per_mille, which, self.counts_file.name))

    def counts(self):
        return read_counts(self.counts_file.name)
