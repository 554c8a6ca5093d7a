# SPDX-License-Identifier: Apache-2.0
"""Writes kubeflow_release.json: what deploy/kubeflow counts on in the release of kubeflow/manifests that
install.sh pins, so that the tests need no checkout. Needs one (deploy/kubeflow/install.sh fetch), and the packages
of tests/manifests:

    build/venv-manifests/bin/python tests/golden/make_kubeflow_golden.py
"""
import json
import os
import re
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHECKOUT = os.path.join(ROOT, 'build/kubeflow-manifests')
KUBECTL = os.path.join(os.path.dirname(sys.executable), 'kubectl')
# Not in the manifests: defaultMinimumVersion of knative.dev/pkg/version, by Knative's release.
KUBERNETES_MINIMUM = {'1.21.1': 'v1.33.0'}


def _build(folder):
    done = subprocess.run([KUBECTL, 'kustomize', os.path.join(CHECKOUT, folder)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=True)
    return [d for d in yaml.load_all(done.stdout, getattr(yaml, 'CSafeLoader', yaml.SafeLoader)) if d]


def _one(documents, kind, name):
    [found] = [d for d in documents if d['kind'] == kind and d['metadata']['name'] == name]
    return found


def facts():
    """The file's content, of the checkout."""
    with open(os.path.join(CHECKOUT, 'example/kustomization.yaml')) as file:
        components = [path.removeprefix('../') for path in yaml.safe_load(file)['resources']]
    with open(os.path.join(CHECKOUT, 'applications/jupyter/jupyter-web-app/upstream/base/configs/spawner_ui_config.yaml')) as file:
        notebook = yaml.safe_load(file)['spawnerFormDefaults']['image']['value']
    knative = _build('common/knative/knative-serving/overlays/gateways')
    version = _one(knative, 'Namespace', 'knative-serving')['metadata']['labels']['app.kubernetes.io/version']
    gateway = _one(_build('common/istio/cluster-local-gateway/base'), 'Deployment', 'cluster-local-gateway')
    config = _one(_build('applications/kserve/kserve'), 'ConfigMap', 'inferenceservice-config')
    commit = subprocess.run(['git', '-C', CHECKOUT, 'rev-parse', 'HEAD'], capture_output=True, text=True, check=True).stdout.strip()
    return {
        'commit': commit,
        'components': components,
        'notebook_image': notebook,
        'knative': version,
        'kubernetes_minimum': KUBERNETES_MINIMUM[version],
        # The containers of Knative's Deployments that are given an environment, by the Deployment's name.
        'knative_deployments': {d['metadata']['name']: [c['name'] for c in d['spec']['template']['spec']['containers'] if c.get('env')]
                                for d in knative if d['kind'] == 'Deployment'},
        'local_gateway_labels': {key: gateway['spec']['template']['metadata']['labels'][key] for key in ('app', 'istio')},
        'local_gateway_port': _one(knative, 'Service', 'knative-local-gateway')['spec']['ports'][0]['targetPort'],
        'kserve_namespace': config['metadata']['namespace'],
        'kserve_ingress': json.loads(config['data']['ingress']),
    }


if __name__ == '__main__':
    with open(os.path.join(HERE, 'kubeflow_release.json'), 'w') as file:
        file.write(json.dumps(facts(), indent=2) + '\n')
