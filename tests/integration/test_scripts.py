# SPDX-License-Identifier: Apache-2.0
"""The scripts behind `make run` and `make load`, and how the binary was linked."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
import training  # noqa: E402
from harness import BINARY, ROOT, check, limit, wait_until  # noqa: E402


def script_environment(**changes):
    return {**os.environ, "HTTP_PORT": str(harness.free_port()), **changes}


def check_run(expected, **changes):
    """What run.sh shows before Ctrl-C ends it, which must match all of these."""
    with tempfile.NamedTemporaryFile("w") as output:
        process = subprocess.Popen(["deploy/local/run.sh", str(BINARY)], cwd=ROOT, env=script_environment(**changes),
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            # Not of `output`: to seek there moves the place at which the script writes.
            text = pathlib.Path(output.name).read_text

            check(wait_until(lambda: "until Ctrl-C" in text() or process.poll() is not None, 15), text())
            for pattern in expected:
                check(re.search(pattern, text()), f"{pattern!r} is not in {text()}")
            check(text().count("$ curl") == 2, text())
            check(process.poll() is None, "it does not go on serving")
            os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C sends, to the script and the server
            check(process.wait(limit(10)) == 0, f"exit code {process.returncode}: {text()}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def test_make_run_shows_a_v1_and_a_v2_answer_and_serves_until_ctrl_c():
    check_run([r'\{"predictions":\[\[0\.056723863\]\]\}', "@model/input.json",
               r'"outputs":\[\{"name":"output-0".*"data":\[0\.056723863\]'])


def test_make_run_serves_a_model_of_other_columns_with_requests_that_fit_them():
    with training.folder() as name:
        path = pathlib.Path(name)
        log = training.write_csv(path / "log.csv", ["clk,ad id,first price,second"] +
                                 [f"{i % 2},{i % 7},{i % 3},{i}" for i in range(200)])
        training.train("--epochs", 1, data=[log], valid=(), output=path / "model", columns=[
            "--dense-cols", "first price,second", "--sparse-cols=ad id"])
        one_score = r'\{"predictions":\[\[0\.[0-9]+\]\]\}'
        outputs = r'"outputs":\[\{"name":"output-0".*"data":\[0\.[0-9]+\]'
        for model in ("model.safetensors", "model_weights.pth"):
            check_run([one_score, outputs, f"{path}/model/{model} is served", "@build/request.json"],
                      MODEL_PATH=f"{path}/model/{model}")
        check('"ad id":["0"],"first price":[0],"second":[0]' in (ROOT / "build/request.json").read_text(), "columns")


def test_make_run_with_a_model_of_the_demos_columns_shows_the_demos_requests():
    with training.folder() as name:
        training.train("--epochs", 1, data=[training.write_csv(pathlib.Path(name) / "log.csv", training.rows(200))],
                       valid=(), output=name)
        check_run(["@model/input.json", r'\{"predictions":\[\[0\.[0-9]+\]\]\}'], MODEL_PATH=f"{name}/model.safetensors")


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
    needed = re.search(r"requests/s with ([\d.]+) CPUs, ([\d.]+) microseconds .*: (\d+) requests/s per CPU", done.stdout)
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
