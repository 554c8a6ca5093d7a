# SPDX-License-Identifier: Apache-2.0
"""Builds the images as `make image` does and runs them with podman, held as a cluster holds them: one CPU,
1 GiB, read-only root, no capabilities, user 65532, no new privileges.

Containers share the machine's network, so that a server listens on a port that harness.free_port() gave;
all are removed at the end. The images are named dcnv2-test-*.
"""
import atexit
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import harness
from harness import ROOT, Failure, check

os.environ.setdefault("CONTAINERS_CONF", str(ROOT / "tests/image/containers.conf"))
os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
NAMES = {"IMAGE": "localhost/dcnv2-test-server:t", "TOOLS_IMAGE": "localhost/dcnv2-test-tools:t",
         "TRAINER_IMAGE": "localhost/dcnv2-test-trainer:t"}
SERVER, TOOLS, TRAINER = NAMES.values()
USER = 65532
HELD = ["--read-only", "--cap-drop", "all", "--user", f"{USER}:{USER}", "--security-opt", "no-new-privileges"]
BUILD_S = 850
# Where podman runs: some versions of its monitor leave a file `oom` there when the kernel ends a container for its
# memory, and not where podman looks for it.
PLACE = tempfile.TemporaryDirectory()


def podman(*arguments, timeout=60, check_code=True):
    """Its stdout; a failure when it does not succeed."""
    try:
        done = subprocess.run(["podman", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.limit(timeout), text=True, errors="replace",
                              cwd=PLACE.name)
    except subprocess.TimeoutExpired:
        raise Failure(f"podman {arguments[0]}: nothing after {timeout} s") from None
    check(done.returncode == 0 or not check_code, f"podman {' '.join(map(str, arguments[:2]))}: {done.stderr[-600:]}")
    return done.stdout


def script(name, *arguments, cwd=ROOT, timeout=BUILD_S, env=None):
    """Runs one of deploy/image; (exit code, last line of stdout, stderr and stdout)."""
    with tempfile.TemporaryFile("w+", errors="replace") as err:
        try:
            done = subprocess.run([str(cwd / "deploy/image" / name), *arguments], cwd=cwd, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=err, timeout=harness.limit(timeout), text=True,
                                  env={**os.environ, "ENGINE": "podman", **NAMES, **(env or {})}, errors="replace")
        except subprocess.TimeoutExpired:
            raise Failure(f"{name}: still running after {timeout} s") from None
        err.seek(0)
        lines = done.stdout.splitlines() or [""]
        return done.returncode, lines[-1], err.read() + done.stdout


def base():
    """The base image, found or made; the seconds that took."""
    started = time.monotonic()
    code, name, said = script("base.sh")
    check(code == 0, f"no base image: {said[-600:]}")
    return name, time.monotonic() - started


def build(*targets, cwd=ROOT, env=None):
    """Seconds that it took; little when nothing has changed since."""
    started = time.monotonic()
    code, _, said = script("build.sh", *targets, cwd=cwd, env={"BASE": base()[0], **(env or {})})
    check(code == 0, f"{' '.join(targets)} cannot be built: {said[-1200:]}")
    return time.monotonic() - started


_ids = set()


@atexit.register
def _remove():
    for container in list(_ids):
        subprocess.run(["podman", "rm", "-f", "-t", "0", container], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


def inspect(image):
    return json.loads(podman("image", "inspect", image))[0]


def check_two_builds(*targets):
    """The images have the same bytes when they are built again: from another folder, in another order, with nothing of
    ours from the cache, since a file more, which nothing includes, makes each step after the packages run again."""
    keys = ["IMAGE" if target == "server" else target.upper() + "_IMAGE" for target in targets]
    firsts = {key: inspect(NAMES[key]) for key in keys}
    about = firsts[keys[0]]
    label = {key.rpartition(".")[2]: value for key, value in about["Labels"].items()}
    created = datetime.datetime.fromisoformat(about["Created"].replace("Z", "+00:00"))
    again = {**{key: NAMES[key] + "2" for key in keys}, "REVISION": label["revision"], "SOURCE": label["source"],
             "SOURCE_DATE_EPOCH": str(int(created.timestamp()))}
    with tempfile.TemporaryDirectory() as folder:
        other = pathlib.Path(folder) / "elsewhere"
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "Dockerfile", ".dockerignore", "Makefile", "LICENSE",
                                "include", "src", "deploy"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
        for name in reversed(names.splitlines()):
            if (ROOT / name).is_file():
                (other / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, other / name)
        (other / "src/nothing.txt").write_text("nothing\n")
        try:
            build(*targets, cwd=other, env=again)
            seconds = {key: inspect(again[key]) for key in keys}
        finally:
            podman("rmi", "-f", *(again[key] for key in keys), check_code=False)
    for key, first in firsts.items():
        layers = first["RootFS"]["Layers"]
        check(layers == seconds[key]["RootFS"]["Layers"] and first["Id"] == seconds[key]["Id"],
              f"{first['Id']} {layers} and {seconds[key]['Id']} {seconds[key]['RootFS']['Layers']}")
        print(f"two builds: image {first['Id'][:19]}, layer {layers[-1][:19]}", flush=True)


class Container:
    """A container that runs in the background. Leaving the `with` block removes it."""

    def __init__(self, image, *arguments, flags=(), cpus=1, memory="1g", env=None, mounts=(), network="host"):
        settings = [f"--env={name}={value}" for name, value in (env or {}).items()]
        settings += [f"--volume={source}:{target}" for source, target in mounts]
        # memory-swap alike, or a process beyond its memory would go on in swap.
        self.id = podman("run", "-d", *HELD, "--network", network, "--cpus", cpus, "--memory", memory, "--memory-swap", memory,
                         *settings, *flags, image, *arguments).strip()
        _ids.add(self.id)

    def state(self):
        return json.loads(podman("inspect", self.id))[0]["State"]

    def was_out_of_memory(self):
        left = os.path.join(PLACE.name, "oom")
        if os.path.exists(left):
            os.unlink(left)
            return True
        return self.state()["OOMKilled"]

    def log(self):
        done = subprocess.run(["podman", "logs", self.id], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, text=True, errors="replace")
        return done.stdout

    def signal(self, name):
        podman("kill", "--signal", name, self.id)

    def wait(self, seconds):
        """Its exit code."""
        try:
            return int(podman("wait", self.id, timeout=seconds))
        except Failure:
            raise Failure(f"still running after {seconds} s: {self.log()[-600:]}") from None

    def remove(self):
        if self.id in _ids:
            podman("rm", "-f", "-t", "0", self.id)
            _ids.discard(self.id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


class ServerContainer(Container):
    """The server image with a model folder at /mnt/models, ready to be asked: as harness.Server for wire.ask.
    `cold_start_s`: from `podman run` to the first 200."""

    address = harness.LOOPBACK

    def __init__(self, *arguments, models=ROOT / "model", env=None, ready_s=30, **options):
        self.port = harness.free_port()
        columns = {name: harness.MODEL_ENV[name] for name in ("DENSE_COLS", "SPARSE_COLS")}
        started = time.monotonic()
        super().__init__(SERVER, "--http_port", self.port, "--grpc_port", 0, *arguments, mounts=[(models, "/mnt/models:ro")],
                         env={"PROTOCOL": "v2", **columns, **(env or {})}, **options)
        try:
            self._await_ready(started, ready_s)
        except BaseException:
            self.remove()
            raise

    def _await_ready(self, started, ready_s):
        from wire import ask
        while True:
            try:
                if ask(self, "GET", "/v2/health/ready").status == 200:
                    break
            except (OSError, Failure):
                pass
            check(time.monotonic() - started < harness.limit(ready_s), f"not ready in {ready_s} s: {self.log()[-600:]}")
            time.sleep(0.002)
        self.cold_start_s = time.monotonic() - started


def need():
    """Ends the suite where it cannot run: it does not pass."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root: the base image is made by debootstrap, and limits are set"
    else:
        done = subprocess.run(["podman", "info"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        if done.returncode:
            reason = f"podman does not work here: {done.stderr[-300:]}"
    if reason:
        print(f"FAIL tests/image: {reason}\n0 passed, 1 failed")
        sys.exit(1)
