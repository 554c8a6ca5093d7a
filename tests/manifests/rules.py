# SPDX-License-Identifier: Apache-2.0
"""What no schema says: rules of Knative and KServe, of our own, and between manifests and code."""
import json
import os
import re

import promql_parser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUEUE_PROXY_DRAIN_S = 30  # Knative's, before the server gets SIGTERM
REVISION = 'serving.knative.dev/revision'
GRACE_PERIOD_S = 30       # the server's --grace_period
PROBES = {'readinessProbe': '/v2/health/ready', 'livenessProbe': '/v2/health/live'}
# Fields of a pod that Knative refuses while its feature flags are as they come.
KNATIVE_REFUSES = ('terminationGracePeriodSeconds', 'securityContext', 'nodeSelector', 'tolerations', 'affinity',
                   'initContainers', 'hostNetwork', 'priorityClassName', 'runtimeClassName')


def _server_metrics():
    with open(os.path.join(ROOT, 'src/metrics.c')) as file:
        text = file.read()
    plain = set(re.findall(r'"((?:dcnv2|process)_[a-z_]+?)(?:_bucket|_count|_sum)?[{"\\ ]', text))
    return plain | {'request_%s_seconds' % stage for stage in re.findall(r'print_stage\(metrics, out, "(\w+)"', text)}


def _query_problems(where, query):
    """A query that does not parse, or names what the server does not print."""
    query = query.replace('$__rate_interval', '5m').replace('$namespace', '.*')
    try:
        promql_parser.parse(query)
    except ValueError as error:
        return ['%s: %s' % (where, error)]
    names = set(re.findall(r'\b((?:dcnv2|process|request)_[a-z_]+)\b', query))
    known = _server_metrics()
    return ['%s: the server has no metric %s' % (where, name) for name in sorted(names)
            if re.sub(r'_(bucket|count|sum)$', '', name) not in known and name not in known]


def _hardened(container, pod, where):
    """No privileges, no root, and a system-call filter; the root file system is read only in our own images."""
    own, outer = container.get('securityContext') or {}, pod.get('securityContext') or {}
    wanted = {
        'runAsNonRoot': own.get('runAsNonRoot', outer.get('runAsNonRoot')) is True,
        'allowPrivilegeEscalation': own.get('allowPrivilegeEscalation') is False,
        'capabilities': (own.get('capabilities') or {}).get('drop') == ['ALL'],
        'seccompProfile': (own.get('seccompProfile') or outer.get('seccompProfile') or {}).get('type') == 'RuntimeDefault',
        'resources': bool((container.get('resources') or {}).get('requests')),
    }
    if container['image'].startswith('dcnv2-'):
        wanted['readOnlyRootFilesystem'] = own.get('readOnlyRootFilesystem') is True
        wanted['runAsUser'] = own.get('runAsUser', outer.get('runAsUser')) == 65532
    return ['%s: container %s: %s' % (where, container['name'], key) for key, held in wanted.items() if not held]


def _pods(document, path=''):
    """Every pod specification below: what has `containers`."""
    if isinstance(document, dict):
        if isinstance(document.get('containers'), list):
            yield path, document
        for key, value in document.items():
            yield from _pods(value, path + '.' + key)
    elif isinstance(document, list):
        for i, value in enumerate(document):
            yield from _pods(value, '%s[%d]' % (path, i))


def _probe_problems(container, where):
    found = []
    for name, path in PROBES.items():
        get = (container.get(name) or {}).get('httpGet') or {}
        if (get.get('path'), get.get('port')) != (path, 8080):
            found.append('%s: %s does not ask %s on 8080' % (where, name, path))
    return found


def _inference_service_problems(document):
    annotations = document['metadata'].get('annotations', {})
    predictor = document['spec']['predictor']
    raw = annotations.get('serving.kserve.io/deploymentMode') == 'Standard'
    found = []
    for container in predictor.get('containers', []):
        if container['name'] != 'kserve-container':
            found.append('.spec.predictor: the container is named %s, not kserve-container' % container['name'])
        found += _probe_problems(container, '.spec.predictor')
        if not any(e['name'] == 'STORAGE_URI' for e in container.get('env', [])):
            found.append('.spec.predictor: no STORAGE_URI: nothing would be mounted')
    metric = predictor.get('scaleMetric', 'cpu' if raw else 'concurrency')
    if raw:
        if metric not in ('cpu', 'memory'):
            found.append('.spec.predictor.scaleMetric: a HorizontalPodAutoscaler knows no %s' % metric)
        [container] = predictor['containers']
        drain = [int(a.split('=')[1]) for a in container.get('args', []) if a.startswith('--drain_wait=')]
        if sum(drain) < 5 or predictor.get('terminationGracePeriodSeconds', 30) < sum(drain) + GRACE_PERIOD_S:
            found.append('.spec.predictor.terminationGracePeriodSeconds: does not hold --drain_wait and --grace_period')
    else:
        if metric not in ('concurrency', 'rps'):
            found.append('.spec.predictor.scaleMetric: Knative knows no %s' % metric)
        found += ['.spec.predictor.%s: Knative refuses it' % field for field in KNATIVE_REFUSES if field in predictor]
        if 'model' not in predictor and predictor.get('timeout', 300) < QUEUE_PROXY_DRAIN_S + GRACE_PERIOD_S:
            found.append('.spec.predictor.timeout: the pod would be killed while it drains')
        for container in predictor.get('containers', []):
            probe = container.get('readinessProbe', {})
            if not probe.get('periodSeconds') and ('failureThreshold' in probe or 'timeoutSeconds' in probe):
                found.append('.spec.predictor: Knative refuses failureThreshold and timeoutSeconds without periodSeconds')
    return found


def _flag_problems(container, where):
    """A flag that our program of this image does not know."""
    sources = {'dcnv2-server': 'src/config.c', 'dcnv2-trainer': 'src/train/options.c'}
    source = sources.get(container.get('image', '').split(':')[0])
    if source is None:
        return []
    with open(os.path.join(ROOT, source)) as file:
        known = set(re.findall(r'^    \{"([\w-]+)",', file.read(), re.M))
    flags = [a[2:].split('=')[0] for a in container.get('args', []) if a.startswith('--')]
    return ['%s: %s has no flag --%s' % (where, source, flag) for flag in flags if flag not in known]


def problems(document):
    """What is wrong with a document that is right by its schema."""
    kind = document.get('kind')
    found = []
    for path, pod in _pods(document):
        for container in pod.get('initContainers', []) + pod['containers']:
            if 'image' in container:
                found += _hardened(container, pod, path or '.') + _flag_problems(container, path or '.')
    if kind == 'InferenceService':
        found += _inference_service_problems(document)
    if kind == 'ClusterServingRuntime':
        found += _probe_problems(document['spec']['containers'][0], '.spec')
    if kind == 'AuthorizationPolicy' and document['spec'].get('action') == 'DENY':
        hosts = [host for rule in document['spec']['rules'] for to in rule.get('to', []) for host in to['operation'].get('hosts', [])]
        found += ['.spec.rules: %s: a port in Host evades a match by suffix or of the whole' % host for host in hosts if not host.endswith('*')]
    if kind == 'PrometheusRule':
        for group in document['spec']['groups']:
            for rule in group['rules']:
                found += _query_problems(rule.get('alert', rule.get('record')), rule['expr'])
    if kind == 'ConfigMap' and 'grafana_dashboard' in document['metadata'].get('labels', {}):
        for text in document['data'].values():
            for panel in json.loads(text)['panels']:
                for target in panel.get('targets', []):
                    found += _query_problems(panel['title'], target['expr'])
                    # A sum over revisions would hide a canary. A heatmap can show one series only; yesterday had other revisions.
                    by_revision = re.sub('[./]', '_', REVISION) in target['expr']
                    if 'sum(' in target['expr'] and not by_revision and panel['type'] != 'heatmap' and 'offset' not in target['expr']:
                        found.append('%s: sums over revisions' % panel['title'])
    if kind == 'PodMonitor' and REVISION not in document['spec'].get('podTargetLabels', []):
        found.append('.spec.podTargetLabels: no %s, by which the dashboard tells revisions apart' % REVISION)
    for path, text in _strings(document):
        if re.search(r'pvc://|claimName', path + text) and 'torch-workspace' not in text:
            found.append('%s: the volume is torch-workspace, not %s' % (path, text))
    return found


def _strings(value, path=''):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _strings(below, path + '.' + key)
    elif isinstance(value, list):
        for i, below in enumerate(value):
            yield from _strings(below, '%s[%d]' % (path, i))
    elif isinstance(value, str) and len(value) < 500:
        yield path, value
