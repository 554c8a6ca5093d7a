# SPDX-License-Identifier: Apache-2.0
"""Starts servers, loads them and runs tests. wire.py talks HTTP to them.

A test is a function named test_*, whose name says what must hold. One that takes an
argument `server` gets a running server with the demo model, started once per file with the
file's SERVER_FLAGS; it must leave that server alive. Others start their own.

    if __name__ == "__main__":
        harness.main(globals())

Arguments of a test file: parts of test names to run, -v for a line a test, and --without with
names of tests to leave out, by commas. The last line is `N passed, N failed`.

Environment:
  DCNV2_SERVER         the binary, instead of build/bin/dcnv2-server
  DCNV2_TEST_SLOWDOWN  every time limit is multiplied by it (sanitizer builds: 5)
  DCNV2_LONG           1: the long variants too
  DCNV2_TEST_LAUNCHER  words that stand before the command of each server, such as
                       `nsenter --net=FILE` or `env LD_PRELOAD=FILE`
  DCNV2_TEST_ADDRESS   where the servers are reached, instead of 127.0.0.1
  DCNV2_TEST_RECORD, DCNV2_TEST_COMPARE
                       files of replies, see seen.py

Ports are free ones that the kernel names. Only processes that were started here are ended, by
their pid.
"""
import argparse
import atexit
import contextlib
import inspect
import itertools
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import seen

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("DCNV2_SERVER") or ROOT / "build/bin/dcnv2-server")
SLOWDOWN = float(os.environ.get("DCNV2_TEST_SLOWDOWN", "1"))
LONG = os.environ.get("DCNV2_LONG", "0") not in ("", "0")
LOOPBACK = "127.0.0.1"
ADDRESS = os.environ.get("DCNV2_TEST_ADDRESS") or LOOPBACK
LAUNCHER = shlex.split(os.environ.get("DCNV2_TEST_LAUNCHER") or "")

MODEL_PATH = ROOT / "model/model_weights.pth"
ENCODER_PATH = ROOT / "model/preprocess_metadata.pkl"
MODEL_ENV = {
    "MODEL_PATH": str(MODEL_PATH),
    "ENCODER_PATH": str(ENCODER_PATH),
    "DENSE_COLS": "price",
    "SPARSE_COLS": "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,"
    "shopping_level,occupation,new_user_class_level,adgroup_id,cate_id,campaign_id,customer,"
    "brand,pid,btag",
}

# A sanitizer ends the report that a server's stderr must never hold.
SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer",
                     "LeakSanitizer", "MemorySanitizer")
SANITIZER_MARKS = (b"__asan_init", b"__tsan_init", b"__ubsan_handle", b"__msan_init")


class Failure(AssertionError):
    """What a test found wrong, as one line for a person."""


def check(condition, message):
    if not condition:
        raise Failure(message)


class Problems(list):
    """Collects what is wrong over many cases, so that one run shows all of them."""

    def check(self, condition, message):
        if not condition:
            self.append(message)

    def collect(self, label, function, *arguments):
        """Calls the function; its failure becomes a problem, and None is returned."""
        try:
            return function(*arguments)
        except (Failure, OSError) as error:
            self.append(f"{label}: {error or type(error).__name__}")
            return None

    def report(self):
        shown = "; ".join(self[:20]) + (f"; and {len(self) - 20} more" if len(self) > 20 else "")
        check(not self, shown)


def limit(seconds):
    """A time limit on this build."""
    return seconds * SLOWDOWN


def whole(seconds):
    """The same as a flag's value, in whole seconds."""
    return str(max(1, round(seconds * SLOWDOWN)))


def wait_until(condition, seconds, step=0.01):
    """Whether the condition came true in time."""
    end = time.monotonic() + limit(seconds)
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(step)
    return bool(condition())


def free_port():
    """A port that was free a moment ago, chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def listening(pid, family, port):
    """The inodes of the sockets that listen on that port where the process lives. They come first in the table, whose
    rest, which is not read, takes milliseconds."""
    with open(f"/proc/{pid}/net/{family}", "rb", buffering=512) as table:
        for _, local, _, state, *rest in map(bytes.split, itertools.islice(table, 1, None)):
            if state != b"0A":
                return
            if int(local.rpartition(b":")[2], 16) == port:
                yield int(rest[5])


def is_sanitized():
    """Whether the binary is a sanitizer build, whose memory use says nothing."""
    if not hasattr(is_sanitized, "answer"):
        image = BINARY.read_bytes()
        is_sanitized.answer = any(mark in image for mark in SANITIZER_MARKS)
    return is_sanitized.answer


def fewer(n):
    """So many rows or requests; with a sanitizer a tenth, since each takes ten times as long."""
    return n // 10 if is_sanitized() else n


# ---------------------------------------------------------------- processes

_running = set()


@atexit.register
def _end_running():
    for process in list(_running):
        if process.poll() is None:
            process.kill()
            process.wait(5)


def server_environment(changes=None):
    """This process's environment with the demo model's settings. A change of None removes."""
    environment = {**os.environ, **MODEL_ENV, **(changes or {})}
    return {name: value for name, value in environment.items() if value is not None}


def run_server(*flags, env=None, timeout=10):
    """Runs the binary where it is expected to end by itself. (exit code, stdout, stderr)"""
    process = subprocess.Popen(
        [*LAUNCHER, str(BINARY), *map(str, flags)], env=server_environment(env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _running.add(process)
    try:
        out, err = process.communicate(timeout=limit(timeout))
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Failure(f"still running after {timeout} s with {list(flags)}: "
                      f"{err.decode(errors='replace')[:200]}") from None
    finally:
        _running.discard(process)
    text = err.decode(errors="replace")
    check_no_sanitizer_report(text)
    return process.returncode, out.decode(errors="replace"), text


def check_no_sanitizer_report(text):
    for mark in SANITIZER_REPORTS:
        at = text.find(mark)
        check(at < 0, f"sanitizer report: {text[max(0, at - 100):at + 1500]}")


class Server:
    """A server process, ready to be asked.

    `stderr`: a file or descriptor instead of the collected one. `before_exec`: runs in the
    child, to set limits or close descriptors. `is_reference`: on the loopback and without
    LAUNCHER, to compare replies with. Leaving the `with` block stops the server and checks that
    it ended with exit code 0 and without a sanitizer's report.
    """

    START_ATTEMPTS = 5  # another process may take the free port first

    def __init__(self, *flags, env=None, stderr=None, before_exec=None, ready_seconds=10,
                 is_reference=False):
        check(BINARY.exists(), f"{BINARY} is not built")
        self.address, launcher = (LOOPBACK, []) if is_reference else (ADDRESS, LAUNCHER)
        self.log_file = tempfile.TemporaryFile()
        for attempt in range(self.START_ATTEMPTS):
            self.port = free_port()
            self.process = subprocess.Popen(
                [*launcher, str(BINARY), "--http_port", str(self.port), *map(str, flags)],
                env=server_environment(env), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr if stderr is not None else self.log_file,
                preexec_fn=before_exec)
            _running.add(self.process)
            if self._is_ready(ready_seconds):
                return
            code, log = self.process.poll(), self.log()
            self.kill()
            if code is None or str(self.port) not in log or attempt + 1 == self.START_ATTEMPTS:
                raise Failure(f"not ready in {ready_seconds} s, exit code {code}: {log[-600:]}")

    def _is_ready(self, seconds):
        end = time.monotonic() + limit(seconds)
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, self.port), timeout=1).close()
                if self._listens():
                    return True
            time.sleep(0.005)
        return False

    def _listens(self):
        """Whether the port is its own. Another process may have taken the port first, or the probe has called itself."""
        sockets = {f"socket:[{inode}]" for family in ("tcp", "tcp6") for inode in listening(self.pid, family, self.port)}
        return not sockets.isdisjoint(self.open_files())

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def log(self):
        """What it has written to stderr so far."""
        size = os.fstat(self.log_file.fileno()).st_size
        return os.pread(self.log_file.fileno(), size, 0).decode(errors="replace")

    def logs(self, text, seconds=5):
        """Whether its log comes to hold the text: a thread of the server writes it, perhaps after a reply."""
        return wait_until(lambda: text in self.log(), seconds)

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds):
        """Its exit code, or None when it is still running after that time."""
        try:
            code = self.process.wait(limit(seconds))
        except subprocess.TimeoutExpired:
            return None
        _running.discard(self.process)
        return code

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait(10)
        _running.discard(self.process)

    def stop(self, seconds=10):
        """SIGTERM, and a failure unless it ends well."""
        check(self.is_alive(), f"ended early with exit code {self.process.poll()}: "
                               f"{self.log()[-1500:]}")
        self.send_signal(signal.SIGTERM)
        code = self.wait(seconds)
        if code is None:
            self.kill()
            raise Failure(f"still running {seconds} s after SIGTERM")
        check_no_sanitizer_report(self.log())
        check(code == 0, f"exit code {code} after SIGTERM: {self.log()[-1500:]}")

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Failure("no VmRSS")

    def cpu_seconds(self):
        """What it has used, in the steps of the kernel's clock. Unlike time, it does not pass while others have the CPU."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def queued_seconds(self):
        """How long each of its threads was ready to run while others had the CPU."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        return {task.name: int((task / "schedstat").read_text().split()[1]) / 1e9 for task in tasks.iterdir()}

    def n_open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_files(self):
        """What they are; one may be closed while they are listed."""
        names = []
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(f"/proc/{self.pid}/fd/{number}"))
        return sorted(names)

    def __enter__(self):
        return self

    def _has_ended(self, error):
        """Whether it ended unasked, of which the test has seen the error alone. It closes its sockets a moment earlier."""
        if self.process.returncode is not None or not isinstance(error, (Failure, OSError)):
            return False
        return wait_until(lambda: not self.is_alive(), 1 if isinstance(error, ConnectionError) else 0)

    def __exit__(self, kind, error, trace):
        try:
            has_ended = self._has_ended(error)
            if kind is None and self.process.returncode is None:
                self.stop()
            else:
                self.kill()
            check_no_sanitizer_report(self.log())
            if has_ended:
                raise Failure(f"{error}; the server had ended, exit code {self.process.returncode}: {self.log()[-600:]}")
        finally:
            self.kill()
            self.log_file.close()


# ---------------------------------------------------------------- load

class Load:
    """Threads that each call a step again and again. `make_step(number)` runs in the thread
    and returns the step; a step's exception is kept as a failure and ends its thread."""

    def __init__(self, n_threads, make_step):
        self.n_done, self.failures, self.stopping = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i, make_step), daemon=True)
                        for i in range(n_threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, make_step):
        try:
            step = make_step(number)
            while not self.stopping.is_set():
                if step() is False:
                    return
                with self.lock:
                    self.n_done += 1
        except Exception as error:  # whatever it is belongs in the test's report
            where = traceback.extract_tb(error.__traceback__)[-1].lineno
            with self.lock:
                self.failures.append(f"{type(error).__name__} (line {where}): {error}")

    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def join(self, seconds):
        end = time.monotonic() + limit(seconds)
        for thread in self.threads:
            thread.join(max(0.01, end - time.monotonic()))
        check(not self.is_running(), f"clients still waiting after {seconds} s")

    def stop(self, seconds=15):
        """Lets each thread finish its step; a failure if any step failed or none was made."""
        self.stopping.set()
        self.join(seconds)
        check(not self.failures, f"{len(self.failures)} of {len(self.threads)} clients failed: "
                                 + "; ".join(self.failures[:3]))
        check(self.n_done > 0, "no request was answered")


# ---------------------------------------------------------------- runner

class _SharedServer:
    """The server that the tests of one file share; a new one after a crash."""

    def __init__(self, flags):
        self.flags, self.server = flags, None

    def get(self):
        if self.server is None:
            self.server = Server(*self.flags)
        return self.server

    def check_after_test(self):
        if self.server is None:
            return
        log, alive = self.server.log(), self.server.is_alive()
        if not alive or any(mark in log for mark in SANITIZER_REPORTS):
            code = self.server.process.poll()
            self.server.kill()
            self.server = None
            check_no_sanitizer_report(log)
            raise Failure(f"the server died with exit code {code}: {log[-600:]}")

    def stop(self):
        if self.server is not None:
            with self.server:
                self.server.stop()
            self.server = None


def _run_test(test, shared):
    """None, or why it failed."""
    seen.begin(test.__name__)
    try:
        if "server" in inspect.signature(test).parameters:
            test(shared.get())
        else:
            test()
        shared.check_after_test()
        check(not seen.unknown(), f"a reply that it did not get before: {(seen.unknown() or '')[:600]}")
        return None
    except Exception as error:  # the runner reports whatever a test raises
        where = [f for f in traceback.extract_tb(error.__traceback__) if f.name == test.__name__]
        line = f" (line {where[-1].lineno})" if where else ""
        kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
        try:
            shared.check_after_test()
        except Failure as death:
            return f"{kind}{error}{line}; {death}"
        return f"{kind}{error}{line}"


def main(module, arguments=None):
    """Runs the test_* functions of a module's globals() in order; exits 1 if any fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--without", default="", type=lambda names: names.split(","))
    parser.add_argument("wanted", nargs="*")
    arguments = parser.parse_args(arguments)
    tests = {name: test for name, test in module.items() if name.startswith("test_") and callable(test)}
    unknown = [name for name in arguments.without if name and name not in tests]
    if unknown:
        parser.error(f"--without: no test {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    shared = _SharedServer(module.get("SERVER_FLAGS", ()))
    n_passed = n_failed = 0
    for name, test in tests.items():
        if name in arguments.without:
            continue
        if arguments.wanted and not any(part in name for part in arguments.wanted):
            continue
        start = time.monotonic()
        reason = _run_test(test, shared)
        n_passed, n_failed = n_passed + (reason is None), n_failed + (reason is not None)
        if reason is not None:
            print(f"FAIL {name}: {reason}", flush=True)
        elif arguments.verbose:
            print(f"ok   {name} ({time.monotonic() - start:.2f} s)", flush=True)
    try:
        shared.stop()
    except Failure as reason:
        n_failed += 1
        print(f"FAIL the shared server ends well: {reason}")
    seen.write()
    print(f"{n_passed} passed, {n_failed} failed", flush=True)
    sys.exit(1 if n_failed else 0)
