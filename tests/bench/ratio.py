#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests a second beside a server on the same library that parses nothing and sends a fixed reply.

usage: tests/bench/ratio.py build/bin/dcnv2-server build/bench/fixed_reply [--runs 5] [--seconds 2]

Each server on core 0, the client (wrk, one thread, 16 connections) on core 1, the runs in turn.
Printed: the median of each side, its spread, and the median of the ratios pair by pair.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import harness  # noqa: E402

SCRIPT = '''wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("%s", "rb")
wrk.body = file:read("*a")
file:close()
'''


def pinned(core, command, **options):
    return subprocess.Popen(['taskset', '-c', str(core)] + command, **options)


def wait_for(port):
    for _ in range(200):
        try:
            harness.socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit('a server did not start')


def rate(port, path, script, seconds):
    report = subprocess.run(['taskset', '-c', '1', 'wrk', '-t1', '-c16', '-d%ds' % seconds, '-s', script,
                             'http://127.0.0.1:%d%s' % (port, path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    if 'Non-2xx' in report:
        sys.exit('replies other than 200:\n' + report)
    return float(re.search(r'Requests/sec:\s+([0-9.]+)', report).group(1))


def compare(name, binary, fixed, directory, body, path, arguments, goal):
    with tempfile.TemporaryDirectory() as folder:
        script, reply = os.path.join(folder, 'post.lua'), os.path.join(folder, 'reply')
        with open(script, 'w') as file:
            file.write(SCRIPT % body)
        ours_port, fixed_port = harness.free_port(), harness.free_port()
        environment = {**os.environ, 'MODEL_PATH': os.path.join(directory, 'model_weights.pth'),
                       'ENCODER_PATH': os.path.join(directory, 'preprocess_metadata.pkl')}
        ours = pinned(0, [binary, '--http_port', str(ours_port), '--workers', '1'], env=environment,
                      stderr=subprocess.DEVNULL)
        wait_for(ours_port)
        with open(reply, 'wb') as file:
            file.write(subprocess.run(['curl', '-s', '-d', '@' + body, 'http://127.0.0.1:%d%s' % (ours_port, path)],
                                      stdout=subprocess.PIPE, check=True).stdout)
        other = pinned(0, [fixed, str(fixed_port), reply], stdin=subprocess.PIPE)
        wait_for(fixed_port)
        pairs = []
        for run in range(arguments.runs + 1):
            pair = (rate(ours_port, path, script, arguments.seconds), rate(fixed_port, path, script, arguments.seconds))
            if run > 0:  # the first one is to warm up
                pairs.append(pair)
        ours.terminate()
        other.stdin.close()
        ours.wait(10)
        other.wait(10)
    mine, theirs = [p[0] for p in pairs], [p[1] for p in pairs]
    print('%-18s %8.0f requests/s (%.0f to %.0f), fixed reply %8.0f (%.0f to %.0f), ratio %.2f, goal %.2f' %
          (name, statistics.median(mine), min(mine), max(mine), statistics.median(theirs), min(theirs), max(theirs),
           statistics.median(a / b for a, b in pairs), goal))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('binary')
    parser.add_argument('fixed')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=2)
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit('ratio.py needs two cores: one for the server, one for the client')
    full = os.path.join(os.path.dirname(ROOT), 'shared/taobao-full')
    directory = full if os.path.isdir(full) else os.path.join(ROOT, 'model')
    print('network of %s' % ('the full model' if directory == full else 'the demo model'))
    compare('v1, one row', arguments.binary, arguments.fixed, directory,
            os.path.join(ROOT, 'model/input.json'), '/v1/models/dcnv2:predict', arguments, 0.75)
    compare('v2, one row', arguments.binary, arguments.fixed, directory,
            os.path.join(ROOT, 'model/input_v2.json'), '/v2/models/dcnv2/infer', arguments, 0.70)


main()
