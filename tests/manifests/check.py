#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every manifest of deploy/: builds each kustomization, then compares what comes out with the real
schemas. Run by `make manifests-check`, or with the packages of requirements.txt: tests/manifests/check.py

Kubernetes' own kinds are checked strictly by kubernetes-validate; custom resources against CRDs, whose
unknown fields are errors; rules.py has what no schema says. Each file in broken/ must fail, with the
complaint that its first line names.

CRDs are looked for in build/crds/*.yaml, then in ../shared/platform/crds. Without any, custom resources
are not checked, and with MANIFESTS_NEED_CRDS=1 that is a failure.
"""
import ast
import contextlib
import functools
import glob
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import crd
import rules

ROOT = rules.ROOT
SHARED = os.path.join(os.path.dirname(ROOT), 'shared/platform')
KUBERNETES = '1.32'
KUBECTL = os.path.join(os.path.dirname(sys.executable), 'kubectl')
NEEDS_CRDS = '''custom resources are not checked: that needs CRDs, of a cluster with Kubeflow for example:
     mkdir -p build/crds && kubectl get crd -o yaml > build/crds/cluster.yaml'''

# Kinds of operators that deploy/kubeflow does not install: a cluster may be without them.
OPTIONAL_KINDS = {('monitoring.coreos.com/v1', 'PodMonitor'), ('monitoring.coreos.com/v1', 'PrometheusRule'), ('kubeflow.org/v1', 'PyTorchJob')}

counts = {'passed': 0, 'failed': 0}
not_checked = set()  # kinds


def verdict(name, found):
    """Counts a check; `found` are its problems."""
    counts['failed' if found else 'passed'] += 1
    print('%s %s' % ('FAIL' if found else 'ok  ', name))
    for line in found:
        print('     ' + line)


def crd_folder():
    for folder in (os.path.join(ROOT, 'build/crds'), os.path.join(SHARED, 'crds')):
        if glob.glob(os.path.join(folder, '*.yaml')):
            return folder
    return None


@functools.cache
def other_validator(folder):
    """The validator beside the project, as a module, and a folder of links to the CRDs, since it leaves a
    cache beside them. None where there is no such program, or for a cluster's list, which it does not read."""
    program = os.path.join(SHARED, 'validate_crd.py')
    if not os.path.exists(program) or folder != os.path.join(SHARED, 'crds'):
        return None
    links = os.path.join(ROOT, 'build/crd-links')
    shutil.rmtree(links, ignore_errors=True)
    os.makedirs(links)
    for path in glob.glob(os.path.join(folder, '*.yaml')):
        os.symlink(os.path.abspath(path), os.path.join(links, os.path.basename(path)))
    spec = importlib.util.spec_from_file_location('validate_crd', program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load = functools.cache(module.load)
    return module, links


def second_opinion(folder, document):
    """The other validator's complaints."""
    module, links = other_validator(folder)
    output = io.StringIO()
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file, contextlib.redirect_stdout(output):
        yaml.safe_dump(document, file)
        file.flush()
        refused = module.main(links, [file.name])
    lines = [line.replace(file.name + ': ', '') for line in output.getvalue().splitlines()]
    return [line for line in lines if 'problem(s)' not in line] if refused else []


def is_core(document):
    group = document.get('apiVersion', '').split('/')[0]
    return '.' not in group or group.endswith('.k8s.io') and not group.startswith('kustomize.')


def has_schema(document, schemas):
    """Whether the document can be checked; one of an unknown kind, which must fail, can."""
    key = document.get('apiVersion'), document.get('kind')
    if is_core(document) or (schemas is not None and (key in schemas or key not in OPTIONAL_KINDS)):
        return True
    not_checked.add('%s %s' % key)
    return False


def schema_problems(document, schemas, folder):
    if is_core(document):
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
            return []
        except kubernetes_validate.ValidationError as error:
            return ['.%s: %s' % ('.'.join(map(str, error.path)), error.message[:300])]
        except kubernetes_validate.SchemaNotFoundError:
            return ['Kubernetes %s has no %s %s' % (KUBERNETES, document.get('apiVersion'), document.get('kind'))]
    if not has_schema(document, schemas):
        return []
    found = crd.problems(schemas, document)
    if other_validator(folder):
        other = second_opinion(folder, document)
        if bool(found) != bool(other):
            found = found + ['the validators differ: the other one says %s' % (other or 'nothing')]
    return found


def problems(document, schemas, folder):
    found = schema_problems(document, schemas, folder)
    return found or rules.problems(document)


def build(folder):
    """(documents, problems) of a kustomization."""
    done = subprocess.run([KUBECTL, 'kustomize', folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode != 0 or done.stderr:
        return [], done.stderr.strip().splitlines() or ['kubectl kustomize ended with %d' % done.returncode]
    documents = [d for d in yaml.safe_load_all(done.stdout) if d]
    return documents, [] if documents else ['nothing comes out']


def title(document):
    return '%s/%s' % (document.get('kind'), document.get('metadata', {}).get('name'))


def own_files_of_kubeflow():
    """The manifests that lie beside its kustomization."""
    documents = []
    for name in kubeflow_kustomization()['resources']:
        if not name.startswith('../'):
            with open(os.path.join(ROOT, 'deploy/kubeflow', name)) as file:
                documents += [d for d in yaml.safe_load_all(file) if d]
    return documents


def check_kustomizations(schemas, folder):
    for path in sorted(glob.glob(os.path.join(ROOT, 'deploy/**/kustomization.yaml'), recursive=True)):
        name = os.path.relpath(os.path.dirname(path), ROOT)
        if name == 'deploy/kubeflow':  # all but our own files are of a checkout that is fetched from elsewhere
            documents, found = own_files_of_kubeflow(), []
        else:
            documents, found = build(os.path.dirname(path))
        for document in documents:
            found += ['%s: %s' % (title(document), line) for line in problems(document, schemas, folder)]
        verdict('%s: %s' % (name, ', '.join(map(title, documents))), found)


def check_every_file_is_built():
    """A manifest that no kustomization names would be checked by nobody."""
    found = []
    for path in glob.glob(os.path.join(ROOT, 'deploy/**/*.yaml'), recursive=True):
        folder, name = os.path.split(path)
        kustomization = os.path.join(folder, 'kustomization.yaml')
        if name == 'kustomization.yaml' or os.path.relpath(path, ROOT) == 'deploy/cluster/kind.yaml':
            continue
        if not os.path.exists(kustomization) or name not in open(kustomization).read():
            found.append('%s is in no kustomization' % os.path.relpath(path, ROOT))
    verdict('every manifest belongs to a kustomization', found)


def check_broken(schemas, folder):
    """Each broken manifest must be refused, for the reason that its first line names."""
    for path in sorted(glob.glob(os.path.join(ROOT, 'tests/manifests/broken/*.yaml'))):
        with open(path) as file:
            text = file.read()
        expected = text.split('\n', 1)[0].split('expect: ', 1)[1]
        [document] = [d for d in yaml.safe_load_all(text) if d]
        if not has_schema(document, schemas):
            continue
        found = problems(document, schemas, folder)
        verdict('broken/%s is refused' % os.path.basename(path),
                [] if any(expected in line for line in found) and not any('differ' in line for line in found) else ['expected "%s", found %s' % (expected, found)])


def check_names():
    """Operators make a Service of the name of each of these: two of one name would fight over it."""
    kinds, owners, found = ('InferenceService', 'Notebook', 'TrainJob', 'PyTorchJob'), {}, []
    for path in sorted(glob.glob(os.path.join(ROOT, 'deploy/**/*.yaml'), recursive=True)):
        with open(path) as file:
            documents = [d for d in yaml.safe_load_all(file) if isinstance(d, dict) and d.get('kind') in kinds]
        for document in documents:
            # A run is a TrainJob or a PyTorchJob, never both.
            kind = document['kind'].replace('PyTorchJob', 'TrainJob')
            other = owners.setdefault(document['metadata']['name'], kind)
            if other != kind:
                found.append('%s has the name of a %s' % (title(document), other))
    verdict('no two resources make a Service of one name', found)


def check_original_service():
    """serve.yaml is the original's InferenceService with another image."""
    with open(os.path.join(ROOT, 'serve.yaml')) as file:
        service = yaml.safe_load(file)
    predictor = service['spec']['predictor']
    columns = ('userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,'
               'new_user_class_level,adgroup_id,cate_id,campaign_id,customer,brand,pid,btag')
    wanted = {
        'metadata': ({'name': 'dcnv2', 'namespace': 'kubeflow-user-example-com',
                      'annotations': {'sidecar.istio.io/inject': 'false'}}, service['metadata']),
        'scaleTarget': (1, predictor['scaleTarget']),
        'scaleMetric': ('concurrency', predictor['scaleMetric']),
        'maxReplicas': (10, predictor['maxReplicas']),
        'env': ([('PROTOCOL', 'v2'), ('MODEL_PATH', '/mnt/models/model_weights.pth'),
                 ('ENCODER_PATH', '/mnt/models/preprocess_metadata.pkl'), ('DENSE_COLS', 'price'),
                 ('SPARSE_COLS', columns), ('STORAGE_URI', 'pvc://torch-workspace')],
                [(e['name'], e['value']) for e in predictor['containers'][0]['env']]),
    }
    verdict('serve.yaml is the original one with another image',
            ['%s: %s instead of %s' % (key, found, expected) for key, (expected, found) in wanted.items()
             if found != expected])


def check_tuned_concurrency():
    """The overlay's target is the one that docs/cluster.md works out of what `make load` measured, which stands there alone."""
    with open(os.path.join(ROOT, 'docs/cluster.md')) as file:
        text = file.read()
    [rate] = map(float, re.findall(r': (\d+) requests/s per CPU\.', text))
    [(wait_ms, told)] = re.findall(r'scaleTarget for ([\d.]+) ms of waiting at full load: (\d+) ', text)
    documents, found = build(os.path.join(ROOT, 'deploy/serve/overlays/tuned-concurrency'))
    for document in documents:
        target = document['spec']['predictor']['scaleTarget']
        worked_out = round(rate * float(wait_ms) / 1000 / 0.7 / 10) * 10
        if not target == int(told) == worked_out:
            found.append('the overlay has %s, docs/cluster.md says %s, of its %d requests/s per CPU follows %d' % (target, told, rate, worked_out))
    verdict('overlay tuned-concurrency has the target of docs/cluster.md, step 5', found)


def check_cluster():
    """kind's configuration: the node's version, and the issuer that the ingress trusts."""
    with open(os.path.join(ROOT, 'deploy/cluster/kind.yaml')) as file:
        cluster = yaml.safe_load(file)
    found = []
    if (cluster['apiVersion'], cluster['kind']) != ('kind.x-k8s.io/v1alpha4', 'Cluster'):
        found.append('not a kind Cluster')
    unknown = set(cluster) - {'apiVersion', 'kind', 'name', 'nodes', 'kubeadmConfigPatches'}
    found += ['%s: unknown here' % key for key in sorted(unknown)]
    nodes = cluster.get('nodes') or []
    found += ['%s is not Kubernetes %s' % (node.get('image'), KUBERNETES) for node in nodes
              if not node.get('image', '').startswith('kindest/node:v%s.' % KUBERNETES)] or ([] if nodes else ['no nodes'])
    issuers = [yaml.safe_load(patch).get('apiServer', {}).get('extraArgs', {}).get('service-account-issuer')
               for patch in cluster.get('kubeadmConfigPatches') or []]
    if issuers != ['https://kubernetes.default.svc']:
        found.append('the issuer is %s, not the one that the overlay m2m-dex-and-kind trusts' % issuers)
    verdict('deploy/cluster/kind.yaml', found)


@functools.cache
def kubeflow_release():
    """What is known of the pinned release: see tests/golden/make_kubeflow_golden.py."""
    with open(os.path.join(ROOT, 'tests/golden/kubeflow_release.json')) as file:
        return json.load(file)


def kubeflow_kustomization():
    with open(os.path.join(ROOT, 'deploy/kubeflow/kustomization.yaml')) as file:
        return yaml.safe_load(file)


def check_kubeflow_release():
    """The golden file is of the release that install.sh pins, and of the checkout, if that is there."""
    with open(os.path.join(ROOT, 'deploy/kubeflow/install.sh')) as file:
        [commit] = re.findall(r'^COMMIT=(\w+)$', file.read(), re.M)
    known = kubeflow_release()
    found = [] if known['commit'] == commit else ['install.sh pins %s, the golden file is of %s' % (commit, known['commit'])]
    if os.path.isdir(os.path.join(ROOT, 'build/kubeflow-manifests')):
        sys.path.insert(0, os.path.join(ROOT, 'tests/golden'))
        import make_kubeflow_golden
        facts = make_kubeflow_golden.facts()
        found += ['%s: the checkout has %s' % (key, facts[key]) for key in facts if facts[key] != known[key]]
    verdict('tests/golden/kubeflow_release.json', found)


def check_kubeflow_parts():
    """The release's own list, but for what is left out on purpose and the overlay for kind's tokens."""
    wanted = [part.replace('oauth2-proxy/overlays/m2m-dex-only', 'oauth2-proxy/overlays/m2m-dex-and-kind')
              for part in kubeflow_release()['components']
              if not any('/%s/' % name in part for name in ('pipeline', 'katib', 'spark'))]
    checkout = '../../build/kubeflow-manifests/'
    parts = [r.removeprefix(checkout) for r in kubeflow_kustomization()['resources'] if r.startswith(checkout)]
    found = ['%s is missing' % part for part in wanted if part not in parts]
    found += ['%s is not in the release, or left out on purpose' % part for part in parts if part not in wanted]
    verdict('deploy/kubeflow: %d of the release\'s %d parts' % (len(parts), len(kubeflow_release()['components'])), found)


def build_patched():
    """What our kustomization makes of stand-ins for what they are meant for, and of neighbours that they must leave alone:
    {(namespace, kind, name): document}."""
    known = kubeflow_release()

    def deployment(namespace, name, containers):
        return {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': name, 'namespace': namespace},
                'spec': {'template': {'spec': {'containers': [{'name': c, 'env': [{'name': 'A', 'value': 'b'}]} for c in containers]}}}}
    stands = [deployment('knative-serving', name, containers) for name, containers in known['knative_deployments'].items()]
    stands.append(deployment(known['kserve_namespace'], 'controller', ['manager']))
    stands.append({'apiVersion': 'v1', 'kind': 'ConfigMap', 'data': {'ingress': json.dumps(known['kserve_ingress'])},
                   'metadata': {'name': 'inferenceservice-config', 'namespace': known['kserve_namespace']}})
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'stands.yaml'), 'w') as file:
            yaml.safe_dump_all(stands, file)
        with open(os.path.join(folder, 'kustomization.yaml'), 'w') as file:
            yaml.safe_dump({**kubeflow_kustomization(), 'resources': ['stands.yaml']}, file)
        documents, found = build(folder)
    return {(d['metadata']['namespace'], d['kind'], d['metadata']['name']): d for d in documents}, found


def version_of(text):
    return tuple(map(int, text.lstrip('v').split('.')))


def check_kubeflow_patches():
    known = kubeflow_release()
    documents, found = build_patched()
    with open(os.path.join(ROOT, 'deploy/cluster/kind.yaml')) as file:
        [node] = re.findall(r'kindest/node:(v[\d.]+)', file.read())
    too_old = version_of(node) < version_of(known['kubernetes_minimum'])
    for (namespace, kind, name), document in documents.items():
        if kind != 'Deployment':
            continue
        env = {e['name']: e['value'] for c in document['spec']['template']['spec']['containers'] for e in c['env']}
        minimum = env.get('KUBERNETES_MIN_VERSION')
        if namespace != 'knative-serving' and minimum:
            found.append('%s/%s is not Knative\'s' % (namespace, name))
        if namespace == 'knative-serving' and too_old and (minimum is None or version_of(minimum) > version_of(node)):
            found.append('%s of Knative %s refuses the node: it asks for %s, or what the patch says (%s), and that is %s'
                         % (name, known['knative'], known['kubernetes_minimum'], minimum, node))
    if not found:
        config = json.loads(documents[known['kserve_namespace'], 'ConfigMap', 'inferenceservice-config']['data']['ingress'])
        wanted = {key: value for key, value in known['kserve_ingress'].items() if key != 'pathTemplate'}
        found += ['KServe\'s %s: %s, the release has %s' % (key, config.get(key), wanted.get(key))
                  for key in sorted(set(config) | set(wanted)) if config.get(key) != wanted.get(key)]
    verdict('deploy/kubeflow: its patches', found)


def check_local_gateway():
    """Who asks from inside may connect to the gateway's pods, at the port that its Service leads to."""
    known = kubeflow_release()
    [spec] = [d['spec'] for d in own_files_of_kubeflow() if d['kind'] == 'NetworkPolicy' and d['metadata']['namespace'] == 'istio-system']
    selected = spec['podSelector']['matchLabels']
    found = [] if selected.items() <= known['local_gateway_labels'].items() else ['it selects %s, the gateway has %s' % (selected, known['local_gateway_labels'])]
    [rule] = spec['ingress']
    if known['local_gateway_port'] not in [p['port'] for p in rule['ports']]:
        found.append('port %d is not among %s' % (known['local_gateway_port'], rule['ports']))
    callers = [source['namespaceSelector']['matchLabels']['kubernetes.io/metadata.name'] for source in rule['from']]
    if 'kubeflow-user-example-com' not in callers:
        found.append('callers are %s' % callers)
    verdict('deploy/kubeflow: the gateway for requests from inside can be reached', found)


def check_raw_can_be_reached():
    """Without Knative KServe makes an Ingress, of a class that nobody else brings; and its hosts need a token."""
    config = kubeflow_release()['kserve_ingress']
    documents, found = build(os.path.join(ROOT, 'deploy/serve/overlays/raw'))
    classes = {d['metadata']['name']: d['spec']['controller'] for d in documents if d['kind'] == 'IngressClass'}
    if classes.get(config['ingressClassName']) != 'istio.io/ingress-controller':
        found.append('KServe names the class %s, there is %s' % (config['ingressClassName'], classes))
    with open(os.path.join(ROOT, 'deploy/security/ingress.yaml')) as file:
        guarded = [host for to in yaml.safe_load(file)['spec']['rules'][0]['to'] for host in to['operation'].get('hosts', [])]
    for name in ('dcnv2', 'dcnv2-predictor'):
        host = (config['domainTemplate'].replace('{{ .Name }}', name).replace('{{ .Namespace }}', 'kubeflow-user-example-com')
                .replace('{{ .IngressDomain }}', config['ingressDomain']))
        if not any(host.startswith(pattern[:-1]) for pattern in guarded):
            found.append('security/ingress.yaml does not guard %s' % host)
    verdict('overlay raw can be reached through the ingress, with a token', found)


def check_notebook_image():
    with open(os.path.join(ROOT, 'deploy/notebooks/notebook.yaml')) as file:
        spec = yaml.safe_load(file)['spec']['template']['spec']
    found = ['%s: the release has %s' % (c['image'], kubeflow_release()['notebook_image'])
             for c in spec['initContainers'] + spec['containers'] if c['image'] != kubeflow_release()['notebook_image']]
    verdict('the notebook server\'s image is the release\'s', found)


def check_notebooks():
    for path in sorted(glob.glob(os.path.join(ROOT, 'deploy/notebooks/*.ipynb'))):
        with open(path) as file:
            notebook = json.load(file)
        found = []
        for cell in notebook['cells']:
            if cell['cell_type'] != 'code':
                continue
            try:
                ast.parse(''.join(cell['source']))
            except SyntaxError as error:
                found.append('cell %s: %s' % (cell['id'], error))
            if cell['outputs'] or cell['execution_count']:
                found.append('cell %s holds the output of a run' % cell['id'])
        verdict(os.path.relpath(path, ROOT), found)


def check_scripts():
    scripts = glob.glob(os.path.join(ROOT, 'deploy/**/*.sh'), recursive=True)
    found = []
    for path in sorted(scripts):
        done = subprocess.run(['sh', '-n', path], stderr=subprocess.PIPE, text=True)
        found += done.stderr.splitlines()
    verdict('%d scripts of deploy/ are shell' % len(scripts), found)


def main():
    folder = crd_folder()
    schemas = None
    if folder:
        schemas = crd.load_cached(folder, os.path.join(ROOT, 'build/crds.json'))
        print('%d kinds of custom resources from %s' % (len(schemas), os.path.relpath(folder, ROOT)))
    else:
        print(NEEDS_CRDS)
        if os.environ.get('MANIFESTS_NEED_CRDS', '0') not in ('', '0'):
            counts['failed'] += 1
    check_kustomizations(schemas, folder)
    check_every_file_is_built()
    check_names()
    check_original_service()
    check_tuned_concurrency()
    check_cluster()
    check_kubeflow_release()
    check_kubeflow_parts()
    check_kubeflow_patches()
    check_local_gateway()
    check_raw_can_be_reached()
    check_notebook_image()
    check_notebooks()
    check_scripts()
    check_broken(schemas, folder)
    if schemas is not None and not_checked:
        print('not checked, since %s has no CRD of theirs: %s' % (os.path.relpath(folder, ROOT), ', '.join(sorted(not_checked))))
    print('%d passed, %d failed' % (counts['passed'], counts['failed']))
    sys.exit(1 if counts['failed'] else 0)


main()
