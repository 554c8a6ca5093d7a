#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints how long the server takes to start, what memory it needs, and how it answers under load.

usage: tests/bench/bench.py build/bin/dcnv2-server [--model DIR] [--requests N] [--seconds S]

DIR holds model_weights.pth and preprocess_metadata.pkl; without it the demo model is measured, and
the full model too where ../shared/taobao-full lies beside the project. Figures are medians of
several runs; nothing is asserted, as machines differ.
"""
import argparse
import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import harness  # noqa: E402

STARTS = 11


def start(binary, directory):
    """A server on a free port, and the seconds until it answered its first request with 200."""
    port = harness.free_port()
    environment = {**os.environ, 'MODEL_PATH': os.path.join(directory, 'model_weights.pth'),
                   'ENCODER_PATH': os.path.join(directory, 'preprocess_metadata.pkl')}
    began = time.perf_counter()
    process = subprocess.Popen([binary, '--http_port', str(port)], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while True:
        try:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
            connection.request('GET', '/v2/health/ready')
            if connection.getresponse().status == 200:
                return process, port, time.perf_counter() - began
        except OSError:
            pass
        if process.poll() is not None or time.perf_counter() - began > 30:
            process.kill()
            sys.exit('the server did not start: %s' % process.stderr.read())
        time.sleep(0.0005)


def stop(process):
    process.terminate()
    log = process.communicate(timeout=30)[1]
    return float(re.search(r'ready after ([0-9.]+) ms', log).group(1))


def resident_mib(process):
    with open('/proc/%d/status' % process.pid) as file:
        return int(re.search(r'VmRSS:\s+(\d+)', file.read()).group(1)) / 1024


def send(port, body, n):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    for _ in range(n):
        connection.request('POST', '/v1/models/dcnv2:predict', body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit('a request was answered with %d' % answer.status)


def hey_figures(port, body_path, seconds):
    """Requests a second and latencies, by hey with 30 connections."""
    report = subprocess.run(['hey', '-z', '%ds' % seconds, '-c', '30', '-m', 'POST', '-T', 'application/json',
                             '-D', body_path, 'http://127.0.0.1:%d/v1/models/dcnv2:predict' % port],
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    rate = float(re.search(r'Requests/sec:\s+([0-9.]+)', report).group(1))
    latency = {p: float(re.search(r'%d%%+ in ([0-9.]+) secs' % p, report).group(1)) * 1e3 for p in (50, 99)}
    statuses = re.findall(r'\[(\d+)\]\s+(\d+) responses', report)
    return rate, latency, statuses


def measure(binary, name, directory, arguments):
    with open(os.path.join(ROOT, 'model/input.json'), 'rb') as file:
        body = file.read()
    walls, loads = [], []
    for _ in range(STARTS):
        process, _, wall = start(binary, directory)
        walls.append(wall * 1e3)
        loads.append(stop(process))
    print('%s' % name)
    print('  start to first 200        %7.1f ms   (%.1f to %.1f; ready by its own clock %.1f ms)' %
          (statistics.median(walls), min(walls), max(walls), statistics.median(loads)))
    process, port, _ = start(binary, directory)
    send(port, body, 200)
    before = resident_mib(process)
    send(port, body, arguments.requests)
    after = resident_mib(process)
    print('  resident memory           %7.1f MiB' % before)
    print('  after %7d requests    %7.1f MiB' % (arguments.requests, after))
    if shutil.which('hey'):
        rate, latency, statuses = hey_figures(port, os.path.join(ROOT, 'model/input.json'), arguments.seconds)
        print('  hey -z %ds -c 30          %7.0f requests/s, median %.2f ms, 99th percentile %.2f ms, replies %s' %
              (arguments.seconds, rate, latency[50], latency[99],
               ', '.join('%s: %s' % pair for pair in statuses)))
    stop(process)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('binary')
    parser.add_argument('--model')
    parser.add_argument('--requests', type=int, default=100000)
    parser.add_argument('--seconds', type=int, default=10)
    arguments = parser.parse_args()
    full = os.path.join(os.path.dirname(ROOT), 'shared/taobao-full')
    if arguments.model:
        measure(arguments.binary, arguments.model, arguments.model, arguments)
        return
    measure(arguments.binary, 'demo model', os.path.join(ROOT, 'model'), arguments)
    if os.path.isdir(full):
        measure(arguments.binary, 'full model', full, arguments)
    else:
        print('full model: not measured, there is no ../shared/taobao-full')


main()
