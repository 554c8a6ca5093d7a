# SPDX-License-Identifier: Apache-2.0
"""The scripts behind `make run` and `make load`, and how the binary was linked."""
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
from harness import BINARY, ROOT, check, limit, wait_until  # noqa: E402


def script_environment(**changes):
    return {**os.environ, "HTTP_PORT": str(harness.free_port()), **changes}


def test_make_run_shows_a_v1_and_a_v2_answer_and_serves_until_ctrl_c():
    environment = script_environment()
    log = ROOT / "build/run-script.log"
    with open(log, "w") as output:
        process = subprocess.Popen(["deploy/local/run.sh", str(BINARY)], cwd=ROOT, env=environment,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            text = log.read_text  # not of `output`: to seek there moves the place at which the script writes
            check(wait_until(lambda: "until Ctrl-C" in text(), 15), text())
            check(re.search(r'\{"predictions":\[\[0\.056723863\]\]\}', text()), text())
            check(re.search(r'"outputs":\[\{"name":"output-0".*"data":\[0\.056723863\]', text()), text())
            check(text().count("$ curl") == 2, text())
            check(process.poll() is None, "it does not go on serving")
            os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C sends, to the script and the server
            check(process.wait(limit(10)) == 0, f"exit code {process.returncode}: {text()}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def test_make_run_says_which_port_is_taken():
    with harness.Server() as server:
        done = subprocess.run(["deploy/local/run.sh", str(BINARY)], cwd=ROOT, timeout=limit(30),
                              env=script_environment(HTTP_PORT=str(server.port)),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(done.returncode == 1, f"exit code {done.returncode}")
        check(f"cannot listen on port {server.port}" in done.stdout, done.stdout)


def test_make_load_gets_no_reply_but_200():
    done = subprocess.run(["deploy/local/load.sh", str(BINARY)], cwd=ROOT, timeout=limit(60),
                          env=script_environment(LOAD_SECONDS="3"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, done.stdout)
    statuses = re.findall(r"\[(\d+)\]\s+\d+ responses", done.stdout)
    check(statuses == ["200"], done.stdout)
    needed = re.search(r"requests/s with ([\d.]+) CPUs, ([\d.]+) microseconds .*: (\d+) requests/s a CPU", done.stdout)
    check(needed and float(needed[2]) * int(needed[3]) > 0.98e6, "what it needed does not add up: " + done.stdout)


def test_targets_of_the_readme_install_what_they_need_before_they_build():
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    for target in ("run", "demo-model", "bench-scale"):
        steps = subprocess.run(["make", "-n", target], cwd=ROOT, timeout=limit(60), stdin=subprocess.DEVNULL, env=outside,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(steps.returncode == 0, f"make -n {target}: {steps.stdout[-500:]}")
        check(steps.stdout.startswith("deploy/local/install.sh build"), f"make -n {target} begins with {steps.stdout[:200]}")


def test_the_shipped_binary_is_hardened():
    if harness.is_sanitized():
        return
    header = subprocess.run(["readelf", "-hldW", str(BINARY)], stdout=subprocess.PIPE, text=True, check=True).stdout
    check(re.search(r"Type:\s+DYN", header), "not position independent")
    check("GNU_RELRO" in header and re.search(r"BIND_NOW|FLAGS.*NOW", header), "no full RELRO")
    check(re.search(r"GNU_STACK.*RW ", header), "an executable stack")
    symbols = subprocess.run(["readelf", "-sW", "--dyn-syms", str(BINARY)], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    check("__stack_chk_fail" in symbols, "no stack protector")
    check(re.search(r"__\w+_chk@", symbols), "no _FORTIFY_SOURCE")


if __name__ == "__main__":
    harness.main(globals())
