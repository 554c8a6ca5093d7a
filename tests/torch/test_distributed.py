# SPDX-License-Identifier: Apache-2.0
"""dcnv2-train on 1, 2 and 4 ranks of this machine: results, files, interruption, ranks that fail."""
import array
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, Failure, check, free_port, limit

BIN = harness.BINARY.parent
TRAIN_CSV, TEST_CSV = ROOT / "model/train.csv", ROOT / "model/test.csv"
COLUMNS = ["--label", "clk", "--dense-cols", "price", "--sparse-cols", harness.MODEL_ENV["SPARSE_COLS"]]
MODEL = ("model_weights.pth", "preprocess_metadata.pkl", "model.safetensors")
JOB_VARIABLES = re.compile("WORLD_SIZE|RANK|LOCAL_RANK|MASTER_|PET_|DENSE_COLS|SPARSE_COLS")
FAILED, BY_SIGTERM = 1, 128 + signal.SIGTERM
FOREVER = ("--epochs", 10000, "--timeout", 6)
JOIN_S = 40  # for what libtorch takes to load on a busy machine


def pytorch_job(port, rank, n_ranks):
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": n_ranks, "RANK": rank}


def train_job(port, rank, n_ranks):
    return {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port, "PET_NNODES": n_ranks,
            "PET_NODE_RANK": rank, "PET_NPROC_PER_NODE": "auto"}


class Rank:
    """A process of dcnv2-train, its stderr in a file."""

    def __init__(self, flags, environment):
        kept = {n: v for n, v in os.environ.items() if not JOB_VARIABLES.match(n)}
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(part) for part in (BIN / "dcnv2-train", *COLUMNS, "--threads", 1, *flags)],
            env={**kept, **{n: str(v) for n, v in environment.items()}},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.err)
        harness._running.add(self.process)

    def said(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode(errors="replace")

    def end(self, seconds):
        """Its exit code."""
        try:
            return self.process.wait(limit(seconds))
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {seconds:.0f} s: {self.said()[-300:]}") from None
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            harness._running.discard(self.process)


class Job:
    """Ranks that belong together. Only rank 0 is given data that are there, and its output."""

    def __init__(self, n_ranks, out, *flags, data=(), job=pytorch_job, only=None, port=None):
        self.out, self.port, self.n_ranks = out, port or free_port(), n_ranks
        self.data, self.flags, self.job = data or (TRAIN_CSV, TEST_CSV), flags, job
        self.ranks = {}
        for rank in range(n_ranks) if only is None else only:
            self.start(rank)

    def start(self, rank, *more):
        nowhere = pathlib.Path("/nonexistent")
        train, valid = self.data if rank == 0 else (nowhere / "train.csv", nowhere / "test.csv")
        places = ["--train-data", train, "--valid-data", valid,
                  "--output", self.out if rank == 0 else nowhere / "model"]
        environment = self.job(self.port, rank, self.n_ranks) if self.n_ranks > 1 else {}
        self.ranks[rank] = Rank([*places, *self.flags, *more], environment)
        return self.ranks[rank]

    def wait_for(self, rank, text, seconds=JOIN_S):
        check(harness.wait_until(lambda: text in self.ranks[rank].said()
                                 or self.ranks[rank].process.poll() is not None, seconds),
              f"rank {rank} did not say '{text}' in {seconds} s: {self.ranks[rank].said()[-300:]}")
        check(text in self.ranks[rank].said(), f"rank {rank} ended: {self.ranks[rank].said()[-300:]}")

    def signal(self, number, *ranks):
        for rank in ranks or self.ranks:
            self.ranks[rank].process.send_signal(number)

    def end(self, expect=0, seconds=120, ranks=None):
        """Waits for ranks to end with this code; what each has said."""
        codes = {rank: self.ranks[rank].end(seconds) for rank in (self.ranks if ranks is None else ranks)}
        said = {rank: self.ranks[rank].said() for rank in codes}
        for rank, code in codes.items():
            check(code == expect, f"rank {rank} of {self.n_ranks} ended with {code}, not {expect}: {said[rank][-400:]}")
        return said

    def check_cut_off(self, ranks, since, seconds, text="lost the others"):
        """These ranks end in time, each with one line that says why."""
        for rank, said in self.end(FAILED, seconds, ranks).items():
            last = said.splitlines()[-1]
            check(last.startswith("dcnv2-train: ") and text in last, f"rank {rank} said: {said[-300:]}")
        took = time.monotonic() - since
        check(took <= limit(seconds), f"ranks {ranks} took {took:.1f} s")


def run(n_ranks, out, *flags, **options):
    Job(n_ranks, out, *flags, **options).end()
    return json.loads((out / "metrics.json").read_text())


def rows_of(path, name, n, seed=1):
    """Rows of which no two differ in the label alone: libtorch scores those a last bit apart, by their places in the
    batch, and an AUC counts each such pair as won, lost or half."""
    header, *lines = path.read_text().splitlines()
    unlike = list({line.partition(",")[2]: line for line in lines}.values())
    random.seed(seed)
    name.write_text("\n".join([header] + random.sample(unlike, n)) + "\n")
    return name


def small_data(path):
    return rows_of(TRAIN_CSV, path / "train.csv", 1000), rows_of(TEST_CSV, path / "test.csv", 500)


def tensors(path):
    """All floats of a safetensors file's F32 tensors, by name."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    return {name: array.array("f", content[8 + size + at["data_offsets"][0]:8 + size + at["data_offsets"][1]])
            for name, at in header.items() if name != "__metadata__" and at["dtype"] == "F32"}


def contents(folder):
    return {name: (folder / name).read_bytes() for name in MODEL}


def check_follows(path, n_ranks, one, found, loss_limit, flaws_allowed):
    """Losses of every step, results, and the parameters, beside those of one rank."""
    where = f"{n_ranks} ranks, {found['backend']}"
    a, b = one["losses"], found["losses"]
    check(a["step"] == b["step"] and a["step"] == list(range(1, len(a["step"]) + 1)), f"{where}: steps {b['step']}")
    furthest = max(abs(x - y) for x, y in zip(a["loss"], b["loss"]))
    check(furthest <= loss_limit, f"{where}: a step's loss is {furthest} away")
    for before, after in zip(one["epochs"], found["epochs"]):
        for name in ("auc", "log_loss", "grouped_auc"):
            near = 2e-3 if "auc" in name else 1e-4
            check(abs(before["valid"][name] - after["valid"][name]) <= near,
                  f"{where}: {name} {after['valid'][name]}, not {before['valid'][name]}")
    values = [tensors(path / name / "checkpoint.safetensors") for name in ("1", str(n_ranks) + found["backend"])]
    apart = [abs(x - y) for name in values[0] for x, y in zip(values[0][name], values[1][name])]
    n_far = sum(not x <= 1e-5 for x in apart)
    print(f"     {where}: losses within {furthest:.1e} of one rank's, parameters and moments within "
          f"{max(apart):.1e}, {n_far} of {len(apart)} beyond 1e-5")
    check(n_far <= flaws_allowed * len(apart) and max(apart) <= 5e-3, f"{where}: {n_far} far, {max(apart)}")


def test_two_and_four_ranks_follow_one():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        data = small_data(path)
        flags = ("--epochs", 2, "--group-col", "age_level")
        one = run(1, path / "1", *flags, data=data)
        jobs = [(2, "native", pytorch_job), (4, "native", train_job), (2, "torch", train_job)]
        for n_ranks, backend, job in jobs:
            found = run(n_ranks, path / f"{n_ranks}{backend}", *flags, "--batch-size", 128 // n_ranks,
                        "--backend", backend, data=data, job=job)
            check(found["ranks"] == n_ranks and found["backend"] == backend, f"{found['ranks']} {found['backend']}")
            check_follows(path, n_ranks, one, found, 1e-5, 1e-3)
            check(not pathlib.Path("/nonexistent").exists(), "a rank other than 0 has written")


def test_one_rank_with_the_torch_backend_follows_the_native_one():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        data = small_data(path)
        flags = ("--epochs", 2, "--group-col", "age_level")
        one = run(1, path / "1", *flags, data=data)
        found = run(1, path / "1torch", *flags, "--backend", "torch", data=data)
        check(found["ranks"] == 1 and found["backend"] == "torch", f"{found['ranks']} {found['backend']}")
        check_follows(path, 1, one, found, 1e-5, 1e-3)
        run(1, path / "resumed", "--epochs", 1, "--group-col", "age_level", "--backend", "torch", data=data)
        run(1, path / "resumed", *flags, "--backend", "torch", "--resume", data=data)
        check_resumed(path / "1torch", path / "resumed", "torch, gone on after an epoch")


def test_many_steps_of_two_ranks_end_as_well_as_those_of_one():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        one = run(1, path / "1", "--epochs", 2)
        two = run(2, path / "2", "--epochs", 2, "--batch-size", 64)
        for a, b in zip(one["epochs"], two["epochs"]):
            check(abs(a["valid"]["auc"] - b["valid"]["auc"]) < 0.01, f"AUC {a['valid']['auc']}, {b['valid']['auc']}")
            check(abs(a["valid"]["log_loss"] - b["valid"]["log_loss"]) < 0.004,
                  f"log loss {a['valid']['log_loss']}, {b['valid']['log_loss']}")


# ---------------------------------------------------------------- stopping and going on

def stop(job, number, ranks):
    """Waits for the first epoch, then stops the job by a signal to these ranks."""
    job.wait_for(0, "epoch 1/")
    job.signal(number, *ranks)


def check_resumed(whole, out, what):
    for name, content in contents(whole).items():
        check(content == (out / name).read_bytes(), f"{name} differs: {what}")
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, out))
    check(before["losses"] == after["losses"] and len(before["epochs"]) == len(after["epochs"])
          and before["best"] == after["best"], f"metrics.json differs: {what}")


def test_a_job_that_was_stopped_or_killed_goes_on_with_the_same_bits():
    for backend, n_rows, epochs in (("native", 2000, 8), ("torch", 1000, 4)):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            data = rows_of(TRAIN_CSV, path / "train.csv", n_rows), rows_of(TEST_CSV, path / "test.csv", 500)
            flags = ("--epochs", epochs, "--batch-size", 32, "--early-stop", 6, "--backend", backend, "--resume",
                     "--timeout", 20)
            run(2, path / "whole", *flags, data=data)
            out = path / "stopped"
            job = Job(2, out, *flags, data=data)
            stop(job, signal.SIGTERM, (0, 1) if backend == "native" else (1,))
            said = job.end(BY_SIGTERM)
            check(all("stopped" in text for text in said.values()), f"stopped ranks said {said}")
            check((out / "checkpoint.safetensors").exists(), "no checkpoint")
            n_epochs = len(json.loads((out / "metrics.json").read_text())["epochs"])
            check(n_epochs < epochs, f"all {n_epochs} epochs were done before the signal")
            if backend == "native":  # once more, the hard way
                job = Job(2, out, *flags, data=data)
                job.wait_for(0, "going on after epoch")
                job.signal(signal.SIGKILL)
                job.end(-signal.SIGKILL)
            said = Job(2, out, *flags, data=data).end()
            check("going on after epoch" in said[0], f"the run that went on said {said[0]}")
            check_resumed(path / "whole", out, f"{backend}, stopped and resumed")


class EndlessLog:
    """A click log that comes through a pipe for as long as it is read, or until it is closed."""

    def __init__(self, path):
        self.path, self.is_read, self.is_closed = path, threading.Event(), threading.Event()
        os.mkfifo(path)
        self.writer = threading.Thread(target=self.write)
        self.writer.start()

    def write(self):
        header, *rows = TRAIN_CSV.read_text().splitlines(keepends=True)
        try:
            with open(self.path, "w") as pipe:  # returns when rank 0 opens it, and all ranks have joined
                self.is_read.set()
                pipe.write(header)
                while not self.is_closed.wait(0.1):
                    pipe.write("".join(rows[:5000]))
                    pipe.flush()
        except BrokenPipeError:
            pass

    def close(self):
        self.is_closed.set()
        if not self.is_read.is_set():  # nobody came: let it go
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        self.writer.join()


def test_any_rank_may_be_stopped_while_rank_0_reads():
    for stopped, codes, text in ((1, (FAILED, BY_SIGTERM), "lost the others"), (0, (BY_SIGTERM, BY_SIGTERM), "stopped")):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            log = EndlessLog(path / "log")
            try:
                job = Job(2, path / "model", "--timeout", 20, data=(log.path, TEST_CSV))
                check(log.is_read.wait(limit(JOIN_S)), f"rank 0 does not read: {job.ranks[0].said()}")
                since = time.monotonic()
                job.signal(signal.SIGTERM, stopped)
                for rank in (stopped, 1 - stopped):  # a sign of life each 2 seconds, and one more to see who has gone
                    job.end(codes[rank], 10, (rank,))
                check(time.monotonic() - since < limit(10), f"it took {time.monotonic() - since:.1f} s")
                check(text in job.ranks[0].said(), f"rank 0 said {job.ranks[0].said()}")
            finally:
                log.close()


# ---------------------------------------------------------------- ranks that fail

def test_a_rank_that_dies_or_stands_still_ends_all_others():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        data = small_data(path)
        killed, first, stuck = (Job(n, path / label, *FOREVER, data=data)
                                for n, label in ((3, "killed"), (2, "first"), (2, "stuck")))
        cases = ((killed, signal.SIGKILL, 1, (0, 2)), (first, signal.SIGKILL, 0, (1,)),
                 (stuck, signal.SIGSTOP, 1, (0,)))
        for job, *_ in cases:
            job.wait_for(0, "epoch 1/")
        for job, number, unlucky, others in cases:
            since = time.monotonic()
            job.signal(number, unlucky)
            job.check_cut_off(others, since, 6 + 4)
        stuck.signal(signal.SIGCONT, 1)
        stuck.check_cut_off((1,), time.monotonic(), 6 + 4)
        for job, number, unlucky, _ in cases[:2]:
            job.end(-number, 5, (unlucky,))
        check((path / "killed/model.safetensors").exists(), "the best epoch so far is not there")


def check_absent(path, data):
    """Ranks that wait for one that never comes, or look for rank 0 where it is not."""
    started = time.monotonic()
    never = Job(3, path / "never", *FOREVER, data=data, only=[0, 1])
    lost = Job(2, path / "lost", *FOREVER, data=data, only=[0])
    lost.port = free_port()  # where nobody listens
    lost.start(1)
    for job, ranks, text in ((never, (0,), "rank 2 did not come"), (never, (1,), "cannot join"),
                             (lost, (0,), "rank 1 did not come"), (lost, (1,), f"127.0.0.1:{lost.port}")):
        job.check_cut_off(ranks, started, 6 + 20, text)


def check_wrong(path, data):
    """What only one rank can know: rank 0's data, and flags that differ."""
    bad = path / "bad.csv"
    bad.write_text(data[0].read_text() + "1,2\n")
    no_data = Job(2, path / "bad", *FOREVER, data=(bad, data[1]))
    other_flags = Job(2, path / "flags", *FOREVER, data=data, only=[0])
    other_flags.start(1, "--learning-rate", "1e-2")
    said = no_data.end(FAILED)
    check(f"{bad}:1002" in said[0] and "rank 0 cannot go on" in said[1], f"bad data: {said}")
    for rank, said in other_flags.end(FAILED).items():
        check("rank 1 has another --learning-rate" in said, f"rank {rank}: {said}")


def test_a_rank_may_come_20_seconds_late_but_not_never_nor_with_other_flags():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        data = small_data(path)
        started = time.monotonic()
        late = Job(2, path / "late", "--epochs", 1, data=data, only=[0])
        check_absent(path, data)
        check_wrong(path, data)
        time.sleep(max(0, 20 - (time.monotonic() - started)))
        check(late.ranks[0].process.poll() is None, f"rank 0 did not wait: {late.ranks[0].said()}")
        late.start(1)
        late.end()


def silent_socket(stack, backlog):
    """A port of loopback that says nothing: connections are taken by the kernel, or, behind a full backlog of 0, not."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    for _ in range(0 if backlog else 4):
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return listener.getsockname()[1]


def test_an_address_that_never_answers_is_given_up():
    """The thread that still waits there must not keep the program, nor make it crash on its way out."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        path = pathlib.Path(name)
        data = small_data(path)
        started = time.monotonic()
        jobs = [Job(2, path / "model", "--timeout", 4, data=data, only=[1], port=silent_socket(stack, backlog))
                for backlog in (8, 0, 8, 8)]  # an exit beside a thread may go wrong now and then
        for job in jobs:
            job.check_cut_off((1,), started, 4 + 20, f"cannot join the others at 127.0.0.1:{job.port}")


def test_a_wrong_environment_is_told():
    whole = pytorch_job(1, 0, 2)
    for job in (pytorch_job(1, 0, 2), train_job(1, 0, 2)):
        for name in list(job)[:4]:
            rank = Rank(["--train-data", TRAIN_CSV, "--output", "/nonexistent"],
                        {n: v for n, v in job.items() if n != name})
            check(rank.end(20) == FAILED and name in rank.said(), f"without {name}: {rank.said()}")
    for name, value in (("RANK", 2), ("RANK", "one"), ("WORLD_SIZE", 0), ("MASTER_PORT", 70000)):
        rank = Rank(["--train-data", TRAIN_CSV, "--output", "/nonexistent"], {**whole, name: value})
        check(rank.end(20) == FAILED and name in rank.said(), f"{name}={value}: {rank.said()}")


if __name__ == "__main__":
    harness.main(globals())
