# SPDX-License-Identifier: Apache-2.0
"""What dcnv2-train says of how far it is: a bar on a terminal, a line every few seconds elsewhere."""
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check, limit
from training import TRAIN_CSV, end, folder, start, write_csv

N_COPIES = 15 if harness.is_sanitized() else 60  # of the demo data: some tenths of a second of each part
SMALL = ("--embedding", 4, "--dnn", 16, "--batch-size", 1024)  # of quick steps
LINE_SECONDS = 5


def said_on_a_terminal(*flags, **places):
    """All that it writes to a terminal that is its stderr."""
    ours, its = pty.openpty()
    process = start(*flags, stderr=its, **places)
    os.close(its)
    clock = threading.Timer(limit(120), process.kill)
    clock.start()
    said = b""
    try:
        while True:
            said += os.read(ours, 1 << 16)
    except OSError:  # it has ended
        pass
    finally:
        process.communicate()
        clock.cancel()
        os.close(ours)
    check(process.returncode == 0, f"exit code {process.returncode}: {said[-500:]}")
    return said.decode()


def test_a_terminal_shows_a_bar_for_reading_training_and_validation():
    with folder() as name:
        path = pathlib.Path(name)
        header, *rows = TRAIN_CSV.read_text().splitlines()
        data = [write_csv(path / "large.csv", [header] + rows * N_COPIES)]
        said = said_on_a_terminal("--epochs", 1, *SMALL, data=data, valid=data, output=path / "model")
        bar = r"\r\x1b\[K%s \[=*>? *\] +\d+ %%, \d+ rows/s%s, \d+:\d\d left"
        for what, note in (("reading training data", r", \d+ rows"), ("reading validation data", r", \d+ rows"),
                           ("epoch 1/1", r", loss 0\.\d{4}"), ("epoch 1/1, validation", "")):
            check(re.search(bar % (what, note), said), f"no bar for {what}: {said[:2000]!r}")
        for line in ("read ", "epoch 1/1: loss"):  # lines that stay come where the bar was
            check(re.search(r"(^|\n|\r\x1b\[K)" + line, said), f"no line '{line}': {said[-2000:]!r}")


class SlowLog:
    """A click log that comes through a pipe, half of it now and half of it when a line is due."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.writer = path, threading.Thread(target=self.write)
        self.writer.start()

    def write(self):
        header, *rows = TRAIN_CSV.read_text().splitlines(keepends=True)
        with open(self.path, "w") as pipe:
            pipe.write(header + "".join(rows[:10000]))
            pipe.flush()
            time.sleep(LINE_SECONDS)
            pipe.write("".join(rows[10000:20000]))


def test_a_pipe_gets_a_line_every_few_seconds():
    with folder() as name:
        path = pathlib.Path(name)
        log = SlowLog(path / "log.csv")
        # So slow that a line comes long before the epoch is over.
        process = start("--epochs", 1, "--batch-size", 1, "--dense-adam", "--embedding", 256, data=[log.path],
                        valid=(), output=path / "model")
        said = []

        def read():
            for line in process.stderr:
                said.append(line)
                if line.startswith("epoch 1/1 "):
                    process.send_signal(signal.SIGTERM)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            process.wait(limit(60))
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join()
        log.writer.join()
        end(process)
        text = "".join(said)
        check(process.returncode == 128 + signal.SIGTERM, f"exit code {process.returncode}: {text}")
        for line in (r"reading training data, \d+ rows/s, \d+ rows\n",  # of a pipe nobody knows the end
                     r"epoch 1/1 +\d+ %, \d+ rows/s, loss \d\.\d{4}, (\d+:)?\d+:\d\d left\n"):
            check(re.search(line, text), f"no line like {line}: {text}")
        check("\r" not in text and "\x1b" not in text, f"made for a terminal: {text!r}")


if __name__ == "__main__":
    harness.main(globals())
